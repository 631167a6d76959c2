"""One connection, from connect to close: requests out, and each reply to whom it belongs.

Absent on purpose: whose turn it is, what a timeout means, when to connect again. That is the link's (:class:`Owner`).
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from ingest.addresses import Address, Framing, Manners
from ingest.modbus.exchange import Exchange
from ingest.modbus.frames import Adu, Exceptional, Good, Refusal, Skipped, Splitter, Verdict, judge
from ingest.modbus.rtu import ReplyReader, encode_rtu
from ingest.source import Source
from ingest.turns import wall_ns

__all__ = ["Owner", "Wire"]

_DATA_AT: Final = 9
"""Header, function and size stand before the data of a reply to a read."""


class Owner(Protocol):
    """Whom a connection tells what happens on it."""

    address: Address
    manners: Manners

    def replied(self, exchange: Exchange, verdict: Verdict, *, alone: bool) -> None:
        """Take what the peer answered; ``alone``: nothing else was on its way."""
        ...

    def answered(self, exchange: Exchange, data: bytes, *, alone: bool) -> None:
        """Take the data of a good reply; as :meth:`replied`."""
        ...

    def answered_together(self, data: Sequence[bytes]) -> None:
        """Take the data of good replies to all that was asked together, which was all that was owed."""
        ...

    def unsure(self, wire: Wire, why: str) -> None:
        """Make sure of a line whose replies bear no number, and on which some may come, or came, that belong to no request."""
        ...

    def lost(self, wire: Wire, why: str) -> None:
        """Take that the connection is gone."""
        ...


class Wire(asyncio.Protocol):
    """One connection, from connect to close.

    Args:
        noise: what the peer may send between frames of Modbus/TCP; None where nothing.

    Attributes:
        owed: requests on their way, by transaction, the oldest first.
        heard_ns: wall time of the last reply to what was owed longest: it is the turn of the next then. Other replies say nothing of it.
    """

    __slots__ = (
        "_expect", "_expected", "_last_asker", "_link", "_reader", "_round", "_splitter", "_transaction", "_transport", "_why",
        "heard_ns", "is_open", "owed", "was_answered",
    )  # fmt: skip

    def __init__(self, link: Owner, noise: Skipped | None = None) -> None:
        self._link = link
        self._transport: asyncio.Transport | None = None
        self._splitter = Splitter(noise) if link.address.framing is Framing.MBAP else None
        self._reader: ReplyReader | None = None
        self._transaction = 0
        self._last_asker: Source | None = None
        self._why = ""
        self._expect: Callable[[int], None] | None = None
        self._expected = 1
        self._round: list[tuple[int, int, bytes]] = []
        self.owed: dict[int, Exchange] = {}
        self.heard_ns = 0
        self.is_open = False
        self.was_answered = False

    def send(self, exchange: Exchange) -> None:
        """Put a request on its way."""
        assert self._transport is not None
        self._last_asker = exchange.source
        if self._splitter is None:
            self._reader = ReplyReader(exchange.request)
            self.owed[0] = exchange
            self._transport.write(encode_rtu(exchange.request.unit, exchange.request.pdu))
            return
        if self._expected > 1:
            self.take_as_it_comes()
        self._transport.write(self._enter(exchange))

    def send_together(self, exchanges: Sequence[Exchange], *, patient: bool) -> None:
        """Put several requests of Modbus/TCP on their way, all of them reads.

        Args:
            patient: wake us when all replies are there, and not for each; until :meth:`take_as_it_comes`.
        """
        assert self._transport is not None
        assert self._splitter is not None, "over RTU one request is on its way"
        self._last_asker = exchanges[-1].source
        if self._expect is not None and (size := sum(exchange.reply_bytes for exchange in exchanges) if patient else 1) != self._expected:
            self._expected = size
            self._expect(size)
        requests = [self._enter(exchange) for exchange in exchanges]
        # Where each reply ends, where its data begin, and what stands before these.
        self._round = []
        at = 0
        for exchange, request in zip(exchanges, requests, strict=True):
            assert exchange.reply_head is not None, "a write waits for nobody"
            self._round.append((at + exchange.reply_bytes, at + _DATA_AT, request[:2] + exchange.reply_head))
            at += exchange.reply_bytes
        self._transport.write(b"".join(requests))

    def _enter(self, exchange: Exchange) -> bytes:
        """Note a request as owed; returns its bytes."""
        self._transaction = self._transaction + 1 & 0xFFFF
        self.owed[self._transaction] = exchange
        return self._transaction.to_bytes(2, "big") + exchange.adu_tail

    def take_as_it_comes(self) -> None:
        """Be woken for whatever comes from now on, and for what has come already."""
        if self.is_open and self._expect is not None and self._expected > 1:
            self._expected = 1
            self._expect(1)

    def close(self) -> None:
        """Close in good order."""
        self.is_open = False
        if self._transport is not None:
            self._transport.close()

    def abort(self, why: str = "") -> None:
        """Close without ceremony."""
        self.is_open = False
        self._why = why
        if self._transport is not None:
            self._transport.abort()
            if self._link.address.is_serial:  # whose transport tells nobody
                asyncio.get_running_loop().call_soon(self.connection_lost, None)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        assert isinstance(transport, asyncio.Transport)
        peer = transport.get_extra_info("socket")
        if peer is not None:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self._transport = transport
        self._expect = getattr(transport, "expect", None)
        self.is_open = True

    def data_received(self, data: bytes) -> None:
        """Take bytes as they come."""
        if self._splitter is None:
            self._take_rtu(data)
            return
        if self._splitter.is_empty:
            if self._round and self._takes_round(data):
                return
            data = data[self._taken_plain(data) :]
            if not data:
                return
        replies = self._splitter.feed(data)
        if self._link.manners.transaction_zero and (len(replies) > len(self.owed) or (replies and not self._splitter.is_empty)):
            # What is asked next must not find an answer here already.
            self._link.unsure(self, "replies came that nobody waits for")
            for reply in replies[len(self.owed) :]:
                self._refuse(Refusal.UNASKED, f"{reply}, which nobody waits for")
            del replies[len(self.owed) :]
        for reply in replies:
            self._take(reply)
        if self._splitter.lost is not None:
            self._refuse(self._splitter.lost, f"not a Modbus/TCP header in {data[:16].hex(' ')}")
            self.abort(f"closed by us: the stream lost its frames ({self._splitter.lost})")
            self._link.lost(self, self._why)

    def connection_lost(self, exc: Exception | None) -> None:
        """End, whoever ended it."""
        self.is_open = False
        why = self._why or ("the peer closed the connection" if exc is None else f"the connection broke: {exc}")
        self._link.lost(self, why)

    def _takes_round(self, data: bytes) -> bool:
        """Take bytes that are good replies to all that was asked together, in order, and nothing else."""
        replies, self._round = self._round, []
        if len(data) != replies[-1][0] or len(self.owed) != len(replies):
            return False
        parts: list[bytes] = []
        begin = 0
        for end, at, head in replies:
            if data[begin:at] != head:
                return False
            parts.append(data[at:end])
            begin = end
        self.was_answered = True
        self.heard_ns = wall_ns()
        self.owed.clear()
        self._link.answered_together(parts)
        return True

    def _taken_plain(self, data: bytes) -> int:
        """Take good replies to reads that the bytes begin with, each whole: so they are, nearly always; returns how many bytes that were.

        What :func:`ingest.modbus.frames.judge` would say, in one comparison; where this says no, the answer is left to it.
        """
        owed = self.owed
        at, size = 0, len(data)
        while at < size:
            transaction = int.from_bytes(data[at : at + 2], "big")
            exchange = owed.get(transaction)
            if exchange is None or data[at + 2 : at + _DATA_AT] != exchange.reply_head:
                break
            end = at + exchange.reply_bytes
            if end > size or (end < size and self._link.manners.transaction_zero):
                break
            self.was_answered = True
            alone = len(owed) == 1
            if alone or transaction == next(iter(owed)):
                self.heard_ns = wall_ns()
            del owed[transaction]
            self._link.answered(exchange, data[at + _DATA_AT : end], alone=alone)
            at = end
        return at

    def _take(self, reply: Adu) -> None:
        transaction = reply.transaction
        if transaction == 0 and self._link.manners.transaction_zero and self.owed:
            transaction = next(iter(self.owed))
            reply = Adu(transaction, reply.unit, reply.pdu)
        exchange = self.owed.get(transaction)
        if exchange is None:
            reason = Refusal.TRANSACTION if self.owed else Refusal.UNASKED
            self._refuse(reason, f"a reply to transaction {transaction}, which nobody waits for")
            return
        verdict = judge(exchange.request, transaction, reply)
        if self._link.manners.transaction_zero and not isinstance(verdict, Good | Exceptional):
            self._link.unsure(self, "a reply came that answers something else")
        self._conclude(transaction, exchange, verdict, reply)

    def _conclude(self, transaction: int, exchange: Exchange, verdict: Verdict, reply: object) -> None:
        if isinstance(verdict, Good | Exceptional):
            self.was_answered = True
        else:
            request = exchange.request
            exchange.source.refuse(verdict.reason, f"asked unit {request.unit} for {request.pdu.hex(' ')}, got {reply}")
        if transaction == next(iter(self.owed)):
            self.heard_ns = wall_ns()
        alone = len(self.owed) == 1
        del self.owed[transaction]
        self._link.replied(exchange, verdict, alone=alone)

    def _take_rtu(self, data: bytes) -> None:
        exchange = self.owed.get(0)
        if exchange is None or self._reader is None:
            self._refuse(Refusal.UNASKED, f"{data[:16].hex(' ')}, and nothing was asked")
            self._link.unsure(self, "bytes came that nobody asked for")
            return
        verdict = self._reader.feed(data)
        if verdict is None:
            return
        rest, self._reader = self._reader.rest, None
        if rest:
            rest = self._behind(rest)
        if not isinstance(verdict, Good | Exceptional) or rest:
            if rest:
                self._refuse(Refusal.UNASKED, f"{rest[:16].hex(' ')} behind a reply")
            self._link.unsure(self, "the line has to be made sure of")
        self._conclude(0, exchange, verdict, data[:16].hex(" "))

    def _behind(self, rest: bytes) -> bytes:
        """Return what of the bytes behind a reply nothing explains."""
        return rest

    def _refuse(self, reason: Refusal, detail: str) -> None:
        if self._last_asker is not None:
            self._last_asker.refuse(reason, detail)
