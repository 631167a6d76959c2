"""The grid between two ticks, for eyes that should not wait for one.

Decisions and records go by the tick. A person at the board should see a register that changed within the second, so the preview
keeps its own last values, fed by the same frames, and computes the same key figures whenever it is asked and something is new. What
needs more than telemetry (prices, schedules, control errors) it leaves out; the tick brings it. Nothing here reaches a topic.

Nobody looks ten times between two polls, and often nobody looks at all: frames wait until figures are asked for. Of a device without a
clock that was read again meanwhile, the frame before says nothing more, and is passed over.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np

from ingest.frame import TelemetryFrame
from ingest.quality import Flag
from streams.figures import BY_COMMITMENT, KeyFigures
from streams.image import image_of
from streams.intake import CLOCK_SOURCE
from streams.kpis import KpiFrame
from streams.marketmodel import MarketModel

__all__ = ["Preview"]

_SAMPLES_WAITING_MAX: Final = 50_000
"""Samples that wait at most; some 5 ms of work."""

_ESTIMATED: Final = np.uint16(Flag.TS_ESTIMATED)


class Preview:
    """Key figures of the latest telemetry.

    Args:
        model: the grid.
    """

    def __init__(self, model: MarketModel) -> None:
        grid = model.grid
        self._table = grid.table
        self._figures = KeyFigures(grid)
        self._areas = {area: model.intake(area) for area in grid.areas}
        self._waiting: list[TelemetryFrame] = []
        self._place: dict[str, int] = {}
        self._samples = 0
        self._dirty = False

    def relist(self, model: MarketModel) -> None:
        """Go on with other points."""
        self._take_waiting()
        self._table = model.grid.table
        self._figures = KeyFigures(model.grid)
        self._areas = {area: model.continued(intake) for area, intake in self._areas.items()}

    def take(self, frame: TelemetryFrame) -> None:
        """Take in a frame."""
        if frame.area not in self._areas or frame.source == CLOCK_SOURCE or not len(frame):
            return
        self._dirty = True
        place = self._place.get(frame.source)
        if place is not None and _replaces(frame, self._waiting[place]):
            self._waiting[place] = frame
            return
        self._place[frame.source] = len(self._waiting)
        self._waiting.append(frame)
        self._samples += len(frame)
        if self._samples > _SAMPLES_WAITING_MAX:
            self._take_waiting()

    def _take_waiting(self) -> None:
        waiting, self._waiting, self._samples = self._waiting, [], 0
        self._place.clear()
        for frame in waiting:
            self._areas[frame.area].take(frame)

    def figures(self, now_ns: int, last: KpiFrame | None) -> KpiFrame | None:
        """Return the figures of now, or None where nothing is new since the last call.

        Args:
            now_ns: event time.
            last: the figures of the last tick, if there was one; what only a tick can know is kept from them.
        """
        if not self._dirty or (last is not None and now_ns <= last.ts_event_ns):
            return None
        self._dirty = False
        self._take_waiting()
        snapshots = [snapshot for area in self._areas.values() for snapshot in area.tick(now_ns).snapshots]
        frame, _ = self._figures.of(image_of(now_ns, self._table, snapshots))
        if last is None:
            return frame
        # Which units are committed only the tick knows.
        figures = {name: value for name, value in frame.system.items() if name not in BY_COMMITMENT}
        return replace(
            frame,
            system=last.system | figures,
            areas={area: last.areas.get(area, {}) | figures for area, figures in frame.areas.items()},
        )


def _replaces(later: TelemetryFrame, earlier: TelemetryFrame) -> bool:
    """Whether nothing of a frame is left to be seen once a later one of its device was taken in."""
    return (
        np.array_equal(later.point, earlier.point)
        and not np.count_nonzero(later.quality)
        and bool(((later.flags & _ESTIMATED) != 0).all())
        and int(later.ts_event_ns.min()) > int(earlier.ts_event_ns.max())
    )
