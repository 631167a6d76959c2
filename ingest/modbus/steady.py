"""How is a device polled that answers, poll after poll, as it did before?

Nearly every poll of nearly every device is like the one before: one block (several: :mod:`ingest.modbus.steadyround`), asked for on an idle
connection, answered well. Such a poll
needs none of what a poller keeps at hand for the others. It is asked here on a short way, and what came is decoded together with the
replies of other devices of the same make (:class:`Harvest`). Whatever is not as usual goes the long way, which is
:mod:`ingest.modbus.poller`'s: a poll that is begun here and does not end well, and from time to time one like all others, so that what is
learned of a device on the long way does not grow old.

The two ways give the same frames.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from ingest.clock import Clock
from ingest.errors import DeviceError
from ingest.modbus.exchange import Exchange, Link
from ingest.modbus.layout import Layout
from ingest.modbus.reading import Reader
from ingest.quality import BAD_DATA_UNAVAILABLE, all_good
from ingest.source import Source

__all__ = ["POLLS_IN_A_ROW", "Harvest", "SteadyPoll", "quality_of"]

POLLS_IN_A_ROW: Final = 100
"""Polls on the short way before one goes the long way."""


class Harvest:
    """What devices answered in one turn of the event loop, decoded together at its end: one for all devices of a process.

    Args:
        clock: event time.
        soon: has a call made at the end of the turn; None for the running event loop's.
    """

    def __init__(self, clock: Clock, soon: Callable[[Callable[[], None]], object] | None = None) -> None:
        self._clock = clock
        self._soon = soon
        self._waits = False
        self._rows: dict[Layout, list[tuple[SteadyPoll, bytes, int]]] = {}

    def add(self, layout: Layout, poll: SteadyPoll, data: bytes, ts_event_ns: int) -> None:
        """Take a reply's data; ``poll`` is given its values soon, and when they held."""
        rows = self._rows.get(layout)
        if rows is None:
            rows = self._rows[layout] = []
        rows.append((poll, data, ts_event_ns))
        if not self._waits:
            self._waits = True
            (self._soon or asyncio.get_running_loop().call_soon)(self._gather)

    def _gather(self) -> None:
        self._waits = False
        harvest, self._rows = self._rows, {}
        now_ns = self._clock.now_ns()
        for layout, rows in harvest.items():
            polls, data, times_ns = zip(*rows, strict=True)
            try:
                values, finite = layout.decode_many(data)
                times = np.repeat(np.array(times_ns, dtype=np.int64), layout.n).reshape(values.shape)
            except Exception:
                for poll in polls:
                    poll.fault()
                continue
            if finite.all():
                for poll, row, time in zip(polls, values, times, strict=True):
                    poll.take(now_ns, time, row, all_good(layout.n))
                continue
            for poll, row, time, is_finite in zip(polls, values, times, finite.tolist(), strict=True):
                poll.take(now_ns, time, row, all_good(layout.n) if is_finite else quality_of(row))


def quality_of(values: NDArray[np.float64]) -> NDArray[np.uint32]:
    """Return the quality of (n,) values; those that are no number become NaN."""
    none = ~np.isfinite(values)
    values[none] = np.nan
    quality = all_good(len(values)).copy()
    quality[none] = BAD_DATA_UNAVAILABLE
    return quality


class Poller(Protocol):
    """Whose poll it is."""

    def amiss(self, reader: Reader, why: DeviceError, now_ns: int) -> None:
        """Take over a poll that did not end well."""
        ...

    def over(self, now_ns: int) -> None:
        """Take that a poll was published."""
        ...

    def fault(self) -> None:
        """Take an exception of ours, which is being handled."""
        ...


class SteadyPoll:
    """The short way of one device.

    Args:
        reader: of all that is read of the device.

    Attributes:
        left: polls that may still go this way.
        is_out: whether a poll is under way here.
    """

    __slots__ = ("_done", "_exchange", "_harvest", "_link", "_poller", "_reader", "_source", "is_out", "left")

    def __init__(
        self,
        reader: Reader,
        link: Link,
        source: Source,
        harvest: Harvest,
        poller: Poller,
    ) -> None:
        self._reader = reader
        self._exchange = reader.exchange
        self._link = link
        self._source = source
        self._harvest = harvest
        self._poller = poller
        self._done = self._take_reply
        self.left = POLLS_IN_A_ROW
        self.is_out = False

    def begin(self, now_ns: int) -> bool:
        """Ask, if it is due and can be done at once; returns whether it was."""
        if now_ns < self._reader.group.due_ns or self.left <= 0:
            return False
        self._exchange.done = self._done
        self.is_out = True
        if not self._link.ask_if_idle(self._exchange):
            self.is_out = False
            return False
        self.left -= 1
        return True

    def abandon(self) -> None:
        """Publish nothing of what is under way."""
        if self.is_out:
            self.is_out = False
            self._link.withdraw(self._exchange)

    def _take_reply(self, exchange: Exchange, outcome: bytes | DeviceError, now_ns: int) -> None:
        if not self.is_out:
            return  # of a poll that was given up
        if isinstance(outcome, bytes):
            self._harvest.add(self._reader.decoder.layout, self, outcome, (exchange.sent_ns + now_ns) // 2)
            return
        self.is_out = False
        self._poller.amiss(self._reader, outcome, now_ns)

    def fault(self) -> None:
        """Take an exception of ours in decoding what came, which is being handled."""
        if self.is_out:
            self.is_out = False
            self._poller.fault()

    def take(self, now_ns: int, ts_event_ns: NDArray[np.int64], values: NDArray[np.float64], quality: NDArray[np.uint32]) -> None:
        """Publish what was read; all columns (n,)."""
        if not self.is_out:
            return
        self.is_out = False
        try:
            source = self._source
            source.polls += 1
            if not source.available:
                source.heard()
            reader = self._reader
            source.publish(reader.decoder.ids, ts_event_ns, values, quality, reader.flags, now_ns=now_ns)
            self._poller.over(now_ns)
        except Exception:
            self._poller.fault()
