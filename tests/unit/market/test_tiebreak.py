"""Equals share in proportion to what they offer, whatever their order, and no limit is broken for it."""

from __future__ import annotations

import highspy
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import linprog
from scipy.sparse import csr_array, vstack

from market.tiebreak import fair_share, optimal_face

Array = NDArray[np.float64]


def share(x: ArrayLike, upper: ArrayLike, weight: ArrayLike, rows: ArrayLike, low: ArrayLike, high: ArrayLike) -> Array | None:
    x, upper, weight, low, high = (np.array(each, float) for each in (x, upper, weight, low, high))
    return fair_share(x, upper, weight, csr_array(np.atleast_2d(np.array(rows, float))), low, high)


def instance(seed: int, spread: float) -> tuple[Array, Array, Array, Array, Array, Array]:
    """A balance and random rows: equalities, limits that bind, limits that do not; redundant rows, narrow and endless columns."""
    draw = np.random.default_rng(seed)
    n, m = int(draw.integers(1, 40)), int(draw.integers(1, 10))
    weight = 20 * 10 ** draw.uniform(-spread / 2, spread / 2, n)
    upper = weight * draw.choice([1.0, 1.0, 0.5, 2.0, 0.0, np.inf], n)
    rows = draw.normal(size=(m, n)) * (draw.random((m, n)) < 0.7)
    rows[0] = 1.0
    if m > 3:
        rows[m - 1], rows[m - 2] = 2 * rows[1], rows[0] + rows[1]
    x = np.where(np.isfinite(upper), upper, 2 * weight) * np.clip(draw.uniform(-0.3, 1.3, n), 0, 1)
    made = rows @ x
    room = 0.1 * np.abs(rows) @ np.minimum(upper, 2 * weight) * draw.choice([0.0, 0.2, 1.0], m)
    kind = draw.integers(4, size=m)
    kind[0] = 0
    low = np.where(kind == 0, made, np.where(kind == 1, -np.inf, made - room))
    high = np.where(kind == 0, made, np.where(kind == 2, np.inf, made + room))
    return x, upper, weight, rows, low, high


def distance(columns: Array, target: Array) -> float:
    """How near a non-negative combination of columns comes to a vector, by its largest component; by a linear program."""
    r, p = columns.shape
    one = np.ones((r, 1))
    both = np.block([[columns, -one], [-columns, -one]]) if r else np.zeros((0, p + 1))
    solved = linprog(np.append(np.zeros(p), 1.0), A_ub=both, b_ub=np.concatenate([target, -target]))
    assert solved.status == 0
    return float(solved.fun)


def residual(x: Array, upper: Array, weight: Array, rows: Array, low: Array, high: Array) -> float:
    """How far the gradient is from what rows and bounds at their limits can hold, relative; 0 at the optimum and only there."""
    made, near = rows @ x, 1e-6
    slack = near * (1 + np.abs(made))
    held = [rows[made <= low + slack], -rows[made >= high - slack]]
    unit = np.eye(len(x))
    held += [unit[x <= near * weight], -unit[x >= upper - near * weight]]
    hold = np.concatenate(held).T
    length = np.linalg.norm(hold, axis=0)
    hold = hold[:, length > 0] / length[length > 0]
    gradient = x / weight
    return distance(hold, gradient) / (1 + np.linalg.norm(gradient))


def test_equals_at_one_place_are_awarded_in_proportion_to_what_they_offered():
    got = share([60, 0, 0], [60, 30, 10], [60, 30, 10], [1, 1, 1], [60], [60])
    np.testing.assert_allclose(got, [36.0, 18.0, 6.0], rtol=1e-12)


def test_who_is_full_leaves_the_rest_to_the_others():
    got = share([20, 40, 0], [20, 100, 100], [100, 100, 100], [1, 1, 1], [80], [80])
    np.testing.assert_allclose(got, [20.0, 30.0, 30.0], rtol=1e-12)


def test_a_line_that_plain_proportion_would_overload_is_kept():
    """Two units of 100 MW share 100 MW; a line takes 30 MW of the second's share at most."""
    got = share([90, 10], [100, 100], [100, 100], [[1, 1], [0, 1]], [100, -np.inf], [100, 30])
    np.testing.assert_allclose(got, [70.0, 30.0], rtol=1e-12)


def test_a_line_that_does_not_bind_changes_nothing():
    got = share([90, 10], [100, 100], [100, 100], [[1, 1], [0, 1]], [100, -np.inf], [100, 60])
    np.testing.assert_allclose(got, [50.0, 50.0], rtol=1e-12)


