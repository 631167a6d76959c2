"""What a counter counted is told once, to the count, and nothing that it did not count."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.account import LostReason
from ingest.accounting import ledger_of
from ingest.checks import Checks
from ingest.clock import WallClock
from ingest.devices import DataType, ModbusPoint
from ingest.frame import TelemetryFrame, point_id
from ingest.pointchecks import CounterCheck, PointChecks
from ingest.quality import BAD_NO_COMMUNICATION, GOOD, UNCERTAIN_SUBSTITUTE, Flag, quality_name
from ingest.source import Source
from market.units import NS_PER_S
from tests.kit.field import modbus_device, modbus_point

T0 = 1_800_000_000 * NS_PER_S
Reading = tuple[float, float, int]
"""Seconds, value and status code."""


def counter(
    modulus: int = 100, per_s: float | None = 10.0, scale: float = 1.0, name: str = "u/mwh", told: str | None = "u/gained"
) -> ModbusPoint:
    per_h = None if per_s is None else per_s * scale * 3600
    check = CounterCheck(modulus=modulus, max_per_h=per_h, difference=told)
    return modbus_point(name, 0, DataType.UINT16, scale=scale, period_ns=NS_PER_S, checks=PointChecks(counter=check))


class Bench:
    """A source of some points, and every sample it publishes, by point id."""

    def __init__(self, *points: ModbusPoint) -> None:
        self.frames: list[TelemetryFrame] = []
        device = modbus_device(502, *points)
        self.ledger = ledger_of(device)
        self.source = Source("rtu", "1", WallClock(), self.frames.append, Checks.of(points), self.ledger)

    def says(self, *samples: tuple[str, Reading], flags: int = 0) -> None:
        """One frame."""
        self.source.publish(
            np.array([point_id(name) for name, _ in samples], dtype=np.uint64),
            np.array([T0 + round(at_s * NS_PER_S) for _, (at_s, _, _) in samples], dtype=np.int64),
            np.array([value for _, (_, value, _) in samples]),
            np.array([quality for _, (_, _, quality) in samples], dtype=np.uint32),
            np.full(len(samples), flags, dtype=np.uint16),
        )

    def told(self, name: str) -> list[tuple[float, float | None, str, int]]:
        """Seconds, value (None for none), quality and flags of a point's samples."""
        found = []
        for frame in self.frames:
            for row in np.flatnonzero(frame.point == point_id(name)).tolist():
                value = float(frame.value[row])
                at_s = (int(frame.ts_event_ns[row]) - T0) / NS_PER_S
                found.append((at_s, None if math.isnan(value) else value, quality_name(int(frame.quality[row])), int(frame.flags[row])))
        return found


def told_of(readings: Sequence[Reading], point: ModbusPoint) -> list[tuple[float, float | None, str, int]]:
    bench = Bench(point)
    for reading in readings:
        bench.says((point.name, reading))
    return bench.told("u/gained")


ROLLED, RESET = int(Flag.COUNTER_ROLLOVER), int(Flag.COUNTER_RESET)
FIRST = (0, None, "Bad_WaitingForInitialData", 0)


@pytest.mark.parametrize(
    ("readings", "told"),
    [
        ([(0, 5, GOOD), (1, 7, GOOD), (2, 7, GOOD)], [FIRST, (1, 2.0, "Good", 0), (2, 0.0, "Good", 0)]),
        ([(0, 96, GOOD), (1, 3, GOOD)], [FIRST, (1, 7.0, "Good", ROLLED)]),
        # Exchanged: what it shows now says nothing of what was counted, and the next one goes on from there.
        (
            [(0, 60, GOOD), (1, 10, GOOD), (2, 12, GOOD)],
            [FIRST, (1, None, "Bad_DataUnavailable", RESET), (2, 2.0, "Uncertain_SubNormal", 0)],
        ),
        # What is counted while it cannot be read comes with the next reading.
        (
            [(0, 5, GOOD), (1, math.nan, BAD_NO_COMMUNICATION), (2, 9, GOOD)],
            [FIRST, (1, None, "Bad_NoCommunication", 0), (2, 4.0, "Good", 0)],
        ),
        # As good as the worse of both readings.
        (
            [(0, 5, GOOD), (1, 6, UNCERTAIN_SUBSTITUTE), (2, 7, GOOD), (3, 8, GOOD)],
            [FIRST, (1, 1.0, "Uncertain_SubstituteValue", 0), (2, 1.0, "Uncertain_SubstituteValue", 0), (3, 1.0, "Good", 0)],
        ),
        # Of readings that are no newer nothing is told.
        ([(0, 5, GOOD), (2, 9, GOOD), (1, 7, GOOD), (2, 9, GOOD), (3, 10, GOOD)], [FIRST, (2, 4.0, "Good", 0), (3, 1.0, "Good", 0)]),
        # A bad reading dated by us, ahead of a device's clock, costs no count.
        (
            [(0, 5, GOOD), (4, math.nan, BAD_NO_COMMUNICATION), (3, 9, GOOD)],
            [FIRST, (4, None, "Bad_NoCommunication", 0), (3, 4.0, "Good", 0)],
        ),
        ([(0, 5.5, GOOD), (1, 6, GOOD)], [FIRST, (1, None, "Bad_DataUnavailable", 0)]),
    ],
)
def test_each_reading_has_its_difference(readings: list[Reading], told: list[tuple[float, float | None, str, int]]) -> None:
    assert told_of(readings, counter()) == told


