"""Which measurements are written to InfluxDB, with which tags, fields and units: the one schema.

The encoder (:mod:`streams.lineprotocol`), the dashboards and the documentation read this table; a name that is not in it is not
written. Names are an interface: they change with a line in the changelog and a note on migration.

Rules the table keeps (a test holds them), so that the same lines are taken by InfluxDB 1.8+, 2.x and 3 Core:

* Names are letters, digits, ``_`` and ``-``; no tag and field of a measurement share a name; none is called ``time``.
* A tag is something that is grouped by and bounded: an area, a device, a bus. Ids, texts, prices and instants are fields. Every tag of
  a measurement is on every line of it, as ``none`` where it does not apply, because 3 Core fixes the set of tags at the first line.
* A field keeps its type for ever. A quantity is always a float, also where it happens to be whole.
* Nothing is overwritten. A later version of the same interval is appended one nanosecond later, so that ``last()`` is the correction
  and the first version stays to be seen; the same line sent twice is stored once.

Instants are nanoseconds on the wire, the precision every server assumes when none is named, so a spool segment is a file that any
tool can load. Their resolution is the millisecond; what lies below it tells apart records of the same millisecond.

Telemetry has one line per element and instant, with the element's quantities as fields (``mw``, ``kv``, ``from_mw``). A line per device
would be wider still, but its fields would be named after points: a new field for every bus, no ``GROUP BY "element"``, and more
columns than the 500 a table of 3 Core may have. A device whose point list names many quantities of one element gets one wide line.

Deliberately absent: where the data go (:mod:`streams.influx`), and anything a dashboard can compute itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from streams.kpis import KPIS

__all__ = [
    "ACCOUNT",
    "ALERT",
    "BINDING",
    "CLEARING",
    "EVENT",
    "FUEL",
    "KPI",
    "KPI_AREA",
    "LINE_LOADING",
    "LMP",
    "MARKET",
    "MEASUREMENTS",
    "NONE",
    "PRICE",
    "QUALITY_SUFFIX",
    "SOURCE",
    "TELEMETRY",
    "Field",
    "FieldType",
    "Measurement",
    "Tag",
]

NONE: Final = "none"
"""Value of a tag that does not apply to a line."""

QUALITY_SUFFIX: Final = "_quality"
"""A telemetry quantity that is not Good is accompanied, or where it is Bad replaced, by its status code in a field so named."""


class FieldType(StrEnum):
    """How a field is written: ``1.0``, ``1i`` or ``"text"``."""

    FLOAT = "float"
    INT = "integer"
    TEXT = "string"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tag:
    """What lines are grouped by; ``bounded_by`` says what limits its values."""

    name: str
    title_en: str
    title_zh: str
    bounded_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One column of values; ``unit`` is empty for counts, codes and texts."""

    name: str
    type: FieldType
    unit: str
    title_en: str
    title_zh: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """One table.

    Attributes:
        tags: sorted by name, the order the vendor asks for on the wire.
        time: what the instant of a line is.
        open_fields: whether fields beyond those listed are written too (telemetry carries what the point list names).
    """

    name: str
    title_en: str
    title_zh: str
    time: str
    tags: tuple[Tag, ...]
    fields: tuple[Field, ...]
    open_fields: bool = False

    def field(self, name: str) -> Field:
        """Return a field.

        Raises:
            KeyError: no such field.
        """
        for field in self.fields:
            if field.name == name:
                return field
        raise KeyError(f"measurement {self.name} has no field {name}")


def _tag(name: str, title_en: str, title_zh: str, bounded_by: str) -> Tag:
    return Tag(name=name, title_en=title_en, title_zh=title_zh, bounded_by=bounded_by)


def _float(name: str, unit: str, title_en: str, title_zh: str) -> Field:
    return Field(name=name, type=FieldType.FLOAT, unit=unit, title_en=title_en, title_zh=title_zh)


def _int(name: str, title_en: str, title_zh: str) -> Field:
    return Field(name=name, type=FieldType.INT, unit="", title_en=title_en, title_zh=title_zh)


