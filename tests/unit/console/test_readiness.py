"""Alive, and in sync: each thing that can be missing is named, with what to do, and nothing else is."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from faust.exceptions import ConsumerNotStarted

from console.loopdelay import LoopDelay
from console.readiness import LOOP_DELAY_MAX_S, Readiness
from market.units import NS_PER_S
from streams import topics
from streams.errors import StoreError
from streams.runtime import Shell
from streams.transport.log import Log

T0 = 1_600_000_000 * NS_PER_S
TICK = 10 * NS_PER_S
ONE = {(topic.name, 0) for topic in topics.TOPICS}


class Rig:
    """A service in sync, of which a test breaks one thing."""

    def __init__(self, directory: Path) -> None:
        self.log = Log(directory)
        for topic in topics.TOPICS:
            self.log.declare(topic.name, partitions=topic.partitions)
        self.now_ns = T0 + 4 * NS_PER_S
        self.tick_ns = T0
        self.speed = 1.0
        self.progress = {"grid": T0, "breaker": T0}
        self.loop_delay = LoopDelay()
        self.app = SimpleNamespace(
            rebalancing=False,
            transport=SimpleNamespace(opened=SimpleNamespace(log=self.log)),
            conf=SimpleNamespace(id="gridfuse"),
            consumer=SimpleNamespace(assignment=lambda: ONE),
        )
        self.recovered = True

    def looked(self) -> Readiness:
        clock: Any = SimpleNamespace(now_ns=lambda: self.now_ns, speed=self.speed)
        shell = Shell.__new__(Shell)
        shell.app, shell._ours = cast("Any", self.app), set()
        made = Readiness(shell, self.progress, clock, TICK, lambda: self.tick_ns, self.loop_delay)
        made.recovered = self.recovered
        return made

    def missing(self) -> list[str]:
        return self.looked().missing()

    def behind(self, topic: topics.Topic, records: int) -> None:
        for _ in range(records):
            appended = self.log.append(topic.name, 0, b"k", b"v")
        self.log.wait(appended.ticket, 10)


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    made = Rig(tmp_path)
    yield made
    made.log.close()


def the_one(lines: list[str]) -> tuple[str, str]:
    """The one line, split into what is missing and what to do."""
    assert len(lines) == 1, lines
    what, _, remedy = lines[0].partition("; ")
    assert remedy, f"no remedy: {what}"
    return what, remedy


def test_a_service_in_sync_lacks_nothing(rig: Rig) -> None:
    assert rig.missing() == rig.looked().failing() == []


def test_before_the_state_is_there_nothing_else_is_said(rig: Rig) -> None:
    rig.recovered, rig.tick_ns = False, 0
    assert the_one(rig.missing())[0] == "stream processors: recovering"
    assert rig.looked().failing() == [], "it lives"


def test_partitions_that_are_being_assigned(rig: Rig) -> None:
    rig.app.rebalancing = True
    assert the_one(rig.missing())[0] == "partitions: being assigned"


@pytest.mark.parametrize(("topic", "bound"), [(topics.INPUTS, 100), (topics.FACTS, 1_000)])
def test_processors_far_behind_the_newest_record(rig: Rig, topic: topics.Topic, bound: int) -> None:
    rig.behind(topic, bound)
    assert rig.missing() == []
    rig.behind(topic, 1)
    assert the_one(rig.missing())[0] == f"{topic.name}[0]: {bound + 1:,} records behind, at most {bound:,}"
    rig.log.wait(rig.log.commit("gridfuse", {(topic.name, 0): bound}), 10)
    assert rig.missing() == []


def test_a_sink_that_is_away_makes_nobody_unready(rig: Rig) -> None:
    rig.behind(topics.DECISIONS, 3_000)
    assert rig.missing() == []


def test_time_that_stands_still(rig: Rig) -> None:
    rig.now_ns = T0 + 31 * NS_PER_S
    assert the_one(rig.missing())[0] == "time: the last tick is 31 s old, at most 30 s"
    rig.speed = 60.0
    assert rig.missing() == [], "half a second of wall time"


def test_time_that_was_never_told(rig: Rig) -> None:
    rig.tick_ns = 0
    assert the_one(rig.missing())[0] == "time: not told yet"


@pytest.mark.parametrize("name", ["grid", "breaker"])
def test_a_processor_that_time_has_left_behind(rig: Rig, name: str) -> None:
    rig.progress[name] = T0 - 31 * NS_PER_S
    assert the_one(rig.missing())[0] == f"{name}: 31 s behind the last tick, at most 30 s"
    del rig.progress[name]
    assert the_one(rig.missing())[0] == f"{name}: has computed no tick yet"


def test_a_worker_answers_for_what_it_reads(rig: Rig) -> None:
    rig.progress.clear()
    rig.app.consumer.assignment = lambda: {(topics.FRAMES.name, 3)}
    assert rig.missing() == []

    def not_yet() -> None:
        raise ConsumerNotStarted

    rig.app.consumer.assignment = not_yet
    assert rig.missing() == []


def test_a_log_that_takes_nothing_is_the_end(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    rig.log._writer.failure = StoreError("the log cannot be written: the disk is full; free space")
    assert the_one(rig.looked().failing())[0] == "log: the log cannot be written: the disk is full"
    assert rig.missing() == rig.looked().failing(), "and it is not ready either"
    rig.log._writer.failure = None
    monkeypatch.setattr(type(rig.log), "alive", False)
    assert the_one(rig.looked().failing())[0] == "log: its writer has ended"


def test_a_writer_thread_that_ended_is_seen(rig: Rig) -> None:
    assert rig.log.alive
    rig.log._writer.close()
    assert not rig.log.alive


def test_an_event_loop_that_does_not_come_round(rig: Rig) -> None:
    rig.loop_delay.last_s = LOOP_DELAY_MAX_S + 1
    assert the_one(rig.looked().failing())[0] == "event loop: 6 s late, at most 5 s"


@pytest.mark.integration
def test_a_delay_shows_while_it_lasts() -> None:
    async def held_up() -> float:
        delay = LoopDelay()
        running = asyncio.create_task(delay.run())
        await asyncio.sleep(0)
        time.sleep(0.3)  # noqa: ASYNC251 this is what is measured
        late_s = delay.late_s()
        running.cancel()
        return late_s

    assert asyncio.run(held_up()) > 0.15
