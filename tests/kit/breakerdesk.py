"""A market under a breaker, for tests that tell it whatever they like: facts in, time in between, and the law checked after every step.

The desk keeps the whole story, so that it can be told again: from a state that was stored, twice over, or without half of its facts.
"""

from __future__ import annotations

from typing import Final

from market.approvals import canonical
from market.decisions import Decision, Phase
from market.facts import (
    ClearingReported,
    ClearingStatus,
    CommandGiven,
    Fact,
    FlowReported,
    PointQuality,
    Segment,
    SwitchReported,
    SwitchStatus,
    Ticked,
)
from market.operatingdays import days_after
from market.prices import PriceInForce
from market.rules import MarketRules, rules_from
from market.segment import SegmentState
from market.topology import Element, Topology
from market.units import NS_PER_MIN, NS_PER_S, civil_day, day_start_ns, floor_ns, instant_text
from streams.breaker import BreakerState, begin, next_deadline_ns, step
from tests.kit.breakerlaw import Law

__all__ = ["BOTH", "GRID", "RULES", "Desk"]

GRID: Final = Topology.of({name: Element(kv=230.0) for name in ("L1", "L2", "L3", "L4", "L5")})

_SHORT: Final = {
    "rt_interval_min": 60,
    "rt_limit_min": 120,
    "reminders_min": [15, 60, 90],
    "breaker_max_h": 2,
    "explain_h": 4,
    "retrip_h": 4,
    "shadow_ok": 1,
    "recovery_remind_h": 2,
    "resume_notice_min": 30,
    "top_voltage_kv": 230,
    "gap_last_valid_min": 120,
    "duty_clocks": {"explain_reminders_h": [2, 3], "limit_reminders_h": [1], "oral_written_h": 2},
    "suspension": {"long_after_days": 0},
    "reference": {"sample_min": 1},
}
"""The shipped rules with short clocks, so that a story of a few days reaches every state."""

_BY_PEOPLE: Final = dict.fromkeys(("RT_120", "DA_MISSED", "TOPOLOGY_HARD", "SWITCHOVER"), "confirm")
RULES: Final = (
    rules_from(_SHORT),
    rules_from({**_SHORT, "modes": _BY_PEOPLE, "shadow_ok": 2}),
    rules_from({**_SHORT, "suspension": {"long_after_days": 1, "requires": "approval"}, "due_offset_s": 60}),
)

_OK_PRICE: Final = 300.0
BOTH: Final = ("GOV", "REG")


