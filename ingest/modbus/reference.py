"""Does pymodbus read the same? A link over its client, to hold ours against.

``engine: pymodbus`` at a device of a point list has it read by this link instead of :class:`ingest.modbus.link.ModbusLink`. Everything else
is as ever: the same blocks, the same decoding, the same frames; only how a request becomes bytes, and a reply becomes data, is somebody
else's work. A device that is listed twice, once for each engine, shows at once whether a fault lies on the wire or here.

It is slow and trusting, and not for service: one request at a time, a task for each link, and pymodbus itself takes a reply for good that
is too short or answers something else. What has another length than was asked is refused here all the same, because no decoder could read
it. After a reply that did not come the connection is closed, so that it cannot be taken for the next one.
"""

from __future__ import annotations

import asyncio
import logging
import struct
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final

from pymodbus.client import AsyncModbusSerialClient, AsyncModbusTcpClient
from pymodbus.exceptions import ModbusException
from pymodbus.framer import FramerType

from ingest.addresses import Address, Framing, Manners
from ingest.backoff import Backoff
from ingest.errors import DeviceError, DeviceLate, DeviceRefused, DeviceSilent
from ingest.modbus.exchange import Exchange, ask_first
from ingest.modbus.frames import EXCEPTION_NAMES, Function, Refusal, Request
from ingest.source import Source
from ingest.turns import Turns, wall_ns
from market.units import NS_PER_S

__all__ = ["ReferenceLink"]

_log: Final = logging.getLogger(__name__)

_CONNECT_TIMEOUT_S: Final = 3.0
_READS: Final = {
    Function.READ_COILS: "read_coils",
    Function.READ_DISCRETE: "read_discrete_inputs",
    Function.READ_HOLDING: "read_holding_registers",
    Function.READ_INPUT: "read_input_registers",
}


