"""Is what a drill expects at an instant what there is? Looked up in what people would see: the view, the record, the prices, the alarms."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from market.decisions import Decision, first_broken
from market.errors import UnitError
from market.facts import Segment
from market.prices import PriceInForce
from market.units import instant_ns, instant_text
from market.view import MarketView
from streams.drillexpect import AnnouncementExpect, CaseExpect, CommandExpect, Expect, NoticeExpect, RecordExpect, SegmentExpect

__all__ = ["Check", "Seen", "checked", "duty_state"]

_SHOWN: Final = 4
"""Intervals of a span that are named where they are not as expected."""

_ANALOGY: Final = "+BY_ANALOGY"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing a step expected: where, what, what was found, and whether they agree."""

    step: int
    at_ns: int
    key: str
    expected: str
    actual: str
    ok: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What there is to look at.

    Attributes:
        alarms: raised so far, by name and by identity.
        last_command: id of the last order; empty before the first.
    """

    view: MarketView
    decisions: Sequence[Decision]
    prices: Mapping[tuple[Segment, int], PriceInForce]
    alarms: set[str]
    last_command: str
    zone: str

    def bodies(self, kind: str) -> list[dict[str, Any]]:
        """Return what the decisions of a kind say, in order."""
        return [decision.body for decision in self.decisions if decision.kind == kind]


_Found = tuple[str, object, object, bool]
"""(key, expected, actual, whether they agree)."""


def checked(number: int, at_ns: int, expect: Expect, seen: Seen) -> list[Check]:
    """Return every check of an ``expect`` step, in the order of its keys."""
    found: list[_Found] = []
    for name in ("RT", "DA"):
        wanted: SegmentExpect | None = getattr(expect, name)
        if wanted is not None:
            found += _segment(name, wanted, seen)
    found += _announcements(expect, seen)
    found += _notices(expect, seen)
    found += _cases(expect, seen)
    found += [(f"alarm {alarm}", "present", _presence(alarm in seen.alarms), alarm in seen.alarms) for alarm in expect.alarms or ()]
    found += [(f"alarm {alarm}", "absent", _presence(alarm in seen.alarms), alarm not in seen.alarms) for alarm in expect.no_alarms or ()]
    if expect.last_command is not None:
        found += _command(expect.last_command, seen)
    for duty, state in (expect.duties or {}).items():
        found.append(_same(f"duty {duty}", state, duty_state(seen.decisions, duty, at_ns)))
    for where, regime in (expect.regime or {}).items():
        found.append(_priced(f"regime {where}", where, regime, seen))
    for where, price in (expect.price or {}).items():
        found.append(_priced(f"price {where}", where, price, seen))
    found += [_recorded(wanted_record, seen) for wanted_record in expect.record or ()]
    if expect.audit_ok is not None:
        found.append(_same("audit_ok", expect.audit_ok, first_broken(seen.decisions) is None))
    return [Check(number, at_ns, key, str(expected), str(actual), ok) for key, expected, actual, ok in found]


def _same(key: str, expected: object, actual: object) -> _Found:
    return key, expected, actual, expected == actual


def _presence(there: bool) -> str:
    return "present" if there else "absent"


def _segment(name: str, wanted: SegmentExpect, seen: Seen) -> Iterator[_Found]:
    view = next(segment for segment in seen.view.segments if segment.segment == name)
    for key in sorted(wanted.model_fields_set):
        expected = getattr(wanted, key)
        if key == "state":
            yield _same(f"{name}.state", expected, str(view.phase))
        elif key == "flags":
            yield _same(f"{name}.flags", sorted(expected or ()), sorted(view.flags))
        elif hasattr(view, f"{key}_ns"):
            yield _same(f"{name}.{key}", _instant(expected, seen.zone), _instant(getattr(view, f"{key}_ns"), seen.zone))
        else:
            yield _same(f"{name}.{key}", expected, getattr(view, key))


def _instant(ns: int | None, zone: str) -> str:
    return "none" if ns is None else instant_text(ns, zone)


def _announcements(expect: Expect, seen: Seen) -> Iterator[_Found]:
    published = seen.bodies("Announcement")
    if isinstance(expect.announcements, int):
        yield _same("announcements", expect.announcements, len(published))
        return
    active = {notice.number for notice in seen.view.notices}
    for wanted in expect.announcements or ():
        found = any(_announced(wanted, notice, active) for notice in published)
        yield "announcements", wanted.model_dump(exclude_none=True), "present" if found else "none such", found


def _announced(wanted: AnnouncementExpect, notice: Mapping[str, Any], active: set[str]) -> bool:
    text = f"{notice['text_zh']}\n{notice['text_en']}\n{' '.join(notice['facts'].values())}"
    return (
        (wanted.kind is None or notice["announcement_kind"] == wanted.kind)
        and (wanted.segment is None or notice["segment"] == wanted.segment)
        and (wanted.active is None or (notice["number"] in active) is wanted.active)
        and (wanted.contains is None or wanted.contains in text)
    )


def _notices(expect: Expect, seen: Seen) -> Iterator[_Found]:
    if expect.notices is None:
        return
    told = [f"{notice.number} {notice.kind} {notice.subject}" for notice in seen.view.notices]
    count = expect.notices if isinstance(expect.notices, int) else len(expect.notices)
    yield "notices", count, f"{len(told)}: {', '.join(told) or 'none'}", len(told) == count
    for wanted in () if isinstance(expect.notices, int) else expect.notices:
        found = any(_in_force(wanted, seen, place) for place in range(len(told)))
        yield "notices", wanted.model_dump(exclude_none=True), "in force" if found else "none such", found


def _in_force(wanted: NoticeExpect, seen: Seen, place: int) -> bool:
    notice = seen.view.notices[place]
    return (
        wanted.kind in (None, notice.kind)
        and wanted.segment in (None, notice.segment)
        and wanted.subject in (None, notice.subject)
        and wanted.next_update in (None, notice.next_update_ns)
    )


def _cases(expect: Expect, seen: Seen) -> Iterator[_Found]:
    opened = seen.bodies("CaseOpened")
    if isinstance(expect.cases, int):
        yield _same("cases", expect.cases, len(opened))
        return
    closed = {body["case"] for body in seen.bodies("CaseClosed")}
    notes = seen.bodies("CaseNoted")
    for wanted in expect.cases or ():
        found = any(_case(wanted, case, [note for note in notes if note["case"] == case["case"]], closed) for case in opened)
        yield "cases", wanted.model_dump(exclude_none=True), "present" if found else "none such", found


def _case(wanted: CaseExpect, case: Mapping[str, Any], notes: Sequence[Mapping[str, Any]], closed: set[str]) -> bool:
    text = "\n".join((case["subject"], *(note["text"] for note in notes)))
    major = case["major"] or any(note["entry"] == "MAJOR" for note in notes)
    return (
        all(getattr(wanted, key) in (None, case[key]) for key in ("case", "segment", "anomaly", "item"))
        and wanted.major in (None, major)
        and wanted.open in (None, case["case"] not in closed)
        and wanted.discovered_at in (None, case["discovered_ns"])
        and (wanted.contains is None or wanted.contains in text)
    )


def _command(wanted: CommandExpect | str, seen: Seen) -> Iterator[_Found]:
    refusal = next((body for body in seen.bodies("Refused") if body["command_id"] == seen.last_command), None)
    outcome = "none given" if not seen.last_command else "refused" if refusal else "accepted"
    said = f"{refusal['rule']}: {refusal['why']}" if refusal else "not refused"
    if isinstance(wanted, str):
        yield "last_command", wanted, outcome if refusal is None else f"refused ({said})", wanted == outcome
        return
    if wanted.accepted is not None:
        yield "last_command.accepted", wanted.accepted, said, wanted.accepted is (outcome == "accepted")
    if wanted.refused is not None:
        yield "last_command.refused", wanted.refused, outcome, wanted.refused is (outcome == "refused")
    if wanted.rule is not None:
        yield "last_command.rule", wanted.rule, said, refusal is not None and wanted.rule in refusal["rule"]
    for words in _words(wanted.why):
        yield "last_command.why", words, said, refusal is not None and words in refusal["why"]


def _words(words: str | list[str] | None) -> list[str]:
    return [] if words is None else [words] if isinstance(words, str) else words


def duty_state(decisions: Sequence[Decision], name: str, now_ns: int) -> str:
    """Return how a duty stands, by its latest opening.

    Args:
        name: ``explain``, ``explain/DA``, ``explain/GOV`` or ``explain/DA/GOV``.

    Returns:
        open, met, late, overdue or lifted; ``none`` where there was no such duty. Of one recipient: by its own receipt.
    """
    duty, *rest = name.split("/")
    segment = next((part for part in rest if part in tuple(Segment)), None)
    recipient = next((part for part in rest if part not in tuple(Segment)), None)

    def about(body: Mapping[str, Any]) -> bool:
        return bool(body["duty"] == duty and segment in (None, body["segment"]))

    opened: dict[str, Any] | None = None
    outcome, received = "", False
    for decision in decisions:
        body = decision.body
        if decision.kind == "DutyOpened" and about(body) and (recipient is None or recipient in body["recipients"]):
            opened, outcome, received = body, "", False
        elif opened is None or not decision.kind.startswith("Duty") or not about(body) or body["key"] != opened["key"]:
            continue
        elif decision.kind == "DutySettled" and not received:
            outcome = body["outcome"]
        elif decision.kind == "DutyReceived" and recipient == body["recipient"]:
            due_ns, received = opened["due_ns"], True
            outcome = "late" if due_ns is not None and body["delivered_at_ns"] > due_ns else "met"
    if opened is None:
        return "none"
    return outcome or ("overdue" if opened["due_ns"] is not None and now_ns > opened["due_ns"] else "open")


def _priced(key: str, where: str, expected: str | float | None, seen: Seen) -> _Found:
    """Compare what priced an interval, or each of a span, with what is expected of it."""
    segment, _, span = where.rpartition(" ")
    market = Segment(segment) if segment in tuple(Segment) else Segment.RT
    begin, _, end = span.partition("/")
    try:
        from_ns = instant_ns(begin)
        to_ns = instant_ns(end) if end else from_ns + 1
    except UnitError as exc:
        return key, expected, str(exc), False
    starts = [start_ns for of, start_ns in seen.prices if of is market and from_ns <= start_ns < to_ns]
    if end:
        step_s = seen.view.rt_interval_s if market is Segment.RT else 0
        wanted = range(from_ns, to_ns, step_s * 1_000_000_000) if step_s else starts
        starts = list(wanted) or [from_ns]
    else:
        starts = [from_ns]
    told = {start_ns: _told(seen.prices.get((market, start_ns)), expected) for start_ns in sorted(starts)}
    wrong = {start_ns: actual for start_ns, actual in told.items() if actual != expected}
    if not wrong:
        return key, expected, expected if not end else f"{expected} in all {len(told)}", True
    if not end:
        return key, expected, next(iter(wrong.values())), False
    shown = ", ".join(f"{instant_text(start_ns, seen.zone)} {actual}" for start_ns, actual in list(wrong.items())[:_SHOWN])
    return key, expected, f"{len(wrong)} of {len(told)} differ: {shown}", False


def _told(record: PriceInForce | None, expected: str | float | None) -> str | float | None:
    if record is None:
        return "none"
    if not isinstance(expected, str):
        return record.price_cny_per_mwh
    by_analogy = getattr(record, "by_analogy", False) and expected.endswith(_ANALOGY)
    return f"{record.regime}{_ANALOGY if by_analogy else ''}"


def _recorded(wanted: RecordExpect, seen: Seen) -> _Found:
    texts = [json.dumps(body, ensure_ascii=False, sort_keys=True) for body in seen.bodies(wanted.kind)]
    found = sum(all(words in text for words in _words(wanted.contains)) for text in texts)
    ok = found > 0 if wanted.count is None else found == wanted.count
    return f"record {wanted.kind}", wanted.model_dump(exclude_none=True, exclude={"kind"}), f"{found} of {len(texts)}", ok
