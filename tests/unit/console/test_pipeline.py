"""A process reports what its parts count, and goes on reporting."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from types import SimpleNamespace
from typing import Any, cast

import pytest

from console.loopdelay import LoopDelay
from console.metrics import Watched
from console.pipeline import Pipeline
from ingest.clock import SimulatedClock
from market.units import NS_PER_S, instant_ns
from streams import topics
from streams.errors import StoreError
from streams.influx import FlushStatus
from streams.processreport import ProcessReport, StageReport

NOON = instant_ns("2026-06-10T12:00:00+08:00")
AGENTS = ("intake", "breaker", "decision-alerts", "source-alerts", "sinks-kpi.v1")


class Told:
    """A shell that keeps what it is given, or fails first."""

    def __init__(self, failures: int = 0) -> None:
        self.records: list[Any] = []
        self.failures = failures
        self.app = SimpleNamespace(agents=dict.fromkeys(AGENTS))
        self.counters = Counter(
            {
                **{f"taken {name}": 10 * place for place, name in enumerate(AGENTS, 1)},
                **{f"failed {name}": place for place, name in enumerate(AGENTS)},
                "dead kpi.v1": 2,
                "dead market.facts.v1": 3,
            }
        )
        self.seconds = {"intake": 0.5, "decision-alerts": 0.25, "source-alerts": 0.5}

    async def emit(self, records: list[Any]) -> None:
        if self.failures:
            self.failures -= 1
            raise StoreError("the broker takes nothing")
        self.records += records


def pipeline(shell: Told, **parts: Any) -> Pipeline:
    watched = Watched(
        shell=cast("Any", shell),
        **{"gateway": None, "spool": None, "recorder": None, "flusher": None, "outbox": None, "dispatcher": None} | parts,
        clock=SimulatedClock(NOON, 1e-9),
        loop_delay=LoopDelay(),
        rule_set="r",
        last_tick_ns=lambda: NOON,
        lanes=lambda: cast("Any", (SimpleNamespace(sink="Recorder", topic=topics.KPI, skipped=4, waiting=6),)),
    )
    return Pipeline(watched, "gridfuse-1", "all")


def test_stages_are_processors_and_sinks_and_those_of_alerts_are_one() -> None:
    assert pipeline(Told()).report().stages == (
        StageReport(stage="breaker", records=20, errors=1, waiting=0, busy_s=0.0),
        StageReport(stage="alerts", records=70, errors=5, waiting=0, busy_s=0.75),
        StageReport(stage="intake", records=10, errors=0, waiting=0, busy_s=0.5),
        StageReport(stage="Recorder/kpi.v1", records=50, errors=4, waiting=6),
    )


def test_what_a_process_has_not_is_not_reported_and_its_losses_are_added_up() -> None:
    devices = SimpleNamespace(health=lambda: [SimpleNamespace(dropped={"queue_full": 1, "stopped": 2})])
    report = pipeline(Told(), gateway=devices).report()
    assert (report.ts_event_ns // NS_PER_S, report.instance, report.role) == (NOON // NS_PER_S, "gridfuse-1", "all")
    assert (report.dead_letters, report.frames_dropped) == (5, 7)
    assert (report.spool_waiting_bytes, report.sink_lag_s, report.lines_sent) == (None, None, None)
    assert report.cpu_s > 0
    assert report.rss_bytes is None or report.rss_bytes > 1e6


def test_spool_and_sender_are_reported_where_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("console.pipeline.time.time_ns", lambda: 100 * NS_PER_S)
    sink = SimpleNamespace(status=lambda: SimpleNamespace(waiting_bytes=12), waiting_since_ns=lambda: 40 * NS_PER_S)
    flusher = SimpleNamespace(status=FlushStatus(lines_sent=7, lines_rejected=1, retries=3), lag_s=lambda now_ns: 2.5)
    report = pipeline(Told(), spool=sink, recorder=SimpleNamespace(not_spooled=9), flusher=flusher).report()
    assert (report.spool_waiting_bytes, report.spool_waiting_s, report.not_spooled) == (12.0, 60.0, 9)
    assert (report.lines_sent, report.lines_rejected, report.retries, report.sink_lag_s) == (7, 1, 3, 2.5)


def test_a_report_that_cannot_be_sent_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    naps: list[float] = []
    shell = Told(failures=1)

    async def nap(seconds: float) -> None:
        naps.append(seconds)
        if shell.records:
            raise asyncio.CancelledError

    async def story() -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await pipeline(shell).run()

    monkeypatch.setattr("console.pipeline.asyncio.sleep", nap)
    asyncio.run(story())
    assert [type(record) for record in shell.records] == [ProcessReport]
    assert naps == [10.0, 10.0]
