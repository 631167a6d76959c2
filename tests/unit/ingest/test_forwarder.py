"""While nobody takes them, frames wait; then live ones go first, the backlog follows, and nothing is lost or passed over on the way."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from ingest.account import INTERVAL_NS, Accounts, DeviceAccount
from ingest.bundle import decode_telemetry, frames_of
from ingest.errors import DeviceError, DiskRefused
from ingest.forwarder import Forwarder
from ingest.frame import TelemetryFrame, account_frame, frame_of, heartbeat, point_id
from ingest.framespool import FrameSpool, FrameSpoolLimits
from ingest.line import Line, Pace
from ingest.priority import Priorities
from ingest.quality import Flag
from market.units import NS_PER_S
from streams.delivered import Delivered
from tests.kit.eventually import eventually_async

NAMES = ("switch/A/from", "bus/101/kv", "meter/7/spare")
START_NS = 1_000 * INTERVAL_NS
LOOK_S = 0.002


@pytest.fixture(autouse=True)
def in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingest.forwarder._LOOK_S", LOOK_S)
    monkeypatch.setattr("ingest.forwarder._TRY_EVERY_S", LOOK_S)


def frame(seq: int, *names: str, source: str = "rtu") -> TelemetryFrame:
    ts_ns = START_NS + seq * NS_PER_S
    return frame_of(source, "1", seq, ts_ns, [(point_id(name), ts_ns, float(seq), 0, 0) for name in names or NAMES])


class Transport:
    """Takes records as told: answers at once, not at all, or refuses."""

    def __init__(self) -> None:
        self.records = 0
        self.mode = "answers"
        self.never: set[int] = set()
        self.arrived: list[TelemetryFrame] = []
        self._owed: list[tuple[bytes, asyncio.Future[None]]] = []

    async def send(self, frame: TelemetryFrame, raw: bytes) -> Awaitable[Any]:
        if self.mode == "refuses" or any(each.seq in self.never for each in frames_of(decode_telemetry(raw))):
            raise DeviceError("nothing is taken")
        self.records += 1
        answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self.mode == "answers":
            self.arrived += frames_of(decode_telemetry(raw))
            answer.set_result(None)
        else:
            self._owed.append((raw, answer))
        return answer

    def come_back(self, *, arrived: bool = True) -> None:
        """Answer from now on, and what is owed: that it arrived, or that it was given up."""
        self.mode = "answers"
        for raw, answer in self._owed:
            if arrived:
                self.arrived += frames_of(decode_telemetry(raw))
                answer.set_result(None)
            else:
                answer.set_exception(DeviceError("too late"))
        self._owed = []

    def seqs(self, *, replayed: bool) -> list[int]:
        said = (each for each in self.arrived if len(each))
        return [each.seq for each in said if bool(each.flags[0] & Flag.REPLAYED) == replayed]

    def taken_in(self) -> list[tuple[int, int]]:
        """Sequence number and point of each sample as intake takes it."""
        delivered = Delivered()
        first = [each for each in self.arrived if each.ticket is None or delivered.is_first(each.ticket)]
        return sorted((each.seq, point) for each in first for point in each.point.tolist())


class Scene:
    def __init__(self, home: Path, pace: Pace | None = None, by_exception: tuple[str, ...] = (), unhurried: tuple[str, ...] = ()) -> None:
        self.line = Transport()
        self.spool = FrameSpool(home, Priorities(NAMES), FrameSpoolLimits(), lambda: START_NS)
        self.it = Forwarder(self.line.send, self.spool, by_exception, pace or Pace(away_after_s=10 * LOOK_S), 1, unhurried)

    async def away(self) -> None:
        await eventually_async("it is away", lambda: self.it.line is Line.AWAY)

    async def up(self) -> None:
        await eventually_async("it is up", lambda: self.it.line is Line.UP)


def play(scene: Scene, story: Callable[[], Coroutine[Any, Any, None]]) -> None:
    async def told() -> None:
        scene.it.start()
        try:
            await story()
        finally:
            await scene.it.stop(0.01)

    asyncio.run(told())


def everything(count: int) -> list[tuple[int, int]]:
    return sorted((seq, point_id(name)) for seq in range(count) for name in NAMES)


def test_while_frames_are_taken_nothing_is_written(tmp_path: Path) -> None:
    scene = Scene(tmp_path)

    async def story() -> None:
        for seq in range(50):
            await scene.it.emit(frame(seq))
        await eventually_async("all of it is there", lambda: len(scene.line.arrived) == 50)
        assert scene.line.seqs(replayed=False) == list(range(50))
        assert (scene.it.line, scene.it.spooled, scene.spool.disk_bytes(), scene.it.samples_in) == (Line.UP, 0, 0, 150)

    play(scene, story)


def test_frames_that_come_together_leave_in_one_record_by_area_and_what_tells_the_time_keeps_its_place(tmp_path: Path) -> None:
    scene = Scene(tmp_path)

    async def story() -> None:
        for seq in range(6):
            await scene.it.emit(replace(frame(seq, source=f"meter-{seq}"), area="12"[seq % 2]))
        await scene.it.emit(heartbeat("@clock", "1", 6, START_NS))
        for seq in range(7, 9):
            await scene.it.emit(frame(seq))
        await eventually_async("all of it is there", lambda: len(scene.line.arrived) == 9)
        assert scene.line.records == 4, "two areas, the time, and what came behind it"
        assert [each.seq for each in scene.line.arrived if each.area == "1"] == [0, 2, 4, 6, 7, 8]
        assert [each.seq for each in scene.line.arrived if each.area == "2"] == [1, 3, 5]
        assert {each.source for each in scene.line.arrived} == {*(f"meter-{seq}" for seq in range(6)), "@clock", "rtu"}
        much = frame(9, *(f"p{n}" for n in range(5_000)))
        for seq in range(4):
            await scene.it.emit(replace(much, seq=seq))
        await eventually_async("the large ones too", lambda: len(scene.line.arrived) == 13)
        assert scene.line.records == 8, "what is large already is not put together"

    play(scene, story)


def test_frames_of_a_device_that_is_in_no_hurry_wait_for_each_other_and_leave_with_whatever_else_leaves(tmp_path: Path) -> None:
    scene = Scene(tmp_path, Pace(gather_s=0.03, away_after_s=5.0), unhurried=("meter",))

    async def story() -> None:
        for seq in range(3):
            await scene.it.emit(frame(seq, source="meter"))
            await asyncio.sleep(0)
        assert scene.line.records == 0
        await eventually_async("they leave when they have waited", lambda: len(scene.line.arrived) == 3)
        assert scene.line.records == 1
        for seq in range(3, 5):
            await scene.it.emit(frame(seq, source="meter"))
        await scene.it.emit(heartbeat("@clock", "1", 5, START_NS))
        for _ in range(20):
            await asyncio.sleep(0)
        assert [each.seq for each in scene.line.arrived] == [0, 1, 2, 3, 4, 5], "the time takes along what was read before it, at once"
        await scene.it.emit(frame(6, source="meter"))
        await scene.it.stop(1.0)
        assert [each.seq for each in scene.line.arrived][-1] == 6, "nobody waits at a stop"

    play(scene, story)


def test_a_backlog_is_sent_while_frames_wait_for_each_other(tmp_path: Path) -> None:
    scene = Scene(tmp_path, Pace(gather_s=0.03, away_after_s=10 * LOOK_S), unhurried=("rtu",))

    async def story() -> None:
        scene.line.mode = "silent"
        for seq in range(3):
            await scene.it.emit(frame(seq))
        await scene.away()
        for seq in range(3, 6):
            await scene.it.emit(frame(seq))
        scene.line.come_back(arrived=False)
        seq = 6
        while scene.it.line is not Line.UP:
            await scene.it.emit(frame(seq))
            await asyncio.sleep(0.002)
            seq += 1
            assert seq < 2_000, "the backlog does not move"
        await eventually_async("everything", lambda: {each for each, _ in scene.line.taken_in()} == set(range(seq)))

    play(scene, story)


@pytest.mark.parametrize("arrived", [True, False])
def test_what_nobody_answers_for_waits_on_disk_and_comes_behind_what_is_live(tmp_path: Path, arrived: bool) -> None:
    """Whether what was in doubt had arrived or not, each sample is taken once."""
    scene = Scene(tmp_path)

    async def story() -> None:
        scene.line.mode = "silent"
        for seq in range(3):
            await scene.it.emit(frame(seq))
        await scene.away()
        assert scene.it.why
        for seq in range(3, 9):
            await scene.it.emit(frame(seq))
        assert scene.spool.waiting_bytes() > 0
        scene.line.come_back(arrived=arrived)
        if arrived:
            # Back at once, by the answer; before the backlog has its turn.
            await eventually_async("it is back", lambda: scene.it.line is not Line.AWAY)
            await scene.it.emit(frame(9))
        await scene.up()
        if not arrived:
            await scene.it.emit(frame(9))
        await eventually_async("the last one", lambda: 9 in scene.line.seqs(replayed=False))
        replayed = scene.line.seqs(replayed=True)
        assert replayed == sorted(replayed)
        assert set(replayed) == set(range(3 if arrived else 0, 9))
        assert scene.line.taken_in() == everything(10)
        assert scene.spool.waiting_bytes() == 0

    play(scene, story)


def test_live_frames_go_first(tmp_path: Path) -> None:
    scene = Scene(tmp_path, Pace(away_after_s=10 * LOOK_S, replay_per_s=2_000))

    async def story() -> None:
        scene.line.mode = "refuses"
        for seq in range(200):
            await scene.it.emit(frame(seq))
        await scene.away()
        scene.line.come_back()
        await eventually_async("it is back", lambda: scene.it.line is Line.CATCHING_UP)
        await scene.it.emit(frame(200))
        await scene.up()
        order = [each.seq for each in scene.line.arrived]
        assert order.index(200) < order.index(199), "600 samples of backlog at 2,000 a second take longer than one live frame"
        assert scene.line.taken_in() == everything(201)
        assert scene.it.replayed == 600

    play(scene, story)


def test_heartbeats_are_not_spooled_and_accounts_stay_behind_what_they_are_about(tmp_path: Path) -> None:
    scene = Scene(tmp_path, Pace(away_after_s=10 * LOOK_S, replay_per_s=40))
    device = DeviceAccount(device="rtu", expected=12, good=12, uncertain=0, bad=0)
    accounts = Accounts(from_ns=START_NS, to_ns=START_NS + INTERVAL_NS, devices=(device,))

    async def story() -> None:
        scene.line.mode = "refuses"
        for seq in range(4):
            await scene.it.emit(frame(seq))
        await scene.away()
        await scene.it.emit(heartbeat("@clock", "1", 1, START_NS))
        assert scene.it.beats_dropped == 1
        scene.line.come_back()
        await eventually_async("it is back", lambda: scene.it.line is Line.CATCHING_UP)
        await scene.it.emit(account_frame("1", START_NS + 2 * INTERVAL_NS, accounts))
        await scene.up()
        assert [each.accounts for each in scene.line.arrived if not len(each)] == [accounts]
        assert scene.line.arrived[-1].accounts == accounts

    play(scene, story)


def test_the_newest_of_what_is_told_by_exception_goes_ahead_and_once(tmp_path: Path) -> None:
    """A switch that opened while nobody listened must not count as closed until the backlog has come that far."""
    scene = Scene(tmp_path, by_exception=("server",))

    async def story() -> None:
        scene.line.mode = "refuses"
        for seq in range(30):
            await scene.it.emit(frame(seq, NAMES[0], source="server"))
        await scene.away()
        scene.line.come_back()
        await scene.up()
        said = [int(each.value[0]) for each in scene.line.arrived]
        # The first ones of the backlog are what it was tried with whether anybody is back.
        assert said.index(29) <= said.index(2)
        assert sorted(said) == list(range(30))
        assert all(each.flags[0] & Flag.REPLAYED for each in scene.line.arrived)

    play(scene, story)


def test_what_was_spooled_is_sent_by_the_next_run(tmp_path: Path) -> None:
    first = Scene(tmp_path)

    async def away() -> None:
        first.line.mode = "silent"
        for seq in range(5):
            await first.it.emit(frame(seq))

    play(first, away)  # it is stopped before anything was answered
    again = Scene(tmp_path)

    async def story() -> None:
        await again.up()
        assert again.line.taken_in() == everything(5)

    play(again, story)


def test_a_disk_that_takes_nothing_either_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(tmp_path)
    put = scene.spool.put

    def refuse(*_: object) -> None:
        raise DiskRefused("spool: the disk is full")

    async def story() -> None:
        scene.line.mode = "refuses"
        monkeypatch.setattr(scene.spool, "put", refuse)
        await scene.it.emit(frame(0))
        await scene.away()
        waiting = asyncio.create_task(scene.it.emit(frame(1)))
        await eventually_async("it says so", lambda: scene.it.disk == "spool: the disk is full")
        await asyncio.sleep(5 * LOOK_S)
        assert not waiting.done(), "whoever reads must wait: what its lanes cannot hold is counted there"
        monkeypatch.setattr(scene.spool, "put", put)
        await waiting
        assert scene.it.disk == ""
        scene.line.come_back()
        await scene.up()
        assert scene.line.taken_in() == everything(2)

    play(scene, story)


def test_too_much_in_memory_goes_to_disk_at_once(tmp_path: Path) -> None:
    scene = Scene(tmp_path, Pace(away_after_s=3_600, memory_bytes_max=2_000))

    async def story() -> None:
        scene.line.mode = "silent"
        for seq in range(40):
            await scene.it.emit(frame(seq))
        assert scene.it.line is Line.AWAY
        assert scene.it.spooled == 120
        scene.line.come_back()
        await scene.up()
        assert scene.line.taken_in() == everything(40)

    play(scene, story)


def test_a_frame_that_is_never_taken_holds_up_no_other_and_is_counted(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.line.never = {2, 5}

    async def story() -> None:
        for seq in range(9):
            await scene.it.emit(frame(seq))
        await eventually_async("it goes on", lambda: sum(scene.spool.status().dropped.values()) == 6)
        await scene.up()
        await eventually_async("all others", lambda: len(scene.line.taken_in()) == 7 * len(NAMES))
        assert scene.line.taken_in() == [each for each in everything(9) if each[0] not in scene.line.never]
        assert set(scene.spool.status().dropped) == {"status not_taken", "measured not_taken", "other not_taken"}

    play(scene, story)


def test_what_is_lost_of_a_backlog_while_what_was_sent_behind_it_arrives_is_sent_so_that_it_is_taken(tmp_path: Path) -> None:
    """As Kafka's client does, which gives up a batch whose time is over and sends the next one when the broker is back."""
    scene = Scene(tmp_path)
    send, lost = scene.line.send, {2}

    async def loses(frame: TelemetryFrame, raw: bytes) -> Awaitable[Any]:
        if scene.line.mode == "answers" and frame.seq in lost and scene.line.arrived:
            lost.clear()
            answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            answer.set_exception(DeviceError("its time is over"))
            return answer
        return await send(frame, raw)

    scene.it._send = loses

    async def story() -> None:
        scene.line.mode = "silent"
        for seq in range(6):
            await scene.it.emit(frame(seq))
        await scene.away()
        scene.line.come_back(arrived=False)
        await scene.up()
        assert not lost
        assert scene.line.taken_in() == everything(6)

    play(scene, story)


