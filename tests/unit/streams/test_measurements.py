"""The schema keeps the rules that make its lines acceptable to InfluxDB 1.8+, 2.x and 3 Core."""

from __future__ import annotations

import re

import pytest

from streams.kpis import KPIS
from streams.measurements import KPI, KPI_AREA, MEASUREMENTS, FieldType, Measurement

PORTABLE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
CHINESE = re.compile(r"[\u4e00-\u9fff]")

pytestmark = pytest.mark.parametrize("measurement", MEASUREMENTS, ids=lambda measurement: measurement.name)


def test_names_are_portable_and_none_is_time(measurement: Measurement) -> None:
    names = [measurement.name, *(tag.name for tag in measurement.tags), *(field.name for field in measurement.fields)]
    assert [name for name in names if not PORTABLE.fullmatch(name) or name == "time"] == []


def test_no_tag_shares_its_name_with_a_field(measurement: Measurement) -> None:
    columns = [*(tag.name for tag in measurement.tags), *(field.name for field in measurement.fields)]
    assert len(columns) == len(set(columns))


def test_tags_are_in_the_order_of_their_names(measurement: Measurement) -> None:
    names = [tag.name for tag in measurement.tags]
    assert names == sorted(names)


def test_tags_say_what_bounds_them(measurement: Measurement) -> None:
    assert all(tag.bounded_by for tag in measurement.tags)


def test_everything_is_named_in_both_languages(measurement: Measurement) -> None:
    titled = [measurement, *measurement.tags, *measurement.fields]
    assert [item.name for item in titled if not item.title_en or CHINESE.search(item.title_en)] == []
    # CPS1 and LMP-like abbreviations are the same in both.
    assert [item.name for item in titled if not CHINESE.search(item.title_zh) and item.title_zh != item.title_en] == []


def test_only_floats_have_units(measurement: Measurement) -> None:
    assert [field.name for field in measurement.fields if field.unit and field.type is not FieldType.FLOAT] == []


def test_key_figures_are_fields_of_their_scope(measurement: Measurement) -> None:
    names = {"system": {field.name for field in KPI.fields}, "area": {field.name for field in KPI_AREA.fields}}
    assert [kpi.name for kpi in KPIS if kpi.name not in names[kpi.scope]] == []
