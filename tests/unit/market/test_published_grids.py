"""Every published case that is shipped: its DC objective, another solver's prices, and what stands in the way where there is none."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from market.engine import CASE_PARAMS, clear_case
from market.grid import Convention
from market.monitor import LimitKind
from market.outcomes import Cleared, OutcomeStatus
from tests.kit import btheta
from tests.kit.pglib import FILES, PUBLISHED_PER_H, read

FIVE_DIGITS = 5.1e-5
"""Half a unit of the fifth digit, the precision of the published objectives."""

FINITE = [name for name in FILES if np.isfinite(PUBLISHED_PER_H[name])]
INFINITE = [name for name in FILES if np.isinf(PUBLISHED_PER_H[name])]
QUADRATIC = {"3_lmbd", "24_ieee_rts"}


def buses(name: str) -> int:
    return int("".join(character if character.isdigit() else " " for character in name).split()[0])


def sized(names: list[str], slow_from: int) -> list[object]:
    """The names, with those of a size marked that take a good part of a second each."""
    return [pytest.param(name, marks=pytest.mark.slow) if buses(name) >= slow_from else name for name in names]


def cleared(outcome) -> Cleared:
    assert isinstance(outcome, Cleared), outcome
    assert outcome.certificate.passed
    return outcome


def test_congested_cases_narrow_ones_and_ones_without_a_solution_are_among_them():
    assert len(FILES) == 19
    assert {name.split("__")[1] for name in FILES if "__" in name} == {"api", "sad"}
    assert INFINITE == ["118_ieee__sad"]


@pytest.mark.parametrize("name", sized(FINITE, slow_from=2000))
def test_published_dc_objective(name):
    outcome = cleared(clear_case(read(name)))
    assert outcome.status is OutcomeStatus.OK
    assert outcome.penalty_per_h == 0.0
    assert outcome.objective_per_h == pytest.approx(PUBLISHED_PER_H[name], rel=FIVE_DIGITS)


def test_a_case_without_a_dc_solution_clears_with_the_line_named():
    outcome = cleared(clear_case(read("118_ieee__sad")))
    assert outcome.status is OutcomeStatus.OK_VIOLATION
    assert [(v.kind, v.id) for v in outcome.violations] == [("line", "33")]
    assert outcome.violations[0].mw == pytest.approx(10.08, abs=0.005)
    assert outcome.penalty_per_h == pytest.approx(outcome.violations[0].mw * CASE_PARAMS.penalties[LimitKind.LINE])


@pytest.mark.parametrize("name", sized([name for name in FILES if "__" not in name], slow_from=1000))
def test_a_grid_narrowed_until_it_has_no_solution_clears_with_its_lines_named(name):
    """As the published narrow cases are made, only further: every angle is held to a part of the largest one of the free dispatch."""
    case = read(name)
    net, free = case.network, cleared(clear_case(case))
    per_rad = np.abs(net.x_pu / (net.r_pu**2 + net.x_pu**2)) * net.base_mva
    angle = np.abs(list(free.flow_mw.values())) / per_rad
    narrow = np.full(net.n_branches, angle.max() * (0.25 if buses(name) < 3000 else 0.5))
    case = dataclasses.replace(case, network=dataclasses.replace(net, angle_min_rad=-narrow, angle_max_rad=narrow))
    outcome = cleared(clear_case(case))
    assert outcome.status is OutcomeStatus.OK_VIOLATION
    flow, limit = np.abs(list(outcome.flow_mw.values())), np.minimum(net.rate_mw, per_rad * narrow)
    beyond = {line: mw for line, mw in zip(net.branch_ids, (flow - limit).tolist(), strict=True) if mw > 1e-3}
    named = {v.id: v.mw for v in outcome.violations if v.kind == "line" and v.mw > 1e-3}
    assert named == pytest.approx(beyond, abs=1e-3)
    if buses(name) <= 300 and name not in QUADRATIC:
        assert btheta.solve(case).objective_per_h is None


LINEAR = [name for name in FILES if name not in QUADRATIC and buses(name) < 3000]


@pytest.mark.parametrize("convention", list(Convention))
@pytest.mark.parametrize("name", sized(LINEAR, slow_from=2000))
def test_prices_equal_those_of_a_program_over_bus_angles(name, convention):
    """No vertex of these is degenerate (no price was chosen among several), so every price must agree, not only what they cost."""
    case = read(name)
    outcome, other = cleared(clear_case(case, convention=convention)), btheta.solve(case, convention)
    if outcome.violations:
        assert other.objective_per_h is None
        return
    assert "price_degenerate" not in outcome.flags
    assert outcome.objective_per_h == pytest.approx(other.objective_per_h, rel=1e-9)
    np.testing.assert_allclose(list(outcome.lmp_per_mwh.values()), other.lmp_per_mwh, atol=1e-6, rtol=0)


def test_of_the_cases_with_linear_costs_only_the_largest_are_left_out():
    left_out = {name for name in FILES if name not in LINEAR}
    assert left_out == {"6468_rte", "9241_pegase", "13659_pegase"} | QUADRATIC
    assert all(any(unit.quadratic for unit in read(name).units) for name in QUADRATIC)
