"""Key figures against hand-computed values."""

from __future__ import annotations

import math

import numpy as np
import pytest

from streams import kpis


def test_totals_are_whole_or_absent() -> None:
    assert kpis.total_mw(np.array([1.0, 2.5])) == 3.5
    assert kpis.total_mw(np.array([1.0, np.nan])) is None
    assert kpis.total_mw(np.array([])) is None


def test_frequency_is_the_median_so_one_liar_does_not_move_it() -> None:
    assert kpis.frequency_hz([50.01, 50.02, 61.0]) == 50.02
    assert kpis.frequency_hz([]) is None


def test_availability_counts_what_is_good() -> None:
    assert kpis.availability_pct(np.array([True, True, False, True])) == 75.0
    assert kpis.availability_pct(np.array([], dtype=bool)) is None


def test_freshness_ignores_points_that_never_spoke() -> None:
    ages = np.array([1.0] * 19 + [11.0] + [math.inf])
    assert kpis.freshness_s(ages) == pytest.approx(np.percentile(ages[:-1], 95))


def test_freshness_by_source_is_the_percentile_of_its_own_points() -> None:
    random = np.random.default_rng(7)
    source_of = random.integers(0, 9, 400)
    age_s = random.exponential(5.0, 400)
    age_s[source_of == 3] = math.inf
    age_s[::17] = math.inf
    found = kpis.freshness_s_by_source([f"d{i}" for i in range(10)], source_of, age_s)
    assert (found["d3"], found["d9"]) == (None, None), "never spoke, and has no points"
    for i in (0, 1, 2, 4, 5, 6, 7, 8):
        assert found[f"d{i}"] == pytest.approx(np.percentile(age_s[(source_of == i) & np.isfinite(age_s)], 95), rel=1e-12)
    assert kpis.freshness_s_by_source(["one"], np.array([0]), np.array([3.5])) == {"one": 3.5}
    assert kpis.freshness_s_by_source([], np.zeros(0, dtype=np.int64), np.zeros(0)) == {}


def test_worst_lines_are_sorted_and_leave_out_the_unknown() -> None:
    worst = kpis.worst_lines(["a", "b", "c", "d"], np.array([50.0, -90.0, np.nan, 10.0]), np.array([100.0, 100.0, 1.0, np.inf]), most=2)
    assert [(w.branch, w.flow_mw, w.loading_pct) for w in worst] == [("b", -90.0, 90.0), ("a", 50.0, 50.0)]


def test_every_kpi_is_described_once_in_both_languages() -> None:
    keys = [(k.scope, k.name) for k in kpis.KPIS]
    assert len(keys) == len(set(keys))
    assert all(k.title_en and k.title_zh and k.formula and k.source for k in kpis.KPIS)
    without_unit = {"voltage_outside_buses", "hhi", "hhi_capacity", "rsi", "pivotal_suppliers", "cps_grade", "award_hhi", "lerner"}
    without_unit |= {"suspect_measurements"}
    assert {k.name for k in kpis.KPIS if not k.unit} == without_unit, "counts, grades and indices"


def test_names_wear_their_unit() -> None:
    suffix = {
        "MW": "_mw",
        "MWh": "_mwh",
        "%": "_pct",
        "Hz": "_hz",
        "s": "_s",
        "min": "_min",
        "元/MWh": "_cny_per_mwh",
        "元/h": "_cny_per_h",
    }
    assert [k.name for k in kpis.KPIS if k.unit and not k.name.endswith(suffix[k.unit])] == []
