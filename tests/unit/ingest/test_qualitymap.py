"""Every protocol's own word on quality, as a status code and flags: the table of the module, row by row."""

from __future__ import annotations

import numpy as np
import pytest

from ingest.modbus import poller
from ingest.quality import GOOD, Flag, is_bad, is_good, quality_name
from ingest.qualitymap import (
    CHECK_QUALITIES,
    NOT_FINITE,
    Bcr,
    Iec61850,
    Qds,
    counter_flags,
    exception_quality,
    iec61850_quality,
    qds_quality,
)

QUESTIONABLE = Iec61850.RESERVED | Iec61850.INVALID
LAST, EU, SUB_NORMAL = "Uncertain_LastUsableValue", "Uncertain_EngineeringUnitsExceeded", "Uncertain_SubNormal"


@pytest.mark.parametrize(
    ("qds", "quality", "flags"),
    [
        (Qds(0), "Good", Flag.NONE),
        (Qds.SB, "Good_LocalOverride", Flag.SUBSTITUTED),
        (Qds.NT, LAST, Flag.NONE),
        (Qds.BL, LAST, Flag.BLOCKED),
        (Qds.OV, EU, Flag.NONE),
        (Qds.IV, "Bad", Flag.NONE),
        (Qds.SB | Qds.NT, LAST, Flag.SUBSTITUTED),
        (Qds.BL | Qds.OV, LAST, Flag.BLOCKED),
        (Qds.SB | Qds.OV, EU, Flag.SUBSTITUTED),
        (Qds.IV | Qds.SB | Qds.BL, "Bad", Flag.SUBSTITUTED | Flag.BLOCKED),
    ],
)
def test_quality_descriptors_of_iec_104(qds: Qds, quality: str, flags: Flag) -> None:
    codes, raised = qds_quality(np.array([int(qds)], dtype=np.uint8))
    assert (quality_name(int(codes[0])), Flag(int(raised[0]))) == (quality, flags)


def test_whatever_descriptor_comes_its_class_is_that_of_its_worst_bit() -> None:
    every = np.arange(256, dtype=np.uint8)
    quality, _ = qds_quality(every)
    assert (is_bad(quality) == ((every & 0x80) != 0)).all()
    assert (is_good(quality) == ((every & 0xD1) == 0)).all(), "bits 1 to 3 are reserved, SB is a value somebody vouches for"


def test_carries_and_adjustments_of_counters_are_flags() -> None:
    told = [0x1F, Bcr.CY | 3, Bcr.CA, Bcr.CY | Bcr.CA, Bcr.EI]
    raised = counter_flags(np.array([int(each) for each in told], dtype=np.uint8))
    both = Flag.COUNTER_ROLLOVER | Flag.COUNTER_RESET
    assert raised.tolist() == [0, Flag.COUNTER_ROLLOVER, Flag.COUNTER_RESET, both, 0]
    assert counter_flags(np.array([Bcr.EI, Bcr.CA], dtype=np.uint8), of_protection=True).tolist() == [Flag.ELAPSED_INVALID, 0]


@pytest.mark.parametrize(
    ("q", "quality", "flags"),
    [
        (Iec61850(0), "Good", Flag.NONE),
        (Iec61850.SUBSTITUTED, "Good_LocalOverride", Flag.SUBSTITUTED),
        (Iec61850.TEST, "Good", Flag.TEST),
        (Iec61850.OPERATOR_BLOCKED, "Good", Flag.BLOCKED),
        (QUESTIONABLE, "Uncertain", Flag.NONE),
        (QUESTIONABLE | Iec61850.OLD_DATA, LAST, Flag.NONE),
        (QUESTIONABLE | Iec61850.INACCURATE, SUB_NORMAL, Flag.NONE),
        (QUESTIONABLE | Iec61850.OUT_OF_RANGE, EU, Flag.NONE),
        (QUESTIONABLE | Iec61850.OVERFLOW, EU, Flag.NONE),
        (QUESTIONABLE | Iec61850.OSCILLATORY | Iec61850.SUBSTITUTED, "Uncertain", Flag.SUBSTITUTED),
        (QUESTIONABLE | Iec61850.INACCURATE | Iec61850.OLD_DATA | Iec61850.OUT_OF_RANGE, LAST, Flag.NONE),
        (Iec61850.OLD_DATA, LAST, Flag.NONE),
        (Iec61850.INVALID, "Bad", Flag.NONE),
        (Iec61850.INVALID | Iec61850.FAILURE | Iec61850.TEST, "Bad_DeviceFailure", Flag.TEST),
        (Iec61850.RESERVED, "Bad", Flag.NONE),
    ],
)
def test_qualities_of_iec_61850(q: Iec61850, quality: str, flags: Flag) -> None:
    codes, raised = iec61850_quality(np.array([int(q)], dtype=np.uint16))
    assert (quality_name(int(codes[0])), Flag(int(raised[0]))) == (quality, flags)


def test_only_a_valid_quality_without_a_doubt_is_good() -> None:
    every = np.arange(1 << 16, dtype=np.uint16)
    quality, _ = iec61850_quality(every)
    assert (is_good(quality) == ((every & 0x3FF) == 0)).all()
    assert (is_bad(quality) == np.isin(every & 3, (int(Iec61850.INVALID), int(Iec61850.RESERVED)))).all()


@pytest.mark.parametrize(
    ("codes", "quality"),
    [
        ((1, 2, 3, 7), "Bad_ConfigurationError"),
        ((4, 8, 9, 200), "Bad_DeviceFailure"),
        ((5, 6, 10, 11), "Bad_NoCommunication"),
    ],
)
def test_exceptions_of_modbus(codes: tuple[int, ...], quality: str) -> None:
    assert {quality_name(exception_quality(code)) for code in codes} == {quality}
    assert poller.exception_quality is exception_quality, "one table"


def test_what_our_own_checks_make_of_a_good_sample() -> None:
    assert {flag: quality_name(code) for flag, code in CHECK_QUALITIES.items()} == {
        Flag.OUT_OF_RANGE: EU,
        Flag.RATE_EXCEEDED: SUB_NORMAL,
        Flag.FROZEN: SUB_NORMAL,
        Flag.COUNTER_RESET: SUB_NORMAL,
        Flag.STALE: LAST,
    }
    assert quality_name(NOT_FINITE) == "Bad_DataUnavailable"
    assert all(code != GOOD for code in CHECK_QUALITIES.values())


def test_flags_keep_the_numbers_they_have_on_the_wire() -> None:
    assert [int(flag) for flag in Flag] == [1 << bit for bit in range(len(Flag))]
    names = [flag.name for flag in Flag]
    assert names[:8] == ["TS_ESTIMATED", "CLOCK_SUSPECT", "SUBSTITUTED", "TEST", "OUT_OF_RANGE", "STALE", "REPLAYED", "PUSHED"]
    assert int(max(Flag)) <= np.iinfo(np.uint16).max
