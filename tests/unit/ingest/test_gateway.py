"""One device's trouble stays its own, and nothing is lost without a count."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np
import pytest

from ingest.account import Accounts
from ingest.accounting import Closing, ledger_of
from ingest.clock import WallClock
from ingest.errors import DeviceError, FrameError
from ingest.frame import TelemetryFrame, account_frame, heartbeat
from ingest.gateway import Gateway
from ingest.modbus.poller import ModbusPoller
from ingest.quality import BAD_NO_COMMUNICATION
from ingest.source import Source
from market.units import NS_PER_MS, NS_PER_S, instant_ns
from tests.kit.field import Collector, JumpClock, free_port, modbus_device, modbus_point

NOON = instant_ns("2026-06-10T12:00:00Z")

Emit = Callable[[TelemetryFrame], Awaitable[None]]


def two_devices() -> Collector:
    """Devices nobody answers for: their frames are bad, and come all the same."""
    fast = {"period_ns": 5 * NS_PER_MS}
    return Collector(
        modbus_device(free_port(), modbus_point("a/p", 0, **fast), name="a"),
        modbus_device(free_port(), modbus_point("b/p", 0, **fast), name="b"),
    )


def test_frames_that_are_not_taken_are_counted() -> None:
    out = two_devices()

    async def emit(frame: TelemetryFrame) -> None:
        await out.emit(frame)
        if frame.source == "a":
            raise FrameError("a: not now")

    async def main() -> None:
        gateway = Gateway(out.points, WallClock(), emit)
        await gateway.start()
        await out.until(lambda: len(out.samples["a/p"]) > 3 and len(out.samples["b/p"]) > 3, "frames of both")
        await gateway.stop()
        assert [health.dropped for health in gateway.health()] == [{"not_taken": len(out.samples["a/p"])}, {}]

    asyncio.run(main())


@pytest.fixture
def short_drain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingest.gateway._DRAIN_S", 0.02)


@pytest.mark.usefixtures("short_drain")
def test_a_sink_with_a_fault_of_its_own_is_not_hidden() -> None:
    out = two_devices()

    async def emit(frame: TelemetryFrame) -> None:
        raise ZeroDivisionError

    async def main() -> None:
        gateway = Gateway(out.points, WallClock(), emit)
        await gateway.start()
        with pytest.raises(ZeroDivisionError):
            await gateway.wait()
        await gateway.stop()

    asyncio.run(main())


def test_a_reader_with_a_fault_of_ours_stays_with_its_device(monkeypatch: pytest.MonkeyPatch) -> None:
    out = two_devices()
    ask = ModbusPoller._ask

    def fails_for_a(self: ModbusPoller, *told: Any) -> None:
        if self._device.name == "a":
            raise ZeroDivisionError
        ask(self, *told)

    monkeypatch.setattr(ModbusPoller, "_ask", fails_for_a)

    async def main() -> None:
        gateway = Gateway(out.points, WallClock(), out.emit)
        await gateway.start()
        await out.until(lambda: len(out.samples["b/p"]) > 3, "the other device is read")
        assert gateway.health()[0].why == "its reader failed; see the log"
        await gateway.stop()

    asyncio.run(main())


@pytest.mark.usefixtures("short_drain")
def test_what_cannot_be_sent_before_the_end_is_counted() -> None:
    out = two_devices()
    held = asyncio.Event()

    async def emit(frame: TelemetryFrame) -> None:
        await held.wait()

    async def main() -> None:
        gateway = Gateway(out.points, WallClock(), emit)
        await gateway.start()
        assert gateway.frames_waiting() == {"a": 0, "b": 0}
        await out.until(lambda: all(health.bad > 3 for health in gateway.health()), "frames pile up")
        assert sum(gateway.frames_waiting().values()) == sum(health.bad for health in gateway.health()) - 1  # one is being sent
        await gateway.stop()
        assert [health.dropped["stopped"] for health in gateway.health()] == [health.bad for health in gateway.health()]

    asyncio.run(main())


def test_waiting_ends_with_stopping() -> None:
    out = two_devices()

    async def main() -> None:
        gateway = Gateway(out.points, WallClock(), out.emit)
        await gateway.start()
        waiting = asyncio.create_task(gateway.wait())
        await asyncio.sleep(0)
        await gateway.stop()
        async with asyncio.timeout(5):
            await waiting
        with pytest.raises(DeviceError, match="a/p: not a set-point"):
            await gateway.write("a/p", 1.0)

    asyncio.run(main())


def test_heartbeats_leave_behind_everything_that_was_read_before_them() -> None:
    """Also where one lane is long: it is emptied first, while later frames of others may pass."""
    out = two_devices()
    sent: list[tuple[str, int]] = []
    held = asyncio.Event()

    async def emit(frame: TelemetryFrame) -> None:
        await held.wait()
        sent.append((frame.source, frame.seq))

    async def main() -> None:
        gateway = Gateway(out.points, WallClock(), emit)
        a, b = gateway._sources
        forwarder = asyncio.create_task(gateway._outbox.run())
        for _ in range(5):
            a.publish_bad(np.zeros(1, dtype=np.uint64), BAD_NO_COMMUNICATION)
        b.publish_bad(np.zeros(1, dtype=np.uint64), BAD_NO_COMMUNICATION)
        gateway.beat([heartbeat("clock", "1", 1, 0)])
        for _ in range(3):
            b.publish_bad(np.zeros(1, dtype=np.uint64), BAD_NO_COMMUNICATION)
        gateway.beat([heartbeat("clock", "1", 2, 0)])
        held.set()
        await gateway._outbox.drained()
        forwarder.cancel()

    asyncio.run(main())
    before = sent[: sent.index(("clock", 1))]
    assert [seq for source, seq in before if source == "a"] == sorted(seq for source, seq in sent if source == "a")
    assert ("b", min(seq for source, seq in sent if source == "b")) in before
    assert sent[-1] == ("clock", 2)
    assert len(sent) == 11


@pytest.mark.parametrize("seed", range(20))
def test_heartbeats_keep_their_order_and_stay_behind_what_was_read_before_them(seed: int) -> None:
    """Whatever is read, and whichever tick comes, while another frame is being sent."""
    out, rng = two_devices(), random.Random(seed)
    order: list[tuple[str, int]] = []
    sent: list[tuple[str, int]] = []

    async def main() -> None:
        async def emit(frame: TelemetryFrame) -> None:
            sent.append((frame.source, frame.seq))
            if len(order) < 60:
                for _ in range(rng.choice([0, 1, 1, 4])):
                    happen()

        gateway = Gateway(out.points, WallClock(), emit)

        def happen() -> None:
            if rng.random() < 0.3:
                ticks = sum(source == "clock" for source, _ in order)
                order.append(("clock", ticks))
                gateway.beat([heartbeat("clock", "1", ticks, 0)])
            else:
                source = rng.choice(gateway._sources)
                order.append((source.name, sum(name == source.name for name, _ in order)))
                source.publish_bad(np.zeros(1, dtype=np.uint64), BAD_NO_COMMUNICATION)

        forwarder = asyncio.create_task(gateway._outbox.run())
        for _ in range(10):
            happen()
        await gateway._outbox.drained()
        forwarder.cancel()

    asyncio.run(main())
    assert sorted(sent) == sorted(order)
    assert [seq for source, seq in sent if source == "clock"] == sorted(seq for source, seq in order if source == "clock")
    for place, (source, seq) in enumerate(order):
        if source == "clock":
            assert set(order[:place]) <= set(sent[: sent.index((source, seq))])


def test_keep_alives_push_no_value_out_of_a_queue_that_is_full() -> None:
    """A switch's move is told once; the keep-alives behind it would call its old position good."""
    out = two_devices()
    sent: list[int] = []
    held = asyncio.Event()

    async def emit(frame: TelemetryFrame) -> None:
        await held.wait()
        sent.append(len(frame))

    async def main() -> None:
        gateway = Gateway(out.points, WallClock(), emit)
        source = gateway._sources[0]
        forwarder = asyncio.create_task(gateway._outbox.run())
        source.publish_bad(np.zeros(1, dtype=np.uint64), BAD_NO_COMMUNICATION)
        for _ in range(1000):
            source.beat()
        held.set()
        await gateway._outbox.drained()
        forwarder.cancel()
        assert source.health().dropped == {}

    asyncio.run(main())
    assert sent == [1, 0]


