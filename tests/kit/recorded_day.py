"""A market day on the shipped grid with many points, recorded by the real processors on the embedded log as fast as they go.

Every load, output, flow, switch and area point of the grid, and measurements that decide nothing (temperatures, voltages, positions) up to
the number asked for, on devices of a hundred points, each polled every four seconds. Ticks every ten seconds, a clearing every five
minutes, a day-ahead result: the log is what a service would have written, and ``gridfuse replay --config DIR/gridfuse.yaml`` reads it.

``python -m tests.kit.recorded_day DIR MINUTES`` records on settings that are there, from where the log ends, until so long after the start
of the day; it may be killed and started again.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from console.readback import last_event_ns
from ingest.frame import TelemetryFrame, point_id
from market.units import NS_PER_MIN, NS_PER_S, instant_ns
from streams.settings import Settings, read_settings
from tests.kit.market_run import MarketRun
from tests.kit.rts_day import point_specs, values_at

__all__ = ["START_NS", "DayRun", "written_settings"]

START_NS: Final = instant_ns("2020-01-01T00:00:00+08:00")
_POLL_NS: Final = 4 * NS_PER_S
_PER_DEVICE: Final = 100
_SETTINGS: Final = """data: .
points: points.yaml
network: {rts_gmlc: shipped}
market: {revision: r1-demo, rt_interval_min: 5, top_voltage_kv: 230}
tick: 10s
http: {port: 0}
"""


def written_settings(data: Path, points: int, filled: Sequence[str] = ("1", "2", "3")) -> Settings:
    """Write settings and a point list of so many points into a directory, and read them back.

    Args:
        filled: the areas that get the points that decide nothing.
    """
    names: dict[str, list[str]] = {}
    for spec in point_specs():
        names.setdefault(spec.area, []).append(spec.name)
    areas = sorted(names)
    for number in range(points - sum(len(of_area) for of_area in names.values())):
        area = filled[number % len(filled)]
        names[area].append(f"measured/{area}-{number}/value")
    maps, devices = [], []
    for area in areas:
        for start in range(0, len(names[area]), _PER_DEVICE):
            device = f"rtu-{area}-{start // _PER_DEVICE:02}"
            maps.append(f"  {device}:\n    every: {_POLL_NS // NS_PER_S}s\n    points:")
            part = names[area][start : start + _PER_DEVICE]
            maps += [f"      {name}: {{reg: input {2 * row}, type: float32}}" for row, name in enumerate(part)]
            port = 15_000 + len(devices)
            devices.append(f'  - {{name: {device}, area: {json.dumps(area)}, url: "modbus+tcp://127.0.0.1:{port}", map: {device}}}')
    data.mkdir(parents=True, exist_ok=True)
    (data / "points.yaml").write_text("\n".join(["maps:", *maps, "devices:", *devices]) + "\n", encoding="utf-8")
    (data / "gridfuse.yaml").write_text(_SETTINGS, encoding="utf-8")
    return read_settings(data / "gridfuse.yaml")


@lru_cache(maxsize=2)
def _known(period: int) -> dict[str, float]:
    return values_at(period)


class DayRun(MarketRun):
    """Runs the processors through the day; :meth:`until` says how far.

    Args:
        settings: of :func:`written_settings`.
        start_ns: the first tick.
    """

    def __init__(self, settings: Settings, start_ns: int = START_NS) -> None:
        super().__init__(settings.broker, settings.data, settings.rules, start_ns, settings=settings)
        self._rng = np.random.default_rng(1)
        self._polled_ns = start_ns - (start_ns - START_NS) % _POLL_NS - _POLL_NS
        self._period = -1
        self._devices: dict[tuple[str, str], list[str]] = {}
        self.samples = 0
        for spec in settings.points.table().specs:
            self._devices.setdefault((spec.device, spec.area), []).append(spec.name)
        self._point: dict[str, NDArray[np.uint64]] = {}
        self._base: dict[str, NDArray[np.float64]] = {}
        self._noisy: dict[str, NDArray[np.bool_]] = {}
        for (device, _), names in self._devices.items():
            self._point[device] = np.array([point_id(name) for name in names], dtype=np.uint64)
            self._noisy[device] = np.array([not name.startswith(("switch/", "site/")) for name in names])

    def telemetry(self, now_ns: int) -> list[TelemetryFrame]:
        """Return the polls since the last tick: every point, every four seconds."""
        frames = []
        while self._polled_ns + _POLL_NS <= now_ns:
            self._polled_ns += _POLL_NS
            self._know((self._polled_ns - START_NS) // (300 * NS_PER_S))
            frames += [self._frame(device, area, self._polled_ns) for device, area in self._devices]
        self.samples += sum(len(frame) for frame in frames)
        return frames

    def _know(self, period: int) -> None:
        """Set what the points measure in a five-minute period."""
        if period == self._period:
            return
        self._period = period
        known = _known(period % 288)
        for (device, _), names in self._devices.items():
            self._base[device] = np.array([known.get(name, 100.0) for name in names])

    def _frame(self, device: str, area: str, ts_ns: int) -> TelemetryFrame:
        base = self._base[device]
        n = len(base)
        noise = 1.0 + 1e-4 * self._rng.standard_normal(n)
        return TelemetryFrame(
            source=device,
            area=area,
            seq=(ts_ns - START_NS) // _POLL_NS,
            ts_ingest_ns=ts_ns,
            point=self._point[device],
            ts_event_ns=np.full(n, ts_ns, dtype=np.int64),
            value=np.where(self._noisy[device], base * noise, base).astype(np.float64),
            quality=np.zeros(n, dtype=np.uint32),
            flags=np.zeros(n, dtype=np.uint16),
        )


async def _recorded(data: Path, minutes: float) -> None:
    settings = read_settings(data / "gridfuse.yaml")
    last_ns = last_event_ns(settings.broker)
    start_ns = START_NS if last_ns is None else last_ns + settings.tick_ns
    async with DayRun(settings, start_ns) as run:
        await run.until(minutes - (start_ns - START_NS) / NS_PER_MIN)
        assert not run.seen.letters, run.seen.letters[0]


if __name__ == "__main__":
    asyncio.run(_recorded(Path(sys.argv[1]), float(sys.argv[2])))
