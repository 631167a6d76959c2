"""Small blocks of a large matrix, and whether their columns say different things."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from market.rowblock import block, independent


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6))
def test_a_block_is_what_the_dense_matrix_has_there(seed):
    draw = np.random.default_rng(seed)
    m, n = draw.integers(1, 9, 2)
    dense = draw.integers(-2, 3, (m, n)).astype(float)
    row, column = draw.permutation(m)[: draw.integers(0, m + 1)], draw.permutation(n)[: draw.integers(0, n + 1)]
    np.testing.assert_array_equal(block(csr_array(dense), row, column), dense[np.ix_(row, column)])


def test_a_matrix_that_is_not_sorted_is_refused():
    rows = csr_array((np.ones(2), np.array([1, 0]), np.array([0, 2])), shape=(1, 2))
    with pytest.raises(ValueError, match="not sorted"):
        block(rows, np.array([0]), np.array([0]))


@pytest.mark.parametrize(
    ("columns", "answer"),
    [
        ([[1.0], [0.3]], True),
        ([[0.0], [0.0]], False),
        ([[1.0, 1.0], [0.3, 0.2]], True),
        ([[1.0, 2.0], [0.3, 0.6]], False),
        ([[1.0, 1.0], [0.3, 0.3 + 1e-6]], False),
        ([[1.0, 1.0]], False),
        ([[1.0, 0.0, 1.0], [0.0, 1.0, 1.0], [1.0, 1.0, 2.0]], False),
    ],
)
def test_columns_are_independent_beyond_doubt_or_not_at_all(columns, answer):
    assert independent(np.array(columns)) is answer


def test_no_columns_are_independent():
    assert independent(np.zeros((3, 0)))
