"""The market as people see it: derived from the breaker's state at its own time, never stored as truth."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from detectors import failed_clearing
from market import approvals, caseorders, duties, notices
from market.prices import Regime
from market.regimes import guidance
from market.rulebook import RulesInForce
from market.segment import SegmentState
from market.units import NS_PER_S
from market.view import MarketView, SegmentView
from streams.breakerstate import BreakerState
from streams.interruptions import interruptions
from streams.turn import out, rules_of

__all__ = ["view"]


def view(state: BreakerState, rules: RulesInForce) -> MarketView:
    """Derive what people see at the state's own time."""
    rt_rules, _, _ = rules_of(state, rules)
    headroom_ns = 0 if out(state.rt) else failed_clearing.headroom_ns(state.watch, state.now_ns, rt_rules)
    flags = ("BLIND",) * state.watch.blind + ("CLOCK_SUSPECT",) * state.clock_suspect
    rt = _segment_view(state.rt, None if headroom_ns is None else headroom_ns / NS_PER_S, len(state.watch.unserved), flags)
    current = state.book.current
    return MarketView(
        ts_event_ns=state.now_ns,
        segments=(rt, _day_ahead_view(state)),
        last_valid_at_ns=state.watch.last_valid_at_ns,
        regime=current.regime if current else Regime.GAP,
        price_cny_per_mwh=current.price_cny_per_mwh if current else None,
        price_interval_ns=current.interval_start_ns if current else None,
        rule_set=rt_rules.id,
        rt_limit_s=rt_rules.rt_limit_ns // NS_PER_S,
        rt_interval_s=rt_rules.rt_interval_ns // NS_PER_S,
        duties=duties.view(state.duties, state.now_ns),
        approvals=approvals.view(state.approvals),
        cases=caseorders.view(state.cases, partial(duties.open_for, state.duties)),
        notices=notices.view(state.notices),
        warnings=state.warnings,
        guidance=guidance(interruptions((state.rt, state.da), (state.rt, state.da)), state.now_ns),
    )


def _segment_view(state: SegmentState, headroom_s: float | None, failed: int, flags: tuple[str, ...]) -> SegmentView:
    return SegmentView(
        segment=state.segment,
        phase=state.phase,
        version=state.version,
        basis=state.basis,
        outage_start_ns=state.outage_start_ns,
        headroom_s=headroom_s,
        condition_met_at_ns=state.condition.met_at_ns if state.condition else None,
        tripped_at_ns=state.tripped_at_ns,
        effective_from_ns=state.effective_from_ns,
        failed_intervals=failed,
        shadow_ok=state.shadow_ok,
        flags=flags,
        operating_day=state.operating_day,
        cause=state.cause,
        proposed_by=state.proposed_by,
        suspended_from_ns=state.suspended_from_ns,
        expected_end_ns=state.expected_end_ns,
    )


def _day_ahead_view(state: BreakerState) -> SegmentView:
    shown, said = _segment_view(state.da, None, 0, ()), state.expected
    if said is None:
        return shown
    return replace(shown, expected_p50_ns=said.p50_ns, expected_p90_ns=said.p90_ns, outlook=str(said.outlook or ""))
