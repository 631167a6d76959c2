"""When did a sample hold at its device, and can the device's own clock be believed?

A device that gives no time gets ours, marked as an estimate. A device whose time lies ahead of ours, or before such devices were
made, has a wrong clock: its value is kept, its time is not, because a point dated next year would never be found stale.

This is what a single sample tells, so it is judged where the sample is read: whoever stores frames may take their times as they are.
What only a history tells, that a clock was set back, and when a clock began to be wrong, :mod:`streams.sourceclock` finds on the log,
where it is replayed.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from ingest.quality import Flag
from market.units import NS_PER_S, instant_ns

__all__ = ["AHEAD_MAX_NS", "NO_TIME", "clock_off_ns", "settle_source_times"]

AHEAD_MAX_NS: Final = 5 * NS_PER_S
"""How far a device's clock may run ahead of ours: network clocks agree to milliseconds, unsteered ones drift seconds a month."""

NO_TIME: Final = int(np.iinfo(np.int64).min)
"""Stands for a source time that was not given."""

_EARLIEST_NS: Final = instant_ns("2000-01-01T00:00:00Z")


def settle_source_times(claimed_ns: NDArray[np.int64], ts_ingest_ns: int) -> tuple[NDArray[np.int64], NDArray[np.uint16]]:
    """Decide the source times of samples received together.

    Args:
        claimed_ns: (n,) what the device says, UTC ns; NO_TIME where it says nothing.
        ts_ingest_ns: when we received them, UTC ns.

    Returns:
        (n,) int64 source times; (n,) uint16 flags TS_ESTIMATED and CLOCK_SUSPECT.
    """
    absent = claimed_ns == NO_TIME
    suspect = ~absent & ((claimed_ns > ts_ingest_ns + AHEAD_MAX_NS) | (claimed_ns < _EARLIEST_NS))
    ours = absent | suspect
    flags = ours * np.uint16(Flag.TS_ESTIMATED) | suspect * np.uint16(Flag.CLOCK_SUSPECT)
    return np.where(ours, np.int64(ts_ingest_ns), claimed_ns), flags.astype(np.uint16)


def clock_off_ns(claimed_ns: NDArray[np.int64], flags: NDArray[np.uint16], ts_ingest_ns: int) -> int:
    """Return by how much the newest time that was not believed lies ahead of ours, ns (negative: behind); 0 where all were.

    Args:
        claimed_ns: (n,) what the device says, as :func:`settle_source_times` was given it.
        flags: (n,) what that returned.
        ts_ingest_ns: when we received the samples, UTC ns.
    """
    suspect = (flags & np.uint16(Flag.CLOCK_SUSPECT)) != 0
    return int(claimed_ns[suspect].max()) - ts_ingest_ns if suspect.any() else 0
