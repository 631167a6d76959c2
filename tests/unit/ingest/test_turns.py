"""Wheels are turned for everybody, whatever becomes of one."""

from __future__ import annotations

import asyncio

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
