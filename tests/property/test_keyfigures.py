"""What key figures keep whatever the numbers: their range, their order, and that they do not depend on units."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams import adequacy, kpis
from streams.marketfigures import lerner

sellers = st.lists(st.tuples(st.floats(1.0, 1500.0), st.floats(0.0, 1.0), st.floats(1.0, 500.0)), min_size=1, max_size=8)
machines = st.lists(st.tuples(st.floats(0.0, 500.0), st.floats(0.0, 500.0), st.floats(0.0, 50.0)), min_size=1, max_size=8)
points = st.lists(st.tuples(st.integers(0, 4), st.floats(0.0, 1e4) | st.just(np.inf)), max_size=60)


@given(sellers, st.floats(0.01, 100.0))
def test_lerner_is_between_none_and_all_of_the_price_in_any_money_and_any_unit_of_power(
    found: list[tuple[float, float, float]], scale: float
) -> None:
    paid, share, output_mw = (np.array(column) for column in zip(*found, strict=True))
    index = lerner(paid, paid * share, output_mw)
    assert index is not None
    assert -1e-9 <= index <= 1.0 + 1e-9
    assert lerner(paid * scale, paid * share * scale, output_mw) == pytest.approx(index)
    assert lerner(paid, paid * share, output_mw * scale) == pytest.approx(index)


@given(machines)
def test_more_time_is_never_less_reserve(found: list[tuple[float, float, float]]) -> None:
    available_mw, output_mw, ramp = (np.array(column) for column in zip(*found, strict=True))
    ten, thirty = (adequacy.deliverable_mw(available_mw, output_mw, ramp, minutes) for minutes in (10.0, 30.0))
    assert (ten >= 0).all()
    assert (ten <= thirty).all()
    assert (thirty <= np.maximum(available_mw - output_mw, 0.0)).all()


@given(points)
def test_the_freshness_of_a_source_is_the_percentile_of_its_own_ages(found: list[tuple[int, float]]) -> None:
    source_of = np.array([source for source, _ in found], dtype=np.int64)
    age_s = np.array([age for _, age in found])
    fresh = kpis.freshness_s_by_source(list("abcde"), source_of, age_s)
    for number, name in enumerate("abcde"):
        own = age_s[(source_of == number) & np.isfinite(age_s)] if found else age_s
        expected = np.percentile(own, 95) if len(own) else None
        assert fresh[name] == (None if expected is None else pytest.approx(expected, rel=1e-9, abs=1e-9))
