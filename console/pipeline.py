"""How is this process, for whoever looks at InfluxDB? Told every ten seconds, as a record like any other.

The numbers are what the parts count anyway, those of ``/metrics`` (:mod:`console.metrics`); nothing is counted for it. A process tells it
to a topic, because the one that writes to InfluxDB may be another. So a process that is silent there has stopped, cannot send, or is not
written: the second watchdog sees all three.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from console.metrics import Watched
from market.units import NS_PER_S
from streams.errors import StoreError
from streams.positions import waiting_records
from streams.processreport import ProcessReport, StageReport
from streams.runtime import Shell
from streams.topics import TOPICS

__all__ = ["EVERY_S", "Pipeline"]

_log = logging.getLogger(__name__)

EVERY_S: Final = 10.0
"""Between two reports: event time, but at least a second of wall time where a simulated clock runs fast."""
_LEAST_S: Final = 1.0

_ALERTS: Final = "-alerts"
"""How the names of the processors end that make alerts."""
_STATM: Final = Path("/proc/self/statm")


class Pipeline:
    """Reports on one process.

    Args:
        watched: its parts.
        instance, role: what it is called.
    """

    def __init__(self, watched: Watched, instance: str, role: str) -> None:
        self._watched, self._instance, self._role = watched, instance, role
        self._started_s = time.monotonic()

    async def run(self) -> None:
        """Report until cancelled."""
        watched = self._watched
        while True:
            try:
                await watched.shell.emit([self.report()])
            except StoreError as exc:
                # Whoever decides dies of this by itself; a process that reads devices outlives its broker.
                _log.warning("no report on this process was sent: %s", exc, extra={"reason": str(exc)})
            await asyncio.sleep(max(_LEAST_S, EVERY_S / max(watched.clock.speed, 1.0)))

    def report(self) -> ProcessReport:
        """Look at the process now; reads memory, and the sizes of the spool's files."""
        watched = self._watched
        sink, recorder, now_ns = watched.spool, watched.recorder, time.time_ns()
        more: dict[str, Any] = {}
        if sink is not None and recorder is not None:
            since_ns = sink.waiting_since_ns()
            more |= {
                "spool_waiting_bytes": float(sink.status().waiting_bytes),
                "spool_waiting_s": 0.0 if since_ns is None else max(0.0, (now_ns - since_ns) / NS_PER_S),
                "not_spooled": recorder.not_spooled,
            }
        if watched.flusher is not None:
            status = watched.flusher.status
            more |= {"lines_sent": status.lines_sent, "lines_rejected": status.lines_rejected, "retries": status.retries}
            more["sink_lag_s"] = watched.flusher.lag_s(now_ns)
        counters = watched.shell.counters
        dropped = sum(lane.skipped for lane in watched.lanes())
        if watched.gateway is not None:
            dropped += sum(sum(device.dropped.values()) for device in watched.gateway.health())
        return ProcessReport(
            ts_event_ns=watched.clock.now_ns(),
            instance=self._instance,
            role=self._role,
            up_s=time.monotonic() - self._started_s,
            loop_delay_s=watched.loop_delay.last_s,
            rss_bytes=_resident_bytes(),
            cpu_s=time.process_time(),
            dead_letters=sum(counters[f"dead {topic.name}"] for topic in TOPICS),
            frames_dropped=dropped,
            stages=(*_processors(watched.shell), *self._sinks()),
            **more,
        )

    def _sinks(self) -> Iterator[StageReport]:
        counters = self._watched.shell.counters
        for lane in self._watched.lanes():
            topic = lane.topic.name
            yield StageReport(
                stage=f"{lane.sink}/{topic}", records=counters[f"taken sinks-{topic}"], errors=lane.skipped, waiting=lane.waiting
            )


def _processors(shell: Shell) -> Iterator[StageReport]:
    """Yield one report a processor, those of alerts added up; what only hands records to sinks is reported of the sinks."""
    waiting = waiting_records(shell.app)
    sums: defaultdict[str, Counter[str]] = defaultdict(Counter)
    seconds: defaultdict[str, float] = defaultdict(float)
    for name in sorted(shell.app.agents):
        if name.startswith("sinks-"):
            continue
        stage = "alerts" if name.endswith(_ALERTS) else name
        counted = {"records": shell.counters[f"taken {name}"], "errors": shell.counters[f"failed {name}"], "waiting": waiting.get(name, 0)}
        sums[stage].update(counted)
        seconds[stage] += shell.seconds.get(name, 0.0)
    for stage, counts in sums.items():
        records, errors, waits = (counts[name] for name in ("records", "errors", "waiting"))
        yield StageReport(stage=stage, records=records, errors=errors, waiting=waits, busy_s=seconds[stage])


def _resident_bytes() -> float | None:
    """Return the memory of this process, None where the system does not say."""
    try:
        return float(_STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        return None
