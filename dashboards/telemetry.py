"""Does everything that is due arrive, and where does the rest go? Rows of the overview, below how well it all went.

All of it is from the accounts (:mod:`ingest.account`), in which every sample that was due is good, uncertain, bad, late or lost for a
reason: so the parts shown add up to what was due, and nothing can be missing without being seen here.
"""

from __future__ import annotations

from typing import Final

from dashboards.elements import GREY, P2, P3, Panel, PanelKind, Step, Text, course, headings, select, title_of
from dashboards.performance import PERFORMANCE
from streams.measurements import ACCOUNT

__all__ = ["TELEMETRY_HEALTH"]

_AREAS: Final = '"area" =~ /^$area$/'
_OUTCOMES: Final = ("good", "uncertain", "bad", "late", "lost")
_REASONS: Final = tuple(field.name for field in ACCOUNT.fields if field.name.startswith("lost_"))

_WORST: Final = 15
"""Devices in the table of the worst."""

_TILES_TOP: Final = max(panel.at[1] + panel.at[3] for panel in PERFORMANCE)
_COURSES_TOP: Final = _TILES_TOP + 4
_TABLES_TOP: Final = _COURSES_TOP + 8


def _sum(number: int, name: str, x: int, description: Text) -> Panel:
    """How many samples of the time shown had one outcome; any is worth a look."""
    return Panel(
        number=number,
        kind=PanelKind.STAT,
        title=title_of(ACCOUNT.field(name)),
        description=description,
        unit="",
        at=(x, _TILES_TOP, 6, 4),
        queries=(select(f'sum("{name}")', ACCOUNT, where=_AREAS),),
        decimals=0,
        steps=(Step(None, GREY), Step(1, P3)),
    )


_TILES: Final = (
    Panel(
        number=56,
        kind=PanelKind.STAT,
        title=Text("Came good, of what was due", "合格样本占应到样本"),
        description=Text("Over the time shown, in all areas chosen; orange below 99 %.", "所示时间内所选区域；低于 99% 为橙色。"),
        unit="%",
        at=(0, _TILES_TOP, 6, 4),
        queries=(select('100 * sum("good") / sum("expected")', ACCOUNT, where=_AREAS),),
        decimals=2,
        steps=(Step(None, P2), Step(99, GREY)),
    ),
    _sum(57, "bad", 6, Text("Came with a bad quality, which says why there is no value.", "质量位为无效，并说明无值原因。")),
    _sum(58, "late", 12, Text("Came, but too long after newer ones to count as a value.", "已到达，但晚于较新数据过久，不作为量值。")),
    _sum(59, "lost", 18, Text("Were due, or made, and never reached the topic.", "应到或已生成，但未进入主题。")),
)

_COURSES: Final = (
    Panel(
        number=60,
        kind=PanelKind.TIME_SERIES,
        title=title_of(ACCOUNT),
        description=Text("Stacked: all outcomes together are what was due.", "堆叠：各类去向之和即应到样本数。"),
        unit="",
        at=(0, _COURSES_TOP, 12, 8),
        queries=tuple(course(ACCOUNT, name, how="sum", where=_AREAS, label=title_of(ACCOUNT.field(name))) for name in _OUTCOMES),
        decimals=0,
        stacked=True,
    ),
    Panel(
        number=61,
        kind=PanelKind.TIME_SERIES,
        title=Text("Lost samples by reason", "丢失样本（按原因）"),
        description=Text("Stacked: nothing is lost without a reason.", "堆叠：每个丢失样本均有原因。"),
        unit="",
        at=(12, _COURSES_TOP, 12, 8),
        queries=tuple(course(ACCOUNT, name, how="sum", where=_AREAS, label=title_of(ACCOUNT.field(name))) for name in _REASONS),
        decimals=0,
        stacked=True,
    ),
)

_SHARE: Final = select('100 * (sum("expected") - sum("good")) / sum("expected") AS share', ACCOUNT, where=_AREAS, then='GROUP BY "dev"')

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
        coloured=("top",),
        columns=headings(ACCOUNT, "dev") | {"top": Text("Did not come good", "未合格占比")},
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
                where=_AREAS,
                then='GROUP BY "area", "dev"',
            ),
        ),
        decimals=0,
        columns=headings(ACCOUNT, "area", "dev", "expected", *_OUTCOMES, *_REASONS),
    ),
)

TELEMETRY_HEALTH: Final = (*_TILES, *_COURSES, *_TABLES)
"""Three rows, from the edge of the figures down."""
