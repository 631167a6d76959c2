"""Where several prices are right, the shortest are taken, and it is said that there were several."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import linprog
from scipy.sparse import csr_array

from market.highs import LinearProgram
from market.leastnorm import LeastNorm, least_norm_duals

Array = NDArray[np.float64]


def distance(columns: Array, target: Array) -> float:
    """How near a non-negative combination of columns comes to a vector, by its largest component; by a linear program."""
    r, p = columns.shape
    one = np.ones((r, 1))
    both = np.block([[columns, -one], [-columns, -one]]) if r else np.zeros((0, p + 1))
    solved = linprog(np.append(np.zeros(p), 1.0), A_ub=both, b_ub=np.concatenate([target, -target]))
    assert solved.status == 0
    return float(solved.fun)


class Case:
    """A program solved by HiGHS, and what its answer says of rows and columns."""

    def __init__(self, cost: ArrayLike, upper: ArrayLike, rows: ArrayLike, low: ArrayLike, high: ArrayLike) -> None:
        self.cost, self.upper = np.array(cost, float), np.array(upper, float)
        self.rows = csr_array(np.array(rows, float))
        self.low, self.high = np.array(low, float), np.array(high, float)
        entries = (self.rows.indptr[:-1].astype(np.int32), self.rows.indices.astype(np.int32), self.rows.data)
        solved = LinearProgram(self.cost, self.upper, self.low, self.high, entries).solve()
        assert solved.optimal, solved.status
        self.x, self.y = solved.x, solved.row_dual
        made = self.rows @ self.x
        at_low, at_high = made <= self.low + 1e-7, made >= self.high - 1e-7
        self.state = np.where(self.low == self.high, 2, np.where(at_low, -1, np.where(at_high, 1, 0))).astype(np.int32)
        self.cap = np.full(len(self.low), np.inf)

    def least(self, y: Array | None = None, measure: Array | None = None) -> LeastNorm:
        start = self.y if y is None else y
        found = least_norm_duals(start, self.rows, self.cost, self.x, self.upper, self.state, self.cap, self.cap, measure)
        assert found is not None
        return found

    def missed(self, y: Array) -> float:
        """By how much these multipliers are not optimal, from all columns and rows."""
        reduced = self.cost - self.rows.T @ y
        wrong = [np.maximum(-reduced[self.x < self.upper - 1e-7], 0), np.maximum(reduced[self.x > 1e-7], 0), np.abs(y[self.state == 0])]
        wrong += [np.maximum(-y[self.state == -1], 0), np.maximum(y[self.state == 1], 0)]
        return float(max(each.max(initial=0.0) for each in wrong))

    def gap(self, y: Array, measure: Array) -> float:
        """How far the gradient of the norm is from what holds it, relative; 0 at the shortest and only there."""
        gradient = (measure.T @ measure @ y)[self.state != 0]
        unit = np.eye(len(y))
        dense = self.rows.toarray()
        reduced = self.cost - dense.T @ y
        holds = [-dense.T[(self.x < self.upper - 1e-7) & (reduced < 1e-6)], dense.T[(self.x > 1e-7) & (reduced > -1e-6)]]
        holds += [unit[(self.state == -1) & (y < 1e-6)], -unit[(self.state == 1) & (y > -1e-6)]]
        hold = np.concatenate(holds)[:, self.state != 0]
        length = np.linalg.norm(hold, axis=1)
        hold = hold[length > 0] / length[length > 0, None]
        return distance(hold.T, gradient) / (1 + np.linalg.norm(gradient))


def test_one_marginal_column_is_one_price():
    case = Case([10, 20], [60, 60], [[1, 1]], [80], [80])
    found = case.least()
    assert not found.degenerate
    assert found.y is case.y


@pytest.mark.parametrize("solver_says", [10.0, 15.0, 20.0])
def test_demand_that_ends_where_a_segment_does_is_priced_at_the_segment(solver_says):
    """Everything between 10 and 20 is right; 10 is the shortest, whichever the solver returned."""
    found = Case([10, 20], [60, 60], [[1, 1]], [60], [60]).least(np.array([solver_says]))
    assert found.degenerate
    np.testing.assert_allclose(found.y, [10.0])


def test_at_negative_prices_the_shortest_is_the_nearest_to_zero():
    found = Case([-20, -10], [60, 60], [[1, 1]], [60], [60]).least()
    assert found.degenerate
    np.testing.assert_allclose(found.y, [-10.0])


def test_a_segment_that_ends_where_another_of_the_same_price_begins_has_one_price():
    found = Case([10, 10, 30], [60, 60, 60], [[1, 1, 1]], [60], [60]).least()
    assert not found.degenerate
    np.testing.assert_allclose(found.y, [10.0])


def two_areas(*lines: float) -> Case:
    """60 MW wanted, of which 20 from afar at 10 as a line allows, the rest at hand at 30; the line stands there as often as given."""
    rows = np.array([[1.0, 1.0], *([factor, 0.0] for factor in lines)])
    high = np.array([60.0, *(20.0 * factor for factor in lines)])
    return Case([10, 30], [100, 100], rows, np.array([60.0, *(-np.inf for _ in lines)]), high)


def test_one_line_at_its_limit_is_one_price():
    found = two_areas(1.0).least()
    assert not found.degenerate
    np.testing.assert_allclose(found.y, [30.0, -20.0])


def test_two_parallel_lines_at_their_limits_share_the_price():
    found = two_areas(1.0, 1.0).least()
    assert found.degenerate
    np.testing.assert_allclose(found.y, [30.0, -10.0, -10.0])


def test_parallel_lines_share_by_how_much_each_feels():
    """Least u² + v² with u + 0.5 v = −20."""
    found = two_areas(1.0, 0.5).least()
    np.testing.assert_allclose(found.y, [30.0, -16.0, -8.0])


def test_no_line_is_priced_beyond_its_penalty():
    case = two_areas(1.0, 1.0)
    cap = np.array([np.inf, 7.0, np.inf])
    found = least_norm_duals(np.array([30.0, 0.0, -20.0]), case.rows, case.cost, case.x, case.upper, case.state, cap, cap)
    assert found is not None
    np.testing.assert_allclose(found.y, [30.0, -7.0, -13.0])


def test_a_line_that_does_not_bind_has_no_price():
    case = Case([10, 30], [100, 100], [[1, 1], [1, 0], [1, 0]], [60, -np.inf, -np.inf], [60, 20, 25])
    found = case.least()
    assert not found.degenerate
    np.testing.assert_allclose(found.y, [30.0, -20.0, 0.0])


@pytest.mark.parametrize("reference", [0.0, 0.3, 1.0])
def test_measured_by_the_load_weighted_price_the_reference_bus_does_not_matter(reference):
    """Demand ends at a segment's edge and a line binds: moving the reference moves λ by h·μ, and no bus price."""
    h = np.array([0.8, 0.1, -0.4]) - reference * 0.5
    h_load = 0.2 - reference * 0.5
    wanted, limit = 80.0, (np.array([0.8, 0.1]) - reference * 0.5) @ [50.0, 30.0]
    case = Case([10, 20, 40], [50, 30, 60], np.array([np.ones(3), h]), np.array([wanted, -np.inf]), np.array([wanted, limit]))
    measure = np.array([[1.0, h_load], [0.0, 1.0]])
    found = case.least(measure=measure)
    assert found.degenerate
    assert case.gap(found.y, measure) < 1e-7
    prices = found.y[0] + h * found.y[1]
    # On paper: the shortest (λw, μ) with λw − 0.1·μ >= 20, the price at the full second unit's bus.
    weighted, line = 20 / 1.01, -2 / 1.01
    np.testing.assert_allclose(prices, weighted + np.array([0.6, -0.1, -0.6]) * line, rtol=1e-9)


