"""A scenario as data, played through the breaker's processor on a simulated clock.

An operator can rehearse with such a file. Steps stand in arrival order; time advances to each step's ``at``, with a tick at every
instant the processor has a deadline, as the live shell sends them.

The form of a file stands in :mod:`streams.drillfile`, what its steps tell the breaker in :mod:`streams.drillfacts`, and how what it
expects is looked up in :mod:`streams.drillcheck`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from math import inf

from market import facts
from market.decisions import Decision
from market.facts import Fact, Segment
from market.prices import PriceInForce
from market.rulebook import RulesInForce
from market.topology import Bus, Element, Kind, Topology
from streams import breaker
from streams.alerts import Alert, alerts_of
from streams.drillcheck import Check, Seen, checked
from streams.drillfacts import FactMaker, opening_facts
from streams.drillfile import Grid, Scenario, Step, played

__all__ = ["Between", "Check", "DrillResult", "play", "topology"]


@dataclass(slots=True)
class DrillResult:
    """How a drill went.

    Attributes:
        decisions: every one that was made, in order.
        prices: the last price of each interval, by segment and start.
    """

    scenario_id: str
    title: str
    rule_set: str
    checks: list[Check] = field(default_factory=list)
    decisions: list[Decision] = field(default_factory=list)
    prices: dict[tuple[Segment, int], PriceInForce] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        """Whether everything expected was found; a drill that expects nothing proves nothing and does not pass."""
        return bool(self.checks) and all(check.ok for check in self.checks)


Between = Callable[[breaker.BreakerState, RulesInForce], breaker.BreakerState]
"""What is done between one fact and the next: takes the state, returns the state to go on with."""


def play(scenario: Scenario, rules: RulesInForce, between: Between | None = None) -> DrillResult:
    """Play a scenario through the breaker's processor.

    Args:
        rules: one rule set, or a rulebook.
        between: looks at the state after each fact and tick, or puts another in its place, as a restart would; None to do neither.
    """
    player = _Player(scenario, rules, between)
    for number, step in played(scenario, rules.at(scenario.start)):
        player.play(number, step)
    return player.result


def topology(grid: Grid) -> Topology:
    """Return a drill's grid as the detectors know it; without buses and stations every end of a branch is a station and an area."""
    elements = {
        name: Element(
            kv=each.kv,
            from_bus=each.from_,
            to_bus=each.to,
            kind=Kind(each.element),
            rating_mw=inf if each.rating_mw is None else each.rating_mw,
        )
        for name, each in grid.branches.items()
    }
    plain = Topology.of(elements, infeeds=grid.infeeds)
    if not grid.buses and not grid.stations:
        return plain
    station_of = {bus: name for name, station in grid.stations.items() for bus in station.buses}
    kv_of = {bus: station.kv for station in grid.stations.values() for bus in station.buses}
    buses = {name: _bus(name, grid, plain, station_of.get(name, name), kv_of.get(name)) for name in sorted({*grid.bus_names, *plain.buses})}
    return replace(plain, buses=buses)


def _bus(name: str, grid: Grid, plain: Topology, station: str, kv: float | None) -> Bus:
    """Return a bus of a drill: its part of its area's load as its share says, an equal part where it says none."""
    said = grid.buses.get(name)
    area = name if said is None or said.area is None else said.area
    known_kv = kv if said is None or said.kv is None else said.kv
    if known_kv is None:
        known_kv = plain.buses[name].kv if name in plain.buses else 0.0
    if said is not None and said.share_pct is not None:
        load_mw = said.share_pct
    else:
        sharing = [other for other, bus in grid.buses.items() if bus.area == area] or [name]
        given = sum(grid.buses[other].share_pct or 0.0 for other in sharing if other in grid.buses)
        unsaid = sum(1 for other in sharing if other not in grid.buses or grid.buses[other].share_pct is None) or 1
        load_mw = (100.0 - given) / unsaid
    return Bus(kv=known_kv, substation=station, area=area, load_mw=load_mw)


class _Player:
    def __init__(self, scenario: Scenario, rules: RulesInForce, between: Between | None) -> None:
        self._rules = rules
        first = rules.at(scenario.start)
        self._zone = first.zone
        self._between = between
        self._grid = topology(scenario.grid)
        self._facts = FactMaker(first)
        self._state = breaker.begin(scenario.start, self._rules)
        self._ticked_ns = scenario.start - 1
        self._due_ns = breaker.next_deadline_ns(self._state, self._rules)
        self._alerts: dict[str, Alert] = {}
        self.result = DrillResult(scenario.id, scenario.title, first.id)
        for fact in opening_facts(scenario):
            self._take(fact)

    def play(self, number: int, step: Step) -> None:
        if step.expect is not None:
            self._advance(step.at, inclusive=True)
            self.result.checks.extend(checked(number, step.at, step.expect, self._seen()))
            return
        self._advance(step.at, inclusive=False)
        if step.restart:
            # What a restart keeps is what the table holds.
            self._state = breaker.decode_state(breaker.encode_state(self._state))
            return
        for fact in self._facts.facts(step):
            self._take(fact)

    def _take(self, fact: Fact) -> None:
        self._state, effects = breaker.step(self._state, fact, self._rules, self._grid)
        for effect in effects:
            if isinstance(effect, PriceInForce):
                self.result.prices[effect.segment, effect.interval_start_ns] = effect
            elif isinstance(effect, Decision):
                self.result.decisions.append(effect)
                self._alerts |= {alert.alert_id: alert for alert in alerts_of(effect)}
        if self._between is not None:
            self._state = self._between(self._state, self._rules)
        # A deadline at the instant of a fact is due once the facts of that instant are in; the state looks beyond it already.
        deadline_ns = breaker.next_deadline_ns(self._state, self._rules)
        self._due_ns = min(self._due_ns, deadline_ns) if self._due_ns > self._ticked_ns else deadline_ns

    def _advance(self, to_ns: int, *, inclusive: bool) -> None:
        """Send the ticks that fall due before ``to_ns`` (and one at it, where something is looked at there)."""
        while self._due_ns < to_ns:
            self._tick(self._due_ns)
        if inclusive and to_ns > self._ticked_ns:
            self._tick(to_ns)

    def _tick(self, now_ns: int) -> None:
        self._ticked_ns = now_ns
        self._take(facts.Ticked(ts_event_ns=now_ns))

    def _seen(self) -> Seen:
        return Seen(
            view=breaker.view(self._state, self._rules),
            decisions=self.result.decisions,
            prices=self.result.prices,
            alarms={alert.name for alert in self._alerts.values()} | set(self._alerts),
            last_command=self._facts.last_command,
            zone=self._zone,
        )
