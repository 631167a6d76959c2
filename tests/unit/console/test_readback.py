"""What the sinks are told again after a restart is what they were done with, and no more."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from console import readback
from console.readback import last_records, recall_telemetry
from ingest.frame import TelemetryFrame, frame_of, point_id
from ingest.points import PointSpec, PointTable
from market.units import NS_PER_MIN, NS_PER_S, instant_ns
from streams import topics, wire
from streams.gaps import Gap
from streams.rollups import Rollups
from tests.kit.lineparser import parsed

T0 = instant_ns("2026-06-10T10:00:00+08:00")
NAME = "area/1/hz"
TABLE = PointTable([PointSpec(name=NAME, area="1", device="rtu", period_ns=NS_PER_S)])


def frame(at_s: float, value: float = 50.0) -> TelemetryFrame:
    ts_ns = T0 + int(at_s * NS_PER_S)
    return frame_of("rtu", "1", 0, ts_ns, [(point_id(NAME), ts_ns, value, 0, 0)])


class Recorded:
    """Partitions of frames; of each, those before ``done`` were dealt with."""

    def __init__(self, done: int, *partitions: list[TelemetryFrame]) -> None:
        self._done, self._partitions = done, partitions
        self.oldest = 0
        self.group = ""

    def partitions(self, topic: str) -> int:
        return len(self._partitions) if topic == topics.FRAMES.name else 0

    def done(self, topic: str, partition: int) -> int:
        return self._done

    def newest(self, topic: str, partition: int, most: int) -> Iterator[Any]:
        records = [SimpleNamespace(offset=n, value=wire.encode(each)) for n, each in enumerate(self._partitions[partition], self.oldest)]
        yield from records[-most:]


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> Any:
    (tmp_path / "log.sqlite").touch()

    def use(log: Recorded) -> str:
        @contextmanager
        def opened(broker: str, group: str = "gridfuse") -> Iterator[Recorded]:
            log.group = group
            yield log

        monkeypatch.setattr(readback, "open_recording", opened)
        return f"embedded://{tmp_path}"

    return use


def minute(rollups: Rollups, *later: TelemetryFrame) -> list[dict[str, Any]]:
    data = b"".join(map(rollups.take, (*later, frame(75, 60.0), frame(76, 60.0))))
    return [line for line in parsed(data) if line["time"] < T0 + NS_PER_MIN]


def test_a_minute_a_restart_fell_into_is_whole_again(recorded: Any) -> None:
    rollups = Rollups(TABLE)
    recall_telemetry(recorded(Recorded(2, [frame(10), frame(20)], [frame(15), frame(30)])), rollups)
    (line,) = minute(rollups, frame(40))
    assert line["hz_n"] == 5


def test_what_will_be_shown_again_is_not_told(recorded: Any) -> None:
    rollups = Rollups(TABLE)
    recall_telemetry(recorded(Recorded(1, [frame(10), frame(20)])), rollups)
    (line,) = minute(rollups, frame(20))
    assert line["hz_n"] == 2


def test_what_was_left_on_its_topic_and_will_be_taken_again_is_not_told(recorded: Any) -> None:
    rollups = Rollups(TABLE)
    broker = recorded(Recorded(3, [frame(10), frame(20), frame(30)]))
    recall_telemetry(broker, rollups, [Gap(topics.FRAMES.name, 0, 1, 1), Gap(topics.FRAMES.name, 1, 0, 2), Gap(topics.KPI.name, 0, 0, 9)])
    (line,) = minute(rollups)
    assert line["hz_n"] == 2


def test_a_minute_of_which_not_all_is_read_back_is_in_no_roll_up(recorded: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readback, "_FRAMES", 2)
    rollups = Rollups(TABLE)
    recall_telemetry(recorded(Recorded(3, [frame(10), frame(20), frame(30)])), rollups)
    assert minute(rollups, frame(40)) == []
    assert rollups.left_out == 3


def test_before_anything_was_recorded_the_first_minute_is_a_whole_one(tmp_path: Any) -> None:
    rollups = Rollups(TABLE)
    recall_telemetry(f"embedded://{tmp_path}", rollups)
    (line,) = minute(rollups, frame(30))
    assert (line["hz_n"], line["rev"]) == (1, 0)
    assert last_records(f"embedded://{tmp_path}", {topics.KPI: 5}) == {}


def test_on_a_cluster_nobody_knows_what_was_dealt_with(tmp_path: Any) -> None:
    rollups = Rollups(TABLE)
    recall_telemetry("kafka://nowhere:9092", rollups)
    assert minute(rollups, frame(30)) == []


def test_what_the_log_does_not_have_any_more_is_not_known(recorded: Any) -> None:
    log = Recorded(9, [frame(30), frame(140)])
    log.oldest = 7
    rollups = Rollups(TABLE)
    recall_telemetry(recorded(log), rollups)
    late = frame_of("rtu", "1", 1, T0 + 141 * NS_PER_S, [(point_id(NAME), T0 + 5 * NS_PER_S, 49.0, 0, 0)])
    lines = parsed(b"".join(map(rollups.take, (late, frame(150), frame(151), frame(215), frame(216)))))
    assert [line["time"] - T0 for line in lines if line["time"] < T0 + NS_PER_MIN] == [], "it would stand for the whole minute"
    assert rollups.left_out == 2


def test_the_sinks_in_a_process_of_their_own_were_done_with_what_their_own_group_was_done_with(recorded: Any) -> None:
    log = Recorded(1, [frame(10), frame(20)])
    found = last_records(recorded(log), {topics.FRAMES: 5}, "gridfuse-api")
    assert [each.done for each in found[topics.FRAMES]] == [True, False]
    assert log.group == "gridfuse-api"
