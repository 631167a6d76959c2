"""How is a look at an unknown device carried out over a real connection?

Everything goes through a :class:`ingest.modbus.link.ModbusLink`, as it would for a device that is polled: the same framing, the same
refusal of replies that do not answer, the same pipelining. One request is on its way at a time, with a gap before the next, but for the
one burst that asks how many may be.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from ingest.addresses import Address
from ingest.clock import WallClock
from ingest.errors import DeviceError, DeviceLate, DeviceRefused, DeviceSilent
from ingest.modbus.exchange import Exchange
from ingest.modbus.frames import Request, read_request
from ingest.modbus.identify import identify_request, parse_identification
from ingest.modbus.link import ModbusLink
from ingest.modbus.probing.asks import Ask, Burst, Depth, Identify, Pause, Read, Refused, Reply, Said, Silent
from ingest.modbus.probing.findings import Findings
from ingest.modbus.probing.strategy import ProbePlan, examine
from ingest.source import Source
from ingest.turns import Turns

__all__ = ["probe"]

_CONNECT_AGAIN_S: Final = 0.5
_NAME: Final = "device"


async def probe(
    address: Address,
    plan: ProbePlan,
    findings: Findings,
    *,
    timeout_s: float = 1.0,
    gap_s: float = 0.02,
    progress: Callable[[Ask, Findings], None] = lambda ask, findings: None,
) -> None:
    """Look at what is behind an address.

    Args:
        findings: filled in as it goes, so that what was found stands also where the look is cancelled.
        timeout_s: wall seconds to wait for a reply.
        gap_s: wall seconds between a reply and the next request.
        progress: called before each ask.
    """
    turns = Turns(WallClock())
    turns.start()
    runner = _Runner(address, turns, timeout_s, gap_s)
    look = examine(plan, findings)
    try:
        ask = next(look)
        while True:
            progress(ask, findings)
            ask = look.send(await runner.carry_out(ask))
    except StopIteration:
        pass
    finally:
        look.close()
        runner.close()
        turns.stop()


class _Runner:
    """Carries out one ask after the other."""

    def __init__(self, address: Address, turns: Turns, timeout_s: float, gap_s: float) -> None:
        self._address = address
        self._turns = turns
        self._timeout_s = timeout_s
        self._gap_s = gap_s
        self._source = Source(_NAME, "", turns.clock, lambda frame: None)
        self._link = ModbusLink(address, turns)

    def close(self) -> None:
        self._link.close()

    async def carry_out(self, ask: Ask) -> Reply:
        match ask:
            case Pause(s):
                await asyncio.sleep(s)
                return None
            case Burst(read, times):
                return await self._burst(_request(read), times)
            case Read():
                reply = await self._exchanged(_request(ask))
            case Identify(unit, category, first):
                reply = await self._exchanged(identify_request(unit, category, first))
                if isinstance(reply, Said):
                    reply = Said(reply.data, parse_identification(reply.data))
        await asyncio.sleep(self._gap_s)
        return reply

    async def _exchanged(self, request: Request) -> Said | Refused | Silent:
        reply = await self._tried(request)
        if isinstance(reply, Silent) and not reply.is_connected:
            # A link waits longer after each loss, as is right for a poller; here somebody waits for the outcome.
            self._link.close()
            self._link = ModbusLink(self._address, self._turns)
            await asyncio.sleep(_CONNECT_AGAIN_S)
            reply = await self._tried(request)
        return reply

    async def _tried(self, request: Request) -> Said | Refused | Silent:
        try:
            return Said(await self._link.exchange(request, self._source, self._timeout_s))
        except DeviceRefused as exc:
            return Refused(exc.code)
        except DeviceLate as exc:
            return Silent(_said(exc))
        except DeviceSilent as exc:
            return Silent(_said(exc), self._link.is_open)

    async def _burst(self, request: Request, times: int) -> Depth:
        """Send many at once; each is called back once, in the end by a timeout."""
        left = times
        answered = 0
        over = asyncio.Event()

        def done(_: Exchange, outcome: bytes | DeviceError, __: int) -> None:
            nonlocal left, answered
            left -= 1
            answered += not isinstance(outcome, DeviceSilent)
            if not left:
                over.set()

        for _ in range(times):
            refused = self._link.submit(Exchange(request, self._source, self._timeout_s, done))
            if refused is not None:
                left -= 1
        if left:
            await over.wait()
        return Depth(self._link.depth, answered)


def _request(read: Read) -> Request:
    return read_request(read.unit, read.kind, read.address, read.count)


def _said(exc: DeviceError) -> str:
    return str(exc).removeprefix(f"{_NAME}: ")
