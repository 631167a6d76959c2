"""What does every point say now? Value, unit, quality and age of all of them, for the points page.

Frames are only put aside when they come: of frames with the same points of one device the newest is kept, and all that wait are
folded in at once when somebody looks, in a handful of numpy calls. So five thousand points that change every second cost no more
than a few milliseconds, and nothing but a dictionary entry while nobody looks.

What goes out is columns, as base64 of little-endian arrays (``v`` float64, ``ago`` and ``rows`` uint32, ``q`` uint16): a browser
views them as typed arrays without parsing a single number, and the value shown is the value measured, to the last bit. Only points that
said something since the client's version are in a delta.

Ages are not sent: the page computes them from the instants, so that a point that fell silent ages without a message. A point told by
exception stands as long as its device is heard.

Deliberately absent: history (:mod:`console.board.series`), and any judgement of quality; status codes are those of :mod:`ingest.quality`.
"""

from __future__ import annotations

from base64 import b64encode
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ingest.frame import TelemetryFrame
from ingest.points import STALE_PERIODS, PointTable
from ingest.quality import BAD_WAITING_FOR_INITIAL_DATA, is_bad, quality_name
from market.units import NS_PER_MS, NS_PER_S

__all__ = ["POINTS_MAX", "PointBook"]

POINTS_MAX: Final = 100_000
"""Points that are shown; further ones are left out, and the page says how many (some 60 bytes each here, 300 in a browser)."""

_NEVER: Final = -1
_NEVER_AGO: Final = 0xFFFFFFFF
_CODES_MAX: Final = 0x10000
"""Status codes told apart in one message; there are some forty, but a device may send what it likes."""
_WAITING_MAX: Final = 4_096
"""Frames put aside before they are folded in although nobody looks: sources that never send the same points twice stay bounded."""


