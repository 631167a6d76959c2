"""Gaps filled in from node-opcua's history: exactly the gap, and none twice."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from itertools import groupby, pairwise
from typing import Any

import pytest
from asyncua import Client

from ingest.devices import UaDevice
from ingest.quality import Flag
from market.units import NS_PER_MS, NS_PER_S
from tests.kit.field import Collector, free_port, running, ua_device, ua_point
from tests.kit.node_opcua import node_opcua, value_node
from tests.kit.opcua_server import PLANT

pytestmark = pytest.mark.integration

PERIOD_NS = 100 * NS_PER_MS
REPLAYED = int(Flag.REPLAYED)
HISTORY_MS = 60_000


class Cable:
    """What lies between us and a server: it can be cut, with the connection left standing and mute, and be mended."""

    def __init__(self, port: int, beyond: int) -> None:
        self.port = port
        self._beyond = beyond
        self._open = asyncio.Event()
        self._open.set()
        self._tasks: set[asyncio.Task[None]] = set()

    def cut(self) -> None:
        self._open.clear()

    def mend(self) -> None:
        self._open.set()

    async def serve(self, near: asyncio.StreamReader, near_out: asyncio.StreamWriter) -> None:
        far, far_out = await asyncio.open_connection("127.0.0.1", self._beyond)
        ways = [asyncio.create_task(self._carry(near, far_out)), asyncio.create_task(self._carry(far, near_out))]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            for out in (far_out, near_out):
                out.close()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while raw := await reader.read(65_536):
            await self._open.wait()
            writer.write(raw)


@asynccontextmanager
async def cable(beyond: int) -> AsyncIterator[Cable]:
    it = Cable(free_port(), beyond)
    server = await asyncio.start_server(it.serve, "127.0.0.1", it.port)
    try:
        yield it
    finally:
        it.mend()
        server.close()


def plant(port: int, variables: int = 3, **changes: Any) -> UaDevice:
    points = (ua_point(f"v{n}", value_node(n), sampling_ns=0, queue=50) for n in range(variables))
    return ua_device(port, *points, **({"backfill_ns": 3600 * NS_PER_S} | changes))


def times_ns(out: Collector, name: str, *, replayed: bool) -> list[int]:
    return [sample.ts_event_ns for sample in out.samples[name] if bool(sample.flags & REPLAYED) == replayed and sample.quality == "Good"]


async def history_ns(port: int, name: str, begin_ns: int, end_ns: int) -> list[int]:
    """What the server itself has between two instants, both excluded, as another client reads it."""
    client = Client(f"opc.tcp://127.0.0.1:{port}")
    async with client:
        index = await client.get_namespace_index(PLANT)
        node = client.get_node(f"ns={index};s={name}")
        epoch = datetime(1970, 1, 1, tzinfo=UTC)
        begin, end = (epoch + timedelta(microseconds=at_ns // 1000) for at_ns in (begin_ns, end_ns))
        values = await node.read_raw_history(begin, end)
        found = [round((value.SourceTimestamp - epoch) / timedelta(microseconds=1)) * 1000 for value in values]
        return sorted(at_ns for at_ns in found if begin_ns < at_ns < end_ns)


async def assert_whole(out: Collector, port: int, names: list[str]) -> None:
    """Every sample of the server's history between our first and last is there once, and nothing else is."""
    for name in names:
        live, replayed = (times_ns(out, name, replayed=which) for which in (False, True))
        first, last = live[0], max(live)
        # What still holds after a silence is told again, so that it is good again: live, and the same.
        once = [at_ns for at_ns, _ in groupby(live)]
        got = [at_ns for at_ns in once + replayed if first < at_ns < last]
        assert {at_ns: count for at_ns, count in Counter(got).items() if count > 1} == {}
        assert sorted(got) == await history_ns(port, name, first, last)
        assert all(sample.value * PERIOD_NS == sample.ts_event_ns for sample in out.samples[name] if sample.quality == "Good")


async def assert_exact(out: Collector, port: int, names: list[str]) -> int:
    """The same, and what was replayed is all that lies in the one gap between live samples; return how many that are."""
    await assert_whole(out, port, names)
    replays = 0
    for name in names:
        live, replayed = (times_ns(out, name, replayed=which) for which in (False, True))
        before_ns, after_ns = max(pairwise(live), key=lambda both: both[1] - both[0])
        assert sorted(replayed) == list(range(before_ns + PERIOD_NS, after_ns, PERIOD_NS))
        replays += len(replayed)
    return replays


def is_filled(out: Collector) -> bool:
    return all(
        (replayed := times_ns(out, name, replayed=True))
        and any(at_ns == max(replayed) + PERIOD_NS for at_ns in times_ns(out, name, replayed=False))
        for name in out.samples
    )


