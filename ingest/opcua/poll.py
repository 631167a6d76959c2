"""What do a server's points say when they are asked, for servers that should not or cannot keep a subscription?

Every point is read at its period, all that are due together in calls as long as the server takes. A value that has not changed since
the last reading, in status, value and source time, is not published again: as with a subscription its silence means that it stands,
and a round of readings that brought nothing new leaves as a frame without samples, the server's sign of life. So points are the same
downstream, whichever way they are read.

A round that was due while another one ran is passed over and counted.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, Final

import numpy as np
from asyncua import ua

from ingest.clock import Clock
from ingest.devices import UaDevice
from ingest.opcua.heed import heed_cancellation
from ingest.opcua.limits import Limits, parts
from ingest.opcua.nodes import NodeBook
from ingest.opcua.samples import Samples
from ingest.source import Source

__all__ = ["Polling"]

_MISSING_S: Final = 5.0


class Polling:
    """The points of one server, read at their periods.

    Args:
        nodes: which node each point is.
        samples: takes what was read.
        source: takes signs of life, and counts.
    """

    def __init__(self, device: UaDevice, nodes: NodeBook, samples: Samples, source: Source, clock: Clock) -> None:
        self._device = device
        self._nodes = nodes
        self._samples = samples
        self._source = source
        self._clock = clock
        self._said: dict[int, tuple[Any, int, Any]] = {}
        self._groups: dict[int, list[int]] = {}

    async def run(self, session: Any, limits: Limits, succeeded: Callable[[], None]) -> None:
        """Read until the server is gone.

        Args:
            succeeded: told of every round that was answered.

        Raises:
            ua.UaError, OSError, TimeoutError: the server is gone.
        """
        self._said = {}
        lost = self._source.dropped.total()
        self._group()
        due_ns = dict.fromkeys({point.period_ns for point in self._device.points}, self._clock.now_ns())
        looked_s = time.monotonic()
        while True:
            heed_cancellation()
            await self._clock.sleep_until(min(due_ns.values()))
            if self._source.dropped.total() != lost:
                # What was lost on our way would not be told again, because it has not changed since.
                lost = self._source.dropped.total()
                self._said = {}
            now_ns = self._clock.now_ns()
            periods = [period_ns for period_ns, at_ns in due_ns.items() if at_ns <= now_ns]
            await self._round(session, [row for period_ns in periods for row in self._groups.get(period_ns, ())], limits)
            succeeded()
            now_ns = self._clock.now_ns()
            for period_ns in periods:
                passed = (now_ns - due_ns[period_ns]) // period_ns
                self._source.skipped += passed
                due_ns[period_ns] += (passed + 1) * period_ns
            if time.monotonic() - looked_s > _MISSING_S:
                looked_s = time.monotonic()
                if await self._nodes.look_again():
                    self._group()
            await asyncio.sleep(0)

    def _group(self) -> None:
        self._groups = {}
        for row in self._nodes.known():
            self._groups.setdefault(self._device.points[row].period_ns, []).append(row)

    async def _round(self, session: Any, rows: list[int], limits: Limits) -> None:
        is_news = False
        for some in parts(rows, limits.reads):
            asked = [ua.ReadValueId(NodeId=self._nodes[row], AttributeId=ua.AttributeIds.Value) for row in some]
            request = ua.ReadParameters(MaxAge=0, TimestampsToReturn=ua.TimestampsToReturn.Source, NodesToRead=asked)
            values = await session.read(request)
            self._source.heard()
            news = [(row, value) for row, value in zip(some, values, strict=True) if self._is_news(row, value)]
            if news:
                is_news = True
                self._samples.take(np.array([row for row, _ in news], dtype=np.int64), [value for _, value in news])
        self._source.polls += 1
        if not is_news:
            self._source.heard()
            self._source.beat()

    def _is_news(self, row: int, value: Any) -> bool:
        raw = None if value.Value is None else value.Value.Value
        said = (raw, 0 if value.StatusCode is None else value.StatusCode.value, value.SourceTimestamp)
        if self._said.get(row) == said:
            return False
        self._said[row] = said
        return True
