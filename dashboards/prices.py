"""Prices and settlement (L3): what is paid in each interval, by which rule, from which source, and what does that come to?

The price in force and where it comes from; day-ahead against real-time; every bus over time; every revision; and, marked as indicative
because statements come later and from somebody else, what the intervals come to by class.
"""

from __future__ import annotations

from typing import Final

from dashboards.board import AREA, AREAS, BUS, BUSES, DA, INTERVAL, RT, Board, Level
from dashboards.codes import SEGMENTS
from dashboards.elements import (
    GREY,
    P3,
    Drill,
    Panel,
    PanelKind,
    Step,
    Text,
    course,
    headings,
    last,
    rows,
    select,
    title_of,
    total,
)
from dashboards.marks import REGIMES
from streams.measurements import CLEARING, KPI, LMP, MARKET, PRICE, SETTLEMENT

__all__ = ["BOARD"]

_CHOSEN: Final = f"{RT} AND {AREAS} AND {BUSES}"
_PARTS: Final = ("price_cny_per_mwh", "energy_cny_per_mwh", "congestion_cny_per_mwh", "loss_cny_per_mwh")
_PROVENANCE: Final = ("price_cny_per_mwh", "regime", "source", "rev", "provisional", "by_analogy", "age_s", "version")
_CLASSES: Final = f"{RT} AND \"class\" != 'all'"
_BOTH: Final = (("RT", RT), ("DA", DA))

_IN_FORCE: Final = (
    Panel(
        number=5,
        kind=PanelKind.STAT,
        title=title_of(MARKET.field("price_cny_per_mwh")),
        description=Text("Price in force for the running real-time interval.", "当前实时时段的执行价格。"),
        unit="元/MWh",
        at=(0, 0, 4, 4),
        queries=(last(MARKET, "price_cny_per_mwh", where=RT),),
        decimals=2,
    ),
    Panel(
        number=6,
        kind=PanelKind.STAT,
        title=title_of(MARKET.field("regime")),
        description=Text("Which rule puts the price in force: the market, or a replacement.", "执行价格所依据的规则：市场出清或替代规则。"),
        unit="text",
        at=(4, 0, 5, 4),
        queries=(last(MARKET, "regime", where=RT),),
        marks=REGIMES,
        drill=Drill("gridfuse-breaker"),
    ),
    Panel(
        number=401,
        kind=PanelKind.STAT,
        title=title_of(PRICE.field("source")),
        description=Text(
            "Of the newest real-time price: its clearing by version, a day-ahead period, the last valid interval, or the 30-day profile.",
            "最新实时价格的来源：所依出清版本、日前时段、上一有效时段或三十日曲线。",
        ),
        unit="text",
        at=(9, 0, 5, 4),
        queries=(last(PRICE, "source", where=RT),),
    ),
    Panel(
        number=402,
        kind=PanelKind.STAT,
        title=title_of(PRICE.field("age_s")),
        description=Text("Zero where an interval has the price of its own clearing.", "时段采用自身出清价格时为零。"),
        unit="s",
        at=(14, 0, 3, 4),
        queries=(last(PRICE, "age_s", where=RT),),
        decimals=0,
        steps=(Step(None, GREY), Step(1, P3)),
    ),
    Panel(
        number=403,
        kind=PanelKind.STAT,
        title=Text("In the time shown: provisional, by analogy, revised", "所示时间内：待确认、类推、修订"),
        description=Text(
            "Real-time prices that settlement must confirm, those that follow a rule by analogy, and the highest revision.",
            "实时价格中待结算确认的次数、类推适用规则的次数，以及单一时段的最高修订号。",
        ),
        unit="",
        at=(17, 0, 7, 4),
        queries=(
            select('sum("provisional")', PRICE, where=RT, label=Text("Provisional", "待确认")),
            select('sum("by_analogy")', PRICE, where=RT, label=Text("By analogy", "类推")),
            select('max("rev")', PRICE, where=RT, label=Text("Highest revision", "最高修订号")),
        ),
        decimals=0,
        steps=(Step(None, GREY), Step(1, P3)),
    ),
)

