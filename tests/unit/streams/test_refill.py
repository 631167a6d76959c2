"""What was left on its topics comes back from there, once the spool takes lines, at its rate; what is gone is counted."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from market.units import NS_PER_S
from streams import topics, wire
from streams.errors import SinkUnavailable
from streams.gaps import Gap, Gaps
from streams.kpis import KpiFrame
from streams.refill import Lines, Refill
from streams.topics import Topic
from streams.transport.log import Log
from tests.kit.board_feed import SCENES, kpi_at
from tests.kit.eventually import eventually_async

T0 = SCENES["normal"]


class Maker:
    """Tells what it was shown."""

    def __init__(self) -> None:
        self.recalled: list[int] = []

    def recall(self, record: KpiFrame) -> None:
        self.recalled.append((record.ts_event_ns - T0) // NS_PER_S)

    def of_record(self, record: KpiFrame) -> bytes:
        return b"%d\n" % ((record.ts_event_ns - T0) // NS_PER_S)


class Rig:
    """A log of a hundred key figures, of which some are missing in a spool."""

    def __init__(self, home: Path) -> None:
        self.log = Log(home / "log")
        self.log.declare(topics.KPI.name, partitions=1)
        for number in range(100):
            value = b"no record" if number == 33 else wire.encode(kpi_at(T0 + number * NS_PER_S))
            ticket = self.log.append(topics.KPI.name, 0, b"market", value).ticket
        self.log.wait(ticket)
        self.gaps = Gaps(home / "missing")
        self.spooled: list[int] = []
        self.makers: list[Maker] = []
        self.refuses = False
        self.refill = Refill(self.gaps, f"embedded://{home / 'log'}", self.maker, self.append, 1e6)

    def maker(self) -> Maker:
        self.makers.append(Maker())
        return self.makers[-1]

    async def append(self, topic: Topic, records: Sequence[Any], lines: Lines) -> int:
        if self.refuses:
            raise SinkUnavailable("full")
        self.spooled += [int(lines.of_record(record)) for record in records]
        return len(records)

    def runs(self, until: Any) -> None:
        async def story() -> None:
            task = asyncio.create_task(self.refill.run())
            await eventually_async("the refill", until)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

        asyncio.run(story())


@pytest.fixture
def rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rig]:
    monkeypatch.setattr("streams.refill._LOOK_S", 0.02)
    made = Rig(tmp_path)
    yield made
    made.gaps.close()
    made.log.close()


def test_every_record_that_is_missing_is_spooled_and_no_other(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.refill._RECORDS_AT_ONCE", 7)
    for offset in (*range(30, 60), 99, 0):
        rig.gaps.add(topics.KPI.name, 0, offset)
    rig.runs(lambda: not [*rig.gaps])
    assert sorted(rig.spooled) == [0, *(n for n in range(30, 60) if n != 33), 99], "33 is no record; it is a dead letter already"
    assert (rig.refill.refilled, rig.gaps.lost) == (32, 0)
    assert [maker.recalled for maker in rig.makers if maker.recalled and maker.recalled[-1] == 29] == [list(range(30))]


def test_a_disk_that_takes_none_is_waited_for(rig: Rig) -> None:
    rig.refuses = True
    rig.gaps.add(topics.KPI.name, 0, 5)
    rig.runs(lambda: len(rig.makers) > 2)
    assert ([*rig.gaps], rig.spooled) == ([Gap(topics.KPI.name, 0, 5, 5)], [])
    rig.refuses = False
    rig.runs(lambda: not [*rig.gaps])
    assert rig.spooled == [5]


def test_what_its_topic_does_not_have_any_more_is_counted_as_lost(rig: Rig) -> None:
    for offset in range(95, 110):
        rig.gaps.add(topics.KPI.name, 0, offset)
    rig.runs(lambda: not [*rig.gaps])
    assert (rig.spooled, rig.gaps.lost) == ([95, 96, 97, 98, 99], 10)


def test_what_cannot_be_made_into_lines_ends_nothing(rig: Rig, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    def breaks(maker: Maker, record: KpiFrame) -> bytes:
        raise ZeroDivisionError

    monkeypatch.setattr(Maker, "of_record", breaks)
    rig.gaps.add(topics.KPI.name, 0, 5)
    rig.runs(lambda: not [*rig.gaps])
    assert "1 records of kpi.v1[0] up to offset 5 cannot be written" in caplog.text


def test_while_more_is_left_behind_nothing_is_taken_again(rig: Rig) -> None:
    async def story() -> None:
        task = asyncio.create_task(rig.refill.run())
        for offset in range(60):
            rig.gaps.add(topics.KPI.name, 0, offset)
            await asyncio.sleep(0.001)
        assert rig.spooled == []
        await eventually_async("the refill", lambda: not [*rig.gaps])
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(story())
    assert len(rig.spooled) == 59


def test_what_cannot_be_read_again_holds_up_nothing_else(rig: Rig) -> None:
    rig.gaps.add("of_an_older_release.v1", 0, 5)
    rig.gaps.add(topics.KPI.name, 7, 1)
    rig.gaps.add(topics.KPI.name, 0, 40)
    rig.runs(lambda: rig.spooled == [40])
    assert {gap.first for gap in rig.gaps} == {5, 1}, "and it is tried again"
