"""Is the service itself well? The board for the people behind it.

Every process says so every ten seconds (``pipeline``), and each stage of its work beside it (``stage``). Counters only grow while a
process lives; they are shown as rates, and a restart is no negative rate.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from dashboards.board import Board, Level, Variable
from dashboards.elements import GREY, P1, P2, P3, Mark, Panel, PanelKind, Query, Step, Text, course, headings, select, title_of
from streams.measurements import PIPELINE, STAGE, Measurement

__all__ = ["BOARD"]

_INSTANCE: Final = Variable("instance", Text("Process", "进程"), f'SHOW TAG VALUES FROM "{PIPELINE.name}" WITH KEY = "instance"')
_CHOSEN: Final = '"instance" =~ /^$instance$/'
_BEATS_TOP: Final = 4
_SINK_TOP: Final = 9
_PROCESS_TOP: Final = 17
_STAGES_TOP: Final = 25
_STAGE_NAME: Final = Text("$tag_stage · $tag_instance", "$tag_stage · $tag_instance")
_GREY_ONLY: Final = (Step(None, GREY),)


def _rate(measurement: Measurement, name: str, by: str, *, times: str = "", label: Text | None = None) -> Query:
    """Ask how fast a counter grows, per second, for each process and each value of ``by``."""
    tags = '"instance"' if by == "instance" else f'"instance", "{by}"'
    return select(
        f'non_negative_derivative(max("{name}"), 1s)' + times,
        measurement,
        where=_CHOSEN,
        then=f"GROUP BY time($__interval), {tags} fill(none)",
        label=label or Text(f"$tag_{by}", f"$tag_{by}"),
    )


def _worst(
    number: int, name: str, x: int, description: Text, steps: tuple[Step, ...], *, decimals: int = 1, title: Text | None = None
) -> Panel:
    """Show the worst process's newest value."""
    column = PIPELINE.field(name)
    newest = select(f'last("{name}") AS "{name}"', PIPELINE, where=_CHOSEN, then='GROUP BY "instance"')
    return Panel(
        number=number,
        kind=PanelKind.STAT,
        title=title or title_of(column),
        description=description,
        unit=column.unit,
        at=(x, 0, 3, 4),
        queries=(select(f'max("{name}")', newest),),
        decimals=decimals,
        steps=steps,
    )


def _grown(number: int, name: str, x: int, description: Text, colour: str) -> Panel:
    """Show by how much a counter grew in the time shown, over all processes."""
    grown = select(f'spread("{name}") AS "{name}"', PIPELINE, where=_CHOSEN, then='GROUP BY "instance"')
    return Panel(
        number=number,
        kind=PanelKind.STAT,
        title=_GROWN[name],
        description=description,
        unit="",
        at=(x, 0, 3, 4),
        queries=(select(f'sum("{name}")', grown),),
        decimals=0,
        steps=(Step(None, GREY), Step(1, colour)),
    )


_GROWN: Final = {
    "lines_rejected": Text("Lines refused", "被拒行数"),
    "not_spooled": Text("Records not spooled", "未落盘记录数"),
    "dead_letters": Text("Dead letters", "死信记录数"),
}

_TILES: Final = (
    Panel(
        number=901,
        kind=PanelKind.STAT,
        title=Text("Last heartbeat", "最近心跳"),
        description=Text("Of any process chosen; one comes every ten seconds.", "所选进程的最近一次；每十秒一次。"),
        unit="age",
        at=(0, 0, 3, 4),
        queries=(select('last("heartbeat")', PIPELINE, where=_CHOSEN),),
    ),
    _worst(
        902,
        "sink_lag_s",
        3,
        Text("How far the database is behind; orange from 60 s.", "数据库滞后时间；60 秒起橙色。"),
        (Step(None, GREY), Step(60, P2), Step(600, P1)),
    ),
    _worst(
        903,
        "spool_waiting_bytes",
        6,
        Text("Kept on disk until the database takes it.", "落盘等待写入数据库。"),
        (Step(None, GREY), Step(100e6, P3)),
    ),
    _grown(
        904,
        "lines_rejected",
        9,
        Text("By the database, in the time shown; they are in the dead-letter file.", "所示时间内被数据库拒绝，已存入死信文件。"),
        P2,
    ),
    _grown(
        905,
        "not_spooled",
        12,
        Text("In the time shown: the disk was full. They are on their topics.", "所示时间内因磁盘满未落盘，记录仍在主题中。"),
        P1,
    ),
    _grown(906, "dead_letters", 15, Text("In the time shown: could not be decoded or processed.", "所示时间内无法解码或处理的记录。"), P2),
    _worst(
        907,
        "loop_delay_s",
        18,
        Text("How late the event loop is; above 1 s something blocks it.", "事件循环滞后；超过 1 秒表示被阻塞。"),
        (Step(None, GREY), Step(0.25, P3), Step(1, P2)),
        decimals=3,
    ),
    _worst(908, "rss_bytes", 21, Text("Of the largest process.", "最大进程。"), _GREY_ONLY),
)

_BEATS: Final = Panel(
    number=909,
    kind=PanelKind.STATE_TIMELINE,
    title=Text("Heartbeats", "心跳"),
    description=Text("A row for each process; a gap is a process that was not there.", "每个进程一行；空白表示进程不在。"),
    unit="",
    at=(0, _BEATS_TOP, 24, 5),
    queries=(course(PIPELINE, "heartbeat", how="last", where=_CHOSEN, by="instance"),),
    marks=(Mark("1", Text("○ up", "○ 运行"), GREY),),
    least_step="30s",
)


