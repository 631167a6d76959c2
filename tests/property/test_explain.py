"""What must hold of every explanation, on random grids, offers and intervals."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from market.engine import CASE_PARAMS
from market.explain import BusExplanation, UnitExplanation, explain
from market.merit import Direction, Reason, out_of_merit
from market.offers import Control
from market.outcomes import ClearingInputs
from market.params import ClearingParams
from market.workings import Workings
from tests.kit.explained import of_case, of_interval
from tests.kit.grids import unit
from tests.property.test_clearing import TENTHS, cases


@st.composite
def intervals(draw: st.DrawFn) -> Workings:
    """A random grid with units in every state a unit can be in."""
    a_case = draw(cases())
    n = a_case.network.n_buses
    units, off, test, output, available = [], [], {}, {}, {}
    for k in range(draw(st.integers(1, 6))):
        control = draw(st.sampled_from([Control.DISPATCHABLE] * 4 + [Control.CURTAILABLE, Control.FIXED]))
        name, bus = f"U{k}", str(draw(st.integers(1, n)))
        prices = sorted(draw(st.lists(TENTHS, min_size=1, max_size=3)))
        least = draw(st.sampled_from([0.0, 20.0])) if control is Control.DISPATCHABLE else 0.0
        ramp = draw(st.sampled_from([0.5, 3.0, 1e6]))
        offer = [(draw(TENTHS), price) for price in prices]
        units.append(unit(name, bus, *offer, p_min_mw=least, ramp_mw_per_min=ramp, control=control, must_run=draw(st.booleans())))
        output[name] = draw(st.sampled_from([0.0, 10.0, 60.0]))
        if control is not Control.DISPATCHABLE:
            available[name] = draw(st.sampled_from([0.0, 15.0, 80.0]))
        state = draw(st.integers(0, 5))
        if state == 0:
            off.append(name)
        elif state == 1 and control is Control.DISPATCHABLE:
            test[name] = least
    inputs = ClearingInputs(
        interval_start_ns=0,
        frozen_at_ns=0,
        load_mw=dict(zip(a_case.network.bus_ids, a_case.load_mw.tolist(), strict=True)),
        output_mw=output,
        available_mw=available,
        units_off=tuple(off),
        test_mw=test,
        used_points=1,
    )
    floor, cap = draw(st.sampled_from([(-1e9, 1e9), (0.0, 100.0)]))
    params = ClearingParams(price_floor_per_mwh=floor, price_cap_per_mwh=cap, pricing_limit_multiple=draw(st.sampled_from([None, 0.1])))
    units.append(unit("V", str(draw(st.integers(1, n))), (10.0, 50.0)))
    inputs.output_mw["V"] = 0.0
    return of_interval(a_case.network, units, inputs, params=params)[1]


@settings(max_examples=30)
@given(cases())
def test_the_terms_of_a_price_sum_to_its_congestion_part(a_case):
    outcome, workings = of_case(a_case)
    for name, congestion in outcome.congestion_per_mwh.items():
        (found,) = explain(workings, f"bus:{name}")
        assert isinstance(found, BusExplanation)
        scale = CASE_PARAMS.balance_penalty_per_mwh
        assert sum(share.per_mwh for share in found.shares) == pytest.approx(congestion, abs=1e-10 * scale)


@settings(max_examples=30)
@given(intervals())
def test_the_terms_sum_with_cap_floor_and_a_pricing_run_of_its_own(workings):
    period, prices = workings.assembled.problem.formulation.periods[0], workings.prices
    for i in np.flatnonzero(period.live_bus).tolist():
        (found,) = explain(workings, f"bus:{period.topology.network.bus_ids[i]}")
        assert isinstance(found, BusExplanation)
        assert sum(share.per_mwh for share in found.shares) == pytest.approx(float(prices.congestion_per_mwh[i]), abs=1e-5)
        moves = [(one.per_mwh, one.per_mw_of_load) for one in found.setters]
        if moves and all(change is not None for _, change in moves):
            assert sum(price * change for price, change in moves) == pytest.approx(float(prices.lmp_raw_per_mwh[i]), rel=1e-5, abs=1e-3)
        assert (found.capped_by is not None) == (abs(prices.lmp_per_mwh[i] - prices.lmp_raw_per_mwh[i]) > 1e-9)


@settings(max_examples=30)
@given(intervals())
def test_every_unit_is_in_merit_or_has_a_reason_that_fits(workings):
    found = {(one.unit, one.direction): one for one in out_of_merit(workings)}
    assert len(found) == len(out_of_merit(workings))
    for name in workings.participants.book.ids:
        (told,) = explain(workings, f"unit:{name}")
        assert isinstance(told, UnitExplanation)
        if told.lmp_per_mwh is None:
            assert told.out_of_merit == ()
            continue
        up, down = found.get((name, Direction.UP)), found.get((name, Direction.DOWN))
        at_bus = [one for one in (up, down) if one is not None and one.reason is not Reason.CONGESTION]
        # Offers on the right side of the price at the bus: nothing to explain but congestion. Else something is.
        dearer = told.last_reduced_cost is not None and told.last_reduced_cost > 0.01
        cheaper = told.next_reduced_cost is not None and told.next_reduced_cost < -0.01
        room_up, room_down = told.high_mw - told.dispatch_mw > 1e-3, told.dispatch_mw - told.low_mw > 1e-3
        assert told.in_merit == (not at_bus)
        if up is not None and up in at_bus:
            assert told.last_reduced_cost is not None
            assert told.last_reduced_cost > 0
            assert room_down == (up.reason in {Reason.CAPPED, Reason.PRICING_RUN, Reason.CURTAILMENT})
        else:
            assert not dearer or told.dispatch_mw < 1e-2
        if down is not None and down in at_bus:
            assert told.next_reduced_cost is not None
            assert told.next_reduced_cost < 0
            assert room_up == (down.reason in {Reason.CAPPED, Reason.PRICING_RUN})
        else:
            assert not cheaper or told.offered_mw - told.dispatch_mw < 1e-2


@settings(max_examples=30)
@given(cases())
def test_a_case_is_out_of_merit_only_by_least_outputs_and_congestion(a_case):
    _, workings = of_case(a_case)
    assert {one.reason for one in out_of_merit(workings)} <= {Reason.P_MIN, Reason.CONGESTION}
