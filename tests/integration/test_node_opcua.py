"""The OPC UA client against node-opcua: a server that freezes, dies, changes its namespaces, limits its calls and loses values."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from contextlib import ExitStack
from typing import Any

import pytest

from ingest.devices import Deadband, UaDevice
from market.units import NS_PER_MS, NS_PER_S
from tests.kit.field import Collector, free_port, running, ua_device, ua_point
from tests.kit.node_opcua import node_opcua, value_node
from tests.kit.opcua_server import PLANT

pytestmark = pytest.mark.integration

PERIOD_NS = 100 * NS_PER_MS


def plant(port: int, variables: int = 3, **changes: Any) -> UaDevice:
    return ua_device(port, *(ua_point(f"v{n}", value_node(n)) for n in range(variables)), **changes)


def is_whole(out: Collector, name: str) -> bool:
    """Whether every value so far is that of its own period."""
    return all(sample.value * PERIOD_NS == sample.ts_event_ns for sample in out.samples[name] if sample.quality == "Good")


def test_a_frozen_node_opcua_is_heard_again_within_ten_seconds_of_its_return() -> None:
    port = free_port()

    async def main() -> None:
        with node_opcua(port) as server:
            async with running(plant(port)) as (gateway, out):
                await out.until(lambda: len(out.good("v0")) > 5, "it counts")
                os.kill(server.process.pid, signal.SIGSTOP)
                await asyncio.sleep(8.0)
                assert out.is_bad("v0")
                assert gateway.health()[0].available is False
                os.kill(server.process.pid, signal.SIGCONT)
                told = len(out.good("v2"))
                await out.until(lambda: len(out.good("v2")) > told + 5, "it counts on", within_s=60)
                [health] = gateway.health()
                assert (health.available, health.reconnects, health.refused) == (True, 1, {})
                assert is_whole(out, "v0")

    asyncio.run(main())


def test_a_short_freeze_of_node_opcua_keeps_the_subscription() -> None:
    port = free_port()

    async def main() -> None:
        with node_opcua(port) as server:
            async with running(plant(port)) as (gateway, out):
                await out.until(lambda: len(out.good("v0")) > 5, "it counts")
                os.kill(server.process.pid, signal.SIGSTOP)
                await out.until(lambda: gateway.health()[0].available is False, "its silence is seen", within_s=60)
                os.kill(server.process.pid, signal.SIGCONT)
                told = len(out.good("v0"))
                await out.until(lambda: len(out.good("v0")) > told + 5, "it counts on", within_s=60)
                [health] = gateway.health()
                assert (health.reconnects, health.bad) == (0, 0)

    asyncio.run(main())


def test_a_killed_node_opcua_that_comes_back_with_its_namespaces_in_another_order() -> None:
    port = free_port()

    async def main() -> None:
        with ExitStack() as first:
            server = first.enter_context(node_opcua(port, namespaces=[PLANT, "urn:test:other"]))
            async with running(plant(port)) as (gateway, out):
                await out.until(lambda: len(out.good("v0")) > 5, "it counts")
                server.process.kill()
                await out.until(lambda: out.is_bad("v0") and out.is_bad("v2"), "its end is seen")
                first.close()
                with node_opcua(port, namespaces=["urn:test:more", "urn:test:other", PLANT]):
                    told = len(out.good("v2"))
                    await out.until(lambda: len(out.good("v2")) > told + 5, "it counts on", within_s=60)
                    [health] = gateway.health()
                    assert (health.available, health.reconnects) == (True, 1)
                    assert is_whole(out, "v2")

    asyncio.run(main())


def test_three_thousand_variables_in_one_publish_are_all_taken() -> None:
    """They change together once a second, on a server that takes 500 in a call; each of four changes arrives of every one."""
    port, variables = free_port(), 3000
    limits = {"maxMonitoredItemsPerCall": 500, "maxNodesPerRead": 3, "maxNodesPerBrowse": 50}

    async def main() -> None:
        with node_opcua(port, variables=variables, periodMs=1000, limits=limits):
            async with running(plant(port, variables, publish_ns=NS_PER_S)) as (gateway, out):
                await out.until(lambda: all(out.samples.values()), "every point is reported", within_s=60)
                begin = max(samples[0].ts_event_ns for samples in out.samples.values()) // NS_PER_S
                wanted = set(range(begin + 1, begin + 5))
                await out.until(lambda: all(set(out.good(name)) >= wanted for name in out.samples), "four changes of each", within_s=60)
                [health] = gateway.health()
                assert (health.refused, health.dropped, health.bad) == ({}, {}, 0)

    asyncio.run(main())


def test_a_queue_that_runs_over_is_counted_and_the_value_behind_it_is_good() -> None:
    port = free_port()

    async def main() -> None:
        with node_opcua(port, periodMs=0) as server:
            # Ten samples a publish, and a queue of three.
            points = (ua_point("v0", value_node(0), queue=3), ua_point("v1", value_node(1), queue=30))
            async with running(ua_device(port, *points, publish_ns=NS_PER_S)) as (gateway, out):
                await out.until(lambda: all(out.samples.values()), "every point is reported")
                for value in range(1, 3000):
                    server.tell(set="v0", value=value)
                    if value % 10 == 0:
                        await asyncio.sleep(0.005)
                    if gateway.health()[0].refused:
                        break
                assert gateway.health()[0].refused["queue_overflow"] >= 1
                server.tell(set="v1", value=7.0)
                await out.until(lambda: out.is_good("v1", 7.0), "the other point")
                assert {sample.quality for sample in out.samples["v0"]} == {"Good"}

    asyncio.run(main())


def test_sampling_queue_and_deadband_are_the_servers_to_keep() -> None:
    port = free_port()

    async def main() -> None:
        with node_opcua(port, periodMs=0) as server:
            points = (
                ua_point("v0", value_node(0), scale=-0.1, deadband=Deadband(value=0.5, is_percent=False)),
                ua_point("v1", value_node(1)),
                ua_point("v2", value_node(2), deadband=Deadband(value=5.0, is_percent=True)),
            )
            async with running(ua_device(port, *points)) as (_, out):
                await out.until(lambda: all(out.samples.values()), "every point is reported")
                # The server knows no range of v2, so it cannot take a share of it.
                assert out.is_bad("v2")
                for value in (4.0, 12.0, 14.0, 30.0):
                    server.tell(set="v0", value=value)
                    server.tell(set="v1", value=value)
                    await out.until(lambda wanted=value: out.is_good("v1", wanted), "the change is reported")
                await out.until(lambda: out.is_good("v0", -3.0), "the last change is reported")
                assert out.good("v1")[-4:] == [4.0, 12.0, 14.0, 30.0]
                assert [round(value, 6) for value in out.good("v0")] == [0.0, -1.2, -3.0]

    asyncio.run(main())


def test_polled_points_are_told_when_they_change_and_their_server_beats_when_none_does() -> None:
    port = free_port()

    async def main() -> None:
        with node_opcua(port, variables=30, periodMs=0, limits={"maxNodesPerRead": 7}) as server:
            points = [ua_point(f"v{n}", value_node(n)) for n in range(30)]
            points += [ua_point("slow", value_node(0), period_ns=NS_PER_S), ua_point("none", value_node(99))]
            async with running(ua_device(port, *points, is_polled=True)) as (gateway, out):
                await out.until(lambda: all(out.samples.values()), "every point is reported")
                assert out.last("none").quality == "Bad_0x80340000"  # type: ignore[union-attr]  # BadNodeIdUnknown
                beats = sum(not len(frame) for frame in out.frames)
                await out.until(lambda: sum(not len(frame) for frame in out.frames) > beats + 3, "rounds without news")
                assert all(len(samples) == 1 for samples in out.samples.values()), "what has not changed is not told again"
                server.tell(set="v29", value=5.0)
                server.tell(set="v0", value=6.0, status="UncertainLastUsableValue")
                await out.until(lambda: out.is_good("v29", 5.0), "the change is told")
                await out.until(lambda: out.last("slow").value == 6.0, "the slow one follows")  # type: ignore[union-attr]
                assert out.last("v0").quality == "Uncertain_LastUsableValue"  # type: ignore[union-attr]
                server.process.kill()
                await out.until(lambda: out.is_bad("v29") and gateway.health()[0].available is False, "its end is seen")

    asyncio.run(main())


def test_paths_lead_to_nodes_and_those_that_lead_nowhere_stop_nobody(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    port = free_port()

    async def main() -> None:
        with ExitStack() as first:
            first.enter_context(node_opcua(port, variables=20, limits={"maxNodesPerBrowse": 4}))
            points = (
                ua_point("plain", f"browse:/Objects/nsu={PLANT};Feeders/F3/P"),
                ua_point("glob", "browse:/Objects/Feed*/F1?/P", period_ns=200 * NS_PER_MS),
                ua_point("deep", "browse:/**/F17/P"),
                ua_point("one", "browse:/Objects/*/*7/../P"),
                ua_point("nowhere", "browse:/Objects/nsu=urn:gone;Feeders/F3/P"),
                ua_point("object", "browse:/Objects/Feeders/F3"),
            )
            async with running(ua_device(port, *points)) as (_, out):
                await out.until(lambda: all(out.samples.values()), "every point is told of")
                await out.until(lambda: out.is_good("plain") and out.is_good("deep"), "those with a node are good")
                for name in ("glob", "one", "nowhere", "object"):
                    assert [sample.quality for sample in out.samples[name]] == ["Bad_ConfigurationError"]
                assert "glob has no node: browse:/Objects/Feed*/F1?/P: the path leads to 10 variables" in caplog.text
                first.close()
                with node_opcua(port, variables=20, namespaces=["urn:test:other", PLANT]):
                    told = len(out.good("plain"))
                    await out.until(lambda: len(out.good("plain")) > told + 3, "it is found where it is now", within_s=60)
                    assert caplog.text.count("nowhere has no node") == 1

    asyncio.run(main())