def test_without_a_limit_every_step_back_is_a_reset_and_no_giant_difference() -> None:
    told = told_of([(0, 98, GOOD), (1, 1, GOOD)], counter(per_s=None))
    assert told[1][1:] == (None, "Bad_DataUnavailable", RESET)


def test_a_count_that_the_counter_cannot_show_is_not_counted() -> None:
    told = told_of([(0, 5, GOOD), (1, 150, GOOD), (2, 9, GOOD)], counter())
    assert [value for _, value, _, _ in told] == [None, None, 4.0]
    assert told[2][2] == "Good"


def test_only_counters_that_ask_for_it_have_differences_and_flags_are_the_readings(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(counter(), counter(name="v/mwh", told=None), modbus_point("w/kv", 3))
    for at_s, value in ((0, 5.0), (1, 6.0)):
        bench.says(("w/kv", (at_s, 1.0, GOOD)), ("v/mwh", (at_s, value, GOOD)), ("u/mwh", (at_s, value, GOOD)), flags=int(Flag.PUSHED))
    assert [len(frame) for frame in bench.frames] == [4, 4]
    assert bench.told("u/gained")[1] == (1, 1.0, "Good", int(Flag.PUSHED))
    # What is published is accounted for, differences too.
    assert bench.ledger.expected == 8
    assert not bench.ledger.lost[LostReason.NOT_POLLED]


def test_of_several_readings_in_one_frame_each_has_its_difference() -> None:
    bench = Bench(counter())
    bench.says(*(("u/mwh", (at_s, value, GOOD)) for at_s, value in ((0, 5.0), (1, 8.0), (2, 1.0))))
    assert [value for _, value, _, _ in bench.told("u/gained")] == [None, 3.0, None]


@settings(max_examples=50, deadline=None)
@given(
    modulus=st.sampled_from([2**16, 10**4, 2**32]),
    scale=st.sampled_from([1.0, 0.001, 0.1, 1000.0]),
    start=st.integers(0, 2**32),
    steps=st.lists(st.tuples(st.integers(0, 4000), st.booleans()), min_size=1, max_size=30),
)
def test_differences_add_up_to_what_was_counted_whatever_rolled_over_or_was_not_read(
    modulus: int, scale: float, start: int, steps: list[tuple[int, bool]]
) -> None:
    point = counter(modulus, per_s=4000.0, scale=scale)
    bench = Bench(point)
    total, read = start % modulus, start % modulus
    bench.says(("u/mwh", (0, total * scale, GOOD)))
    missed_s = 0
    for at_s, (step, is_read) in enumerate(steps, start=1):
        total += step
        missed_s += 1
        # Over a time in which it may have been full more than once nothing is known: that is no gap to be bridged here.
        if is_read or (missed_s + 2) * 4000 + 2 >= modulus:
            bench.says(("u/mwh", (at_s, total % modulus * scale, GOOD)))
            read, missed_s = total, 0
        else:
            bench.says(("u/mwh", (at_s, math.nan, BAD_NO_COMMUNICATION)))
    told = bench.told("u/gained")
    assert len(told) == len(steps) + 1
    assert not any(flags & RESET for *_, flags in told)
    assert sum(round(value / scale) for _, value, _, _ in told if value is not None) == read - start % modulus
    assert all(value is None or value >= 0 for _, value, _, _ in told)
