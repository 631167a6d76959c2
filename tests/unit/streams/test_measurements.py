"""The schema keeps the rules that make its lines acceptable to InfluxDB 1.8+, 2.x and 3 Core."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from market.certificate import TOLERANCES
from streams.kpis import KPIS
from streams.measurements import CERTIFICATE, KPI, KPI_AREA, MEASUREMENTS, TELEMETRY, TELEMETRY_1M, FieldType, Measurement
from streams.schemadoc import document

PORTABLE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
CHINESE = re.compile(r"[\u4e00-\u9fff]")

each_measurement = pytest.mark.parametrize("measurement", MEASUREMENTS, ids=lambda measurement: measurement.name)

ROOT = Path(__file__).parents[3]


@each_measurement
def test_names_are_portable_and_none_is_time(measurement: Measurement) -> None:
    names = [measurement.name, *(tag.name for tag in measurement.tags), *(field.name for field in measurement.fields)]
    assert [name for name in names if not PORTABLE.fullmatch(name) or name == "time"] == []


@each_measurement
def test_no_tag_shares_its_name_with_a_field(measurement: Measurement) -> None:
    columns = [*(tag.name for tag in measurement.tags), *(field.name for field in measurement.fields)]
    assert len(columns) == len(set(columns))


@each_measurement
def test_tags_are_in_the_order_of_their_names(measurement: Measurement) -> None:
    names = [tag.name for tag in measurement.tags]
    assert names == sorted(names)


@each_measurement
def test_tags_say_what_bounds_them(measurement: Measurement) -> None:
    assert all(tag.bounded_by for tag in measurement.tags)


@each_measurement
def test_everything_is_named_in_both_languages(measurement: Measurement) -> None:
    titled = [measurement, *measurement.tags, *measurement.fields]
    assert [item.name for item in titled if not item.title_en or CHINESE.search(item.title_en)] == []
    # CPS1 and LMP-like abbreviations are the same in both.
    assert [item.name for item in titled if not CHINESE.search(item.title_zh) and item.title_zh != item.title_en] == []


@each_measurement
def test_only_floats_have_units(measurement: Measurement) -> None:
    assert [field.name for field in measurement.fields if field.unit and field.type is not FieldType.FLOAT] == []


def test_key_figures_are_fields_of_their_scope() -> None:
    names = {"system": {field.name for field in KPI.fields}, "area": {field.name for field in KPI_AREA.fields}}
    assert [kpi.name for kpi in KPIS if kpi.name not in names[kpi.scope]] == []


def test_every_residual_of_a_certificate_is_a_field() -> None:
    assert {field.name for field in CERTIFICATE.fields} == {*TOLERANCES, "range_widened_mw", "passed"}


def test_a_roll_up_has_the_tags_of_telemetry_and_five_fields_for_each_quantity() -> None:
    assert TELEMETRY_1M.tags == TELEMETRY.tags
    names = [field.name for field in TELEMETRY_1M.fields]
    assert names[:5] == ["mw", "mw_min", "mw_max", "mw_last", "mw_n"]
    assert len(names) == 5 * len(TELEMETRY.fields) + 1
    assert all(TELEMETRY_1M.field(field.name).unit == field.unit for field in TELEMETRY.fields)


def test_measurements_have_names_of_their_own() -> None:
    names = [measurement.name for measurement in MEASUREMENTS]
    assert len(names) == len(set(names))


def test_the_documentation_is_drawn_from_the_schema() -> None:
    written = (ROOT / "docs" / "measurements.md").read_text(encoding="utf-8")
    assert written == document(), "docs/measurements.md is out of date: write it anew with python scripts/measurements.py"
