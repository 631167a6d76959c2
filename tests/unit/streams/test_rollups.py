"""Roll-ups say of each minute what its good samples were: all of them, once, and never half of a minute as if it were a whole one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from ingest.frame import TelemetryFrame, Ticket, frame_of, heartbeat, point_id
from ingest.points import PointSpec, PointTable
from market.errors import ConfigError
from market.units import NS_PER_MIN, NS_PER_S, instant_ns
from streams.rollups import GRACE_NS, Rollups
from tests.kit.lineparser import parsed

T0 = instant_ns("2026-06-10T10:00:00+08:00")
NAMES = ("unit/G1/mw", "unit/G1/available_mw", "bus/101/kv", "area/1/hz")
TABLE = PointTable(PointSpec(name=name, area="1", device="rtu", period_ns=NS_PER_S) for name in NAMES)
UNCERTAIN, BAD = 0x4000_0000, 0x8000_0000
Sample = tuple[int, float, float, int]
"""Which point, seconds after T0, value, status code."""


def frame(samples: Iterable[Sample], at_s: float) -> TelemetryFrame:
    rows = [(point_id(NAMES[point]), T0 + int(s * NS_PER_S), value, quality, 0) for point, s, value, quality in samples]
    return frame_of("rtu", "1", 0, T0 + int(at_s * NS_PER_S), rows)


def fresh(**more: Any) -> Rollups:
    rollups = Rollups(TABLE, **more)
    rollups.begin_anew()
    return rollups


def until(rollups: Rollups, at_s: float) -> bytes:
    """Let time pass, and write what is due."""
    lines = b""
    while said := rollups.take(heartbeat("@clock", "1", 0, T0 + int(at_s * NS_PER_S))):
        lines, at_s = lines + said, at_s + 1
    return lines


def test_a_minute_is_written_when_the_grace_is_over() -> None:
    rollups = fresh()
    assert rollups.take(frame([(0, 0, 100.0, 0), (2, 0, 230.0, 0)], 0)) == b""
    assert rollups.take(frame([(0, 59, 104.0, 0), (1, 59, 110.0, 0)], 59)) == b""
    assert rollups.take(frame([(0, 60, 900.0, 0)], 60)) == b""
    assert until(rollups, 74.9) == b""
    assert until(rollups, 75) == (
        b"telemetry_1m,area=1,dev=rtu,element=101,kind=bus "
        b"kv=230.0,kv_min=230.0,kv_max=230.0,kv_last=230.0,kv_n=1i,rev=0i 1781056800000000000\n"
        b"telemetry_1m,area=1,dev=rtu,element=G1,kind=unit "
        b"available_mw=110.0,available_mw_min=110.0,available_mw_max=110.0,available_mw_last=110.0,available_mw_n=1i,"
        b"mw=102.0,mw_min=100.0,mw_max=104.0,mw_last=104.0,mw_n=2i,rev=0i 1781056800000000000\n"
    )
    assert until(rollups, 80) == b"", "once"


def test_only_good_samples_count() -> None:
    rollups = fresh()
    rollups.take(frame([(3, 1, 50.0, 0), (3, 2, 60.0, UNCERTAIN), (3, 3, 70.0, BAD), (3, 4, np.nan, 0), (3, 5, 51.0, 0)], 6))
    (line,) = parsed(until(rollups, 75))
    assert (line["hz"], line["hz_min"], line["hz_max"], line["hz_last"], line["hz_n"]) == (50.5, 50.0, 51.0, 51.0, 2)


def test_the_last_sample_is_the_newest_and_not_the_one_that_came_last() -> None:
    rollups = fresh()
    rollups.take(frame([(3, 30, 50.0, 0), (3, 10, 49.0, 0)], 31))
    rollups.take(frame([(3, 20, 48.0, 0)], 32))
    (line,) = parsed(until(rollups, 75))
    assert (line["hz_last"], line["hz_n"]) == (50.0, 3)


def test_what_comes_within_the_grace_is_in_the_first_roll_up_and_what_comes_later_corrects_it() -> None:
    rollups = fresh()
    rollups.take(frame([(3, 10, 50.0, 0), (2, 10, 230.0, 0)], 10))
    rollups.take(frame([(3, 20, 51.0, 0)], 74))
    first = {line["kind"]: line for line in parsed(until(rollups, 75))}
    assert (first["area"]["hz_n"], first["area"]["rev"], first["area"]["time"]) == (2, 0, T0)
    rollups.take(frame([(3, 30, 58.0, 0)], 80))
    (corrected,) = parsed(until(rollups, 80 + GRACE_NS / NS_PER_S))
    assert (corrected["kind"], corrected["hz"], corrected["hz_n"]) == ("area", 53.0, 3)
    assert (corrected["rev"], corrected["time"]) == (3, T0 + 3), "after the first, whatever its number"


def test_a_frame_that_is_told_twice_counts_once() -> None:
    rollups = fresh()
    told = [structs.replace(frame([(3, s, 50.0, 0)], s), ticket=Ticket(7, s, None)) for s in range(5)]
    for each in (told[0], told[1], told[1], told[4], told[2], told[2], told[0], told[3]):
        rollups.take(each)
    (line,) = parsed(until(rollups, 75))
    assert line["hz_n"] == 5


def test_a_minute_that_was_partly_over_at_the_start_is_in_no_roll_up() -> None:
    rollups = Rollups(TABLE)
    rollups.take(frame([(3, 30, 50.0, 0), (3, 5, 50.0, 0)], 30))
    rollups.take(frame([(3, 61, 51.0, 0)], 61))
    (line,) = parsed(until(rollups, 135))
    assert (line["time"], line["hz_n"]) == (T0 + NS_PER_MIN, 1)
    assert rollups.left_out == 2


def test_a_restart_in_the_midst_of_a_minute_writes_the_whole_of_it_as_a_correction() -> None:
    before = [frame([(3, s, 50.0 + s, 0)], s) for s in (61, 70, 80)]
    after = [frame([(3, s, 50.0 + s, 0)], s) for s in (90, 100, 121)]
    rollups = Rollups(TABLE)
    rollups.recall(before, T0 + 60 * NS_PER_S)
    for each in after:
        assert rollups.take(each) == b""
    whole, *_ = parsed(until(rollups, 135))
    assert (whole["hz_n"], whole["hz_min"], whole["hz_max"]) == (5, 111.0, 150.0)
    assert (whole["rev"], whole["time"]) == (5, T0 + NS_PER_MIN + 5)
    (own,) = parsed(until(rollups, 195))
    assert (own["rev"], own["time"]) == (0, T0 + 2 * NS_PER_MIN)


def test_a_minute_that_was_written_before_the_restart_is_not_written_again_and_can_still_be_corrected() -> None:
    rollups = Rollups(TABLE)
    rollups.recall([frame([(3, 10, 50.0, 0)], 10), frame([(2, 300, 230.0, 0)], 300)], T0)
    assert {line["kind"] for line in parsed(until(rollups, 400))} == {"bus"}
    rollups.take(frame([(3, 20, 52.0, 0)], 401))
    (line,) = parsed(until(rollups, 420))
    assert (line["hz"], line["hz_n"], line["rev"]) == (51.0, 2, 2)


@pytest.mark.parametrize("name", ["unit/G2/mw_max", "bus/7/kv_n", "line/9/rev"])
def test_a_quantity_that_is_named_like_a_field_of_a_roll_up_is_refused(name: str) -> None:
    specs = [*TABLE.specs, PointSpec(name=name, area="1", device="rtu", period_ns=NS_PER_S)]
    with pytest.raises(ConfigError, match=f"point {name}"):
        Rollups(PointTable(specs))


def test_minutes_that_memory_cannot_hold_are_counted_and_not_told_by_half() -> None:
    rollups = fresh(kept_bytes=1)
    rollups.take(frame([(3, 10, 50.0, 0)], 10))
    assert len(parsed(until(rollups, 600))) == 1
    rollups.take(frame([(3, 20, 51.0, 0)], 601))
    assert until(rollups, 700) == b""
    assert rollups.left_out == 1


def test_points_that_stay_keep_their_minute_when_the_list_changes() -> None:
    rollups = fresh()
    rollups.take(frame([(3, 10, 50.0, 0), (2, 10, 230.0, 0)], 10))
    rollups.relist(PointTable(PointSpec(name=name, area="1", device="rtu", period_ns=NS_PER_S) for name in ("area/1/hz", "load/9/mw")))
    rollups.take(frame([(3, 20, 52.0, 0)], 20))
    (line,) = parsed(until(rollups, 75))
    assert (line["kind"], line["hz"], line["hz_n"]) == ("area", 51.0, 2)


def test_many_points_are_written_a_part_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.rollups._POINTS_AT_ONCE", 1)
    rollups = fresh()
    rollups.take(frame([(point, 10, float(point), 0) for point in range(4)], 10))
    rollups.take(heartbeat("@clock", "1", 0, T0 + 74 * NS_PER_S))
    one = rollups.take(heartbeat("@clock", "1", 0, T0 + 75 * NS_PER_S))
    assert len(parsed(one)) == 1
    rest = parsed(until(rollups, 76))
    assert sorted(line["kind"] for line in [*parsed(one), *rest]) == ["area", "bus", "unit"]
    assert {line["rev"] for line in rest} == {0}


SAMPLES = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 239), st.integers(-1000, 1000).map(float), st.sampled_from([0, 0, 0, UNCERTAIN, BAD])),
    max_size=12,
)


@given(st.lists(st.tuples(st.integers(0, 400), SAMPLES), max_size=25).map(sorted))
@settings(max_examples=40, deadline=None)
def test_the_last_line_of_each_minute_is_what_all_its_good_samples_say(frames: list[tuple[int, list[Sample]]]) -> None:
    """Whatever the order, however late: at the end every minute is there, from all samples, and no line of one instant differs."""
    rollups, lines = fresh(), b""
    truth: defaultdict[tuple[int, int], list[tuple[int, float]]] = defaultdict(list)
    for at_s, samples in frames:
        told = [(point, min(s, at_s), value, quality) for point, s, value, quality in samples]
        lines += rollups.take(frame(told, at_s))
        for point, s, value, quality in told:
            if not quality:
                truth[point, s // 60].append((s, value))
    lines += until(rollups, 1_000)
    found: dict[tuple[int, int], dict[str, Any]] = {}
    instants: dict[tuple[Any, ...], dict[str, Any]] = {}
    for line in parsed(lines):
        series = line["kind"], line["element"], line["time"]
        assert instants.setdefault(series, line) == line
        for point, name in enumerate(NAMES):
            kind, element, quantity = name.split("/")
            if (kind, element) == (line["kind"], line["element"]) and quantity in line:
                found[point, (line["time"] - T0) // NS_PER_MIN] = {
                    key: line[f"{quantity}{key}"] for key in ("", "_min", "_max", "_last", "_n")
                }
    assert found.keys() == truth.keys()
    for key, samples in truth.items():
        values = [value for _, value in samples]
        newest = max(s for s, _ in samples)
        said = found[key]
        assert said[""] == pytest.approx(sum(values) / len(values))
        assert (said["_min"], said["_max"], said["_n"]) == (min(values), max(values), len(values))
        assert said["_last"] in [value for s, value in samples if s == newest]


def test_minutes_are_written_as_fast_as_they_end_also_where_frames_are_rare() -> None:
    names = [f"unit/G{n}/mw" for n in range(9_000)]
    rollups = Rollups(PointTable(PointSpec(name=name, area="1", device="rtu", period_ns=NS_PER_MIN) for name in names))
    rollups.begin_anew()
    ids = [point_id(name) for name in names]
    lines = 0
    for turn in range(8):
        ts_ns = T0 + turn * NS_PER_MIN + 30 * NS_PER_S
        lines += rollups.take(frame_of("rtu", "1", 0, ts_ns, [(each, ts_ns, 1.0, 0, 0) for each in ids])).count(b"\n")
    assert lines >= 6 * len(names), "all but the minute that is not over, and the one before"