class Desk:
    """A breaker, the story so far, and what was decided.

    Args:
        start_ns: when it begins to watch.
        rules: that hold.

    Attributes:
        rt_runs, da_runs: whether the clearings report valid results by themselves while time passes.
        ambiguous: whether an order was given that left open which segment it is for, so that the segments are not independent.
        phases: phases that were reached, by segment.
    """

    def __init__(self, start_ns: int, rules: MarketRules) -> None:
        self.rules = rules
        self.first = self.state = begin(start_ns, rules)
        self.facts: list[Fact] = []
        self.decisions: list[Decision] = []
        self.prices: list[PriceInForce] = []
        self.law = Law(self.state, rules)
        self.rt_runs = self.da_runs = False
        self.ambiguous = False
        self.orders = 0
        self.phases: set[tuple[Segment, Phase]] = set()

    @property
    def now_ns(self) -> int:
        """Event time."""
        return self.state.now_ns

    def segment(self, which: Segment) -> SegmentState:
        """Return the state of a segment."""
        return self.state.rt if which is Segment.RT else self.state.da

    def tell(self, fact: Fact) -> None:
        """Tell one fact, and hold what came of it against the law."""
        before = self.state
        after, effects = step(before, fact, self.rules, GRID)
        self.facts.append(fact)
        self.state = after
        decisions = [effect for effect in effects if isinstance(effect, Decision)]
        prices = [effect for effect in effects if isinstance(effect, PriceInForce)]
        self.decisions += decisions
        self.prices += prices
        self.phases |= {(Segment.RT, after.rt.phase), (Segment.DA, after.da.phase)}
        self.law.step(before, after, fact, decisions, prices)
        if isinstance(fact, Ticked) and len(self.facts) % 8 == 0:
            again, said = step(after, fact, self.rules, GRID)
            assert not said, f"a second tick at the same instant decides nothing: {said}"
            assert again == after, "a second tick at the same instant changes nothing"

    def wait_until(self, ts_ns: int, *, ticks: bool = True) -> None:
        """Let time pass: a tick at every deadline, and what the clearings report by themselves.

        Args:
            ticks: without them time is seen once, late.
        """
        while ticks:
            deadline_ns = next_deadline_ns(self.state, self.rules)
            assert deadline_ns > self.now_ns, "a deadline in the past hides the others"
            result = self._next_result()
            at_ns = deadline_ns if result is None else min(deadline_ns, result.ts_event_ns)
            if at_ns > ts_ns:
                break
            if result is not None and result.ts_event_ns == at_ns:
                self.tell(result)
            if deadline_ns == at_ns:
                self.tell(Ticked(ts_event_ns=at_ns))
        if ts_ns > self.now_ns:
            self.tell(Ticked(ts_event_ns=ts_ns))

    def wait(self, ns: int, *, ticks: bool = True) -> None:
        """Let some time pass."""
        self.wait_until(self.now_ns + ns, ticks=ticks)

    def _next_result(self) -> ClearingReported | None:
        """Return what a clearing reports next, after now: of an interval 10 s before it starts, of a day at 17:00 of the day before."""
        found: list[ClearingReported] = []
        if self.rt_runs:
            step_ns = self.rules.rt_interval_ns
            start_ns = floor_ns(self.now_ns + 10 * NS_PER_S, step_ns) + step_ns
            found.append(self.rt_result(start_ns, at_ns=start_ns - 10 * NS_PER_S))
        if self.da_runs:
            midnight_ns = day_start_ns(civil_day(self.now_ns, self.rules.zone), self.rules.zone)
            at_ns = midnight_ns + 17 * 60 * NS_PER_MIN
            ahead = 1 if at_ns > self.now_ns else 2
            day = days_after(civil_day(self.now_ns, self.rules.zone), ahead)
            found.append(self.da_result(day, at_ns=at_ns + (ahead - 1) * 24 * 60 * NS_PER_MIN))
        return min(found, key=lambda result: result.ts_event_ns, default=None)

    def rt_result(self, start_ns: int, *, at_ns: int | None = None, version: int = 1, price: float = _OK_PRICE) -> ClearingReported:
        """Return a valid result of a real-time interval."""
        at_ns = self.now_ns if at_ns is None else at_ns
        return ClearingReported(
            ts_event_ns=at_ns,
            segment=Segment.RT,
            interval_start_ns=start_ns,
            status=ClearingStatus.OK,
            completed_at_ns=at_ns,
            version=version,
            price_cny_per_mwh=(price,),
        )

    def da_result(self, day: str, *, at_ns: int | None = None, version: int = 1, price: float = 420.0) -> ClearingReported:
        """Return a valid result of an operating day."""
        at_ns = self.now_ns if at_ns is None else at_ns
        return ClearingReported(
            ts_event_ns=at_ns,
            segment=Segment.DA,
            interval_start_ns=day_start_ns(day, self.rules.zone),
            status=ClearingStatus.OK,
            completed_at_ns=at_ns,
            version=version,
            price_cny_per_mwh=(price,),
        )

    def order(self, action: str, by: str, role: str, *, command_id: str = "", **args: str) -> None:
        """Give an order at this instant."""
        self.orders += 1
        command_id = command_id or f"c{self.orders}"
        args = {name.rstrip("_"): value for name, value in args.items()}
        self.tell(CommandGiven(ts_event_ns=self.now_ns, command_id=command_id, by=by, role=role, action=action, args=args))

    def text(self, ts_ns: int) -> str:
        """Write an instant as an order has it."""
        return instant_text(ts_ns, self.rules.zone)

    def forward(self, which: Segment) -> None:
        """Do what takes a segment one state on: a trip, its limit, the suspension, its seven days, the resumption, the market."""
        name, seg = {"segment": str(which)}, self.segment(which)
        match seg.phase:
            case Phase.NORMAL | Phase.DEGRADED:
                self.order("PROPOSE_TRIP", "chen", "DISPATCH", cause="TECHNICAL", reason="the estimator is down", **name)
            case Phase.PROPOSED:
                self.order("CONFIRM_TRIP", "wang", "DISPATCH", version=str(seg.version), **name)
            case Phase.TRIPPED:
                assert seg.limit_from_ns is not None
                self.wait_until(max(self.now_ns, seg.limit_from_ns + self.rules.breaker_max_ns + 1))
            case Phase.OVERDUE if seg.suspended_from_ns is not None:
                self.wait_until(max(self.now_ns, seg.suspended_from_ns))
            case Phase.OVERDUE:
                self._suspend(which)
            case Phase.SUSPENDED if seg.long_due_ns is not None and self.now_ns < seg.long_due_ns:
                self.wait_until(seg.long_due_ns)
            case Phase.SUSPENDED:
                self.order("CONFIRM_REGIME28", "zhao", "TRADING", **name)
            case Phase.SUSPENDED_LONG:
                self.resume(which)
            case Phase.RESUMING:
                assert seg.effective_from_ns is not None
                self.wait_until(seg.effective_from_ns)

    def _suspend(self, which: Segment) -> None:
        name = {"segment": str(which)}
        for body in ("GOV", "REG"):
            self.order("RECEIPT", "zhao", "MO", duty="report", recipient=body, **name)
        for duty in ("assess", "measures"):
            self.order("COMPLETE_DUTY", "zhao", "MO", duty=duty, text="done", **name)
        from_ns = self.now_ns + 10 * NS_PER_MIN
        end = self.text(from_ns + 60 * NS_PER_MIN)
        if self.rules.suspension.requires == "approval":
            decided = {**name, "from": self.text(from_ns), "expected_end": end, "reason": "no end in sight"}
            self._approved(f"SUSPEND/{which}", canonical(decided))
        self.order("DECIDE_SUSPEND", "li", "MO", reason="no end in sight", from_=self.text(from_ns), expected_end=end, **name)

    def _approved(self, measure: str, content: str) -> None:
        self.order("REQUEST_APPROVAL", "li", "MO", measure=measure, content=content)
        for body in ("GOV", "REG"):
            self.order("APPROVE", f"mr {body}", body, measure=measure, reference=f"{body}-1")

    def resume(self, which: Segment, bodies: tuple[str, ...] = BOTH) -> None:
        """Apply, have it approved by some, and announce the resumption of a suspended market."""
        self.order("APPLY_RESUME", "li", "MO", segment=str(which), reference="A-1")
        for body in bodies:
            self.order("APPROVE", f"mr {body}", body, measure=f"RESUME/{which}", reference=f"{body}-2")
        self.order("CONFIRM_RESUME", "li", "MO", segment=str(which))

    def recover(self, which: Segment) -> None:
        """Clear once in the shadow, and recover."""
        if which is Segment.RT:
            step_ns = self.rules.rt_interval_ns
            self.wait(NS_PER_S)
            self.tell(self.rt_result(floor_ns(self.now_ns, step_ns) + step_ns))
        else:
            self.wait(NS_PER_S)
            self.tell(self.da_result(days_after(civil_day(self.now_ns, self.rules.zone), 1), version=len(self.facts)))
        self.order(
            "CONFIRM_RECOVER", "chen", "DISPATCH", segment=str(which), checklist="yes", override="yes", second="wang", reason="all is well"
        )

    def lines(self, count: int, *, is_open: bool) -> None:
        """Let lines be lost, with all that corroborates it, or be back."""
        status, load = (SwitchStatus.OPEN, 0.0) if is_open else (SwitchStatus.CLOSED, 50.0)
        good, now_ns = PointQuality.GOOD, self.now_ns
        for name in list(GRID.elements)[:count]:
            self.tell(FlowReported(ts_event_ns=now_ns, element=name, from_pct=load, to_pct=load, quality=good, ts_source_ns=now_ns))
            for end in ("from", "to"):
                self.tell(SwitchReported(ts_event_ns=now_ns, element=name, status=status, quality=good, ts_source_ns=now_ns, end=end))

    def republish(self, bodies: tuple[str, ...] = BOTH) -> None:
        """Clear tomorrow's operating day again after its publication, have that approved by some, and publish it (Art. 22)."""
        day = days_after(civil_day(self.now_ns, self.rules.zone), 1)
        newest = max((one.version for one in (*self.state.book.day_ahead, *self.state.book.waiting)), default=0) + 1
        self.tell(self.da_result(day, version=newest, price=430.0))
        for body in bodies:
            self.order("APPROVE", f"mr {body}", body, measure=f"PUBLISH_RESULT/{day}", reference=f"{body}-3")
        self.order("PUBLISH_RESULT", "li", "MO", operating_day=day, result_version=str(newest))

    def told_again(self, facts: list[Fact], state: BreakerState | None = None) -> tuple[BreakerState, list[Decision], list[PriceInForce]]:
        """Tell facts to another breaker, from its beginning or from a state; nothing here changes."""
        state = self.first if state is None else state
        decisions, prices = list[Decision](), list[PriceInForce]()
        for fact in facts:
            state, effects = step(state, fact, self.rules, GRID)
            decisions += [effect for effect in effects if isinstance(effect, Decision)]
            prices += [effect for effect in effects if isinstance(effect, PriceInForce)]
        return state, decisions, prices
