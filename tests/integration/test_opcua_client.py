"""The OPC UA subscription against real servers: what they say, and what becomes of it when they freeze, die or change."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from asyncua import Server, ua
from asyncua.server.internal_session import InternalSession

from ingest.devices import UaDevice
from ingest.errors import DeviceRefused, DeviceSilent
from ingest.quality import Flag
from market.errors import UnitError
from market.units import NS_PER_MS, NS_PER_S
from tests.kit.field import free_port, running, ua_device, ua_point
from tests.kit.opcua_server import PLANT, opcua_server, open_server

pytestmark = pytest.mark.integration

OTHER = "urn:test:other"
ESTIMATED = int(Flag.TS_ESTIMATED)
SUSPECT = int(Flag.TS_ESTIMATED | Flag.CLOCK_SUSPECT)


@asynccontextmanager
async def serving(port: int, *variables: tuple[str, Any]) -> AsyncIterator[tuple[Server, dict[str, Any]]]:
    """A server in this process with these variables in the plant's namespace."""
    server = await open_server(port, [PLANT])
    nodes = {name: await server.nodes.objects.add_variable(ua.NodeId(name, 2), name, value) for name, value in variables}
    async with server:
        yield server, nodes


def plant(port: int, *names: str, **changes: Any) -> UaDevice:
    return ua_device(port, *(ua_point(name, f"nsu={PLANT};s={name}") for name in names), **changes)


async def tell(server: Server, node: Any, value: Any, *, status: int = 0, at: datetime | None = None) -> None:
    """Set a variable as a device behind the server would: value, status and source time are what they are."""
    await server.write_attribute_value(
        node.nodeid, ua.DataValue(Value=ua.Variant(value), StatusCode=ua.StatusCode(status), SourceTimestamp=at)
    )


