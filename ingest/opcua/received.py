"""Up to when has each value of a server been received, for a process that dies?

What a server told while this process was away is asked for from its history (:mod:`ingest.opcua.backfill`), which needs to be known from
when on. So the source time of the last value of each point is kept in a file per device, with the gaps that were not filled in yet.

What stands in the file has left this process: a state is noted only when nothing of the device waits to be sent, and written down at the
next look, a second later, when the log has made it durable. The file is thus a little behind, never ahead: after a crash up to a few
seconds are read from the history that had been received before. They have the same time and the same value, so whoever keeps samples by
point and time keeps each once. After a stop in good order nothing is read twice.

The file takes the place of the one before as a whole, synced. One that is damaged, or of another version, is passed over: then the time
without this process stays a gap, as on a first start.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final
from urllib.parse import quote

import msgspec
import numpy as np
from numpy.typing import NDArray

from ingest.devices import UaDevice
from ingest.frame import point_id
from ingest.opcua.gaps import Gap, Gaps
from ingest.sourcetime import NO_TIME

__all__ = ["Received"]

_log: Final = logging.getLogger(__name__)

_LOOK_S: Final = 1.0
_VERSION: Final = 1


class _Wire(msgspec.Struct):
    """Points are known by a number made of their name and their node: a point that is another node by now has received nothing."""

    v: int
    point: bytes
    last_ns: bytes
    gaps: list[tuple[int, int, int, bool]]


_DECODER: Final = msgspec.msgpack.Decoder(_Wire)

_State = tuple[NDArray[np.int64], tuple[Gap, ...]]


class Received:
    """Keeps what was received of one device.

    Args:
        gaps: what is missing of its points; it is told what was kept.
        directory: made where it is not there.
        has_left: says whether everything that was published has left this process.
    """

    def __init__(self, device: UaDevice, gaps: Gaps, directory: Path, has_left: Callable[[], bool]) -> None:
        self._name = device.name
        self._gaps = gaps
        self._path = directory / f"{quote(device.name, safe='')}.received"
        self._has_left = has_left
        self._keys = np.array([point_id(f"{point.name} {point.node}") for point in device.points], dtype=np.uint64)
        self._written: bytes | None = None
        self._complained = False
        self._read()

    async def run(self) -> None:
        """Keep what is received until cancelled."""
        noted: _State | None = None
        writing: asyncio.Future[None] | None = None
        try:
            while True:
                await asyncio.sleep(_LOOK_S)
                if noted is not None:
                    writing = asyncio.ensure_future(asyncio.to_thread(self._write, noted))
                    await asyncio.shield(writing)
                noted = self._gaps.state() if self._has_left() else None
        finally:
            if writing is not None:
                await writing  # an older state must not come to stand after the last one
            if self._has_left():
                self._write(self._gaps.state())

    def _read(self) -> None:
        try:
            raw = self._path.read_bytes()
        except OSError:
            return
        try:
            wire = _DECODER.decode(raw)
            points: NDArray[np.uint64] = np.frombuffer(wire.point, dtype="<u8")
            kept_ns: NDArray[np.int64] = np.frombuffer(wire.last_ns, dtype="<i8")
            sound = wire.v == _VERSION and len(points) == len(kept_ns)
        except (msgspec.DecodeError, ValueError):
            sound = False
        if not sound:
            _log.warning("%s: what was received of it cannot be read from %s; a gap until now stays", self._name, self._path)
            return
        of_key = dict(zip(points.tolist(), kept_ns.tolist(), strict=True))
        row_of_key = {key: row for row, key in enumerate(self._keys.tolist())}
        last_ns = np.array([of_key.get(key, NO_TIME) for key in row_of_key], dtype=np.int64)
        gaps = [Gap(row_of_key[key], after, before, seam) for key, after, before, seam in wire.gaps if key in row_of_key]
        self._gaps.restore(last_ns, gaps)
        self._written = raw

    def _write(self, state: _State) -> None:
        last_ns, gaps = state
        keys = self._keys.tolist()
        wire = _Wire(
            v=_VERSION,
            point=self._keys.astype("<u8").tobytes(),
            last_ns=last_ns.astype("<i8").tobytes(),
            gaps=[(keys[gap.row], gap.after_ns, gap.before_ns, gap.is_seam) for gap in gaps],
        )
        raw = msgspec.msgpack.encode(wire)
        if raw == self._written:
            return
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            fresh = self._path.with_suffix(".new")
            with fresh.open("wb") as out:
                out.write(raw)
                out.flush()
                os.fsync(out.fileno())
            fresh.replace(self._path)
            self._written = raw
        except OSError as exc:  # the next state is tried again
            if not self._complained:
                what = "%s: what was received of it cannot be kept: %s; after a restart the time between is not filled in"
                _log.warning(what, self._name, exc, extra={"device": self._name, "reason": str(exc)})
            self._complained = True
