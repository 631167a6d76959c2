"""Every topic, in one table: what it is called, what is on it, how it is keyed, how long it stays.

A name carries its schema's major version; adding a field with a default is compatible, anything else is a new version. The names
are an interface: they change with a line in the changelog and a note on migration.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = [
    "ALERTS",
    "COMMANDS",
    "DEAD_LETTERS",
    "DECISIONS",
    "FACTS",
    "FINDINGS",
    "FRAMES",
    "INPUTS",
    "KPI",
    "OUTCOMES",
    "PRICES",
    "SNAPSHOTS",
    "TOPICS",
    "Topic",
]

_DAY_S: Final = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """One topic.

    Attributes:
        key: what a record is keyed by; records of one key keep their order.
        carries: the kinds of record on it, for people; :mod:`streams.wire` decodes them.
        partitions: how many ways it may be split. One where a single order is the point.
        retention_s: how long a record stays after it was written, by the wall clock.
    """

    name: str
    key: str
    carries: str
    partitions: int
    retention_s: int


FRAMES: Final = Topic(
    name="telemetry.frames.v1", key="area", carries="TelemetryFrame, columnar; FrameBundle", partitions=4, retention_s=2 * _DAY_S
)
SNAPSHOTS: Final = Topic(
    name="grid.snapshots.v1", key="area", carries="AreaSnapshot, columnar; IntervalPlan, DayAheadPlan", partitions=1, retention_s=2 * _DAY_S
)
FINDINGS: Final = Topic(
    name="grid.findings.v1",
    key="device",
    carries="SourceStale, SourceFresh, SourceClockJumped, SourceClockSteady",
    partitions=1,
    retention_s=30 * _DAY_S,
)
INPUTS: Final = Topic(
    name="market.inputs.v1", key="market", carries="ClearingInputs, DayAheadWanted, ClearAgain", partitions=1, retention_s=400 * _DAY_S
)
OUTCOMES: Final = Topic(name="market.outcomes.v1", key="market", carries="Cleared, ClearingFailed", partitions=1, retention_s=400 * _DAY_S)
FACTS: Final = Topic(
    name="market.facts.v1", key="market", carries="every Fact: the breaker's whole input", partitions=1, retention_s=400 * _DAY_S
)
COMMANDS: Final = Topic(name="market.commands.v1", key="market", carries="CommandGiven", partitions=1, retention_s=400 * _DAY_S)
DECISIONS: Final = Topic(
    name="market.decisions.v1", key="market", carries="Decision: the audit, hash-chained", partitions=1, retention_s=400 * _DAY_S
)
PRICES: Final = Topic(name="market.prices.v1", key="market", carries="PriceInForce", partitions=1, retention_s=400 * _DAY_S)
KPI: Final = Topic(name="kpi.v1", key="market", carries="KpiFrame, MarketView, AreaAccounts", partitions=1, retention_s=7 * _DAY_S)
ALERTS: Final = Topic(name="alerts.v1", key="alert", carries="Alert", partitions=1, retention_s=400 * _DAY_S)
DEAD_LETTERS: Final = Topic(name="dead_letters.v1", key="topic", carries="DeadLetter", partitions=1, retention_s=30 * _DAY_S)

TOPICS: Final = (FRAMES, SNAPSHOTS, FINDINGS, INPUTS, OUTCOMES, FACTS, COMMANDS, DECISIONS, PRICES, KPI, ALERTS, DEAD_LETTERS)
