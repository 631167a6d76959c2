"""What does tomorrow look like: which units run, what do they make, and what will a MWh cost in each quarter of an hour?

Three steps, as the provincial rules have them:

    1. unit commitment (:mod:`market.unitcommitment`), by the hour;
    2. dispatch of the 96 quarters with that commitment, period after period with the engine of the real-time market: each ramps from
       the one before and sees an hour or two ahead, the first takes each unit's whole range because nobody says what came before it;
    3. prices of the same clearings. What users pay for an hour is the mean of its four quarters.

The series are hourly means. Between them load and weather move smoothly, and each hour keeps its energy (:func:`quarters`).

Absent on purpose: dispatch of the whole day in one program. What a quarter does is felt as far as ramps reach, and no further.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from scipy.interpolate import PchipInterpolator

from market.engine import ClearingEngine
from market.errors import CaseError
from market.grid import BoolArray, Convention, FloatArray, Topology
from market.outcomes import Cleared, ClearingFailed, ClearingInputs, FailureReason, PeriodAhead
from market.params import ClearingParams
from market.progress import Phase, Progress
from market.rts_gmlc import RtsCase
from market.unitcommitment import CommitmentInputs, CommitmentParams, Committed, NotCommitted, OnProgress, commit_units
from market.units import NS_PER_MIN

__all__ = ["PERIODS", "QUICK", "THOROUGH", "DayAhead", "DayAheadParams", "clear_day_ahead", "dispatch_day", "quarters"]

PERIODS = 96
_PER_HOUR = 4
_HOURS = PERIODS // _PER_HOUR
_PERIOD_MIN = 15


@dataclass(frozen=True, slots=True, kw_only=True)
class DayAheadParams:
    """How the units of the day are chosen and dispatched.

    Attributes:
        commitment: when the search is over, and what violations cost.
        by_quarters: whether the commitment is planned with the 96 quarters, ramps and climbs included, or with the 24 hours.
        periods_ahead: quarters after its own that the dispatch of each quarter sees.
    """

    commitment: CommitmentParams
    by_quarters: bool
    periods_ahead: int


QUICK = DayAheadParams(commitment=CommitmentParams(gap=0.01, nodes_max=0, line_share=0.95), by_quarters=False, periods_ahead=4)
"""By the hour, within a per cent of the least cost: a second or two for the shipped day, because a service that has just started waits
for it. It does not see what happens within an hour, so it plans with 95 % of each line's limit: all 288 five-minute intervals of the
shipped day then clear without shedding load or overloading a line; with all of it, one of them overloads a line by 7 MW. An hour ahead
every switching is seen before it comes; of the shipped day, half an hour costs the same, and two hours do too."""

THOROUGH = DayAheadParams(commitment=CommitmentParams(), by_quarters=True, periods_ahead=8)
"""By quarters, to a tenth of a per cent or as far as the limits on work allow: minutes, so for where nobody waits."""


@dataclass(frozen=True, kw_only=True, eq=False)
class DayAhead:
    """The day-ahead result.

    Attributes:
        start_ns: start of the operating day, UTC ns.
        unit_ids: (nu,) units, sorted.
        bus_ids: (nb,) buses.
        committed: (96, nu) whether each unit is on.
        dispatch_mw: (96, nu) base points, MW.
        lmp_per_mwh: (96, nb) bus prices; NaN at a dead bus.
        uniform_price_per_mwh: (96,) load-weighted mean prices.
        load_mw: (96,) forecast system load the day was made for, MW.
        wind_solar_mw: (96,) forecast of what wind and sun can give together, MW.
        nature_ids: (nr,) units that nature limits, sorted.
        nature_mw: (96, nr) forecast of what each of them can give, MW.
        periods: the 96 outcomes they were read from.
        commitment_gap: how far above the least cost the commitment may be, relative.
    """

    start_ns: int
    unit_ids: tuple[str, ...]
    bus_ids: tuple[str, ...]
    committed: BoolArray
    dispatch_mw: FloatArray
    lmp_per_mwh: FloatArray
    uniform_price_per_mwh: FloatArray
    load_mw: FloatArray
    wind_solar_mw: FloatArray
    nature_ids: tuple[str, ...]
    nature_mw: FloatArray
    periods: tuple[Cleared, ...]
    commitment_gap: float = 0.0

    @property
    def hourly_price_per_mwh(self) -> FloatArray:
        """(24,) what users pay: the mean of each hour's quarters."""
        hourly: FloatArray = self.uniform_price_per_mwh.reshape(_HOURS, _PER_HOUR).mean(axis=1)
        return hourly

    @property
    def committed_by_hour(self) -> BoolArray:
        """(24, nu) whether each unit is on; units are switched at full hours."""
        return self.committed[::_PER_HOUR]

    def available_mw(self, period: int) -> dict[str, float]:
        """Return what each unit that nature limits can give in a period (counted from 0) by the forecast, MW."""
        return dict(zip(self.nature_ids, self.nature_mw[period].tolist(), strict=True))

    def units_off(self, period: int) -> tuple[str, ...]:
        """Return the units that are not committed in a period (counted from 0), sorted."""
        return tuple(name for name, on in zip(self.unit_ids, self.committed[period], strict=True) if not on)


