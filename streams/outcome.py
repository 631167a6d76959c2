"""What follows from a clearing: the outcome itself, what the breaker is told of it, and the schedule that control and figures go by.

Pure, and used by the agent and by the replay alike, so that what is computed again is what was computed.
"""

from __future__ import annotations

from dataclasses import replace
from math import inf
from typing import Any, Final, TypeGuard

import numpy as np

from market.credibility import Reference, believed, reference_of
from market.day_ahead import DayAhead, clear_day_ahead
from market.engine import ClearingEngine, Mode
from market.errors import CaseError
from market.facts import ClearingReported, ClearingStatus, Segment
from market.gates import judged
from market.outcomes import Cleared, ClearingFailed, ClearingInputs, FailureReason, Outcome, OutcomeStatus
from market.prices import settled_price
from market.rules import MarketRules
from market.unitcommitment import OnProgress
from market.units import day_start_ns
from streams.clearing import DayAheadPlan, DayAheadWanted, plan_of
from streams.marketmodel import MarketModel

__all__ = [
    "OUTSIDE",
    "clearing_records",
    "day_ahead_records",
    "day_ahead_result",
    "eased",
    "from_before",
    "from_outside",
    "held_against",
    "marked",
    "refused",
    "reported",
    "solved",
    "timed",
    "told_before",
    "warm_gap",
]

OUTSIDE: Final = (FailureReason.SOLVER_TIMEOUT, FailureReason.SOLVER_STATUS)
"""Failures that depend on more than the inputs: how fast the machine was, whether the engine answered at all."""


def from_outside(outcome: Outcome) -> TypeGuard[ClearingFailed]:
    """Whether the inputs do not explain an outcome, so that it is taken as recorded and never computed again."""
    return isinstance(outcome, ClearingFailed) and outcome.reason in OUTSIDE


def from_before(outcome: Outcome) -> TypeGuard[ClearingFailed]:
    """Whether an outcome is what it is because of the result before it."""
    return isinstance(outcome, ClearingFailed) and outcome.reason is FailureReason.PRICE_NOT_CREDIBLE


def refused(inputs: ClearingInputs, rules: MarketRules) -> ClearingFailed | None:
    """Return the failure of inputs that no price may be made of, or None."""
    judgement = judged(inputs, rules)
    if judgement.refused is None:
        return None
    reason, detail = judgement.refused
    return ClearingFailed(interval_start_ns=inputs.interval_start_ns, completed_at_ns=inputs.frozen_at_ns, reason=reason, detail=detail)


def marked(outcome: Outcome, inputs: ClearingInputs, rules: MarketRules) -> Outcome:
    """Return an outcome with what the quality of its inputs says of it; its hashes are those of what the engine computed."""
    if not isinstance(outcome, Cleared) or outcome.status is not OutcomeStatus.OK or not judged(inputs, rules).degraded:
        return outcome
    return replace(outcome, status=OutcomeStatus.OK_DEGRADED)


def held_against(outcome: Outcome, inputs: ClearingInputs, last: Reference | None, model: MarketModel) -> tuple[Outcome, Reference | None]:
    """Return an outcome as it is believed, and what the next one is held against; None where it is none to hold it against."""
    if not isinstance(outcome, Cleared):
        return outcome, None
    now = reference_of(outcome, inputs, model.ties)
    # What is cleared late, or again, is no measure for the intervals after it.
    newer = last is None or now.interval_start_ns > last.interval_start_ns
    return believed(outcome, now, last, model.grid.rules), now if newer else None


def told_before(outcome: Outcome, failed: ClearingFailed | None, review: tuple[str, ...]) -> Outcome:
    """Return an outcome as it was told before: what it was held against then is not known any more."""
    if failed is not None:
        return failed
    return replace(outcome, review=review) if isinstance(outcome, Cleared) else outcome


def timed(outcome: Outcome, completed_at_ns: int, inputs: ClearingInputs) -> Outcome:
    """Return an outcome with when it was completed and when its inputs were frozen."""
    return replace(outcome, completed_at_ns=completed_at_ns, frozen_at_ns=inputs.frozen_at_ns)


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


def warm_gap(engine: ClearingEngine, inputs: ClearingInputs, official: Cleared) -> tuple[float, str]:
    """Clear inputs once more from the last answer, and say how far that is from the official result.

    Returns:
        The relative difference of the objectives, penalties included, >= 0, infinite where the warm run found nothing; and why it did not.
    """
    warm = engine.clear(inputs, completed_at_ns=official.completed_at_ns, mode=Mode.ADVISORY)
    if isinstance(warm, ClearingFailed):
        return inf, f"{warm.reason}: {warm.detail}"
    cost, warm_cost = (each.objective_per_h + each.penalty_per_h for each in (official, warm))
    return abs(warm_cost - cost) / max(abs(cost), 1.0), ""


def eased(outcome: Outcome) -> Outcome:
    """Return what an engine made that was told of no outage as what it is: a degraded one."""
    if not isinstance(outcome, Cleared):
        return outcome
    status = OutcomeStatus.OK_DEGRADED if outcome.status is OutcomeStatus.OK else outcome.status
    return replace(outcome, status=status, eased=True)


def clearing_records(outcome: Outcome, inputs: ClearingInputs, model: MarketModel) -> list[Any]:
    """Return what is sent of a completed clearing: the outcome, what the breaker is told, and where it cleared the schedule."""
    records: list[Any] = [outcome, reported(outcome)]
    if isinstance(outcome, Cleared):
        engine = model.engine
        storage_bus = {storage.id: storage.bus for storage in engine.participants.storages.storages}
        records.append(plan_of(outcome, inputs, engine.book, model.area_of_bus, model.grid.rules, storage_bus))
    return records


def day_ahead_result(wanted: DayAheadWanted, model: MarketModel, on_progress: OnProgress | None = None) -> DayAhead | ClearingFailed:
    """Make the day-ahead result that was asked for; takes seconds, and tells ``on_progress`` how far it is."""
    assert model.case is not None, "a day-ahead result is only asked for where there is a series to make it from"
    start_ns = day_start_ns(wanted.day, model.grid.rules.zone)
    return clear_day_ahead(model.case, model.params, start_ns=start_ns, completed_at_ns=wanted.ts_event_ns, on_progress=on_progress)


def reported(outcome: Outcome) -> ClearingReported:
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
        review=outcome.review if isinstance(outcome, Cleared) else (),
    )


def day_ahead_records(wanted: DayAheadWanted, result: DayAhead | ClearingFailed, model: MarketModel, now_ns: int) -> list[Any]:
    """Return what is sent of a day-ahead result completed at ``now_ns``: plan and report, or the report that there is none."""
    start_ns = day_start_ns(wanted.day, model.grid.rules.zone)
    if isinstance(result, ClearingFailed):
        failed = replace(result, interval_start_ns=start_ns, completed_at_ns=now_ns)
        return [replace(reported(failed), segment=Segment.DA)]
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
