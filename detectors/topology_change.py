"""Has the grid lost so much of its backbone, unplanned, that the market cannot go on?

Theory of operation (spec §1.5, Art. 23(2)). An element of the top voltage counts as *lost* when its position is OPEN with GOOD
quality, has stood for the debounce time, and is corroborated by the flow: below 1 % of rating at both ends. It does not count when
a permit covers it, when it reclosed within ten seconds, while its position chatters (held as it was), or when its quality is
anything but GOOD (the last good position is held, and the element counts as unobserved; between open and closed is unobserved too).
What was open when it was first heard of was not lost while anybody watched. Three elements lost within fifteen minutes are a hard
topology change.

A loss becomes certain at an instant of its own, its confirmation, that follows from source times alone. The condition is met at the
confirmation that makes the third element, and is reported after the grace: what arrives until then and speaks of the time before
the confirmation still counts, and takes the loss back. What happens to the grid after it does not: neither a fourth loss nor a
line that is restored makes the three undone, so nothing is forgotten while a condition waits to be reported.

Only what deviates from *closed, good, carrying power* is remembered, so the state stays small however large the grid is. Instants
are source times: what counts is when the switch moved, not when we heard of it. What one element is and was lives in
:mod:`detectors.elements`.

Absent on purpose: soft evidence, islands and the loss of load as triggers (lost load is reported as evidence only), state estimation.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final

from detectors.elements import ElementState, confirmed_ns, with_flow, with_history, with_position
from detectors.findings import Basis, ConditionGone, ConditionMet, Finding, Noted
from market.facts import Fact, FlowReported, LoadReported, PermitGranted, PointQuality, Segment, SourceReported, SwitchReported, Ticked
from market.rules import MarketRules
from market.topology import Element, Topology
from market.units import NS_PER_MIN, NS_PER_S, clock_text

__all__ = ["Element", "Loss", "TopologyWatch", "next_deadline_ns", "observe", "still_open"]

_ARTICLE: Final = "Art. 23(2)"
_NAMED_MAX: Final = 12
"""Most elements that a notice or a piece of evidence names."""


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
        losses: losses not reported yet, by confirmation; all of them while a condition waits, else those of the last windows.
        standing: elements of the conditions reported so far that have been open ever since.
        spent: elements whose present opening was counted already, or was there before anybody watched.
        permits: (element, from, to) of planned outages.
        loads_mw: latest load by area.
        load_history: (instant, total MW), at most one a tick.
        low_observability: whether too few elements are observed for automatic action.
        scada_down: whether sight of the switches is lost.
        judge_after_ns: no judgement before this instant (back-fill after sight returned).
    """

    elements: dict[str, ElementState] = field(default_factory=dict)
    losses: tuple[Loss, ...] = ()
    standing: tuple[str, ...] = ()
    spent: tuple[str, ...] = ()
    permits: tuple[tuple[str, int, int], ...] = ()
    loads_mw: dict[str, float] = field(default_factory=dict)
    load_history: tuple[tuple[int, float], ...] = ()
    low_observability: bool = False
    scada_down: bool = False
    judge_after_ns: int = 0


def observe(
    watch: TopologyWatch, fact: Fact, rules: MarketRules, grid: Topology, *, held: bool = False
) -> tuple[TopologyWatch, tuple[Finding, ...]]:
    """Take in one fact.

    Args:
        watch: what is known so far.
        fact: any fact; those that say nothing about switches, flows, loads, permits or the sight of them change nothing.
        rules: the rule set in force.
        grid: every branch of the network model; reports on others, and on lower voltages, are ignored here.
        held: automatic action is held (suspect clock): a condition waits.

    Returns:
        What is known now, and what was found.
    """
    match fact:
        case SwitchReported(element=name, history=True) if _counts(name, rules, grid):
            return _history(watch, fact, rules), ()
        case SwitchReported(element=name) if _counts(name, rules, grid):
            return _position(watch, fact, rules)
        case FlowReported(element=name) if _counts(name, rules, grid):
            return _flow(watch, fact, rules), ()
        case LoadReported():
            return replace(watch, loads_mw={**watch.loads_mw, fact.area: fact.load_mw}), ()
        case PermitGranted(element=name, from_ns=from_ns, to_ns=to_ns) if (name, from_ns, to_ns) not in watch.permits:
            return replace(watch, permits=(*watch.permits, (name, from_ns, to_ns))), ()
        case SourceReported(name="scada", up=up) if up is watch.scada_down:
            return _sight(watch, fact, rules)
        case Ticked(ts_event_ns=now_ns):
            return _tick(watch, now_ns, rules, grid, held=held)
        case _:
            return watch, ()


