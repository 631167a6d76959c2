"""The solver port: a program solved on paper, grown by a row, and one that has no solution."""

from __future__ import annotations

import numpy as np

from market.highs import SOLVER, LinearProgram


def program(need_mw: float) -> LinearProgram:
    """Serve a load from 60 MW at 10 and 60 MW at 20."""
    row = (np.array([0], np.int32), np.array([0, 1], np.int32), np.ones(2))
    return LinearProgram(np.array([10.0, 20.0]), np.array([60.0, 60.0]), np.array([need_mw]), np.array([need_mw]), row)


def test_optimum_and_dual():
    solved = program(100.0).solve()
    assert solved.optimal
    np.testing.assert_allclose(solved.x, [60.0, 40.0])
    np.testing.assert_allclose(solved.row_dual, [20.0])


def test_a_row_added_later_binds():
    lp = program(100.0)
    lp.solve()
    lp.add_columns(np.array([1000.0]), np.array([np.inf]))
    lp.add_rows(np.array([-np.inf]), np.array([50.0]), (np.array([0], np.int32), np.array([0, 2], np.int32), np.array([1.0, -1.0])))
    solved = lp.solve()
    np.testing.assert_allclose(solved.x, [50.0, 50.0, 0.0], atol=1e-9)
    np.testing.assert_allclose(solved.row_dual, [20.0, -10.0])


def test_columns_change_in_place():
    lp = program(100.0)
    lp.solve()
    lp.change_columns(np.array([1], np.int32), np.array([5.0]), np.array([80.0]))
    np.testing.assert_allclose(lp.solve().x, [20.0, 80.0])


def test_a_start_basis_does_not_change_the_answer():
    lp = program(100.0)
    lp.start_from(np.array([True, False]), np.array([1], np.int32))
    np.testing.assert_allclose(lp.solve().x, [60.0, 40.0])


def test_no_solution_is_not_called_optimal():
    solved = program(200.0).solve()
    assert not solved.optimal
    assert solved.status == "Infeasible"


def test_the_solver_is_named_with_its_version():
    assert SOLVER.startswith("HiGHS 1.")