def _text(name: str, title_en: str, title_zh: str) -> Field:
    return Field(name=name, type=FieldType.TEXT, unit="", title_en=title_en, title_zh=title_zh)


_AREA: Final = _tag("area", "Area", "区域", "control areas of the point list")
_DEV: Final = _tag("dev", "Device", "设备", "devices of the point list")
_SEGMENT: Final = _tag("segment", "Market segment", "市场", "RT, DA, none")
_INTERVAL: Final = "start of the interval; a later version of it one nanosecond later"
_SNAPSHOT: Final = "instant of the process image"

TELEMETRY: Final = Measurement(
    name="telemetry",
    title_en="Telemetry as measured",
    title_zh="原始遥测",
    time="source time of the samples",
    tags=(
        _AREA,
        _DEV,
        _tag("element", "Element", "元件", "elements of the point list"),
        _tag("kind", "Kind of element", "元件类型", "first part of a point's name"),
    ),
    fields=(
        _float("mw", "MW", "Active power", "有功功率"),
        _float("available_mw", "MW", "Available power", "可用功率"),
        _float("setpoint_mw", "MW", "Base point", "基点功率"),
        _float("mwh", "MWh", "Energy counter", "电能量表码"),
        _float("kv", "kV", "Voltage", "电压"),
        _float("from_mw", "MW", "Flow into the branch, from end", "支路首端有功"),
        _float("to_mw", "MW", "Flow into the branch, to end", "支路末端有功"),
        _float("from", "", "Switch position, from end (1 open, 2 closed)", "首端开关位置（1 分，2 合）"),
        _float("to", "", "Switch position, to end (1 open, 2 closed)", "末端开关位置（1 分，2 合）"),
        _float("hz", "Hz", "Frequency", "频率"),
        _float("interchange_mw", "MW", "Net export", "净外送"),
        _float("value", "", "Value of a point without a quantity in its name", "无量名测点的值"),
    ),
    open_fields=True,
)

KPI: Final = Measurement(
    name="kpi",
    title_en="Key figures of the system",
    title_zh="系统指标",
    time=_SNAPSHOT,
    tags=(),
    fields=(
        *(_float(kpi.name, kpi.unit, kpi.title_en, kpi.title_zh) for kpi in KPIS if kpi.scope == "system"),
        _int("lines_open", "Branches open", "断开支路数"),
    ),
)

KPI_AREA: Final = Measurement(
    name="kpi_area",
    title_en="Key figures of an area",
    title_zh="区域指标",
    time=_SNAPSHOT,
    tags=(_AREA,),
    fields=tuple(_float(kpi.name, kpi.unit, kpi.title_en, kpi.title_zh) for kpi in KPIS if kpi.scope == "area"),
)

FUEL: Final = Measurement(
    name="fuel",
    title_en="Output by fuel",
    title_zh="分类型出力",
    time=_SNAPSHOT,
    tags=(_tag("fuel", "Fuel", "燃料", "fuel classes of the network data"),),
    fields=(_float("generation_mw", "MW", "Output", "出力"),),
)

LINE_LOADING: Final = Measurement(
    name="line_loading",
    title_en="Most loaded branches",
    title_zh="重载支路",
    time=_SNAPSHOT,
    tags=(_tag("branch", "Branch", "支路", "branches of the network"),),
    fields=(
        _float("flow_mw", "MW", "Flow at the from end", "首端潮流"),
        _float("loading_pct", "%", "Loading", "负载率"),
    ),
)

SOURCE: Final = Measurement(
    name="source",
    title_en="Health of a device",
    title_zh="数据源状态",
    time=_SNAPSHOT,
    tags=(_AREA, _DEV),
    fields=(
        _text("state", "State: ok, stale or bad", "状态"),
        _float("age_s", "s", "Age of the newest value", "最新数据时延"),
        _float("age_p95_s", "s", "Age of its points, p95", "测点时延 P95"),
        _int("points", "Points", "测点数"),
        _int("good", "Points of good quality", "合格测点数"),
    ),
)

