"""Whatever pymodbus raises, who asked over its client is told."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from ingest.addresses import Address, Engine
from ingest.clock import WallClock
from ingest.devices import Kind
from ingest.errors import DeviceError, DeviceSilent
from ingest.modbus.exchange import Exchange
from ingest.modbus.frames import read_request
from ingest.modbus.reference import ReferenceLink
from ingest.source import Source
from ingest.turns import Turns


class Client:
    """Fails in a way that no manual tells of."""

    connected = True

    def __init__(self, *, opens: bool) -> None:
        self._opens = opens

    async def connect(self) -> bool:
        if not self._opens:
            raise UnicodeError("label empty or too long")
        return True

    async def read_holding_registers(self, *_: Any, **__: Any) -> Any:
        raise IndexError("index out of range")

    def close(self) -> None:
        pass


@pytest.mark.parametrize("opens", [False, True])
def test_a_failure_of_the_client_is_told_to_who_asked(monkeypatch: pytest.MonkeyPatch, *, opens: bool) -> None:
    async def main() -> None:
        clock = WallClock()
        link = ReferenceLink(Address(host="meter", port=502, engine=Engine.PYMODBUS), Turns(clock))
        monkeypatch.setattr(link, "_new_client", lambda: Client(opens=opens))
        told: list[bytes | DeviceError] = []
        source = Source("rtu", "1", clock, lambda frame: None)
        request = read_request(1, Kind.HOLDING, 0, 1)
        for _ in range(2):
            assert link.submit(Exchange(request, source, 1.0, lambda _, outcome, __: told.append(outcome))) is None
        async with asyncio.timeout(5):
            while len(told) < 2:
                await asyncio.sleep(0)
        assert all(isinstance(each, DeviceSilent) for each in told)
        link.close()

    asyncio.run(main())
