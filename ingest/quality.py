"""Quality of a sample: OPC UA status codes as the canonical form, and flags for what a status code cannot say.

Every protocol's own notion maps to a status code (OPC 10000-4 §7.39, OPC 10000-8): bad values are never used, uncertain ones with
care. Flags never alter a value; they say what is known about it.
"""

from __future__ import annotations

from enum import IntFlag
from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "BAD",
    "BAD_CONFIGURATION_ERROR",
    "BAD_DATA_UNAVAILABLE",
    "BAD_DEVICE_FAILURE",
    "BAD_NOT_SUPPORTED",
    "BAD_NO_COMMUNICATION",
    "BAD_OUT_OF_SERVICE",
    "BAD_SENSOR_FAILURE",
    "BAD_WAITING_FOR_INITIAL_DATA",
    "GOOD",
    "GOOD_LOCAL_OVERRIDE",
    "UNCERTAIN",
    "UNCERTAIN_EU_EXCEEDED",
    "UNCERTAIN_LAST_USABLE",
    "UNCERTAIN_SUBSTITUTE",
    "UNCERTAIN_SUB_NORMAL",
    "Flag",
    "all_good",
    "is_all_good",
    "is_bad",
    "is_good",
    "quality_name",
]

GOOD: Final = 0x00000000
GOOD_LOCAL_OVERRIDE: Final = 0x00960000
UNCERTAIN: Final = 0x40000000
UNCERTAIN_LAST_USABLE: Final = 0x40900000
UNCERTAIN_SUBSTITUTE: Final = 0x40910000
UNCERTAIN_EU_EXCEEDED: Final = 0x40940000
UNCERTAIN_SUB_NORMAL: Final = 0x40950000
BAD: Final = 0x80000000
BAD_WAITING_FOR_INITIAL_DATA: Final = 0x80320000
BAD_NOT_SUPPORTED: Final = 0x803D0000
BAD_CONFIGURATION_ERROR: Final = 0x80890000
BAD_DEVICE_FAILURE: Final = 0x808B0000
BAD_SENSOR_FAILURE: Final = 0x808C0000
BAD_NO_COMMUNICATION: Final = 0x80310000
BAD_OUT_OF_SERVICE: Final = 0x808D0000
BAD_DATA_UNAVAILABLE: Final = 0x809E0000

_NAMES: Final = {
    GOOD: "Good",
    GOOD_LOCAL_OVERRIDE: "Good_LocalOverride",
    UNCERTAIN: "Uncertain",
    UNCERTAIN_LAST_USABLE: "Uncertain_LastUsableValue",
    UNCERTAIN_SUBSTITUTE: "Uncertain_SubstituteValue",
    UNCERTAIN_EU_EXCEEDED: "Uncertain_EngineeringUnitsExceeded",
    UNCERTAIN_SUB_NORMAL: "Uncertain_SubNormal",
    BAD: "Bad",
    BAD_WAITING_FOR_INITIAL_DATA: "Bad_WaitingForInitialData",
    BAD_NOT_SUPPORTED: "Bad_NotSupported",
    BAD_CONFIGURATION_ERROR: "Bad_ConfigurationError",
    BAD_DEVICE_FAILURE: "Bad_DeviceFailure",
    BAD_SENSOR_FAILURE: "Bad_SensorFailure",
    BAD_NO_COMMUNICATION: "Bad_NoCommunication",
    BAD_OUT_OF_SERVICE: "Bad_OutOfService",
    BAD_DATA_UNAVAILABLE: "Bad_DataUnavailable",
}


class Flag(IntFlag):
    """What a status code cannot say about a sample."""

    NONE = 0
    TS_ESTIMATED = 1 << 0
    """The device has no clock: source time is the middle of request and reply."""
    CLOCK_SUSPECT = 1 << 1
    """The device's own time lies too far from ours; the value is kept."""
    SUBSTITUTED = 1 << 2
    TEST = 1 << 3
    OUT_OF_RANGE = 1 << 4
    STALE = 1 << 5
    REPLAYED = 1 << 6
    """Delivered late, from a store: never mistaken for live."""
    PUSHED = 1 << 7
    """The device sent it unasked."""
    BLOCKED = 1 << 8
    """Held by somebody at the device: the value is the one before that."""
    RATE_EXCEEDED = 1 << 9
    """Further from the last value that was believed than the point can have moved since."""
    FROZEN = 1 << 10
    """The same value, not 0, for longer than the point stays still."""
    COUNTER_ROLLOVER = 1 << 11
    """The counter began at 0 again because it was full; the difference to the reading before is known."""
    COUNTER_RESET = 1 << 12
    """The counter does not continue the reading before: it was set, exchanged or misread; there is no difference to that one."""
    ELAPSED_INVALID = 1 << 13
    """The device says of its own that the time it measured is wrong."""


_all_good: dict[int, NDArray[np.uint32]] = {}
"""By how many."""


def all_good(n: int) -> NDArray[np.uint32]:
    """Return (n,) Good, which cannot be written to: all frames of that many good samples share it."""
    good = _all_good.get(n)
    if good is None:
        good = _all_good[n] = np.full(n, GOOD, dtype=np.uint32)
        good.flags.writeable = False
    return good


def is_all_good(quality: NDArray[np.uint32]) -> bool:
    """Return whether every sample is Good, without any substatus; of a column of :func:`all_good` nothing needs to be looked at."""
    return quality is _all_good.get(len(quality)) or not np.count_nonzero(quality)


def is_good(quality: NDArray[np.uint32]) -> NDArray[np.bool_]:
    """Return, per sample, whether the status code is Good (top two bits 00)."""
    return np.asarray(quality >> np.uint32(30) == 0)


def is_bad(quality: NDArray[np.uint32]) -> NDArray[np.bool_]:
    """Return, per sample, whether the status code is Bad (top bit set)."""
    return np.asarray(quality >> np.uint32(31) == 1)


def quality_name(quality: int) -> str:
    """Name a status code as OPC UA does, or its class and number where it is not one we produce.

    >>> quality_name(0x80310000)
    'Bad_NoCommunication'
    >>> quality_name(0x80AB0000)
    'Bad_0x80AB0000'
    """
    if quality in _NAMES:
        return _NAMES[quality]
    return f"{('Good', 'Uncertain', 'Bad', 'Bad')[quality >> 30]}_0x{quality:08X}"
