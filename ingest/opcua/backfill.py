"""What did a server keep of the values that never reached us?

Once live values flow again, the gaps they closed (:mod:`ingest.opcua.gaps`) are asked for from the server's history, oldest first, a
page at a time along its continuation points, no faster than a set rate: the live values come first. Of each page only what lies
strictly inside the gap is published, flagged as replayed, and no time of a node twice.

A node whose server keeps no history of it, or does not let us read it, is left out; that is counted. A gap longer than the device's
``backfill`` is filled at its end only, and the rest is counted. What a lost session left undone is done in the next one, and what a
process that died left undone in the one after it (:mod:`ingest.opcua.received`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import numpy as np
from asyncua import ua

from ingest.devices import UaDevice
from ingest.opcua.decode import columns_of
from ingest.opcua.gaps import Gap, Gaps
from ingest.opcua.heed import heed_cancellation
from ingest.opcua.limits import Limits, parts
from ingest.opcua.nodes import NodeBook
from ingest.opcua.samples import Samples
from ingest.source import Source
from market.units import NS_PER_S

__all__ = ["Backfill"]

_log: Final = logging.getLogger(__name__)

_LOOK_S: Final = 0.5
_PAGE: Final = 1000
"""Most values of one node in one answer."""

_TRIES: Final = 3
_GAPS_MAX: Final = 100_000
"""Most gaps that wait to be filled; of more, the oldest are given up."""

_TOGETHER_MAX: Final = 100
_ALIKE_NS: Final = 10 * NS_PER_S
"""How far apart the ends of gaps may lie that are read in one call, which has one span of time for all."""

_VALUES_PER_S: Final = 20_000
"""Most values a second, as a mean over a page: a quarter of a core at most."""

_READABLE: Final = 0x04
"""The bit HistoryRead of a variable's access level (OPC 10000-3 §8.57)."""