ACCOUNT: Final = Measurement(
    name="account",
    title_en="What became of the samples that were due",
    title_zh="应到数据去向",
    time="beginning of the minute, or of the reading if that was later",
    tags=(_AREA, _DEV),
    fields=(
        _int("expected", "Samples that were due", "应到样本数"),
        _int("good", "Came in time, good", "合格样本数"),
        _int("uncertain", "Came in time, uncertain", "可疑样本数"),
        _int("bad", "Came in time, bad", "无效样本数"),
        _int("late", "Came too late", "迟到样本数"),
        _int("lost", "Never came", "丢失样本数"),
        _int("lost_not_polled", "Lost: nobody asked", "丢失：未轮询"),
        _int("lost_not_pushed", "Lost: the device did not send", "丢失：设备未上送"),
        _int("lost_queue_full", "Lost: sending was slower than reading", "丢失：队列已满"),
        _int("lost_not_taken", "Lost: the topic refused it", "丢失：未被接收"),
        _int("lost_stopped", "Lost: stopped before it was sent", "丢失：进程停止"),
        _int("lost_spool_full", "Lost: the spool of the field was full", "丢失：暂存已满"),
        _int("lost_spool_too_old", "Lost: too long in the spool of the field", "丢失：暂存超期"),
    ),
)

CLEARING: Final = Measurement(
    name="clearing",
    title_en="How an interval was cleared",
    title_zh="出清结果",
    time=_INTERVAL,
    tags=(_SEGMENT,),
    fields=(
        _text("status", "Status: OK, OK_VIOLATION, OK_DEGRADED or FAILED", "状态"),
        _int("valid", "1 where there is a result, else 0", "是否有效"),
        _text("reason", "Why there is no result", "失败原因"),
        _text("detail", "What is known of the failure", "失败说明"),
        _int("version", "Version of the result", "结果版本"),
        _float("margin_s", "s", "Completed before the start of the interval", "提前完成时间"),
        _float("uniform_price_cny_per_mwh", "元/MWh", "Uniform price", "统一结算点电价"),
        _float("energy_cny_per_mwh", "元/MWh", "Energy part of the price", "电能量价格分量"),
        _float("objective_cny_per_h", "元/h", "Cost of the dispatch", "购电成本"),
        _float("penalty_cny_per_h", "元/h", "Penalties", "惩罚成本"),
        _int("binding", "Limits that bind", "起作用约束数"),
        _int("violations", "Limits violated", "越限约束数"),
        _float("violation_mw", "MW", "Sum of violations", "越限总量"),
        _int("certified", "1 where dispatch and prices prove each other, else 0", "校核通过"),
    ),
)

LMP: Final = Measurement(
    name="lmp",
    title_en="Price at a bus",
    title_zh="节点电价",
    time=_INTERVAL,
    tags=(_tag("bus", "Bus", "节点", "buses of the network"), _SEGMENT),
    fields=(
        _float("price_cny_per_mwh", "元/MWh", "LMP", "节点电价"),
        _float("congestion_cny_per_mwh", "元/MWh", "Congestion part", "阻塞分量"),
    ),
)

BINDING: Final = Measurement(
    name="binding",
    title_en="Limit that shaped the prices",
    title_zh="起作用约束",
    time=_INTERVAL,
    tags=(
        _tag("branch", "Branch", "支路", "branches of the network"),
        _tag("kind", "Kind of limit", "约束类型", "kinds of limit of a clearing"),
        _tag("outage", "Contingency", "预想故障", "branches of the network, none"),
        _SEGMENT,
    ),
    fields=(
        _float("flow_mw", "MW", "Flow", "潮流"),
        _float("limit_mw", "MW", "Limit", "限值"),
        _float("shadow_price_cny_per_mwh", "元/MWh", "Shadow price", "影子价格"),
    ),
)

