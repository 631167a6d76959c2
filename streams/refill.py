"""How does what the spool could not take come into it after all?

When its disk takes lines again, the records that were left on their topics (:mod:`streams.gaps`) are read from there once more, from
beside the service and without any place of its own in a group, and made into lines by a maker of lines that has seen what came before.
They go in at the rate of a backlog, and only while no more are left behind, so what is new is not held up. A record that its topic does
not have any more is counted as lost.

A gap is closed after its lines are in the spool: a process that is killed in between takes some again, which is the same lines twice.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, Protocol

from streams import topics, wire
from streams.errors import DecodeError, SinkUnavailable, StoreError
from streams.gaps import Gap, Gaps
from streams.recordings import open_recording
from streams.topics import Topic
from streams.transport.records import Record, RecordDamaged

__all__ = ["Lines", "Refill"]

_LOOK_S: Final = 1.0
_BEFORE: Final = 64
"""Records before a gap that the maker of lines is shown, for what it remembers."""

_RECORDS_AT_ONCE: Final = 512
_BYTES_AT_ONCE: Final = 2 << 20

_TOPICS: Final = {topic.name: topic for topic in topics.TOPICS}

_log = logging.getLogger(__name__)


class Lines(Protocol):
    """Makes lines of records, and remembers what later ones depend on (:class:`streams.recordlines.RecordLines`)."""

    def recall(self, record: Any) -> None:
        """Remember a record that was written before."""
        ...

    def of_record(self, record: Any) -> bytes:
        """Return the lines of a record."""
        ...


Append = Callable[[Topic, Sequence[Any], Lines], Awaitable[int]]
"""Puts the lines of records into the spool and returns how many they were; raises SinkUnavailable while its disk takes none."""


class Refill:
    """Takes again what was left on its topics.

    Args:
        gaps: what was.
        broker: as in the settings.
        lines: gives a maker of lines for one gap.
        append: puts lines into the spool.
        per_s: lines per second.
    """

    def __init__(self, gaps: Gaps, broker: str, lines: Callable[[], Lines], append: Append, per_s: float) -> None:
        self.gaps = gaps
        self._broker = broker
        self._lines = lines
        self._append = append
        self._per_s = per_s
        self.refilled = 0
        """Records taken again, since this was made."""

    async def run(self) -> None:
        """Refill until cancelled."""
        unreadable: set[Gap] = set()
        while True:
            added = self.gaps.added
            await asyncio.sleep(_LOOK_S)
            gap = next((gap for gap in self.gaps if gap not in unreadable), None)
            if gap is None and unreadable:
                await asyncio.sleep(10 * _LOOK_S)
                unreadable.clear()
            if gap is None or self.gaps.added != added:
                continue  # whoever cannot keep up with what comes needs no more of it
            await asyncio.to_thread(self.gaps.sync)
            try:
                await self._fill(gap)
            except SinkUnavailable:
                pass  # the recorder has said why
            except StoreError as exc:
                what = "%s[%d] from offset %d on cannot be read again for the spool: %s"
                where = {"sink": "spool", "topic": gap.topic, "offset": gap.first, "reason": str(exc)}
                _log.warning(what, gap.topic, gap.partition, gap.first, exc, extra=where)
                unreadable.add(gap)  # others come first

    async def _fill(self, gap: Gap) -> None:
        lines, first, added = self._lines(), gap.first, self.gaps.added
        before = max(0, first - _BEFORE)
        while found := await asyncio.to_thread(self._read, gap, before, first):
            for each in _decoded(gap, found):
                lines.recall(each)
            before = found[-1].offset + 1
        while first <= gap.last and self.gaps.added == added:
            found = await asyncio.to_thread(self._read, gap, first, gap.last + 1)
            began_s = asyncio.get_running_loop().time()
            reached = found[-1].offset if found else gap.last
            count = await self._appended(gap, reached, _decoded(gap, found), lines)
            self._close(gap, first, reached, len(found))
            first = reached + 1
            await asyncio.sleep(max(0.0, began_s + count / self._per_s - asyncio.get_running_loop().time()))

    async def _appended(self, gap: Gap, reached: int, records: list[Any], lines: Lines) -> int:
        """Put the lines of records into the spool; returns how many they were."""
        try:
            return await self._append(_TOPICS[gap.topic], records, lines) if records else 0
        except (SinkUnavailable, StoreError):
            raise
        except Exception:
            # Of what cannot be made into lines, one attempt is enough: the next start would end on it again.
            what = "%d records of %s[%d] up to offset %d cannot be written to the spool"
            where = {"sink": "spool", "topic": gap.topic, "records": len(records), "offset": reached}
            _log.exception(what, len(records), gap.topic, gap.partition, reached, extra=where)
            return 0

    def _close(self, gap: Gap, first: int, reached: int, found: int) -> None:
        lost = reached - first + 1 - found
        self.refilled += found
        self.gaps.close_to(gap, reached, lost)
        if lost:
            what = "%d records of %s[%d] up to offset %d are neither in the spool nor on their topic any more"
            where = {"sink": "spool", "topic": gap.topic, "records": lost, "offset": reached}
            _log.error(what, lost, gap.topic, gap.partition, reached, extra=where)
        if reached == gap.last:
            what = "%s[%d]: offsets %d to %d, which the spool could not take, are in it now"
            _log.warning(
                what, gap.topic, gap.partition, gap.first, gap.last, extra={"sink": "spool", "topic": gap.topic, "offset": gap.last}
            )

    def _read(self, gap: Gap, start: int, stop: int) -> list[Record]:
        """Read the next records of a partition from ``start`` to before ``stop``; those that are damaged are left out."""
        found: list[Record] = []
        size = 0
        if start >= stop:
            return found
        with open_recording(self._broker) as recording:
            while start < stop:
                try:
                    for record in recording.records(gap.topic, gap.partition, start):
                        if record.offset >= stop or len(found) >= _RECORDS_AT_ONCE or size >= _BYTES_AT_ONCE:
                            return found
                        found.append(record)
                        size += len(record.value or b"")
                        start = record.offset + 1
                    return found
                except RecordDamaged as exc:
                    start = exc.offset + 1
        return found


def _decoded(gap: Gap, found: Sequence[Record]) -> list[Any]:
    """Return the records that can be decoded; the others are dead letters already."""
    records = []
    for record in found:
        with contextlib.suppress(DecodeError):
            records.append(wire.decode(_TOPICS[gap.topic], record.value or b""))
    return records