def next_deadline_ns(watch: TopologyWatch, now_ns: int, rules: MarketRules) -> int | None:
    """Return the next instant after ``now_ns`` at which a tick could find something, or None while nothing is open."""
    pending = [confirmed_ns(state, rules) for name, state in watch.elements.items() if name not in watch.spent]
    if (met := _met(watch, rules)) is not None and not watch.scada_down:
        pending.append(max(met.confirmed_ns + rules.grace_ns, watch.judge_after_ns))
    return min((at for at in pending if at is not None and at > now_ns), default=None)


def still_open(watch: TopologyWatch) -> tuple[str, ...]:
    """Return the elements of the conditions reported so far that are open now, as far as is known, sorted."""
    return tuple(name for name in watch.standing if name in watch.elements and watch.elements[name].open)


def _counts(name: str, rules: MarketRules, grid: Topology) -> bool:
    return name in grid.elements and grid.elements[name].kv >= rules.top_voltage_kv


def _sight(watch: TopologyWatch, fact: SourceReported, rules: MarketRules) -> tuple[TopologyWatch, tuple[Finding, ...]]:
    """Sight of the switches was lost, or is back: then what was missed has one grace to arrive."""
    if fact.up:
        note = Noted(what="SCADA_UP", article="policy 1.2", evidence=("positions and flows are seen again",))
        return replace(watch, scada_down=False, judge_after_ns=fact.ts_event_ns + rules.grace_ns), (note,)
    note = Noted(what="SCADA_DOWN", article="policy 1.2", evidence=("positions and flows are not seen; no topology trip meanwhile",))
    return replace(watch, scada_down=True), (note,)


def _history(watch: TopologyWatch, fact: SwitchReported, rules: MarketRules) -> TopologyWatch:
    """Judge anew what is open of which history was heard: it opened earlier, or was closed in between."""
    before = watch.elements.get(fact.element, ElementState())
    state = with_history(before, fact, rules)
    watch = replace(watch, elements={**watch.elements, fact.element: state})
    if not state.open:
        return watch
    if state.since_ns <= before.since_ns:
        watch = _taken_back(watch, fact.element, fact.ts_source_ns)
    else:
        reclosed_ns = fact.ts_source_ns - rules.reclose_s * NS_PER_S
        watch = _taken_back(watch, fact.element, fact.ts_source_ns, opened_since_ns=reclosed_ns)
        watch = replace(watch, spent=tuple(name for name in watch.spent if name != fact.element))
    return _counted(watch, fact.element, fact.ts_event_ns, rules)


def _position(watch: TopologyWatch, fact: SwitchReported, rules: MarketRules) -> tuple[TopologyWatch, tuple[Finding, ...]]:
    # What was certain before the instant this report speaks of does not depend on a tick having come in between.
    watch = _counted(watch, fact.element, fact.ts_source_ns - 1, rules)
    before = watch.elements.get(fact.element, ElementState())
    state = with_position(before, fact, rules)
    if state is before:
        return watch, ()
    watch = replace(watch, elements={**watch.elements, fact.element: state})
    if before.open and not state.open:
        reclosed_ns = state.since_ns - rules.reclose_s * NS_PER_S
        watch = _taken_back(watch, fact.element, state.since_ns, opened_since_ns=reclosed_ns)
        watch = replace(watch, spent=tuple(name for name in watch.spent if name != fact.element))
    elif set(state.unseen) - set(before.unseen):
        # When quality was lost is when we were told: its source time is that of the last good value.
        watch = _taken_back(watch, fact.element, fact.ts_source_ns if fact.quality is PointQuality.GOOD else fact.ts_event_ns)
    elif state.open and not before.open and (fact.initial or fact.end in before.awaited):
        watch = replace(watch, spent=(*watch.spent, fact.element))
    watch = _counted(watch, fact.element, fact.ts_event_ns, rules)
    if state.held_until_ns > before.held_until_ns <= fact.ts_source_ns:
        what = f"{fact.element}: {len(state.moves_ns)} changes within 60 s; position held"
        return watch, (Noted(what="CHATTERING", article="policy 1.5", evidence=(what,)),)
    return watch, ()


