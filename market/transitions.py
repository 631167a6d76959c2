"""Every way a segment can change its state, as data (spec §6.2): what the machine may do, and what the documentation draws.

A row says from which state, on which event, to which state; on what guard, by which article, what is put on record beside the
transition itself, and who moves it. The machine (:mod:`market.segment`) looks every move up here, and one that is not here is a
programming error: it stops the worker before it can reach the record.

The states' diagram and table of the documentation are drawn from these rows; ``docs/breaker_states.md`` is what
:func:`document` returns.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from market.decisions import Phase
from market.facts import Segment

__all__ = ["PHASE_NAMES", "TRANSITIONS", "Event", "Row", "diagram", "document", "moves", "row_of"]


class Event(StrEnum):
    """What moves a segment. Where no condition of Art. 23 is behind it, it is also the basis of the transition's record."""

    OUTAGE = "OUTAGE"
    RESULT_OK = "RESULT_OK"
    CONDITION_PROPOSED = "CONDITION_PROPOSED"
    CONDITION_TRIPPED = "CONDITION_TRIPPED"
    PROPOSE_TRIP = "PROPOSE_TRIP"
    CONFIRM_TRIP = "CONFIRM_TRIP"
    REJECTED = "REJECTED"
    EVIDENCE_WITHDRAWN = "EVIDENCE_WITHDRAWN"
    OVER_72_H = "OVER_72_H"
    RECOVERED = "RECOVERED"
    SUSPENSION_DECIDED = "SUSPENSION_DECIDED"
    SUSPENSION_BEGAN = "SUSPENSION_BEGAN"
    SUSPENSION_EXTENDED = "SUSPENSION_EXTENDED"
    REGIME28_CONFIRMED = "REGIME28_CONFIRMED"
    RESUME_APPLIED = "RESUME_APPLIED"
    RESUMED = "RESUMED"
    EFFECTIVE = "EFFECTIVE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One kind of transition.

    Attributes:
        before, after: every state of ``before`` may become every state of ``after`` by it; the guard says which.
        article: that it rests on; a condition of Art. 23 brings its own.
        outputs: what is put on record beside the transition.
        who: DISPATCH, MO, TRADING, or ``rule`` where no person is needed.
        segments: the segments that know it.
        stays: whether it keeps the state it finds; ``after`` is then ``before``.
    """

    event: Event
    before: tuple[Phase, ...]
    after: tuple[Phase, ...]
    guard: str
    article: str
    outputs: str
    who: str
    segments: tuple[Segment, ...] = (Segment.RT, Segment.DA)
    stays: bool = False


_OPEN: Final = (Phase.NORMAL, Phase.DEGRADED, Phase.RESUMING)
_SUSPENDED: Final = (Phase.SUSPENDED, Phase.SUSPENDED_LONG)

TRANSITIONS: Final = (
    Row(
        event=Event.OUTAGE,
        before=(Phase.NORMAL,),
        after=(Phase.DEGRADED,),
        guard="an expected interval has no valid result at its due instant + grace",
        article="Art. 9(2)",
        outputs="anomaly, start of the outage",
        who="rule",
        segments=(Segment.RT,),
    ),
    Row(
        event=Event.RESULT_OK,
        before=(Phase.DEGRADED,),
        after=(Phase.NORMAL,),
        guard="a valid result was completed before its interval was over, below 120 min; or the market closed by its calendar",
        article="Art. 9(2)",
        outputs="record of the outage",
        who="rule",
        segments=(Segment.RT,),
    ),
    Row(
        event=Event.CONDITION_PROPOSED,
        before=(*_OPEN, Phase.PROPOSED),
        after=(Phase.PROPOSED,),
        guard="a condition holds and may not trip by itself; under a proposal only one that says more of the same thing",
        article="Art. 23",
        outputs="evidence; after 10 min without an answer it escalates",
        who="rule",
    ),
    Row(
        event=Event.CONDITION_TRIPPED,
        before=(*_OPEN, Phase.PROPOSED),
        after=(Phase.TRIPPED,),
        guard="a condition holds, its mode is auto, and neither sight nor clock is in doubt",
        article="Art. 23",
        outputs="announcement, duties of 48 h and 72 h",
        who="rule",
    ),
    Row(
        event=Event.PROPOSE_TRIP,
        before=_OPEN,
        after=(Phase.PROPOSED,),
        guard="a cause of Art. 5, with the document that shows it where one is needed",
        article="Art. 23(3)",
        outputs="evidence",
        who="DISPATCH",
    ),
    Row(
        event=Event.CONFIRM_TRIP,
        before=(Phase.PROPOSED,),
        after=(Phase.TRIPPED,),
        guard="the screen was fresh; not the person who proposed it",
        article="Art. 23",
        outputs="announcement, duties of 48 h and 72 h",
        who="DISPATCH",
    ),
    Row(
        event=Event.REJECTED,
        before=(Phase.PROPOSED,),
        after=_OPEN,
        guard="a reason; back to where the market stood",
        article="Art. 23",
        outputs="it returns after 30 min if it still holds",
        who="DISPATCH",
    ),
    Row(
        event=Event.EVIDENCE_WITHDRAWN,
        before=(Phase.PROPOSED,),
        after=_OPEN,
        guard="what it rests on is gone: a result, an earlier expected instant, an element back in service",
        article="Art. 23",
        outputs="why",
        who="rule",
    ),
    Row(
        event=Event.OVER_72_H,
        before=(Phase.TRIPPED,),
        after=(Phase.OVERDUE,),
        guard="breaker time > 72 h, and the clock is not in doubt",
        article="Art. 25",
        outputs="five tasks: two reports, assessment, measures, decision",
        who="rule",
    ),
    Row(
        event=Event.RECOVERED,
        before=(Phase.TRIPPED, Phase.OVERDUE),
        after=(Phase.RESUMING,),
        guard="enough valid shadow results, checklist done, no suspension decided; open elements or an active warning need two persons",
        article="Art. 29",
        outputs="announcement with the first interval of the market",
        who="DISPATCH",
    ),
    Row(
        event=Event.SUSPENSION_DECIDED,
        before=(Phase.OVERDUE,),
        after=(Phase.OVERDUE,),
        guard="both reports received, assessment and measures done; reason, start ≥ now and expected end given",
        article="Art. 25",
        outputs="notice of Art. 26",
        who="MO",
    ),
    Row(
        event=Event.SUSPENSION_BEGAN,
        before=(Phase.OVERDUE,),
        after=(Phase.SUSPENDED,),
        guard="the start that was decided",
        article="Art. 25",
        outputs="duty: apply to resume",
        who="rule",
    ),
    Row(
        event=Event.SUSPENSION_EXTENDED,
        before=(Phase.OVERDUE, *_SUSPENDED),
        after=(Phase.OVERDUE, *_SUSPENDED),
        guard="a suspension is decided; a later expected end and a reason",
        article="Art. 26",
        outputs="notice that supersedes the one before",
        who="MO",
        stays=True,
    ),
    Row(
        event=Event.REGIME28_CONFIRMED,
        before=(Phase.SUSPENDED,),
        after=(Phase.SUSPENDED_LONG,),
        guard="more than 7 civil days, the first not counted; from the next civil day on, never back in time",
        article="Art. 28",
        outputs="change of the pricing rule",
        who="TRADING",
    ),
    Row(
        event=Event.RESUME_APPLIED,
        before=_SUSPENDED,
        after=_SUSPENDED,
        guard="filed since the suspension began",
        article="Art. 30",
        outputs="request for the approval of GOV and REG",
        who="MO",
        stays=True,
    ),
    Row(
        event=Event.RESUMED,
        before=_SUSPENDED,
        after=(Phase.RESUMING,),
        guard="applied for, approved by GOV and REG for this scope, checklist done",
        article="Art. 30",
        outputs="announcement with the first interval of the market",
        who="MO",
    ),
    Row(
        event=Event.EFFECTIVE,
        before=(Phase.RESUMING,),
        after=(Phase.NORMAL,),
        guard="the announced instant",
        article="Art. 29",
        outputs="end of the breaker; for 24 h the same cause continues its 72 h",
        who="rule",
    ),
    Row(
        event=Event.EFFECTIVE,
        before=(Phase.PROPOSED,),
        after=(Phase.PROPOSED,),
        guard="the announced instant, while something else is proposed",
        article="Art. 29",
        outputs="end of the breaker; the proposal stays",
        who="rule",
        stays=True,
    ),
)
"""The whole machine. What is not here cannot happen."""


def moves(row: Row) -> tuple[tuple[Phase, Phase], ...]:
    """Return the (before, after) pairs of a row: each with each; its states with themselves where it keeps them."""
    if row.stays:
        return tuple((phase, phase) for phase in row.before)
    return tuple((before, after) for before in row.before for after in row.after)


_ROW_OF: Final[Mapping[tuple[Phase, Event, Phase], Row]] = {
    (before, row.event, after): row for row in TRANSITIONS for before, after in moves(row)
}


def row_of(segment: Segment, before: Phase, event: Event, after: Phase) -> Row:
    """Return the row that a move follows.

    Raises:
        AssertionError: there is none: the machine tried what the rules do not know.
    """
    row = _ROW_OF.get((before, event, after))
    assert row is not None, f"no rule takes {segment} from {before} to {after} by {event}"
    assert segment in row.segments, f"{event} is not known to {segment}"
    return row


PHASE_NAMES: Final[Mapping[Phase, tuple[str, str, str]]] = {
    Phase.NORMAL: ("正常", "normal", "the market prices its intervals"),
    Phase.DEGRADED: ("出清中断", "degraded", "real-time clearing is out, below the limit of 120 min"),
    Phase.PROPOSED: ("待确认", "proposed", "a trip is proposed and waits for a person"),
    Phase.TRIPPED: ("熔断", "tripped", "the breaker sets the prices; results are shadow (Art. 23, 27)"),
    Phase.OVERDUE: ("熔断超期", "overdue", "breaker for more than 72 h; handling and pricing go on (Art. 25)"),
    Phase.SUSPENDED: ("暂停交易", "suspended", "the operators suspended the market (Art. 25, 26); priced by Art. 27"),
    Phase.SUSPENDED_LONG: ("长期暂停", "suspended, long", "for more than 7 days, confirmed by the trading institution (Art. 28)"),
    Phase.RESUMING: ("待恢复", "resuming", "recovery or resumption announced, not yet in effect"),
}
"""State → its name in Chinese and English, and what holds in it."""


def diagram() -> str:
    """Draw the states as a mermaid diagram; rows that keep the state are left to the table."""
    lines = ["stateDiagram-v2", "    [*] --> NORMAL"]
    lines += [f'    state "{zh} {en}" as {phase}' for phase, (zh, en, _) in PHASE_NAMES.items()]
    by_pair: dict[tuple[Phase, Phase], list[str]] = {}
    for row in TRANSITIONS:
        for before, after in moves(row):
            if before is not after:
                by_pair.setdefault((before, after), []).append(row.event.value)
    lines += [f"    {before} --> {after}: {', '.join(events)}" for (before, after), events in by_pair.items()]
    return "\n".join(lines)


def document() -> str:
    """Return ``docs/breaker_states.md``: the states, the diagram, and every transition with its guard and article."""
    states = [f"| `{phase}` | {zh} | {en} | {holds} |" for phase, (zh, en, holds) in PHASE_NAMES.items()]
    rows = [
        f"| {', '.join(row.before)} | `{row.event}` | {'the same' if row.stays else ', '.join(row.after)} | {row.guard} "
        f"| {row.article} | {row.outputs} | {row.who} | {', '.join(row.segments)} |"
        for row in TRANSITIONS
    ]
    return "\n".join(
        [
            "# The states of the market breaker · 熔断状态机",
            "",
            "Drawn from `market/transitions.py`; after a change there, write it anew with `python scripts/breaker_states.py`.",
            "The real-time market (RT) is broken by its intervals, the day-ahead market (DA) by its operating days; each has a",
            "machine of its own. The breaker trips by itself where the rule set says so; no recovery, no suspension and no",
            "resumption ever happens without a person.",
            "",
            "| State | 中文 | English | What holds |",
            "|---|---|---|---|",
            *states,
            "",
            "```mermaid",
            diagram(),
            "```",
            "",
            "| From | Event | To | Guard | Article | On record beside it | Who | Segments |",
            "|---|---|---|---|---|---|---|---|",
            *rows,
            "",
            "Whatever is not in this table cannot happen: the machine looks every move up here. An order that does not fit the state",
            "is refused, and the refusal is on record. While the results cannot be seen, or the clocks disagree, nothing trips by itself.",
            "",
        ]
    )
