"""Does everything that is due arrive, is it any good, and how old is it? The board of telemetry health.

What became of the samples is from the accounts (:mod:`ingest.account`), in which every sample that was due is good, uncertain, bad, late or
lost for a reason: so the parts shown add up to what was due, and nothing can be missing without being seen here.
"""

from __future__ import annotations

from typing import Final

from dashboards.board import AREA, AREAS, Board, Level, Variable
from dashboards.elements import GREY, P2, P3, Panel, PanelKind, Step, Text, course, headings, select, tile, title_of
from dashboards.marks import HEALTH, PRIORITIES
from streams.measurements import ACCOUNT, ALERT, KPI, SOURCE, TELEMETRY, TELEMETRY_1M

__all__ = ["BOARD"]

_DEVICE: Final = Variable("dev", Text("Device", "设备"), f'SHOW TAG VALUES FROM "{SOURCE.name}" WITH KEY = "dev" WHERE {AREAS}')
_ELEMENT: Final = Variable(
    "element",
    Text("Element", "元件"),
    f'SHOW TAG VALUES FROM "{TELEMETRY_1M.name}" WITH KEY = "element" WHERE {AREAS} AND "dev" =~ /^$dev$/',
    one=True,
)
_CHOSEN: Final = f'{AREAS} AND "dev" =~ /^$dev$/'
_MEASURED: Final = f'{_CHOSEN} AND "element" =~ /^$element$/'
_OUTCOMES: Final = ("good", "uncertain", "bad", "late", "lost")
_REASONS: Final = tuple(field.name for field in ACCOUNT.fields if field.name.startswith("lost_"))

_WORST: Final = 15
"""Devices in the table of the worst."""

_STATES_TOP: Final = 4
_AGES_TOP: Final = _STATES_TOP + 10
_COURSES_TOP: Final = _AGES_TOP + 8
_TABLES_TOP: Final = _COURSES_TOP + 8
_ALERTS_TOP: Final = _TABLES_TOP + 10
_MEASURED_TOP: Final = _ALERTS_TOP + 10


def _sum(number: int, name: str, x: int, description: Text) -> Panel:
    """How many samples of the time shown had one outcome; any is worth a look."""
    return Panel(
        number=number,
        kind=PanelKind.STAT,
        title=title_of(ACCOUNT.field(name)),
        description=description,
        unit="",
        at=(x, 0, 3, 4),
        queries=(select(f'sum("{name}")', ACCOUNT, where=_CHOSEN),),
        decimals=0,
        steps=(Step(None, GREY), Step(1, P3)),
    )


_TILES: Final = (
    tile(
        KPI,
        "telemetry_availability_pct",
        number=12,
        at=(0, 0, 3, 4),
        description=Text(
            "Points of good quality; below 90 % nothing trips by itself on topology.", "质量合格测点占比；低于 90% 时拓扑触发不自动熔断。"
        ),
        steps=(Step(None, P2), Step(90, GREY)),
    ),
    tile(
        KPI,
        "telemetry_freshness_s",
        number=13,
        at=(3, 0, 3, 4),
        description=Text("Age of telemetry, 95th percentile.", "遥测时延的 95 分位。"),
    ),
    Panel(
        number=56,
        kind=PanelKind.STAT,
        title=Text("Came good, of what was due", "合格样本占应到样本"),
        description=Text("Over the time shown, of the devices chosen; orange below 99 %.", "所示时间内所选设备；低于 99% 为橙色。"),
        unit="%",
        at=(6, 0, 3, 4),
        queries=(select('100 * sum("good") / sum("expected")', ACCOUNT, where=_CHOSEN),),
        decimals=2,
        steps=(Step(None, P2), Step(99, GREY)),
    ),
    _sum(57, "bad", 9, Text("Came with a bad quality, which says why there is no value.", "质量位为无效，并说明无值原因。")),
    _sum(58, "late", 12, Text("Came, but too long after newer ones to count as a value.", "已到达，但晚于较新数据过久，不作为量值。")),
    _sum(59, "lost", 15, Text("Were due, or made, and never reached the topic.", "应到或已生成，但未进入主题。")),
    Panel(
        number=701,
        kind=PanelKind.STAT,
        title=Text("Oldest source", "最久未更新的数据源"),
        description=Text("Age of the newest value of the device that has been silent longest.", "静默最久的设备其最新数据的时延。"),
        unit="s",
        at=(18, 0, 3, 4),
        queries=(select('max("age_s")', select('last("age_s") AS "age_s"', SOURCE, where=_CHOSEN, then='GROUP BY "dev"')),),
        decimals=0,
        steps=(Step(None, GREY), Step(60, P2)),
    ),
    Panel(
        number=702,
        kind=PanelKind.STAT,
        title=Text("Data as of", "数据时间"),
        description=Text("When the health of devices was last written.", "数据源状态最近一次写入的时间。"),
        unit="age",
        at=(21, 0, 3, 4),
        queries=(select('last("age_s")', SOURCE),),
    ),
)


