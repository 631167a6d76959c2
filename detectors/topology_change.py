"""Has the grid lost so much of its backbone, unplanned, that the market cannot go on?

Theory of operation (spec §1.5, Art. 23(2)). An element of the top voltage counts as *lost* when its position is OPEN with GOOD
quality, has stood for the debounce time, and is corroborated by the flow: below 1 % of rating at both ends. It does not count when
a permit covers it, when it reclosed within ten seconds, when its position chatters (held as it was), or when its quality is
anything but GOOD (the last good position is held, and the element counts as unobserved). Three elements lost within fifteen
minutes are a hard topology change; it is reported after the grace, if it still holds.

Only what deviates from *closed, good, carrying power* is remembered, so the state stays small however large the grid is. Instants
are source times: what counts is when the switch moved, not when we heard of it.

Absent on purpose: soft evidence, islands and the loss of load as triggers (lost load is reported as evidence only), state estimation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from detectors.findings import Basis, ConditionGone, ConditionMet, Finding, Noted
from market.facts import Fact, FlowReported, LoadReported, PermitGranted, PointQuality, Segment, SwitchReported, SwitchStatus, Ticked
from market.rules import MarketRules
from market.units import NS_PER_MIN, NS_PER_S, clock_text

__all__ = ["Element", "ElementState", "Loss", "TopologyWatch", "next_deadline_ns", "observe"]

_CHATTER_WINDOW_NS: Final = 60 * NS_PER_S
_ARTICLE: Final = "Art. 23(2)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Element:
    """What the network model says of one branch; ``kv`` is the higher voltage of its two ends."""

    kv: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ElementState:
    """One element that is, or recently was, not simply closed, good and carrying power.

    Attributes:
        ends: position of each end by name, as last reported with GOOD quality.
        unseen: ends whose latest report was not GOOD, sorted.
        since_ns: when the branch as a whole went out of, or back into, service.
        flow_pct: loading by end (``from``, ``to``), % of rating, as last reported with GOOD quality.
        dead_since_ns: since when both ends have been below the dead threshold; None while they are not.
        moves_ns: when the branch as a whole went out of or into service lately, for chattering.
        chattering: whether its position is not believed because of them.
        last_source_ns: source time of the latest position report of each end; older ones are ignored.
    """

    ends: dict[str, SwitchStatus] = field(default_factory=dict)
    unseen: tuple[str, ...] = ()
    since_ns: int = 0
    flow_pct: dict[str, float] = field(default_factory=dict)
    dead_since_ns: int | None = None
    moves_ns: tuple[int, ...] = ()
    chattering: bool = False
    last_source_ns: dict[str, int] = field(default_factory=dict)

    @property
    def open(self) -> bool:
        """Whether the branch is out of service: open at one end at least."""
        return SwitchStatus.OPEN in self.ends.values()


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """An element that counts as lost: opened at ``opened_ns``, certain at ``confirmed_ns``."""

    element: str
    opened_ns: int
    confirmed_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TopologyWatch:
    """What the detector remembers.

    Attributes:
        elements: elements that deviate, by name.
        losses: losses of the last window, oldest first; emptied when a condition was reported from them.
        standing: elements of the condition reported last, while any of them is still open.
        spent: elements whose present loss was counted already.
        permits: (element, from, to) of planned outages.
        loads_mw: latest load by area.
        load_history: (instant, total MW), at most one a tick.
        low_observability: whether too few elements are observed for automatic action.
    """

    elements: dict[str, ElementState] = field(default_factory=dict)
    losses: tuple[Loss, ...] = ()
    spent: tuple[str, ...] = ()
    permits: tuple[tuple[str, int, int], ...] = ()
    loads_mw: dict[str, float] = field(default_factory=dict)
    load_history: tuple[tuple[int, float], ...] = ()
    standing: tuple[str, ...] = ()
    low_observability: bool = False


def observe(
    watch: TopologyWatch, fact: Fact, rules: MarketRules, grid: Mapping[str, Element], *, held: bool = False
) -> tuple[TopologyWatch, tuple[Finding, ...]]:
    """Take in one fact.

    Args:
        watch: what is known so far.
        fact: any fact; those that say nothing about switches, flows, loads or permits change nothing.
        rules: the rule set in force.
        grid: every branch of the network model; reports on others, and on lower voltages, are ignored here.
        held: automatic action is held (suspect clock): a condition waits.

    Returns:
        What is known now, and what was found.
    """
    match fact:
        case SwitchReported(element=name) if _counts(name, rules, grid):
            return _position(watch, fact, rules), ()
        case FlowReported(element=name) if _counts(name, rules, grid):
            return _flow(watch, fact, rules), ()
        case LoadReported():
            return replace(watch, loads_mw={**watch.loads_mw, fact.area: fact.load_mw}), ()
        case PermitGranted():
            return replace(watch, permits=(*watch.permits, (fact.element, fact.from_ns, fact.to_ns))), ()
        case Ticked(ts_event_ns=now_ns):
            return _tick(watch, now_ns, rules, grid, held=held)
        case _:
            return watch, ()


def next_deadline_ns(watch: TopologyWatch, rules: MarketRules) -> int | None:
    """Return the next instant at which a tick could find something, or None while nothing is open."""
    debounce_ns = rules.breaker_debounce_s * NS_PER_S
    pending = [s.since_ns + debounce_ns for n, s in watch.elements.items() if s.open and n not in watch.spent]
    if len(watch.losses) >= rules.topology_hard.ehv_elements:
        pending.append(max(loss.confirmed_ns for loss in watch.losses) + rules.grace_ns)
    return min(pending, default=None)


def _counts(name: str, rules: MarketRules, grid: Mapping[str, Element]) -> bool:
    return name in grid and grid[name].kv >= rules.top_voltage_kv


def _position(watch: TopologyWatch, fact: SwitchReported, rules: MarketRules) -> TopologyWatch:
    before = watch.elements.get(fact.element, ElementState())
    if fact.ts_source_ns < before.last_source_ns.get(fact.end, 0):
        return watch
    good = fact.quality is PointQuality.GOOD
    unseen = set(before.unseen) - {fact.end} if good else {*before.unseen, fact.end}
    sources = {**before.last_source_ns, fact.end: fact.ts_source_ns}
    state = replace(before, unseen=tuple(sorted(unseen)), last_source_ns=sources)
    if good and fact.status is not SwitchStatus.INTERMEDIATE:
        state = replace(state, ends={**before.ends, fact.end: fact.status})
    if state.open is not before.open:
        recent = tuple(t for t in before.moves_ns if t > fact.ts_source_ns - _CHATTER_WINDOW_NS)
        state = replace(state, since_ns=fact.ts_source_ns, moves_ns=(*recent, fact.ts_source_ns))
        if not state.open and fact.ts_source_ns - before.since_ns <= rules.reclose_s * NS_PER_S:
            watch = replace(watch, losses=tuple(loss for loss in watch.losses if loss.element != fact.element))
    return replace(watch, elements={**watch.elements, fact.element: state})


def _flow(watch: TopologyWatch, fact: FlowReported, rules: MarketRules) -> TopologyWatch:
    if fact.quality is not PointQuality.GOOD:
        return watch
    before = watch.elements.get(fact.element, ElementState())
    reported = {"from": fact.from_pct, "to": fact.to_pct}
    flow_pct = {**before.flow_pct, **{end: abs(pct) for end, pct in reported.items() if pct is not None}}
    dead = len(flow_pct) == len(reported) and max(flow_pct.values()) < rules.dead_flow_pct
    dead_since_ns = (fact.ts_source_ns if before.dead_since_ns is None else before.dead_since_ns) if dead else None
    state = replace(before, flow_pct=flow_pct, dead_since_ns=dead_since_ns)
    return replace(watch, elements={**watch.elements, fact.element: state})


def _tick(
    watch: TopologyWatch, now_ns: int, rules: MarketRules, grid: Mapping[str, Element], *, held: bool
) -> tuple[TopologyWatch, tuple[Finding, ...]]:
    found: list[Finding] = []
    watch = _load_sampled(watch, now_ns, rules)
    watch = _chatter_judged(watch, now_ns, rules, found)
    watch = _losses_counted(watch, now_ns, rules)
    watch = _observability_judged(watch, rules, grid, found)
    watch = _condition_judged(watch, now_ns, rules, found, held=held)
    quiet = {name for name, state in watch.elements.items() if _quiet(state, rules)}
    if quiet:
        watch = replace(watch, elements={n: s for n, s in watch.elements.items() if n not in quiet})
    return watch, tuple(found)


def _quiet(state: ElementState, rules: MarketRules) -> bool:
    """Whether an element is what a forgotten one is taken for.

    One end without flow is not: the other end's report may be on its way, and neither is told a second time.
    """
    half_dead = any(pct < rules.dead_flow_pct for pct in state.flow_pct.values())
    return not (state.open or state.unseen or state.chattering or half_dead or state.moves_ns)


def _load_sampled(watch: TopologyWatch, now_ns: int, rules: MarketRules) -> TopologyWatch:
    if not watch.loads_mw:
        return watch
    since_ns = now_ns - rules.topology_hard.window_min * NS_PER_MIN
    kept = tuple(entry for entry in watch.load_history if since_ns <= entry[0] < now_ns)
    return replace(watch, load_history=(*kept, (now_ns, sum(watch.loads_mw.values()))))


def _chatter_judged(watch: TopologyWatch, now_ns: int, rules: MarketRules, found: list[Finding]) -> TopologyWatch:
    """Mark elements that begin or stop to chatter; while one chatters its position is not believed."""
    for name, state in sorted(watch.elements.items()):
        recent = tuple(t for t in state.moves_ns if t > now_ns - _CHATTER_WINDOW_NS)
        chattering = len(recent) >= rules.chatter_changes
        if chattering and not state.chattering:
            found.append(
                Noted(what="CHATTERING", article="policy 1.5", evidence=(f"{name}: {len(recent)} changes within 60 s; position held",))
            )
        if recent != state.moves_ns or chattering is not state.chattering:
            watch = replace(watch, elements={**watch.elements, name: replace(state, moves_ns=recent, chattering=chattering)})
    return watch


def _permitted(watch: TopologyWatch, element: str, at_ns: int, rules: MarketRules) -> bool:
    margin_ns = rules.permit_margin_min * NS_PER_MIN
    return any(name == element and from_ns - margin_ns <= at_ns <= to_ns + margin_ns for name, from_ns, to_ns in watch.permits)


def _losses_counted(watch: TopologyWatch, now_ns: int, rules: MarketRules) -> TopologyWatch:
    """Count every element that is certainly lost and was not counted yet, and forget losses older than the window."""
    debounce_ns = rules.breaker_debounce_s * NS_PER_S
    window_ns = rules.topology_hard.ehv_window_min * NS_PER_MIN
    still_open = {name for name, s in watch.elements.items() if s.open}
    spent = tuple(name for name in watch.spent if name in still_open)
    losses = list(watch.losses)
    for name in sorted(still_open - set(spent)):
        state = watch.elements[name]
        confirmed_ns = max(state.since_ns + debounce_ns, state.dead_since_ns or 0)
        corroborated = state.dead_since_ns is not None and confirmed_ns <= now_ns
        believed = corroborated and not state.unseen and not state.chattering
        if believed:
            spent = (*spent, name)
            if not _permitted(watch, name, state.since_ns, rules):
                losses.append(Loss(element=name, opened_ns=state.since_ns, confirmed_ns=confirmed_ns))
    newest_ns = max((loss.opened_ns for loss in losses), default=0)
    oldest_ns = max(newest_ns - window_ns, now_ns - window_ns - debounce_ns - rules.grace_ns)
    kept = sorted((loss for loss in losses if loss.opened_ns >= oldest_ns), key=lambda loss: (loss.opened_ns, loss.element))
    return replace(watch, spent=spent, losses=tuple(kept))


def _observability_judged(watch: TopologyWatch, rules: MarketRules, grid: Mapping[str, Element], found: list[Finding]) -> TopologyWatch:
    backbone = [name for name in grid if _counts(name, rules, grid)]
    if not backbone:
        return watch
    unseen = sorted(name for name, s in watch.elements.items() if s.unseen)
    seen_pct = 100.0 * (len(backbone) - len(unseen)) / len(backbone)
    low = seen_pct < rules.observability_pct
    if low and not watch.low_observability:
        what = f"{len(unseen)} of {len(backbone)} top-voltage elements unobserved ({seen_pct:.1f} % seen): {', '.join(unseen[:12])}"
        found.append(Noted(what="OBSERVABILITY_LOW", article="policy 1.5", evidence=(what,)))
    return replace(watch, low_observability=low)


def _condition_judged(watch: TopologyWatch, now_ns: int, rules: MarketRules, found: list[Finding], *, held: bool) -> TopologyWatch:
    if watch.standing and not any(watch.elements[name].open for name in watch.standing if name in watch.elements):
        found.append(ConditionGone(basis=Basis.TOPOLOGY_HARD, segment=Segment.RT, why="every element of the finding is closed again"))
        watch = replace(watch, standing=())
    if len(watch.losses) < rules.topology_hard.ehv_elements:
        return watch
    met_at_ns = max(loss.confirmed_ns for loss in watch.losses)
    if held or met_at_ns + rules.grace_ns > now_ns:
        return watch
    found.append(
        ConditionMet(
            basis=Basis.TOPOLOGY_HARD,
            segment=Segment.RT,
            met_at_ns=met_at_ns,
            article=_ARTICLE,
            evidence=_evidence(watch, rules),
            auto_allowed=not watch.low_observability,
        )
    )
    return replace(watch, standing=tuple(loss.element for loss in watch.losses), losses=())


def _evidence(watch: TopologyWatch, rules: MarketRules) -> tuple[str, ...]:
    first_ns, last_ns = watch.losses[0].opened_ns, watch.losses[-1].opened_ns
    names = ", ".join(loss.element for loss in watch.losses)
    minutes = (last_ns - first_ns) / NS_PER_MIN
    limit = f"limit {rules.topology_hard.ehv_elements} within {rules.topology_hard.ehv_window_min} min"
    lines = [f"{len(watch.losses)} top-voltage elements lost within {minutes:.1f} min ({limit}): {names}"]
    lines += [
        f"{loss.element}: OPEN since {clock_text(loss.opened_ns, rules.zone)}, flow below {rules.dead_flow_pct:g} % at both ends"
        for loss in watch.losses
    ]
    if watch.load_history:
        peak_mw = max(mw for _, mw in watch.load_history)
        lost_mw = peak_mw - watch.load_history[-1][1]
        lines.append(f"load lost within {rules.topology_hard.window_min} min: {lost_mw:.0f} MW of {peak_mw:.0f} MW")
    return tuple(lines)
