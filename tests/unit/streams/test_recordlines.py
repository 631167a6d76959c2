"""Whatever the schema names is made by an encoder, and every line is what the schema says."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import pytest

from streams.measurements import MEASUREMENTS, FieldType, Measurement
from tests.kit.lineparser import parsed
from tests.kit.market_hour import hour

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
