"""Whose time a sample carries."""

from __future__ import annotations

import numpy as np

from ingest.quality import Flag
from ingest.sourcetime import AHEAD_MAX_NS, NO_TIME, clock_off_ns, settle_source_times
from market.units import NS_PER_DAY, NS_PER_S, instant_ns


def test_a_devices_time_is_kept_unless_it_cannot_be_true() -> None:
    now = instant_ns("2026-06-10T12:00:00Z")
    estimated, suspect = int(Flag.TS_ESTIMATED), int(Flag.TS_ESTIMATED | Flag.CLOCK_SUSPECT)
    cases = [
        (now - NS_PER_S, now - NS_PER_S, 0),
        (now - 30 * NS_PER_DAY, now - 30 * NS_PER_DAY, 0),
        (now + AHEAD_MAX_NS, now + AHEAD_MAX_NS, 0),
        (now + AHEAD_MAX_NS + 1, now, suspect),
        (0, now, suspect),
        (NO_TIME, now, estimated),
    ]
    times, flags = settle_source_times(np.array([claimed for claimed, _, _ in cases], dtype=np.int64), now)
    assert times.tolist() == [settled for _, settled, _ in cases]
    assert flags.tolist() == [flag for _, _, flag in cases]
    assert flags.dtype == np.uint16


def test_how_far_a_wrong_clock_is_off_is_told_by_its_newest_time() -> None:
    now = instant_ns("2026-06-10T12:00:00Z")
    for claimed, off in (
        ([now - NS_PER_S, NO_TIME, now + AHEAD_MAX_NS], 0),
        ([now + 60 * NS_PER_S, now + 50 * NS_PER_S, now], 60 * NS_PER_S),
        ([0, NO_TIME], -now),
    ):
        claimed_ns = np.array(claimed, dtype=np.int64)
        _, flags = settle_source_times(claimed_ns, now)
        assert clock_off_ns(claimed_ns, flags, now) == off