@pytest.mark.parametrize("page", [3, 1000])
def test_a_connection_that_is_mute_for_six_seconds_leaves_no_gap(monkeypatch: pytest.MonkeyPatch, page: int) -> None:
    """With a small page, too: 60 values are then 20 pages along the server's continuation points."""
    monkeypatch.setattr("ingest.opcua.backfill._PAGE", page)
    port = free_port()

    async def main() -> None:
        with node_opcua(port, historyMs=HISTORY_MS, limits={"maxNodesPerHistoryReadData": 2}):
            async with cable(port) as line, running(plant(line.port)) as (gateway, out):
                await out.until(lambda: len(out.good("v0")) > 10, "it counts")
                line.cut()
                await asyncio.sleep(6.0)
                assert out.is_bad("v0")
                line.mend()
                await out.until(lambda: is_filled(out), "the gap is filled", within_s=60)
                replays = await assert_exact(out, port, ["v0", "v1", "v2"])
                assert replays >= 3 * 50
                [health] = gateway.health()
                assert health.refused == {}
                # It is filled once: nothing more comes of it.
                await asyncio.sleep(1.5)
                assert await assert_exact(out, port, ["v0", "v1", "v2"]) == replays

    asyncio.run(main())


def test_a_server_that_was_killed_and_kept_its_history_leaves_no_gap() -> None:
    port = free_port()

    async def main() -> None:
        with ExitStack() as first:
            first.enter_context(node_opcua(port, historyMs=HISTORY_MS))
            async with running(plant(port)) as (gateway, out):
                await out.until(lambda: len(out.good("v0")) > 10, "it counts")
                first.close()
                await asyncio.sleep(2.0)
                with node_opcua(port, historyMs=HISTORY_MS, namespaces=["urn:test:other", PLANT]):
                    await out.until(lambda: is_filled(out), "the gap is filled", within_s=60)
                    assert await assert_exact(out, port, ["v0", "v1", "v2"]) >= 3 * 20
                    assert gateway.health()[0].refused == {}

    asyncio.run(main())


def test_a_server_that_was_frozen_and_makes_up_for_it_leaves_no_gap() -> None:
    """When it wakes it notes all it has missed at once: some of that is told live, and what its queue cannot hold is in its history."""
    port = free_port()

    async def main() -> None:
        with node_opcua(port, historyMs=HISTORY_MS) as server:
            async with running(plant(port)) as (gateway, out):
                await out.until(lambda: len(out.good("v0")) > 10, "it counts")
                os.kill(server.process.pid, signal.SIGSTOP)
                await asyncio.sleep(8.0)
                assert out.is_bad("v0")
                os.kill(server.process.pid, signal.SIGCONT)
                woken = time.time_ns()
                await out.until(lambda: times_ns(out, "v2", replayed=False)[-1] > woken + 3 * NS_PER_S, "it counts on", within_s=60)
                await assert_whole(out, port, ["v0", "v1", "v2"])
                assert set(gateway.health()[0].refused) <= {"queue_overflow"}

    asyncio.run(main())


def test_a_gap_is_filled_no_further_back_than_was_asked_for() -> None:
    port = free_port()

    async def main() -> None:
        with node_opcua(port, historyMs=HISTORY_MS):
            async with cable(port) as line, running(plant(line.port, 1, backfill_ns=2 * NS_PER_S)) as (gateway, out):
                await out.until(lambda: len(out.good("v0")) > 10, "it counts")
                line.cut()
                await asyncio.sleep(5.0)
                line.mend()
                await out.until(lambda: is_filled(out), "the gap is filled", within_s=60)
                replayed = times_ns(out, "v0", replayed=True)
                assert len(replayed) == 2 * NS_PER_S // PERIOD_NS - 1
                assert gateway.health()[0].refused == {"beyond_backfill": 1}

    asyncio.run(main())


def test_what_ran_over_in_the_servers_queue_is_filled_in_too() -> None:
    port = free_port()

    async def main() -> None:
        with node_opcua(port, historyMs=HISTORY_MS):
            points = (ua_point("v0", value_node(0), sampling_ns=0, queue=2),)
            device = ua_device(port, *points, publish_ns=NS_PER_S, backfill_ns=60 * NS_PER_S)
            async with running(device) as (gateway, out):
                await out.until(lambda: len(times_ns(out, "v0", replayed=True)) > 30, "the gaps are filled", within_s=60)
                replayed, live = times_ns(out, "v0", replayed=True), times_ns(out, "v0", replayed=False)
                whole = sorted(replayed + [at_ns for at_ns in live if live[0] < at_ns <= max(replayed)])
                assert whole == await history_ns(port, "v0", live[0], max(replayed) + 1)
                assert gateway.health()[0].refused["queue_overflow"] >= 3

    asyncio.run(main())


def test_a_server_without_history_is_left_in_peace(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    port = free_port()

    async def main() -> None:
        with node_opcua(port):
            async with cable(port) as line, running(plant(line.port, 2)) as (gateway, out):
                await out.until(lambda: len(out.good("v0")) > 10, "it counts")
                line.cut()
                await out.until(lambda: out.is_bad("v0"), "its silence is seen", within_s=60)
                line.mend()
                told = len(out.good("v1"))
                await out.until(lambda: len(out.good("v1")) > told + 20, "it counts on")
                assert gateway.health()[0].refused == {"no_history": 2}
                assert times_ns(out, "v0", replayed=True) == []

    asyncio.run(main())