def quarters(hourly: FloatArray) -> FloatArray:
    """Return (96, …) quarter-hourly means of (24, …) hourly means of 0 or more.

    The energy since midnight is interpolated by monotone cubics (Fritsch and Carlson, SIAM J. Numerical Analysis 17(2), 1980), so each
    hour keeps its energy, nothing is below 0, and no hour begins with a jump.

    >>> quarters(np.full(24, 7.0))[:2].round(9).tolist()
    [7.0, 7.0]
    """
    # Less than a milliwatt is nothing: the interpolation divides by the slopes.
    counted = np.where(hourly < 1e-9, 0.0, hourly)
    energy = np.concatenate([np.zeros((1, *hourly.shape[1:])), np.cumsum(counted, axis=0)])
    curve = PchipInterpolator(np.arange(_HOURS + 1), energy)
    found: FloatArray = np.diff(curve(np.arange(PERIODS + 1) / _PER_HOUR), axis=0) * _PER_HOUR
    return np.maximum(found, 0.0)


@dataclass(frozen=True, eq=False)
class _Forecast:
    """Load by bus (96, nb) and what nature offers by unit (96, nr), MW."""

    load_mw: FloatArray
    available_mw: FloatArray


def _forecast(case: RtsCase) -> _Forecast:
    series = case.day_ahead
    area_mw = dict(zip(series.area_ids, _by_quarters(series.load_mw).T, strict=True))
    load_mw = np.column_stack([share * area_mw[area] for share, area in zip(case.load_share, case.network.bus_area, strict=True)])
    top_mw = np.array([case.unit[name].p_max_mw for name in series.unit_ids])
    return _Forecast(load_mw, np.minimum(_by_quarters(series.available_mw), top_mw))


def _by_quarters(hourly: FloatArray) -> FloatArray:
    # A negative load is for admission to refuse by name; a curve through energies would smooth it away.
    return quarters(hourly) if (hourly >= 0).all() else np.repeat(hourly, _PER_HOUR, axis=0)


def clear_day_ahead(
    case: RtsCase,
    params: ClearingParams,
    *,
    start_ns: int,
    completed_at_ns: int,
    how: DayAheadParams = QUICK,
    convention: Convention = Convention.MATPOWER,
    on_progress: OnProgress | None = None,
) -> DayAhead | ClearingFailed:
    """Commit and clear a day from its hourly series.

    Args:
        case: the grid and the day.
        params: as in real time; the interval length is a quarter of an hour here.
        start_ns: start of the operating day, UTC ns.
        completed_at_ns: the instant to write into the outcomes.
        how: how the units are chosen.
        convention: how susceptances are formed.
        on_progress: told how far the run is; shapes nothing.

    Returns:
        The day, or the first period that failed.
    """
    tell = on_progress or (lambda progress: None)

    def failed(reason: FailureReason, detail: str) -> ClearingFailed:
        return ClearingFailed(interval_start_ns=start_ns, completed_at_ns=completed_at_ns, reason=reason, detail=detail)

    try:
        plan = _committed(case, how, convention, on_progress)
    except CaseError as exc:
        return failed(FailureReason.INPUT_INVALID, str(exc))
    if isinstance(plan, NotCommitted):
        return failed(
            FailureReason.SOLVER_STATUS, f"unit commitment ended without a solution ({plan.status}); keep the inputs and report them"
        )
    on = plan.on if how.by_quarters else np.repeat(plan.on, _PER_HOUR, axis=0)
    forecast = _forecast(case)
    outcomes = dispatch_day(
        case, on, forecast.load_mw, forecast.available_mw, params, (start_ns, completed_at_ns), convention, tell, how.periods_ahead
    )
    if isinstance(outcomes, ClearingFailed):
        return outcomes
    tell(Progress(phase=Phase.DONE, incumbent=plan.cost, bound=plan.bound, gap=plan.gap, nodes=plan.nodes, share_done=1.0))
    weather = [case.unit[name].weather_driven for name in case.day_ahead.unit_ids]
    ids = tuple(unit.id for unit in case.units)
    return DayAhead(
        start_ns=start_ns,
        unit_ids=ids,
        bus_ids=case.network.bus_ids,
        committed=on,
        dispatch_mw=np.array([[period.dispatch_mw[name] for name in ids] for period in outcomes]),
        lmp_per_mwh=np.array([[period.lmp_per_mwh.get(name, np.nan) for name in case.network.bus_ids] for period in outcomes]),
        uniform_price_per_mwh=np.array([period.uniform_price_per_mwh for period in outcomes]),
        load_mw=forecast.load_mw.sum(axis=1),
        wind_solar_mw=forecast.available_mw[:, weather].sum(axis=1),
        nature_ids=case.day_ahead.unit_ids,
        nature_mw=forecast.available_mw,
        periods=outcomes,
        commitment_gap=plan.gap,
    )