@pytest.mark.parametrize("order", [[0, 1], [1, 0]])
def test_of_two_lines_that_say_the_same_the_narrower_decides(order):
    rows, high = np.array([[0.0, 1.0], [0.0, 2.0]]), np.array([30.0, 40.0])
    got = share([90, 10], [100, 100], [100, 100], [[1, 1], *rows[order]], [100, -np.inf, -np.inf], [100, *high[order]])
    np.testing.assert_allclose(got, [80.0, 20.0], rtol=1e-9)


@pytest.mark.parametrize("apart", [1e-4, 1e-6, 1e-7, 1e-9, 1e-12, 0.0])
def test_two_priced_lines_that_are_all_but_the_same_are_met_both(apart):
    """Parallel circuits: their factors differ in a late digit, and both stand at their limits."""
    draw = np.random.default_rng(3)
    upper = draw.uniform(5, 100, 20)
    line = draw.uniform(-0.5, 0.5, 20)
    rows = np.array([np.ones(20), line, line + apart * draw.normal(size=20)])
    x = upper * (draw.random(20) < 0.5)
    made = rows @ x
    got = share(x, upper, upper, rows, made, made)
    assert got is not None
    np.testing.assert_allclose(rows @ got, made, atol=1e-6)
    mixed = draw.permutation(20)
    again = share(x[mixed], upper[mixed], upper[mixed], rows[::-1, mixed], made[::-1], made[::-1])
    np.testing.assert_allclose(again, got[mixed], atol=1e-6)


def test_nothing_wanted_is_nothing_awarded():
    np.testing.assert_array_equal(share([0, 0], [5, 5], [1, 1], [1, 1], [0], [0]), [0.0, 0.0])


def test_all_that_there_is_can_be_wanted():
    np.testing.assert_allclose(share([5, 7], [5, 7], [1, 10], [1, 1], [12], [12]), [5.0, 7.0], rtol=1e-9)


def test_a_dispatch_that_misses_the_rows_by_the_solvers_tolerance_is_still_shared():
    got = share([5, 7], [5, 7], [1, 10], [[1, 1], [1, 1]], [12 + 1e-7, 12 - 1e-7], [12 + 1e-7, 12 - 1e-7])
    np.testing.assert_allclose(got, [5.0, 7.0], atol=1e-6)


def test_rows_that_no_columns_meet_are_no_answer():
    assert share([5, 7], [5, 7], [1, 1], [1, 1], [13], [13]) is None


def test_a_share_that_is_no_positive_number_is_named():
    with pytest.raises(ValueError, match="column 1 has the weight 0"):
        share([1, 1], [2, 2], [1, 0], [1, 1], [2], [2])


@settings(max_examples=15, deadline=None, derandomize=True)  # one instance in some thousand ends at the limit of steps
@given(st.integers(0, 10**6), st.sampled_from([1.0, 6.0]))
def test_the_answer_is_the_optimum_and_the_same_in_any_order(seed, spread):
    x, upper, weight, rows, low, high = instance(seed, spread)
    got = share(x, upper, weight, rows, low, high)
    assert got is not None
    assert (got >= 0).all()
    assert (got <= upper).all()
    made = rows @ got
    assert np.maximum(low - made, made - high).max() <= 1e-7 * (1 + np.abs(made).max())
    assert residual(got, upper, weight, rows, low, high) <= 1e-7
    draw = np.random.default_rng(seed)
    c, r = draw.permutation(len(x)), draw.permutation(len(low))
    again = share(x[c], upper[c], weight[c], rows[r][:, c], low[r], high[r])
    np.testing.assert_allclose(again, got[c], atol=1e-6)


@settings(max_examples=10, deadline=None, derandomize=True)
@given(st.integers(0, 10**6))
def test_where_the_search_begins_does_not_matter(seed):
    """Another dispatch of the same face, halfway to the answer, gives the same answer."""
    x, *rest = instance(seed, 1.0)
    got = share(x, *rest)
    np.testing.assert_allclose(share((x + got) / 2, *rest), got, atol=1e-6)


