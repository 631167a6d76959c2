"""How does a request get its answer, or the reason there is none, as soon as either is known?

A link is one connection to one address, opened when it is first needed and again, after a back-off, when it was lost. Devices behind the
same address share it. An exchange (:mod:`ingest.modbus.exchange`) is handed in, waits its turn, and is called back once; neither a task
nor a timer is made for it. Deadlines are looked at when they pass (:mod:`ingest.turns`), and a peer that closes ends whatever it owes
at once.

A reply is taken only if :func:`ingest.modbus.frames.judge` finds that it answers the request; every other one is counted against the
device that asked.

Over Modbus/TCP several requests may be on their way, because each reply says which it answers. How many a peer bears is found out
while requests queue: twice as many after a few good replies, and one for a while where a peer left one unanswered while it owed others;
what it owed then is asked again, so finding out loses nothing. A unit that stays silent when asked alone was the reason itself, and
changes nothing for the others. Over RTU, and from peers that answer every request with transaction
number 0, a reply says nothing of the kind. There one request is on its way, and after a reply that was late, wrong or too much the line
is made sure of before the next: a TCP connection is cut, a serial line is left alone until it has been quiet for longer than any reply
took. The next answer can then only be the next request's.

After a few timeouts in a row the connection is given up, because a peer that was switched off without a goodbye leaves one that looks
open for ever; those who wait are asked over the next one. Units that do not answer take a tenth of the line from those that do, at most
(:mod:`ingest.modbus.lineshare`).

Absent on purpose: retries of what was not answered (the next period is the retry), and ever repeating a write.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from ingest.addresses import Address, Framing, Manners
from ingest.backoff import Backoff
from ingest.errors import DeviceError, DeviceLate, DeviceRefused, DeviceSilent
from ingest.modbus.dialling import dial
from ingest.modbus.exchange import Exchange, ask_first, tell, told_in_vain
from ingest.modbus.frames import EXCEPTION_NAMES, Exceptional, ExceptionCode, Good, Request, Verdict
from ingest.modbus.lineshare import LineShare
from ingest.modbus.patience import Patience
from ingest.modbus.wire import Wire
from ingest.source import Source
from ingest.turns import Turns, wall_ns
from market.units import NS_PER_H, NS_PER_MIN, NS_PER_MS, NS_PER_S

__all__ = ["ModbusLink"]

_log: Final = logging.getLogger(__name__)

_CONNECT_TIMEOUT_S: Final = 3.0
_SILENCES_MAX: Final = 3
"""Timeouts in a row, over all devices of the link, after which the connection is given up."""

_DEPTH_MAX: Final = 16
_STREAK: Final = 4
"""Good replies in a row, while others wait, after which twice as many are sent ahead."""

_SHALLOW_NS: Final = 10 * NS_PER_MIN
_SHALLOW_MAX_NS: Final = 24 * NS_PER_H
"""Wall time after which a peer that did not bear requests ahead is sent some again; twice as long after each time it did not."""

_ABSENT: Final = frozenset({ExceptionCode.GATEWAY_PATH, ExceptionCode.GATEWAY_TARGET})
"""What a gateway answers for a unit that does not."""

_QUIET_MIN_NS: Final = 50 * NS_PER_MS
_NEVER_NS: Final = 2**63


class ModbusLink:
    """The connection to one address.

    Args:
        turns: event time, and who calls when deadlines pass.
        manners: what the peer needs.
    """

    _asks_at_once = True
    """Whether a request over an idle connection needs no look at anything else: nobody is silent, no pause was ever due."""

    def __init__(self, address: Address, turns: Turns, manners: Manners | None = None) -> None:
        self.address = address
        self.manners = manners or Manners()
        self._turns = turns
        self._backoff = Backoff(speed=turns.clock.speed)
        self._queue: deque[Exchange] = deque()
        self._wire: Wire | None = None
        self._opening: asyncio.Task[None] | None = None
        self._silences = self._connections = 0
        self._look_ns = _NEVER_NS
        self._free_ns = 0
        self._called_free = False
        self._slowest_ns = self._waited_ns = 0
        self._depth = self._depth_max = 1
        self._streak = 0
        self._asked_together, self._bears_together = False, True
        self._together: Sequence[Exchange] = ()
        self._done_together: Callable[[Sequence[bytes], int], None] = lambda data, now_ns: None
        self._patience = Patience(turns)
        self._set_depth()

    def _set_depth(self) -> None:
        pipelines = self.address.framing is Framing.MBAP and not self.manners.transaction_zero
        self._depth_max = (self.manners.depth or _DEPTH_MAX) if pipelines else 1
        self._depth = self._depth_max if self.manners.depth else 1
        self._shallows = self._deep_from_ns = self._deep_before = 0
        self._blamed: Exchange | None = None
        self._share = LineShare()

    @property
    def is_open(self) -> bool:
        """Whether there is a connection now."""
        return self._wire is not None and self._wire.is_open

    @property
    def depth(self) -> int:
        """How many requests may be on their way."""
        return self._depth

    def submit(self, exchange: Exchange, *, first: bool = False) -> DeviceSilent | None:
        """Queue a request; returns why it is not taken, where the link is known to be down.

        Args:
            first: before all reads that wait, behind the writes.
        """
        if self._wire is None and self._opening is None and (why := self._unreachable()):
            return DeviceSilent(f"{exchange.source.name}: {why}")
        if self._share.silent and not first and (left_s := self._share.left_ns(exchange.source.name, wall_ns()) / NS_PER_S) > 0:
            return DeviceSilent(f"{exchange.source.name}: it does not answer, and others on {self.address} do; next try in {left_s:.0f} s")
        if first:
            # Behind the writes that wait: of two set-points the later one must stand in the end.
            writes = (place for place in range(len(self._queue), 0, -1) if not self._queue[place - 1].request.is_read)
            self._queue.insert(next(writes, 0), exchange)
        else:
            self._queue.append(exchange)
        self._pump()
        return None

    def ask_if_idle(self, exchange: Exchange) -> bool:
        """Take a request where it is sent at once, and alone; returns whether it was taken."""
        wire = self._wire
        if wire is None or not wire.is_open or wire.owed or self._queue or (self._free_ns and not self._is_free()):
            return False
        if not self._asks_at_once or self._free_ns or self._share.silent:
            return self.submit(exchange) is None
        self._send(wire, exchange)
        if exchange.sent_wall_ns + exchange.timeout_ns < self._look_ns:
            self._watch()
        return True

    def ask_together(self, exchanges: Sequence[Exchange], done: Callable[[Sequence[bytes], int], None]) -> bool:
        """Take several reads where they are sent at once, and nothing else is on its way (:class:`ingest.modbus.exchange.Link`)."""
        wire = self._wire
        if wire is None or not wire.is_open or wire.owed or self._queue or len(exchanges) > self._depth:
            return False
        if not (self._asks_at_once and self._bears_together) or self._free_ns or self._share.silent or self.manners.gap_s:
            return False
        now_ns, now_wall_ns = self._turns.clock.now_ns(), wall_ns()
        for exchange in exchanges:
            exchange.sent_ns, exchange.sent_wall_ns = now_ns, now_wall_ns
            exchange.took_ns, exchange.was_ahead = 0, exchange is not exchanges[0]
        self._asked_together = True
        self._together, self._done_together = exchanges, done
        wire.send_together(exchanges, patient=self._patience.is_left())
        self._patience.begin(wire.take_as_it_comes, exchanges[0].timeout_s / 2)
        if now_wall_ns + exchanges[0].timeout_ns < self._look_ns:
            self._watch()
        return True

    def withdraw(self, exchange: Exchange) -> bool:
        """Take back a request that is still queued; returns whether it was."""
        try:
            self._queue.remove(exchange)
        except ValueError:
            return False
        return True

    async def exchange(self, request: Request, source: Source, timeout_s: float) -> bytes:
        """Send a request ahead of others, and return the data of its reply, empty for a write.

        Raises:
            DeviceSilent: no connection, no reply in time, or a reply that does not answer the request.
            DeviceRefused: the device answered with an exception.
        """
        return await ask_first(self, request, source, timeout_s)

    def rest(self) -> None:
        """Close the connection until it is needed again; not while others need it."""
        if self._wire is not None and not self._wire.owed and not self._queue:
            self._wire.close()
            self._wire = None

    def behave(self, manners: Manners) -> None:
        """Have other manners from now on; the connection stays, unless replies are now told apart in another way."""
        before, self.manners = self.manners, manners
        if manners == before:
            return
        self._set_depth()
        if manners.transaction_zero != before.transaction_zero and self._wire is not None and not self.address.is_serial:
            self._wire.abort("closed by us: its replies are told apart in another way from now on")

    def hold_off(self, s: float) -> None:
        """Send nothing for so many wall seconds: a reply to whoever had the line before may still come."""
        self._pause(s)

    def close(self) -> None:
        """Give up the connection; whoever waits is told."""
        if self._opening is not None:
            self._opening.cancel()
            self._opening = None
        if self._wire is not None:
            self._wire.abort()
            self._wire = None
        self._end(self._taken_queue(), "the link was closed")

    def _unreachable(self) -> str:
        """Return why no connection can be made now, empty where one can."""
        left_s = self._backoff.left_s
        return f"no connection to {self.address}; next try in {left_s:.1f} s" if left_s > 0 else ""

    # ---- sending ------------------------------------------------------------------------------------------------------------

    def _pump(self) -> None:
        """Send what may be sent now."""
        wire = self._wire
        if wire is None or not wire.is_open:
            self._open()
            return
        if not self._queue or len(wire.owed) >= self._depth or not self._is_free():
            return
        while self._queue and len(wire.owed) < self._depth:
            self._send(wire, self._queue.popleft())
            if self.manners.gap_s:
                self._pause(self.manners.gap_s)
                break
        self._watch()

    def _send(self, wire: Wire, exchange: Exchange) -> None:
        exchange.sent_ns, exchange.sent_wall_ns = self._turns.clock.now_ns(), wall_ns()
        exchange.took_ns, exchange.was_ahead = 0, bool(wire.owed)
        self._asked_together = False
        wire.send(exchange)

    def _is_free(self) -> bool:
        """Whether no pause is on; where one is, be called when it ends."""
        left_ns = self._free_ns - wall_ns()
        if left_ns <= 0:
            return True
        if not self._called_free:
            self._called_free = True
            self._turns.after(left_ns, self._freed)
        return False

    def _freed(self, _: int) -> None:
        self._called_free = False
        self._pump()

    def _pause(self, s: float) -> None:
        """Send nothing for so long."""
        self._free_ns = max(self._free_ns, wall_ns() + int(s * NS_PER_S))

    def _open(self) -> None:
        if self._opening is None and self._queue:
            self._opening = asyncio.get_running_loop().create_task(self._connect(), name=f"connect-{self.address}")

    async def _connect(self) -> None:
        why = ""
        async with self._turns.connecting.place(again=self._backoff.has_failed):
            try:
                async with asyncio.timeout(_CONNECT_TIMEOUT_S):
                    wire = await dial(self.address, lambda: Wire(self), self._turns.sockets)
            except TimeoutError:
                why = f"{self.address} did not take the connection in {_CONNECT_TIMEOUT_S:g} s"
            except OSError as exc:
                why = f"no connection to {self.address}: {exc.strerror or exc}"
            except Exception as exc:
                _log.exception("%s: opening the connection failed by a fault of this program", self.address)
                why = f"no connection to {self.address}: {exc!r}"
        self._opening = None
        if why:
            self._backoff.failed()
            self._end(self._taken_queue(), why)
            return
        self.adopt(wire)

    def adopt(self, wire: Wire) -> None:
        """Go on over a connection that has just been made."""
        if not wire.is_open:
            self._backoff.failed()
            self._end(self._taken_queue(), f"{self.address} closed the connection as soon as it was made")
            return
        self._wire = wire
        self._silences = 0
        self._connections += 1
        self._patience.renew()
        if self._connections > 1 and self._queue:
            self._queue[0].source.reconnects += 1
        if self.manners.pause_after_connect_s:
            self._pause(self.manners.pause_after_connect_s)
        self._pump()

    # ---- what became of it --------------------------------------------------------------------------------------------------

    def replied(self, exchange: Exchange, verdict: Verdict, *, alone: bool) -> None:
        """Take what the peer answered; ``alone``: nothing else was on its way."""
        if isinstance(verdict, Good):
            self.answered(exchange, verdict.data, alone=alone)
            return
        name = exchange.source.name
        outcome: DeviceError
        if isinstance(verdict, Exceptional):
            what = EXCEPTION_NAMES.get(verdict.code, "of the device's own")
            outcome = DeviceRefused(f"{name}: exception {verdict.code}, {what}", verdict.code)
        else:
            outcome = DeviceSilent(f"{name}: the reply does not answer the request ({verdict.reason})")
        self._streak = 0
        self._concluded(exchange, outcome, wall_ns())

    def answered(self, exchange: Exchange, data: bytes, *, alone: bool) -> None:
        """Take the data of a good reply; as :meth:`replied`."""
        now_wall_ns = wall_ns()
        exchange.took_ns = now_wall_ns - exchange.sent_wall_ns if alone and not exchange.was_ahead else 0
        if self._queue:
            self._deepen(now_wall_ns)
        self._concluded(exchange, data, now_wall_ns)

    def answered_together(self, data: Sequence[bytes]) -> None:
        """Take the data of good replies to all that was asked together, which was all that was owed."""
        first, now_wall_ns = self._together[0], wall_ns()
        self._is_there(first, now_wall_ns)
        self._share.heard(first.source.name, now_wall_ns)
        try:
            self._done_together(data, self._turns.clock.now_ns())
        except Exception:
            told_in_vain(first)
        if self._queue:
            self._pump()

    def _concluded(self, exchange: Exchange, outcome: bytes | DeviceError, now_wall_ns: int) -> None:
        self._is_there(exchange, now_wall_ns)
        if isinstance(outcome, DeviceRefused) and outcome.code in _ABSENT:
            self._missed(exchange)
        elif not isinstance(outcome, DeviceSilent):
            self._share.heard(exchange.source.name, now_wall_ns)
        tell(exchange, outcome, self._turns.clock.now_ns())
        if self._queue:
            self._pump()

    def _is_there(self, exchange: Exchange, now_wall_ns: int) -> None:
        """Note that the peer is there: it answered this."""
        if now_wall_ns - exchange.sent_wall_ns > self._slowest_ns:
            self._slowest_ns = now_wall_ns - exchange.sent_wall_ns
        if self.manners.gap_s:
            self._pause(self.manners.gap_s)
        self._silences = 0
        self._backoff.succeeded()
        self._blamed = None
        if self._wire is not None and not self._wire.owed:
            self._patience.rewarded()

    def _deepen(self, now_wall_ns: int) -> None:
        """Send more ahead where replies are good and requests wait."""
        if self._shallows and self._depth_max == 1 and not self.manners.depth and now_wall_ns >= self._deep_from_ns:
            self._depth_max = _DEPTH_MAX
        if self._depth >= self._depth_max:
            return
        self._streak += 1
        if self._streak >= _STREAK:
            self._depth, self._streak = min(2 * self._depth, self._depth_max), 0

    def _watch(self) -> None:
        """Be called when the reply that is due first is late, unless that is so already."""
        wire = self._wire
        if wire is not None and wire.owed and (late_ns := self._late_ns(wire)) < self._look_ns:
            self._look_ns = late_ns
            self._turns.at_wall(late_ns, self._look)

    def _late_ns(self, wire: Wire) -> int:
        """Return the wall time from which the reply that is due first is late, ns."""
        head = next(iter(wire.owed.values()))
        return max(head.sent_wall_ns, wire.heard_ns) + head.timeout_ns

    def _look(self, now_ns: int) -> None:
        """Look whether the first of what is owed is late."""
        if now_ns < self._look_ns:
            return  # there was reason to look sooner, and it has been done
        self._look_ns = _NEVER_NS
        wire = self._wire
        if wire is None or not wire.owed:
            return
        if self._late_ns(wire) <= wall_ns():
            self._expire(wire)
        self._watch()

    def _expire(self, wire: Wire) -> None:
        head = wire.owed.pop(next(iter(wire.owed)))
        wire.heard_ns = wall_ns()  # it is the turn of the next, who may have waited behind this one
        if self._asked_together and head.was_ahead:
            # It answered some of what was asked together, not all: perhaps it takes one request from a packet.
            self._bears_together = self._asked_together = False
            self._queue_again(wire, [head, *wire.owed.values()])
            self._pump()
            return
        self._asked_together = False  # none of it was answered: that says nothing of packets
        is_known = head.source.name in self._share.silent
        if (wire.owed or head.was_ahead) and self._depth > 1 and not self.manners.depth and not is_known:
            self._shallow(wire, head)
            return
        if head is self._blamed:
            # Asked alone it is as silent: it was the unit, and not that others were on their way.
            self._depth, self._depth_max, self._blamed = self._deep_before, _DEPTH_MAX, None
            self._shallows -= 1
        self._silences += 1
        self._waited_ns = head.timeout_ns
        # Also before a line is opened anew: what is owed on a serial line comes all the same.
        self._doubt(wire, head)
        self._missed(head)
        if self._silences >= _SILENCES_MAX:
            self._give_up(wire)
        tell(head, DeviceLate(f"{head.source.name}: no reply within {head.timeout_s:g} s"), self._turns.clock.now_ns())
        self._pump()

    def _doubt(self, wire: Wire, head: Exchange) -> None:
        """A reply is late, and may still come."""
        self.unsure(wire, f"a reply to {head.request.pdu.hex(' ')} is late")

    def _missed(self, exchange: Exchange) -> None:
        """A unit did not answer: it is asked less often, if that holds up others."""
        now_ns, source = wall_ns(), exchange.source
        cost_ns = max(now_ns, self._free_ns) - exchange.sent_wall_ns
        self._share.missed(source.name, exchange.sent_wall_ns, cost_ns, now_ns, answered_before=source.polls > 0)

    def _give_up(self, wire: Wire) -> None:
        """Close a connection over which nothing came for a while; those who wait are asked over the next, without a back-off."""
        if self._queue or wire.owed:
            if self._wire is wire:
                self._wire = None
            self._queue_again(wire, list(wire.owed.values()))
        wire.abort(f"closed by us: {self._silences} replies in a row did not come")

    def _shallow(self, wire: Wire, head: Exchange) -> None:
        """The peer answers one at a time, it seems: ask again for what it owes, one after the other."""
        self._blamed, self._deep_before = head, self._depth
        self._depth = self._depth_max = 1
        self._deep_from_ns = wall_ns() + min(_SHALLOW_NS << min(self._shallows, 16), _SHALLOW_MAX_NS)
        self._shallows += 1
        self._queue_again(wire, [head, *wire.owed.values()])
        self._pump()

    def _queue_again(self, wire: Wire, owed: list[Exchange]) -> None:
        """Have what is owed asked for again, before what waits; of writes it is not known whether they were done."""
        wire.owed.clear()
        self._queue.extendleft(reversed([each for each in owed if each.request.is_read]))
        writes = [each for each in owed if not each.request.is_read]
        self._end(writes, "no reply in time; it is not known whether the write was done")

    def unsure(self, wire: Wire, why: str) -> None:
        """Make sure of a line on which a reply may still come that nobody waits for, and that bears no number to tell."""
        if self.address.framing is not Framing.RTU and not self.manners.transaction_zero:
            return
        if not self.address.is_serial:
            if self._wire is wire:
                self._wire = None  # it was not lost: others who wait are asked over the next one, without a back-off
            wire.abort(why)
            return
        self._leave_alone()

    def _leave_alone(self) -> None:
        """Send nothing until a line has been quiet."""
        # As long again as the reply was waited for, and longer than any took: what is owed has come by then, or never will.
        self._pause(max(2 * self._slowest_ns, self._waited_ns, _QUIET_MIN_NS) / NS_PER_S)

    def lost(self, wire: Wire, why: str) -> None:
        """Take that a connection is gone."""
        owed = list(wire.owed.values())
        wire.owed.clear()
        if owed and self.address.is_serial:
            # A line that is opened again at once still carries what is owed.
            self._waited_ns = max(each.timeout_ns for each in owed)
            self.unsure(wire, why)
        if self._wire is wire:
            self._wire = None
            if not wire.was_answered:
                self._backoff.failed()
        self._end(owed, why)
        if self._queue:
            if self._backoff.left_s > 0 and self._wire is None:
                self._end(self._taken_queue(), why)
            else:
                self._pump()

    def _taken_queue(self) -> list[Exchange]:
        queued = list(self._queue)
        self._queue.clear()
        return queued

    def _end(self, exchanges: list[Exchange], why: str) -> None:
        now_ns = self._turns.clock.now_ns()
        for exchange in exchanges:
            tell(exchange, DeviceSilent(f"{exchange.source.name}: {why}"), now_ns)
