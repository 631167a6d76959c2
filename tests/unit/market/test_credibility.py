"""What speaks against a result: leaps of price, cost and flow, each at its limit, and what explains them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from market.credibility import Reference, believed, doubts, reference_of
from market.outcomes import Certificate, Cleared, ClearingFailed, ClearingInputs, FailureReason, OutcomeStatus, Violation
from market.rules import rules_from
from market.units import NS_PER_MIN, instant_ns

RULES = rules_from({})
REFUSE = rules_from({"credibility": {"doubt": "refuse"}})
NOON = instant_ns("2020-01-01T12:00:00+08:00")
STEP = 15 * NS_PER_MIN
BUSES = ("A", "B", "C", "D")
TIES = {"L1": ("1", "2"), "L2": ("2", "1")}


def inputs(load_mw: float = 1_000.0, *out: str) -> ClearingInputs:
    return ClearingInputs(
        interval_start_ns=NOON, frozen_at_ns=NOON, load_mw={"A": load_mw}, output_mw={}, available_mw={}, out_of_service=out
    )


def cleared(start_ns: int = NOON, price: float = 300.0, objective: float = 200_000.0, flow_mw: float = 50.0, **changed: Any) -> Cleared:
    result = Cleared(
        interval_start_ns=start_ns,
        completed_at_ns=start_ns,
        status=OutcomeStatus.OK,
        objective_per_h=objective,
        penalty_per_h=0.0,
        dispatch_mw={},
        lmp_per_mwh=dict.fromkeys(BUSES, price) | changed.pop("lmp", {}),
        energy_per_mwh=price,
        congestion_per_mwh={},
        flow_mw={"L1": flow_mw, "L2": -flow_mw},
        uniform_price_per_mwh=price,
        certificate=Certificate(passed=True, residuals={}),
    )
    return replace(result, **changed)


LAST = reference_of(cleared(), inputs(), TIES)


def doubted(result: Cleared, last: Reference | None = LAST, *out: str) -> tuple[str, ...]:
    return doubts(reference_of(result, inputs(1_000.0, *out), TIES), last, RULES)


def after(**changed: Any) -> Cleared:
    return cleared(NOON + STEP, **changed)


def test_flows_between_two_areas_add_up_whichever_way_their_branches_were_drawn() -> None:
    assert LAST.tie_mw == {"1-2": 100.0}
    assert LAST.cost_per_mwh == 200.0


def test_ordinary_moves_raise_no_doubt() -> None:
    assert doubted(after(price=899.0, objective=500_000.0, flow_mw=99.0)) == ()
    assert doubted(after(price=101.0)) == ()
    assert doubted(after(price=0.0, objective=90_000.0), replace(LAST, lmp_per_mwh=dict.fromkeys(BUSES, 139.0))) == (), "a small step"


def test_a_leap_of_price_is_named_with_its_bus() -> None:
    (why,) = doubted(after(lmp={"C": 901.0}))
    assert why == "prices of 1 of 4 buses leapt, at bus C from 300.00 to 901.00 CNY/MWh, since 12:00"
    many = cleared(NOON + STEP, lmp={"C": 901.0, "E": 300.0})
    assert doubted(many, replace(LAST, lmp_per_mwh=LAST.lmp_per_mwh | {"E": 300.0})) == (), "one of five buses is less than a quarter"


def test_a_change_of_sign_is_a_leap() -> None:
    assert "from 300.00 to -50.00" in doubted(after(price=-50.0))[0]
    assert doubted(after(price=-50.0), replace(LAST, lmp_per_mwh=dict.fromkeys(BUSES, 80.0))) == (), "of less than the step it is none"


def test_a_price_at_its_cap_in_shortage_is_credible() -> None:
    shed = (Violation(kind="shed", id="A", mw=5.0),)
    assert doubted(after(price=1_500.0, objective=900_000.0, violations=shed, status=OutcomeStatus.OK_VIOLATION)) == ()
    assert len(doubted(after(price=1_500.0, objective=900_000.0))) == 2
    assert doubted(after(), replace(LAST, lmp_per_mwh=dict.fromkeys(BUSES, 1_500.0), violated=True)) == (), "the way back"


def test_a_leap_of_cost_is_doubted_either_way() -> None:
    assert doubted(after(objective=601_000.0)) == ("the cost of a MWh went from 200.00 to 601.00 CNY since 12:00",)
    assert doubted(after(objective=66_000.0)) == ("the cost of a MWh went from 200.00 to 66.00 CNY since 12:00",)
    assert doubted(after(objective=-5.0)) == (), "a ratio to nothing says nothing"


def test_a_leap_of_flow_is_doubted_unless_switches_moved() -> None:
    assert doubted(after(flow_mw=100.0)) == ()
    assert doubted(after(flow_mw=101.0)) == ("the flow between areas 1-2 went from 100 to 202 MW since 12:00",)
    assert doubted(after(flow_mw=101.0), LAST, "L7") == ()


@pytest.mark.parametrize("start_ns", [NOON - STEP, NOON, NOON + 5 * STEP])
def test_results_are_held_against_a_recent_one_before_them_only(start_ns: int) -> None:
    assert doubted(cleared(start_ns, price=1_400.0)) == ()
    assert doubted(cleared(start_ns, price=1_400.0), None) == ()


def test_what_becomes_of_doubt_is_for_the_rules_to_say() -> None:
    wild = after(price=1_400.0)
    now = reference_of(wild, inputs(), TIES)
    reviewed = believed(wild, now, LAST, RULES)
    assert isinstance(reviewed, Cleared)
    assert reviewed == replace(wild, review=doubted(wild))
    refused = believed(wild, now, LAST, REFUSE)
    assert isinstance(refused, ClearingFailed)
    assert refused.reason is FailureReason.PRICE_NOT_CREDIBLE
    assert "prices of 4 of 4 buses leapt" in refused.detail
    assert believed(wild, now, LAST, rules_from({"credibility": {"doubt": "ignore"}})) == wild
    assert believed(refused, now, LAST, RULES) is refused


def test_of_a_large_network_a_sample_is_remembered() -> None:
    large = cleared(lmp={f"n{k:05}": 300.0 for k in range(12_000)})
    assert 3_000 <= len(reference_of(large, inputs(), TIES).lmp_per_mwh) <= 5_000


@settings(max_examples=50)
@given(before=st.floats(-200, 1500), now=st.floats(-200, 1500))
def test_a_step_is_doubted_as_much_as_the_step_back(before: float, now: float) -> None:
    there = doubted(after(price=now), replace(LAST, lmp_per_mwh=dict.fromkeys(BUSES, before)))
    back = doubted(after(price=before), replace(LAST, lmp_per_mwh=dict.fromkeys(BUSES, now)))
    assert bool(there) is bool(back)
