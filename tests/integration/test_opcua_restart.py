"""Our own process is killed, and node-opcua's history fills in what it missed: all of it, nothing that was never missed twice in effect."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from pathlib import Path

import pytest

from ingest.quality import Flag
from market.units import NS_PER_MS, NS_PER_S
from tests.kit.eventually import eventually_async
from tests.kit.field import free_port
from tests.kit.node_opcua import node_opcua
from tests.kit.opcua_server import PLANT
from tests.kit.pointlists import point_list_file
from tests.kit.reading_process import ReadingProcess, reading_process

pytestmark = pytest.mark.integration

PERIOD_NS = 100 * NS_PER_MS
REPLAYED = int(Flag.REPLAYED)
NAMES = ("v0", "v1", "v2")
BEHIND_NS = 5 * NS_PER_S
"""How far what was kept may be behind what was received: two looks, and a machine that is busy."""


def plant(folder: Path, port: int, backfill: str = "1h", names: tuple[str, ...] = NAMES) -> Path:
    points = "".join(f'      {name}: {{node: "nsu={PLANT};s={name}", sampling: 0, queue: 50}}\n' for name in names)
    url = f"opc.tcp://127.0.0.1:{port}"
    head = f"maps:\n  m:\n    every: 100ms\n    points:\n{points}"
    return point_list_file(folder, f'{head}devices:\n  - {{name: ems/1, area: 1, url: "{url}", map: m, backfill: {backfill}}}\n')


def times_ns(run: ReadingProcess, name: str, *, replayed: bool) -> list[int]:
    samples = run.samples.get(name, [])
    return [sample.ts_event_ns for sample in samples if bool(sample.flags & REPLAYED) == replayed and sample.quality == "Good"]


def is_filled(run: ReadingProcess) -> bool:
    """What was replayed reaches up to the first live value."""
    return all(
        (replayed := times_ns(run, name, replayed=True)) and max(replayed) + PERIOD_NS in times_ns(run, name, replayed=False)
        for name in NAMES
    )


async def counts(run: ReadingProcess) -> None:
    await eventually_async("it counts", lambda: all(len(times_ns(run, name, replayed=False)) > 30 for name in NAMES), 60)


def assert_whole(*runs: ReadingProcess) -> None:
    """Every period from the first to the last value is there, with the value that the server had then, whoever received it."""
    for name in NAMES:
        seen: dict[int, float] = {}
        for run in runs:
            for sample in run.samples[name]:
                if sample.quality == "Good":
                    assert seen.setdefault(sample.ts_event_ns, sample.value) == sample.value == sample.ts_event_ns / PERIOD_NS
        assert {after - before for before, after in pairwise(sorted(seen))} == {PERIOD_NS}


def test_what_a_killed_process_missed_is_filled_in_after_its_restart(tmp_path: Path) -> None:
    port, memory = free_port(), tmp_path / "devices"

    async def main() -> None:
        with node_opcua(port, historyMs=1000):
            points = plant(tmp_path, port)
            with reading_process(points, memory) as first:
                await counts(first)
                first.kill()
            await asyncio.sleep(3.0)
            with reading_process(points, memory) as second:
                await eventually_async("the gap is filled", lambda: is_filled(second), 60)
                told = {name: len(times_ns(second, name, replayed=True)) for name in NAMES}
                await asyncio.sleep(1.5)
                assert {name: len(times_ns(second, name, replayed=True)) for name in NAMES} == told, "it is filled once"
            assert_whole(first, second)
            for name in NAMES:
                replayed, received = times_ns(second, name, replayed=True), times_ns(first, name, replayed=False)
                assert len(replayed) == len(set(replayed)) >= 30
                # Exactly the gap, and what was received so shortly before that it was not kept yet.
                assert max(received) - BEHIND_NS < min(replayed) <= max(received) + PERIOD_NS
                assert max(replayed) < min(times_ns(second, name, replayed=False))

    asyncio.run(main())


def test_a_process_that_was_stopped_in_good_order_reads_nothing_twice(tmp_path: Path) -> None:
    port, memory = free_port(), tmp_path / "devices"

    async def main() -> None:
        with node_opcua(port, historyMs=1000):
            points = plant(tmp_path, port)
            with reading_process(points, memory) as first:
                await counts(first)
                first.stop()
            await asyncio.sleep(1.0)
            with reading_process(points, memory) as second:
                await eventually_async("the gap is filled", lambda: is_filled(second), 60)
            assert_whole(first, second)
            for name in NAMES:
                assert min(times_ns(second, name, replayed=True)) == max(times_ns(first, name, replayed=False)) + PERIOD_NS

    asyncio.run(main())


def test_a_process_killed_while_it_fills_in_goes_on_with_that(tmp_path: Path) -> None:
    """The second one is killed as soon as it has begun: what it did not get to is known to the third."""
    port, memory = free_port(), tmp_path / "devices"

    async def main() -> None:
        with node_opcua(port, historyMs=1000):
            points = plant(tmp_path, port)
            with reading_process(points, memory) as first:
                await counts(first)
                first.kill()
            await asyncio.sleep(2.0)
            with reading_process(points, memory) as second:
                await eventually_async("it is told live values", lambda: bool(times_ns(second, "v2", replayed=False)), 60)
                second.kill()
            await asyncio.sleep(1.0)
            with reading_process(points, memory) as third:
                await eventually_async("the gaps are filled", lambda: is_filled(third), 60)
            assert_whole(first, second, third)

    asyncio.run(main())


def test_no_more_is_read_than_was_asked_for(tmp_path: Path) -> None:
    port, memory = free_port(), tmp_path / "devices"

    async def main() -> None:
        with node_opcua(port, historyMs=1000):
            points = plant(tmp_path, port, backfill="2s")
            with reading_process(points, memory) as first:
                await counts(first)
                first.kill()
            await asyncio.sleep(4.0)
            with reading_process(points, memory) as second:
                await eventually_async("the gap is filled", lambda: is_filled(second), 60)
            for name in NAMES:
                assert len(times_ns(second, name, replayed=True)) == 2 * NS_PER_S // PERIOD_NS - 1

    asyncio.run(main())
