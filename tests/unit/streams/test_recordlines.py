"""Whatever the schema names is made by an encoder, and every line is what the schema says."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import Any

import pytest

from ingest.points import PointTable
from market.units import NS_PER_MIN
from streams.measurements import MEASUREMENTS, FieldType, Measurement
from streams.recordlines import RecordLines
from streams.telemetrylines import TelemetryEncoder
from tests.kit.lineparser import parsed
from tests.kit.market_hour import hour
from tests.unit.streams.test_indicative import CLEARED, FIVE_MIN, PLACES, PRICE

NEVER_IN_THIS_HOUR = {
    "telemetry": {"available_mw", "setpoint_mw", "mwh", "to_mw", "to", "hz", "interchange_mw", "value"},
    "telemetry_1m": {"available_mw", "setpoint_mw", "mwh", "to_mw", "to", "hz", "interchange_mw", "value"},
}
"""Quantities whose points the hour has not; every other field of the schema is on some line of it."""

PYTHON = {FieldType.FLOAT: float, FieldType.INT: int, FieldType.TEXT: str}

Lines = dict[str, list[dict[str, Any]]]


@pytest.fixture(scope="module")
def lines() -> Lines:
    found: Lines = defaultdict(list)
    for line in parsed(hour()):
        found[line["measurement"]].append(line)
    return found


def test_no_line_is_of_a_measurement_that_the_schema_does_not_name(lines: Lines) -> None:
    assert set(lines) <= {measurement.name for measurement in MEASUREMENTS}


@pytest.mark.parametrize("measurement", MEASUREMENTS, ids=lambda measurement: measurement.name)
def test_every_measurement_is_written_with_all_its_tags_and_fields(measurement: Measurement, lines: Lines) -> None:
    of_it = lines[measurement.name]
    assert of_it, "no encoder writes it"
    tags = {tag.name for tag in measurement.tags}
    assert all(tags <= line.keys() for line in of_it)
    written = {name for line in of_it for name in line.keys() - tags - {"measurement", "time"}}
    absent = NEVER_IN_THIS_HOUR.get(measurement.name, set())
    absent |= {f"{name}{suffix}" for name in absent for suffix in ("_min", "_max", "_last", "_n")}
    assert {field.name for field in measurement.fields} - written - absent == set()
    if not measurement.open_fields:
        assert written <= {field.name for field in measurement.fields}


@pytest.mark.parametrize("measurement", MEASUREMENTS, ids=lambda measurement: measurement.name)
def test_every_field_is_of_its_declared_type(measurement: Measurement, lines: Lines) -> None:
    kinds = {field.name: PYTHON[field.type] for field in measurement.fields}
    wrong = [
        (name, value) for line in lines[measurement.name] for name, value in line.items() if type(value) is not kinds.get(name, type(value))
    ]
    assert wrong == []


def test_no_two_lines_of_one_series_and_instant_say_different_things() -> None:
    """Two lines may make one point, each with fields of its own; no field has two values."""
    seen: dict[tuple[Any, ...], Any] = {}
    for measurement in MEASUREMENTS:
        tags = sorted(tag.name for tag in measurement.tags)
        for line in (line for line in parsed(hour()) if line["measurement"] == measurement.name):
            series = (measurement.name, *(line[tag] for tag in tags), line["time"])
            for name, value in line.items():
                assert seen.setdefault((*series, name), value) == value


def amounts_of(*records: Any) -> list[dict[str, Any]]:
    made = RecordLines(TelemetryEncoder(PointTable([])), "Asia/Shanghai", places=PLACES, interval_ns=FIVE_MIN)
    return [line for record in records for line in parsed(made.of_record(record)) if line["measurement"] == "settlement"]


def test_an_interval_comes_to_the_same_whether_its_price_or_its_result_is_shown_first() -> None:
    assert amounts_of(CLEARED, PRICE) == amounts_of(PRICE, CLEARED) != []
    later = replace(PRICE, interval_start_ns=2 * FIVE_MIN, rev=1)
    assert amounts_of(CLEARED, later) == amounts_of(later, CLEARED) != []
    assert amounts_of(PRICE, CLEARED, CLEARED) == amounts_of(PRICE, CLEARED), "once"


def test_prices_of_intervals_that_never_have_a_result_are_not_remembered_for_ever() -> None:
    made = RecordLines(TelemetryEncoder(PointTable([])), "Asia/Shanghai", places=PLACES, interval_ns=FIVE_MIN)
    for number in range(2_000):
        made.of_record(replace(PRICE, interval_start_ns=number * NS_PER_MIN, clearing_start_ns=None))
    assert len(made._unsettled) < 1_100
