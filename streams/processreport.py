"""How is one process of the service? Told every ten seconds, to whoever looks at InfluxDB and not at the process itself.

The numbers are those of ``/metrics`` (:mod:`console.metrics`): nothing is counted for a report. Counts grow from the start of the process.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["ProcessReport", "SolveTimed", "StageReport"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SolveTimed:
    """How long the engine took for one version of an interval, wall s, the way there and back included; done at ``ts_event_ns``."""

    ts_event_ns: int
    interval_start_ns: int
    version: int
    solve_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StageReport:
    """One stage: a processor by its name (those of alerts are one), or a sink and the topic it is shown, as ``Recorder/kpi.v1``.

    Attributes:
        records: taken by a processor; of a sink those of its topic that were taken for all sinks.
        errors: records a processor failed on; of a sink those that were given up because it was too far behind.
        waiting: records that are there and not taken.
        busy_s: wall s at work, waits for the disk included; None of a sink.
    """

    stage: str
    records: int
    errors: int
    waiting: int
    busy_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessReport:
    """One process at one instant; what its role does not have is None.

    Attributes:
        ts_event_ns: event time of the look.
        up_s: wall s since it was started.
        spool_waiting_bytes: bytes that InfluxDB has not accepted; spool_waiting_s: for how long the oldest of them has waited, wall s.
        sink_lag_s: for how long the oldest line that is not backlog has waited, wall s.
        lines_sent, lines_rejected, retries: lines accepted and refused, and requests that failed as a whole.
        not_spooled: records that the disk did not take.
        loop_delay_s: how late the event loop comes round, wall s.
        rss_bytes: memory; cpu_s: processor time, s.
        dead_letters: records that could not be used; frames_dropped: frames of telemetry given up, by the gateway or before a sink.
    """

    ts_event_ns: int
    instance: str
    role: str
    up_s: float
    spool_waiting_bytes: float | None = None
    spool_waiting_s: float | None = None
    sink_lag_s: float | None = None
    lines_sent: int | None = None
    lines_rejected: int | None = None
    retries: int | None = None
    not_spooled: int | None = None
    loop_delay_s: float = 0.0
    rss_bytes: float | None = None
    cpu_s: float = 0.0
    dead_letters: int = 0
    frames_dropped: int = 0
    stages: tuple[StageReport, ...] = ()
