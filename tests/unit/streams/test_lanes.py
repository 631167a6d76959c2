"""One sink's trouble stays its own: every record is shown to every other, nothing piles up, and nothing is acknowledged too early."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

from streams import topics
from streams.errors import StoreError
from streams.lanes import Lanes
from streams.runtime import Dealt
from streams.topics import Topic
from tests.kit.eventually import eventually_async


class Sink:
    """Sees what it is shown while ``open`` is set."""

    def __init__(self, *, opened: bool = True, raises_on: int | None = None) -> None:
        self.seen: list[int] = []
        self.open = asyncio.Event()
        self._raises_on = raises_on
        if opened:
            self.open.set()

    async def see(self, topic: Topic, record: Any) -> None:
        await self.open.wait()
        if record == self._raises_on:
            raise ZeroDivisionError
        self.seen.append(record)


class Bulk(Sink):
    topics = (topics.FRAMES, topics.ALERTS)

    def __init__(self, **how: Any) -> None:
        super().__init__(**how)
        self.batches: list[int] = []

    async def see_all(self, topic: Topic, records: list[int]) -> None:
        await self.open.wait()
        self.batches.append(len(records))
        for record in records:
            if record == self._raises_on:
                raise ZeroDivisionError
        self.seen += records


class Rig:
    """Lanes on a shell that notes what it is told."""

    def __init__(self, *observers: Sink, bury: Exception | None = None) -> None:
        self.acked: list[int] = []
        self.buried: list[tuple[int, str]] = []
        self.died: list[str] = []
        self.signals: list[Callable[..., Any]] = []
        self.revoked: list[Callable[[], None]] = []
        self._bury = bury
        shutdown = SimpleNamespace(connect=lambda handler, weak: self.signals.append(handler))
        shell = SimpleNamespace(
            app=SimpleNamespace(on_before_shutdown=shutdown),
            at_revocation=self.revoked.append,
            bury=self.bury,
            die=lambda why, cause=None, where=None: self.died.append(why),
        )
        self.lanes = Lanes(shell, lambda: observers, records_max=4)  # type: ignore[arg-type]

    async def bury(self, topic: Topic, event: Any, reason: str) -> None:
        if self._bury is not None:
            raise self._bury
        self.buried.append((event.message.offset, reason))

    def show(self, offset: int, topic: Topic = topics.DECISIONS) -> Awaitable[Dealt]:
        event = SimpleNamespace(message=SimpleNamespace(offset=offset), ack=lambda: self.acked.append(offset))
        return self.lanes.show(topic, offset, event)

    def waiting(self) -> list[int]:
        return [lane.waiting for lane in self.lanes.lanes() if lane.waiting]

    async def end(self) -> None:
        for handler in self.signals:
            await handler(None)


def play(story: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(story(), 20))  # type: ignore[arg-type]


def test_a_sink_that_hangs_keeps_nothing_from_the_others_and_nothing_is_acknowledged_without_it() -> None:
    async def story() -> None:
        well, stuck = Sink(), Sink(opened=False)
        rig = Rig(stuck, well)
        for offset in range(4):
            assert await rig.show(offset) is Dealt.LATER
        await eventually_async("the other has seen all", lambda: well.seen == [0, 1, 2, 3])
        assert (rig.waiting(), rig.acked) == ([4], [])
        stuck.open.set()
        await eventually_async("all is acknowledged", lambda: rig.acked == [0, 1, 2, 3])
        assert stuck.seen == well.seen
        await rig.end()

    play(story)


def test_a_lane_that_is_full_is_waited_for_and_what_is_shown_meanwhile_reaches_the_others() -> None:
    async def story() -> None:
        well, stuck = Sink(), Sink(opened=False)
        rig = Rig(stuck, well)
        for offset in range(4):
            await rig.show(offset)
        fifth = asyncio.ensure_future(rig.show(4))
        await eventually_async("the other has seen it", lambda: well.seen == [0, 1, 2, 3, 4])
        assert not fifth.done()
        assert rig.waiting() == [4]
        stuck.open.set()
        await fifth
        await eventually_async("in order", lambda: stuck.seen == [0, 1, 2, 3, 4])
        await rig.end()

    play(story)


def test_telemetry_is_never_waited_for_the_oldest_is_given_up_and_counted() -> None:
    """Also the frame in hand: a sink that hangs for ever must not keep offsets from being committed for ever."""

    async def story() -> None:
        well, stuck = Sink(), Sink(opened=False)
        rig = Rig(stuck, well)
        for offset in range(100):
            await rig.show(offset, topics.FRAMES)
            await asyncio.sleep(0)
            assert all(lane.waiting <= 4 for lane in rig.lanes.lanes())
        await eventually_async("the other has seen all", lambda: len(well.seen) == 100)
        assert rig.acked == list(range(96))
        stuck_lane = next(lane for lane in rig.lanes.lanes() if lane.topic is topics.FRAMES)
        assert stuck_lane.skipped == 96
        stuck.open.set()
        await eventually_async("the newest are seen", lambda: stuck.seen[-4:] == [96, 97, 98, 99])
        await eventually_async("and acknowledged, each once", lambda: rig.acked == list(range(100)))
        await rig.end()

    play(story)


def test_what_waits_is_taken_at_once_by_a_sink_that_can() -> None:
    async def story() -> None:
        bulk = Bulk(opened=False)
        rig = Rig(bulk)
        assert await rig.show(0, topics.KPI) is Dealt.NOTHING_KEPT, "it does not want this topic"
        for offset in range(4):
            await rig.show(offset, topics.ALERTS)
            await asyncio.sleep(0)
        bulk.open.set()
        await eventually_async("all is acknowledged", lambda: rig.acked == [0, 1, 2, 3])
        assert bulk.batches == [1, 3]
        await rig.end()

    play(story)


def test_what_a_sink_raises_on_is_a_dead_letter_with_its_name_and_the_others_have_it() -> None:
    async def story() -> None:
        failing, well = Sink(raises_on=1), Sink()
        rig = Rig(failing, well)
        for offset in range(3):
            await rig.show(offset)
        await eventually_async("all is acknowledged", lambda: sorted(rig.acked) == [0, 1, 2])
        assert (failing.seen, well.seen) == ([0, 2], [0, 1, 2])
        assert rig.buried == [(1, "Sink: ZeroDivisionError()")]
        await rig.end()

    play(story)


def test_of_records_taken_at_once_the_one_that_fails_is_a_dead_letter_and_no_other() -> None:
    async def story() -> None:
        bulk = Bulk(opened=False, raises_on=2)
        rig = Rig(bulk)
        for offset in range(4):
            await rig.show(offset, topics.ALERTS)
        bulk.open.set()
        await eventually_async("all is acknowledged", lambda: rig.acked == [0, 1, 2, 3])
        assert rig.buried == [(2, "Bulk: ZeroDivisionError()")]
        assert sorted(set(bulk.seen)) == [0, 1, 3]
        await rig.end()

    play(story)


def test_a_letter_that_cannot_be_kept_ends_the_process() -> None:
    async def story() -> None:
        rig = Rig(Sink(raises_on=0), bury=StoreError("the log is full"))
        await rig.show(0)
        await eventually_async("it dies", lambda: bool(rig.died))
        assert "the log is full" in rig.died[0]
        await rig.end()

    play(story)


def test_what_waited_when_the_partitions_went_is_another_workers() -> None:
    async def story() -> None:
        stuck = Sink(opened=False)
        rig = Rig(stuck)
        for offset in range(3):
            await rig.show(offset)
            await asyncio.sleep(0)
        for forget in rig.revoked:
            forget()
        stuck.open.set()
        await rig.show(7)
        await eventually_async("what came after is acknowledged", lambda: rig.acked == [7])
        assert stuck.seen == [0, 7], "one was in hand"
        await rig.end()

    play(story)


def test_the_end_waits_for_nobody() -> None:
    async def story() -> None:
        rig = Rig(Sink(opened=False))
        await rig.show(0)
        await asyncio.sleep(0)
        await rig.end()
        assert not [task for task in asyncio.all_tasks() if task.get_name().startswith("show ")]
        assert (rig.acked, rig.died) == ([], [])

    play(story)


class Leaver(Sink):
    """Takes again by itself what a full lane of key figures gave up."""

    leaves = (topics.KPI,)

    def __init__(self, **how: Any) -> None:
        super().__init__(**how)
        self.later: list[tuple[int, int, bool]] = []

    def left(self, topic: Topic, partition: int, offset: int) -> None:
        self.later.append((partition, offset, offset in self.rig.acked))

    rig: Rig


def test_a_full_lane_of_a_sink_that_takes_records_again_holds_up_nobody() -> None:
    async def story() -> None:
        slow, board = Leaver(opened=False), Sink()
        rig = Rig(slow, board)
        slow.rig = rig
        for offset in range(10):
            event = SimpleNamespace(message=SimpleNamespace(offset=offset, partition=2), ack=lambda offset=offset: rig.acked.append(offset))
            await asyncio.wait_for(rig.lanes.show(topics.KPI, offset, event), 1)
        await eventually_async("the other has seen all", lambda: board.seen == list(range(10)))
        left = [offset for _, offset, _ in slow.later]
        assert left == sorted(left), "the oldest go first"
        assert rig.acked == left
        assert len(left) == 6
        assert all(partition == 2 and not acked for partition, _, acked in slow.later), "it is noted before it is acknowledged"
        slow.open.set()
        await eventually_async("all are done", lambda: sorted(rig.acked) == list(range(10)))
        await rig.end()

    asyncio.run(story())
