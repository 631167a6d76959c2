"""When does Grafana call for help, should the service no longer be able to?

Gridfuse tells the people on call itself (:mod:`streams.notify`), within a fraction of a second. Grafana's rules see only what reached
InfluxDB, every half minute, so they are the second watchdog and no more: they fire when results, heartbeats or the sink stay away, and
repeat that a breaker has tripped. They lie beside the dashboards, are rendered with them and held to them by the same ``--check``.

Each rule is three steps, as Grafana writes them: A asks InfluxDB, B reduces each series to one number, C holds it against a threshold.
What no data mean is said for each, because silence is what two of them are about. When InfluxDB itself does not answer, only the
heartbeat's rule fires; the others keep their state, so that one failure is one call.

The rules judge by the wall clock: of a service whose event time runs ahead, such as the demo, they say nothing useful.

Deliberately absent: times to mute (a watchdog sleeps at no hour), and who gets up; that is the environment's choice of one contact
point: a webhook, Alertmanager or e-mail.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from dashboards.elements import Query, Text, select
from streams.measurements import CLEARING, MARKET, PIPELINE

__all__ = ["RT_INTERVAL_MIN", "Link", "Missing", "OnError", "Reducer", "Rule", "rules"]

RT_INTERVAL_MIN: Final = 15
"""Length of a real-time interval where nothing else is said: that of the default rule set."""

_INTERVALS: Final = 3
_S_PER_MIN: Final = 60

_BREAKER: Final = "gridfuse-breaker-zh"
_MARKET: Final = "gridfuse-market-zh"
_PIPELINE: Final = "gridfuse-pipeline-zh"


class Reducer(StrEnum):
    """How a series becomes one number; values that are not numbers are left out."""

    LAST = "last"
    MAX = "max"
    SUM = "sum"


class Missing(StrEnum):
    """What it means that the query finds nothing (``noDataState``)."""

    FIRE = "Alerting"
    FINE = "OK"


class OnError(StrEnum):
    """What it means that the query cannot be asked (``execErrState``)."""

    FIRE = "Alerting"
    KEEP = "KeepLast"


@dataclass(frozen=True, slots=True)
class Link:
    """The panel that shows what a rule is about: the dashboard's uid, and the number of the panel on it."""

    dashboard: str
    panel: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule.

    Attributes:
        uid: stable; silences and links use it.
        title: of few words, in one language after the other.
        meaning: what has happened when it fires; may use Grafana's ``{{ $values.B }}`` and ``{{ $labels.… }}``.
        remedy: what to look at and do, one step each.
        query: A, over the last ``window_s`` seconds.
        reducer: B.
        above, below: C, exactly one of them: fires where the number is greater, or less.
        for_s: how long the condition must hold before anybody is called.
        keep_s: how long it goes on firing after the condition is over, so that one that comes and goes is one call.
        missing, on_error: what silence and failure of the query mean.
        severity: priority, as the service's own alerts have it.
        link: the panel to look at.
    """

    uid: str
    title: Text
    meaning: Text
    remedy: tuple[Text, ...]
    query: Query
    window_s: int
    reducer: Reducer = Reducer.LAST
    above: float | None = None
    below: float | None = None
    for_s: int
    keep_s: int
    missing: Missing
    on_error: OnError
    severity: str
    link: Link

    def __post_init__(self) -> None:
        if (self.above is None) == (self.below is None):
            raise ValueError(f"rule {self.uid}: give exactly one of `above` and `below`")


_RT: Final = "\"segment\" = 'RT'"


def _no_clearing(rt_interval_min: int) -> Rule:
    window_s = _INTERVALS * rt_interval_min * _S_PER_MIN
    return Rule(
        uid="gridfuse-no-clearing",
        title=Text("No clearing result for 3 intervals", "连续 3 个时段无出清结果"),
        meaning=Text(
            f"No valid real-time clearing result was written for any of the last {_INTERVALS} intervals of {rt_interval_min} min.",
            f"最近 {_INTERVALS} 个时段（每时段 {rt_interval_min} 分钟）均未写入有效的实时出清结果。",
        ),
        remedy=(
            Text(
                "Live board: is the market out, and why? `gridfuse breaker show` says the same on a terminal.",
                "查看实时看板：市场是否中断及原因；也可在终端执行 `gridfuse breaker show`。",
            ),
            Text(
                "If the board has results and Grafana has none, the way to InfluxDB is broken: `gridfuse spool show`.",
                "若看板有结果而 Grafana 没有，则为写入 InfluxDB 的通道故障：执行 `gridfuse spool show`。",
            ),
            Text(
                "If there are none, `gridfuse doctor` names what is wrong; at 120 min the breaker trips by itself.",
                "若确无结果，执行 `gridfuse doctor` 查明原因；满 120 分钟将自动熔断。",
            ),
        ),
        query=select('sum("valid")', CLEARING, where=_RT),
        window_s=window_s,
        below=1,
        for_s=60,
        keep_s=0,
        missing=Missing.FIRE,
        on_error=OnError.KEEP,
        severity="P1",
        link=Link(_MARKET, 16),
    )


_SINK_LAG: Final = Rule(
    uid="gridfuse-sink-lag",
    title=Text("Writing to InfluxDB lags behind", "写入 InfluxDB 滞后"),
    meaning=Text(
        "{{ $labels.instance }} has been writing more than a minute behind ({{ $values.B }} s): these boards show the past.",
        "进程 {{ $labels.instance }} 写入滞后超过 1 分钟（{{ $values.B }} 秒）：本系统看板所示为过去数据。",
    ),
    remedy=(
        Text(
            "Use the live board meanwhile; it does not come by way of InfluxDB.",
            "期间请使用实时看板，其数据不经过 InfluxDB。",
        ),
        Text(
            "`gridfuse spool show` says how much waits; nothing is lost while the disk has room.",
            "执行 `gridfuse spool show` 查看待写入量；磁盘有空间时不会丢失数据。",
        ),
        Text(
            "Look at InfluxDB: its disk, its memory, its log; `gridfuse doctor` asks it directly.",
            "检查 InfluxDB 的磁盘、内存与日志；`gridfuse doctor` 可直接探测。",
        ),
    ),
    query=select('last("sink_lag_s")', PIPELINE, then='GROUP BY "instance"'),
    window_s=120,
    above=60,
    for_s=120,
    keep_s=300,
    # A process that has nothing to write to InfluxDB says nothing here; one that is gone is the heartbeat's matter.
    missing=Missing.FINE,
    on_error=OnError.KEEP,
    severity="P2",
    link=Link(_PIPELINE, 910),
)

_HEARTBEAT: Final = Rule(
    uid="gridfuse-heartbeat",
    title=Text("No heartbeat of the service", "服务心跳中断"),
    meaning=Text(
        "For a minute no process of the service has written its heartbeat: it is down, or cannot reach InfluxDB, or Grafana cannot.",
        "服务进程已 1 分钟未写入心跳：服务停止，或无法连接 InfluxDB，或 Grafana 无法查询。",
    ),
    remedy=(
        Text(
            "Open the live board. If it answers, the way to InfluxDB is broken; the market goes on.",
            "打开实时看板。若可访问，则为 InfluxDB 通道故障，市场仍在运行。",
        ),
        Text(
            "If it does not, start the service again; it takes up its log where it was.",
            "若无法访问，重新启动服务；服务将从日志断点处继续。",
        ),
        Text(
            "Until it runs, tell the control room by telephone that nothing watches the market.",
            "恢复前，请电话通知调度室：市场无人值守。",
        ),
    ),
    query=select('count("heartbeat")', PIPELINE),
    window_s=60,
    below=1,
    for_s=30,
    keep_s=60,
    missing=Missing.FIRE,
    on_error=OnError.FIRE,
    severity="P1",
    link=Link(_PIPELINE, 909),
)

_PROCESS_GONE: Final = Rule(
    uid="gridfuse-process-gone",
    title=Text("A process of the service has stopped", "服务进程停止"),
    meaning=Text(
        "{{ $labels.instance }} ({{ $labels.role }}) wrote heartbeats a while ago and writes none any more, while others do.",
        "进程 {{ $labels.instance }}（{{ $labels.role }}）此前有心跳，现已中断，其他进程仍在运行。",
    ),
    remedy=(
        Text(
            "A worker (streams): another one has taken over; start this one again, so that there is one to take over from that.",
            "决策进程（streams）：已由另一进程接管；请尽快重启本进程，以恢复备用。",
        ),
        Text(
            "A reader of the field (ingest): its devices are not read, and turn stale; start it again at once.",
            "采集进程（ingest）：所辖设备停止采集，数据将过期；请立即重启。",
        ),
        Text(
            "The side of the people (api): board, orders and alerts are out, the market goes on; start it again at once.",
            "人机进程（api）：看板、指令与告警中断，市场仍在运行；请立即重启。",
        ),
        Text(
            "Was it taken out of service? Then this ends by itself within a quarter of an hour.",
            "若为计划停用，本告警将在 15 分钟内自行解除。",
        ),
    ),
    # The minute that has just begun may hold none yet, so two are looked at. A process that was never seen in the window has no series.
    query=select('moving_average(count("heartbeat"), 2)', PIPELINE, then='GROUP BY time(1m), "instance", "role" fill(0)'),
    window_s=900,
    below=0.25,
    for_s=30,
    keep_s=0,
    missing=Missing.FINE,
    on_error=OnError.KEEP,
    severity="P2",
    link=Link(_PIPELINE, 909),
)

_BREAKER_SILENT: Final = Rule(
    uid="gridfuse-breaker-silent",
    title=Text("The market breaker says nothing", "熔断模块无输出"),
    meaning=Text(
        "For two minutes the market breaker has judged no instant: the worker that decides is gone, or time does not reach it.",
        "熔断模块已 2 分钟未作判断：决策进程停止，或时钟未推进。",
    ),
    remedy=(
        Text(
            "`GET /ready` of each worker names what is missing; another worker takes over within some twelve seconds where there is one.",
            "查看各进程的 `GET /ready`，其中列出缺失项；如有备用进程，约 12 秒内自动接管。",
        ),
        Text("Start the worker again, or the broker, if that is away.", "重新启动该进程；若消息代理不可用，先恢复消息代理。"),
        Text(
            "What happened meanwhile is judged afterwards, by the times at which it happened.",
            "期间发生的事件将在恢复后按发生时间补判。",
        ),
    ),
    query=select('count("outage_s")', MARKET),
    window_s=120,
    below=1,
    for_s=30,
    keep_s=60,
    missing=Missing.FIRE,
    on_error=OnError.KEEP,
    severity="P1",
    link=Link(_BREAKER, 30),
)

_TRIPPED: Final = Rule(
    uid="gridfuse-tripped",
    title=Text("A market breaker has tripped", "市场已熔断"),
    meaning=Text(
        "The breaker of the {{ $labels.segment }} market (RT real-time, DA day-ahead) tripped {{ $values.B }} s ago: prices are replaced.",
        "{{ $labels.segment }} 市场已熔断 {{ $values.B }} 秒（RT 实时，DA 日前），执行替代价格。",
    ),
    remedy=(
        Text(
            "The service has told those on call already: did they get it? If not, its deliveries fail (`gridfuse doctor`).",
            "服务本身应已通知值班人员：是否收到？若未收到，则其通知通道故障（`gridfuse doctor`）。",
        ),
        Text(
            "Handle the incident on the live board: duties and their clocks, notices, recovery (`gridfuse duty list`).",
            "在实时看板处置：义务及时限、公告、恢复（`gridfuse duty list`）。",
        ),
    ),
    # 0 while nothing has tripped, so that the end is seen as clearly as the beginning.
    query=select('last("breaker_s")', MARKET, then='GROUP BY "segment"'),
    window_s=120,
    above=0,
    for_s=0,
    keep_s=60,
    missing=Missing.FINE,
    on_error=OnError.KEEP,
    severity="P1",
    link=Link(_BREAKER, 1),
)


def rules(rt_interval_min: int = RT_INTERVAL_MIN) -> tuple[Rule, ...]:
    """Return the rules for a market whose real-time intervals have this length, minutes."""
    return (_no_clearing(rt_interval_min), _SINK_LAG, _HEARTBEAT, _PROCESS_GONE, _BREAKER_SILENT, _TRIPPED)
