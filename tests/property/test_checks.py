"""Judging columns says what judging each sample by itself would say, alters no value, and counts to the last count."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.checks import Checks
from ingest.devices import ModbusPoint
from ingest.frame import point_id
from ingest.movement import CONFIRMED_BY
from ingest.pointchecks import CounterCheck, PointChecks
from ingest.quality import BAD_NO_COMMUNICATION, GOOD, UNCERTAIN_EU_EXCEEDED, UNCERTAIN_SUB_NORMAL, UNCERTAIN_SUBSTITUTE, Flag
from ingest.qualitymap import NOT_FINITE
from market.units import NS_PER_H, NS_PER_S
from tests.kit.field import modbus_point

NAMES = tuple("abcde")
SAMPLE = st.tuples(
    st.sampled_from(NAMES),
    st.integers(0, 40),
    st.one_of(st.integers(-3, 40).map(float), st.sampled_from([np.nan, np.inf, 1e300, 7.5])),
    st.sampled_from([GOOD] * 6 + [UNCERTAIN_SUBSTITUTE, BAD_NO_COMMUNICATION]),
)
Sample = tuple[str, int, float, int]
FRAMES = st.lists(st.lists(SAMPLE, min_size=1, max_size=7), min_size=1, max_size=8)
POINTS = st.tuples(
    *(
        st.builds(
            lambda name, low, high, rate, frozen, counter, every, scale: modbus_point(
                name,
                0,
                low=low,
                high=high,
                scale=scale,
                period_ns=every * NS_PER_S,
                checks=PointChecks(rate_per_s=rate, frozen_ns=frozen, counter=counter),
            ),
            st.just(name),
            st.sampled_from([None, 0.0]),
            st.sampled_from([None, 20.0]),
            st.sampled_from([None, 1.5, 5.0]),
            st.sampled_from([None, 3 * NS_PER_S]),
            st.sampled_from([None, CounterCheck(modulus=32), CounterCheck(modulus=32, max_per_h=2.0 * 3600)]),
            st.sampled_from([1, 4]),
            st.sampled_from([1.0, 0.5]),
        )
        for name in NAMES
    )
)


@dataclass
class Plain:
    """The same checks of one point, one sample at a time, written as one would explain them."""

    point: ModbusPoint
    believed: tuple[int, float] | None = None
    agreed: int = -1
    shown: tuple[int, float] | None = None
    since_ns: int = 0
    counted: tuple[int, int] | None = None

    def judge(self, ts_ns: int, value: float, quality: int) -> tuple[int, Flag, int | None]:
        if quality >> 31:
            return quality, Flag.NONE, None
        if not np.isfinite(value):
            return NOT_FINITE, Flag.NONE, None
        flags, step = Flag.NONE, None
        if (self.point.low is not None and value < self.point.low) or (self.point.high is not None and value > self.point.high * 1.000001):
            flags |= Flag.OUT_OF_RANGE
        else:
            told, step = self._counter(ts_ns, value)
            flags |= told
        if Flag.OUT_OF_RANGE not in flags:
            flags |= self._rate(ts_ns, value) | self._frozen(ts_ns, value)
        if quality == GOOD and Flag.OUT_OF_RANGE in flags:
            quality = UNCERTAIN_EU_EXCEEDED
        elif quality == GOOD and flags & (Flag.RATE_EXCEEDED | Flag.FROZEN | Flag.COUNTER_RESET):
            quality = UNCERTAIN_SUB_NORMAL
        return quality, flags, step

    def _reaches(self, origin: tuple[int, float] | None, ts_ns: int, value: float) -> bool:
        assert self.point.checks is not None
        per_s = self.point.checks.rate_per_s
        assert per_s is not None
        assert origin is not None
        return abs(value - origin[1]) <= max(ts_ns - origin[0], self.point.period_ns) * (per_s / NS_PER_S)

    def _rate(self, ts_ns: int, value: float) -> Flag:
        assert self.point.checks is not None
        if self.point.checks.rate_per_s is None:
            return Flag.NONE
        if self.shown is not None and ts_ns <= self.shown[0]:
            doubted = self.agreed >= 0 and self.believed is not None and ts_ns > self.believed[0]
            return Flag.RATE_EXCEEDED if doubted and not self._reaches(self.believed, ts_ns, value) else Flag.NONE
        if self.believed is not None and not self._reaches(self.believed, ts_ns, value):
            self.agreed = self.agreed + 1 if self.agreed >= 0 and self._reaches(self.shown, ts_ns, value) else 0
            if self.agreed < CONFIRMED_BY:
                return Flag.RATE_EXCEEDED
        self.believed, self.agreed = (ts_ns, value), -1
        return Flag.NONE

    def _frozen(self, ts_ns: int, value: float) -> Flag:
        assert self.point.checks is not None
        limit_ns = self.point.checks.frozen_ns
        if self.shown is not None and ts_ns <= self.shown[0]:
            still = value == self.shown[1] and ts_ns >= self.since_ns
        else:
            if self.shown is None or self.shown[1] != value:
                self.since_ns = ts_ns
            self.shown, still = (ts_ns, value), True
        return Flag.FROZEN if limit_ns is not None and still and value != 0 and ts_ns - self.since_ns >= limit_ns else Flag.NONE

    def _counter(self, ts_ns: int, value: float) -> tuple[Flag, int | None]:
        assert self.point.checks is not None
        check = self.point.checks.counter
        if check is None:
            return Flag.NONE, None
        count = value / self.point.scale
        if not 0 <= round(count) < check.modulus:
            return Flag.OUT_OF_RANGE, None
        if count != int(count):
            return Flag.NONE, None
        before = self.counted
        if before is not None and ts_ns <= before[0]:
            return Flag.NONE, None
        self.counted = ts_ns, int(count)
        if before is None:
            return Flag.NONE, None
        step, back = (int(count) - before[1]) % check.modulus, int(count) < before[1]
        if check.max_per_h is None:
            return (Flag.COUNTER_RESET, None) if back else (Flag.NONE, step)
        per_ns = check.max_per_h / self.point.scale / NS_PER_H
        most = (ts_ns - before[0] + self.point.period_ns) * per_ns + 1
        if step > most or most >= check.modulus:
            return Flag.COUNTER_RESET, None
        return (Flag.COUNTER_ROLLOVER if back else Flag.NONE), step


@settings(deadline=None)
@given(POINTS, FRAMES)
def test_columns_are_judged_as_single_samples_are(points: tuple[ModbusPoint, ...], frames: list[list[Sample]]) -> None:
    checks = Checks(points)
    plain = {point.name: Plain(point) for point in points}
    start_ns = 1_800_000_000 * NS_PER_S
    for samples in frames:
        names, at_s, values, qualities = zip(*samples, strict=True)
        value = np.array(values)
        columns = (
            np.array([point_id(name) for name in names], dtype=np.uint64),
            start_ns + np.array(at_s, dtype=np.int64) * NS_PER_S,
            value,
            np.array(qualities, dtype=np.uint32),
            np.full(len(samples), int(Flag.PUSHED), dtype=np.uint16),
        )
        before = [column.tobytes() for column in columns]
        judged = checks.judge(*columns)
        assert [column.tobytes() for column in columns] == before, "no column is written to"
        expected = [plain[name].judge(start_ns + at * NS_PER_S, said, quality) for name, at, said, quality in samples]
        assert judged.quality.tolist() == [quality for quality, _, _ in expected]
        assert judged.flags.tolist() == [int(flags | Flag.PUSHED) for _, flags, _ in expected]
        steps = dict(zip(judged.differences.place.tolist(), judged.differences.counts.tolist(), strict=True))
        assert steps == {place: step for place, (_, _, step) in enumerate(expected) if step is not None}


@given(
    st.sampled_from([2**16, 2**32, 2**48, 10**4, 10**8, 10**12]),
    st.sampled_from([1.0, 0.001, 0.01, 0.1, 1 / 3, 1000.0, -0.01]),
    st.sampled_from([0.0, 5.0, -17.25]),
    st.integers(0, 2**48 - 1),
    st.integers(0, 1000),
)
def test_what_was_counted_is_exact_whatever_the_scale(modulus: int, scale: float, offset: float, first: int, step: int) -> None:
    check = PointChecks(counter=CounterCheck(modulus=modulus, max_per_h=1000 * abs(scale)))
    point = modbus_point("u", 0, period_ns=3600 * NS_PER_S, scale=scale, offset=offset, checks=check)
    checks = Checks([point])
    start_ns, counts = 1_800_000_000 * NS_PER_S, [first % modulus, (first % modulus + step) % modulus]
    said = []
    for hour, count in enumerate(counts):
        judged = checks.judge(
            np.array([point_id("u")], dtype=np.uint64),
            np.array([start_ns + hour * NS_PER_H], dtype=np.int64),
            np.array([count * scale + offset]),
            np.zeros(1, dtype=np.uint32),
            np.zeros(1, dtype=np.uint16),
        )
        said.append((judged.differences.counts.tolist(), Flag(int(judged.flags[0]))))
    rolled = Flag.COUNTER_ROLLOVER if counts[1] < counts[0] else Flag.NONE
    assert said == [([], Flag.NONE), ([step], rolled)]
