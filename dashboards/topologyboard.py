"""Is the grid whole, and where is it not? The board of the topology, with the one-line diagram.

The diagram shows what is abnormal in its place; the tables beside it say the same in words, and also what no canvas has room for.
"""

from __future__ import annotations

from functools import cache, partial
from typing import Final

from dashboards.board import Board, Level
from dashboards.diagram import DEMONSTRATION, Diagram, read_diagram
from dashboards.elements import (
    GREY,
    P1,
    P2,
    P3,
    Drill,
    Mark,
    Panel,
    PanelKind,
    Query,
    Step,
    Text,
    course,
    headings,
    last,
    rows,
    select,
    tile,
    title_of,
)
from dashboards.oneline import (
    LOADING_LIMITS,
    LOADING_MARKS,
    LOADING_STEPS,
    LOOKS,
    OPEN_VALUE,
    branch_series,
    bus_series,
    drawn,
    open_series,
)
from streams.measurements import BRANCH, BUS, FINDING, KPI, LINE_LOADING, TOPOLOGY, Measurement

__all__ = ["TOPOLOGY_UID", "topology_board"]

TOPOLOGY_UID: Final = "gridfuse-topology"
_MOST_BARS: Final = 20
_MOST_ROWS: Final = 50
_OVER: Final = Step(100.5, P1)

_MOVES: Final = (
    Mark("1", Text("○ closed", "○ 合上"), GREY),
    Mark("-1", Text("△ opened", "△ 断开"), P3),
)


def _same(text: str) -> Text:
    return Text(text, text)


_RECENT: Final = "time > ${__to}ms - 2m"
"""A picture that is older is none: what nobody reports on any more is shown as unknown, not as it was."""


def _newest(measurement: Measurement, name: str, *by: str) -> Query:
    """Ask for the newest value of a field, for each value of some tags; something to ask further."""
    tags = ", ".join(f'"{tag}"' for tag in by)
    return select(f'last("{name}") AS "{name}"', measurement, where=_RECENT, then=f"GROUP BY {tags}")


_TILES: Final = (
    tile(
        TOPOLOGY,
        "islands",
        number=501,
        at=(0, 0, 3, 4),
        description=Text("Parts of the grid that are alive and not joined; one is normal.", "带电且互不相连的电网部分数；正常为 1。"),
        steps=(Step(None, GREY), Step(2, P2)),
        decimals=0,
    ),
    tile(
        TOPOLOGY,
        "branches_open",
        number=502,
        at=(3, 0, 3, 4),
        description=Text("Branches out of service by their switch positions.", "按开关位置判定的停运支路数。"),
        steps=(Step(None, GREY), Step(1, P3)),
        decimals=0,
    ),
    tile(
        TOPOLOGY,
        "buses_dead",
        number=503,
        at=(6, 0, 3, 4),
        description=Text("Buses without voltage.", "失电母线数。"),
        steps=(Step(None, GREY), Step(1, P1)),
        decimals=0,
    ),
    tile(
        TOPOLOGY,
        "load_lost_mw",
        number=504,
        at=(9, 0, 3, 4),
        description=Text("What was drawn at buses that are dead now, when they were alive.", "当前失电母线在失电前的负荷。"),
        steps=(Step(None, GREY), Step(0.1, P1)),
    ),
    Panel(
        number=505,
        kind=PanelKind.STAT,
        title=Text("Highest loading now", "当前最高负载率"),
        description=Text("Of all branches, in % of continuous rating.", "全部支路中的最高值，占持续额定值的百分比。"),
        unit="%",
        at=(12, 0, 3, 4),
        queries=(select('max("loading_pct")', _newest(BRANCH, "loading_pct", "branch")),),
        decimals=0,
        steps=LOADING_STEPS,
    ),
    tile(
        KPI,
        "observable_pct",
        number=506,
        at=(15, 0, 3, 4),
        description=Text(
            "Buses whose angle follows from what is measured; what is not observable cannot be judged.",
            "可由量测推得相角的母线占比；不可观测部分无法研判。",
        ),
        steps=(Step(None, P2), Step(90, GREY)),
    ),
    tile(
        KPI,
        "suspect_measurements",
        number=507,
        at=(18, 0, 3, 4),
        description=Text(
            "Meters that contradict the others, and positions that the flows contradict.",
            "与其他量测矛盾的表计，以及与潮流矛盾的开关位置。",
        ),
        steps=(Step(None, GREY), Step(1, P3)),
        decimals=0,
    ),
    Panel(
        number=508,
        kind=PanelKind.STAT,
        title=Text("Data as of", "数据时间"),
        description=Text(
            "When the picture below was last written. If this grows, nothing on this page is live.",
            "下方接线图最近一次写入的时间。若持续增大，则本页数据均非实时。",
        ),
        unit="age",
        at=(21, 0, 3, 4),
        queries=(last(TOPOLOGY, "islands"),),
    ),
)