def _commit(case: RtsCase, how: DayAheadParams, convention: Convention, on_progress: OnProgress | None) -> Committed | NotCommitted:
    series = case.day_ahead
    if how.by_quarters:
        forecast = _forecast(case)
        load_mw, available_mw = forecast.load_mw, forecast.available_mw
    else:
        load_mw = np.array([case.bus_load_mw(series, hour) for hour in range(_HOURS)])
        available_mw = series.available_mw
    inputs = CommitmentInputs(
        units=case.units,
        load_mw=load_mw,
        available_mw={name: available_mw[:, k] for k, name in enumerate(series.unit_ids)},
        period_min=float(_PERIOD_MIN) if how.by_quarters else 60.0,
        commit_every=_PER_HOUR if how.by_quarters else 1,
        topology=Topology(case.network, np.ones(case.network.n_branches, dtype=np.bool_), convention),
    )
    return commit_units(inputs, how.commitment, on_progress)


_KEPT = 4
_kept: dict[tuple[RtsCase, DayAheadParams, Convention], Committed | NotCommitted] = {}
"""Commitments of cases by what they follow from; whoever asks again does not wait again."""


def _committed(case: RtsCase, how: DayAheadParams, convention: Convention, on_progress: OnProgress | None) -> Committed | NotCommitted:
    key = case, how, convention
    if (known := _kept.get(key)) is None:
        known = _commit(case, how, convention, on_progress)
        while len(_kept) >= _KEPT:
            _kept.pop(next(iter(_kept)), None)
        _kept[key] = known
    return known


def dispatch_day(
    case: RtsCase,
    on: BoolArray,
    load_mw: FloatArray,
    available_mw: FloatArray,
    params: ClearingParams,
    start_and_completed_ns: tuple[int, int],
    convention: Convention,
    tell: Callable[[Progress], None],
    periods_ahead: int = 0,
) -> tuple[Cleared, ...] | ClearingFailed:
    """Dispatch and price a day with its commitment fixed, period after period.

    Args:
        case: the grid and its units.
        on: (96, nu) whether each unit is on.
        load_mw: (96, nb) load by bus, MW.
        available_mw: (96, nr) what each unit of the series can give, MW.
        params: penalties and caps.
        start_and_completed_ns: start of the operating day, and the instant to write into the outcomes.
        convention: how susceptances are formed.
        tell: told how far the day is.
        periods_ahead: quarters after its own that each clearing sees. The first sees none: whatever it needs, it may begin on.

    Returns:
        The outcomes of all periods, or the first that failed.
    """
    # From wherever the day before ended: a day's ramp reaches everything.
    engines = [
        ClearingEngine(case.network, case.units, replace(params, interval_min=minutes), convention, case.load_buses)
        for minutes in (1440.0, float(_PERIOD_MIN))
    ]
    start_ns, completed_at_ns = start_and_completed_ns
    output_mw = {unit.id: 0.0 for unit in case.units}
    seen = [_seen(case, *quarter) for quarter in zip(on, load_mw, available_mw, strict=True)]
    outcomes: list[Cleared] = []
    for period, quarter in enumerate(seen):
        tell(Progress(phase=Phase.DISPATCH, share_done=period / len(seen)))
        inputs = ClearingInputs(
            interval_start_ns=start_ns + period * _PERIOD_MIN * NS_PER_MIN,
            frozen_at_ns=completed_at_ns,
            load_mw=quarter.load_mw,
            output_mw=output_mw,
            available_mw=quarter.available_mw,
            units_off=quarter.units_off,
            ahead=tuple(seen[period + 1 : period + 1 + periods_ahead]) if period else (),
        )
        outcome = engines[min(period, 1)].clear(inputs, completed_at_ns=completed_at_ns)
        if isinstance(outcome, ClearingFailed):
            return outcome
        outcomes.append(outcome)
        output_mw = outcome.dispatch_mw
    return tuple(outcomes)


def _seen(case: RtsCase, on: BoolArray, load_mw: FloatArray, available_mw: FloatArray) -> PeriodAhead:
    return PeriodAhead(
        load_mw=dict(zip(case.network.bus_ids, load_mw.tolist(), strict=True)),
        available_mw=dict(zip(case.day_ahead.unit_ids, available_mw.tolist(), strict=True)),
        units_off=tuple(unit.id for unit, running in zip(case.units, on, strict=True) if not running),
    )