_CAME: Final = " + ".join(f'sum("{name}") * 1000 / $__interval_ms' for name in ("good", "uncertain", "bad", "late"))


_COURSES: Final = (
    Panel(
        number=703,
        kind=PanelKind.STATE_TIMELINE,
        title=Text("State of each device", "各数据源状态"),
        description=Text(
            "A row for each device: stale when nothing new came in time, bad when most points are.",
            "每个设备一行：超时无新数据为无新数据，多数测点无效为质量坏。",
        ),
        unit="text",
        at=(0, _STATES_TOP, 24, 10),
        queries=(course(SOURCE, "state", how="last", where=_CHOSEN, by="dev"),),
        marks=HEALTH,
    ),
    Panel(
        number=704,
        kind=PanelKind.TIME_SERIES,
        title=Text("Samples a second by area", "各区域每秒样本数"),
        description=Text("That came, whatever their quality; the last step is still filling.", "已到达样本，不论质量；最后一格仍在累计。"),
        unit="1/s",
        at=(0, _AGES_TOP, 8, 8),
        queries=(
            select(
                _CAME,
                ACCOUNT,
                where=_CHOSEN,
                then='GROUP BY time($__interval), "area" fill(none)',
                label=Text("$tag_area", "$tag_area"),
            ),
        ),
        decimals=0,
        stacked=True,
        least_step="1m",
    ),
    Panel(
        number=705,
        kind=PanelKind.TIME_SERIES,
        title=Text("Age of the newest value by device", "各设备最新数据时延"),
        description=Text("A line that rises is a device that is silent.", "持续上升表示该设备无新数据。"),
        unit="s",
        at=(8, _AGES_TOP, 8, 8),
        queries=(course(SOURCE, "age_s", how="max", where=_CHOSEN, by="dev"),),
        decimals=1,
    ),
    Panel(
        number=44,
        kind=PanelKind.TIME_SERIES,
        title=Text("Age of telemetry by kind of source, p95", "各类数据源遥测时延 P95"),
        description=Text("Polled points, and points whose source reports changes.", "轮询测点与订阅测点。"),
        unit="s",
        at=(16, _AGES_TOP, 8, 8),
        queries=tuple(course(KPI, name, label=title_of(KPI.field(name))) for name in ("polled_freshness_s", "told_freshness_s")),
        decimals=1,
    ),
    Panel(
        number=60,
        kind=PanelKind.TIME_SERIES,
        title=title_of(ACCOUNT),
        description=Text("Stacked: all outcomes together are what was due.", "堆叠：各类去向之和即应到样本数。"),
        unit="",
        at=(0, _COURSES_TOP, 12, 8),
        queries=tuple(course(ACCOUNT, name, how="sum", where=_CHOSEN, label=title_of(ACCOUNT.field(name))) for name in _OUTCOMES),
        decimals=0,
        stacked=True,
        least_step="1m",
    ),
    Panel(
        number=61,
        kind=PanelKind.TIME_SERIES,
        title=Text("Lost samples by reason", "丢失样本（按原因）"),
        description=Text("Stacked: nothing is lost without a reason.", "堆叠：每个丢失样本均有原因。"),
        unit="",
        at=(12, _COURSES_TOP, 12, 8),
        queries=tuple(course(ACCOUNT, name, how="sum", where=_CHOSEN, label=title_of(ACCOUNT.field(name))) for name in _REASONS),
        decimals=0,
        stacked=True,
        least_step="1m",
    ),
)

_SHARE: Final = select('100 * (sum("expected") - sum("good")) / sum("expected") AS share', ACCOUNT, where=_CHOSEN, then='GROUP BY "dev"')

