"""The operators' merit order, on three units that can be done in the head."""

from __future__ import annotations

import numpy as np
import pytest

from ingest.simulator.dispatch import Need, Operators
from market.offers import Control, Fuel, Segment, Unit


def unit(name: str, p_min: float, p_max: float, price: float, control: Control = Control.DISPATCHABLE, *, must_run: bool = False) -> Unit:
    return Unit(
        id=name,
        bus="1",
        area="1",
        fuel=Fuel.COAL,
        category="test",
        control=control,
        p_min_mw=p_min,
        p_max_mw=p_max,
        ramp_mw_per_min=2.0,
        segments=(Segment(p_max - p_min, price),),
        cost_at_min_per_h=p_min * price,
        must_run=must_run,
    )


UNITS = (
    unit("base", 100, 200, 10.0, must_run=True),
    unit("mid", 50, 150, 20.0),
    unit("peak", 20, 60, 90.0),
    unit("sun", 0, 80, 0.0, Control.CURTAILABLE),
)
EVERYWHERE = np.ones(4, dtype=bool)
ANYWHERE = np.full(4, np.inf)


def plan(current: list[float], now: float, soon: float | None = None, reach: np.ndarray = ANYWHERE):
    return Operators(UNITS).plan(np.array(current), reach, EVERYWHERE, Need(now_mw=now, soon_mw=now if soon is None else soon))


@pytest.mark.parametrize(
    ("need", "expected"),
    [
        (120.0, [120.0, 0.0, 0.0]),  # one unit and its reserve suffice
        (180.0, [130.0, 50.0, 0.0]),  # the reserve asks for a second unit, which runs at its minimum
        (330.0, [200.0, 110.0, 20.0]),  # and for the third
    ],
)
def test_the_cheapest_first_and_enough_of_them(need: float, expected: list[float]) -> None:
    planned = plan([0.0] * 4, need)
    np.testing.assert_allclose(planned.base_mw[:3], expected)
    assert planned.base_mw[3] == 0.0
    assert (planned.curtailed_mw, planned.short_mw) == (0.0, 0.0)


def test_what_runs_goes_on_and_the_dearest_is_lowered_first() -> None:
    np.testing.assert_allclose(plan([150.0, 100.0, 30.0, 0.0], 255.0).base_mw[:3], [150.0, 85.0, 20.0])


def test_too_little_load_stops_the_dearest_and_curtails_the_rest() -> None:
    """At 60 MW the must-run unit's minimum of 100 MW is 40 MW too much."""
    planned = plan([120.0, 60.0, 0.0, 0.0], 60.0)
    np.testing.assert_allclose(planned.base_mw[:3], [100.0, 0.0, 0.0])
    assert planned.curtailed_mw == pytest.approx(40.0)


def test_a_unit_is_kept_for_what_is_in_sight() -> None:
    assert plan([120.0, 60.0, 0.0, 0.0], 120.0, soon=300.0).base_mw[1] > 0.0


def test_nobody_is_sent_further_than_it_gets_and_the_rest_is_short() -> None:
    """Five minutes at 2 MW/min are 10 MW a unit: of 60 MW more, 20 come from the two that run, and starting ones give 10."""
    planned = plan([150.0, 100.0, 0.0, 0.0], 310.0, reach=np.full(4, 10.0))
    assert planned.base_mw[2] == 20.0, "a starting unit is sent to its minimum"
    assert planned.counted_mw[2] == pytest.approx(10.0)
    assert planned.short_mw == pytest.approx(310.0 - 160.0 - 110.0 - 10.0)


def test_units_elsewhere_are_left_alone() -> None:
    here = np.array([True, False, True, True])
    planned = Operators(UNITS).plan(np.array([150.0, 100.0, 0.0, 0.0]), ANYWHERE, here, Need(now_mw=120.0, soon_mw=120.0))
    assert planned.base_mw[1] == 0.0
