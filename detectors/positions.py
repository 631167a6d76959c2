"""What does a report on a switch, a flow, a voltage or a relay say of the losses?

A loss is counted once an opening, when it is certain, and taken back when something that was so before its confirmation speaks against
it. Before a report is taken in, what was certain by the instant it speaks of is counted: nothing depends on when ticks come.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from msgspec import structs

from detectors import losses
from detectors.elements import ElementState, confirmed_ns, with_flow, with_history, with_position, with_trip
from detectors.findings import Finding, Noted
from detectors.losses import Loss
from detectors.topologywatch import TopologyWatch, refuted
from detectors.voltages import DeadBus, with_voltage
from market.facts import FlowReported, PointQuality, SwitchReported, TripSignalled, VoltageReported
from market.rules import MarketRules
from market.topology import Element, Topology
from market.units import NS_PER_S

__all__ = ["counted", "flowed", "history", "moved", "tripped", "voltage"]


def history(watch: TopologyWatch, fact: SwitchReported, rules: MarketRules, grid: Topology) -> TopologyWatch:
    """Judge anew what is open of which history was heard: it opened earlier, or was closed in between."""
    before = _known(watch, fact.element, grid)
    state = with_history(before, fact, rules)
    watch = _with(watch, fact.element, state)
    if not state.open:
        return watch
    if state.since_ns <= before.since_ns:
        watch = _taken_back(watch, fact.element, fact.ts_source_ns)
    else:
        reclosed_ns = fact.ts_source_ns - rules.reclose_s * NS_PER_S
        watch = _taken_back(watch, fact.element, fact.ts_source_ns, opened_since_ns=reclosed_ns)
        watch = _with(watch, fact.element, replace(watch.elements[fact.element], spent=False, found_open=False))
    return counted(watch, fact.element, fact.ts_event_ns, rules, grid)


def moved(watch: TopologyWatch, fact: SwitchReported, rules: MarketRules, grid: Topology) -> tuple[TopologyWatch, tuple[Finding, ...]]:
    """A switch said where it is."""
    # What was certain by the instant this report speaks of does not depend on a tick having come in between.
    watch = counted(watch, fact.element, fact.ts_source_ns, rules, grid)
    before = _known(watch, fact.element, grid)
    state = with_position(before, fact, rules)
    if before.open and not state.open:
        state = replace(state, spent=False, found_open=False)
        reclosed_ns = state.since_ns - rules.reclose_s * NS_PER_S
        watch = _taken_back(_with(watch, fact.element, state), fact.element, state.since_ns, opened_since_ns=reclosed_ns)
    elif set(state.unseen) - set(before.unseen):
        # When quality was lost is when we were told: its source time is that of the last good value.
        lost_ns = fact.ts_source_ns if fact.quality is PointQuality.GOOD else fact.ts_event_ns
        watch = _taken_back(_with(watch, fact.element, state), fact.element, lost_ns)
    elif state.open and not before.open and (fact.initial or fact.end in before.awaited):
        watch = _with(watch, fact.element, replace(state, spent=True, found_open=True))
    else:
        watch = _with(watch, fact.element, state)
    watch = counted(watch, fact.element, fact.ts_event_ns, rules, grid)
    if state.held_until_ns > before.held_until_ns <= fact.ts_source_ns:
        what = f"{fact.element}: {len(state.moves_ns)} changes within 60 s; position held"
        return watch, (Noted(what="CHATTERING", article="policy 1.5", evidence=(what,)),)
    return watch, ()


def flowed(watch: TopologyWatch, fact: FlowReported, rules: MarketRules, grid: Topology) -> TopologyWatch:
    """The meters of an element said what it carries."""
    watch = counted(watch, fact.element, fact.ts_source_ns, rules, grid)
    before = _known(watch, fact.element, grid)
    state = with_flow(before, fact, rules)
    watch = _with(watch, fact.element, state)
    if before.dead_since_ns is not None and state.dead_since_ns is None:
        watch = _taken_back(watch, fact.element, fact.ts_source_ns)
    return counted(watch, fact.element, fact.ts_event_ns, rules, grid)


def voltage(watch: TopologyWatch, fact: VoltageReported, rules: MarketRules, grid: Topology) -> TopologyWatch:
    """The meter of a bus said what its voltage is: it bears out, or not, what is open there."""
    dead = with_voltage(watch.dead, fact, initial=fact.ts_source_ns <= watch.began_ns + rules.grace_ns)
    if dead is watch.dead:
        return watch
    # When quality was lost is when we were told: its source time is that of the last good value.
    at_ns = fact.ts_source_ns if fact.quality is PointQuality.GOOD else fact.ts_event_ns
    touched = [name for name in grid.at_bus[fact.bus] if name in watch.elements]
    for name in touched:
        watch = counted(watch, name, at_ns, rules, grid)
    revived = fact.bus not in dead
    watch = structs.replace(watch, dead=dead)
    if revived:
        watch = refuted(watch, at_ns, lambda each: fact.bus in each.buses)
    for name in touched:
        watch = _with(watch, name, replace(watch.elements[name], bus_dead_ns=_bus_dead_ns(dead, grid.elements[name])))
        if revived:
            watch = _taken_back(watch, name, at_ns)
        watch = counted(watch, name, fact.ts_event_ns, rules, grid)
    return watch


def tripped(watch: TopologyWatch, fact: TripSignalled, rules: MarketRules, grid: Topology) -> TopologyWatch:
    """Protection tripped an element."""
    watch = _with(watch, fact.element, with_trip(_known(watch, fact.element, grid), fact))
    return counted(watch, fact.element, fact.ts_event_ns, rules, grid)


def counted(watch: TopologyWatch, name: str, until_ns: int, rules: MarketRules, grid: Topology) -> TopologyWatch:
    """Count an element as lost if that is certain at ``until_ns``, and only once an opening."""
    state = watch.elements.get(name)
    if state is None or state.spent:
        return watch
    certain_ns = confirmed_ns(state, rules)
    if certain_ns is None or certain_ns > until_ns:
        return watch
    by = _borne_out(watch, name, state, rules, grid)
    kind = losses.counted_kind(name, rules, grid)
    every = (*watch.losses, Loss(element=name, opened_ns=state.since_ns, confirmed_ns=certain_ns, kind=kind, by=by))
    ordered = sorted(every, key=lambda loss: (loss.confirmed_ns, loss.opened_ns, loss.element))
    return structs.replace(_with(watch, name, replace(state, spent=True)), losses=tuple(ordered))


def _borne_out(watch: TopologyWatch, name: str, state: ElementState, rules: MarketRules, grid: Topology) -> str:
    """Return what bears an open position out, in words."""
    if state.dead_since_ns is not None:
        return f"flow below {rules.dead_flow_pct:g} % at both ends"
    dark = [bus for bus in (grid.elements[name].from_bus, grid.elements[name].to_bus) if bus in watch.dead]
    return f"bus {dark[0]} without voltage" if dark else "tripped by protection"


def _taken_back(watch: TopologyWatch, name: str, at_ns: int, *, opened_since_ns: int | None = None) -> TopologyWatch:
    """Undo the counting of a loss that was not certain after all: at ``at_ns``, before its confirmation, something spoke against it.

    Islands and stations that rest on the loss go with it.

    Args:
        opened_since_ns: where it reclosed, also losses that began at this instant or later: the reclosing was successful.
    """

    def stands(loss: Loss) -> bool:
        reclosed = opened_since_ns is not None and loss.opened_ns >= opened_since_ns
        return loss.element != name or not (at_ns <= loss.confirmed_ns or reclosed)

    watch = refuted(watch, at_ns, lambda each: name in each.elements and not each.buses)
    kept = tuple(loss for loss in watch.losses if stands(loss))
    if kept == watch.losses:
        return watch
    return _with(structs.replace(watch, losses=kept), name, replace(watch.elements[name], spent=False))


def _with(watch: TopologyWatch, name: str, state: ElementState) -> TopologyWatch:
    return watch if watch.elements.get(name) is state else structs.replace(watch, elements={**watch.elements, name: state})


def _known(watch: TopologyWatch, name: str, grid: Topology) -> ElementState:
    """Return what is known of an element; one that is not remembered has nothing to it but its buses."""
    if (state := watch.elements.get(name)) is not None:
        return state
    return ElementState(bus_dead_ns=_bus_dead_ns(watch.dead, grid.elements[name]))


def _bus_dead_ns(dead: Mapping[str, DeadBus], element: Element) -> int | None:
    return min((dead[bus].since_ns for bus in (element.from_bus, element.to_bus) if bus in dead), default=None)
