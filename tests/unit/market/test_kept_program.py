"""A program that is kept is the same program after a run that failed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from market.program import NotSolved, Program
from market.sced import dispatch, program_of
from tests.kit.grids import case, triangle
from tests.kit.problems import FREE, assembled_of


def test_after_a_pricing_run_without_an_optimum_the_dispatchs_penalties_stand(monkeypatch: pytest.MonkeyPatch):
    params = replace(FREE, pricing_limit_multiple=0.5)
    bare = case(triangle().network, [triangle().units[0]], {"3": 100.0})
    problem = assembled_of(bare, params=params).problem
    program = program_of(problem, params)
    solve, failed = Program.solve, NotSolved(status="Unknown", rounds=1)
    with monkeypatch.context() as broken:
        broken.setattr(Program, "solve", lambda self: solve(self) if self.penalties == params.penalties else failed)
        assert dispatch(problem, params, program) is failed
    assert program.penalties == params.penalties
    assert program.update(problem.formulation)
    again, cold = dispatch(problem, params, program), dispatch(problem, params)
    assert not isinstance(again, NotSolved)
    assert not isinstance(cold, NotSolved)
    assert [limit.price_per_mwh for limit in again.solution.priced] == pytest.approx(
        [limit.price_per_mwh for limit in cold.solution.priced]
    )