def test_multipliers_that_are_not_optimal_are_not_made_so():
    case = two_areas(1.0, 1.0)
    assert least_norm_duals(np.array([25.0, -15.0, 0.0]), case.rows, case.cost, case.x, case.upper, case.state, case.cap, case.cap) is None


def degenerate_case(seed: int) -> tuple[Case, NDArray[np.intp], NDArray[np.intp]]:
    """Segments of whole MW, a demand of whole segments, lines of which some stand at their limits, some twice."""
    draw = np.random.default_rng(seed)
    n, m = int(draw.integers(2, 25)), int(draw.integers(1, 7))
    upper = draw.integers(1, 5, n).astype(float)
    cost = draw.integers(-2, 8, n).astype(float)
    rows = draw.integers(-2, 3, (m, n)).astype(float)
    rows[0] = 1.0
    if m > 3:
        rows[m - 1] = rows[1]
    made = rows @ (upper * draw.integers(0, 2, n))
    low = np.where(draw.random(m) < 0.3, made, -np.inf)
    high = np.where(draw.random(m) < 0.8, made, made + 3.0)
    low[0], high[0] = made[0], made[0]
    return Case(cost, upper, rows, low, high), draw.permutation(n), draw.permutation(m)


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 10**6), st.booleans())
def test_the_shortest_is_found_and_the_same_in_any_order(seed, measured):
    case, c, r = degenerate_case(seed)
    m = len(case.low)
    measure = np.eye(m) + (np.triu(np.random.default_rng(seed).normal(size=(m, m)), 1) if measured else 0.0)
    found = case.least(measure=measure)
    assert case.missed(found.y) < 1e-7
    assert case.gap(found.y, measure) < 1e-7
    other = Case(case.cost[c], case.upper[c], case.rows.toarray()[r][:, c], case.low[r], case.high[r])
    again = other.least(measure=measure[:, r])
    np.testing.assert_allclose(again.y, found.y[r], atol=1e-6)
    assert again.degenerate == found.degenerate


