"""Wheels are turned for everybody, whatever becomes of one."""

from __future__ import annotations

import asyncio

from market.units import NS_PER_MS
from tests.kit.field import turning


def test_a_fault_due_in_wall_time_keeps_nobody_from_what_is_due_in_event_time() -> None:
    async def main() -> list[str]:
        called: list[str] = []

        def fails(now_ns: int) -> None:
            called.append("fault")
            turns.at_event(0, lambda _: called.append("poll"))
            turns.after(0, fails)
            raise RuntimeError("a fault of ours")

        async with turning() as turns:
            turns.after(0, fails)
            turns.after(0, lambda _: called.append("deadline"))
            async with asyncio.timeout(2.0):
                while called.count("poll") < 2 or "deadline" not in called:
                    await asyncio.sleep(0.001)
        return called

    assert asyncio.run(main()).count("deadline") == 1


def test_wheels_are_turned_when_somebody_is_due_and_not_otherwise() -> None:
    async def main() -> tuple[int, float, float]:
        async with turning() as turns:
            turned = 0

            def tick() -> None:
                nonlocal turned
                turned += 1

            turns.sockets.tick = tick  # type: ignore[method-assign]
            await asyncio.sleep(0.06)
            idle = turned
            loop = asyncio.get_running_loop()
            called: list[float] = []
            began_s = loop.time()
            turns.at_event(turns.clock.now_ns() + 60 * NS_PER_MS, lambda _: called.append(loop.time() - began_s))
            turns.after(20 * NS_PER_MS, lambda _: called.append(loop.time() - began_s))
            async with asyncio.timeout(2.0):
                while len(called) < 2:
                    await asyncio.sleep(0.001)
            return idle, *called

    idle, first_s, second_s = asyncio.run(main())
    assert idle <= 1
    assert first_s >= 0.02
    assert second_s >= 0.06


def test_where_very_many_are_connected_wheels_are_turned_slot_by_slot() -> None:
    async def main() -> bool:
        async with turning() as turns:
            turned = asyncio.Event()
            count = 0

            def tick() -> None:
                nonlocal count
                count += 1
                if count == 5:
                    turned.set()

            turns.sockets._connections.update({number: object() for number in range(64)})  # type: ignore[misc]
            turns.sockets.tick = tick  # type: ignore[method-assign]
            turns.after(0, lambda _: None)
            async with asyncio.timeout(0.19):  # less than two naps
                await turned.wait()
            return True

    assert asyncio.run(main())
