"""A counter behind a real socket, and what it counted from one poll to the next."""

from __future__ import annotations

import asyncio

import pytest

from ingest.devices import DataType
from ingest.pointchecks import CounterCheck, PointChecks
from market.units import NS_PER_MS
from tests.kit.field import modbus_device, modbus_point, running
from tests.kit.modbus_slave import Asked, Piece, slave

pytestmark = pytest.mark.integration

STEP = 7
FIRST = 2**16 - 5 * STEP
"""Five readings before it is full."""


def test_energy_between_polls_is_counted_over_the_end_of_the_counter() -> None:
    # 2000 counts a second at most: a poll that is late by half a minute is still within one round of the counter.
    check = CounterCheck(modulus=2**16, max_per_h=7200.0, difference="u/gained")
    point = modbus_point("u/mwh", 1, DataType.UINT16, scale=0.001, period_ns=50 * NS_PER_MS, checks=PointChecks(counter=check))

    async def main() -> None:
        async with slave() as meter:

            def count(asked: Asked) -> list[Piece]:
                meter.written[1] = (FIRST + STEP * asked.number) % 2**16
                return [asked.reply[:-2] + meter.written[1].to_bytes(2, "big")]

            meter.script = count
            async with running(modbus_device(meter.port, point)) as (gateway, out):
                out.know({"u/gained"})
                await out.until(lambda: len(out.good("u/gained")) >= 12, "it has rolled over")
                told, readings = out.samples["u/gained"], out.samples["u/mwh"]
                assert told[0].quality == "Bad_WaitingForInitialData"
                assert [sample.value for sample in told[1:]] == pytest.approx([STEP * 0.001] * (len(told) - 1), abs=1e-12)
                # Each with the time of its reading, and in its frame.
                assert [sample.ts_event_ns for sample in told] == [sample.ts_event_ns for sample in readings]
                assert [health.flagged["COUNTER_ROLLOVER"] for health in gateway.health()] == [1]

    asyncio.run(main())
