"""Connections are opened many at a time and not all at once, and who answers does not wait for those that do not."""

from __future__ import annotations

import asyncio

import pytest

from ingest.addresses import Address
from ingest.modbus.exchange import Exchange
from ingest.modbus.link import ModbusLink
from ingest.openings import OPENING_MAX, Openings
from ingest.turns import Turns
from tests.kit.field import Collector, JumpClock, source_into
from tests.kit.line import read


async def hang(openings: Openings, inside: list[str], name: str, *, again: bool) -> None:
    async with openings.place(again=again):
        inside.append(name)
        await asyncio.Event().wait()


async def turns_of_the_loop() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def test_those_that_failed_before_keep_no_place_from_the_others() -> None:
    async def main() -> None:
        openings, inside = Openings(most=2, held_s=3600.0), list[str]()
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(hang(openings, inside, f"dead {n}", again=True)) for n in range(5)]
            await turns_of_the_loop()
            assert inside == ["dead 0", "dead 1"]
            tasks.append(group.create_task(hang(openings, inside, "new", again=False)))
            await turns_of_the_loop()
            assert inside[2:] == ["new"]
            tasks[0].cancel()
            await turns_of_the_loop()
            assert inside[3:] == ["dead 2"], "a place that is left is the next one's"
            for task in tasks:
                task.cancel()

    asyncio.run(main())


def test_one_that_takes_long_gives_its_place_to_the_next_and_goes_on_without() -> None:
    async def main() -> None:
        openings, inside = Openings(most=1, held_s=0.001), list[str]()
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(hang(openings, inside, f"{n}", again=False)) for n in range(5)]
            async with asyncio.timeout(30.0):
                while len(inside) < 5:
                    await asyncio.sleep(0.001)
            assert not any(task.done() for task in tasks)
            for task in tasks:
                task.cancel()
        for _ in range(3):  # neither more nor fewer places than before
            async with openings.place(again=False):
                assert openings.is_full(again=False)

    asyncio.run(main())


def test_a_healthy_address_is_connected_to_before_hundreds_that_swallow_everything_are_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    dialled: list[str] = []

    async def dial(address: Address, *_: object) -> None:
        try:
            dialled.append(address.host)
            if address.host == "healthy":
                raise ConnectionRefusedError("it answers, and that is all this test wants to know")
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            dialled.append("given up")
            raise

    async def main() -> None:
        turns = Turns(JumpClock(0))
        links = [ModbusLink(Address(host=f"black-hole-{n}", port=502), turns) for n in range(OPENING_MAX + 50)]
        links.append(ModbusLink(Address(host="healthy", port=502), turns))
        for link in links:
            assert link.submit(Exchange(read(1), source_into(Collector()), 1.0, lambda *_: None)) is None
        async with asyncio.timeout(30.0):
            while "healthy" not in dialled:
                await asyncio.sleep(0.01)
        assert "given up" not in dialled
        for link in links:
            link.close()

    monkeypatch.setattr("ingest.modbus.link.dial", dial)
    asyncio.run(main())
