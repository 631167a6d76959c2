"""Is a result credible, held against the last valid one? A dispatch can be optimal and proven, and of inputs that are manifestly wrong.

Three things are compared: bus prices, flows between areas, and what a MW of load costs. A price that leaps is no proof of anything: in
shortage it goes to its cap, and rightly so. So a step into or out of priced violations is none, nor is a flow that changed with the
switches. What is left is doubt, not failure, unless the rules say so (:class:`market.rules.Credibility`).

A result that was refused is held against nobody; after ``reference_min`` without a valid one the market is believed again.

Deliberately absent: what makes a result valid at all (certificate, cap and floor, :mod:`detectors.failed_clearing`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from market.outcomes import Cleared, ClearingFailed, ClearingInputs, FailureReason, Outcome
from market.rules import Credibility, Doubt, MarketRules
from market.units import NS_PER_MIN, clock_text

__all__ = ["Reference", "believed", "doubts", "reference_of"]

_BUSES_MAX = 5_000
"""Prices that are remembered: of a larger network every second, third or fourth bus, which tells a share as well."""
_NEXT_TO_NOTHING_PER_MWH = 1.0
"""A ratio to less than this says nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """What is remembered of a valid result.

    Attributes:
        lmp_per_mwh: price by bus.
        tie_mw: flow between two areas, positive from the first to the second named, by ``first-second``.
        cost_per_mwh: objective over load; None without load.
        load_mw: system load.
        out_of_service: branches that were open.
        violated: whether limits were, at their penalty.
    """

    interval_start_ns: int
    lmp_per_mwh: dict[str, float]
    tie_mw: dict[str, float]
    cost_per_mwh: float | None
    load_mw: float
    out_of_service: tuple[str, ...] = ()
    violated: bool = False


def reference_of(cleared: Cleared, inputs: ClearingInputs, ties: Mapping[str, tuple[str, str]]) -> Reference:
    """Take from a result what the next one is held against.

    Args:
        ties: branches between areas, with the area at each end, in the direction their flow counts.
    """
    tie_mw: dict[str, float] = {}
    for branch, (first, second) in ties.items():
        forward = first < second
        pair = f"{first}-{second}" if forward else f"{second}-{first}"
        flow_mw = cleared.flow_mw.get(branch, 0.0)
        tie_mw[pair] = tie_mw.get(pair, 0.0) + (flow_mw if forward else -flow_mw)
    load_mw = sum(inputs.load_mw.values())
    buses = sorted(cleared.lmp_per_mwh)
    return Reference(
        interval_start_ns=cleared.interval_start_ns,
        lmp_per_mwh={bus: cleared.lmp_per_mwh[bus] for bus in buses[:: -(-len(buses) // _BUSES_MAX) or 1]},
        tie_mw=tie_mw,
        cost_per_mwh=cleared.objective_per_h / load_mw if load_mw > 0 else None,
        load_mw=load_mw,
        out_of_service=inputs.out_of_service,
        violated=bool(cleared.violations),
    )


def doubts(now: Reference, last: Reference | None, rules: MarketRules) -> tuple[str, ...]:
    """Say what speaks against a result; nothing where there is none to hold it against.

    Args:
        now: taken from the result.
        last: taken from the last valid one, None where there is none.
    """
    bounds = rules.credibility
    if bounds.doubt is Doubt.IGNORE or last is None or not 0 < now.interval_start_ns - last.interval_start_ns <= _age_ns(bounds):
        return ()
    before = clock_text(last.interval_start_ns, rules.zone)
    found: list[str] = []
    # Of a shortage the way back is as steep as the way there.
    if not (now.violated or last.violated):
        found += [f"{what} since {before}" for what in (_prices(now, last, bounds), _cost(now, last, bounds)) if what]
    if now.out_of_service == last.out_of_service:
        found += [f"{what} since {before}" for what in [_flows(now, last, bounds)] if what]
    return tuple(found)


def believed(outcome: Outcome, now: Reference, last: Reference | None, rules: MarketRules) -> Outcome:
    """Return an outcome as the rules take it: as it is, under review, or as a failure."""
    if not isinstance(outcome, Cleared) or not (found := doubts(now, last, rules)):
        return outcome
    if rules.credibility.doubt is Doubt.REVIEW:
        return replace(outcome, review=found)
    return ClearingFailed(
        interval_start_ns=outcome.interval_start_ns,
        completed_at_ns=outcome.completed_at_ns,
        reason=FailureReason.PRICE_NOT_CREDIBLE,
        detail=f"{'; '.join(found)}; check telemetry and offers; where the market did move, set credibility.doubt to review",
        version=outcome.version,
    )


def _age_ns(bounds: Credibility) -> int:
    return round(bounds.reference_min * NS_PER_MIN)


def _prices(now: Reference, last: Reference, bounds: Credibility) -> str:
    both = [bus for bus in now.lmp_per_mwh if bus in last.lmp_per_mwh]
    moved = [bus for bus in both if _leapt(now.lmp_per_mwh[bus], last.lmp_per_mwh[bus], bounds)]
    if not both or len(moved) * 100.0 < bounds.buses_pct * len(both):
        return ""
    worst = max(moved, key=lambda bus: abs(now.lmp_per_mwh[bus] - last.lmp_per_mwh[bus]))
    steps = f"{last.lmp_per_mwh[worst]:.2f} to {now.lmp_per_mwh[worst]:.2f} CNY/MWh"
    return f"prices of {len(moved)} of {len(both)} buses leapt, at bus {worst} from {steps},"


def _leapt(price: float, before: float, bounds: Credibility) -> bool:
    low, high = sorted((abs(price), abs(before)))
    apart = abs(price - before) > bounds.price_step_cny_per_mwh
    return apart and (price * before < 0.0 or high > bounds.price_ratio * max(low, _NEXT_TO_NOTHING_PER_MWH))


def _cost(now: Reference, last: Reference, bounds: Credibility) -> str:
    if now.cost_per_mwh is None or last.cost_per_mwh is None:
        return ""
    low, high = sorted((now.cost_per_mwh, last.cost_per_mwh))
    if low <= _NEXT_TO_NOTHING_PER_MWH or high <= bounds.cost_ratio * low:
        return ""
    return f"the cost of a MWh went from {last.cost_per_mwh:.2f} to {now.cost_per_mwh:.2f} CNY"


def _flows(now: Reference, last: Reference, bounds: Credibility) -> str:
    step_mw = {pair: mw - last.tie_mw[pair] for pair, mw in now.tie_mw.items() if pair in last.tie_mw}
    worst = max(sorted(step_mw), key=lambda pair: abs(step_mw[pair]), default=None)
    if worst is None or abs(step_mw[worst]) * 100.0 <= bounds.tie_step_pct * max(now.load_mw, last.load_mw):
        return ""
    return f"the flow between areas {worst} went from {last.tie_mw[worst]:,.0f} to {now.tie_mw[worst]:,.0f} MW"