@settings(max_examples=5, deadline=None)
@given(st.integers(0, 10**6))
def test_what_is_called_unique_is_found_whatever_is_wanted_of_it(seed):
    """The largest and the least of a random combination of the multipliers differ just where they are called several."""
    case, _, _ = degenerate_case(seed)
    found = case.least()
    spread = np.concatenate([spans(case, direction) for direction in np.eye(len(case.low))])
    assert found.degenerate == bool(spread.max() > 1e-6)


def spans(case: Case, direction: Array) -> Array:
    """How far the optimal multipliers reach from the least to the largest value of one combination, by linear programs."""
    dense = case.rows.toarray().T
    between, empty, full = (case.x > 1e-7) & (case.x < case.upper - 1e-7), case.x <= 1e-7, case.x >= case.upper - 1e-7
    bounds = [{-1: (0, 1e3), 0: (0, 0), 1: (-1e3, 0), 2: (-1e3, 1e3)}[state] for state in case.state.tolist()]
    ends = []
    for sign in (1.0, -1.0):
        solved = linprog(
            sign * direction,
            A_ub=np.concatenate([dense[empty], -dense[full]]),
            b_ub=np.concatenate([case.cost[empty], -case.cost[full]]),
            A_eq=dense[between] if between.any() else None,
            b_eq=case.cost[between] if between.any() else None,
            bounds=bounds,
        )
        assert solved.status == 0
        ends.append(sign * solved.fun)
    return np.array([ends[1] - ends[0]])


def test_of_forty_thousand_columns_only_those_that_matter_are_asked():
    """Demand at the edge between the 20,000th and the next segment: the price is the lower of the two."""
    n = 40_000
    cost = np.linspace(10, 50, n)
    x = np.where(np.arange(n) < n // 2, 1.0, 0.0)
    rows = csr_array(np.ones((1, n)))
    found = least_norm_duals(
        np.array([cost[n // 2]]), rows, cost, x, np.ones(n), np.array([2], np.int32), np.array([np.inf]), np.array([np.inf])
    )
    assert found is not None
    assert found.degenerate
    np.testing.assert_allclose(found.y, cost[n // 2 - 1])