def test_a_consumer_that_takes_nothing_fills_queues_that_end_and_the_newest_are_what_is_left() -> None:
    """Telemetry of hours, and time with it, while nobody takes a frame."""
    out = two_devices()
    sent: list[tuple[str, int]] = []
    held = asyncio.Event()

    async def emit(frame: TelemetryFrame) -> None:
        await held.wait()
        sent.append((frame.source, frame.seq))

    async def main() -> None:
        gateway = Gateway(out.points, WallClock(), emit)
        a, b = gateway._sources
        forwarder = asyncio.create_task(gateway._outbox.run())
        for number in range(10_000):
            a.publish_bad(np.zeros(1, dtype=np.uint64), BAD_NO_COMMUNICATION)
            if number % 10 == 0:
                b.publish_bad(np.zeros(1, dtype=np.uint64), BAD_NO_COMMUNICATION)
                gateway.beat([heartbeat("clock", "1", number, 0)])
            if number == 0:
                await asyncio.sleep(0)  # the forwarder takes the first, and stands
        assert gateway.frames_waiting() == {"a": 256, "b": 256}
        assert len(gateway._outbox._ready) == 2 + 64
        assert [health.dropped["queue_full"] for health in gateway.health()] == [10_000 - 1 - 256, 1_000 - 256]
        assert gateway.beats_dropped() == 1_000 - 64
        held.set()
        await gateway._outbox.drained()
        forwarder.cancel()

    asyncio.run(main())
    assert [seq for source, seq in sent if source == "a"] == [0, *range(10_000 - 256, 10_000)]
    assert [seq for source, seq in sent if source == "clock"] == [number * 10 for number in range(1_000 - 64, 1_000)]
    assert sent[-1] == ("clock", 9_990), "time passes behind what was read before it"