_TABLES: Final = (
    Panel(
        number=62,
        kind=PanelKind.TABLE,
        title=Text("Worst devices", "数据最差设备"),
        description=Text(
            "Devices of which the largest part of what was due did not come good in the time shown: yellow from 1 %, orange from 10 %.",
            "所示时间内未合格样本占应到样本比例最高的设备；1% 起黄色，10% 起橙色。",
        ),
        unit="%",
        at=(0, _TABLES_TOP, 7, 10),
        queries=(select(f'top(share, "dev", {_WORST})', _SHARE),),
        decimals=2,
        steps=(Step(None, GREY), Step(1, P3), Step(10, P2)),
        columns=headings(ACCOUNT, "dev") | {"top": Text("Did not come good", "未合格占比")},
        coloured=("top",),
        highest="top",
    ),
    Panel(
        number=63,
        kind=PanelKind.TABLE,
        title=Text("Samples by device", "各设备样本去向"),
        description=Text(
            "Sums over the time shown: what was due is what came good, uncertain, bad or late, and what was lost, by reason.",
            "所示时间内合计：应到 = 合格 + 可疑 + 无效 + 迟到 + 丢失（按原因）。",
        ),
        unit="",
        at=(7, _TABLES_TOP, 17, 10),
        queries=(
            select(
                ", ".join(f'sum("{name}") AS "{name}"' for name in ("expected", *_OUTCOMES, *_REASONS)),
                ACCOUNT,
                where=_CHOSEN,
                then='GROUP BY "area", "dev"',
            ),
        ),
        decimals=0,
        columns=headings(ACCOUNT, "area", "dev", "expected", *_OUTCOMES, *_REASONS),
        highest="lost",
    ),
    Panel(
        number=27,
        kind=PanelKind.TABLE,
        title=title_of(SOURCE),
        description=Text(
            "Newest state of every device, the age of its newest value, and the 95th percentile over its points.",
            "各数据源的最新状态、最新数据时延及测点时延的 95 分位。",
        ),
        unit="",
        at=(0, _ALERTS_TOP, 12, 10),
        queries=(
            select(
                'last("state") AS "state", "age_s", "age_p95_s", "good", "points"', SOURCE, where=_CHOSEN, then='GROUP BY "area", "dev"'
            ),
        ),
        decimals=1,
        marks=HEALTH,
        coloured=("state",),
        columns=headings(SOURCE, "area", "dev", "state", "age_s", "age_p95_s", "good", "points"),
        highest="age_s",
    ),
    Panel(
        number=706,
        kind=PanelKind.TABLE,
        title=Text("Alerts of devices", "设备告警"),
        description=Text("Silent devices and clocks that are wrong, newest first.", "设备无数据与时钟异常，最新在前。"),
        unit="",
        at=(12, _ALERTS_TOP, 12, 10),
        queries=(
            select(
                '"priority", "state", "dev", "text_en", "text_zh"', ALERT, where="\"dev\" <> 'none'", then="ORDER BY time DESC LIMIT 50"
            ),
        ),
        marks=PRIORITIES,
        coloured=("priority",),
        columns=headings(ALERT, "priority", "state", "dev", "text_en", "text_zh"),
    ),
)

_STUCK: Final = select(
    'spread("mw") AS "moved", max("mw") AS "mw"', TELEMETRY_1M, where=_CHOSEN, then='GROUP BY "area", "dev", "kind", "element"'
)

_VALUES: Final = (
    Panel(
        number=707,
        kind=PanelKind.TIME_SERIES,
        title=Text("Active power of the element, by the minute", "所选元件分钟有功功率"),
        description=Text(
            "Mean, least and most of the good samples of each minute; kept for months.", "每分钟合格样本的平均、最小与最大值；长期保存。"
        ),
        unit="MW",
        at=(0, _MEASURED_TOP, 8, 9),
        queries=tuple(
            course(TELEMETRY_1M, name, how=how, where=_MEASURED, label=label)
            for name, how, label in (
                ("mw", "mean", Text("Mean", "平均")),
                ("mw_min", "min", Text("Least", "最小")),
                ("mw_max", "max", Text("Most", "最大")),
            )
        ),
        decimals=1,
        least_step="1m",
    ),
    Panel(
        number=708,
        kind=PanelKind.TIME_SERIES,
        title=Text("Active power of the element, as measured", "所选元件原始有功功率"),
        description=Text(
            "Every sample of the last ten minutes; raw values are kept for 30 days.", "最近十分钟的每个样本；原始数据保存 30 天。"
        ),
        unit="MW",
        at=(8, _MEASURED_TOP, 8, 9),
        queries=(course(TELEMETRY, "mw", how="last", where=_MEASURED, by="dev"),),
        decimals=2,
        span="10m",
    ),
    Panel(
        number=709,
        kind=PanelKind.TABLE,
        title=Text("Values that do not move", "长时间不变的量值"),
        description=Text(
            "Powers other than zero whose minutes of the last hour are all alike: a meter or its line may be stuck.",
            "近一小时各分钟值完全相同且不为零的有功量测：表计或通道可能卡滞。",
        ),
        unit="",
        at=(16, _MEASURED_TOP, 8, 9),
        queries=(select('"mw", "kind", "element", "dev"', _STUCK, where='"moved" = 0 AND "mw" <> 0', then="LIMIT 50"),),
        decimals=1,
        columns=headings(TELEMETRY_1M, "mw", "kind", "element", "dev"),
        span="1h",
    ),
)

BOARD: Final = Board(
    uid="gridfuse-telemetry",
    level=Level.DETAIL,
    title=Text("Telemetry health", "遥测质量"),
    question=Text("Does everything that is due arrive, is it any good, and how old is it?", "应到数据是否到齐、是否合格、是否及时？"),
    panels=(*_TILES, *_COURSES, *_TABLES, *_VALUES),
    variables=(AREA, _DEVICE, _ELEMENT),
    links=("gridfuse-topology", "gridfuse-alerts", "gridfuse-pipeline"),
)
