"""Measurements of the grid: telemetry and its roll-ups, key figures, branches and buses, devices and what became of their samples."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from streams.kpis import KPIS
from streams.schema import AREA, BUS_TAG, DEV, REV, SEGMENT, SNAPSHOT, Field, FieldType, Measurement, count, quantity, tag, text

__all__ = [
    "ACCOUNT",
    "BRANCH",
    "BUS",
    "FUEL",
    "KPI",
    "KPI_AREA",
    "LINE_LOADING",
    "SOURCE",
    "TELEMETRY",
    "TELEMETRY_1M",
    "TOPOLOGY",
    "rolled_up",
]

TELEMETRY: Final = Measurement(
    name="telemetry",
    title_en="Telemetry as measured",
    title_zh="原始遥测",
    time="source time of the samples",
    tags=(
        AREA,
        DEV,
        tag("element", "Element", "元件", "elements of the point list"),
        tag("kind", "Kind of element", "元件类型", "first part of a point's name"),
    ),
    fields=(
        quantity("mw", "MW", "Active power", "有功功率"),
        quantity("available_mw", "MW", "Available power", "可用功率"),
        quantity("setpoint_mw", "MW", "Base point", "基点功率"),
        quantity("mwh", "MWh", "Energy counter", "电能量表码"),
        quantity("kv", "kV", "Voltage", "电压"),
        quantity("from_mw", "MW", "Flow into the branch, from end", "支路首端有功"),
        quantity("to_mw", "MW", "Flow into the branch, to end", "支路末端有功"),
        quantity("from", "", "Switch position, from end (1 open, 2 closed)", "首端开关位置（1 分，2 合）"),
        quantity("to", "", "Switch position, to end (1 open, 2 closed)", "末端开关位置（1 分，2 合）"),
        quantity("hz", "Hz", "Frequency", "频率"),
        quantity("interchange_mw", "MW", "Net export", "净外送"),
        quantity("value", "", "Value of a point without a quantity in its name", "无量名测点的值"),
    ),
    open_fields=True,
)


def rolled_up(field: Field) -> Iterator[Field]:
    """Yield the fields that a quantity of telemetry has in a roll-up: mean under its own name, then least, most, last and count."""
    name, unit, english, chinese = field.name, field.unit, field.title_en, field.title_zh
    yield quantity(name, unit, f"{english}, mean", f"{chinese}，平均")
    yield quantity(f"{name}_min", unit, f"{english}, least", f"{chinese}，最小")
    yield quantity(f"{name}_max", unit, f"{english}, most", f"{chinese}，最大")
    yield quantity(f"{name}_last", unit, f"{english}, last", f"{chinese}，最后")
    yield count(f"{name}_n", f"{english}, good samples", f"{chinese}，合格样本数")


TELEMETRY_1M: Final = Measurement(
    name="telemetry_1m",
    title_en="Telemetry by the minute, of its good samples",
    title_zh="分钟遥测（合格样本）",
    time="beginning of the minute of source time; a corrected roll-up one nanosecond later",
    tags=TELEMETRY.tags,
    fields=(*(part for field in TELEMETRY.fields if field.type is FieldType.FLOAT for part in rolled_up(field)), REV),
    open_fields=True,
)

KPI: Final = Measurement(
    name="kpi",
    title_en="Key figures of the system",
    title_zh="系统指标",
    time=SNAPSHOT,
    tags=(),
    fields=(
        *(quantity(kpi.name, kpi.unit, kpi.title_en, kpi.title_zh) for kpi in KPIS if kpi.scope == "system"),
        count("lines_open", "Branches open", "断开支路数"),
    ),
)

KPI_AREA: Final = Measurement(
    name="kpi_area",
    title_en="Key figures of an area",
    title_zh="区域指标",
    time=SNAPSHOT,
    tags=(AREA,),
    fields=tuple(quantity(kpi.name, kpi.unit, kpi.title_en, kpi.title_zh) for kpi in KPIS if kpi.scope == "area"),
)

FUEL: Final = Measurement(
    name="fuel",
    title_en="Output by fuel",
    title_zh="分类型出力",
    time=SNAPSHOT,
    tags=(tag("fuel", "Fuel", "燃料", "fuel classes of the network data"),),
    fields=(quantity("generation_mw", "MW", "Output", "出力"),),
)

LINE_LOADING: Final = Measurement(
    name="line_loading",
    title_en="Most loaded branches",
    title_zh="重载支路",
    time=SNAPSHOT,
    tags=(tag("branch", "Branch", "支路", "branches of the network"),),
    fields=(
        quantity("flow_mw", "MW", "Flow at the from end", "首端潮流"),
        quantity("loading_pct", "%", "Loading", "负载率"),
    ),
)

BRANCH: Final = Measurement(
    name="branch",
    title_en="State of a branch",
    title_zh="支路状态",
    time=SNAPSHOT,
    tags=(tag("branch", "Branch", "支路", "branches of the network"),),
    fields=(
        quantity("flow_mw", "MW", "Flow at the from end", "首端潮流"),
        quantity("loading_pct", "%", "Loading", "负载率"),
        count("closed", "1 in service, 0 open", "是否投运"),
    ),
)

BUS: Final = Measurement(
    name="bus",
    title_en="State of a bus",
    title_zh="节点状态",
    time=SNAPSHOT,
    tags=(AREA, BUS_TAG),
    fields=(
        count("energised", "1 alive, 0 dead", "是否带电"),
        count("island", "Island it is in, from 1 by size; 0 where it is dead", "所属电气岛"),
        quantity("kv_pu", "p.u.", "Voltage", "电压标幺值"),
    ),
)

TOPOLOGY: Final = Measurement(
    name="topology",
    title_en="How the grid hangs together",
    title_zh="拓扑状态",
    time=SNAPSHOT,
    tags=(SEGMENT,),
    fields=(
        count("islands", "Islands that are alive", "电气岛数"),
        count("branches_open", "Branches open", "断开支路数"),
        count("buses_dead", "Buses dead", "失电节点数"),
        quantity("load_lost_mw", "MW", "Load lost at dead buses, as last measured alive", "失电负荷"),
        quantity("observability_pct", "%", "Observable buses", "可观测母线占比"),
    ),
)

SOURCE: Final = Measurement(
    name="source",
    title_en="Health of a device",
    title_zh="数据源状态",
    time=SNAPSHOT,
    tags=(AREA, DEV),
    fields=(
        text("state", "State: ok, stale or bad", "状态"),
        quantity("age_s", "s", "Age of the newest value", "最新数据时延"),
        quantity("age_p95_s", "s", "Age of its points, p95", "测点时延 P95"),
        count("points", "Points", "测点数"),
        count("good", "Points of good quality", "合格测点数"),
    ),
)

ACCOUNT: Final = Measurement(
    name="account",
    title_en="What became of the samples that were due",
    title_zh="应到数据去向",
    time="beginning of the minute, or of the reading if that was later",
    tags=(AREA, DEV),
    fields=(
        count("expected", "Samples that were due", "应到样本数"),
        count("good", "Came in time, good", "合格样本数"),
        count("uncertain", "Came in time, uncertain", "可疑样本数"),
        count("bad", "Came in time, bad", "无效样本数"),
        count("late", "Came too late", "迟到样本数"),
        count("lost", "Never came", "丢失样本数"),
        count("lost_not_polled", "Lost: nobody asked", "丢失：未轮询"),
        count("lost_not_pushed", "Lost: the device did not send", "丢失：设备未上送"),
        count("lost_queue_full", "Lost: sending was slower than reading", "丢失：队列已满"),
        count("lost_not_taken", "Lost: the topic refused it", "丢失：未被接收"),
        count("lost_stopped", "Lost: stopped before it was sent", "丢失：进程停止"),
        count("lost_spool_full", "Lost: the spool of the field was full", "丢失：暂存已满"),
        count("lost_spool_too_old", "Lost: too long in the spool of the field", "丢失：暂存超期"),
    ),
)
