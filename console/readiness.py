"""Is this process alive, and is it in sync? Two questions of whoever starts it again, or sends work to it.

*Alive* (``/health``): the event loop comes round and the log takes records. Where not, nothing but a restart helps.

*Ready* (``/ready``): recovered, partitions assigned, processors near the newest record, time told. Where not, waiting often helps; each
line says what is missing and what to do. Ready is more than Faust's own word for it, which says so before anything was recovered.

Everything is read from memory; a look costs microseconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from console.loopdelay import LoopDelay
from ingest.clock import Clock
from market.units import NS_PER_S
from streams import topics
from streams.positions import open_log, positions
from streams.runtime import Shell

__all__ = ["LOOP_DELAY_MAX_S", "Readiness"]

LOOP_DELAY_MAX_S: Final = 5.0
"""An event loop that comes round later than this serves nobody: devices time out, ticks stand still."""

_LAG_MAX: Final = {topics.FRAMES: 20_000, topics.SNAPSHOTS: 1_000, topics.INPUTS: 100, topics.COMMANDS: 100, topics.FACTS: 1_000}
"""Records a partition may be behind, on the topics that decide. Telemetry is committed with the tick, so one tick's frames are normal:
the bound is that of some 2,000 devices behind one partition, read every second, with a tick of ten."""

_COMPUTES: Final = {"grid": topics.SNAPSHOTS, "breaker": topics.FACTS}
"""Processors that say which event time they have finished, and what they read."""

_BEHIND_TICKS: Final = 3
_BEHIND_WALL_S: Final = 10.0
"""Behind by three ticks, or by ten seconds of wall time where ticks are faster, is not a matter of one slow record."""


class Readiness:
    """Knows what is missing.

    Args:
        shell: the processors.
        progress: event time that they have finished, by name (:class:`streams.agents.Hooks`).
        clock: event time.
        tick_ns: event time between two ticks.
        last_tick_ns: gives the event time of the last tick, 0 before the first one.
        loop_delay: how late the event loop comes round.

    Attributes:
        recovered: whether the processors have their state; whoever waits for it says so.
    """

    def __init__(
        self,
        shell: Shell,
        progress: Mapping[str, int],
        clock: Clock,
        tick_ns: int,
        last_tick_ns: Callable[[], int],
        loop_delay: LoopDelay,
    ) -> None:
        self._shell = shell
        self._progress = progress
        self._clock = clock
        self._last_tick_ns = last_tick_ns
        self._loop_delay = loop_delay
        self._behind_max_ns = max(_BEHIND_TICKS * tick_ns, int(_BEHIND_WALL_S * clock.speed * NS_PER_S))
        self.recovered = False

    def failing(self) -> list[str]:
        """Name what only a restart can mend; empty while the process lives (:class:`console.api.HealthSource`)."""
        return [*self._log(), *self._loop()]

    def missing(self) -> list[str]:
        """Name what is not ready, each with its remedy; empty when everything is in sync (:class:`console.api.HealthSource`)."""
        found = self.failing()
        if not self.recovered:
            return [*found, "stream processors: recovering; wait, the more changes since the last stop the longer"]
        if self._shell.app.rebalancing:
            what = (
                "partitions: being assigned; wait, and if it does not end see that each worker has a name of its own and the broker answers"
            )
            return [*found, what]
        return [*found, *self._lag(), *self._time()]

    def _log(self) -> Iterator[str]:
        if (log := open_log(self._shell.app)) is None:
            return
        if log.failure is not None:
            yield f"log: {log.failure}"
        elif not log.alive:
            yield "log: its writer has ended; start the service again, and report it with the log of messages"

    def _loop(self) -> Iterator[str]:
        if (late_s := self._loop_delay.late_s()) > LOOP_DELAY_MAX_S:
            remedy = "something holds it: see the machine's load and its disks, then start the service again"
            yield f"event loop: {late_s:.0f} s late, at most {LOOP_DELAY_MAX_S:.0f} s; {remedy}"

    def _lag(self) -> Iterator[str]:
        bounds = {topic.name: bound for topic, bound in _LAG_MAX.items()}
        for place in positions(self._shell.app):
            bound = bounds.get(place.topic)
            if bound is not None and place.lag is not None and place.lag > bound:
                what = f"{place.topic}[{place.partition}]: {place.lag:,} records behind, at most {bound:,}"
                yield f"{what}; wait while they are dealt with, and if they grow more see gridfuse_processor_work_seconds_total"

    def _time(self) -> Iterator[str]:
        tick_ns = self._last_tick_ns()
        if not tick_ns:
            yield "time: not told yet; the first tick comes when the devices have been heard"
            return
        bound_s = self._behind_max_ns / NS_PER_S
        if (old_ns := self._clock.now_ns() - tick_ns) > self._behind_max_ns:
            remedy = "the event loop or the disk holds it up: see gridfuse_event_loop_delay_max_seconds and gridfuse doctor"
            yield f"time: the last tick is {old_ns / NS_PER_S:,.0f} s old, at most {bound_s:,.0f} s; {remedy}"
        for name, topic in _COMPUTES.items():
            if not self._shell.owns(topic):
                continue
            done_ns = self._progress.get(name, 0)
            if not done_ns:
                yield f"{name}: has computed no tick yet; wait for telemetry of every area"
            elif tick_ns - done_ns > self._behind_max_ns:
                behind_s = (tick_ns - done_ns) / NS_PER_S
                remedy = "wait, and if it grows see gridfuse_processor_work_seconds_total"
                yield f"{name}: {behind_s:,.0f} s behind the last tick, at most {bound_s:,.0f} s; {remedy}"
