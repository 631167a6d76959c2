"""How is a device polled whose points stand in several blocks, and that answers poll after poll as it did before?

As :mod:`ingest.modbus.steady` does for one block: all blocks are asked for in one go, over an idle connection that bears so many requests
ahead, the process is woken once for all replies, and what came is decoded as one row. Whatever is not as usual goes the long way, which
is :mod:`ingest.modbus.poller`'s, and so does a poll from time to time.

The two ways give the same frames, but for this: replies that came within a millisecond count as having come together, and have one source
time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from ingest.errors import DeviceError
from ingest.modbus.exchange import Exchange, Link
from ingest.modbus.layout import Layout
from ingest.modbus.reading import Reader
from ingest.modbus.steady import POLLS_IN_A_ROW, quality_of
from ingest.quality import all_good
from ingest.source import Source
from market.units import NS_PER_MS

__all__ = ["SteadyRound"]

_TOGETHER_NS: Final = NS_PER_MS
"""Replies that are no further apart came together."""


class Poller(Protocol):
    """Whose poll it is."""

    def round_amiss(self, told: Sequence[tuple[Reader, bytes, int]], reader: Reader, why: DeviceError, now_ns: int) -> None:
        """Take over a poll of which one block was not read; ``told`` was, with its data and when it came."""
        ...

    def over(self, now_ns: int) -> None:
        """Take that a poll was published."""
        ...

    def fault(self) -> None:
        """Take an exception of ours, which is being handled."""
        ...


class SteadyRound:
    """The short way of one device that is read in several blocks.

    Args:
        readers: of all that is read of the device, all of one period.
        layout: of the blocks' data, joined.

    Attributes:
        readers: as given.
        left: polls that may still go this way.
        is_out: whether a poll is under way here.
    """

    __slots__ = ("_exchanges", "_flags", "_ids", "_layout", "_link", "_poller", "_row", "_source", "_told", "is_out", "left", "readers")

    def __init__(self, readers: Sequence[Reader], layout: Layout, link: Link, source: Source, poller: Poller) -> None:
        self.readers = tuple(readers)
        self._layout = layout
        self._link = link
        self._source = source
        self._poller = poller
        self._exchanges = [reader.exchange for reader in readers]
        self._row = {exchange: row for row, exchange in enumerate(self._exchanges)}
        self._ids: NDArray[np.uint64] = np.concatenate([reader.ids for reader in readers])
        self._flags: NDArray[np.uint16] = np.concatenate([reader.flags for reader in readers])
        for column in (self._ids, self._flags):
            column.flags.writeable = False
        self._told: list[tuple[Reader, bytes, int]] = []
        self.left = POLLS_IN_A_ROW
        self.is_out = False

    def begin(self, now_ns: int) -> bool:
        """Ask, if it is due and can be done at once; returns whether it was."""
        if now_ns < self.readers[0].group.due_ns or self.left <= 0:
            return False
        for exchange in self._exchanges:
            exchange.done = self._take_reply
        self._told = []
        self.is_out = True
        if not self._link.ask_together(self._exchanges, self._take_all):
            self.is_out = False
            return False
        self.left -= 1
        return True

    def abandon(self) -> None:
        """Publish nothing of what is under way."""
        if self.is_out:
            self.is_out = False
            for exchange in self._exchanges:
                self._link.withdraw(exchange)

    def _take_reply(self, exchange: Exchange, outcome: bytes | DeviceError, now_ns: int) -> None:
        if not self.is_out:
            return  # of a poll that was given up
        reader = self.readers[self._row[exchange]]
        if not isinstance(outcome, bytes):
            self.is_out = False
            self._poller.round_amiss(self._told, reader, outcome, now_ns)
            return
        self._told.append((reader, outcome, now_ns))
        if len(self._told) == len(self.readers):
            told = sorted(self._told, key=lambda each: self._row[each[0].exchange])
            self._publish([data for _, data, _ in told], [came_ns for _, _, came_ns in told], now_ns)

    def _take_all(self, data: Sequence[bytes], now_ns: int) -> None:
        """Take all replies at once, in the order of the blocks."""
        if self.is_out and not self._told:
            self._publish(data, (now_ns,), now_ns)

    def _publish(self, data: Sequence[bytes], came_ns: Sequence[int], now_ns: int) -> None:
        """Publish what was read; who came when, in the order of the blocks, or once for all."""
        self.is_out = False
        try:
            values, finite = self._layout.decode_many([b"".join(data)])
            row = values[0]
            quality = all_good(len(row)) if finite[0] else quality_of(row)
            source = self._source
            source.polls += 1
            if not source.available:
                source.heard()
            source.publish(self._ids, self._times_ns(came_ns, now_ns), row, quality, self._flags, now_ns=now_ns)
            self._poller.over(now_ns)
        except Exception:
            self._poller.fault()

    def _times_ns(self, came_ns: Sequence[int], now_ns: int) -> NDArray[np.int64]:
        """Return (n,) source times: of each block the middle between request and reply."""
        if now_ns - min(came_ns) < _TOGETHER_NS:
            return np.full(len(self._ids), (self._exchanges[0].sent_ns + now_ns) // 2, dtype=np.int64)
        times_ns = [(exchange.sent_ns + at_ns) // 2 for exchange, at_ns in zip(self._exchanges, came_ns, strict=True)]
        return np.repeat(np.array(times_ns, dtype=np.int64), [len(reader.ids) for reader in self.readers])
