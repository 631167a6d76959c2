"""Frames become exactly these lines, and every sample is accounted for."""

from __future__ import annotations

import math

import pytest

from ingest.frame import TelemetryFrame, frame_of, heartbeat, point_id
from ingest.points import PointSpec, PointTable
from ingest.quality import BAD, BAD_NO_COMMUNICATION, GOOD, UNCERTAIN_LAST_USABLE
from market.errors import ConfigError
from streams.telemetrylines import Encoded, TelemetryEncoder, series_key

T = 1_781_064_000_123_456_789


def spec(name: str, device: str = "rtu1", area: str = "A") -> PointSpec:
    return PointSpec(name=name, area=area, device=device, period_ns=1_000_000_000)


TABLE = PointTable([spec("unit/G 1/mw"), spec("unit/G 1/mwh"), spec("bus/101/kv"), spec("site/MAIN"), spec("odd")])


def frame(*samples: tuple[str, int, float, int]) -> TelemetryFrame:
    return frame_of("rtu1", "A", 1, T, [(point_id(name), ts, value, quality, 0) for name, ts, value, quality in samples])


def encode(*samples: tuple[str, int, float, int]) -> Encoded:
    return TelemetryEncoder(TABLE).encode(frame(*samples))


def test_quantities_of_one_element_share_a_line() -> None:
    encoded = encode(("unit/G 1/mw", T, 80.0, GOOD), ("bus/101/kv", T, 230.5, GOOD), ("unit/G 1/mwh", T, 12345.0, GOOD))
    assert encoded.data.decode().splitlines() == [
        "telemetry,area=A,dev=rtu1,element=101,kind=bus kv=230.5 1781064000123000000",
        r"telemetry,area=A,dev=rtu1,element=G\ 1,kind=unit mw=80.0,mwh=12345.0 1781064000123000000",
    ]
    assert encoded[1:] == (2, 3, 0, 0)


def test_samples_of_different_instants_are_on_different_lines() -> None:
    encoded = encode(("unit/G 1/mw", T, 80.0, GOOD), ("unit/G 1/mwh", T + 2_000_000, 1.0, GOOD), ("bus/101/kv", T + 1_000_000, 2.0, GOOD))
    assert encoded.data.decode().splitlines() == [
        "telemetry,area=A,dev=rtu1,element=101,kind=bus kv=2.0 1781064000124000000",
        r"telemetry,area=A,dev=rtu1,element=G\ 1,kind=unit mw=80.0 1781064000123000000",
        r"telemetry,area=A,dev=rtu1,element=G\ 1,kind=unit mwh=1.0 1781064000125000000",
    ]
    assert encoded.lines == 3


def test_names_without_a_quantity_are_values() -> None:
    encoded = encode(("site/MAIN", T, 1.0, GOOD), ("odd", T, 2.0, GOOD))
    assert encoded.data.decode().splitlines() == [
        "telemetry,area=A,dev=rtu1,element=MAIN,kind=site value=1.0 1781064000123000000",
        "telemetry,area=A,dev=rtu1,element=odd,kind=other value=2.0 1781064000123000000",
    ]


@pytest.mark.parametrize(
    ("value", "quality", "written"),
    [
        (80.0, GOOD, "mw=80.0"),
        (80.0, UNCERTAIN_LAST_USABLE, "mw=80.0,mw_quality=1083179008i"),
        (80.0, BAD_NO_COMMUNICATION, "mw_quality=2150694912i"),
        (math.nan, BAD_NO_COMMUNICATION, "mw_quality=2150694912i"),
        (math.nan, GOOD, "mw_quality=2147483648i"),
        (math.inf, UNCERTAIN_LAST_USABLE, "mw_quality=2147483648i"),
        (-0.0, GOOD, "mw=-0.0"),
        (1e-7, GOOD, "mw=1e-7"),
    ],
)
def test_what_is_written_of_a_sample(value: float, quality: int, written: str) -> None:
    encoded = encode(("unit/G 1/mw", T, value, quality), ("unit/G 1/mwh", T, 1.0, GOOD))
    assert encoded.data.decode() == rf"telemetry,area=A,dev=rtu1,element=G\ 1,kind=unit {written},mwh=1.0 1781064000123000000" + "\n"
    withheld = int("mw=" not in written)
    assert encoded[1:] == (1, 2 - withheld, withheld, 0)


def test_bad_samples_do_not_spoil_the_next_frame() -> None:
    encoder = TelemetryEncoder(TABLE)
    encoder.encode(frame(("unit/G 1/mw", T, 80.0, BAD)))
    assert b"kind=unit mw=81.0 " in encoder.encode(frame(("unit/G 1/mw", T, 81.0, GOOD))).data


def test_a_source_may_send_other_points_in_the_next_frame() -> None:
    encoder = TelemetryEncoder(TABLE)
    encoder.encode(frame(("unit/G 1/mw", T, 80.0, GOOD)))
    assert b"kv=1.5 " in encoder.encode(frame(("bus/101/kv", T, 1.5, GOOD))).data


def test_of_two_samples_of_one_instant_the_later_is_written_last() -> None:
    encoded = encode(("bus/101/kv", T, 1.0, GOOD), ("bus/101/kv", T + 999, 2.0, GOOD))
    assert [line.split()[1] for line in encoded.data.decode().splitlines()] == ["kv=1.0", "kv=2.0"]


def test_points_that_are_not_listed_are_counted() -> None:
    assert encode(("bus/999/kv", T, 1.0, GOOD), ("bus/101/kv", T, 1.0, GOOD))[1:] == (1, 1, 0, 1)
    assert encode(("bus/999/kv", T, 1.0, GOOD)) == Encoded(b"", 0, 0, 0, 1)


def test_a_heartbeat_has_no_lines() -> None:
    assert TelemetryEncoder(TABLE).encode(heartbeat("rtu1", "A", 1, T)) == Encoded(b"", 0, 0, 0, 0)


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("branch/A-B/from_mw", ("branch", "A-B", "from_mw")),
        ("a/b/c/d", ("a", "b/c", "d")),
        ("a/b/time", ("a", "b", "value_time")),
        ("a/b/area", ("a", "b", "value_area")),
        ("a/b/_x", ("a", "b", "value__x")),
        ("a/b/有功 功率", ("a", "b", "value______")),
        ("a/b/", ("a", "b", "value")),
    ],
)
def test_series_key(name: str, key: tuple[str, str, str]) -> None:
    assert series_key(name) == key


def test_points_that_would_share_a_field_are_refused_by_name() -> None:
    with pytest.raises(ConfigError, match=r"points .* are both field m_w; rename one"):
        TelemetryEncoder(PointTable([spec("unit/G/m w"), spec("unit/G/m_w")]))
    with pytest.raises(ConfigError, match="may not end in _quality"):
        TelemetryEncoder(PointTable([spec("unit/G/mw_quality")]))