def _one_line(diagram: Diagram) -> Panel:
    left_out = Text(
        f" {diagram.left_out} stations of lower voltage have no room; what is abnormal there is in the tables.",
        f"另有 {diagram.left_out} 座较低电压等级厂站未绘出，其异常见下方表格。",
    )
    more = left_out if diagram.left_out else Text("", "")
    return Panel(
        number=509,
        kind=PanelKind.CANVAS,
        title=Text("One-line diagram", "电网接线图"),
        description=Text(
            f"Every station where it always stands. Numbers are % of continuous rating.{more.en}",
            f"各厂站位置固定不变。数字为占持续额定值的百分比。{more.zh}",
        ),
        unit="%",
        at=(0, 4, 24, 23),
        queries=(
            select(
                f'last("loading_pct") * last("closed") + {OPEN_VALUE} * (1 - last("closed"))',
                BRANCH,
                where=_RECENT,
                then='GROUP BY "branch"',
                label=_same(branch_series("$tag_branch")),
            ),
            select('1 - last("closed")', BRANCH, where=_RECENT, then='GROUP BY "branch"', label=_same(open_series("$tag_branch"))),
            select('last("energised")', BUS, where=_RECENT, then='GROUP BY "bus"', label=_same(bus_series("$tag_bus"))),
        ),
        decimals=0,
        steps=LOADING_STEPS,
        marks=LOADING_MARKS,
        limits=LOADING_LIMITS,
        looks=LOOKS,
        drawing=cache(partial(drawn, diagram.plan, diagram.layout, in_part=diagram.in_part)),
    )


_BELOW: Final = 27