_US: Final = timedelta(microseconds=1)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Backfill:
    """Fills in the gaps of one server's points.

    Args:
        samples: takes what the server had kept.
        gaps: what is missing; done with, it is taken away.
        reach_ns: longest gap that is filled in, event ns.
    """

    def __init__(self, device: UaDevice, nodes: NodeBook, samples: Samples, gaps: Gaps, source: Source, reach_ns: int) -> None:
        self._device = device
        self._nodes = nodes
        self._samples = samples
        self._gaps = gaps
        self._source = source
        self._reach_ns = reach_ns
        self._is_kept: dict[int, bool] = {}
        self._together = _TOGETHER_MAX
        self._failures = 0

    async def run(self, session: Any, limits: Limits) -> None:
        """Fill in gaps as they close, until the server is gone."""
        self._is_kept = {}
        while True:
            heed_cancellation()
            await asyncio.sleep(_LOOK_S)
            if not self._gaps.closed:
                continue
            try:
                await self._fill(session, limits)
                self._failures = 0
            except ConnectionError:
                return  # whoever watches the session finds out why; the gaps stay for the next one
            except (OSError, ua.UaError) as exc:
                self._failed(str(exc) or type(exc).__name__)
            except Exception:
                # A fault of ours in the past must not end the present.
                _log.exception("%s: filling in its gaps failed by a fault of this program", self._device.name)
                self._failed("a fault of this program; see the log")

    def _failed(self, why: str) -> None:
        """Count a reading that came to nothing; after a few in a row what is missing stays missing."""
        self._failures += 1
        self._together = max(1, self._together // 2)
        if self._failures >= _TRIES:
            self._failures = 0
            self._source.refuse("history", f"history could not be read: {why}", len(self._gaps.closed))
            self._gaps.closed.clear()

    async def _fill(self, session: Any, limits: Limits) -> None:
        closed = self._gaps.closed
        if (excess := len(closed) - _GAPS_MAX) > 0:
            self._source.refuse("history_backlog", f"more than {_GAPS_MAX} gaps wait to be filled", excess)
            for gap in list(closed)[:excess]:
                del closed[gap]
        gaps = [self._reached(gap) for gap in list(closed)]
        await self._ask_who_is_kept(session, sorted({gap.row for gap in gaps} - set(self._is_kept)), limits)
        kept = [gap for gap in gaps if self._is_kept[gap.row]]
        if len(kept) < len(gaps):
            lost = [gap for gap in gaps if not self._is_kept[gap.row]]
            if known := [gap for gap in lost if not gap.is_seam]:
                first = self._device.points[known[0].row].name
                self._source.refuse("no_history", f"the server has no history of {first} that we may read", len(known))
            for gap in lost:
                del closed[gap]
        filled = 0
        for some in _alike(kept, min(limits.history, self._together)):
            filled += await self._fill_some(session, some)
        if kept:
            where = {"device": self._device.name, "nodes": len({gap.row for gap in kept}), "records": filled}
            _log.info("%s: %d samples of %d points came from its history", self._device.name, filled, where["nodes"], extra=where)

    def _reached(self, gap: Gap) -> Gap:
        earliest_ns = gap.before_ns - self._reach_ns
        if gap.after_ns >= earliest_ns:
            return gap
        self._source.refuse("beyond_backfill", f"a gap of {self._device.points[gap.row].name} is longer than its device's `backfill`")
        return self._shortened(gap, earliest_ns)

    def _shortened(self, gap: Gap, after_ns: int) -> Gap:
        rest = replace(gap, after_ns=after_ns)
        del self._gaps.closed[gap]
        self._gaps.closed[rest] = None
        return rest

    async def _ask_who_is_kept(self, session: Any, rows: Sequence[int], limits: Limits) -> None:
        for some in parts(rows, limits.reads):
            levels = await session.read_attributes([self._nodes[row] or ua.NodeId() for row in some], ua.AttributeIds.UserAccessLevel)
            for row, level in zip(some, levels, strict=True):
                value = None if level.Value is None else level.Value.Value
                self._is_kept[row] = isinstance(value, int) and bool(value & _READABLE)

    async def _fill_some(self, session: Any, gaps: list[Gap]) -> int:
        """Read gaps to their ends, a page of each in one call; return how many values were published."""
        filled = 0
        pages: list[tuple[Gap, bytes | None]] = [(gap, None) for gap in gaps]
        # All nodes of one call are read over one span of time; what of it lies outside a gap is passed over.
        begin_ns, end_ns = min(gap.after_ns for gap in gaps), max(gap.before_ns for gap in gaps)
        while pages:
            details = ua.ReadRawModifiedDetails(
                IsReadModified=False, StartTime=_moment(begin_ns), EndTime=_moment(end_ns), NumValuesPerNode=_PAGE, ReturnBounds=False
            )
            request = ua.HistoryReadParameters(
                HistoryReadDetails=details,
                TimestampsToReturn=ua.TimestampsToReturn.Source,
                ReleaseContinuationPoints=False,
                NodesToRead=[
                    ua.HistoryReadValueId(NodeId=self._nodes[gap.row] or ua.NodeId(), DataEncoding=ua.QualifiedName(), ContinuationPoint=at)
                    for gap, at in pages
                ],
            )
            results = await session.history_read(request)
            following: list[tuple[Gap, bytes | None]] = []
            count = 0
            for (gap, _), result in zip(pages, results, strict=True):
                if result.StatusCode.value == ua.StatusCodes.BadNoContinuationPoints and len(pages) > 1:
                    # The server cannot hold so many places at once: the gap stays, and is asked for among fewer.
                    self._together = min(self._together, len(pages) // 2)
                    continue
                rest, taken = self._take(gap, result)
                count += taken
                if rest is not None:
                    following.append((rest, result.ContinuationPoint))
            filled += count
            pages = following
            await asyncio.sleep(count / _VALUES_PER_S)
        return filled

    def _take(self, gap: Gap, result: Any) -> tuple[Gap | None, int]:
        """Publish one page of a gap; return what is left of the gap where pages follow, and how many values were published."""
        if not result.StatusCode.is_good():
            del self._gaps.closed[gap]
            point = self._device.points[gap.row].name
            self._source.refuse("history", f"the history of {point} could not be read ({result.StatusCode.name})")
            return None, 0
        values = getattr(result.HistoryData, "DataValues", None) or []
        _, _, times_ns = columns_of(values)
        inside = (times_ns > gap.after_ns) & (times_ns < gap.before_ns)
        order = np.argsort(times_ns, kind="stable")
        order = order[inside[order]]
        chosen = order[np.diff(times_ns[order], prepend=gap.after_ns) > 0]
        if len(chosen):
            self._samples.replay(np.full(len(chosen), gap.row, dtype=np.int64), [values[at] for at in chosen.tolist()])
        if not result.ContinuationPoint:
            del self._gaps.closed[gap]
            return None, len(chosen)
        return self._shortened(gap, int(times_ns[chosen[-1]])) if len(chosen) else gap, len(chosen)


def _alike(gaps: Sequence[Gap], most: int) -> Iterator[list[Gap]]:
    """Yield gaps in groups that lie at nearly the same time."""
    some: list[Gap] = []
    for gap in sorted(gaps, key=lambda gap: (gap.after_ns, gap.before_ns)):
        is_near = some and gap.after_ns - some[0].after_ns <= _ALIKE_NS and abs(gap.before_ns - some[0].before_ns) <= _ALIKE_NS
        if some and (len(some) == most or not is_near):
            yield some
            some = []
        some.append(gap)
    if some:
        yield some


def _moment(ts_ns: int) -> datetime:
    return _EPOCH + ts_ns // 1000 * _US
