"""Frames are numbered, samples counted by quality, refusals by reason; a device's absence is one line, its return another."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from ingest.checks import Checks
from ingest.clock import SimulatedClock
from ingest.frame import SAMPLES_MAX, TelemetryFrame, point_id
from ingest.quality import BAD_NO_COMMUNICATION, UNCERTAIN_EU_EXCEEDED, UNCERTAIN_LAST_USABLE, Flag
from ingest.source import Source
from market.units import instant_ns
from tests.kit.field import modbus_point

NOON = instant_ns("2026-06-10T12:00:00Z")


def source() -> tuple[Source, list[TelemetryFrame]]:
    frames: list[TelemetryFrame] = []
    return Source("rtu", "1", SimulatedClock(NOON, 1.0), frames.append), frames


def test_what_a_check_finds_is_published_and_counted_and_the_value_stays() -> None:
    frames: list[TelemetryFrame] = []
    point = modbus_point("u", 0, high=500.0)
    rtu = Source("rtu", "1", SimulatedClock(NOON, 1.0), frames.append, Checks([point]))
    ids, times = np.array([point_id("u")], dtype=np.uint64), np.array([NOON], dtype=np.int64)
    for value in (499.0, 501.0):
        rtu.publish(ids, times, np.array([value]), np.zeros(1, dtype=np.uint32), np.zeros(1, dtype=np.uint16))
    assert [(frame.value[0], frame.quality[0], frame.flags[0]) for frame in frames] == [
        (499.0, 0, 0),
        (501.0, UNCERTAIN_EU_EXCEEDED, Flag.OUT_OF_RANGE),
    ]
    health = rtu.health()
    assert (health.good, health.uncertain, health.flagged) == (1, 1, {"OUT_OF_RANGE": 1})


def publish(into: Source, quality: list[int]) -> None:
    n = len(quality)
    into.publish(
        np.arange(n, dtype=np.uint64),
        np.full(n, NOON, dtype=np.int64),
        np.zeros(n),
        np.array(quality, dtype=np.uint32),
        np.zeros(n, dtype=np.uint16),
    )


def test_samples_are_counted_by_quality() -> None:
    rtu, frames = source()
    publish(rtu, [0, 0, UNCERTAIN_LAST_USABLE, BAD_NO_COMMUNICATION])
    publish(rtu, [0, 0, 0])
    rtu.publish_bad(np.array([1, 2], dtype=np.uint64), BAD_NO_COMMUNICATION)
    rtu.beat()
    health = rtu.health()
    assert (health.good, health.uncertain, health.bad) == (5, 1, 3)
    assert health.last_good_ns is not None
    assert health.last_good_ns >= NOON
    assert [frame.seq for frame in frames] == [0, 1, 2, 3]
    assert [len(frame) for frame in frames] == [4, 3, 2, 0]
    assert np.isnan(frames[2].value).all()
    assert frames[2].flags.tolist() == [Flag.TS_ESTIMATED, Flag.TS_ESTIMATED]


def test_what_exceeds_one_frame_becomes_several() -> None:
    rtu, frames = source()
    publish(rtu, [0] * (2 * SAMPLES_MAX + 1))
    assert [(frame.seq, len(frame)) for frame in frames] == [(0, SAMPLES_MAX), (1, SAMPLES_MAX), (2, 1)]


def test_one_line_when_a_device_goes_and_one_when_it_is_back(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    rtu, _ = source()
    rtu.heard()
    for _ in range(5):
        rtu.unavailable("no reply within 1 s")
    for _ in range(5):
        rtu.heard()
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
    assert rtu.health().available is True
    assert rtu.health().why == "no reply within 1 s"


def test_each_reason_is_logged_once_and_counted_always(caplog: pytest.LogCaptureFixture) -> None:
    rtu, _ = source()
    for _ in range(1000):
        rtu.refuse("transaction", "a late reply")
        rtu.drop("queue_full")
    assert len(caplog.records) == 2
    assert rtu.health().refused == {"transaction": 1000}
    assert rtu.health().dropped == {"queue_full": 1000}
