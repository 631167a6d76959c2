"""What becomes of a sample, and what a point costs."""

from __future__ import annotations

import numpy as np
import pytest

from ingest.errors import FrameError
from ingest.frame import TelemetryFrame, frame_of, point_id
from ingest.points import PointSpec, PointTable
from ingest.quality import BAD_DEVICE_FAILURE, GOOD, UNCERTAIN
from streams.lastvalues import LastValues

TABLE = PointTable(PointSpec(name=f"x/{n}/v", area="1", device="d", period_ns=10**9) for n in range(3))


def frame(*samples: tuple[int, int, float] | tuple[int, int, float, int]) -> TelemetryFrame:
    """Samples (point, time, value, quality); point 9 is not in the table."""
    return frame_of("d", "1", 1, 1000, [(point_id(f"x/{s[0]}/v"), s[1], s[2], s[3] if len(s) == 4 else GOOD, 0) for s in samples])


def taken(last: LastValues, given: TelemetryFrame, watermark_ns: int = 0) -> dict[str, int]:
    """Take a frame in, and return what it added to the counters."""
    before = dict(last.counters)
    for turn in last.in_turns(given):
        last.take(turn, watermark_ns)
    return {name: count - before[name] for name, count in last.counters.items() if count > before[name]}


def value(last: LastValues, n: int) -> tuple[float, int, int]:
    row = TABLE.row(f"x/{n}/v")
    return float(last.value[row]), int(last.ts_value_ns[row]), int(last.quality[row])


def test_a_sample_is_one_of_five_things() -> None:
    last = LastValues(TABLE)
    assert taken(last, frame((0, 100, 1.0), (1, 100, 1.0))) == {"taken": 2}
    assert taken(last, frame((0, 100, 1.0), (1, 101, 2.0))) == {"duplicate": 1, "taken": 1}
    assert taken(last, frame((0, 99, 5.0), (1, 90, 5.0), (9, 100, 5.0)), watermark_ns=95) == {"reordered": 1, "late": 1, "unknown": 1}
    assert value(last, 0) == (1.0, 100, GOOD)
    assert value(last, 1) == (2.0, 101, GOOD)


def test_where_overtaken_and_late_samples_stand_in_the_frame_is_said() -> None:
    last = LastValues(TABLE)
    last.take(frame((0, 100, 1.0), (1, 100, 1.0), (2, 100, 1.0)), 0)
    found = last.take(frame((9, 1, 0.0), (0, 99, 5.0), (1, 101, 5.0), (2, 90, 5.0)), 95)
    assert (found.overtaken.tolist(), found.late.tolist()) == ([1], [3])
    assert found.rows.tolist() == [TABLE.row("x/1/v")]


def test_without_a_watermark_everything_older_is_late() -> None:
    last = LastValues(TABLE)
    last.take(frame((0, 100, 1.0)))
    last.take(frame((0, 99, 1.0)))
    assert last.counters["late"] == 1


def test_another_quality_of_the_same_instant_is_news() -> None:
    last = LastValues(TABLE)
    assert taken(last, frame((0, 100, 1.0))) == {"taken": 1}
    assert taken(last, frame((0, 100, 1.0, UNCERTAIN))) == {"taken": 1}
    assert taken(last, frame((0, 100, 1.0, BAD_DEVICE_FAILURE))) == {"taken": 1}
    assert value(last, 0) == (1.0, 100, BAD_DEVICE_FAILURE)


def test_of_several_samples_of_one_point_in_one_frame_the_youngest_counts_wherever_it_stands() -> None:
    last = LastValues(TABLE)
    assert taken(last, frame((0, 103, 3.0), (1, 100, 1.0), (0, 101, 1.0), (0, 102, 2.0))) == {"taken": 4}
    assert value(last, 0) == (3.0, 103, GOOD)
    assert taken(last, frame((1, 101, 1.0), (1, 101, 2.0))) == {"taken": 1, "duplicate": 1}
    assert value(last, 1) == (2.0, 101, GOOD)
    assert taken(last, frame((9, 1, 1.0), (9, 1, 2.0), (0, 104, 4.0))) == {"unknown": 2, "taken": 1}


def test_the_same_points_again_and_others_between_fall_into_the_right_rows() -> None:
    """Where the samples of a source belong is remembered from frame to frame."""
    last = LastValues(TABLE)
    for ts_ns, points in enumerate([(0, 1), (0, 1), (1, 0), (2,), (0, 1), (9, 2), (9, 2), (), (0, 0)], start=1):
        given = frame(*((n, ts_ns * 10 + place, float(n * 100 + ts_ns)) for place, n in enumerate(points)))
        taken(last, given)
        for n in set(points) - {9}:
            assert value(last, n)[0] == n * 100 + ts_ns
    assert last.counters == {"taken": 13, "duplicate": 0, "reordered": 0, "late": 0, "unknown": 2}


def test_a_state_without_the_newer_counters_is_read() -> None:
    last, again = LastValues(TABLE), LastValues(TABLE)
    last.take(frame((0, 100, 1.0)))
    del last.counters["reordered"]
    again.restore(last.encode())
    assert again.counters == {"taken": 1, "duplicate": 0, "reordered": 0, "late": 0, "unknown": 0}
    with pytest.raises(FrameError):
        again.restore(last.encode()[:-3])


def test_a_point_takes_a_few_dozen_bytes() -> None:
    """A hundred thousand of them less than ten megabytes, in memory and in the state."""
    points = 10_000
    last = LastValues(PointTable(PointSpec(name=f"x/{n}/v", area="1", device="d", period_ns=10**9) for n in range(points)))
    columns = [column for column in vars(last).values() if isinstance(column, np.ndarray)]
    assert sum(column.nbytes for column in columns) < 100 * points
    assert len(last.encode()) < 100 * points