class ReferenceLink:
    """The connection to one address, by pymodbus's client; used like :class:`ingest.modbus.link.ModbusLink`."""

    depth: Final = 1

    def __init__(self, address: Address, turns: Turns, manners: Manners | None = None) -> None:
        self.address = address
        self._manners = manners or Manners()
        self._turns = turns
        self._backoff = Backoff(speed=turns.clock.speed)
        self._queue: deque[Exchange] = deque()
        self._client: Any = None
        self._working: asyncio.Task[None] | None = None
        self._connections = 0
        self._free_ns = 0

    @property
    def is_open(self) -> bool:
        """Whether there is a connection now."""
        return self._client is not None and bool(self._client.connected)

    def submit(self, exchange: Exchange, *, first: bool = False) -> DeviceSilent | None:
        """Queue a request; returns why it is not taken, where the link is known to be down.

        Args:
            first: before all that wait, behind the writes.
        """
        if self._client is None and self._working is None and (left_s := self._backoff.left_s) > 0:
            return DeviceSilent(f"{exchange.source.name}: no connection to {self.address}; next try in {left_s:.1f} s")
        place = next((k for k, each in enumerate(self._queue) if each.request.is_read), len(self._queue)) if first else len(self._queue)
        self._queue.insert(place, exchange)
        if self._working is None:
            self._working = asyncio.get_running_loop().create_task(self._work(), name=f"reference-{self.address}")
        return None

    def ask_together(self, exchanges: Sequence[Exchange], done: Callable[[Sequence[bytes], int], None]) -> bool:
        """Take none: pymodbus asks one after the other."""
        return False

    def ask_if_idle(self, exchange: Exchange) -> bool:
        """Take nothing on the short way: what this is to be compared with is the long one."""
        return False

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
        if not self._queue and self._working is None:
            self._drop()

    def behave(self, manners: Manners) -> None:
        """Have other manners from now on."""
        self._manners = manners

    def hold_off(self, s: float) -> None:
        """Send nothing for so many wall seconds."""
        self._free_ns = wall_ns() + int(s * NS_PER_S)

    def close(self) -> None:
        """Give up the connection; whoever waits is told."""
        if self._working is not None:
            self._working.cancel()
            self._working = None
        self._drop()
        self._end_all("the link was closed")

    # ---- one after the other ------------------------------------------------------------------------------------------------

    async def _work(self) -> None:
        """Ask what is queued, until nothing is."""
        exchange: Exchange | None = None
        try:
            while self._queue:
                if (left_ns := self._free_ns - wall_ns()) > 0:
                    await asyncio.sleep(left_ns / NS_PER_S)
                if not self.is_open:
                    await self._connect()
                    continue
                exchange = self._queue.popleft()
                exchange.sent_ns, exchange.sent_wall_ns = self._turns.clock.now_ns(), wall_ns()
                try:
                    outcome = await self._asked(exchange)
                except Exception as exc:
                    _log.exception("%s: pymodbus failed to ask", self.address)
                    self._drop()
                    outcome = DeviceSilent(f"{exchange.source.name}: pymodbus failed: {exc!r}")
                exchange.took_ns = wall_ns() - exchange.sent_wall_ns if isinstance(outcome, bytes) else 0
                told, exchange = exchange, None
                self._tell(told, outcome)
                if self._manners.gap_s:
                    await asyncio.sleep(self._manners.gap_s)
        except asyncio.CancelledError:
            if exchange is not None:
                self._tell(exchange, DeviceSilent(f"{exchange.source.name}: the link was closed"))
            raise
        finally:
            if self._working is asyncio.current_task():
                self._working = None

    async def _connect(self) -> None:
        """Connect, or end all that waits."""
        self._drop()
        client = self._new_client()
        why = f"{self.address} did not take the connection"
        is_connected = False
        async with self._turns.connecting.place(again=self._backoff.has_failed):
            try:
                async with asyncio.timeout(_CONNECT_TIMEOUT_S):
                    is_connected = bool(await client.connect())
            except (OSError, TimeoutError, ModbusException) as exc:
                why = f"no connection to {self.address}: {exc}"
            except Exception as exc:
                _log.exception("%s: pymodbus failed to open the connection", self.address)
                why = f"no connection to {self.address}: {exc!r}"
        if not is_connected:
            client.close()
            self._backoff.failed()
            self._end_all(why)
            return
        self._client = client
        self._connections += 1
        if self._connections > 1 and self._queue:
            self._queue[0].source.reconnects += 1
        if self._manners.pause_after_connect_s:
            await asyncio.sleep(self._manners.pause_after_connect_s)

    async def _asked(self, exchange: Exchange) -> bytes | DeviceError:
        """Ask one thing, and say what became of it."""
        name, request = exchange.source.name, exchange.request
        try:
            async with asyncio.timeout(exchange.timeout_s):
                reply = await self._call(request)
        except TimeoutError:
            self._drop()
            return DeviceLate(f"{name}: no reply within {exchange.timeout_s:g} s")
        except (OSError, ModbusException) as exc:
            self._drop()
            return DeviceSilent(f"{name}: {exc}")
        self._backoff.succeeded()
        if reply.isError():
            code = int(getattr(reply, "exception_code", 0))
            what = EXCEPTION_NAMES.get(code, "of the device's own")
            return DeviceRefused(f"{name}: exception {code}, {what}", code)
        data = _data_of(request, reply)
        if data is None:
            exchange.source.refuse(Refusal.SIZE, f"asked unit {request.unit} for {request.pdu.hex(' ')}, got {reply}")
            self._drop()
            return DeviceSilent(f"{name}: the reply does not answer the request ({Refusal.SIZE})")
        return data

    async def _call(self, request: Request) -> Any:
        """Have pymodbus ask what a request asks."""
        function, address, count = struct.unpack(">BHH", request.pdu[:5])
        client, unit = self._client, request.unit
        if function in _READS:
            return await getattr(client, _READS[function])(address, count=count, device_id=unit)
        if function == Function.WRITE_COIL:
            return await client.write_coil(address, count != 0, device_id=unit)
        if function == Function.WRITE_REGISTER:
            return await client.write_register(address, count, device_id=unit)
        body = request.pdu[6:]
        if function == Function.WRITE_REGISTERS:
            return await client.write_registers(address, list(struct.unpack(f">{count}H", body)), device_id=unit)
        assert function == Function.WRITE_COILS, f"function {function} is neither a plain read nor a plain write"
        return await client.write_coils(address, [bool(body[k // 8] >> k % 8 & 1) for k in range(count)], device_id=unit)

    def _new_client(self) -> Any:
        address = self.address
        framer = FramerType.RTU if address.framing is Framing.RTU else FramerType.SOCKET
        # Its own timeout must not be the shorter one, and asking again is the poller's business.
        own: dict[str, Any] = {"timeout": 3600, "retries": 0, "reconnect_delay": 0}
        if address.line is not None:
            line = address.line
            return AsyncModbusSerialClient(
                address.host, framer=framer, baudrate=line.baud, parity=line.parity, stopbits=line.stop_bits, **own
            )
        return AsyncModbusTcpClient(address.host, port=address.port, framer=framer, **own)

    def _drop(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def _end_all(self, why: str) -> None:
        queued = list(self._queue)
        self._queue.clear()
        for exchange in queued:
            self._tell(exchange, DeviceSilent(f"{exchange.source.name}: {why}"))

    def _tell(self, exchange: Exchange, outcome: bytes | DeviceError) -> None:
        """Tell what became of an exchange; a fault of who is told stays with that device."""
        try:
            exchange.done(exchange, outcome, self._turns.clock.now_ns())
        except Exception:
            where = {"device": exchange.source.name, "area": exchange.source.area}
            _log.exception("%s: taking an answer failed by a fault of this program", exchange.source.name, extra=where)


def _data_of(request: Request, reply: Any) -> bytes | None:
    """Return a reply's data as it stood on the wire; None where it is not as much as was asked for."""
    if request.data_bytes is None:
        return b""
    if request.pdu[0] in (Function.READ_HOLDING, Function.READ_INPUT):
        data = struct.pack(f">{len(reply.registers)}H", *reply.registers)
    else:
        bits = [bool(bit) for bit in reply.bits]
        data = sum(1 << place for place, bit in enumerate(bits) if bit).to_bytes((len(bits) + 7) // 8, "little")
    return data if len(data) == request.data_bytes else None
