"""Points as the board hears them: many devices of twenty points each, all of them saying something new every second.

Values follow smooth curves of the point's number, so that a picture taken twice is the same picture. Of the first devices one has
fallen silent, one answers with bad quality and one with uncertain values, so that the page has something to show.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np

from ingest.frame import TelemetryFrame, point_id
from ingest.points import PointSpec, PointTable
from ingest.quality import BAD_NO_COMMUNICATION, GOOD, UNCERTAIN_SUBSTITUTE
from market.units import NS_PER_S

__all__ = ["PER_DEVICE", "SILENT", "TroubledPoints", "point_table"]

PER_DEVICE: Final = 20
SILENT: Final = "rtu-0002"
_BAD: Final = "rtu-0004"
_UNCERTAIN: Final = "rtu-0006"
_SILENT_FOR_NS: Final = 95 * NS_PER_S
_KINDS: Final = (
    ("unit/{bus}-{n}/mw", "MW"),
    ("load/{bus}-{n}/mw", "MW"),
    ("bus/{bus}-{n}/kv", "kV"),
    ("branch/{bus}-{n}/from_mw", "MW"),
    ("switch/{bus}-{n}/from", ""),
)
_BASE: Final = {"MW": 180.0, "kV": 231.0, "": 2.0}
_SWING: Final = {"MW": 60.0, "kV": 3.0, "": 0.0}


def point_table(points: int) -> PointTable:
    """Return a table of so many points, twenty a device, spread over three areas."""
    specs = []
    for number in range(points):
        device, nth = divmod(number, PER_DEVICE)
        name, unit = _KINDS[nth % len(_KINDS)]
        spec = PointSpec(
            name=name.format(bus=101 + device, n=nth // len(_KINDS) + 1),
            area=f"A{device % 3 + 1}",
            device=f"rtu-{device:04d}",
            period_ns=NS_PER_S,
            unit=unit,
        )
        specs.append(spec)
    return PointTable(specs)


class TroubledPoints:
    """The devices of a table.

    Args:
        table: from :func:`point_table`.
        troubled: whether some devices have the troubles of this module's head.
    """

    def __init__(self, table: PointTable, *, troubled: bool = True) -> None:
        self._troubled = troubled
        self._devices = [[spec for spec in table.specs if spec.device == device] for device in table.devices]
        self._ids = [np.array([point_id(spec.name) for spec in specs], dtype=np.uint64) for specs in self._devices]
        self._base = [np.array([_BASE[spec.unit] for spec in specs]) for specs in self._devices]
        self._swing = [np.array([_SWING[spec.unit] for spec in specs]) for specs in self._devices]
        self._seq = 0

    def frames(self, now_ns: int) -> Iterator[TelemetryFrame]:
        """Yield one frame of each device: what it measured now."""
        self._seq += 1
        phase = np.sin(now_ns / NS_PER_S / 60.0)
        for number, specs in enumerate(self._devices):
            n, device = len(specs), specs[0].device
            quality, ts_ns = GOOD, now_ns
            if self._troubled and device == SILENT:
                if self._seq > 1:
                    continue
                ts_ns = now_ns - _SILENT_FOR_NS
            if self._troubled and device in (_BAD, _UNCERTAIN) and self._seq > 1:
                quality = BAD_NO_COMMUNICATION if device == _BAD else UNCERTAIN_SUBSTITUTE
            value = self._base[number] + self._swing[number] * (phase + np.sin(np.arange(n) + number) / 2)
            yield TelemetryFrame(
                source=device,
                area=specs[0].area,
                seq=self._seq,
                ts_ingest_ns=now_ns,
                point=self._ids[number],
                ts_event_ns=np.full(n, ts_ns, dtype=np.int64),
                value=np.where(quality == BAD_NO_COMMUNICATION, np.nan, value),
                quality=np.full(n, quality, dtype=np.uint32),
                flags=np.zeros(n, dtype=np.uint16),
            )
