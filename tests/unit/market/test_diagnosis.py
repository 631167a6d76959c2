"""A smallest set of limits that cannot be kept together: on paper, and in a published case that has no DC solution."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from market import matpower
from market.diagnosis import Diagnosis, diagnose
from market.engine import CASE_PARAMS, clear_case
from market.matpower import Case
from market.outcomes import ClearingInputs
from market.params import ClearingParams
from market.reserves import Direction, ReserveOffer, ReserveProduct, ReserveRequirement, ShortageStep
from market.resources import Resources, UnitGroup
from market.workings import Workings
from tests.kit.explained import of_case, of_interval
from tests.kit.grids import case, network, triangle, unit
from tests.kit.pglib import FILES

ONE_BUS = network(("1", "2"), [("1", "2", 0.1, np.inf)])


def of(a_case: Case, **options: object) -> Diagnosis:
    return diagnose(of_case(a_case, **options)[1])


def named(diagnosis: Diagnosis) -> list[tuple[str, str, str, float]]:
    return [(limit.kind, limit.id, limit.side, pytest.approx(limit.mw)) for limit in diagnosis.limits]


def test_nothing_is_wrong_with_a_case_that_clears():
    assert of(triangle()) == Diagnosis(possible=True, limits=(), detail="nothing is exceeded and nothing missed")


def test_two_lines_that_cannot_bring_the_load_together():
    """60 and 20 MW of line towards 100 MW of load, and no unit behind them."""
    net = network(("1", "2", "3"), [("1", "3", 0.1, 60.0), ("2", "3", 0.1, 20.0)])
    found = of(case(net, [unit("a", "1", (200.0, 10.0)), unit("b", "2", (200.0, 20.0))], {"3": 100.0}))
    assert found.possible is False
    assert named(found) == [("line", "L1", "at most", 60.0), ("line", "L2", "at most", 20.0)]
    assert "2 limits of the network (L1, L2)" in found.detail


def test_a_grid_that_is_short_names_units_and_no_line():
    found = of(case(ONE_BUS, [unit("a", "1", (30.0, 10.0)), unit("b", "2", (20.0, 20.0), (20.0, 30.0))], {"2": 100.0}))
    assert named(found) == [("balance", "1", "exactly", 100.0), ("unit", "a", "at most", 30.0), ("unit", "b", "at most", 40.0)]


def test_least_outputs_beyond_the_load():
    """The fixed part of the balance is the least output, so it is the balance that cannot be met."""
    found = of(case(ONE_BUS, [unit("a", "1", (30.0, 10.0), p_min_mw=60.0)], {"2": 50.0}))
    assert found.possible is False
    assert ("balance", "1", "exactly", -10.0) in named(found)


def test_a_limit_that_was_only_too_dear_to_keep():
    """The unit behind the line asks more than the penalty: the limit is exceeded, and could be kept."""
    net = network(("1", "2"), [("1", "2", 0.1, 30.0)])
    cheap_line = replace(CASE_PARAMS, offer_cap_per_mwh=10.0)
    found = of(case(net, [unit("far", "1", (200.0, 10.0)), unit("near", "2", (200.0, 90.0))], {"2": 100.0}), params=cheap_line)
    assert found.possible is True
    assert "costs more than its penalty" in found.detail


def test_limits_after_an_outage():
    net = network(("1", "2"), [("1", "2", 0.1, 100.0), ("1", "2", 0.1, 100.0)])
    found = of(case(net, [unit("a", "1", (300.0, 10.0))], {"2": 150.0}), outages="all")
    (limit,) = [limit for limit in found.limits if limit.kind == "n-1"]
    assert {limit.id, limit.outage} == {"L1", "L2"}
    assert (limit.side, limit.mw) == ("at most", pytest.approx(130.0))


def test_a_published_case_without_a_dc_solution():
    """PGLib's 118__sad: three lines, the one that is exceeded among them, with either of the others eased it could be kept."""
    read = matpower.read_case(FILES["118_ieee__sad"])
    kept: list[Workings] = []
    outcome = clear_case(read, keep=kept.append)
    found = diagnose(kept[0])
    lines = [limit.id for limit in found.limits if limit.kind == "line"]
    assert (found.possible, lines) == (False, ["33", "66", "96"])
    assert {violation.id for violation in outcome.violations} <= set(lines)
    for name in lines:
        rate = read.network.rate_mw.copy()
        wider = read.network.branch_index[name]
        rate[wider] = np.inf
        net = replace(read.network, rate_mw=rate, angle_min_rad=_free(read, wider, -np.inf), angle_max_rad=_free(read, wider, np.inf))
        kept.clear()
        clear_case(replace(read, network=net), keep=kept.append)
        again = diagnose(kept[0])
        # Irreducible: with one of them eased the same set is no obstacle any more.
        assert [limit.id for limit in again.limits if limit.kind == "line"] != lines


def _free(read: Case, branch: int, value: float) -> np.ndarray:
    angles = (read.network.angle_min_rad if value < 0 else read.network.angle_max_rad).copy()
    angles[branch] = value
    return angles


INPUTS = ClearingInputs(
    interval_start_ns=0, frozen_at_ns=0, load_mw={"2": 100.0}, output_mw={"a": 60.0, "b": 40.0}, available_mw={}, used_points=1
)


def test_a_group_that_may_not_give_what_is_needed():
    resources = Resources(unit_groups=(UnitGroup(id="outlet", members=("a",), high_mw=50.0),))
    units = (unit("a", "1", (200.0, 10.0)), unit("b", "1", (40.0, 20.0)))
    _, workings = of_interval(ONE_BUS, units, INPUTS, resources=resources)
    assert named(diagnose(workings)) == [
        ("balance", "1", "exactly", 100.0),
        ("group", "outlet", "at most", 50.0),
        ("unit", "b", "at most", 40.0),
    ]


def test_reserve_that_nobody_can_hold():
    resources = Resources(
        products=(ReserveProduct(id="spin", direction=Direction.UP, minutes=10.0),),
        requirements=(ReserveRequirement(id="wanted", product="spin", mw=80.0, shortage=(ShortageStep(1.0, 1000.0),)),),
        reserve_offers=(ReserveOffer(provider="a", product="spin", mw=50.0),),
    )
    units = (unit("a", "1", (200.0, 10.0)), unit("b", "1", (40.0, 20.0)))
    _, workings = of_interval(ONE_BUS, units, INPUTS, resources=resources, params=ClearingParams())
    assert named(diagnose(workings)) == [("award", "a for spin", "at most", 50.0), ("reserve", "wanted", "at least", 80.0)]