_COURSES: Final = (
    Panel(
        number=17,
        kind=PanelKind.TIME_SERIES,
        title=Text("Uniform price and price in force", "统一结算点电价与执行价格"),
        description=Text(
            "What each interval cleared at, and what is paid. They differ while a replacement rule is in force.",
            "各时段出清价格与执行价格；替代规则生效期间两者不同。",
        ),
        unit="元/MWh",
        at=(0, 4, 12, 8),
        queries=(
            course(
                CLEARING, "uniform_price_cny_per_mwh", how="last", where=RT, label=title_of(CLEARING.field("uniform_price_cny_per_mwh"))
            ),
            course(PRICE, "price_cny_per_mwh", how="last", where=RT, label=title_of(PRICE.field("price_cny_per_mwh"))),
        ),
        decimals=2,
        stepped=True,
        least_step=INTERVAL,
    ),
    Panel(
        number=404,
        kind=PanelKind.TIME_SERIES,
        title=Text("Day-ahead and real-time price in force", "日前与实时执行价格"),
        description=Text("Each period by the last version of its price.", "各时段取价格的最终版本。"),
        unit="元/MWh",
        at=(12, 4, 8, 8),
        queries=tuple(course(PRICE, "price_cny_per_mwh", how="last", where=where, label=SEGMENTS[name]) for name, where in _BOTH),
        decimals=2,
        stepped=True,
        least_step=INTERVAL,
    ),
    Panel(
        number=405,
        kind=PanelKind.STAT,
        title=title_of(KPI.field("day_ahead_spread_cny_per_mwh")),
        description=Text("Positive where the day before was dearer.", "正值表示日前较高。"),
        unit="元/MWh",
        at=(20, 4, 4, 4),
        queries=(course(KPI, "day_ahead_spread_cny_per_mwh", how="last"),),
        decimals=2,
        sparkline=True,
    ),
    Panel(
        number=406,
        kind=PanelKind.STAT,
        title=title_of(KPI.field("nodal_spread_cny_per_mwh")),
        description=Text("Between the dearest and the cheapest bus.", "最高与最低节点电价之差。"),
        unit="元/MWh",
        at=(20, 8, 4, 4),
        queries=(course(KPI, "nodal_spread_cny_per_mwh", how="last"),),
        decimals=2,
        sparkline=True,
    ),
    Panel(
        number=407,
        kind=PanelKind.STATUS_HISTORY,
        title=Text("Rule of each interval", "各时段价格规则"),
        description=Text(
            "Which rule put the price of each period in force, by its last version.", "各时段执行价格所依据的规则，取最终版本。"
        ),
        unit="text",
        at=(0, 12, 24, 4),
        queries=tuple(course(PRICE, "regime", how="last", where=where, label=SEGMENTS[name]) for name, where in _BOTH),
        marks=REGIMES,
        least_step=INTERVAL,
        drill=Drill("gridfuse-breaker"),
    ),
)

_BUSES: Final = (
    Panel(
        number=408,
        kind=PanelKind.HEATMAP,
        title=Text("LMP, bus by bus", "节点电价（节点×时段）"),
        description=Text(
            "Real-time, by the last version of each interval, of the areas and buses chosen; the more blue the dearer.",
            "实时节点电价，取各时段最终版本；所选区域与节点，颜色越深价格越高。",
        ),
        unit="元/MWh",
        at=(0, 16, 24, 14),
        queries=(course(LMP, "price_cny_per_mwh", how="last", where=_CHOSEN, by="bus"),),
        decimals=2,
        least_step=INTERVAL,
        drill=Drill("gridfuse-prices", {"bus": "bus"}),
    ),
    Panel(
        number=409,
        kind=PanelKind.TIME_SERIES,
        title=Text("LMP of the buses chosen", "所选节点电价"),
        description=Text("Choose buses above, or click one in the map.", "可在上方选择节点，或在热力图中点选。"),
        unit="元/MWh",
        at=(0, 30, 12, 9),
        queries=(course(LMP, "price_cny_per_mwh", how="last", where=_CHOSEN, by="bus"),),
        decimals=2,
        stepped=True,
        least_step=INTERVAL,
    ),
    Panel(
        number=410,
        kind=PanelKind.TABLE,
        title=Text("Newest LMP and its parts", "最新节点电价及分量"),
        description=Text(
            "Of every bus chosen: the price is the sum of its parts. The loss part is there where clearing reckons with losses.",
            "所选各节点：电价等于各分量之和；出清计及网损时才有网损分量。",
        ),
        unit="元/MWh",
        at=(12, 30, 12, 9),
        queries=(
            select(
                'last("price_cny_per_mwh") AS "price_cny_per_mwh", ' + ", ".join(f'"{name}"' for name in _PARTS[1:]),
                LMP,
                where=_CHOSEN,
                then='GROUP BY "area", "bus"',
            ),
        ),
        decimals=2,
        columns=headings(LMP, "area", "bus", *_PARTS),
        drill=Drill("gridfuse-prices", {"bus": "bus"}),
    ),
)

