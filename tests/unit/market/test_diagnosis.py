"""Inputs that cannot be met: which limits are in the way, and which of them contradict each other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog
from scipy.sparse import csr_array

from market import diagnosis, matpower
from market.diagnosis import contradiction, violations
from market.grid import Convention, Topology, sum_by

CASES = Path(__file__).parents[2] / "data" / "pglib"
INF = np.inf


def test_what_was_bought_is_named_the_dearest_first():
    found = violations(["a", "b", "c", "d"], np.array([2.0, -3.0, 1e-9, 0.4]), np.array([10.0, 10.0, 10.0, 50.0]))
    assert [each.name for each in found] == ["b", "a", "d"]
    assert [each.cost_per_h for each in found] == [30.0, 20.0, 20.0]
    assert str(found[0]) == "b: 3.00 MW below its lower limit"
    assert str(found[1]) == "a: 2.00 MW above its upper limit"


NAMES = ("load", "north line", "south line", "far line")
ROWS = csr_array(np.array([[1.0, 1.0], [1.0, 0.0], [0.0, 1.0], [0.5, 0.0]]))


def two_lines(load_mw: float, line_mw: float, unit_mw: float = 50.0) -> tuple[str, ...] | None:
    """A load fed by a unit behind each of two lines; a third carries half of the first and has room."""
    low = np.array([load_mw, -INF, -INF, -INF])
    high = np.array([load_mw, line_mw, line_mw, 40.0])
    return contradiction(NAMES, ROWS, low, high, np.full(2, unit_mw))


def test_two_lines_that_cannot_carry_the_load_contradict_it_together():
    assert two_lines(load_mw=80, line_mw=30) == ("load", "north line", "south line")


def test_more_load_than_units_can_make_contradicts_by_itself():
    assert two_lines(load_mw=120, line_mw=90) == ("load",)


def test_what_can_be_met_contradicts_nothing():
    assert two_lines(load_mw=60, line_mw=30) == ()


def test_of_what_one_line_alone_forbids_only_that_line_is_named():
    rows = csr_array(np.array([[1.0, 1.0], [1.0, 0.0], [0.0, 1.0]]))
    low, high = np.array([10.0, 20.0, -INF]), np.array([100.0, 60.0, 90.0])
    assert contradiction(("sum", "must run", "line"), rows, low, high, np.array([15.0, 50.0])) == ("must run",)


@pytest.mark.parametrize("load_mw", [80.0, 120.0])
def test_without_a_proposal_the_proof_of_the_contradiction_is_the_beginning(monkeypatch, load_mw):
    expected = two_lines(load_mw, line_mw=30)
    monkeypatch.setattr(diagnosis, "_proposed", lambda *_: np.zeros(0, dtype=np.intp))
    assert two_lines(load_mw, line_mw=30) == expected


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6))
def test_what_is_named_cannot_be_met_and_all_but_one_of_it_can(seed):
    draw = np.random.default_rng(seed)
    m, n = int(draw.integers(2, 9)), int(draw.integers(1, 9))
    rows = draw.integers(-2, 3, (m, n)).astype(float)
    upper = draw.integers(1, 9, n).astype(float)
    low = draw.integers(-9, 9, m).astype(float)
    high = low + draw.integers(0, 9, m)

    def met(kept: list[int]) -> bool:
        both = np.concatenate([rows[kept], -rows[kept]])
        sides = np.concatenate([high[kept], -low[kept]])
        return not kept or linprog(np.zeros(n), A_ub=both, b_ub=sides, bounds=[(0, each) for each in upper]).status == 0

    found = contradiction([str(i) for i in range(m)], csr_array(rows), low, high, upper)
    assert found is not None
    kept = [int(name) for name in found]
    assert met(list(range(m))) == (not kept)
    if kept:
        assert not met(kept)
        assert all(met([each for each in kept if each != one]) for one in kept)


def pglib(name: str) -> tuple[str, ...] | None:
    """The rigid program of a published case: a balance and the limits of all lines."""
    case = matpower.read_case(CASES / name)
    network, topology = case.network, Topology(case.network, case.in_service, Convention.POWERMODELS)
    bus = np.array([network.bus_index[unit.bus] for unit in case.units])
    least = np.array([unit.p_min_mw for unit in case.units])
    base = sum_by(bus, least, network.n_buses) - case.load_mw - case.shunt_mw
    rows = np.concatenate([np.ones((1, len(bus))), topology.ptdf(np.arange(network.n_branches))[:, bus]])
    flow, wanted = topology.flows_mw(base), np.array([-base.sum()])
    low, high = np.concatenate([wanted, topology.limit_low_mw - flow]), np.concatenate([wanted, topology.limit_high_mw - flow])
    upper = np.array([unit.p_max_mw for unit in case.units]) - least
    return contradiction(("balance", *network.branch_ids), csr_array(rows), low, high, upper)


def test_a_published_case_without_a_dc_solution_names_its_lines():
    """118 buses, small angle differences: no published DC objective. HiGHS' own search names the same three lines."""
    assert pglib("pglib_opf_case118_ieee__sad.m") == ("balance", "33", "67", "106")


def test_a_published_case_with_a_dc_solution_names_none():
    assert pglib("pglib_opf_case39_epri__sad.m") == ()
