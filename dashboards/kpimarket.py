"""How well do the forecasts and the market do? The lower groups of the board of key figures."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from dashboards.board import RT
from dashboards.elements import GREY, P2, P3, Panel, PanelKind, Step, Text, course, select, tile, title_of
from streams.measurements import KPI, PRICE

__all__ = ["BELOW", "MARKET_ROWS"]

BELOW: Final = 48
"""Row of the board on which these groups begin."""

_FORECASTS: Final = BELOW
_PRICES: Final = BELOW + 4
_COMPETITION: Final = BELOW + 16
_CLEARING: Final = BELOW + 28

_Row = tuple[int, str, Text, tuple[Step, ...], int]
_NORMAL: Final = (Step(None, GREY),)
_CONCENTRATED: Final = (Step(None, GREY), Step(1_800, P3))
_LATE: Final = (Step(None, GREY), Step(0, P3))


def _tiles(top: int, rows: tuple[_Row, ...]) -> Iterator[Panel]:
    """Yield tiles beside each other, eight to a row, under the titles of the schema."""
    for place, (number, name, description, steps, decimals) in enumerate(rows):
        at = (3 * (place % 8), top + 4 * (place // 8), 3, 4)
        yield tile(KPI, name, number=number, at=at, description=description, steps=steps, decimals=decimals)


def _course(number: int, at: tuple[int, int, int, int], title: Text, description: Text, names: tuple[str, ...], decimals: int) -> Panel:
    return Panel(
        number=number,
        kind=PanelKind.TIME_SERIES,
        title=title,
        description=description,
        unit=KPI.field(names[0]).unit,
        at=at,
        queries=tuple(course(KPI, name, how="last", label=title_of(KPI.field(name))) for name in names),
        decimals=decimals,
        stepped=True,
    )


def _forecasts() -> Iterator[Panel]:
    of_day = Text("Day-ahead forecast against metered load, hours of the last day.", "最近 24 小时各小时日前负荷预测与实测之差。")
    of_wind_and_sun = Text(
        "Day-ahead forecast against what wind and sun could give, % of capacity, hours of the last day.",
        "最近 24 小时各小时日前风光预测与可用功率之差，占装机容量的百分比。",
    )
    accuracy = Text("100 % less the root mean square of relative errors; 97 % passes.", "100% 减去相对误差的均方根；97% 及以上合格。")
    yield from _tiles(
        _FORECASTS,
        (
            (45, "load_forecast_mape_pct", of_day, _NORMAL, 1),
            (46, "load_forecast_accuracy_pct", accuracy, (Step(None, P3), Step(97, GREY)), 1),
            (
                616,
                "interval_load_mape_pct",
                Text(
                    "Load that intervals were cleared for against what was metered, last day.", "最近 24 小时各时段出清所用负荷与实测之差。"
                ),
                _NORMAL,
                2,
            ),
            (617, "wind_solar_forecast_mae_pct", of_wind_and_sun, _NORMAL, 1),
            (47, "wind_solar_forecast_rmse_pct", of_wind_and_sun, _NORMAL, 1),
            (
                49,
                "bus_cap_hits_pct",
                Text("Share of the bus prices of the last day that stood at the cap.", "最近 24 小时（节点，时段）中电价达到上限的占比。"),
                (Step(None, GREY), Step(0.01, P3)),
                2,
            ),
            (
                50,
                "bus_floor_hits_pct",
                Text(
                    "Share of the bus prices of the last day that stood at the floor.", "最近 24 小时（节点，时段）中电价达到下限的占比。"
                ),
                _NORMAL,
                2,
            ),
            (
                618,
                "price_limit_hits_pct",
                Text("Intervals of the last day with the uniform price at cap or floor.", "最近 24 小时统一电价达到限价的时段占比。"),
                (Step(None, GREY), Step(0.01, P3)),
                2,
            ),
        ),
    )


_IN_FORCE: Final = select('last("price_cny_per_mwh") AS "price_cny_per_mwh"', PRICE, where=RT, then="GROUP BY time(1m) fill(none)")
"""The price of each interval by its last revision; no interval is shorter than a minute."""

_VOLATILITY: Final = Panel(
    number=625,
    kind=PanelKind.STAT,
    title=Text("Price volatility", "电价波动率"),
    description=Text(
        "Standard deviation of the real-time price in force over the time shown, of its mean.", "所示时间内实时执行价格的标准差与均值之比。"
    ),
    unit="%",
    at=(6, _PRICES, 3, 4),
    queries=(select('100 * stddev("price_cny_per_mwh") / mean("price_cny_per_mwh")', _IN_FORCE),),
    decimals=1,
)


def _prices() -> Iterator[Panel]:
    yield from _tiles(
        _PRICES,
        (
            (623, "uniform_price_cny_per_mwh", Text("Of the running interval, mean by load.", "当前时段，按负荷加权。"), _NORMAL, 2),
            (624, "average_lmp_cny_per_mwh", Text("Mean over all live buses.", "全部带电节点的平均值。"), _NORMAL, 2),
        ),
    )
    yield _VOLATILITY
    yield tile(
        KPI,
        "day_ahead_spread_cny_per_mwh",
        number=626,
        at=(9, _PRICES, 3, 4),
        description=Text("Positive where the day before was dearer.", "正值表示日前较高。"),
        decimals=2,
    )
    yield tile(
        KPI,
        "nodal_spread_cny_per_mwh",
        number=627,
        at=(12, _PRICES, 3, 4),
        description=Text("Between the dearest and the cheapest bus; zero without congestion.", "最高与最低节点电价之差；无阻塞时为零。"),
        decimals=2,
    )
    yield tile(
        KPI,
        "congestion_rent_cny_per_h",
        number=628,
        at=(15, _PRICES, 3, 4),
        description=Text("Paid by loads beyond what generators receive.", "用户支付与发电收入之差。"),
        decimals=0,
    )
    yield tile(
        KPI,
        "lerner",
        number=52,
        at=(18, _PRICES, 3, 4),
        description=Text(
            "Part of what dispatched units are paid that is above the offer of their last MW.",
            "调度机组所得电价中高于其末段报价部分的占比。",
        ),
        decimals=3,
    )
    yield tile(
        KPI,
        "pivotal_suppliers",
        number=629,
        at=(21, _PRICES, 3, 4),
        description=Text("Plants without which the load is not served.", "缺之则无法满足负荷的电厂数。"),
        steps=(Step(None, GREY), Step(1, P3)),
        decimals=0,
    )
    spreads = Text(
        "Day-ahead less real-time price, positive where the day before was dearer; and between the dearest and the cheapest bus.",
        "日前减实时电价，正值表示日前较高；以及最高与最低节点电价之差。",
    )
    names = ("day_ahead_spread_cny_per_mwh", "nodal_spread_cny_per_mwh")
    yield _course(53, (0, _PRICES + 4, 12, 8), Text("Price spreads", "价差"), spreads, names, 2)
    rent = Text("Paid by loads beyond what generators receive, per hour.", "用户支付与发电收入之差，每小时。")
    yield _course(24, (12, _PRICES + 4, 12, 8), Text("Congestion rent", "阻塞盈余"), rent, ("congestion_rent_cny_per_h",), 0)


def _competition() -> Iterator[Panel]:
    yield from _tiles(
        _COMPETITION,
        (
            (
                41,
                "hhi",
                Text(
                    "Concentration of output over plants; 1,800 and more is highly concentrated.",
                    "各电厂出力的集中度；1800 及以上为高度集中。",
                ),
                _CONCENTRATED,
                0,
            ),
            (
                638,
                "hhi_capacity",
                Text("Concentration of available capacity over plants.", "各电厂可用容量的集中度。"),
                _CONCENTRATED,
                0,
            ),
            (
                51,
                "award_hhi",
                Text(
                    "Concentration of cleared energy over plants; 1,800 and more is highly concentrated.",
                    "各电厂中标电量的集中度；1800 及以上为高度集中。",
                ),
                _CONCENTRATED,
                0,
            ),
            (
                639,
                "top4_pct",
                Text("Of output; 65 % and more is concentrated.", "按出力；65% 及以上为集中。"),
                (Step(None, GREY), Step(65, P3)),
                1,
            ),
            (
                643,
                "award_top4_pct",
                Text("Of cleared energy; 65 % and more is concentrated.", "按中标电量；65% 及以上为集中。"),
                (Step(None, GREY), Step(65, P3)),
                1,
            ),
            (
                40,
                "rsi",
                Text(
                    "Below 1 one plant is indispensable: without it the load is not served.",
                    "低于 1 表示存在不可或缺的电厂：缺之则无法满足负荷。",
                ),
                (Step(None, P2), Step(1, P3), Step(1.1, GREY)),
                2,
            ),
        ),
    )
    hhi = Text("HHI over plants: by output, by available capacity, by awards.", "各电厂 HHI：按出力、按可用容量、按中标电量。")
    at = _COMPETITION + 4
    yield _course(55, (0, at, 12, 8), Text("Concentration of supply", "供给集中度"), hhi, ("hhi", "hhi_capacity", "award_hhi"), 0)
    share = Text("Of the four largest plants, by output and by awards.", "最大四家电厂，按出力与按中标电量。")
    yield _course(656, (12, at, 12, 8), Text("Share of the top four", "前四名份额"), share, ("top4_pct", "award_top4_pct"), 1)


def _clearing() -> Iterator[Panel]:
    late = ("Completed after it was due, {} of the last day; below zero in time.", "最近 24 小时出清完成晚于应出时间的{}，负值为提前。")
    yield from _tiles(
        _CLEARING,
        (
            (
                38,
                "clearing_availability_pct",
                Text("Intervals of the last day that were cleared in time.", "最近 24 小时按时出清的时段占比。"),
                (Step(None, P2), Step(99, GREY)),
                2,
            ),
            (648, "clearing_latency_p50_s", Text(late[0].format("median"), late[1].format("中位数")), _LATE, 1),
            (39, "clearing_latency_p95_s", Text(late[0].format("95th percentile"), late[1].format(" 95 分位")), _LATE, 1),
            (48, "clearing_latency_p99_s", Text(late[0].format("99th percentile"), late[1].format(" 99 分位")), _LATE, 1),
        ),
    )


MARKET_ROWS: Final = (*_forecasts(), *_prices(), *_competition(), *_clearing())
"""Forecasts, prices, competition and clearing, from row :data:`BELOW` down."""