def _of_processes() -> Iterator[Panel]:
    """Yield what is shown of each process, three beside each other."""
    shown = (
        (910, "sink_lag_s", Text("How far the database is behind.", "数据库滞后时间。"), (Step(None, GREY), Step(60, P2))),
        (911, "spool_waiting_bytes", Text("Kept on disk until the database takes it.", "落盘等待写入数据库。"), _GREY_ONLY),
        (912, "loop_delay_s", Text("How late the event loop is.", "事件循环滞后。"), (Step(None, GREY), Step(1, P2))),
        (913, "rss_bytes", Text("Resident memory.", "常驻内存。"), _GREY_ONLY),
    )
    places = ((0, _SINK_TOP), (8, _SINK_TOP), (0, _PROCESS_TOP), (16, _PROCESS_TOP))
    for (number, name, description, steps), at in zip(shown, places, strict=True):
        column = PIPELINE.field(name)
        yield Panel(
            number=number,
            kind=PanelKind.TIME_SERIES,
            title=title_of(column),
            description=description,
            unit=column.unit,
            at=(*at, 8, 8),
            queries=(course(PIPELINE, name, how="max", where=_CHOSEN, by="instance"),),
            decimals=1,
            steps=steps,
        )


_RATES: Final = (
    Panel(
        number=914,
        kind=PanelKind.TIME_SERIES,
        title=Text("Lines written a second", "每秒写入行数"),
        description=Text("Accepted by the database.", "数据库已接受。"),
        unit="1/s",
        at=(16, _SINK_TOP, 8, 8),
        queries=(_rate(PIPELINE, "lines_sent", "instance"),),
        decimals=0,
        least_step="30s",
    ),
    Panel(
        number=915,
        kind=PanelKind.TIME_SERIES,
        title=Text("Processor use", "处理器占用"),
        description=Text("100 % is one core.", "100% 为一个核心。"),
        unit="%",
        at=(8, _PROCESS_TOP, 8, 8),
        queries=(_rate(PIPELINE, "cpu_s", "instance", times=" * 100"),),
        decimals=0,
        least_step="30s",
    ),
    Panel(
        number=916,
        kind=PanelKind.TIME_SERIES,
        title=Text("Records a second by stage", "各环节每秒记录数"),
        description=Text("How much each stage takes in.", "各环节处理速率。"),
        unit="1/s",
        at=(0, _STAGES_TOP, 8, 8),
        queries=(_rate(STAGE, "records", "stage", label=_STAGE_NAME),),
        decimals=1,
        least_step="30s",
    ),
    Panel(
        number=917,
        kind=PanelKind.TIME_SERIES,
        title=Text("Work of each stage", "各环节忙碌程度"),
        description=Text("Part of the time it is at work; near 100 % it is what holds up the rest.", "工作时间占比；接近 100% 即为瓶颈。"),
        unit="%",
        at=(8, _STAGES_TOP, 8, 8),
        queries=(_rate(STAGE, "busy_s", "stage", times=" * 100", label=_STAGE_NAME),),
        decimals=1,
        steps=(Step(None, GREY), Step(90, P2)),
        least_step="30s",
    ),
    Panel(
        number=918,
        kind=PanelKind.TIME_SERIES,
        title=Text("Errors a second by stage", "各环节每秒错误数"),
        description=Text("Records that failed.", "处理失败的记录。"),
        unit="1/s",
        at=(16, _STAGES_TOP, 8, 8),
        queries=(_rate(STAGE, "errors", "stage", label=_STAGE_NAME),),
        decimals=2,
        least_step="30s",
    ),
)

_TABLES: Final = (
    Panel(
        number=919,
        kind=PanelKind.TABLE,
        title=title_of(STAGE),
        description=Text("Newest counts of each stage since its process began.", "各环节自进程启动以来的最新计数。"),
        unit="",
        at=(0, _STAGES_TOP + 8, 12, 12),
        queries=(
            select(
                'last("records") AS "records", "errors", "waiting", "busy_s"', STAGE, where=_CHOSEN, then='GROUP BY "instance", "stage"'
            ),
        ),
        decimals=0,
        columns=headings(STAGE, "instance", "stage", "records", "errors", "waiting", "busy_s"),
        highest="waiting",
    ),
    Panel(
        number=920,
        kind=PanelKind.TABLE,
        title=title_of(PIPELINE),
        description=Text("Newest figures of each process.", "各进程的最新指标。"),
        unit="",
        at=(12, _STAGES_TOP + 8, 12, 12),
        queries=(
            select(
                ", ".join(
                    ['last("up_s") AS "up_s"', *(f'"{name}"' for name in ("lines_sent", "lines_rejected", "retries", "frames_dropped"))]
                ),
                PIPELINE,
                where=_CHOSEN,
                then='GROUP BY "instance", "role"',
            ),
        ),
        decimals=0,
        columns=headings(PIPELINE, "instance", "role", "up_s", "lines_sent", "lines_rejected", "retries", "frames_dropped"),
    ),
)

BOARD: Final = Board(
    uid="gridfuse-pipeline",
    level=Level.SUPPORT,
    title=Text("Pipeline", "数据管道"),
    question=Text("Is the service itself well?", "服务本身是否正常？"),
    panels=(*_TILES, _BEATS, *_of_processes(), *_RATES, *_TABLES),
    variables=(_INSTANCE,),
    links=("gridfuse-telemetry", "gridfuse-alerts"),
    shown="now-1h",
)