class PointBook:
    """Last values of the points of a table, as the points page shows them. Not safe to use from two threads.

    Args:
        table: the points.

    Attributes:
        version: counts up with every fold that a client would see.
        left_out: points beyond :data:`POINTS_MAX`.
    """

    def __init__(self, table: PointTable) -> None:
        self.version = 0
        self._shown: dict[str, int] = {}
        self.relist(table)

    def relist(self, table: PointTable) -> None:
        """Go on with other points; what is known of those that stay is kept."""
        known = (dict(self._shown), self._columns_kept()) if self.version else None
        # By name, the order in which a person looks for one.
        order = sorted(range(len(table)), key=lambda row: table.specs[row].name)
        self.left_out = max(0, len(order) - POINTS_MAX)
        self._specs = [table.specs[row] for row in order[:POINTS_MAX]]
        self._table = table
        self._place: NDArray[np.int64] = np.full(len(table) + 1, _NEVER, dtype=np.int64)
        self._place[order[:POINTS_MAX]] = np.arange(len(self._specs))
        n = len(self._specs)
        self._shown = {spec.name: place for place, spec in enumerate(self._specs)}
        self._value: NDArray[np.float64] = np.full(n, np.nan)
        self._ts_ns: NDArray[np.int64] = np.full(n, _NEVER, dtype=np.int64)
        self._seen_ns: NDArray[np.int64] = np.full(n, _NEVER, dtype=np.int64)
        self._quality: NDArray[np.uint32] = np.full(n, BAD_WAITING_FOR_INITIAL_DATA, dtype=np.uint32)
        self._stamp: NDArray[np.int64] = np.full(n, _NEVER, dtype=np.int64)
        self._waiting: dict[tuple[str, bytes], TelemetryFrame] = {}
        # Signs of life matter only where points are told by exception.
        self._heard_ns = {spec.device: _NEVER for spec in self._specs if spec.by_exception}
        if known is not None:
            stay = [name for name in self._shown if name in known[0]]
            here, there = [self._shown[name] for name in stay], [known[0][name] for name in stay]
            for mine, theirs in zip(self._columns_kept(), known[1], strict=True):
                mine[here] = theirs[there]
        self.version += 1
        self._listed = self.version

    def _columns_kept(self) -> tuple[NDArray[Any], ...]:
        return self._value, self._ts_ns, self._seen_ns, self._quality

    def take(self, frame: TelemetryFrame) -> None:
        """Put a frame aside until somebody looks; one without samples is a sign of life of its source."""
        if frame.source in self._heard_ns:
            self._heard_ns[frame.source] = max(frame.ts_ingest_ns, self._heard_ns[frame.source])
        if not len(frame):
            return
        key = (frame.source, frame.point.tobytes())
        held = self._waiting.get(key)
        if (held is not None and held.ts_event_ns[0] > frame.ts_event_ns[0]) or len(self._waiting) >= _WAITING_MAX:
            # Overtaken on its way, or too many: what waits goes in first, and the columns decide which sample is the newest.
            self.fold()
        self._waiting[key] = frame

    def fold(self) -> bool:
        """Take in what was put aside; returns whether any point is new to a client."""
        frames = list(self._waiting.values())
        self._waiting.clear()
        if not frames or not self._specs:
            return False
        at = self._place[self._table.rows(np.concatenate([frame.point for frame in frames]))]
        ts_ns = np.concatenate([frame.ts_event_ns for frame in frames])
        # Older samples first, so that of two samples of one point the newer one stays.
        chosen = np.argsort(ts_ns, kind="stable")
        chosen = chosen[(at[chosen] >= 0) & (ts_ns[chosen] > self._seen_ns[at[chosen]])]
        if not chosen.size:
            return False
        value = np.concatenate([frame.value for frame in frames])[chosen]
        quality = np.concatenate([frame.quality for frame in frames])[chosen]
        at, ts_ns = at[chosen], ts_ns[chosen]
        self.version += 1
        self._seen_ns[at], self._quality[at], self._stamp[at] = ts_ns, quality, self.version
        usable = np.isfinite(value) & ~is_bad(quality)
        self._value[at[usable]], self._ts_ns[at[usable]] = value[usable], ts_ns[usable]
        return True

    def snapshot(self) -> dict[str, Any]:
        """Return the list and what every point says, for a new client.

        Returns:
            ``names``, ``units``, ``areas``, ``devices`` with ``unit``, ``area`` and ``device`` (n,) as places in them, ``stale_s`` (n,),
            ``told`` (n,) 0 or 1 for points told by exception, ``left_out``, and the columns of :meth:`delta` for all points.
        """
        self.fold()
        units, areas, devices = (sorted({getattr(spec, name) for spec in self._specs}) for name in ("unit", "area", "device"))
        unit, area, device = ({one: place for place, one in enumerate(ones)} for ones in (units, areas, devices))
        return {
            "full": True,
            "names": list(self._shown),
            "units": units,
            "areas": areas,
            "devices": devices,
            "unit": [unit[spec.unit] for spec in self._specs],
            "area": [area[spec.area] for spec in self._specs],
            "device": [device[spec.device] for spec in self._specs],
            "stale_s": [spec.period_ns * STALE_PERIODS / NS_PER_S for spec in self._specs],
            "told": [int(spec.by_exception) for spec in self._specs],
            "left_out": self.left_out,
            **self._columns(np.arange(len(self._specs))),
        }

    def delta(self, since: int) -> dict[str, Any] | None:
        """Return what points said after version ``since``, the whole snapshot after another list, or None where nothing came.

        Returns:
            ``rows`` (k,) uint32 places, null for all; ``at_ms``, and ``ago`` (k,) uint32 by how many ms each value is older than that
            (4294967295 for one that never came); ``v`` (k,) float64; ``codes``, names of status codes, and ``q`` (k,) uint16 places in
            them; ``heard`` device → instant (ms) of its last sign of life, of devices that tell by exception.
        """
        self.fold()
        if since < self._listed:
            return self.snapshot()
        if since >= self.version:
            return None
        return self._columns(np.flatnonzero(self._stamp > since))

    def _columns(self, at: NDArray[np.int64]) -> dict[str, Any]:
        ts_ns, every = self._ts_ns[at], len(at) == len(self._specs)
        newest_ns = int(ts_ns.max()) if len(at) else 0
        ago = np.where(ts_ns == _NEVER, _NEVER_AGO, np.minimum((newest_ns - ts_ns) // NS_PER_MS, _NEVER_AGO - 1))
        codes, quality = np.unique(self._quality[at], return_inverse=True)
        return {
            "version": self.version,
            "at_ms": newest_ns // NS_PER_MS,
            "rows": None if every else _packed(at, "<u4"),
            "ago": _packed(ago, "<u4"),
            "v": _packed(self._value[at], "<f8"),
            "codes": [quality_name(int(code)) for code in codes[:_CODES_MAX]],
            "q": _packed(np.minimum(quality, _CODES_MAX - 1), "<u2"),
            "heard": {device: heard_ns // NS_PER_MS for device, heard_ns in self._heard_ns.items()},
        }


def _packed(column: NDArray[Any], dtype: str) -> str:
    return b64encode(column.astype(dtype).tobytes()).decode("ascii")
