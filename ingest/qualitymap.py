"""What does each protocol's own word on quality mean as an OPC UA status code and flags?

==================  =========================  =================================================  ==================================
source              Good                       Uncertain                                          Bad
==================  =========================  =================================================  ==================================
IEC 60870-5-104     nothing set;               NT: LastUsableValue;                               IV: Bad
QDS                 SB: Good_LocalOverride,    BL: LastUsableValue, BLOCKED;
                    SUBSTITUTED                OV: EngineeringUnitsExceeded
IEC 61850 q         validity good;             questionable: oldData LastUsableValue,             invalid: failure DeviceFailure,
                    substituted as SB above    outOfRange, overflow EngineeringUnitsExceeded,     else Bad; the reserved code: Bad
                                               inaccurate SubNormal, else Uncertain
Modbus              a reply that answers       –                                                  exception 1, 2, 3, 7
                                                                                                  ConfigurationError; 5, 6, 10, 11
                                                                                                  and silence NoCommunication; any
                                                                                                  other DeviceFailure
SunSpec             implemented                –                                                  not implemented: NotSupported
local checks        –                          stale LastUsableValue; frozen, rate of change,     NaN, infinity: DataUnavailable
                                               counter reset SubNormal; range
                                               EngineeringUnitsExceeded
==================  =========================  =================================================  ==================================

Where a source says several things at once, the worst class decides the status code, and within it LastUsableValue goes before
EngineeringUnitsExceeded before SubNormal; our own checks put the range first. Every flag is kept. Test and operatorBlocked of
IEC 61850 are flags only, as are CY, CA and EI of IEC 60870-5.

The tables of the two IEC protocols are worked out once for every value the field can have, so that a column is mapped by one look-up.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntFlag
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ingest.quality import (
    BAD,
    BAD_CONFIGURATION_ERROR,
    BAD_DATA_UNAVAILABLE,
    BAD_DEVICE_FAILURE,
    BAD_NO_COMMUNICATION,
    GOOD,
    GOOD_LOCAL_OVERRIDE,
    UNCERTAIN,
    UNCERTAIN_EU_EXCEEDED,
    UNCERTAIN_LAST_USABLE,
    UNCERTAIN_SUB_NORMAL,
    Flag,
)

__all__ = [
    "CHECK_QUALITIES",
    "NOT_FINITE",
    "Bcr",
    "Iec61850",
    "Qds",
    "counter_flags",
    "exception_quality",
    "iec61850_quality",
    "qds_quality",
]

CHECK_QUALITIES: Final[Mapping[Flag, int]] = MappingProxyType(
    {
        Flag.OUT_OF_RANGE: UNCERTAIN_EU_EXCEEDED,
        Flag.RATE_EXCEEDED: UNCERTAIN_SUB_NORMAL,
        Flag.FROZEN: UNCERTAIN_SUB_NORMAL,
        Flag.COUNTER_RESET: UNCERTAIN_SUB_NORMAL,
        Flag.STALE: UNCERTAIN_LAST_USABLE,
    }
)
"""What a good sample becomes when a check of ours raises a flag; the earlier one where several do."""

NOT_FINITE: Final = BAD_DATA_UNAVAILABLE
"""What a sample is whose number is none."""

_EXCEPTIONS: Final[Mapping[int, int]] = MappingProxyType(
    {
        1: BAD_CONFIGURATION_ERROR,
        2: BAD_CONFIGURATION_ERROR,
        3: BAD_CONFIGURATION_ERROR,
        5: BAD_NO_COMMUNICATION,
        6: BAD_NO_COMMUNICATION,
        7: BAD_CONFIGURATION_ERROR,
        10: BAD_NO_COMMUNICATION,
        11: BAD_NO_COMMUNICATION,
    }
)


def exception_quality(code: int) -> int:
    """Return the status code for points whose reading ended in a Modbus exception."""
    return _EXCEPTIONS.get(code, BAD_DEVICE_FAILURE)


class Qds(IntFlag):
    """Quality descriptor of IEC 60870-5 (IEC 60870-5-101 §7.2.6.3); SIQ and DIQ have the same upper four bits."""

    OV = 0x01
    """Overflow."""
    BL = 0x10
    """Blocked for transmission."""
    SB = 0x20
    """Substituted."""
    NT = 0x40
    """Not topical."""
    IV = 0x80
    """Invalid."""


class Bcr(IntFlag):
    """What stands beside the sequence number of a binary counter reading (IEC 60870-5-101 §7.2.6.9), and EI of protection events."""

    EI = 0x08
    """Elapsed time invalid; in the descriptor of protection events (§7.2.6.4), where counters have a bit of their sequence number."""
    CY = 0x20
    """The counter overflowed in the period."""
    CA = 0x40
    """The counter was adjusted since the last reading."""
    IV = 0x80
    """Invalid."""


def _qds_table() -> tuple[NDArray[np.uint32], NDArray[np.uint16]]:
    quality = np.full(256, GOOD, dtype=np.uint32)
    flags = np.zeros(256, dtype=np.uint16)
    descriptor = np.arange(256)
    # From the mildest to the worst: what comes later stands.
    for bit, code, flag in (
        (Qds.SB, GOOD_LOCAL_OVERRIDE, Flag.SUBSTITUTED),
        (Qds.OV, UNCERTAIN_EU_EXCEEDED, Flag.NONE),
        (Qds.BL, UNCERTAIN_LAST_USABLE, Flag.BLOCKED),
        (Qds.NT, UNCERTAIN_LAST_USABLE, Flag.NONE),
        (Qds.IV, BAD, Flag.NONE),
    ):
        is_set = (descriptor & bit) != 0
        quality[is_set] = code
        flags[is_set] |= np.uint16(flag)
    return quality, flags


_QDS_QUALITY, _QDS_FLAGS = _qds_table()


def qds_quality(qds: NDArray[np.uint8]) -> tuple[NDArray[np.uint32], NDArray[np.uint16]]:
    """Map quality descriptors of measured values.

    Args:
        qds: (n,) descriptors; of single and double points with the value's own low bits cleared, because bit 0 is OV here.

    Returns:
        (n,) uint32 status codes; (n,) uint16 flags.

    >>> quality, flags = qds_quality(np.array([0x00, 0x20, 0x90], dtype=np.uint8))
    >>> [hex(code) for code in quality.tolist()]
    ['0x0', '0x960000', '0x80000000']
    """
    return _QDS_QUALITY[qds], _QDS_FLAGS[qds]


def counter_flags(descriptor: NDArray[np.uint8], *, of_protection: bool = False) -> NDArray[np.uint16]:
    """Map what stands beside counter readings to flags; their IV is mapped by :func:`qds_quality`.

    Args:
        descriptor: (n,) the last octet of binary counter readings.
        of_protection: the octets are descriptors of protection events, which have EI and no CY or CA.

    Returns:
        (n,) uint16: CY as COUNTER_ROLLOVER, CA as COUNTER_RESET, EI as ELAPSED_INVALID.
    """
    flags = np.zeros(len(descriptor), dtype=np.uint16)
    if of_protection:
        flags[(descriptor & np.uint8(Bcr.EI)) != 0] |= np.uint16(Flag.ELAPSED_INVALID)
        return flags
    flags[(descriptor & np.uint8(Bcr.CY)) != 0] |= np.uint16(Flag.COUNTER_ROLLOVER)
    flags[(descriptor & np.uint8(Bcr.CA)) != 0] |= np.uint16(Flag.COUNTER_RESET)
    return flags


class Iec61850(IntFlag):
    """Quality of IEC 61850-7-3 §6.2; bit k of the bit string of IEC 61850-8-1 has the weight 2**k here.

    Validity is the first two: neither is good, ``INVALID`` alone invalid, both questionable, ``RESERVED`` alone means nothing.
    """

    RESERVED = 1 << 0
    INVALID = 1 << 1
    OVERFLOW = 1 << 2
    OUT_OF_RANGE = 1 << 3
    BAD_REFERENCE = 1 << 4
    OSCILLATORY = 1 << 5
    FAILURE = 1 << 6
    OLD_DATA = 1 << 7
    INCONSISTENT = 1 << 8
    INACCURATE = 1 << 9
    SUBSTITUTED = 1 << 10
    TEST = 1 << 11
    OPERATOR_BLOCKED = 1 << 12


_VALIDITY: Final = int(Iec61850.RESERVED | Iec61850.INVALID)
_DETAILS: Final = 0x3FC
_Q_END: Final = 1 << 13


def _iec61850_table() -> tuple[NDArray[np.uint32], NDArray[np.uint16]]:
    q = np.arange(_Q_END)
    quality = np.full(_Q_END, GOOD, dtype=np.uint32)
    flags = np.zeros(_Q_END, dtype=np.uint16)

    def has(bits: Iec61850) -> NDArray[np.bool_]:
        return np.asarray((q & int(bits)) != 0)

    quality[has(Iec61850.SUBSTITUTED)] = GOOD_LOCAL_OVERRIDE
    # Good with a reason to doubt it contradicts itself; what contradicts itself is not good.
    questionable = ((q & _VALIDITY) == _VALIDITY) | (((q & _VALIDITY) == 0) & ((q & _DETAILS) != 0))
    quality[questionable] = UNCERTAIN
    for bits, code in (
        (Iec61850.INACCURATE, UNCERTAIN_SUB_NORMAL),
        (Iec61850.OUT_OF_RANGE | Iec61850.OVERFLOW, UNCERTAIN_EU_EXCEEDED),
        (Iec61850.OLD_DATA, UNCERTAIN_LAST_USABLE),
    ):
        quality[questionable & has(bits)] = code
    invalid = (q & _VALIDITY) == int(Iec61850.INVALID)
    quality[invalid | ((q & _VALIDITY) == int(Iec61850.RESERVED))] = BAD
    quality[invalid & has(Iec61850.FAILURE)] = BAD_DEVICE_FAILURE
    for bits, flag in (
        (Iec61850.SUBSTITUTED, Flag.SUBSTITUTED),
        (Iec61850.TEST, Flag.TEST),
        (Iec61850.OPERATOR_BLOCKED, Flag.BLOCKED),
    ):
        flags[has(bits)] |= np.uint16(flag)
    return quality, flags


_IEC61850_QUALITY, _IEC61850_FLAGS = _iec61850_table()


def iec61850_quality(q: NDArray[np.uint16]) -> tuple[NDArray[np.uint32], NDArray[np.uint16]]:
    """Map qualities of IEC 61850.

    Args:
        q: (n,) uint16, weighted as in :class:`Iec61850`; bits above the thirteen are ignored.

    Returns:
        (n,) uint32 status codes; (n,) uint16 flags.
    """
    rows = q & np.uint16(_Q_END - 1)
    return _IEC61850_QUALITY[rows], _IEC61850_FLAGS[rows]
