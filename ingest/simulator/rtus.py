"""The RTUs that dial in: each says its name and pushes its area's frequency and net export.

A push is one Modbus/TCP frame, a write of all the RTU's registers (function 16) that begins with the time of its own clock. The RTU
reads the answers and throws them away, as such devices do; when nobody listens, or the connection breaks, it dials again after a
back-off. An RTU that has lost its communications neither pushes nor dials; one whose clock is off pushes as ever, with a wrong time.
"""

from __future__ import annotations

import asyncio
import contextlib
import struct
from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ingest.backoff import Backoff
from ingest.devices import PushDevice
from ingest.simulator.faults import Condition
from ingest.simulator.registers import RegisterImage, encoded
from market.grid import FloatArray
from market.units import NS_PER_S

__all__ = ["Rtu", "push_frame"]

_WRITE_REGISTERS: Final = 16
_CONNECT_S: Final = 5.0
_BACKLOG_MAX: Final = 64 * 1024
"""Bytes a listener may leave unread before the RTU gives the connection up."""


def push_frame(number: int, unit_id: int, address: int, registers: bytes) -> bytes:
    """Return a Modbus/TCP frame that writes registers.

    Args:
        number: transaction id, 0..65535.
        registers: their contents, two bytes each, most significant first.
    """
    count = len(registers) // 2
    body = struct.pack(">BBHHB", unit_id, _WRITE_REGISTERS, address, count, len(registers)) + registers
    return struct.pack(">HHH", number, 0, len(body)) + body


class Rtu:
    """One RTU.

    Args:
        device: its registers and the listener it dials.
        row: where each point's value stands in the published column.
        speed: event seconds per wall second; shortens the longest back-off.
    """

    def __init__(self, device: PushDevice, row: Mapping[str, int], speed: float) -> None:
        assert device.clock is not None, "a simulated RTU has a clock"
        self.device = device
        self._clock = device.clock
        self._speed = speed
        self._image = RegisterImage(device.points, [row[point.name] for point in device.points])
        self._start = min(self._clock.address, self._image.start)
        end = self._image.start + len(self._image.words)
        self._words: NDArray[np.uint16] = np.zeros(end - self._start, dtype=np.uint16)
        self._number = 0
        self._lost = False
        self._off_ns = 0
        self._latest: tuple[FloatArray, int] | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to dial."""
        self._task = asyncio.create_task(self._run(), name=self.device.name)

    async def _run(self) -> None:
        backoff = Backoff(speed=self._speed)
        while True:
            if not self._lost:
                with contextlib.suppress(OSError, TimeoutError):
                    await self._session(backoff)
            await asyncio.sleep(backoff.failed())

    async def _session(self, backoff: Backoff) -> None:
        """Dial, register, and read answers until the connection ends."""
        async with asyncio.timeout(_CONNECT_S):
            reader, writer = await asyncio.open_connection(self.device.host, self.device.port)
        try:
            writer.write(f"RTU {self.device.name}\r\n".encode())
            self._writer = writer
            if self._latest is not None:
                self.push(*self._latest)
            while await reader.read(4096):
                backoff.succeeded()
        finally:
            self._writer = None
            writer.close()

    def push(self, values: FloatArray, ts_ns: int) -> None:
        """Send the column's values (n,) of one step; whoever is reached later is sent the latest at once."""
        self._latest = (values, ts_ns)
        writer = self._writer
        if writer is None or self._lost:
            return
        if writer.transport.get_write_buffer_size() > _BACKLOG_MAX:
            writer.transport.abort()
            return
        clock = encoded((ts_ns + self._off_ns) // self._clock.tick_ns, self._clock.type, self._clock.order)
        at = self._clock.address - self._start
        self._words[at : at + len(clock)] = clock
        self._image.put(values)
        at = self._image.start - self._start
        self._words[at : at + len(self._image.words)] = self._image.words
        self._number = (self._number + 1) % 65_536
        writer.write(push_frame(self._number, self.device.unit_id, self._start, self._words.astype(">u2").tobytes()))

    def obey(self, condition: Condition) -> None:
        """Break and mend as the condition says. A connection that stood stays as it is, like one behind a cut cable."""
        self._lost = self.device.name in condition.lost
        self._off_ns = round(condition.clock_off_s.get(self.device.name, 0.0) * NS_PER_S)

    async def stop(self) -> None:
        """Hang up."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None