def _flow(watch: TopologyWatch, fact: FlowReported, rules: MarketRules) -> TopologyWatch:
    watch = _counted(watch, fact.element, fact.ts_source_ns - 1, rules)
    before = watch.elements.get(fact.element, ElementState())
    state = with_flow(before, fact, rules)
    watch = replace(watch, elements={**watch.elements, fact.element: state})
    if before.dead_since_ns is not None and state.dead_since_ns is None:
        watch = _taken_back(watch, fact.element, fact.ts_source_ns)
    return _counted(watch, fact.element, fact.ts_event_ns, rules)


def _counted(watch: TopologyWatch, name: str, until_ns: int, rules: MarketRules) -> TopologyWatch:
    """Count an element as lost if that is certain at ``until_ns``, and only once an opening."""
    state = watch.elements.get(name)
    if state is None or name in watch.spent:
        return watch
    certain_ns = confirmed_ns(state, rules)
    if certain_ns is None or certain_ns > until_ns:
        return watch
    losses = (*watch.losses, Loss(element=name, opened_ns=state.since_ns, confirmed_ns=certain_ns))
    ordered = sorted(losses, key=lambda loss: (loss.confirmed_ns, loss.opened_ns, loss.element))
    return replace(watch, spent=(*watch.spent, name), losses=tuple(ordered))


def _taken_back(watch: TopologyWatch, name: str, at_ns: int, *, opened_since_ns: int | None = None) -> TopologyWatch:
    """Undo the counting of a loss that was not certain after all: at ``at_ns``, before its confirmation, something spoke against it.

    Args:
        opened_since_ns: where it reclosed, also losses that began at this instant or later: the reclosing was successful.
    """

    def stands(loss: Loss) -> bool:
        reclosed = opened_since_ns is not None and loss.opened_ns >= opened_since_ns
        return loss.element != name or not (at_ns <= loss.confirmed_ns or reclosed)

    kept = tuple(loss for loss in watch.losses if stands(loss))
    if kept == watch.losses:
        return watch
    return replace(watch, losses=kept, spent=tuple(spent for spent in watch.spent if spent != name))


def _tick(
    watch: TopologyWatch, now_ns: int, rules: MarketRules, grid: Topology, *, held: bool
) -> tuple[TopologyWatch, tuple[Finding, ...]]:
    found: list[Finding] = []
    watch = _load_sampled(watch, now_ns, rules)
    for name in sorted(watch.elements):
        watch = _counted(watch, name, now_ns, rules)
    watch = _observability_judged(watch, rules, grid, found)
    if watch.standing and not still_open(watch):
        found.append(ConditionGone(basis=Basis.TOPOLOGY_HARD, segment=Segment.RT, why="every element of the finding is closed again"))
    watch = replace(watch, standing=still_open(watch))
    if not held and not watch.scada_down and now_ns >= watch.judge_after_ns:
        while (met := _met(watch, rules)) is not None and met.confirmed_ns + rules.grace_ns <= now_ns:
            watch = _condition_reported(watch, met, rules, found)
    return _forgotten(watch, now_ns, rules), tuple(found)


def _load_sampled(watch: TopologyWatch, now_ns: int, rules: MarketRules) -> TopologyWatch:
    if not watch.loads_mw:
        return watch
    since_ns = now_ns - rules.topology_hard.window_min * NS_PER_MIN
    kept = tuple(entry for entry in watch.load_history if since_ns <= entry[0] < now_ns)
    return replace(watch, load_history=(*kept, (now_ns, sum(watch.loads_mw.values()))))


def _permitted(watch: TopologyWatch, loss: Loss, rules: MarketRules) -> bool:
    margin_ns = rules.permit_margin_min * NS_PER_MIN
    return any(
        name == loss.element and from_ns - margin_ns <= loss.opened_ns <= to_ns + margin_ns for name, from_ns, to_ns in watch.permits
    )


def _met(watch: TopologyWatch, rules: MarketRules) -> Loss | None:
    """Return the loss whose confirmation met the condition, or None: enough elements, unplanned, that opened within the window."""
    window_ns, enough = rules.topology_hard.ehv_window_min * NS_PER_MIN, rules.topology_hard.ehv_elements
    certain: list[Loss] = []
    for loss in watch.losses:
        if _permitted(watch, loss, rules):
            continue
        certain.append(loss)
        for first in certain:
            within = [other for other in certain if 0 <= other.opened_ns - first.opened_ns <= window_ns]
            if loss in within and len({other.element for other in within}) >= enough:
                return loss
    return None


