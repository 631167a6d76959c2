"""Has the grid lost so much of its backbone, unplanned, that the market cannot go on?

Theory of operation (spec §1.5, Art. 23(2)). Hard evidence may trip the market by itself, soft evidence is proposed to a person. Each
row of the table has a module of its own:

* elements of the top voltage, and of the second, lost within fifteen minutes: :mod:`detectors.losses`;
* whole top-voltage substations: :mod:`detectors.stations`; energised islands that hold: :mod:`detectors.islands`;
* load lost within ten minutes: :mod:`detectors.loadlost`; infeeds, and the limits of interfaces: :mod:`detectors.infeeds`.

An element counts as *lost* when its position is OPEN with GOOD quality, has stood for the debounce time, and something else says so
too: the flow at both ends, the voltage of a bus, or protection. It does not count when a permit covers it, when it reclosed within ten
seconds, while its position chatters (held as it was), when its quality is anything but GOOD (the last good position is held, and the
element counts as unobserved), or while the state estimate contradicts its position. What was open when it was first heard of was not
lost while anybody watched.

A loss becomes certain at an instant of its own, its confirmation, that follows from source times alone. The condition is met at the
confirmation that makes the last element needed, and is reported after the grace: what arrives until then and speaks of the time before
the confirmation still counts, and takes the loss back. What happens to the grid after it does not: neither a fourth loss nor a
line that is restored makes the three undone, so nothing is forgotten while a condition waits to be reported.

Each condition is found for the real-time market, and for the day-ahead market as a proposal. While hard evidence stands, soft evidence
is not told besides. Only what deviates from *closed, good, carrying power* is remembered, so the state stays small however large the
grid is. What one element is and was lives in :mod:`detectors.elements`.

Absent on purpose: flows and angles (:mod:`detectors.estimation` judges those); the blackout of the whole grid as a row of its own, which
is found as load lost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from msgspec import structs

from detectors import infeeds, islands, loadlost, losses, positions, sight
from detectors.changefindings import condition, gone, planned_note
from detectors.elements import confirmed_ns
from detectors.evidence import Certain, Kind, Level, Standing
from detectors.findings import Finding, Noted
from detectors.losses import Loss
from detectors.permits import cut_short
from detectors.stations import lost_stations
from detectors.topologywatch import TopologyWatch, refuted
from market.facts import (
    ClearingReported,
    ClearingStatus,
    EstimateReported,
    Fact,
    FlowReported,
    InfeedReported,
    InterfaceLimitReported,
    LoadReported,
    PermitGranted,
    PermitRevoked,
    RunType,
    Segment,
    SourceReported,
    SwitchReported,
    Ticked,
    TripSignalled,
    VoltageReported,
)
from market.rules import MarketRules
from market.topology import Element, Topology
from market.units import NS_PER_MIN, NS_PER_S

__all__ = ["Element", "Loss", "TopologyWatch", "next_deadline_ns", "observe", "still_open"]


def observe(
    watch: TopologyWatch, fact: Fact, rules: MarketRules, grid: Topology, *, held: bool = False
) -> tuple[TopologyWatch, tuple[Finding, ...]]:
    """Take in one fact.

    Args:
        watch: what is known so far.
        fact: any fact; those that say nothing about switches, flows, voltages, loads, infeeds, limits, permits or the sight of them
            change nothing.
        rules: the rule set in force.
        grid: the network model; reports on elements, buses and infeeds that it does not have are ignored.
        held: automatic action is held (suspect clock): a condition waits.

    Returns:
        What is known now, and what was found.
    """
    if not watch.began_ns:
        watch = structs.replace(watch, began_ns=fact.ts_event_ns)
    match fact:
        case SwitchReported(element=name) if _followed(name, rules, grid):
            return (positions.history(watch, fact, rules, grid), ()) if fact.history else positions.moved(watch, fact, rules, grid)
        case FlowReported(element=name) if _followed(name, rules, grid):
            return positions.flowed(watch, fact, rules, grid), ()
        case TripSignalled(element=name) if _followed(name, rules, grid):
            return positions.tripped(watch, fact, rules, grid), ()
        case VoltageReported(bus=bus) if bus in grid.buses:
            return positions.voltage(watch, fact, rules, grid), ()
        case LoadReported():
            watch = _load_judged(watch, fact.ts_event_ns - 1, rules)
            return structs.replace(watch, load=loadlost.with_load(watch.load, fact, rules)), ()
        case InfeedReported(infeed=name) if name in grid.infeeds:
            return _infeed(watch, fact, rules), ()
        case InterfaceLimitReported():
            return _limit(watch, fact, rules), ()
        case ClearingReported(segment=Segment.RT, status=ClearingStatus.OK, run_type=RunType.PRODUCTION) if watch.limits:
            return structs.replace(watch, limits={name: infeeds.used(limit) for name, limit in watch.limits.items()}), ()
        case EstimateReported(doubted=doubted) if doubted != watch.doubted:
            return structs.replace(watch, doubted=doubted), ()
        case PermitGranted(element=name, from_ns=from_ns, to_ns=to_ns) if (name, from_ns, to_ns) not in watch.permits:
            return structs.replace(watch, permits=(*watch.permits, (name, from_ns, to_ns))), ()
        case PermitRevoked():
            return structs.replace(watch, permits=cut_short(watch.permits, fact, rules)), ()
        case SourceReported(name="scada", up=up) if up is watch.scada_down:
            return _sight(watch, fact, rules)
        case Ticked(ts_event_ns=now_ns):
            return _tick(watch, now_ns, rules, grid, held=held)
        case _:
            return watch, ()


def next_deadline_ns(watch: TopologyWatch, now_ns: int, rules: MarketRules) -> int | None:
    """Return the next instant after ``now_ns`` at which a tick could find something, or None while nothing is open."""
    due = [confirmed_ns(state, rules) for state in watch.elements.values() if not state.spent]
    due += [*loadlost.next_ns(watch.load, rules), *islands.next_ns(watch.islands, rules), *sight.next_ns(watch.sight, rules)]
    due += [infeeds.next_ns(state, rules) for state in watch.infeeds.values()]
    due += [each.since_ns + rules.breaker_debounce_s * NS_PER_S for each in watch.dead.values() if not each.initial]
    if not watch.scada_down:
        waiting = [each.met_at_ns for each in watch.certain]
        waiting += [loss.confirmed_ns for _, _, loss in _counts_met(watch, rules)]
        due += [max(met_ns + rules.grace_ns, watch.judge_after_ns) for met_ns in waiting]
    return min((at for at in due if at is not None and at > now_ns), default=None)


def still_open(watch: TopologyWatch) -> tuple[str, ...]:
    """Return the elements of the conditions reported so far that are open now, as far as is known, sorted."""
    return _open_of(watch, sorted({name for each in watch.standing for name in each.elements}))


def _open_of(watch: TopologyWatch, names: Iterable[str]) -> tuple[str, ...]:
    """Return those elements that are open now, as far as is known."""
    return tuple(name for name in names if name in watch.elements and watch.elements[name].open)


def _followed(name: str, rules: MarketRules, grid: Topology) -> bool:
    """Whether an element can decide anything: by its voltage, or because it holds the grid together."""
    element = grid.elements.get(name)
    return element is not None and (bool(element.from_bus) or losses.counted_kind(name, rules, grid) is not None)


def _sight(watch: TopologyWatch, fact: SourceReported, rules: MarketRules) -> tuple[TopologyWatch, tuple[Finding, ...]]:
    """Sight of the switches was lost, or is back: then what was missed has one grace to arrive."""
    if fact.up:
        note = Noted(what="SCADA_UP", article="policy 1.2", evidence=("positions and flows are seen again",))
        return structs.replace(watch, scada_down=False, judge_after_ns=fact.ts_event_ns + rules.grace_ns), (note,)
    note = Noted(what="SCADA_DOWN", article="policy 1.2", evidence=("positions and flows are not seen; no topology trip meanwhile",))
    return structs.replace(watch, scada_down=True), (note,)


def _infeed(watch: TopologyWatch, fact: InfeedReported, rules: MarketRules) -> TopologyWatch:
    watch = _infeed_judged(watch, fact.infeed, fact.ts_source_ns - 1, rules)
    before = watch.infeeds.get(fact.infeed)
    state = infeeds.with_infeed(before, fact, rules)
    if state is before:
        return watch
    assert state is not None, "what is new is a state"
    if state.lost_since_ns is None:
        # What is told of the very instant of its certainty comes after it.
        watch = refuted(watch, fact.ts_source_ns + 1, lambda each: each.kind is Kind.INFEED and each.subject == fact.infeed)
    return structs.replace(watch, infeeds={**watch.infeeds, fact.infeed: state})


def _infeed_judged(watch: TopologyWatch, name: str, until_ns: int, rules: MarketRules) -> TopologyWatch:
    state = watch.infeeds.get(name)
    if state is None:
        return watch
    load_mw = loadlost.before_mw(watch.load)
    after, found = infeeds.lost(
        name, state, until_ns, load_mw, rules, lambda element, at_ns: losses.permitted(watch.permits, element, at_ns, rules)
    )
    if after is not state:
        watch = structs.replace(watch, infeeds={**watch.infeeds, name: after})
    return watch if found is None else structs.replace(watch, certain=(*watch.certain, found))


def _limit(watch: TopologyWatch, fact: InterfaceLimitReported, rules: MarketRules) -> TopologyWatch:
    limit, found = infeeds.fallen(fact.interface, infeeds.with_limit(watch.limits.get(fact.interface), fact), fact.ts_event_ns, rules)
    watch = structs.replace(watch, limits={**watch.limits, fact.interface: limit})
    return watch if found is None else structs.replace(watch, certain=(*watch.certain, found))


def _load_judged(watch: TopologyWatch, until_ns: int, rules: MarketRules) -> TopologyWatch:
    load, found = loadlost.matured(watch.load, until_ns, rules)
    return structs.replace(watch, load=load, certain=(*watch.certain, *found))


def _tick(
    watch: TopologyWatch, now_ns: int, rules: MarketRules, grid: Topology, *, held: bool
) -> tuple[TopologyWatch, tuple[Finding, ...]]:
    found: list[Finding] = []
    watch = _load_judged(watch, now_ns, rules)
    for name in sorted(watch.elements):
        watch = positions.counted(watch, name, now_ns, rules, grid)
    for name in sorted(watch.infeeds):
        watch = _infeed_judged(watch, name, now_ns, rules)
    watch = _connections_judged(watch, now_ns, rules, grid)
    watch = _planned_noted(watch, rules, found)
    n_backbone = grid.count_from(rules.top_voltage_kv)
    seen, notes = sight.judged(watch.sight, watch.elements, n_backbone, now_ns, rules, grid)
    found += notes
    watch = _over(structs.replace(watch, sight=seen), found)
    judged = not held and not watch.scada_down and now_ns >= watch.judge_after_ns
    while judged:
        before = watch
        watch = _reported(before, now_ns, rules, found)
        judged = watch.standing != before.standing
        # What was closed again while the grace ran is over as soon as it is reported, at this tick and not at whichever comes next.
        watch = _over(watch, found)
    return _forgotten(watch, now_ns, rules), tuple(found)


def _lost(watch: TopologyWatch, loss: Loss, rules: MarketRules) -> bool:
    """Whether a loss counts, by what is known now."""
    return loss.element not in watch.doubted and not losses.permitted(watch.permits, loss.element, loss.opened_ns, rules)


def _connections_judged(watch: TopologyWatch, now_ns: int, rules: MarketRules, grid: Topology) -> TopologyWatch:
    """Look for islands and lost stations in what is certainly out of service."""
    if not grid.buses or not (watch.losses or watch.dead or watch.islands.out or watch.stations):
        return watch
    out: dict[str, tuple[int, int]] = {}
    for name, state in watch.elements.items():
        certain_ns = confirmed_ns(state, rules) if name not in watch.doubted else None
        if certain_ns is not None and certain_ns <= now_ns:
            out[name] = (state.since_ns, certain_ns)

    def permitted(name: str, at_ns: int) -> bool:
        return losses.permitted(watch.permits, name, at_ns, rules)

    def unplanned(name: str) -> bool:
        return not watch.elements[name].found_open and not permitted(name, watch.elements[name].since_ns)

    dead = frozenset(watch.dead)
    cut_off = islands.judged(watch.islands, grid, out, dead, watch.load.areas_mw, unplanned, rules)
    cut_off, apart = islands.matured(cut_off, now_ns, rules)
    near = {station for loss in watch.losses for station in grid.stations_of(loss.element)}
    near |= {grid.buses[bus].substation for bus in watch.dead} | set(watch.stations)
    lost = lost_stations(near, grid, out, watch.dead, unplanned, permitted, rules)
    dark = [each for each in lost if each.met_at_ns <= now_ns]
    if len(dark) < rules.topology_hard.substations:
        dark = []
    fresh = [each for each in dark if each.subject not in watch.stations]
    stations = tuple(each.subject for each in dark)
    return structs.replace(watch, islands=cut_off, stations=stations, certain=(*watch.certain, *apart, *fresh))


def _planned_noted(watch: TopologyWatch, rules: MarketRules, found: list[Finding]) -> TopologyWatch:
    if not watch.losses:
        return watch
    kept: list[Loss] = []
    for loss in watch.losses:
        fresh = loss.kind is not None and not loss.noted
        planned = fresh and losses.permitted(watch.permits, loss.element, loss.opened_ns, rules)
        if planned:
            found.append(planned_note(loss, rules))
        kept.append(replace(loss, noted=True) if planned else loss)
    return structs.replace(watch, losses=tuple(kept))


def _over(watch: TopologyWatch, found: list[Finding]) -> TopologyWatch:
    """Let go of what was reported and is over."""
    if not watch.standing:
        return watch
    kept = tuple(each for each in watch.standing if _stands(watch, each))
    for level in Level:
        before = [each for each in watch.standing if each.level is level]
        if before and not any(each.level is level for each in kept):
            found += gone(level, before)
    return structs.replace(watch, standing=kept)


def _stands(watch: TopologyWatch, each: Standing) -> bool:
    match each.kind:
        case Kind.SUBSTATION:
            return each.subject in watch.stations
        case Kind.ISLAND:
            return each.level in watch.islands.told
        case Kind.LOAD:
            load_mw = loadlost.total_mw(watch.load)
            assert load_mw is not None, "the load that was lost was reported"
            assert each.over_mw is not None, "its loss is over at some load"
            return load_mw <= each.over_mw
        case Kind.INFEED:
            return watch.infeeds[each.subject].lost_since_ns is not None
        case Kind.INTERFACE:
            return watch.limits[each.subject].told
        case _:
            return bool(_open_of(watch, each.elements))


def _counts_met(watch: TopologyWatch, rules: MarketRules) -> list[tuple[Kind, Level, Loss]]:
    """Return the counts of elements that are met and not reported, hard ones first."""
    if not watch.losses:
        return []
    found: list[tuple[Kind, Level, Loss]] = []
    for level in Level:
        if level is Level.SOFT and (found or _hard_stands(watch)):
            break
        for kind in losses.COUNTED:
            counts = _counting(watch, kind, level, rules)
            if (loss := losses.met(watch.losses, losses.enough(kind, level, rules), rules, counts)) is not None:
                found.append((kind, level, loss))
    return found


def _hard_stands(watch: TopologyWatch) -> bool:
    return any(each.level is Level.HARD for each in watch.standing)


def _counting(watch: TopologyWatch, kind: Kind, level: Level, rules: MarketRules) -> Callable[[Loss], bool]:
    """Return whether a loss counts for a row of the table; soft evidence counts no element twice while it stands."""
    said = {name for each in watch.standing if level is Level.SOFT and each.kind is kind for name in each.elements}

    def counts(loss: Loss) -> bool:
        named = loss.element not in said and loss.kind is kind and not (loss.told and level is Level.SOFT)
        return named and _lost(watch, loss, rules)

    return counts


def _reported(watch: TopologyWatch, now_ns: int, rules: MarketRules, found: list[Finding]) -> TopologyWatch:
    """Report what has been certain for the grace: hard evidence in the order it was met, then soft evidence unless hard evidence stands."""
    for level in Level:
        while True:
            due = [_of_count(watch, *met, rules) for met in _counts_met(watch, rules) if met[1] is level]
            due += [each for each in watch.certain if each.level is level]
            if not due or (first := min(due, key=lambda each: each.met_at_ns)).met_at_ns + rules.grace_ns > now_ns:
                break
            watch = structs.replace(watch, certain=tuple(each for each in watch.certain if each is not first))
            if (level is Level.SOFT and _hard_stands(watch)) or not _counts_still(watch, first, rules):
                continue
            watch = _condition_reported(watch, first, rules, found)
    return watch


def _of_count(watch: TopologyWatch, kind: Kind, level: Level, loss: Loss, rules: MarketRules) -> Certain:
    """Put a count into words, with every element that was certainly lost when it is decided; later losses may make the next one."""
    known = tuple(each for each in watch.losses if each.confirmed_ns <= loss.confirmed_ns + rules.grace_ns)
    lost = losses.near(known, loss, rules, _counting(watch, kind, level, rules))
    return Certain(
        kind=kind,
        level=level,
        met_at_ns=loss.confirmed_ns,
        text=tuple(losses.text(kind, level, lost, rules)),
        elements=tuple(each.element for each in lost),
    )


def _counts_still(watch: TopologyWatch, found: Certain, rules: MarketRules) -> bool:
    """Whether nothing that came since takes the evidence back: permits for all that was unplanned, or a doubted position."""
    if found.unplanned and all(losses.permitted(watch.permits, name, at_ns, rules) for name, at_ns in found.unplanned):
        return False
    return not any(name in watch.doubted for name in _open_of(watch, found.elements))


def _condition_reported(watch: TopologyWatch, met: Certain, rules: MarketRules, found: list[Finding]) -> TopologyWatch:
    """Report a condition for both markets; what it counted as hard evidence counts no more."""
    until_ns = met.met_at_ns + rules.grace_ns
    lost = met.elements
    if met.kind not in losses.COUNTED:
        from_ns = met.met_at_ns - losses.window_ns(rules)
        about = [each for each in watch.losses if each.kind is not None and each.opened_ns >= from_ns and each.confirmed_ns <= until_ns]
        about.sort(key=lambda each: (each.opened_ns, each.element))
        lost = tuple(dict.fromkeys(each.element for each in about if _lost(watch, each, rules)))
    found += condition(met, lost, _open_of(watch, watch.doubted), watch.load, rules, auto_allowed=not watch.sight.low)
    standing = Standing(kind=met.kind, level=met.level, subject=met.subject, elements=met.elements, over_mw=met.over_mw)
    if met.level is Level.HARD:
        kept = tuple(loss for loss in watch.losses if loss.confirmed_ns > until_ns or loss.kind is not met.kind)
    else:
        # Hard evidence may count them still; soft evidence that is over does not come back by them.
        kept = losses.told(watch.losses, met.kind, met.elements, until_ns)
    return structs.replace(watch, standing=(*watch.standing, standing), losses=kept)


def _forgotten(watch: TopologyWatch, now_ns: int, rules: MarketRules) -> TopologyWatch:
    """Drop what can decide nothing any more."""
    if not (watch.elements or watch.losses or watch.permits):
        return watch
    kept_ns = now_ns - 2 * losses.window_ns(rules)
    margin_ns = rules.permit_margin_min * NS_PER_MIN
    waiting = bool(watch.certain) or bool(_counts_met(watch, rules))
    return structs.replace(
        watch,
        elements={name: state for name, state in watch.elements.items() if not state.quiet(now_ns, rules)},
        losses=watch.losses if waiting else tuple(loss for loss in watch.losses if loss.opened_ns >= kept_ns),
        permits=watch.permits if waiting else tuple(p for p in watch.permits if p[2] + margin_ns >= kept_ns),
    )