def test_heartbeats_wait_in_vain_no_longer_than_their_round() -> None:
    """What was counted as waiting is not, once it is sent or the end has come."""
    out = two_devices()

    async def main() -> None:
        gateway = Gateway(out.points, WallClock(), out.emit)
        forwarder = asyncio.create_task(gateway._outbox.run())
        for number in range(200):
            gateway.beat([heartbeat("clock", "1", number, 0)])
            await gateway._outbox.drained()
        gateway.beat([heartbeat("clock", "1", 200, 0)])
        gateway._outbox.abandon()
        for number in range(64):
            gateway.beat([heartbeat("clock", "1", 201 + number, 0)])
        assert gateway.beats_dropped() == 0
        forwarder.cancel()

    asyncio.run(main())


@pytest.mark.usefixtures("short_drain")
def test_every_sample_of_every_device_is_accounted_for_until_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingest.account.INTERVAL_NS", 50 * NS_PER_MS)
    monkeypatch.setattr("ingest.account._SETTLED_NS", 10 * NS_PER_MS)
    out = two_devices()
    told: list[Accounts] = []
    taken: Counter[str] = Counter()

    async def emit(frame: TelemetryFrame) -> None:
        if frame.accounts is not None:
            assert len(frame) == 0
            told.append(frame.accounts)
            return
        await out.emit(frame)
        if frame.source == "a" and frame.seq % 3 == 0:
            raise FrameError("a: not now")
        taken[frame.source] += len(frame)

    async def main() -> None:
        gateway = Gateway(out.points, WallClock(), emit)
        await gateway.start()
        for _ in range(8):
            await asyncio.sleep(0.02)
            gateway.beat([])
        assert told, "they are closed while the devices are read"
        await gateway.stop()
        devices = [account for accounts in told for account in accounts.devices]
        for account in devices:
            assert account.expected == account.good + account.uncertain + account.bad + account.lost_in_all
        for health in gateway.health():
            mine = [account for account in devices if account.device == health.device]
            assert sum(account.bad for account in mine) == taken[health.device] > 0
            assert sum(account.lost.get("not_taken", 0) for account in mine) == health.dropped.get("not_taken", 0)
            assert sum(account.expected for account in mine) == health.expected
            assert sum((Counter(account.lost) for account in mine), Counter()) == Counter(health.lost)
        assert [(accounts.from_ns, accounts.to_ns) for accounts in told] == sorted((a.from_ns, a.to_ns) for a in told)

    asyncio.run(main())


def test_accounts_outlive_the_heartbeats_they_were_to_leave_with() -> None:
    out = two_devices()
    sent: list[TelemetryFrame] = []
    account = account_frame("1", 0, Accounts(from_ns=0, to_ns=1, devices=()))

    async def main() -> None:
        held = asyncio.Event()

        async def emit(frame: TelemetryFrame) -> None:
            await held.wait()
            sent.append(frame)

        gateway = Gateway(out.points, WallClock(), emit)
        gateway.beat([heartbeat("clock", "1", 0, 0), account])
        for number in range(1, 70):
            gateway.beat([heartbeat("clock", "1", number, 0)])
        assert gateway.beats_dropped() == 6
        held.set()
        forwarder = asyncio.create_task(gateway._outbox.run())
        await gateway._outbox.drained()
        forwarder.cancel()

    asyncio.run(main())
    assert sent[0] is account
    assert [frame.seq for frame in sent[1:]] == list(range(6, 70))


def test_nothing_is_written_once_the_gateway_was_stopped() -> None:
    """What is cleared while the service comes to its end must not open a connection that nobody closes."""
    point = modbus_point("a/setpoint_mw", 1, writable=True)
    out = Collector(modbus_device(free_port(), point, name="a"))

    async def main() -> None:
        gateway = Gateway(out.points, WallClock(), out.emit)
        await gateway.start()
        await gateway.stop()
        with pytest.raises(DeviceError, match="not running"):
            async with asyncio.timeout(2.0):
                await gateway.write("a/setpoint_mw", 1.0)
        assert not any(task.get_name().startswith("connect-") for task in asyncio.all_tasks())

    asyncio.run(main())


def test_the_accounts_of_very_many_devices_are_closed_some_at_a_time_and_each_once() -> None:
    clock = JumpClock(NOON)
    devices = [modbus_device(502, modbus_point(f"{n}/p", 1, period_ns=NS_PER_S), name=f"meter-{n}") for n in range(2_500)]
    sources = [Source(device.name, "1", clock, lambda frame: None, None, ledger_of(device)) for device in devices]
    closing = Closing(sources)
    for source in sources:
        assert source.ledger is not None
        source.ledger.begin(NOON)
    closed: list[list[str]] = []
    for now_ns in range(NOON + 70 * NS_PER_S, NOON + 74 * NS_PER_S, NS_PER_S):
        frames = closing.some(now_ns)
        closed.append([account.device for frame in frames if frame.accounts is not None for account in frame.accounts.devices])
    assert [len(names) for names in closed] == [1_000, 1_000, 500, 0]
    assert sorted(name for names in closed for name in names) == sorted(device.name for device in devices)