def test_another_solver_finds_the_same():
    """HiGHS' quadratic solver, to the digits it gives."""
    x, upper, weight, rows, low, high = instance(7, 1.0)
    solver = highspy.Highs()
    solver.setOptionValue("output_flag", False)
    n = len(x)
    matrix = csr_array(rows)
    solver.addCols(n, np.zeros(n), np.zeros(n), upper, 0, np.zeros(n, np.int32), np.zeros(0, np.int32), np.zeros(0))
    solver.addRows(len(low), low, high, matrix.nnz, matrix.indptr[:-1], matrix.indices, matrix.data)
    start, index = np.arange(n + 1, dtype=np.int32), np.arange(n, dtype=np.int32)
    solver.passHessian(n, n, int(highspy.HessianFormat.kTriangular), start, index, 1 / weight)
    solver.run()
    assert solver.getModelStatus() == highspy.HighsModelStatus.kOptimal
    np.testing.assert_allclose(fair_share(x, upper, weight, matrix, low, high), solver.getSolution().col_value, atol=1e-3)


def test_thousands_of_equals_with_sparse_rows_share_within_their_groups():
    """Forty groups of a hundred, each with its own balance: every group is awarded its own proportion."""
    draw = np.random.default_rng(0)
    upper = draw.uniform(1, 9, 4000)
    group = np.repeat(np.arange(40), 100)
    rows = csr_array((np.ones(4000), (group, np.arange(4000))), shape=(40, 4000))
    wanted = draw.uniform(0.1, 0.9, 40)
    x = upper * wanted[group]
    got = fair_share(x, upper, upper, rows, rows @ x, rows @ x)
    np.testing.assert_allclose(got, x, rtol=1e-9)


def test_sparse_rows_that_say_the_same_twice_are_met_once():
    """The same forty balances, each twice, the second all but the same."""
    draw = np.random.default_rng(0)
    upper = draw.uniform(1, 9, 1600)
    group = np.repeat(np.arange(40), 40)
    rows = csr_array((np.ones(1600), (group, np.arange(1600))), shape=(40, 1600))
    twice = csr_array(vstack([rows, rows * (1 + 1e-12)]))
    x = upper * draw.uniform(0.1, 0.9, 40)[group]
    got = fair_share(x, upper, upper, twice, twice @ x, twice @ x)
    np.testing.assert_allclose(got, x, rtol=1e-8)


def test_where_no_column_is_wide_there_is_nothing_to_share():
    assert share([0, 0], [0, 0], [1, 1], [[1, 1], [1, 2]], [1, 1], [1, 1]) is None
    np.testing.assert_array_equal(share([0, 0], [0, 0], [1, 1], [[1, 1], [1, 2]], [0, 0], [0, 0]), [0.0, 0.0])


def face(reduced: ArrayLike, x: ArrayLike, rows: ArrayLike, tight: ArrayLike) -> tuple[list[int], bool]:
    x = np.array(x, float)
    matrix = csr_array(np.atleast_2d(np.array(rows, float)))
    upper = np.full(len(x), 10.0)
    found = optimal_face(np.array(reduced, float), x, upper, matrix, np.array(tight), price_tolerance_per_mwh=1e-6)
    return found.columns.tolist(), found.point


def test_one_marginal_column_and_the_balance_leave_no_choice():
    assert face([-5, 0, 5], [10, 4, 0], [1, 1, 1], [True]) == ([1], True)


def test_two_at_the_same_price_are_a_choice():
    assert face([0, 0, 5], [10, 4, 0], [1, 1, 1], [True]) == ([0, 1], False)
    assert face([0, 0, 5], [6, 4, 0], [1, 1, 1], [True]) == ([0, 1], False)


def test_two_marginal_columns_that_a_priced_line_tells_apart_are_none():
    assert face([0, 0, 5], [6, 4, 0], [[1, 1, 1], [0, 1, 0.5]], [True, True]) == ([0, 1], True)
    assert face([0, 0, 5], [6, 4, 0], [[1, 1, 1], [0, 1, 0.5]], [True, False]) == ([0, 1], False)


def test_two_marginal_columns_that_all_rows_see_alike_are_a_choice():
    assert face([0, 0, 5], [6, 4, 0], [[1, 1, 1], [0.3, 0.3, 0.5]], [True, True]) == ([0, 1], False)


def test_without_rows_nothing_is_wanted():
    np.testing.assert_array_equal(fair_share(np.ones(2), np.ones(2), np.ones(2), csr_array((0, 2)), np.zeros(0), np.zeros(0)), [0.0, 0.0])


def test_a_bound_that_is_no_number_is_no_answer():
    assert share([1, 1], [2, 2], [1, 1], [1, 1], [np.nan], [np.nan]) is None
