"""What a point cannot do is found and flagged; what it says is never altered."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from ingest.checks import Checks
from ingest.devices import DataType
from ingest.frame import point_id
from ingest.movement import CONFIRMED_BY
from ingest.pointchecks import CounterCheck, PointChecks
from ingest.quality import BAD_NO_COMMUNICATION, GOOD, UNCERTAIN_SUBSTITUTE, Flag, quality_name
from market.units import NS_PER_H, NS_PER_MIN, NS_PER_S, instant_ns
from tests.kit.field import modbus_point

NOON = instant_ns("2026-06-10T12:00:00Z")
EU, SUB_NORMAL = "Uncertain_EngineeringUnitsExceeded", "Uncertain_SubNormal"
OK = ("Good", Flag.NONE)

Said = tuple[float, float]
"""Seconds after noon, and the value."""


class Line:
    """One point with its checks, and what they say of each of its samples."""

    def __init__(self, *, every_s: float = 1.0, **changes: Any) -> None:
        self.point = modbus_point("unit/u/mw", 0, period_ns=round(every_s * NS_PER_S), **changes)
        self.checks = Checks([self.point])
        self.counted: list[int | None] = []

    def says(self, *samples: Said, quality: int = GOOD, raw: Sequence[int] | None = None) -> list[tuple[str, Flag]]:
        """Judge samples one after the other, each in a frame of its own."""
        found = []
        for place, (at_s, value) in enumerate(samples):
            judged = self.checks.judge(
                np.array([point_id(self.point.name)], dtype=np.uint64),
                np.array([NOON + round(at_s * NS_PER_S)], dtype=np.int64),
                np.array([value]),
                np.array([quality], dtype=np.uint32),
                np.zeros(1, dtype=np.uint16),
                None if raw is None else np.array([raw[place]], dtype=np.uint64).view(np.int64),
            )
            found.append((quality_name(int(judged.quality[0])), Flag(int(judged.flags[0]))))
            self.counted.append(int(judged.differences.counts[0]) if len(judged.differences.counts) else None)
        return found


def counter(modulus: int, max_per_h: float | None = None, **changes: Any) -> Line:
    return Line(every_s=60.0, checks=PointChecks(counter=CounterCheck(modulus=modulus, max_per_h=max_per_h)), **changes)


def test_what_lies_outside_its_range_is_uncertain() -> None:
    line = Line(low=-10.0, high=500.0)
    out = (EU, Flag.OUT_OF_RANGE)
    assert line.says((0, -10.0), (1, 500.0), (2, -10.1), (3, 500.1), (4, 12.0)) == [OK, OK, out, out, OK]
    assert line.checks.raised == {Flag.OUT_OF_RANGE: 2}


def test_the_last_digit_of_a_float32_exceeds_no_limit() -> None:
    line = Line(low=None, high=49.9)
    assert line.says((0, float(np.float32(49.9))), (1, 49.901)) == [OK, (EU, Flag.OUT_OF_RANGE)]
    assert float(np.float32(49.9)) > 49.9


def test_a_step_that_the_point_cannot_have_made_is_doubted_and_the_way_back_is_not() -> None:
    line = Line(checks=PointChecks(rate_per_s=5.0))
    steep = (SUB_NORMAL, Flag.RATE_EXCEEDED)
    # Both of two wrong values are found, and the true one after them is believed at once.
    assert line.says((0, 100.0), (1, 104.0), (2, 300.0), (3, 300.0), (4, 108.0)) == [OK, OK, steep, steep, OK]


def test_a_step_that_stays_is_believed_once_enough_readings_confirm_it() -> None:
    line = Line(checks=PointChecks(rate_per_s=5.0))
    line.says((0, 100.0))
    steep = (SUB_NORMAL, Flag.RATE_EXCEEDED)
    found = line.says(*((1.0 + k, 300.0 + k) for k in range(CONFIRMED_BY + 2)))
    assert found == [steep] * CONFIRMED_BY + [OK, OK]


def test_readings_that_do_not_agree_confirm_nothing() -> None:
    line = Line(checks=PointChecks(rate_per_s=5.0))
    line.says((0, 100.0))
    steep = (SUB_NORMAL, Flag.RATE_EXCEEDED)
    assert line.says(*((1.0 + k, 300.0 + 100.0 * (k % 2)) for k in range(8))) == [steep] * 8


def test_a_wrong_reading_repeated_in_the_same_instant_does_not_confirm_itself() -> None:
    line = Line(checks=PointChecks(rate_per_s=5.0))
    line.says((0, 100.0))
    assert line.says(*[(1.0, 300.0)] * 8) == [(SUB_NORMAL, Flag.RATE_EXCEEDED)] * 8


def test_what_a_point_could_have_reached_meanwhile_is_believed() -> None:
    line = Line(checks=PointChecks(rate_per_s=5.0))
    assert line.says((0, 100.0), (39, 300.0)) == [OK, (SUB_NORMAL, Flag.RATE_EXCEEDED)]
    assert line.says((41, 300.0)) == [OK]


def test_two_readings_within_a_period_may_differ_by_what_a_period_allows() -> None:
    line = Line(every_s=4.0, checks=PointChecks(rate_per_s=5.0))
    assert line.says((0, 100.0), (0.5, 119.0), (0.6, 140.0)) == [OK, OK, (SUB_NORMAL, Flag.RATE_EXCEEDED)]


def test_what_is_out_of_range_is_no_reference_for_the_rate() -> None:
    line = Line(high=500.0, checks=PointChecks(rate_per_s=5.0))
    assert line.says((0, 100.0), (1, 9000.0), (2, 104.0)) == [OK, (EU, Flag.OUT_OF_RANGE), OK]


def test_a_value_that_never_moves_is_frozen_and_zero_is_not() -> None:
    line = Line(every_s=60.0, checks=PointChecks(frozen_ns=10 * NS_PER_MIN))
    stuck = (SUB_NORMAL, Flag.FROZEN)
    assert line.says(*((60.0 * k, 50.01) for k in range(12))) == [OK] * 10 + [stuck] * 2
    assert line.says((720, 50.02)) == [OK]
    assert line.says(*((780.0 + 60.0 * k, 0.0) for k in range(12))) == [OK] * 12


def test_a_gap_does_not_thaw_what_is_frozen() -> None:
    line = Line(every_s=60.0, checks=PointChecks(frozen_ns=10 * NS_PER_MIN))
    line.says((0, 7.0))
    assert line.says((60, np.nan), quality=BAD_NO_COMMUNICATION) == [("Bad_NoCommunication", Flag.NONE)]
    assert line.says((660, 7.0)) == [(SUB_NORMAL, Flag.FROZEN)]


def test_a_number_that_is_none_is_bad_and_teaches_nothing() -> None:
    line = Line(high=500.0, checks=PointChecks(rate_per_s=5.0))
    bad = ("Bad_DataUnavailable", Flag.NONE)
    assert line.says((0, 1.0), (1, np.inf), (2, np.nan), (3, -np.inf), (4, 2.0)) == [OK, bad, bad, bad, OK]
    assert line.says((5, np.inf), quality=UNCERTAIN_SUBSTITUTE) == [bad]
    assert line.says((6, np.nan), quality=BAD_NO_COMMUNICATION) == [("Bad_NoCommunication", Flag.NONE)]


def test_what_came_uncertain_keeps_its_reason_and_gets_the_flag() -> None:
    line = Line(high=500.0)
    assert line.says((0, 501.0), quality=UNCERTAIN_SUBSTITUTE) == [("Uncertain_SubstituteValue", Flag.OUT_OF_RANGE)]


def test_what_is_doubted_or_frozen_is_so_too_when_it_is_said_twice() -> None:
    line = Line(checks=PointChecks(rate_per_s=5.0, frozen_ns=10 * NS_PER_S))
    steep, stuck = (SUB_NORMAL, Flag.RATE_EXCEEDED), (SUB_NORMAL, Flag.FROZEN)
    assert line.says((0, 1.0), (10, 1.0), (10, 1.0), (11, 900.0), (11, 900.0)) == [OK, stuck, stuck, steep, steep]


def test_from_a_sample_that_was_overtaken_nothing_is_learned() -> None:
    line = Line(high=500.0, checks=PointChecks(rate_per_s=5.0, frozen_ns=10 * NS_PER_S))
    assert line.says((10, 100.0), (2, 300.0), (3, 600.0), (11, 101.0)) == [OK, OK, (EU, Flag.OUT_OF_RANGE), OK]


def test_counts_are_exact_over_a_rollover() -> None:
    line = counter(2**32, 500.0, scale=0.01, unit="MWh")
    top = 2**32
    said = [top - 700, top - 100, 500, 500]
    found = line.says(*((60.0 * k, count * 0.01) for k, count in enumerate(said)))
    assert found == [OK, OK, ("Good", Flag.COUNTER_ROLLOVER), OK]
    assert line.counted == [None, 600, 600, 0]


@pytest.mark.parametrize("modulus", [2**16, 10**6, 2**32])
def test_a_step_back_that_no_power_explains_is_a_reset_without_a_difference(modulus: int) -> None:
    line = counter(modulus, 60.0)
    # 60 an hour is one a minute: from 900 to 3 would be a rollover of modulus - 897.
    assert line.says((0, 900.0), (60, 3.0), (120, 4.0)) == [OK, (SUB_NORMAL, Flag.COUNTER_RESET), OK]
    assert line.counted == [None, None, 1]


def test_a_step_forward_that_no_power_explains_has_no_difference_either() -> None:
    line = counter(2**32, 60.0)
    assert line.says((0, 900.0), (60, 5000.0), (120, 5001.0)) == [OK, (SUB_NORMAL, Flag.COUNTER_RESET), OK]
    assert line.counted == [None, None, 1]


def test_without_a_power_every_step_back_is_a_reset() -> None:
    line = counter(2**16)
    assert line.says((0, 65535.0), (60, 0.0), (120, 60000.0)) == [OK, (SUB_NORMAL, Flag.COUNTER_RESET), OK]
    assert line.counted == [None, None, 60000]


def test_over_a_time_in_which_it_may_have_gone_round_twice_nothing_is_counted() -> None:
    line = counter(2**16, 3600.0)
    hour_s = NS_PER_H / NS_PER_S
    assert line.says((0, 100.0), (18 * hour_s, 64900.0)) == [OK, OK]
    assert line.says((37 * hour_s, 65000.0)) == [(SUB_NORMAL, Flag.COUNTER_RESET)]
    assert line.counted == [None, 64800, None]


def test_a_count_that_its_counter_cannot_show_is_out_of_range() -> None:
    line = counter(10**6, 60.0)
    out = (EU, Flag.OUT_OF_RANGE)
    assert line.says((0, 999_999.0), (60, 1_000_000.0), (120, -1.0), (180, 1.0)) == [OK, out, out, ("Good", Flag.COUNTER_ROLLOVER)]
    assert line.counted == [None, None, None, 2]


def test_whole_counts_of_the_protocol_are_exact_where_floats_are_not() -> None:
    line = counter(2**64, 1e6, type=DataType.UINT64)
    said = [2**64 - 3, 2**64 - 1, 4]
    found = line.says(*((60.0 * k, float(count)) for k, count in enumerate(said)), raw=said)
    assert found == [OK, OK, ("Good", Flag.COUNTER_ROLLOVER)]
    assert line.counted == [None, 2, 5]
    blind = counter(2**64, 1e6, type=DataType.UINT64)
    assert blind.says((0, 2.0**60), (60, 2.0**60 + 4096)) == [OK, OK]
    assert blind.counted == [None, None], "a float does not tell them apart: nothing is counted, nothing is made up"


def test_only_the_points_that_ask_are_judged_and_a_device_without_any_has_no_checks() -> None:
    plain, ranged = modbus_point("a", 0), modbus_point("b", 1, high=1.0)
    assert Checks.of([plain]) is None
    checks = Checks.of([plain, ranged])
    assert checks is not None
    columns = (
        np.array([point_id("a"), point_id("b"), point_id("of another device")], dtype=np.uint64),
        np.full(3, NOON, dtype=np.int64),
        np.full(3, 9e9),
        np.zeros(3, dtype=np.uint32),
        np.full(3, int(Flag.PUSHED), dtype=np.uint16),
    )
    for column in columns:
        column.flags.writeable = False
    judged = checks.judge(*columns)
    assert judged.flags.tolist() == [Flag.PUSHED, Flag.PUSHED | Flag.OUT_OF_RANGE, Flag.PUSHED]
    sound = (columns[0], columns[1], np.zeros(3), columns[3], columns[4])
    again = checks.judge(*sound)
    assert again.quality is columns[3], "nothing found, nothing copied"
    assert again.flags is columns[4]


def test_a_point_that_comes_twice_in_a_frame_is_judged_in_its_order() -> None:
    point = modbus_point("u", 0, period_ns=NS_PER_S, checks=PointChecks(rate_per_s=5.0, counter=CounterCheck(modulus=2**16)))
    checks = Checks([point])
    number = point_id("u")
    judged = checks.judge(
        np.array([number] * 3, dtype=np.uint64),
        NOON + np.arange(3, dtype=np.int64) * NS_PER_S,
        np.array([100.0, 104.0, 300.0]),
        np.zeros(3, dtype=np.uint32),
        np.zeros(3, dtype=np.uint16),
    )
    assert judged.flags.tolist() == [0, 0, Flag.RATE_EXCEEDED]
    assert (judged.differences.place.tolist(), judged.differences.counts.tolist()) == ([1, 2], [4, 196])
