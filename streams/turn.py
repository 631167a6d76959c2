"""One step of the breaker under way: the state so far, and what was decided so far.

Whatever is decided is shown to those who follow: the notice board writes what must be published, the ledger of duties opens and
settles clocks, the book of cases takes it down. What they add is shown to all of them in its turn.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from msgspec.structs import replace

from market import casebook, duties, notices, pricebook
from market.decisions import DecisionBody, Transition, out_of_force
from market.facts import Segment
from market.regimes import covers
from market.rulebook import RulesInForce
from market.rules import MarketRules
from market.segment import Intervals, SegmentState, Step
from market.topology import Topology
from market.units import floor_ns
from streams.breakerstate import BreakerState

__all__ = ["Turn", "out", "rules_of"]


def out(state: SegmentState) -> bool:
    """Whether clearings of a segment run in the shadow and its breaker sets the prices."""
    return out_of_force(state.phase, state.effective_from_ns)


def _anchor_ns(state: BreakerState, which: Segment) -> int:
    """Return the instant whose rules a segment is judged by: when its outage or its breaker began, else that of what is judged next.

    An outage that spans a change of the rules is judged by those it began under (GD-32-1).
    """
    seg = state.rt if which is Segment.RT else state.da
    began_ns = [at for at in (seg.outage_start_ns, seg.tripped_at_ns, seg.proposed_at_ns) if at is not None]
    if which is Segment.RT:
        began_ns.append(state.watch.next_start_ns if state.watch.outage_start_ns is None else state.watch.outage_start_ns)
    return min((state.now_ns, *began_ns))


def rules_of(state: BreakerState, book: RulesInForce) -> tuple[MarketRules, MarketRules, MarketRules]:
    """Return the rules in force for the real-time market, for the day-ahead market, and at the state's own time."""
    if isinstance(book, MarketRules):
        return book, book, book  # as in most services, and asked twice in every step
    return book.at(_anchor_ns(state, Segment.RT)), book.at(_anchor_ns(state, Segment.DA)), book.at(state.now_ns)


class Turn:
    """The state so far and the bodies so far.

    Args:
        state: as the step begins, at its instant.
        book: which rules hold when; those of each segment are the same for the whole step.
        grid: the network model as the detectors see it.

    Attributes:
        bodies: what was decided, in order, each with the id of the rule set it was decided by.
    """

    __slots__ = ("_rules", "bodies", "book", "grid", "state")

    def __init__(self, state: BreakerState, book: RulesInForce, grid: Topology) -> None:
        self.state = state
        self.book = book
        self.grid = grid
        self.bodies: list[tuple[DecisionBody, str]] = []
        rt_rules, da_rules, now_rules = rules_of(state, book)
        self._rules: dict[Segment | None, MarketRules] = {None: now_rules, Segment.RT: rt_rules, Segment.DA: da_rules}

    def attempt(self) -> Turn:
        """Return a turn that goes on from here, to be adopted or forgotten."""
        other = Turn.__new__(Turn)
        other.state, other.book, other.grid, other.bodies, other._rules = self.state, self.book, self.grid, [], self._rules
        return other

    def adopt(self, other: Turn) -> None:
        """Go on from where an attempt has come to."""
        self.state = other.state
        self.bodies.extend(other.bodies)

    @property
    def now_ns(self) -> int:
        """Event time of this step."""
        return self.state.now_ns

    def rules(self, which: Segment | None = None) -> MarketRules:
        """Return the rules in force for a segment, or for what concerns none."""
        return self._rules[which]

    def segment(self, which: Segment) -> SegmentState:
        """Return the state of one segment."""
        return self.state.rt if which is Segment.RT else self.state.da

    def moved(self, result: Step) -> None:
        """Take in what a segment machine answered."""
        after, said = result
        if after is not self.segment(after.segment):
            self.state = replace(self.state, rt=after) if after.segment is Segment.RT else replace(self.state, da=after)
        if said:
            self.say(*said)

    def say(self, *bodies: DecisionBody) -> None:
        """Decide something, and have the followers see it."""
        waiting = deque(bodies)
        while waiting:
            body = waiting.popleft()
            which: Segment | None = getattr(body, "segment", None)
            self.bodies.append((body, self.rules(which).id))
            waiting.extend(self._followed(body, which))

    def _followed(self, body: DecisionBody, which: Segment | None) -> Iterable[DecisionBody]:
        state, now_ns, rules = self.state, self.now_ns, self.rules(which)
        seg = None if which is None else self.segment(which)
        # Only a notice says how the first interval is priced, and only transitions of a market that tripped are announced.
        day_ahead = (
            seg is not None and seg.tripped_at_ns is not None and isinstance(body, Transition) and self._day_ahead_priced(seg, rules)
        )
        board, written = notices.followed(state.notices, body, now_ns, rules, seg, day_ahead=day_ahead, real_time=not out(state.rt))
        ledger, owed = duties.followed(state.duties, body, now_ns, rules, seg)
        book, noted = casebook.followed(state.cases, body, now_ns, rules)
        if board is not state.notices or ledger is not state.duties or book is not state.cases:
            self.state = replace(state, notices=board, duties=ledger, cases=book)
        return (*written, *owed, *noted)

    def _day_ahead_priced(self, seg: SegmentState, rules: MarketRules) -> bool:
        """Whether the day-ahead market has a price for the first interval that a segment's breaker prices, and is not out itself."""
        containing_ns = floor_ns(self.now_ns, rules.rt_interval_ns)
        first_ns = containing_ns if seg.substituted_from_ns is None else max(seg.substituted_from_ns, containing_ns)
        return self.day_ahead_served(first_ns)

    def day_ahead_served(self, at_ns: int) -> bool:
        """Whether the day-ahead market has a price for an instant that is in force."""
        da = self.state.da
        is_out = da.substituted_from_ns is not None and covers([(da.substituted_from_ns, da.effective_from_ns)], at_ns)
        return not is_out and pricebook.day_ahead_at(self.state.book, at_ns) is not None

    def intervals(self, which: Segment) -> Intervals:
        """Say what the machine of a segment asks about its intervals; those of the day-ahead market are operating days."""
        book = self.state.book
        served = self.state.watch.has_result if which is Segment.RT else lambda start_ns: pricebook.day_ahead_at(book, start_ns) is not None
        return Intervals(served=served, day_ahead=self.day_ahead_served)

    def open_duties(self, which: Segment | None, since_ns: int, until_ns: int | None, case: str) -> tuple[str, ...]:
        """Return the duties of a case that are open: those of its segment, opened within its time, and its own."""
        return duties.open_for(self.state.duties, which, since_ns, until_ns, case)