def instant(at: datetime) -> int:
    return round((at - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(microseconds=1)) * 1000


def test_values_statuses_and_source_times_are_the_servers() -> None:
    port = free_port()
    names = ("number", "count", "flag", "text", "bad", "uncertain", "undated", "ahead")

    async def main() -> None:
        given = [("number", 0.0), ("count", 0), ("flag", False), ("text", "on"), *((name, 0.0) for name in names[4:])]
        async with serving(port, *given) as (server, nodes):
            then = datetime.now(UTC) - timedelta(minutes=90)
            await tell(server, nodes["number"], 50.02, at=then)
            await tell(server, nodes["count"], -7, at=then)
            await tell(server, nodes["flag"], True, at=then)
            await tell(server, nodes["text"], "off", at=then)
            await tell(server, nodes["bad"], 3.0, status=ua.StatusCodes.BadSensorFailure, at=then)
            await tell(server, nodes["uncertain"], 4.0, status=ua.StatusCodes.UncertainLastUsableValue, at=then)
            await tell(server, nodes["undated"], 5.0)
            await tell(server, nodes["ahead"], 6.0, at=datetime.now(UTC) + timedelta(minutes=5))
            async with running(plant(port, *names)) as (_, out):
                await out.until(lambda: all(out.samples.values()), "every point is reported")
                first = {name: samples[0] for name, samples in out.samples.items()}
                seen = {name: (None if sample.value != sample.value else sample.value, sample.quality) for name, sample in first.items()}
                assert seen == {
                    "number": (50.02, "Good"),
                    "count": (-7.0, "Good"),
                    "flag": (1.0, "Good"),
                    "text": (None, "Bad_ConfigurationError"),
                    "bad": (None, "Bad_SensorFailure"),
                    "uncertain": (4.0, "Uncertain_LastUsableValue"),
                    "undated": (5.0, "Good"),
                    "ahead": (6.0, "Good"),
                }
                for name in names[:6]:
                    assert (first[name].ts_event_ns, first[name].flags) == (instant(then), 0)
                for name, flags in (("undated", ESTIMATED), ("ahead", SUSPECT)):
                    assert first[name].flags == flags
                    assert 0 <= first[name].frame.ts_ingest_ns - first[name].ts_event_ns < NS_PER_S

    asyncio.run(main())


def test_changes_arrive_and_silence_is_a_heartbeat() -> None:
    port = free_port()

    async def main() -> None:
        async with serving(port, ("moving", 0.0), ("steady", 1.0)) as (server, nodes):
            device = ua_device(
                port,
                ua_point("moving", f"nsu={PLANT};s=moving", scale=-0.5, offset=10.0),
                ua_point("steady", f"nsu={PLANT};s=steady"),
            )
            async with running(device) as (gateway, out):
                await out.until(lambda: out.is_good("steady", 1.0), "the first report")
                for value in range(1, 6):
                    at = datetime.now(UTC)
                    await tell(server, nodes["moving"], float(value), at=at)
                    await out.until(lambda wanted=10.0 - value / 2: out.is_good("moving", wanted), "the change is reported")
                    assert out.samples["moving"][-1].ts_event_ns == instant(at)
                # The same value stamped anew is a report too: the server says that it still holds.
                reports = len(out.samples["moving"])
                await tell(server, nodes["moving"], 5.0, at=datetime.now(UTC))
                await out.until(lambda: len(out.samples["moving"]) == reports + 1, "the new stamp is reported")
                beats = sum(not len(frame) for frame in out.frames)
                await out.until(lambda: sum(not len(frame) for frame in out.frames) >= beats + 5, "five heartbeats")
                assert len(out.samples["steady"]) == 1
                assert [frame.seq for frame in out.frames] == list(range(len(out.frames)))
                [health] = gateway.health()
                assert (health.available, health.refused, health.reconnects, health.kicks) == (True, {}, 0, 0)

    asyncio.run(main())


def test_what_the_server_does_not_know_is_bad_and_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingest.opcua.session._MISSING_S", 0.5)
    port = free_port()

    async def main() -> None:
        async with serving(port, ("there", 1.0)) as (server, _):
            device = ua_device(
                port,
                ua_point("there", f"nsu={PLANT};s=there"),
                ua_point("later", f"nsu={PLANT};s=later"),
                ua_point("elsewhere", "nsu=urn:nowhere;s=there"),
            )
            async with running(device) as (_, out):
                await out.until(lambda: all(out.samples.values()), "every point is reported")
                assert out.is_good("there", 1.0)
                assert out.last("later").quality == "Bad_0x80340000"  # type: ignore[union-attr]  # BadNodeIdUnknown
                assert out.last("elsewhere").quality == "Bad_ConfigurationError"  # type: ignore[union-attr]
                await server.nodes.objects.add_variable(ua.NodeId("later", 2), "later", 2.0)
                await out.until(lambda: out.is_good("later", 2.0), "the late node is found")
                assert len(out.samples["later"]) == 2, "what has not changed is not told again"

    asyncio.run(main())


def test_items_are_created_in_calls_the_server_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand variables change at once, on a server that refuses more than 150 in a call: none is lost."""
    port, names, sizes = free_port(), [f"v{n}" for n in range(1000)], []
    create = InternalSession.create_monitored_items

    async def limited(self: InternalSession, params: ua.CreateMonitoredItemsParameters) -> Any:
        sizes.append(len(params.ItemsToCreate))
        if len(params.ItemsToCreate) > 150:
            raise ua.uaerrors.BadTooManyOperations
        return await create(self, params)

    monkeypatch.setattr(InternalSession, "create_monitored_items", limited)

    async def main() -> None:
        async with serving(port, *((name, -1.0) for name in names)) as (server, nodes):
            limit = server.get_node(ua.NodeId(ua.ObjectIds.Server_ServerCapabilities_OperationLimits_MaxMonitoredItemsPerCall))
            await limit.write_value(ua.Variant(150, ua.VariantType.UInt32))
            async with running(plant(port, *names, publish_ns=500 * NS_PER_MS)) as (_, out):
                await out.until(lambda: all(out.samples.values()), "every point is reported", within_s=60)
                assert sizes == [150] * 6 + [100]
                for number, name in enumerate(names):
                    await tell(server, nodes[name], float(number))
                await out.until(lambda: out.is_good("v999", 999.0), "the last change is reported", within_s=60)
                assert [out.samples[name][-1].value for name in names] == [float(n) for n in range(1000)]

    asyncio.run(main())


def test_set_points() -> None:
    port = free_port()

    async def main() -> None:
        given = (("mw", 0.0), ("tap", ua.Variant(0, ua.VariantType.Int16)), ("on", False), ("locked", 0.0))
        async with serving(port, *given) as (_, nodes):
            for name in ("mw", "tap", "on"):
                await nodes[name].set_writable()
            points = [ua_point(name, f"nsu={PLANT};s={name}", writable=True, low=-40_000.0, high=40_000.0) for name, _ in given]
            async with running(ua_device(port, *points)) as (gateway, out):
                with pytest.raises(DeviceSilent, match="not connected"):
                    await gateway.write("mw", 1.0)
                await out.until(lambda: all(out.samples.values()), "every point is reported")
                await gateway.write("mw", 217.25)
                await gateway.write("tap", -3)
                await gateway.write("on", 1)
                assert [await nodes[name].read_value() for name in ("mw", "tap", "on")] == [217.25, -3, True]
                assert (await nodes["tap"].read_data_value()).Value.VariantType is ua.VariantType.Int16
                await out.until(lambda: out.is_good("mw", 217.25), "the set-point reads back")
                with pytest.raises(DeviceRefused, match="locked was not written: BadUserAccessDenied"):
                    await gateway.write("locked", 1.0)
                with pytest.raises(UnitError, match="does not fit the Int16"):
                    await gateway.write("tap", 40_000)
                with pytest.raises(UnitError, match="outside"):
                    await gateway.write("mw", 50_000)

    asyncio.run(main())


def test_a_server_that_comes_back_with_its_namespaces_in_another_order() -> None:
    port = free_port()

    async def main() -> None:
        with ExitStack() as first:
            first.enter_context(opcua_server(port, PLANT, OTHER))
            async with running(plant(port, "count", "steady")) as (gateway, out):
                await out.until(lambda: out.is_good("steady", 42.0), "the first report")
                first.close()
                await out.until(lambda: out.is_bad("steady") and out.is_bad("count"), "its end is seen")
                assert out.samples["steady"][-1].quality == "Bad_NoCommunication"
                told = len(out.samples["steady"])
                with opcua_server(port, OTHER, PLANT):
                    await out.until(lambda: out.is_good("steady"), "data again", within_s=60)
                    await out.until(lambda: len(out.good("count")) > 2 and out.samples["count"][-1].value > 3, "it counts")
                    assert -1.0 not in out.good("steady") + out.good("count")
                    assert len(out.samples["steady"]) == told + 1
                    [health] = gateway.health()
                    assert (health.available, health.reconnects) == (True, 1)

    asyncio.run(main())


def test_a_server_that_freezes_and_is_woken() -> None:
    """Frozen longer than four keep-alives: every point is bad meanwhile, and good within ten seconds of its return."""
    port = free_port()

    async def main() -> None:
        with opcua_server(port) as server:
            async with running(plant(port, "count", "steady")) as (gateway, out):
                await out.until(lambda: len(out.good("count")) > 5, "it counts")
                os.kill(server.pid, signal.SIGSTOP)
                await out.until(lambda: gateway.health()[0].available is False, "its silence is seen", within_s=60)
                heard = len(out.frames)
                await out.until(lambda: out.is_bad("steady") and out.is_bad("count"), "its points are bad", within_s=60)
                assert sum(len(frame) for frame in out.frames[heard:]) == 2, "while it is silent, nothing is said for it but that"
                # That nothing is said can only be waited for.
                await asyncio.sleep(1.0)
                assert len(out.frames) == heard + 1
                os.kill(server.pid, signal.SIGCONT)
                await out.until(lambda: out.is_good("steady", 42.0), "data again", within_s=60)
                value = out.samples["count"][-1].value
                await out.until(lambda: out.good("count")[-1] > value + 5, "it counts on", within_s=60)
                [health] = gateway.health()
                assert (health.available, health.kicks, health.reconnects) == (True, 1, 1)

    asyncio.run(main())


def test_a_short_freeze_loses_no_subscription() -> None:
    port = free_port()

    async def main() -> None:
        with opcua_server(port) as server:
            async with running(plant(port, "count", "steady")) as (gateway, out):
                await out.until(lambda: len(out.good("count")) > 5, "it counts")
                os.kill(server.pid, signal.SIGSTOP)
                await out.until(lambda: gateway.health()[0].available is False, "its silence is seen", within_s=60)
                os.kill(server.pid, signal.SIGCONT)
                await out.until(lambda: gateway.health()[0].available is True, "it is heard again", within_s=60)
                value = out.samples["count"][-1].value
                await out.until(lambda: out.good("count")[-1] > value + 5, "it counts on", within_s=60)
                [health] = gateway.health()
                assert (health.reconnects, health.bad) == (0, 0)

    asyncio.run(main())


def test_stopping_does_not_wait_for_a_frozen_server() -> None:
    port = free_port()

    async def main() -> None:
        with opcua_server(port) as server:
            async with running(plant(port, "steady")) as (_, out):
                await out.until(lambda: out.is_good("steady", 42.0), "the first report")
                os.kill(server.pid, signal.SIGSTOP)

    asyncio.run(main())
