"""The recorder on a disk that is slow, or full: the event loop goes on, and what was not kept is counted."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from console.observers import BoardObserver, LedgerObserver, Notifier, Recorder
from ingest.bundle import FrameBundle
from ingest.frame import frame_of
from market.units import NS_PER_S
from streams import topics
from streams.alerts import Alert, AlertState, Priority
from streams.errors import SinkUnavailable
from streams.gaps import Gap, Gaps
from streams.lanes import LANE_RECORDS_MAX, SHOWN, Lanes
from streams.outbox import Attempt, Claim, DeliveryState
from streams.recordlines import RecordLines
from tests.kit.board_feed import SCENES, kpi_at
from tests.kit.eventually import eventually_async

T0 = SCENES["normal"]


class SlowSpool:
    """Appends only while let to."""

    def __init__(self, error: Exception | None = None) -> None:
        self.go_on = threading.Event()
        self.appended: list[bytes] = []
        self.threads: set[str] = set()
        self.refuses = error

    def append(self, lines: bytes) -> int:
        self.threads.add(threading.current_thread().name)
        self.go_on.wait(20)
        if self.refuses is not None:
            raise self.refuses
        self.appended.append(lines)
        return 0


def recorder(spool: SlowSpool) -> Recorder:
    return Recorder(spool, RecordLines(SimpleNamespace(), "Asia/Shanghai"))  # type: ignore[arg-type]


def test_a_disk_that_is_slow_holds_up_neither_the_event_loop_nor_other_sinks() -> None:
    async def story() -> None:
        spool, shown, acked = SlowSpool(), [], []

        class Board:
            async def see(self, topic: Any, record: Any) -> None:
                shown.append(record)

        shell: Any = SimpleNamespace(
            app=SimpleNamespace(on_before_shutdown=SimpleNamespace(connect=lambda *_, **__: None)), at_revocation=lambda _: None
        )
        sink = recorder(spool)
        lanes = Lanes(shell, lambda: (sink, Board()))
        for number in range(200):
            event: Any = SimpleNamespace(message=SimpleNamespace(offset=number), ack=lambda number=number: acked.append(number))
            await lanes.show(topics.KPI, kpi_at(T0 + number * NS_PER_S), event)
        await eventually_async("the board has them all", lambda: len(shown) == 200)
        assert acked == [], "what is not on disk is shown again after a crash"
        spool.go_on.set()
        await eventually_async("all are acknowledged", lambda: len(acked) == 200)
        assert len(spool.appended) < 20, "what waits goes to the disk together"
        assert spool.threads == {"spool_0"}, "the spool has one writer"
        await lanes._end()
        sink.close()

    asyncio.run(story())


def test_what_the_disk_does_not_take_waits_and_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("console.observers._RETRY_S", (0.001,) * 6)

    async def story() -> None:
        spool = SlowSpool(SinkUnavailable("the disk is full; free space"))
        spool.go_on.set()
        sink = recorder(spool)
        task = asyncio.create_task(sink.see_all(topics.KPI, [kpi_at(T0), kpi_at(T0 + NS_PER_S)]))
        await eventually_async("several attempts", lambda: sink._refusals > 2)
        with pytest.raises(SinkUnavailable, match="takes no lines at present"):
            await sink.take_again(topics.KPI, [kpi_at(T0)], RecordLines(SimpleNamespace(), "Asia/Shanghai"))  # type: ignore[arg-type]
        spool.refuses = None
        await task
        assert len(spool.appended) == 1
        assert await sink.take_again(topics.KPI, [kpi_at(T0)], RecordLines(SimpleNamespace(), "Asia/Shanghai")) > 0  # type: ignore[arg-type]
        assert (sink.not_spooled, len(spool.appended)) == (0, 2)
        sink.close()

    asyncio.run(story())


def test_raw_telemetry_goes_to_a_spool_of_its_own_by_the_kind_of_its_record() -> None:
    async def story() -> None:
        spool, raw = SlowSpool(), SlowSpool()
        spool.go_on.set()
        raw.go_on.set()
        encoder: Any = SimpleNamespace(encode=lambda frame: SimpleNamespace(data=b"raw\n"))
        sink = Recorder(spool, RecordLines(encoder, "Asia/Shanghai"), raw)  # type: ignore[arg-type]
        await sink.see(topics.FRAMES, frame_of("meter", "1", 1, T0, [(1, T0, 1.0, 0, 0)]))
        await sink.see(topics.KPI, kpi_at(T0))
        assert raw.appended == [b"raw\n"]
        assert len(spool.appended) == 1
        sink.close()

    asyncio.run(story())


def test_what_is_left_on_its_topic_is_noted_at_once(tmp_path: Path) -> None:
    gaps = Gaps(tmp_path / "missing")
    sink = Recorder(SlowSpool(), RecordLines(SimpleNamespace(), "Asia/Shanghai"), gaps=gaps)  # type: ignore[arg-type]
    sink.left(topics.FRAMES, 3, 70)
    assert (list(Gaps(tmp_path / "missing")), sink.not_spooled) == ([Gap(topics.FRAMES.name, 3, 70, 70)], 1)
    sink.close()


def test_sinks_that_wait_for_their_store_want_no_telemetry() -> None:
    """A lane of telemetry gives up what it cannot hold; decisions and alerts must wait instead."""
    for sink in (LedgerObserver, Notifier):
        assert set(sink.topics) < set(SHOWN)
        assert topics.FRAMES not in sink.topics
    assert LANE_RECORDS_MAX >= 1024


def test_the_frames_of_a_bundle_are_shown_and_spooled_as_if_each_had_come_alone() -> None:
    async def story() -> None:
        spool, shown = SlowSpool(), []
        spool.go_on.set()
        frames = tuple(frame_of(f"meter-{n}", "1", n, T0, [(n, T0, float(n), 0, 0)]) for n in range(3))
        encoder: Any = SimpleNamespace(encode=lambda frame: SimpleNamespace(data=frame.source.encode() + b"\n"))
        preview: Any = SimpleNamespace(take=shown.append)
        sink = Recorder(spool, RecordLines(encoder, "Asia/Shanghai"))  # type: ignore[arg-type]
        board = BoardObserver(SimpleNamespace(), preview)  # type: ignore[arg-type]
        bundle = FrameBundle("1", frames)
        for observer in (sink, board):
            await observer.see(topics.FRAMES, bundle)
        assert spool.appended == [b"meter-0\nmeter-1\nmeter-2\n"]
        assert tuple(shown) == frames
        sink.close()

    asyncio.run(story())


def test_bundles_that_wait_are_written_down_a_few_at_a_time_in_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("console.observers._SAMPLES_AT_ONCE", 5)

    async def story() -> None:
        spool = SlowSpool()
        spool.go_on.set()
        encoder: Any = SimpleNamespace(encode=lambda frame: SimpleNamespace(data=frame.source.encode() + b"\n"))
        sink = Recorder(spool, RecordLines(encoder, "Asia/Shanghai"))  # type: ignore[arg-type]
        frames = [frame_of(f"m{n}", "1", n, T0, [(n, T0, float(n), 0, 0)]) for n in range(16)]
        bundles = [
            FrameBundle("1", tuple(frames[:2])),
            FrameBundle("1", tuple(frames[2:5])),
            frames[5],
            FrameBundle("1", tuple(frames[6:])),
        ]
        await sink.see_all(topics.FRAMES, bundles)
        assert [lines.count(b"\n") for lines in spool.appended] == [5, 1, 10]
        assert b"".join(spool.appended).split() == [frame.source.encode() for frame in frames]
        sink.close()

    asyncio.run(story())


class _Rolled:
    """Lines of which each frame gives a raw one, and each second one a roll-up."""

    def __init__(self) -> None:
        self.frames = 0

    def of_record(self, record: Any) -> bytes:
        return b"raw\n"

    def rolled_up(self, record: Any) -> bytes:
        self.frames += 1
        return b"" if self.frames % 2 else b"minute %d\n" % self.frames


def test_roll_ups_go_where_everything_else_goes_and_not_to_the_raw_telemetry() -> None:
    async def story() -> None:
        kept, raw = SlowSpool(), SlowSpool()
        kept.go_on.set()
        raw.go_on.set()
        sink = Recorder(kept, cast("Any", _Rolled()), cast("Any", raw))  # type: ignore[arg-type]
        await sink.see_all(topics.FRAMES, [frame_of("m", "1", n, T0, [(n, T0, 1.0, 0, 0)]) for n in range(4)])
        assert (raw.appended, kept.appended) == ([b"raw\n" * 4], [b"minute 2\nminute 4\n"])
        sink.close()

    asyncio.run(story())


def test_what_is_taken_again_is_added_up_once_whatever_the_disk_says() -> None:
    async def story() -> None:
        kept, raw = SlowSpool(SinkUnavailable("full")), SlowSpool()
        kept.go_on.set()
        raw.go_on.set()
        lines = _Rolled()
        sink = Recorder(kept, cast("Any", lines), cast("Any", raw))  # type: ignore[arg-type]
        frames = [frame_of("m", "1", n, T0, [(n, T0, 1.0, 0, 0)]) for n in range(2)]
        with pytest.raises(SinkUnavailable):
            await sink.take_again(topics.FRAMES, frames, cast("Any", lines))
        kept.refuses = None
        await sink.take_again(topics.FRAMES, frames, cast("Any", lines))
        assert kept.appended == [b"minute 2\nminute 4\n"], "nothing of the first time is lost"
        await sink.take_again(topics.FRAMES, frames[:1], cast("Any", lines))
        assert len(kept.appended) == 1
        sink.close()

    asyncio.run(story())


def test_attempts_at_deliveries_are_written_when_the_disk_takes_them_and_nobody_waits() -> None:
    async def story() -> None:
        spool = SlowSpool()
        sink = recorder(spool)
        writing = asyncio.create_task(sink.run())
        alert = Alert(
            alert_id="a",
            ts_event_ns=T0,
            name="n",
            priority=Priority.P1,
            state=AlertState.RAISED,
            text_en="e",
            text_zh="z",
            labels={},
        )
        for number in (1, 2):
            attempt = Attempt(claim=Claim(1, alert, number, 0), state=DeliveryState.WAITING, at_ns=0, latency_ms=1.0, reply="")
            sink.attempted("webhook", attempt)
        assert spool.appended == []
        spool.go_on.set()
        await eventually_async("they are written", lambda: b"".join(spool.appended).count(b"delivery,channel=webhook") == 2)
        writing.cancel()
        sink.close()

    asyncio.run(story())


@pytest.mark.parametrize("runs", [True, False])
def test_an_attempt_that_was_told_of_at_the_last_moment_is_written_at_the_end(runs: bool) -> None:
    async def story() -> None:
        spool = SlowSpool(SinkUnavailable("full"))
        spool.go_on.set()
        sink = recorder(spool)
        task = asyncio.create_task(sink.run())
        alert = Alert(
            alert_id="a", ts_event_ns=T0, name="n", priority=Priority.P1, state=AlertState.RAISED, labels={}, text_en="x", text_zh="y"
        )
        sink.attempted("webhook", Attempt(claim=Claim(1, alert, 1, 0), state=DeliveryState.DELIVERED, at_ns=0, latency_ms=1.0, reply=""))
        if runs:
            await eventually_async("an attempt at the spool", lambda: sink._refusals > 0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        spool.refuses = None
        await asyncio.to_thread(sink.close)
        assert [lines.count(b"delivery,") for lines in spool.appended] == [1]

    asyncio.run(story())
