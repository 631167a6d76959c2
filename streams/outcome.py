"""What follows from a clearing: the outcome itself, what the breaker is told of it, and the schedule that control and figures go by.

Pure, and used by the agent and by the replay alike, so that what is computed again is what was computed.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from market.day_ahead import DayAhead, clear_day_ahead
from market.engine import ClearingEngine
from market.errors import CaseError
from market.facts import ClearingReported, ClearingStatus, Segment
from market.outcomes import Cleared, ClearingFailed, ClearingInputs, FailureReason, Outcome
from market.prices import settled_price
from market.unitcommitment import OnProgress
from market.units import day_start_ns
from streams.clearing import DayAheadPlan, DayAheadWanted, plan_of
from streams.marketmodel import MarketModel

__all__ = ["clearing_records", "day_ahead_records", "day_ahead_result", "solved"]


def solved(engine: ClearingEngine, inputs: ClearingInputs) -> Outcome:
    """Clear frozen inputs; inputs that cannot be used, and an engine that breaks on them, are failures with a reason like any other."""
    try:
        return engine.clear(inputs, completed_at_ns=inputs.frozen_at_ns)
    except CaseError as exc:
        return ClearingFailed(
            interval_start_ns=inputs.interval_start_ns,
            completed_at_ns=inputs.frozen_at_ns,
            reason=FailureReason.INPUT_INVALID,
            detail=str(exc),
        )
    except (AssertionError, ArithmeticError, LookupError, RuntimeError, ValueError) as exc:
        # A defect of the engine costs its interval; dying of it would replay the same inputs for ever, and the breaker with them.
        return ClearingFailed(
            interval_start_ns=inputs.interval_start_ns,
            completed_at_ns=inputs.frozen_at_ns,
            reason=FailureReason.SOLVER_STATUS,
            detail=f"the engine failed on these inputs by a defect of its own: {exc!r}",
        )


def clearing_records(outcome: Outcome, inputs: ClearingInputs, model: MarketModel) -> list[Any]:
    """Return what is sent of a completed clearing: the outcome, what the breaker is told, and where it cleared the schedule."""
    records: list[Any] = [outcome, _reported(outcome)]
    if isinstance(outcome, Cleared):
        records.append(plan_of(outcome, inputs, model.engine.book, model.area_of_bus, model.grid.rules))
    return records


def day_ahead_result(wanted: DayAheadWanted, model: MarketModel, on_progress: OnProgress | None = None) -> DayAhead | ClearingFailed:
    """Make the day-ahead result that was asked for; takes seconds, and tells ``on_progress`` how far it is."""
    assert model.case is not None, "a day-ahead result is only asked for where there is a series to make it from"
    start_ns = day_start_ns(wanted.day, model.grid.rules.zone)
    return clear_day_ahead(model.case, model.params, start_ns=start_ns, completed_at_ns=wanted.ts_event_ns, on_progress=on_progress)


def _reported(outcome: Outcome) -> ClearingReported:
    """Return what the breaker is told of an outcome."""
    cleared = isinstance(outcome, Cleared)
    return ClearingReported(
        ts_event_ns=outcome.completed_at_ns,
        segment=Segment.RT,
        interval_start_ns=outcome.interval_start_ns,
        status=ClearingStatus.OK if cleared else ClearingStatus.FAILED,
        completed_at_ns=outcome.completed_at_ns,
        version=outcome.version,
        price_cny_per_mwh=(settled_price(outcome.uniform_price_per_mwh),) if isinstance(outcome, Cleared) else (),
        reason="" if isinstance(outcome, Cleared) else f"{outcome.reason}: {outcome.detail}",
    )


def day_ahead_records(wanted: DayAheadWanted, result: DayAhead | ClearingFailed, model: MarketModel, now_ns: int) -> list[Any]:
    """Return what is sent of a day-ahead result completed at ``now_ns``: plan and report, or the report that there is none."""
    start_ns = day_start_ns(wanted.day, model.grid.rules.zone)
    if isinstance(result, ClearingFailed):
        failed = replace(result, interval_start_ns=start_ns, completed_at_ns=now_ns)
        return [replace(_reported(failed), segment=Segment.DA)]
    plan = DayAheadPlan(
        ts_event_ns=now_ns,
        day=wanted.day,
        # Units are switched by the hour; four times the same would be as much again in every state that holds the plan.
        units_on=tuple(tuple(sorted(np.array(result.unit_ids)[on].tolist())) for on in result.committed_by_hour),
        uniform_price_cny_per_mwh=tuple(result.uniform_price_per_mwh.tolist()),
        load_mw=tuple(result.load_mw.tolist()),
        wind_solar_mw=tuple(result.wind_solar_mw.tolist()),
    )
    report = ClearingReported(
        ts_event_ns=now_ns,
        segment=Segment.DA,
        interval_start_ns=start_ns,
        status=ClearingStatus.OK,
        completed_at_ns=now_ns,
        price_cny_per_mwh=tuple(settled_price(float(price)) for price in result.hourly_price_per_mwh),
    )
    return [plan, report]