_TABLES: Final = (
    Panel(
        number=25,
        kind=PanelKind.BAR_GAUGE,
        title=Text("Most loaded branches", "负载率最高的支路"),
        description=Text(
            f"The {_MOST_BARS} highest now, in % of continuous rating: yellow from 90, red over 100.",
            f"当前最高的 {_MOST_BARS} 条，占持续额定值的百分比：90% 起黄色，超过 100% 为红色。",
        ),
        unit="%",
        at=(0, _BELOW, 8, 16),
        queries=(select(f'top("loading_pct", "branch", {_MOST_BARS})', _newest(BRANCH, "loading_pct", "branch")),),
        decimals=0,
        steps=LOADING_STEPS,
        limits=(0, 120),
        columns=headings(BRANCH, "branch") | {"top": title_of(BRANCH.field("loading_pct"))},
        highest="top",
    ),
    Panel(
        number=511,
        kind=PanelKind.TABLE,
        title=Text("Branches that are open", "断开的支路"),
        description=Text("By their switch positions; the time is of the newest report.", "按开关位置判定；时间为最新报告时间。"),
        unit="",
        at=(8, _BELOW, 5, 8),
        queries=(select('"closed", "branch"', _newest(BRANCH, "closed", "branch"), where='"closed" = 0', then=f"LIMIT {_MOST_ROWS}"),),
        marks=(Mark("0", Text("△ open", "△ 断开"), P3),),
        columns=headings(BRANCH, "closed", "branch"),
        coloured=("closed",),
    ),
    Panel(
        number=512,
        kind=PanelKind.TABLE,
        title=Text("Buses that are dead", "失电的母线"),
        description=Text("With the area they are in.", "及其所在区域。"),
        unit="",
        at=(8, _BELOW + 8, 5, 8),
        queries=(
            select(
                '"energised", "area", "bus"', _newest(BUS, "energised", "area", "bus"), where='"energised" = 0', then=f"LIMIT {_MOST_ROWS}"
            ),
        ),
        marks=(Mark("0", Text("■ dead", "■ 失电"), P1),),
        columns=headings(BUS, "energised", "area", "bus"),
        coloured=("energised",),
    ),
    Panel(
        number=513,
        kind=PanelKind.TABLE,
        title=Text("Position changes, last half hour", "近半小时开关变位"),
        description=Text("Branches that opened or closed, newest first.", "断开或合上的支路，最新在前。"),
        unit="",
        at=(13, _BELOW, 5, 16),
        queries=(
            select(
                '"moved", "branch"',
                select('difference("closed") AS "moved"', BRANCH, then='GROUP BY "branch"'),
                where='"moved" <> 0',
            ),
        ),
        marks=_MOVES,
        columns=headings(BRANCH, "branch") | {"moved": Text("Change", "变位")},
        coloured=("moved",),
        # Not ordered by the database: it would take the differences backwards, and an opening would be shown as a closing.
        highest="Time",
        # A difference looks at every image of every branch: six hours of them are half a second of the database.
        span="30m",
    ),
    Panel(
        number=514,
        kind=PanelKind.TIME_SERIES,
        title=Text("Islands, open branches, dead buses", "电气岛、断开支路与失电母线"),
        description=Text("How the grid hung together over time.", "电网连通情况随时间的变化。"),
        unit="",
        at=(18, _BELOW, 6, 8),
        queries=tuple(
            course(TOPOLOGY, name, how="max", label=title_of(TOPOLOGY.field(name))) for name in ("islands", "branches_open", "buses_dead")
        ),
        decimals=0,
        stepped=True,
    ),
    Panel(
        number=515,
        kind=PanelKind.TIME_SERIES,
        title=Text("Highest loading", "最高负载率"),
        description=Text("Of the most loaded branch at each step; red over 100 %.", "各时刻负载最重支路；超过 100% 为红色。"),
        unit="%",
        at=(18, _BELOW + 8, 6, 8),
        queries=(course(LINE_LOADING, "loading_pct", how="max", label=Text("Highest loading", "最高负载率")),),
        decimals=0,
        steps=(Step(None, GREY), _OVER),
    ),
    Panel(
        number=516,
        kind=PanelKind.TABLE,
        title=title_of(FINDING),
        description=Text(
            "What the detectors found in the grid and the market, with the evidence, newest first.",
            "各检测器对电网与市场的研判及证据，最新在前。",
        ),
        unit="",
        at=(0, _BELOW + 16, 24, 8),
        queries=(rows(FINDING, "kind", "segment", "text_en", "text_zh", "evidence", "met_at"),),
        columns=headings(FINDING, "kind", "segment", "text_en", "text_zh", "evidence", "met_at"),
        drill=Drill("gridfuse-alerts"),
    ),
)


def topology_board(diagram: Diagram) -> Board:
    """Return the board with the one-line diagram of a grid."""
    return Board(
        uid=TOPOLOGY_UID,
        level=Level.TASK,
        title=Text("Grid topology", "电网拓扑"),
        question=Text("Is the grid whole, and where is it not?", "电网是否完整，何处异常？"),
        panels=(*_TILES, _one_line(diagram), *_TABLES),
        links=("gridfuse-kpis", "gridfuse-telemetry", "gridfuse-alerts"),
    )


BOARD: Final = topology_board(read_diagram(DEMONSTRATION))
"""With the demonstration grid."""
