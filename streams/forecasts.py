"""How good were the forecasts that the day-ahead result was made of? Judged period by period, against the mean of what was metered.

An error is forecast less actual, positive where too much was foreseen: of load as a share of the actual load, of wind and sun as a
share of their capacity, because their output passes through 0. The actual output of wind and sun is what they could have given: what
was curtailed was forecast rightly. Periods are those of the forecast, hours as shipped, and one that was watched for less than half
of its length is not judged.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from math import sqrt

from market.units import NS_PER_DAY, day_start_ns
from streams.clearing import DayAheadPlan, day_plan, of_period
from streams.windows import DaySums, Window, sampled

__all__ = ["Actual", "Errors", "ForecastSums", "capacity_error", "compared", "forecast_figures", "relative_error"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Errors:
    """The errors of one quantity's forecast.

    Attributes:
        window: actual MW of the running period.
        absolute, square: Σ|error| and Σ error² over the periods judged; errors are shares.
    """

    window: Window = field(default_factory=Window)
    absolute: DaySums = field(default_factory=DaySums)
    square: DaySums = field(default_factory=DaySums)


@dataclass(frozen=True, slots=True, kw_only=True)
class ForecastSums:
    """What the figures of both forecasts are counted from."""

    load: Errors = field(default_factory=Errors)
    wind_solar: Errors = field(default_factory=Errors)


@dataclass(frozen=True, slots=True, kw_only=True)
class Actual:
    """What is metered now, MW; None where it is not known as a whole.

    Attributes:
        wind_solar_mw: what wind and sun could give together.
        capacity_mw: rated power of the same plants.
    """

    load_mw: float | None
    wind_solar_mw: float | None
    capacity_mw: float


def relative_error(forecast_mw: float, actual_mw: float) -> float | None:
    """Return ``(F − A)/A``; None without load.

    >>> relative_error(990.0, 1000.0)
    -0.01
    """
    return (forecast_mw - actual_mw) / actual_mw if actual_mw > 0 else None


def capacity_error(forecast_mw: float, actual_mw: float, capacity_mw: float) -> float | None:
    """Return ``(F − A)/capacity`` (NB/T 32046-type rules); None without capacity.

    >>> capacity_error(300.0, 250.0, 1000.0)
    0.05
    """
    return (forecast_mw - actual_mw) / capacity_mw if capacity_mw > 0 else None


def compared(sums: ForecastSums, now_ns: int, actual: Actual, plans: Sequence[DayAheadPlan], zone: str, step_ns: int) -> ForecastSums:
    """Add one instant, and judge the periods that it shows to be over; a day without a forecast is not judged.

    Args:
        sums: what was counted before.
        now_ns: the instant.
        actual: what is metered then.
        plans: day-ahead plans, those of today and of yesterday among them.
        zone: the market's, in which operating days begin.
        step_ns: time the instant stands for.
    """

    def forecast_mw(start_ns: int, of_day: Callable[[DayAheadPlan], Sequence[float]]) -> float | None:
        plan = day_plan(plans, start_ns, zone)
        return None if plan is None else of_period(of_day(plan), plan.day, start_ns, zone)

    def load_error(start_ns: int, mean_mw: float) -> float | None:
        mw = forecast_mw(start_ns, lambda plan: plan.load_mw)
        return None if mw is None else relative_error(mw, mean_mw)

    def wind_solar_error(start_ns: int, mean_mw: float) -> float | None:
        mw = forecast_mw(start_ns, lambda plan: plan.wind_solar_mw)
        return None if mw is None else capacity_error(mw, mean_mw, actual.capacity_mw)

    today = day_plan(plans, now_ns, zone)
    if today is None:
        return sums
    day_ns = day_start_ns(today.day, zone)
    load, wind_solar = sums.load, sums.wind_solar
    if actual.load_mw is not None and today.load_mw:
        load = _sampled(load, now_ns, actual.load_mw, (day_ns, len(today.load_mw)), load_error, step_ns)
    if actual.wind_solar_mw is not None and today.wind_solar_mw:
        of_day = day_ns, len(today.wind_solar_mw)
        wind_solar = _sampled(wind_solar, now_ns, actual.wind_solar_mw, of_day, wind_solar_error, step_ns)
    return ForecastSums(load=load, wind_solar=wind_solar)


def _sampled(
    errors: Errors,
    now_ns: int,
    actual_mw: float,
    of_day: tuple[int, int],
    error_of: Callable[[int, float], float | None],
    step_ns: int,
) -> Errors:
    """Add one sample; ``of_day`` is when the operating day began, and into how many periods it divides."""
    day_ns, periods = of_day
    length_ns = NS_PER_DAY // periods
    # Windows begin at multiples of their length, and days do not, in zones that are half an hour off the others.
    offset_ns = day_ns % length_ns
    window, over = sampled(errors.window, length_ns, now_ns - offset_ns, (actual_mw,), step_ns)
    errors = replace(errors, window=window)
    if over is None or (error := error_of(over.start_ns + offset_ns, over.means[0])) is None:
        return errors
    start_ns = over.start_ns + offset_ns
    absolute, square = errors.absolute.add(start_ns, abs(error), 1.0), errors.square.add(start_ns, error * error, 1.0)
    return replace(errors, absolute=absolute, square=square)


def forecast_figures(sums: ForecastSums, now_ns: int, plans: Sequence[DayAheadPlan], zone: str) -> dict[str, float | None]:
    """Return the forecast of now, MW, and how good forecasts were over the periods of the last day, by KPI name.

    Of load the mean absolute error, ``100/n·Σ|(F − A)/A|``, and the accuracy, ``100·(1 − √(Σ((F − A)/A)²/n))``, which State Grid wants at
    97 % or more; of wind and sun the mean absolute and the root mean square error, % of capacity.
    """
    plan = day_plan(plans, now_ns, zone)
    load_rms, wind_solar_rms = sums.load.square.mean(now_ns), sums.wind_solar.square.mean(now_ns)
    return {
        "load_forecast_mw": None if plan is None else of_period(plan.load_mw, plan.day, now_ns, zone),
        "load_forecast_mape_pct": sums.load.absolute.mean_pct(now_ns),
        "load_forecast_accuracy_pct": None if load_rms is None else 100.0 * (1.0 - sqrt(load_rms)),
        "wind_solar_forecast_mae_pct": sums.wind_solar.absolute.mean_pct(now_ns),
        "wind_solar_forecast_rmse_pct": None if wind_solar_rms is None else 100.0 * sqrt(wind_solar_rms),
    }
