"""Offers as columns, ramps and groups as rows: on paper, and against the whole program at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from market.formulation import Builder
from market.grid import FloatArray
from market.offers import Control, OfferBook, Unit
from market.outcomes import ClearingInputs, PeriodAhead
from market.params import ClearingParams
from market.ranges import Horizon, horizon
from market.resources import UnitGroup
from market.unitblock import GroupRows, RampRows, UnitBlock, add_groups, add_ramps, add_units
from tests.kit.grids import network, unit
from tests.kit.monolith import Answer, periods, solve

NET = network(("1", "2"), [("1", "2", 0.1, 1e6)])
PARAMS = ClearingParams(interval_min=5.0)


@dataclass(frozen=True, kw_only=True)
class Cleared:
    """What one horizon came to."""

    answer: Answer
    block: UnitBlock
    ramps: RampRows
    groups: GroupRows
    builder: Builder
    spans: Horizon

    @property
    def output_mw(self) -> FloatArray:
        return self.block.output_mw(self.answer.x)

    @property
    def price(self) -> list[float]:
        return [float(price) for price in self.answer.price_per_mwh[:, 0]]


def clear(units: list[Unit], loads_mw: list[float], groups: tuple[UnitGroup, ...] = (), *, curves: bool = True, **said: object) -> Cleared:
    book = OfferBook(units, NET.bus_index)
    off = said.pop("ahead_off", ((),) * (len(loads_mw) - 1))
    available = said.pop("available_mw", {})
    ahead = tuple(
        PeriodAhead(load_mw={"2": load}, available_mw=available, units_off=names) for load, names in zip(loads_mw[1:], off, strict=True)
    )
    inputs = ClearingInputs(
        interval_start_ns=0, frozen_at_ns=0, load_mw={}, output_mw=said.pop("output_mw", {}), available_mw=available, ahead=ahead, **said
    )
    spans = horizon(inputs, book, PARAMS)
    builder = Builder(periods(NET, np.array([[0.0, load] for load in loads_mw]), book, spans.low_mw))
    block = add_units(
        builder,
        book,
        low_mw=spans.low_mw,
        high_mw=spans.high_mw,
        curtailment_penalty_per_mwh=PARAMS.curtailment_penalty_per_mwh,
        curves=curves,
    )
    ramps = add_ramps(builder, block, interval_min=PARAMS.interval_min, follows=spans.follows)
    rows = add_groups(builder, block, groups, penalty_per_mwh=7500.0)
    return Cleared(answer=solve(builder), block=block, ramps=ramps, groups=rows, builder=builder, spans=spans)


def test_the_least_output_is_not_bought_and_what_lies_above_is_bought_in_order_of_price():
    """Unit a must give 20; the next 50 MW cost 10, then b at 12."""
    a, b = unit("a", "1", (50.0, 10.0), (30.0, 20.0), p_min_mw=20.0), unit("b", "2", (40.0, 12.0))
    found = clear([a, b], [90.0])
    assert found.output_mw.tolist() == [[70.0, 20.0]]
    assert found.price == pytest.approx([12.0])


def test_a_ramp_pays_for_tomorrow_with_a_price_below_the_offer():
    """The load jumps from 100 to 140; slow, at 10, climbs by 20 MW a period, and fast costs 50.

    Slow stands at 90. In period 1 both serve 100 MW; each MW that slow gives now it can give again in period 2, where it
    replaces a MW at 50. Slow may reach 110 now, yet the load is 100: it gives all of it, and 120 next. One more MW of load now
    would let slow climb from 101 to 121: it costs 10, plus 10 in period 2, less 50 saved there: -30.
    """
    slow, fast = unit("slow", "1", (200.0, 10.0), ramp_mw_per_min=4.0), unit("fast", "1", (200.0, 50.0))
    found = clear([slow, fast], [100.0, 140.0], output_mw={"slow": 90.0})
    assert found.output_mw[:, found.block.book.index["slow"]].tolist() == pytest.approx([100.0, 120.0])
    assert found.price == pytest.approx([-30.0, 50.0])


def test_a_unit_that_must_be_down_tomorrow_stays_low_today():
    """Slow, at 10, may come down by 20 MW a period from 90; to be at 60 next it gives 80 of the 110 now, and fast the rest."""
    slow, fast = unit("slow", "1", (200.0, 10.0), ramp_mw_per_min=4.0), unit("fast", "1", (200.0, 50.0))
    found = clear([slow, fast], [110.0, 60.0], output_mw={"slow": 90.0})
    assert found.output_mw[:, 1].tolist() == pytest.approx([80.0, 60.0])
    assert found.price == pytest.approx([50.0, -30.0])


def test_without_the_ramp_each_period_stands_alone():
    slow, fast = unit("slow", "1", (200.0, 10.0)), unit("fast", "1", (200.0, 50.0))
    found = clear([slow, fast], [100.0, 140.0], output_mw={"slow": 90.0})
    assert found.price == pytest.approx([10.0, 10.0])
    assert found.ramps.unit.size == 0, "a unit that crosses its range within a period has no row"


def test_the_ramp_rows_are_lazy_and_the_same_whatever_the_units_do():
    units = [unit("slow", "1", (200.0, 10.0), ramp_mw_per_min=4.0), unit("fast", "1", (200.0, 50.0))]
    here = clear(units, [100.0] * 3, output_mw={"slow": 90.0}).builder.build()
    there = clear(units, [100.0] * 3, units_off=("slow",), ahead_off=(("slow",), ())).builder.build()
    assert here.lazy.all()
    assert (here.rows != there.rows).nnz == 0
    assert here.cost.tolist() == there.cost.tolist()


def test_no_ramp_ties_a_unit_across_a_start_or_a_stop():
    """On, off, on: at 90 it may climb to 110; then it is gone at once; then it climbs from 0 by its 20 MW."""
    slow, fast = unit("slow", "1", (200.0, 10.0), ramp_mw_per_min=4.0), unit("fast", "1", (200.0, 50.0))
    found = clear([slow, fast], [150.0] * 3, output_mw={"slow": 90.0}, ahead_off=(("slow",), ()))
    assert found.output_mw[:, 1].tolist() == pytest.approx([110.0, 0.0, 20.0])


def test_a_unit_that_starts_climbs_through_every_period_until_it_meets_its_minimum():
    """At 15 MW with a minimum of 60 and 20 MW a period: 35 and 55, then anything from 60 to 75."""
    slow, fast = unit("slow", "1", (100.0, 10.0), p_min_mw=60.0, ramp_mw_per_min=4.0), unit("fast", "1", (200.0, 50.0))
    found = clear([slow, fast], [150.0] * 3, output_mw={"slow": 15.0})
    assert found.output_mw[:, 1].tolist() == pytest.approx([35.0, 55.0, 75.0])
    assert found.spans.low_mw[:, 1].tolist() == [35.0, 55.0, 60.0]


def test_a_unit_under_test_runs_to_its_schedule_and_sets_no_price():
    """tested, at 5, could serve everything; it gives its 30 MW although it is not committed, and b sets the price."""
    tested, b = unit("tested", "1", (100.0, 5.0), p_min_mw=40.0), unit("b", "1", (100.0, 12.0))
    found = clear([tested, b], [80.0], test_mw={"tested": 30.0}, units_off=("tested",))
    assert found.output_mw.tolist() == [[50.0, 30.0]]
    assert found.price == pytest.approx([12.0])
    assert found.spans.running.tolist() == [[True, True]]


def test_a_load_that_bids_gives_way_above_its_price_and_sets_the_price_where_it_stands_between():
    """The mill would pay up to 30 for its first 20 MW and 80 for the rest; 100 MW of power cost 20, more costs 60."""
    mill = unit("mill", "2", (20.0, 30.0), (30.0, 80.0), p_min_mw=-50.0, p_max_mw=0.0)
    cheap, dear = unit("cheap", "1", (100.0, 20.0)), unit("dear", "1", (100.0, 60.0))
    served = clear([mill, cheap, dear], [40.0])
    assert served.output_mw[0, 2] == pytest.approx(-50.0)
    assert served.price == pytest.approx([20.0])
    between = clear([mill, cheap, dear], [60.0])
    assert between.output_mw[0].tolist() == pytest.approx([100.0, 0.0, -40.0])
    assert between.price == pytest.approx([30.0])
    gone = clear([mill, cheap, dear], [90.0])
    assert gone.output_mw[0].tolist() == pytest.approx([100.0, 20.0, -30.0])
    assert gone.price == pytest.approx([60.0])


def test_curtailing_costs_its_penalty_and_equal_offers_share_by_what_is_available():
    wind = [unit(name, "1", (50.0, 0.0), control=Control.CURTAILABLE) for name in ("w1", "w2")]
    found = clear(
        [*wind, unit("fixed", "1", (20.0, 1.0), control=Control.FIXED)], [30.0], available_mw={"w1": 30.0, "w2": 10.0, "fixed": 5.0}
    )
    assert found.output_mw[0, 1:].sum() == pytest.approx(25.0)
    assert found.output_mw[0, 0] == 5.0
    assert found.price == pytest.approx([-15.0])
    formulation = found.builder.build()
    assert formulation.weight.tolist() == [20.0, 30.0, 10.0]


def test_a_segment_out_of_reach_stays_as_a_column_without_width():
    units = [unit("a", "1", (50.0, 10.0), (50.0, 20.0), ramp_mw_per_min=2.0)]
    near, far = clear(units, [30.0], output_mw={"a": 30.0}), clear(units, [80.0], output_mw={"a": 80.0})
    assert near.builder.build().upper.tolist() == pytest.approx([20.0, 0.0])  # from 20 MW to 40 MW
    assert far.builder.build().upper.tolist() == pytest.approx([0.0, 20.0])
    assert near.builder.build().weight.tolist() == far.builder.build().weight.tolist() == [50.0, 50.0]


def test_a_curve_in_chords_is_priced_to_half_a_chord():
    """Costs 2p + 0.05p²: the slope at 60 MW is 8, a chord of 10 MW changes it by 1."""
    found = clear([unit("q", "1", quadratic=(2.0, 0.05), p_max_mw=120.0)], [60.0])
    assert found.output_mw.tolist() == [[60.0]]
    assert 7.5 - 1e-9 <= found.price[0] <= 8.5 + 1e-9
    assert found.answer.cost_per_h == pytest.approx(2 * 60 + 0.05 * 60**2)


def test_a_curve_can_be_left_to_the_caller_but_not_to_a_row():
    curved = unit("q", "1", quadratic=(2.0, 0.05), p_max_mw=120.0, ramp_mw_per_min=1.0)
    found = clear([curved, unit("a", "1", (100.0, 9.0))], [60.0], curves=False, output_mw={"q": 10.0})
    assert found.builder.n_columns == 1
    with pytest.raises(AssertionError, match="left out"):
        clear([curved], [5.0], (UnitGroup(id="g", members=("q",), high_mw=3.0),), curves=False, output_mw={"q": 10.0})


def test_a_group_is_kept_within_its_limits_and_its_dual_is_what_that_costs():
    """Units a and b, at 10 and 11, may give 60 together; c at 30 gives the rest. One MW more of b in place of c saves 19."""
    units = [unit("a", "1", (50.0, 10.0)), unit("b", "2", (50.0, 11.0)), unit("c", "1", (100.0, 30.0))]
    found = clear(units, [90.0, 50.0], (UnitGroup(id="coast", members=("b", "a"), high_mw=60.0),))
    assert found.output_mw.tolist() == [[50.0, 10.0, 30.0], [50.0, 0.0, 0.0]]
    assert found.answer.row_dual[found.groups.row].ravel().tolist() == pytest.approx([-19.0, 0.0])
    assert found.groups.beyond_mw(found.answer.x).ravel().tolist() == [0.0, 0.0]


def test_the_least_outputs_of_members_count_towards_a_least_sum():
    units = [unit("a", "1", (50.0, 10.0)), unit("b", "1", (50.0, 11.0), p_min_mw=20.0)]
    found = clear(units, [60.0], (UnitGroup(id="g", members=("b",), low_mw=35.0),))
    assert found.output_mw.tolist() == [pytest.approx([25.0, 35.0])]
    assert found.answer.row_dual[found.groups.row].tolist() == [pytest.approx([1.0])]


def test_a_group_that_cannot_keep_its_limits_misses_them_at_a_price():
    units = [unit("a", "1", (50.0, 10.0), p_min_mw=20.0), unit("b", "1", (50.0, 11.0))]
    groups = (UnitGroup(id="least", members=("b",), low_mw=80.0), UnitGroup(id="most", members=("a",), high_mw=15.0))
    found = clear(units, [70.0], groups)
    assert found.groups.ids == ("least", "most")
    assert found.groups.beyond_mw(found.answer.x).tolist() == [[-30.0, 5.0]]


@st.composite
def fleets(draw: st.DrawFn) -> tuple[list[Unit], dict[str, float], list[float]]:
    """Units with random ranges, ramps and telemetry, some far outside their range, and random loads."""
    size = draw(st.integers(1, 4))
    mw = st.integers(0, 60).map(float)
    units, output = [], {}
    for k in range(size):
        prices = sorted(draw(st.lists(st.integers(0, 50).map(float), min_size=1, max_size=3)))
        offer = [(draw(st.integers(1, 40).map(float)), price) for price in prices]
        units.append(unit(f"u{k}", "1", *offer, p_min_mw=draw(mw), ramp_mw_per_min=draw(st.integers(0, 8)) / 2))
        output[f"u{k}"] = draw(st.integers(-5, 150).map(float))
    return units, output, draw(st.lists(st.integers(0, 200).map(float), min_size=1, max_size=4))


@settings(max_examples=8, deadline=None)
@given(fleets(), st.integers(0, 2**16))
def test_no_telemetry_makes_the_ramps_contradict_the_ranges(fleet, off_bits):
    """The whole program always has an answer, and in it every unit that follows keeps its ramp and its range."""
    units, output, loads = fleet
    off = [tuple(u.id for k, u in enumerate(units) if off_bits >> (4 * t + k) & 1) for t in range(len(loads) - 1)]
    found = clear(units, loads, output_mw=output, ahead_off=tuple(off))
    moved, spans = found.output_mw, found.spans
    assert (moved >= spans.low_mw - 1e-6).all()
    assert (moved <= spans.high_mw + 1e-6).all()
    step = np.array([u.ramp_mw_per_min for u in found.block.book.units]) * PARAMS.interval_min
    both = spans.follows[1:] & spans.follows[:-1]
    assert (np.abs(np.diff(moved, axis=0)) <= step + 1e-6)[both].all()
    balance = moved.sum(axis=1) + found.answer.unserved_mw[:, 0]
    assert balance == pytest.approx(loads, abs=1e-6)


@settings(max_examples=8, deadline=None)
@given(fleets(), st.randoms(use_true_random=False))
def test_the_order_in_which_units_are_given_changes_nothing(fleet, shuffle):
    units, output, loads = fleet
    ordered = clear(units, loads, output_mw=output).builder.build()
    mixed = list(units)
    shuffle.shuffle(mixed)
    again = clear(mixed, loads, output_mw=output).builder.build()
    for name in ("cost", "upper", "period", "bus", "weight", "low", "high"):
        assert np.array_equal(getattr(ordered, name), getattr(again, name))
    assert (ordered.rows != again.rows).nnz == 0