MARKET: Final = Measurement(
    name="market",
    title_en="State of a market segment",
    title_zh="市场状态",
    time="instant of the view",
    tags=(_SEGMENT,),
    fields=(
        _text("phase", "Phase", "状态"),
        _text("basis", "What the phase rests on", "依据"),
        _float("outage_s", "s", "Time without a valid clearing", "出清中断时长"),
        _float("headroom_s", "s", "Left of the limit", "距熔断剩余时间"),
        _float("breaker_s", "s", "Time since the breaker tripped", "熔断持续时间"),
        _int("failed_intervals", "Intervals without a result", "失败时段数"),
        _int("shadow_ok", "Valid shadow clearings in a row", "连续试算成功数"),
        _text("flags", "Flags", "标志"),
        # Of the day-ahead run that goes on; on the line of that segment.
        _float("expected_p50_s", "s", "Until the result that is being made, P50", "距结果发布预计时间 P50"),
        _float("expected_p90_s", "s", "Until the result that is being made, P90", "距结果发布预计时间 P90"),
        _text("outlook", "Outlook for its deadline: in_time, warn or propose; else empty", "截止时间研判"),
        # The price in force is one for the market; it stands on the line of the real-time segment, whose interval it is for.
        _text("regime", "Rule behind the price in force", "价格规则"),
        _float("price_cny_per_mwh", "元/MWh", "Price in force", "执行价格"),
        _float("last_valid_age_s", "s", "Since the last valid clearing", "距上次有效出清"),
        # What people owe and wait for; one count for the market, on the same line.
        _int("duties_open", "Duties and tasks that are open", "未完成义务数"),
        _int("duties_overdue", "Of these overdue", "逾期义务数"),
        _int("cases_open", "Anomaly cases that are open", "未结案件数"),
        _int("approvals_open", "Measures that wait for approval", "待批措施数"),
    ),
)

PRICE: Final = Measurement(
    name="price",
    title_en="Price in force for an interval",
    title_zh="时段执行价格",
    time=_INTERVAL,
    tags=(_SEGMENT,),
    fields=(
        _float("price_cny_per_mwh", "元/MWh", "Price in force", "执行价格"),
        _text("regime", "Rule behind it", "价格规则"),
        _int("rev", "Revision, 0 for the first", "修订号"),
        _int("provisional", "1 while settlement must confirm it, else 0", "待确认"),
        _text("source", "Where the number comes from", "价格来源"),
        _float("age_s", "s", "How much older the clearing is that it is of", "所依出清的时龄"),
    ),
)

EVENT: Final = Measurement(
    name="event",
    title_en="What was decided",
    title_zh="决策与公告",
    time="event time of the decision; its number below the millisecond",
    tags=(_tag("kind", "Kind of decision", "决策类型", "kinds of decision body"), _SEGMENT),
    fields=(
        _int("seq", "Number of the decision", "决策序号"),
        _text("text_en", "Text, English", "英文内容"),
        _text("text_zh", "Text, Chinese", "中文内容"),
        _text("rule_set", "Rules in force", "规则版本"),
        _text("hash", "Hash in the audit chain", "审计链哈希"),
    ),
)

ALERT: Final = Measurement(
    name="alert",
    title_en="Told to the people on call",
    title_zh="告警",
    time="event time of the alert; its identity below the millisecond",
    tags=(
        _AREA,
        _DEV,
        _tag("name", "Kind of alert", "告警类型", "kinds of alert"),
        _tag("priority", "Priority", "优先级", "P1 to P4"),
        _SEGMENT,
        _tag("state", "State", "状态", "RAISED, CLEARED"),
    ),
    fields=(
        _text("alert_id", "Identity", "告警标识"),
        _text("text_en", "Text, English", "英文内容"),
        _text("text_zh", "Text, Chinese", "中文内容"),
    ),
)

MEASUREMENTS: Final = (TELEMETRY, KPI, KPI_AREA, FUEL, LINE_LOADING, SOURCE, ACCOUNT, CLEARING, LMP, BINDING, MARKET, PRICE, EVENT, ALERT)
"""Every measurement, in the order it is documented."""