def _condition_reported(watch: TopologyWatch, met: Loss, rules: MarketRules, found: list[Finding]) -> TopologyWatch:
    """Report the condition with every element that was certainly lost when it is decided; later losses may make the next one."""
    window_ns = rules.topology_hard.ehv_window_min * NS_PER_MIN
    known = [loss for loss in watch.losses if loss.confirmed_ns <= met.confirmed_ns + rules.grace_ns]
    near = [loss for loss in known if abs(loss.opened_ns - met.opened_ns) <= window_ns and not _permitted(watch, loss, rules)]
    lost = sorted({loss.element: loss for loss in near}.values(), key=lambda loss: (loss.opened_ns, loss.element))
    evidence, details = _evidence(watch, lost, rules)
    found.append(
        ConditionMet(
            basis=Basis.TOPOLOGY_HARD,
            segment=Segment.RT,
            met_at_ns=met.confirmed_ns,
            article=_ARTICLE,
            evidence=evidence,
            auto_allowed=not watch.low_observability,
            details=details,
        )
    )
    standing = sorted({*watch.standing, *(loss.element for loss in lost)})
    return replace(watch, standing=tuple(standing), losses=tuple(loss for loss in watch.losses if loss not in known))


def _evidence(watch: TopologyWatch, lost: list[Loss], rules: MarketRules) -> tuple[tuple[str, ...], dict[str, str]]:
    """Put a condition into words: numbered facts for the record, and what a notice must name."""
    minutes = (lost[-1].opened_ns - lost[0].opened_ns) / NS_PER_MIN
    limit = f"limit {rules.topology_hard.ehv_elements} within {rules.topology_hard.ehv_window_min} min"
    names = ", ".join(loss.element for loss in lost[:_NAMED_MAX]) + (" …" if len(lost) > _NAMED_MAX else "")
    lines = [f"{len(lost)} top-voltage elements lost within {minutes:.1f} min ({limit}): {names}"]
    lines += [
        f"{loss.element}: OPEN since {clock_text(loss.opened_ns, rules.zone)}, flow below {rules.dead_flow_pct:g} % at both ends"
        for loss in lost[:_NAMED_MAX]
    ]
    details = {"elements": names}
    if watch.load_history:
        peak_mw = max(mw for _, mw in watch.load_history)
        lost_mw = peak_mw - watch.load_history[-1][1]
        lines.append(f"load lost within {rules.topology_hard.window_min} min: {lost_mw:.0f} MW of {peak_mw:.0f} MW")
        details |= {"load_lost_mw": f"{lost_mw:.0f}", "load_before_mw": f"{peak_mw:.0f}"}
    return tuple(lines), details


def _observability_judged(watch: TopologyWatch, rules: MarketRules, grid: Topology, found: list[Finding]) -> TopologyWatch:
    backbone = [name for name in grid.elements if _counts(name, rules, grid)]
    if not backbone:
        return watch
    unseen = sorted(name for name, s in watch.elements.items() if s.unseen)
    seen_pct = 100.0 * (len(backbone) - len(unseen)) / len(backbone)
    low = seen_pct < rules.observability_pct
    if low and not watch.low_observability:
        what = f"{len(unseen)} of {len(backbone)} top-voltage elements unobserved ({seen_pct:.1f} % seen): {', '.join(unseen[:12])}"
        found.append(Noted(what="OBSERVABILITY_LOW", article="policy 1.5", evidence=(what,)))
    return replace(watch, low_observability=low)


def _forgotten(watch: TopologyWatch, now_ns: int, rules: MarketRules) -> TopologyWatch:
    """Drop what can decide nothing any more."""
    kept_ns = now_ns - 2 * rules.topology_hard.ehv_window_min * NS_PER_MIN
    margin_ns = rules.permit_margin_min * NS_PER_MIN
    elements = {name: state for name, state in watch.elements.items() if not state.quiet(now_ns, rules)}
    waiting = _met(watch, rules) is not None
    return replace(
        watch,
        elements=elements if len(elements) < len(watch.elements) else watch.elements,
        spent=tuple(name for name in watch.spent if name in elements and elements[name].open),
        losses=watch.losses if waiting else tuple(loss for loss in watch.losses if loss.opened_ns >= kept_ns),
        permits=watch.permits if waiting else tuple(p for p in watch.permits if p[2] + margin_ns >= kept_ns),
    )
