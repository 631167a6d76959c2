"""One market segment and everything it said, driven by clock times of the stories' day or by instants."""

from __future__ import annotations

from typing import Any

from market.decisions import DecisionBody, Phase, Refused, Transition
from market.facts import CommandGiven, Segment
from market.rules import MarketRules, rules_from
from market.segment import (
    Condition,
    Context,
    Intervals,
    SegmentState,
    Step,
    condition_gone,
    condition_met,
    next_deadline_ns,
    ordered,
    outage_began,
    outage_over,
    shadow_broken,
    shadow_cleared,
    ticked,
    took_effect,
)
from market.units import NS_PER_H, NS_PER_MIN, instant_ns
from tests.kit.table import at_ns

__all__ = ["AUTO", "CONFIRM", "CONFIRM_SWITCH", "KNOWN", "QUARTER_NS", "Machine", "ns", "overdue", "resuming", "suspended", "tripped"]

AUTO = rules_from({})
CONFIRM = rules_from({"modes": {"RT_120": "confirm", "DA_MISSED": "confirm", "TOPOLOGY_HARD": "confirm", "SWITCHOVER": "confirm"}})
CONFIRM_SWITCH = rules_from({"modes": {"SWITCHOVER": "confirm"}})
KNOWN = Intervals(served=lambda _: False, day_ahead=lambda _: True)
QUARTER_NS = 15 * NS_PER_MIN


def ns(when: str | int) -> int:
    """Read ``HH:MM[:SS[.mmm]]`` of the stories' day, 2026-06-10, or ``DD HH:MM`` of its month; an instant is itself."""
    if isinstance(when, int):
        return when
    day, _, clock = when.rpartition(" ")
    return at_ns(clock) if not day else instant_ns(f"2026-06-{day}T00:00:00+08:00") + at_ns(clock) - at_ns("00:00")


class Machine:
    """A segment and everything it said."""

    def __init__(self, rules: MarketRules = CONFIRM, *, segment: Segment = Segment.RT, intervals: Intervals = KNOWN) -> None:
        self.state = SegmentState(segment=segment)
        self.rules = rules
        self.intervals = intervals
        self.said: list[DecisionBody] = []

    def keep(self, step: Step) -> Machine:
        self.state, bodies = step
        self.said += bodies
        return self

    def met(self, when: str | int, basis: str, *, auto_allowed: bool = True, day: str = "") -> Machine:
        condition = Condition(
            basis=basis,
            met_at_ns=ns(when),
            article="Art. 23(9)",
            evidence=(f"{basis} at {when}",),
            auto_allowed=auto_allowed,
            details={"elements": "L1"},
            operating_day=day,
        )
        return self.keep(condition_met(self.state, condition, ns(when), self.rules, self.intervals))

    def gone(self, when: str | int, basis: str, outage: str = "") -> Machine:
        return self.keep(condition_gone(self.state, basis, "gone", ns(when), outage_start_ns=ns(outage) if outage else None))

    def outage(self, when: str | int) -> Machine:
        return self.keep(outage_began(self.state, ns(when)))

    def over(self) -> Machine:
        return self.keep(outage_over(self.state))

    def tick(self, when: str | int, *, held: bool = False) -> Machine:
        self.keep(took_effect(self.state, ns(when), self.rules))
        return self.keep(ticked(self.state, ns(when), self.rules, held=held))

    def order(self, when: str | int, action: str, *, by: str = "chen", context: dict[str, Any] | None = None, **args: str) -> Machine:
        """Give an order; ``start`` stands for the argument ``from``, and ``context`` for what the rest of the market says."""
        args = {"from" if name == "start" else name: text for name, text in args.items()}
        command = CommandGiven(ts_event_ns=0, command_id="c", by=by, role="DISPATCH", action=action, args=args)
        asked = Context(**{"intervals": self.intervals, "outage_start_ns": None, **(context or {})})
        return self.keep(ordered(self.state, command, ns(when), self.rules, asked))

    def shadow(self, first: str | int, count: int = 4, *, step_ns: int = QUARTER_NS) -> Machine:
        """Clear ``count`` intervals in the shadow, each a minute before it starts."""
        for n in range(count):
            start_ns = ns(first) + n * step_ns
            self.keep(shadow_cleared(self.state, start_ns, start_ns - NS_PER_MIN, start_ns - NS_PER_MIN, self.rules))
        return self

    def broken(self) -> Machine:
        return self.keep((shadow_broken(self.state), ()))

    def next_ns(self, when: str | int) -> int | None:
        return next_deadline_ns(self.state, ns(when), self.rules)

    def of(self, kind: type) -> list[Any]:
        return [body for body in self.said if isinstance(body, kind)]

    @property
    def last(self) -> Transition:
        return self.of(Transition)[-1]

    @property
    def refusals(self) -> list[str]:
        return [body.why for body in self.of(Refused)]

    @property
    def path(self) -> str:
        """Phases entered, with their basis."""
        return " ".join(f"{body.after}({body.basis})" for body in self.of(Transition))

    @property
    def phase(self) -> Phase:
        return self.state.phase


def tripped(rules: MarketRules = AUTO) -> Machine:
    """Trips at 09:50 on its topology."""
    return Machine(rules).met("09:50", "TOPOLOGY_HARD")


def resuming(rules: MarketRules = AUTO) -> Machine:
    """Recovery announced at 10:46, in effect from 11:30."""
    return tripped(rules).shadow("10:00").order("10:46", "CONFIRM_RECOVER")


def overdue(rules: MarketRules = AUTO) -> Machine:
    """Trips at 12:00 on the 10th, overdue from the 13th at 12:00."""
    return Machine(rules).met("12:00", "RT_120").tick(ns("12:00") + 72 * NS_PER_H + 1)


def suspended(rules: MarketRules = AUTO) -> Machine:
    """Suspended from 15:00 on the 13th (GD-28-1)."""
    machine = overdue(rules).order(
        "13 14:00",
        "DECIDE_SUSPEND",
        reason="not repaired",
        start="2026-06-13T15:00:00+08:00",
        expected_end="2026-06-25T00:00:00+08:00",
    )
    return machine.tick("13 15:00")