def test_a_frame_that_was_refused_just_before_others_were_taken_is_not_given_up(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    send = scene.line.send

    async def refuses_until_asked_with_nothing(frame: TelemetryFrame, raw: bytes) -> Awaitable[Any]:
        if not len(frame):
            scene.line.mode = "answers"
        return await send(frame, raw)

    scene.it._send = refuses_until_asked_with_nothing

    async def story() -> None:
        scene.line.mode = "refuses"
        for seq in range(3):
            await scene.it.emit(frame(seq))
        await eventually_async("all of it", lambda: scene.line.taken_in() == everything(3))
        assert not scene.spool.status().dropped

    play(scene, story)


def test_a_transport_that_gives_up_what_only_asks_whether_it_is_back_is_asked_again(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    send = scene.line.send

    async def gives_up(frame: TelemetryFrame, raw: bytes) -> Awaitable[Any]:
        if scene.line.mode == "refuses" and not len(frame):
            scene.line.mode = "answers"
            answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            answer.cancel()
            return answer
        return await send(frame, raw)

    scene.it._send = gives_up

    async def story() -> None:
        scene.line.mode = "refuses"
        for seq in range(3):
            await scene.it.emit(frame(seq))
        await eventually_async("all of it", lambda: scene.line.taken_in() == everything(3))

    play(scene, story)
