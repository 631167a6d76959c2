"""What GOV and REG are asked for by what happens in the market, and what is asked for no longer (Art. 18, 22, 30).

People may ask for any measure themselves (REQUEST_APPROVAL); two are asked for by what they follow from: a day-ahead result that waits to
be published, and the resumption of a market that was applied for. What was carried out is forgotten: the next one needs approval anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from msgspec.structs import replace

from market import approvals, publishing
from market.dayaheadprices import DayAheadPrices
from market.decisions import DecisionBody
from market.facts import CommandGiven, Segment
from market.units import civil_day
from streams.turn import Turn

__all__ = ["SPENDS", "applied_for", "put_application", "put_results"]

SPENDS: Final[Mapping[str, str]] = {"CONFIRM_RESUME": "RESUME", "DECIDE_SUSPEND": "SUSPEND"}
"""Order → the kind of measure that is carried out by it."""


def put_results(turn: Turn, before: tuple[DayAheadPrices, ...]) -> None:
    """Ask for each day-ahead result that waits to be published (Art. 22), and no longer for one that waits no more.

    Args:
        turn: the step under way.
        before: what waited before it.
    """
    rules = turn.rules(Segment.DA)
    waiting = {result.day_start_ns for result in turn.state.book.waiting}
    for day in sorted({civil_day(result.day_start_ns, rules.zone) for result in before if result.day_start_ns not in waiting}):
        register, said = approvals.withdrawn(turn.state.approvals, f"PUBLISH_RESULT/{day}", "no result of the day waits any more")
        _entered(turn, register, said)
    for result in turn.state.book.waiting:
        day = civil_day(result.day_start_ns, rules.zone)
        content = publishing.content(turn.state.book, day, result.version, rules)
        if result not in before and content is not None:
            register, said = approvals.requested(turn.state.approvals, f"PUBLISH_RESULT/{day}", content, "gridfuse")
            _entered(turn, register, said)


def put_application(turn: Turn, command: CommandGiven, which: Segment) -> None:
    """Ask for what an order applied for, and forget what was said of what it carried out (Art. 30).

    Args:
        turn: the step under way; the order was carried out in it.
        command: any order to the breaker.
        which: the segment it was for.
    """
    register, said = turn.state.approvals, tuple[DecisionBody, ...]()
    if command.action == "APPLY_RESUME":
        scope = turn.segment(which).applied_scope
        register, said = approvals.requested(register, f"RESUME/{which}", applied_for(turn, which), command.by, scope=scope)
    elif command.action in SPENDS:
        register = approvals.spent(register, f"{SPENDS[command.action]}/{which}")
    _entered(turn, register, said)


def applied_for(turn: Turn, which: Segment) -> dict[str, str]:
    """Return what both bodies approve when a segment is to resume: what was applied for last."""
    state = turn.segment(which)
    content = {"segment": str(which), "reference": state.applied_reference, "scope": ", ".join(state.applied_scope)}
    return {name: text for name, text in content.items() if text}


def _entered(turn: Turn, register: approvals.Approvals, said: tuple[DecisionBody, ...]) -> None:
    turn.state = replace(turn.state, approvals=register)
    turn.say(*said)
