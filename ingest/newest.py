"""What do points say now, that are told only when they change, while the samples that say so wait in the spool?

A polled point says what it is within its period, whatever waits behind it. One that a server tells by exception may have changed for the
last time while the stream side was away: until the backlog has come that far, its old value would be taken for true. So the newest
sample of each such point goes ahead of everything else when the stream side is back, and its place in the backlog is passed over.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from itertools import islice

import numpy as np

from ingest.frame import SAMPLES_MAX, TelemetryFrame, frame_of

__all__ = ["NewestSamples"]

_Sample = tuple[int, float, int, int]
"""Source time, value, quality, flags."""


class NewestSamples:
    """The newest spooled samples of points that are told by exception.

    Args:
        sources: names of the devices that tell them so.
    """

    def __init__(self, sources: Collection[str]) -> None:
        self._sources = frozenset(sources)
        self._newest: dict[tuple[str, str], dict[int, _Sample]] = {}
        self._received_ns: dict[tuple[str, str], int] = {}
        self._ahead: set[tuple[int, int]] = set()

    def follow(self, sources: Collection[str]) -> None:
        """Have other devices tell so from now on; what was noted stays."""
        self._sources = frozenset(sources)

    def note(self, frame: TelemetryFrame) -> None:
        """Note a frame that is spooled."""
        if frame.source not in self._sources or not len(frame):
            return
        who = (frame.source, frame.area)
        known = self._newest.setdefault(who, {})
        self._received_ns[who] = frame.ts_ingest_ns
        columns = (frame.ts_event_ns.tolist(), frame.value.tolist(), frame.quality.tolist(), frame.flags.tolist())
        for point, *said in zip(frame.point.tolist(), *columns, strict=True):
            before = known.get(point)
            if before is None or said[0] >= before[0]:
                known[point] = (said[0], said[1], said[2], said[3])

    def go_ahead(self) -> Iterator[TelemetryFrame]:
        """Yield the newest samples, in frames of each device; from now on :meth:`without` leaves them out."""
        taken, self._newest = self._newest, {}
        for (source, area), samples in taken.items():
            self._ahead |= {(point, said[0]) for point, said in samples.items()}
            rows = iter([(point, *said) for point, said in samples.items()])
            while part := list(islice(rows, SAMPLES_MAX)):
                yield frame_of(source, area, 0, self._received_ns[source, area], part)

    def without(self, frame: TelemetryFrame) -> TelemetryFrame:
        """Return a frame of the backlog without the samples that went ahead."""
        if not self._ahead or frame.source not in self._sources:
            return frame
        pairs = zip(frame.point.tolist(), frame.ts_event_ns.tolist(), strict=True)
        kept = np.array([pair not in self._ahead for pair in pairs], dtype=bool)
        return frame if kept.all() else frame.only(kept)

    def forget(self) -> None:
        """Forget what went ahead: the backlog is at its end, or nobody knows any more whether it arrived."""
        self._ahead = set()
