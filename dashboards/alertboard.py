"""Who was told what, did it reach them, and were they told too much? The board of alerts.

A line of ``alert`` says that one was raised or that it is over, so an alert is active where the newest line of its kind, area, device and
market says it was raised. How much a person can take is ISA-18.2's: about one alert in ten minutes is acceptable, two can be managed,
more than ten are a flood in which the next one is overlooked.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from dashboards.board import Board, Level
from dashboards.elements import GREY, P1, P2, P3, P4, Look, Panel, PanelKind, Query, Step, Text, course, headings, rows, select, title_of
from dashboards.marks import DELIVERIES, PRIORITIES
from streams.measurements import ALERT, DELIVERY

__all__ = ["BOARD"]

_RAISED: Final = "\"state\" = 'RAISED'"
_TEN_MINUTES: Final = "10m"
_RATES_TOP: Final = 14
_DELIVERIES_TOP: Final = 24
_ALL_TOP: Final = 34
_ACTIVE_ROWS: Final = 100


def _newest(*names: str) -> Query:
    """Ask for the newest line of each kind, area, device and market."""
    first, *others = names
    what = ", ".join([f'last("{first}") AS "{first}"', *(f'"{name}"' for name in others)])
    return select(what, ALERT, then='GROUP BY "name", "area", "dev", "segment"')


def _active_tiles() -> Iterator[Panel]:
    """Yield a count for each priority: colour where there is one, by its priority."""
    colours = {"P1": P1, "P2": P2, "P3": P3, "P4": P4}
    for place, mark in enumerate(PRIORITIES):
        counted = select('count("text_en")', _newest("text_en", "state", "priority"), where=f"{_RAISED} AND \"priority\" = '{mark.state}'")
        yield Panel(
            number=801 + place,
            kind=PanelKind.STAT,
            title=Text(f"Active, {mark.text.en}", f"未恢复告警，{mark.text.zh}"),
            description=Text("Raised, and not over; – is none.", "已触发且未恢复；– 表示无。"),
            unit="",
            at=(3 * place, 0, 3, 4),
            queries=(counted,),
            decimals=0,
            steps=(Step(None, GREY), Step(1, colours[mark.state])),
        )


_TILES: Final = (
    *_active_tiles(),
    Panel(
        number=805,
        kind=PanelKind.STAT,
        title=Text("Raised in the time shown", "所示时间内告警数"),
        description=Text("Of all priorities.", "所有优先级合计。"),
        unit="",
        at=(12, 0, 3, 4),
        queries=(select('count("alert_id")', ALERT, where=_RAISED),),
        decimals=0,
    ),
    Panel(
        number=806,
        kind=PanelKind.STAT,
        title=Text("Slowest delivery, p95", "送达时延 P95"),
        description=Text(
            "From the alert to the answer of the channel, over the time shown; yellow from 30 s.",
            "所示时间内从告警到渠道应答；30 秒起黄色。",
        ),
        unit="s",
        at=(15, 0, 3, 4),
        queries=(select('percentile("latency_s", 95)', DELIVERY, where="\"state\" = 'delivered'"),),
        decimals=1,
        steps=(Step(None, GREY), Step(30, P3), Step(120, P2)),
    ),
    Panel(
        number=807,
        kind=PanelKind.STAT,
        title=Text("Failed attempts", "发送失败次数"),
        description=Text("Tried again; – is none.", "将重试；– 表示无。"),
        unit="",
        at=(18, 0, 3, 4),
        queries=(select('count("attempt")', DELIVERY, where="\"state\" = 'failed'"),),
        decimals=0,
        steps=(Step(None, GREY), Step(1, P3)),
    ),
    Panel(
        number=808,
        kind=PanelKind.STAT,
        title=Text("Undeliverable", "无法送达"),
        description=Text("Given up: call these people by telephone. – is none.", "已放弃发送：请电话通知。– 表示无。"),
        unit="",
        at=(21, 0, 3, 4),
        queries=(select('count("attempt")', DELIVERY, where="\"state\" = 'undeliverable'"),),
        decimals=0,
        steps=(Step(None, GREY), Step(1, P1)),
    ),
)

_ACTIVE: Final = (
    Panel(
        number=809,
        kind=PanelKind.TABLE,
        title=Text("Active alerts", "未恢复的告警"),
        description=Text(
            "The newest of each kind, area, device and market, where it was raised and is not over, with its age.",
            "各类型、区域、设备及市场的最新告警中已触发且未恢复者，并列出时长。",
        ),
        unit="",
        at=(0, 4, 24, 10),
        queries=(
            select(
                '"priority", "name", "segment", "area", "dev", "text_en", "text_zh"',
                _newest("text_en", "text_zh", "state", "priority"),
                where=_RAISED,
                then=f"ORDER BY time DESC LIMIT {_ACTIVE_ROWS}",
            ),
        ),
        marks=PRIORITIES,
        coloured=("priority",),
        columns=headings(ALERT, "priority", "name", "segment", "area", "dev", "text_en", "text_zh") | {"Time": Text("Raised", "触发时间")},
        looks={"/^Time$/": Look(unit="age")},
    ),
)

_RATES: Final = (
    Panel(
        number=810,
        kind=PanelKind.TIME_SERIES,
        title=Text("Alerts in ten minutes", "每十分钟告警数"),
        description=Text(
            "ISA-18.2 for one operator: 1 is acceptable, 2 can be managed, over 10 is a flood.",
            "ISA-18.2 对单个值班员：1 条可接受，2 条可应对，超过 10 条为告警泛滥。",
        ),
        unit="",
        at=(0, _RATES_TOP, 10, 10),
        queries=(
            select(
                'count("alert_id")',
                ALERT,
                where=_RAISED,
                then="GROUP BY time($__interval) fill(0)",
                label=Text("Raised", "触发"),
            ),
        ),
        decimals=0,
        steps=(Step(None, GREY), Step(1, GREY), Step(2, P3), Step(10, P1)),
        stepped=True,
        least_step=_TEN_MINUTES,
    ),
    Panel(
        number=811,
        kind=PanelKind.TABLE,
        title=Text("Alerts by kind", "各类告警数"),
        description=Text(
            "Raised in the time shown; who leads this list needs mending, not acknowledging.",
            "所示时间内触发数；居首者应予消缺而非仅确认。",
        ),
        unit="",
        at=(10, _RATES_TOP, 7, 10),
        queries=(select('count("alert_id") AS "raised"', ALERT, where=_RAISED, then='GROUP BY "name"'),),
        decimals=0,
        columns=headings(ALERT, "name") | {"raised": Text("Raised", "触发数")},
        highest="raised",
    ),
    Panel(
        number=812,
        kind=PanelKind.TABLE,
        title=Text("Alerts by priority", "各优先级告警数"),
        description=Text(
            "Raised in the time shown; about 80, 15 and 5 % of low, middle and high priority is sound.",
            "所示时间内触发数；低、中、高优先级约占 80%、15%、5% 为宜。",
        ),
        unit="",
        at=(17, _RATES_TOP, 7, 10),
        queries=(select('count("alert_id") AS "raised"', ALERT, where=_RAISED, then='GROUP BY "priority"'),),
        decimals=0,
        marks=PRIORITIES,
        coloured=("priority",),
        columns=headings(ALERT, "priority") | {"raised": Text("Raised", "触发数")},
        highest="raised",
    ),
)

_DELIVERED: Final = (
    Panel(
        number=813,
        kind=PanelKind.TIME_SERIES,
        title=Text("Latency by channel", "各渠道送达时延"),
        description=Text("The slowest delivery of each step.", "各时段最慢一次送达。"),
        unit="s",
        at=(0, _DELIVERIES_TOP, 8, 10),
        queries=(course(DELIVERY, "latency_s", how="max", where="\"state\" = 'delivered'", by="channel"),),
        decimals=1,
    ),
    Panel(
        number=814,
        kind=PanelKind.TABLE,
        title=Text("Attempts by channel", "各渠道发送情况"),
        description=Text("How many attempts ended how, and how long they took.", "各渠道发送结果次数与用时。"),
        unit="",
        at=(8, _DELIVERIES_TOP, 7, 10),
        queries=(
            select(
                'count("attempt") AS "attempts", median("latency_s") AS "median", max("latency_s") AS "longest"',
                DELIVERY,
                then='GROUP BY "channel", "state"',
            ),
        ),
        decimals=1,
        marks=DELIVERIES,
        coloured=("state",),
        columns=headings(DELIVERY, "channel", "state")
        | {
            "attempts": Text("Attempts", "次数"),
            "median": Text("Median, s", "中位用时（秒）"),
            "longest": Text("Longest, s", "最长用时（秒）"),
        },
    ),
    Panel(
        number=815,
        kind=PanelKind.TABLE,
        title=Text("Attempts that failed", "发送失败记录"),
        description=Text("What the channel answered, newest first.", "渠道答复，最新在前。"),
        unit="",
        at=(15, _DELIVERIES_TOP, 9, 10),
        queries=(
            select(
                '"state", "channel", "priority", "attempt", "reply"',
                DELIVERY,
                where="\"state\" <> 'delivered'",
                then="ORDER BY time DESC LIMIT 50",
            ),
        ),
        marks=DELIVERIES,
        coloured=("state",),
        columns=headings(DELIVERY, "state", "channel", "priority", "attempt", "reply"),
    ),
)

_ALL: Final = Panel(
    number=29,
    kind=PanelKind.TABLE,
    title=title_of(ALERT),
    description=Text("Everything that was raised and everything that is over, newest first.", "全部触发与恢复记录，最新在前。"),
    unit="",
    at=(0, _ALL_TOP, 24, 12),
    queries=(rows(ALERT, "priority", "state", "name", "segment", "area", "dev", "text_en", "text_zh", most=200),),
    marks=PRIORITIES,
    coloured=("priority",),
    columns=headings(ALERT, "priority", "state", "name", "segment", "area", "dev", "text_en", "text_zh"),
)

BOARD: Final = Board(
    uid="gridfuse-alerts",
    level=Level.DETAIL,
    title=Text("Alerts", "告警"),
    question=Text("Who was told what, did it reach them, and were they told too much?", "谁收到了什么告警，是否送达，是否过多？"),
    panels=(*_TILES, *_ACTIVE, *_RATES, *_DELIVERED, _ALL),
    links=("gridfuse-telemetry", "gridfuse-pipeline"),
    shown="now-24h",
)
