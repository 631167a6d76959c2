"""The notices of the market: numbered, in both languages, and at most one in force for each segment and subject.

Whatever a segment does that participants must know of is announced here, from its transition and from what it is after it. A notice of
the breaker takes the place of the one before, so what is in force says what is so; when the market is back, none is. A notice may promise
the next one; a promise that is not kept is noted, once.

Absent on purpose: what was announced (the decisions have that), and who received it (the duties do).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

from market.announcements import TEMPLATES, notice_text, pricing_facts
from market.commands import ORDERS, refused
from market.decisions import Announcement, DecisionBody, FindingNoted, Phase, Transition
from market.errors import UnitError
from market.facts import CommandGiven, Segment
from market.handling import CaseClosed
from market.operatingdays import days_after
from market.rules import MarketRules
from market.units import NS_PER_MIN, civil_day, clock_text, day_start_ns, instant_ns, instant_text
from market.view import NoticeView

__all__ = [
    "BREAKER",
    "ConditionSeen",
    "Notice",
    "NoticeBoard",
    "SegmentSeen",
    "active",
    "anomaly_subject",
    "followed",
    "issued",
    "next_deadline_ns",
    "ordered",
    "ticked",
    "view",
    "withdrawn",
]

BREAKER: Final = "breaker"
"""Subject of every notice about the state of a segment."""

_ANOMALY: Final = "AN"
"""What numbers of notices on trading sessions begin with, where others name their segment."""

_BREAKING: Final = (Phase.TRIPPED, Phase.OVERDUE)
_SUSPENDED: Final = (Phase.SUSPENDED, Phase.SUSPENDED_LONG)


class ConditionSeen(Protocol):
    """What a notice names of the condition behind a trip."""

    @property
    def basis(self) -> str: ...  # noqa: D102
    @property
    def evidence(self) -> tuple[str, ...]: ...  # noqa: D102
    @property
    def details(self) -> dict[str, str]: ...  # noqa: D102


class SegmentSeen(Protocol):
    """What a notice says of a segment, as it is after the transition that is announced (:class:`market.segment.SegmentState`)."""

    @property
    def phase(self) -> Phase: ...  # noqa: D102
    @property
    def condition(self) -> ConditionSeen | None: ...  # noqa: D102
    @property
    def tripped_at_ns(self) -> int | None: ...  # noqa: D102
    @property
    def substituted_from_ns(self) -> int | None: ...  # noqa: D102
    @property
    def effective_from_ns(self) -> int | None: ...  # noqa: D102
    @property
    def suspended_from_ns(self) -> int | None: ...  # noqa: D102
    @property
    def expected_end_ns(self) -> int | None: ...  # noqa: D102
    @property
    def long_from_ns(self) -> int | None: ...  # noqa: D102
    @property
    def operating_day(self) -> str: ...  # noqa: D102


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """A notice that is in force, as far as the next one must know it.

    Attributes:
        kind: of its template.
        base: number of the notice that changed the state last, which the later ones build on; its own where it did.
        next_update_ns: instant by which it promises the next one; None where it promises none.
        update_told: whether it was noted that the promise was not kept.
        suspended_from_ns, expected_end_ns: of the suspension it announces; None where it announces none.
        until_ns: end of the operating day it is about, after which it is forgotten; None where something else ends it.
    """

    number: str
    kind: str
    segment: Segment | None
    subject: str
    base: str
    next_update_ns: int | None = None
    update_told: bool = False
    suspended_from_ns: int | None = None
    expected_end_ns: int | None = None
    until_ns: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NoticeBoard:
    """The notices in force.

    Attributes:
        last: segment → the number given last.
    """

    notices: tuple[Notice, ...] = ()
    last: dict[str, str] = field(default_factory=dict)


Step = tuple[NoticeBoard, tuple[DecisionBody, ...]]


def active(board: NoticeBoard) -> tuple[str, ...]:
    """Return the numbers of the notices in force."""
    return tuple(notice.number for notice in board.notices)


def view(board: NoticeBoard) -> tuple[NoticeView, ...]:
    """Return the notices in force as people see them."""
    return tuple(
        NoticeView(number=each.number, kind=each.kind, segment=each.segment, subject=each.subject, next_update_ns=each.next_update_ns)
        for each in board.notices
    )


def issued(
    board: NoticeBoard,
    kind: str,
    segment: Segment | None,
    facts: Mapping[str, str],
    now_ns: int,
    rules: MarketRules,
    *,
    subject: str = BREAKER,
    basis: str = "",
) -> tuple[NoticeBoard, Announcement]:
    """Number and write a notice; it takes the place of the one of its segment and subject.

    Args:
        kind: of :data:`market.announcements.TEMPLATES`.
        segment: that it is about; None for an anomaly of a trading session.
        facts: those of the template besides number, template and what it supersedes.
        subject: what it is about: the breaker, or what another part of the market announces, as ``boundary/2026-06-11``.
        basis: of a trip.

    Raises:
        KeyError: a fact is missing that the template needs.
    """
    before = _in_force(board, segment, subject)
    superseded = before.number if before else ""
    number = _numbered(board, segment, now_ns, rules)
    facts = {**facts, "number": number, "template": TEMPLATES[kind].code, "supersedes": superseded or "–"}
    text_zh, text_en = notice_text(kind, segment, basis, facts)
    announcement = Announcement(
        number=number,
        announcement_kind=kind,
        segment=segment,
        subject=subject,
        supersedes=superseded,
        published_at_ns=now_ns,
        text_zh=text_zh,
        text_en=text_en,
        facts=facts,
    )
    promised, day = facts.get("next_update"), "" if subject == BREAKER else facts.get("operating_day")
    notice = Notice(
        number=number,
        kind=kind,
        segment=segment,
        subject=subject,
        base=facts.get("base", number),
        next_update_ns=instant_ns(promised) if promised else None,
        until_ns=day_start_ns(days_after(day, 1), rules.zone) if day else None,
    )
    others = tuple(each for each in board.notices if each is not before)
    return NoticeBoard(notices=(*others, notice), last={**board.last, segment or _ANOMALY: number}), announcement


def _in_force(board: NoticeBoard, segment: Segment | None, subject: str) -> Notice | None:
    return next((each for each in board.notices if each.segment == segment and each.subject == subject), None)


def _numbered(board: NoticeBoard, segment: Segment | None, now_ns: int, rules: MarketRules) -> str:
    """Return the next number of a segment on this civil day, as ``RT-2026-06-10-01``."""
    row = segment or _ANOMALY
    prefix = f"{row}-{civil_day(now_ns, rules.zone)}-"
    last = board.last.get(row, "")
    count = int(last.removeprefix(prefix)) + 1 if last.startswith(prefix) else 1
    return f"{prefix}{count:02d}"


def followed(
    board: NoticeBoard,
    body: DecisionBody,
    now_ns: int,
    rules: MarketRules,
    segment: SegmentSeen | None,
    *,
    day_ahead: bool,
    real_time: bool,
) -> Step:
    """Announce what a decision changed, where participants must know of it.

    Args:
        body: any decision; only transitions are announced. The notice of a session's anomaly ends with its case.
        segment: the state after the transition; None where the body is about no segment.
        day_ahead: whether the day-ahead market has a price for the first period that is out.
        real_time: whether the real-time market clears; asked where day-ahead is out.
    """
    if isinstance(body, CaseClosed):
        return withdrawn(board, None, anomaly_subject(body.case)), ()
    if not isinstance(body, Transition) or segment is None:
        return board, ()
    if body.basis == "EFFECTIVE":
        return withdrawn(board, body.segment, BREAKER), ()
    kind = _kind(body, _in_force(board, body.segment, BREAKER))
    if not kind:
        return board, ()
    suspended = kind != "TRIP" and kind != "RECOVERY"
    pricing = pricing_facts(
        day_ahead=day_ahead,
        segment=body.segment,
        real_time=real_time,
        suspended=suspended,
        long=Phase.SUSPENDED_LONG in (body.before, body.after),
    )
    facts = {
        "article": "Art. 26" if kind in ("SUSPENSION", "EXTENSION") else body.article,
        "by": body.by,
        "published_at": instant_text(now_ns, rules.zone),
        "operating_day": body.operating_day,
        "evidence": "; ".join(body.evidence),
        **pricing,
        **_instants(segment, rules),
    }
    if kind == "TRIP":
        facts |= _trip_facts(body, segment, now_ns, rules)
    elif suspended:
        facts["reason"] = facts["evidence"]
    facts = {name: text for name, text in facts.items() if text}
    board, announcement = issued(board, kind, body.segment, facts, now_ns, rules, basis=body.basis)
    told = replace(board.notices[-1], suspended_from_ns=body.suspended_from_ns, expected_end_ns=body.expected_end_ns)
    return replace(board, notices=(*board.notices[:-1], told)), (announcement,)


def anomaly_subject(case: str) -> str:
    """Return the subject of notices on the anomaly of a trading session."""
    return f"anomaly/{case}"


def withdrawn(board: NoticeBoard, segment: Segment | None, subject: str) -> NoticeBoard:
    """Take down the notice of a subject that is over; where there is none, nothing changes."""
    if _in_force(board, segment, subject) is None:
        return board
    return replace(board, notices=tuple(each for each in board.notices if each.segment != segment or each.subject != subject))


def _kind(body: Transition, before: Notice | None) -> str:
    """Return the kind of notice that a transition asks for, or nothing where what is in force still says what is so."""
    if body.after is Phase.TRIPPED:
        return "TRIP"
    if body.after is Phase.RESUMING:
        return "RECOVERY" if body.before in _BREAKING else "RESUMPTION" if body.before in _SUSPENDED else ""
    if body.suspended_from_ns is None or body.after not in (Phase.OVERDUE, *_SUSPENDED):
        return ""
    if before is None or before.suspended_from_ns != body.suspended_from_ns:
        return "SUSPENSION"
    if before.expected_end_ns != body.expected_end_ns:
        return "EXTENSION"
    return "REGIME28" if body.after is Phase.SUSPENDED_LONG and body.before is not Phase.SUSPENDED_LONG else ""


def _trip_facts(body: Transition, segment: SegmentSeen, now_ns: int, rules: MarketRules) -> dict[str, str]:
    """Return what the notice of a trip says beside its instants and its prices."""
    assert segment.condition is not None, "a trip has a condition"
    assert segment.substituted_from_ns is not None, "a trip prices from some interval on"
    assert body.condition_met_at_ns is not None, "a condition was met at some instant"
    deadline_ns = day_start_ns(civil_day(now_ns, rules.zone), rules.zone) + rules.day_ahead.deadline_min * NS_PER_MIN
    return {
        "condition_met_at": instant_text(body.condition_met_at_ns, rules.zone),
        "first_interval": instant_text(segment.substituted_from_ns, rules.zone),
        "limit_min": str(rules.rt_limit_min),
        "deadline": clock_text(deadline_ns, rules.zone),
        "next_update": _next_update(now_ns, rules),
        "evidence": "; ".join(segment.condition.evidence),
        "cause": body.cause,
        "reference": body.reference,
        **segment.condition.details,
    }


def _next_update(now_ns: int, rules: MarketRules) -> str:
    return instant_text(now_ns + rules.duty_clocks.update_min * NS_PER_MIN, rules.zone)


def _instants(segment: SegmentSeen, rules: MarketRules) -> dict[str, str]:
    """Return the instants of a segment that are known, as facts."""
    instants = {
        "tripped_at": segment.tripped_at_ns,
        "effective_from": segment.effective_from_ns,
        "suspended_from": segment.suspended_from_ns,
        "expected_end": segment.expected_end_ns,
        "regime_from": segment.long_from_ns,
    }
    facts = {name: instant_text(at_ns, rules.zone) for name, at_ns in instants.items() if at_ns is not None}
    if segment.effective_from_ns is not None:
        facts["effective_day"] = civil_day(segment.effective_from_ns, rules.zone)
    return facts


def _standing(segment: SegmentSeen) -> str:
    """Return how a segment stands, as a key of :data:`market.announcements.STATES`."""
    if segment.effective_from_ns is not None:
        return "RESUMING"
    if segment.phase is Phase.OVERDUE and segment.suspended_from_ns is not None:
        return "DECIDED"
    return segment.phase if segment.phase in (*_BREAKING, *_SUSPENDED) else Phase.NORMAL


def ordered(board: NoticeBoard, command: CommandGiven, now_ns: int, rules: MarketRules, segments: Mapping[Segment, SegmentSeen]) -> Step:
    """Publish an update of a notice that is in force, or correct one; or refuse to.

    Args:
        command: PUBLISH_UPDATE or CORRECT_NOTICE, in order by :func:`market.commands.refusal`.
        segments: both, as they are now.
    """
    article = ORDERS[command.action].article
    said = command.args
    if command.action == "CORRECT_NOTICE":
        before = next((each for each in board.notices if each.number == said["number"].strip()), None)
        if before is None:
            why = f"{said['number']} is not in force; in force: {', '.join(active(board)) or 'none'}"
            return board, (refused(command, article, why),)
        if before.segment is None:
            why = f"{before.number} is about no segment; publish it anew, which supersedes it (ANNOUNCE_ANOMALY)"
            return board, (refused(command, article, why),)
        kind, promised = "CORRECTION", before.next_update_ns
        facts = {"reason": said["reason"].strip()}
    else:
        name = said.get("segment", Segment.RT)
        before = next((each for each in board.notices if each.segment == name and each.subject == BREAKER), None)
        if before is None:
            why = f"there is no notice of {name} to update; in force: {', '.join(active(board)) or 'none'}"
            return board, (refused(command, article, why),)
        try:
            promised = instant_ns(said["next_update"]) if said.get("next_update") else now_ns + rules.duty_clocks.update_min * NS_PER_MIN
        except UnitError as exc:
            return board, (refused(command, "policy", f"next_update: {exc}"),)
        if promised <= now_ns:
            why = f"next_update {instant_text(promised, rules.zone)} is not ahead; it is {instant_text(now_ns, rules.zone)} now"
            return board, (refused(command, "policy", why),)
        kind, facts = "UPDATE", {}
    assert before.segment is not None, "updates are of the breaker's notices"
    segment = segments[before.segment]
    facts |= {
        "article": article,
        "by": command.by,
        "base": before.base,
        "words_zh": said["text_zh"].strip(),
        "words_en": said["text_en"].strip(),
        # What is announced beside the breaker is about a day of its own, as `boundary/2026-06-11`.
        "operating_day": segment.operating_day if before.subject == BREAKER else before.subject.partition("/")[2],
        "published_at": instant_text(now_ns, rules.zone),
        "state": _standing(segment),
        "limit_h": str(rules.breaker_max_h),
        **_instants(segment, rules),
    }
    if promised is not None:
        facts["next_update"] = instant_text(promised, rules.zone)
    board, announcement = issued(board, kind, before.segment, facts, now_ns, rules, subject=before.subject)
    told = replace(
        board.notices[-1],
        update_told=kind == "CORRECTION" and before.update_told,
        suspended_from_ns=before.suspended_from_ns,
        expected_end_ns=before.expected_end_ns,
    )
    return replace(board, notices=(*board.notices[:-1], told)), (announcement,)


def ticked(board: NoticeBoard, now_ns: int, rules: MarketRules) -> Step:
    """Note, once each, the updates that were promised by now and did not come, and forget what was about a day that is over."""
    if any(each.until_ns is not None and now_ns >= each.until_ns for each in board.notices):
        lasting = tuple(each for each in board.notices if each.until_ns is None or now_ns < each.until_ns)
        board = replace(board, notices=lasting)
    late = [each for each in board.notices if each.next_update_ns is not None and not each.update_told and now_ns > each.next_update_ns]
    if not late:
        return board, ()
    told = tuple(replace(each, update_told=True) if each in late else each for each in board.notices)
    notes = tuple(
        FindingNoted(
            finding="UPDATE_OVERDUE",
            article="Art. 23",
            evidence=(f"notice {each.number} promised an update by {instant_text(each.next_update_ns or 0, rules.zone)}",),
        )
        for each in late
    )
    return replace(board, notices=told), notes


def next_deadline_ns(board: NoticeBoard, now_ns: int, rules: MarketRules) -> int | None:
    """Return the next instant after ``now_ns`` at which :func:`ticked` would do something, or None; the next of all where it is late."""
    due = [each.next_update_ns + 1 for each in board.notices if each.next_update_ns is not None and not each.update_told]
    return max(now_ns + 1, min(due)) if due else None
