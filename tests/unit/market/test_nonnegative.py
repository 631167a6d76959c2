"""Non-negative combinations: on paper, by proof, and where columns repeat each other."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from market.nonnegative import combine


def test_a_column_that_points_away_is_left_out():
    """Without a sign the best is [−1, 3]; with the second alone, 2.2."""
    found = combine(np.array([[1.0, 1.0], [0.0, 0.5]]), np.array([2.0, 1.5]))
    assert found is not None
    np.testing.assert_allclose(found[0], [0.0, 2.2])
    np.testing.assert_allclose(found[1], np.hypot(0.2, 0.4))


def test_nothing_to_combine_and_nothing_to_reach():
    for shape in ((0, 3), (3, 0)):
        found = combine(np.zeros(shape), np.ones(shape[0]))
        assert found is not None
        assert found[1] == np.sqrt(shape[0])
    found = combine(np.eye(2), np.zeros(2))
    assert found is not None
    assert found[1] == 0.0


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6))
def test_no_column_inside_or_outside_could_help(seed):
    draw = np.random.default_rng(seed)
    columns = draw.integers(-2, 3, (int(draw.integers(1, 7)), int(draw.integers(1, 20)))).astype(float)
    columns[:, draw.random(columns.shape[1]) < 0.2] = columns[:, :1]
    target = draw.integers(-3, 4, len(columns)).astype(float)
    found = combine(columns, target)
    assert found is not None
    weight, distance = found
    rest = target - columns @ weight
    assert (weight >= 0).all()
    assert (columns.T @ rest <= 1e-9).all()
    np.testing.assert_allclose(columns.T[weight > 0] @ rest, 0.0, atol=1e-9)
    np.testing.assert_allclose(distance, np.linalg.norm(rest), atol=1e-12)
