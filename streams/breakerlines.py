"""How do the breaker's records become lines: the state of the market, duties, decisions, findings, cases, announcements?

A view says what is open; what was open in the view before and is not in this one is told once more, as settled or no longer in force, so
that ``last()`` does not show it for ever. Which case an entry belongs to is known from the case's opening or from a view. Both are
remembered by :class:`BreakerLines`; after a restart it is told the newest records again, and nothing is written for them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any, Final

from market.decisions import Decision, Phase
from market.facts import Segment
from market.units import NS_PER_MS, NS_PER_S, instant_text
from market.view import CaseView, DutyView, MarketView, NoticeView, SegmentView
from streams import measurements as m
from streams.lineprotocol import Values, line, ms
from streams.sentences import sentence
from streams.words import DUTIES, name_of

__all__ = ["BreakerLines"]

_CASES_KEPT: Final = 64
_TEXTS_KEPT: Final = 64
_OPEN_FROM: Final = 1_000
"""Places below the millisecond of duties that are open; those that were settled stand before them, also if the view is shown again."""

_FOUND: Final = (Phase.PROPOSED, Phase.TRIPPED)
"""Phases that a segment moves into because something was found."""

_CASE_STATES: Final = {"CaseOpened": "OPENED", "CaseNoted": "NOTED", "CaseClosed": "CLOSED"}


def _since_s(ts_ns: int, since_ns: int | None) -> float | None:
    return None if since_ns is None else max(0.0, (ts_ns - since_ns) / NS_PER_S)


def _until_s(ts_ns: int, then_ns: int | None) -> float | None:
    return None if then_ns is None else max(0.0, (then_ns - ts_ns) / NS_PER_S)


class BreakerLines:
    """Makes lines of views and decisions, in the order they were made.

    Args:
        zone: the market's zone, in which instants are written out for people.
    """

    def __init__(self, zone: str) -> None:
        self._zone = zone
        self._duties: dict[str, DutyView] = {}
        self._notices: dict[str, NoticeView] = {}
        self._texts: dict[str, dict[str, str]] = {}
        """What recent announcements say, by number."""
        self._noticed_ns = -1
        """Instant of the last line that a view gave of an announcement."""
        self._cases: dict[str, tuple[str, str, str]] = {}
        """Segment, class and cause of recent cases."""

    def market(self, view: MarketView) -> bytes:
        """Encode the state of each segment, the duties that are open, and what is over since the last view."""
        ts_ns = ms(view.ts_event_ns)
        lines = [line(m.MARKET, ts_ns, {"segment": each.segment}, _segment(view, each)) for each in view.segments]
        lines += self._duty_lines(view)
        lines += self._notice_lines(view)
        for case in view.cases:
            self._remember(case)
        return b"".join(lines)

    def _notice_lines(self, view: MarketView) -> Iterator[bytes]:
        """Yield the announcements that are over since the last view, and once more those of their kind and segment that are not."""
        still_open = {notice.number: notice for notice in view.notices}
        over = [notice for number, notice in self._notices.items() if number not in still_open]
        ended = {(notice.kind, notice.segment) for notice in over}
        stays = [notice for number, notice in still_open.items() if number in self._notices and (notice.kind, notice.segment) in ended]
        self._notices = still_open
        first_ns = ms(view.ts_event_ns)
        if ms(self._noticed_ns) == first_ns:  # of another view of the same instant
            first_ns = self._noticed_ns + 1
        for place, notice in enumerate((*over, *stays)):
            tags = {"kind": notice.kind, "segment": notice.segment or m.NONE}
            texts = self._texts.get(notice.number, {}) if place >= len(over) else {}
            values: Values = {"number": notice.number, "subject": notice.subject, **texts, "active": place >= len(over)}
            self._noticed_ns = first_ns + place
            yield line(m.ANNOUNCEMENT, first_ns + place, tags, values)

    def _duty_lines(self, view: MarketView) -> Iterator[bytes]:
        """Yield the duties settled since the last view, then those that are open; of one kind and segment the most urgent comes last."""
        now_ns = view.ts_event_ns
        still_open = {duty.key: duty for duty in view.duties}
        settled = [duty for key, duty in self._duties.items() if key not in still_open]
        self._duties = still_open
        told = [(duty, False) for duty in settled] + [(duty, True) for duty in view.duties]

        def series(entry: tuple[DutyView, bool]) -> tuple[str, str, bool]:
            return entry[0].duty, entry[0].segment or m.NONE, entry[1]

        def urgency(entry: tuple[DutyView, bool]) -> tuple[float, str]:
            left_s = _left_s(entry[0], now_ns)
            return float("-inf") if left_s is None else -left_s, entry[0].key

        for (kind, segment, is_open), entries in groupby(sorted(told, key=series), key=series):
            first_ns = ms(now_ns) + (_OPEN_FROM if is_open else 0)
            for place, (duty, _) in enumerate(sorted(entries, key=urgency)):
                tags = {"duty": kind, "segment": segment}
                yield line(m.DUTY, first_ns + place, tags, self._duty(duty, view, is_open=is_open))

    def _duty(self, duty: DutyView, view: MarketView, *, is_open: bool) -> Values:
        title_en, title_zh = name_of(DUTIES, duty.duty)
        cases = [case.case for case in view.cases if duty.segment is not None and case.segment is duty.segment]
        return {
            "left_s": _left_s(duty, view.ts_event_ns),
            "overdue": duty.overdue if is_open else 0,
            "due": "" if duty.due_ns is None else instant_text(duty.due_ns, self._zone),
            "case": cases[-1] if cases else "",
            "title_en": title_en,
            "title_zh": title_zh,
            "key": duty.key,
            "owner": duty.owner,
            "missing": ", ".join(duty.missing),
            "open": is_open,
        }

    def _remember(self, case: CaseView) -> None:
        self._keep(case.case, case.segment or m.NONE, case.anomaly, case.cause)

    def _keep(self, number: str, segment: str, anomaly: str, cause: str) -> None:
        self._cases.pop(number, None)
        self._cases[number] = segment, anomaly, cause
        while len(self._cases) > _CASES_KEPT:
            del self._cases[next(iter(self._cases))]

    def decision(self, decision: Decision) -> bytes:
        """Encode a decision with one sentence in each language, and what it says of findings, cases and announcements.

        Decisions of one millisecond stay apart by their number.
        """
        text_en, text_zh = sentence(decision, self._zone)
        texts = {"text_en": text_en, "text_zh": text_zh}
        ts_ns, body = ms(decision.ts_event_ns) + decision.seq % NS_PER_MS, decision.body
        segment = body.get("segment") or m.NONE
        values: Values = {"seq": decision.seq, **texts, "rule_set": decision.rule_set, "hash": decision.hash}
        lines = [line(m.EVENT, ts_ns, {"kind": decision.kind, "segment": segment}, values)]
        match decision.kind:
            case "Announcement":
                told: Values = {name: body[name] for name in ("number", "subject", "text_en", "text_zh", "supersedes")}
                self._texts[body["number"]] = {name: body[name] for name in ("text_en", "text_zh", "supersedes")}
                while len(self._texts) > _TEXTS_KEPT:
                    del self._texts[next(iter(self._texts))]
                lines.append(line(m.ANNOUNCEMENT, ts_ns, {"kind": body["announcement_kind"], "segment": segment}, {**told, "active": 1}))
            case "Transition" if body["after"] in _FOUND:
                lines.append(self._finding(ts_ns, body["basis"], segment, texts, body))
            case "FindingNoted":
                lines.append(self._finding(ts_ns, body["finding"], segment, texts, body))
            case "AnomalyNoted":
                lines.append(self._finding(ts_ns, body["how"], segment, texts, {"evidence": [body["reason"]]}))
            case "CaseOpened" | "CaseNoted" | "CaseClosed":
                lines.append(self._case(ts_ns, decision.kind, body, texts))
        return b"".join(lines)

    def _finding(self, ts_ns: int, kind: str, segment: str, texts: dict[str, str], body: dict[str, Any]) -> bytes:
        met_ns = body.get("condition_met_at_ns")
        evidence: Sequence[str] = body.get("evidence") or ()
        met_at = None if met_ns is None else instant_text(met_ns, self._zone)
        values: Values = {**texts, "evidence": "; ".join(evidence), "met_at": met_at}
        return line(m.FINDING, ts_ns, {"kind": kind, "segment": segment}, values)

    def _case(self, ts_ns: int, kind: str, body: dict[str, Any], texts: dict[str, str]) -> bytes:
        number = body["case"]
        segment, anomaly, cause = self._cases.get(number, (m.NONE, "", ""))
        if kind == "CaseOpened":
            segment, anomaly = body.get("segment") or m.NONE, body["anomaly"]
        elif kind == "CaseNoted" and body["entry"] == "CAUSE":
            cause = body["text"]
        self._keep(number, segment, anomaly, cause)
        values: Values = {"number": number, "class": anomaly, "cause": cause, **texts}
        return line(m.CASE, ts_ns, {"segment": segment, "state": _CASE_STATES[kind]}, values)


def _left_s(duty: DutyView, now_ns: int) -> float | None:
    return None if duty.due_ns is None else (duty.due_ns - now_ns) / NS_PER_S


def _segment(view: MarketView, segment: SegmentView) -> Values:
    """Return the fields of one segment; the price in force stands on the line of the real-time segment."""
    own: dict[str, float | int | str | None] = {
        "phase": segment.phase,
        "basis": segment.basis,
        # No outage is a known 0 s, so that a bar goes back to empty when clearing returns.
        "outage_s": _since_s(view.ts_event_ns, segment.outage_start_ns) or 0.0,
        "headroom_s": segment.headroom_s,
        "breaker_s": _since_s(view.ts_event_ns, segment.tripped_at_ns) or 0.0,
        "suspended_s": _since_s(view.ts_event_ns, segment.suspended_from_ns) or 0.0,
        "failed_intervals": segment.failed_intervals,
        "shadow_ok": segment.shadow_ok,
        "flags": ",".join(segment.flags),
    }
    if segment.segment is Segment.RT:
        own |= {
            "regime": view.regime,
            "price_cny_per_mwh": view.price_cny_per_mwh,
            "last_valid_age_s": _since_s(view.ts_event_ns, view.last_valid_at_ns),
            "duties_open": len(view.duties),
            "duties_overdue": sum(duty.overdue for duty in view.duties),
            "cases_open": len(view.cases),
            "approvals_open": len(view.approvals),
        }
    else:
        own |= {
            "expected_p50_s": _until_s(view.ts_event_ns, segment.expected_p50_ns),
            "expected_p90_s": _until_s(view.ts_event_ns, segment.expected_p90_ns),
            "outlook": segment.outlook,
        }
    return own
