"""What is asked over a link, and what a poller needs of one."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from ingest.errors import DeviceError, DeviceSilent
from ingest.modbus.frames import Request, encode_adu
from ingest.source import Source
from market.units import NS_PER_S

__all__ = ["Exchange", "Link", "ask_first", "tell", "told_in_vain"]

_log: Final = logging.getLogger(__name__)


class Exchange:
    """One request, and whom to tell what became of it.

    Args:
        source: the device that asks; refusals are counted against it.
        timeout_s: wall seconds to wait for the reply, once it is this request's turn.
        done: called once, with the reply's data (empty for a write) or the reason there is none, and the event time, ns.

    Attributes:
        adu_tail: what goes out behind the transaction number, over Modbus/TCP.
        reply_head, reply_bytes: what stands behind the transaction number of a good reply to a read, and how long all of it is.
        timeout_ns: as ``timeout_s``.
        sent_ns: event time at which it was sent.
        took_ns: wall time from sending to the reply; 0 where others were on their way and it says little.
        was_ahead: whether others were owed when it was sent.
    """

    __slots__ = (
        "adu_tail",
        "done",
        "reply_bytes",
        "reply_head",
        "request",
        "sent_ns",
        "sent_wall_ns",
        "source",
        "timeout_ns",
        "timeout_s",
        "took_ns",
        "was_ahead",
    )

    def __init__(
        self, request: Request, source: Source, timeout_s: float, done: Callable[[Exchange, bytes | DeviceError, int], None]
    ) -> None:
        self.request = request
        self.source = source
        self.timeout_s = timeout_s
        self.timeout_ns = int(timeout_s * NS_PER_S)
        self.done = done
        self.adu_tail = encode_adu(0, request.unit, request.pdu)[2:]
        self.reply_head: bytes | None = None
        self.reply_bytes = 0
        if request.data_bytes is not None:
            # What stands between the transaction and the data of a good reply.
            self.reply_head = encode_adu(0, request.unit, bytes([request.pdu[0], request.data_bytes]) + bytes(request.data_bytes))[2:9]
            self.reply_bytes = 9 + request.data_bytes
        self.sent_ns = self.sent_wall_ns = self.took_ns = 0
        self.was_ahead = False


class Link(Protocol):
    """What a poller needs of a link."""

    @property
    def is_open(self) -> bool:
        """Whether there is a connection now."""
        ...

    @property
    def depth(self) -> int:
        """How many requests may be on their way."""
        ...

    def submit(self, exchange: Exchange, *, first: bool = False) -> DeviceSilent | None:
        """Queue a request; returns why it is not taken, where the link is known to be down."""
        ...

    def ask_if_idle(self, exchange: Exchange) -> bool:
        """Take a request where it is sent at once, and alone; returns whether it was taken."""
        ...

    def ask_together(self, exchanges: Sequence[Exchange], done: Callable[[Sequence[bytes], int], None]) -> bool:
        """Take several reads where they are sent at once, and nothing else is on its way; returns whether they were taken.

        Args:
            done: called with the data of all replies, and the event time, where they came together and are good; else each exchange's own.
        """
        ...

    def withdraw(self, exchange: Exchange) -> bool:
        """Take back a request that is still queued; returns whether it was."""
        ...

    async def exchange(self, request: Request, source: Source, timeout_s: float) -> bytes:
        """Send a request ahead of others, and return the data of its reply."""
        ...

    def rest(self) -> None:
        """Close the connection until it is needed again."""
        ...


async def ask_first(link: Link, request: Request, source: Source, timeout_s: float) -> bytes:
    """Send a request over a link ahead of others; return the data of its reply, empty for a write.

    Raises:
        DeviceSilent: no connection, no reply in time, or a reply that does not answer the request.
        DeviceRefused: the device answered with an exception.
    """
    told: asyncio.Future[bytes | DeviceError] = asyncio.get_running_loop().create_future()

    def done(_: Exchange, outcome: bytes | DeviceError, __: int) -> None:
        if not told.done():
            told.set_result(outcome)

    exchange = Exchange(request, source, timeout_s, done)
    refused = link.submit(exchange, first=True)
    if refused is not None:
        raise refused
    try:
        outcome = await told
    finally:
        link.withdraw(exchange)
    if isinstance(outcome, DeviceError):
        raise outcome
    return outcome


def tell(exchange: Exchange, outcome: bytes | DeviceError, now_ns: int) -> None:
    """Tell what became of an exchange; a fault of who is told stays with that device."""
    try:
        exchange.done(exchange, outcome, now_ns)
    except Exception:
        told_in_vain(exchange)


def told_in_vain(exchange: Exchange) -> None:
    """Log the exception that is being handled, of who was told."""
    where = {"device": exchange.source.name, "area": exchange.source.area}
    _log.exception("%s: taking an answer failed by a fault of this program", exchange.source.name, extra=where)
