"""A connection that nobody wants any more leaves nothing open."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from ingest.addresses import Address, Framing, SerialLine
from ingest.modbus.dialling import dial
from ingest.sockets import Sockets


def _open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_a_serial_line_given_up_while_it_is_opened_is_closed(turns: int) -> None:
    near, far = os.openpty()
    address = Address(host=os.ttyname(far), framing=Framing.RTU, line=SerialLine(parity="N"))

    async def main() -> None:
        before = _open_files()
        opening = asyncio.create_task(dial(address, asyncio.Protocol, Sockets()))
        for _ in range(turns):
            await asyncio.sleep(0)
        assert _open_files() > before
        assert opening.cancel()
        await asyncio.gather(opening, return_exceptions=True)
        assert opening.cancelled()
        assert _open_files() == before

    try:
        asyncio.run(main())
    finally:
        os.close(near)
        os.close(far)


def test_a_name_that_can_be_no_host_s_is_said_so() -> None:
    with pytest.raises(OSError, match=r"'meter..plant' is no name of a host: "):
        asyncio.run(dial(Address(host="meter..plant", port=502), asyncio.Protocol, Sockets()))