_PROOF: Final = (
    Panel(
        number=411,
        kind=PanelKind.TABLE,
        title=Text("Prices and where they come from", "价格及其来源"),
        description=Text(
            "Of both markets, newest first: rule, source, revision, and what settlement has to know.",
            "两个市场，最新在前：规则、来源、修订号及结算须知。",
        ),
        unit="",
        at=(0, 39, 14, 9),
        queries=(rows(PRICE, "segment", *_PROVENANCE, most=200),),
        decimals=2,
        marks=REGIMES,
        coloured=("regime",),
        columns=headings(PRICE, "segment", *_PROVENANCE),
    ),
    Panel(
        number=412,
        kind=PanelKind.TABLE,
        title=Text("Revisions", "价格修订"),
        description=Text(
            "Prices that replaced an earlier one of the same interval, newest first; the earlier ones stay in the record.",
            "替代同一时段先前价格的记录，最新在前；先前价格保留备查。",
        ),
        unit="",
        at=(14, 39, 10, 9),
        queries=(rows(PRICE, "segment", "rev", "price_cny_per_mwh", "regime", "source", where='"rev" > 0'),),
        decimals=2,
        marks=REGIMES,
        coloured=("regime",),
        columns=headings(PRICE, "segment", "rev", "price_cny_per_mwh", "regime", "source"),
    ),
)

_SETTLEMENT: Final = (
    Panel(
        number=413,
        kind=PanelKind.TIME_SERIES,
        title=Text("Amounts by class, indicative, before statements", "分类电费（参考值，非结算单）"),
        description=Text("Of each real-time interval; received is positive, paid negative.", "各实时时段，收入为正，支出为负。"),
        unit="元",
        at=(0, 48, 9, 9),
        queries=(course(SETTLEMENT, "amount_cny", how="last", where=_CLASSES, by="class"),),
        decimals=0,
        stepped=True,
        least_step=INTERVAL,
    ),
    Panel(
        number=414,
        kind=PanelKind.TIME_SERIES,
        title=Text("Congestion rent of each interval, indicative", "各时段阻塞盈余（参考值）"),
        description=Text("What loads pay beyond what generators receive.", "用户支付与发电收入之差。"),
        unit="元",
        at=(9, 48, 7, 9),
        queries=(
            course(
                SETTLEMENT,
                "congestion_rent_cny",
                how="last",
                where=f"{RT} AND \"class\" = 'all'",
                label=title_of(SETTLEMENT.field("congestion_rent_cny")),
            ),
        ),
        decimals=0,
        stepped=True,
        least_step=INTERVAL,
    ),
    Panel(
        number=415,
        kind=PanelKind.TABLE,
        title=Text("Totals by class, indicative, before statements", "分类合计（参考值，非结算单）"),
        description=Text(
            "Over the time shown, each interval by its last version; received is positive, paid negative.",
            "所示时间内合计，各时段取最终版本；收入为正，支出为负。",
        ),
        unit="元",
        at=(16, 48, 8, 6),
        queries=(total(SETTLEMENT, "amount_cny", where=_CLASSES, by="class", to="amount_cny"),),
        decimals=0,
        columns=headings(SETTLEMENT, "class", "amount_cny"),
        hidden=("Time",),
    ),
    Panel(
        number=416,
        kind=PanelKind.STAT,
        title=Text("Congestion rent, indicative", "阻塞盈余合计（参考值）"),
        description=Text("Over the time shown, each interval by its last version.", "所示时间内合计，各时段取最终版本。"),
        unit="元",
        at=(16, 54, 8, 3),
        queries=(total(SETTLEMENT, "congestion_rent_cny", where=f"{RT} AND \"class\" = 'all'"),),
        decimals=0,
    ),
    Panel(
        number=417,
        kind=PanelKind.TEXT,
        title=Text("How to read these amounts", "电费参考值说明"),
        description=Text("What is in the indicative amounts, and what is not.", "参考值包含与不包含的内容。"),
        unit="",
        at=(0, 57, 24, 4),
        queries=(),
        words=Text(
            "**Indicative, before anybody has read a meter.** Energy as scheduled, times the price of its bus; the price in force for "
            "load, and for everybody while Art. 27 sets the price. Given to the grid and received count as positive. "
            "Without contracts, deviations, metered energy, reserves, uplift and start-up: those are in the statements of the trading "
            "institution.",
            "**参考值，未经计量。** 出清电量乘以所在节点电价；负荷以及第二十七条定价期间的所有主体按执行价格。注入电网与收入为正。"
            "不含合约、偏差、计量电量、备用、补偿与启动费用，以交易机构结算单为准。",
        ),
    ),
)

BOARD: Final = Board(
    uid="gridfuse-prices",
    level=Level.DETAIL,
    title=Text("Prices and settlement", "价格与结算"),
    question=Text(
        "What is paid in each interval, by which rule and from which source, and what does it come to?",
        "各时段执行什么价格，依据何规则、来自何处，折合多少电费？",
    ),
    panels=(*_IN_FORCE, *_COURSES, *_BUSES, *_PROOF, *_SETTLEMENT),
    variables=(AREA, BUS),
    links=("gridfuse-wall", "gridfuse-market", "gridfuse-breaker"),
    shown="now-24h",
)
