"""The priority list on paper, and what it keeps whatever it is given."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from market.commitment import commit
from market.offers import Control
from tests.kit.grids import unit

BASE = unit("base", "1", (100.0, 10.0), min_up_h=4, min_down_h=4)
MID = unit("mid", "1", (60.0, 20.0), min_up_h=3, min_down_h=2)
PEAK = unit("peak", "1", (50.0, 50.0))
NONE = np.zeros


def on_of(units, load_mw, *, renewable_mw=None, reserve_share=0.0):
    load = np.array(load_mw, dtype=float)
    on = commit(units, load, NONE(len(load)) if renewable_mw is None else np.array(renewable_mw, dtype=float), reserve_share)
    return {unit.id: "".join("#" if hour else "." for hour in on[:, k]) for k, unit in enumerate(units)}


def test_cheap_units_first_and_one_more_than_the_load_for_the_loss_of_the_largest():
    # 50 MW must be there without the 100 MW of base: mid does it alone; the peaker is not needed.
    assert on_of([PEAK, MID, BASE], [50] * 4) == {"peak": "....", "mid": "####", "base": "####"}


def test_a_unit_is_up_an_hour_before_it_is_needed():
    assert on_of([BASE, MID, PEAK], [60, 60, 60, 100, 60, 60])["peak"] == "..##.."


def test_the_reserve_share_and_renewables_move_the_need():
    assert on_of([BASE, MID, PEAK], [58] * 3)["peak"] == "..."
    assert on_of([BASE, MID, PEAK], [58] * 3, reserve_share=0.1)["peak"] == "###"
    assert on_of([BASE, MID, PEAK], [100] * 3, renewable_mw=[45] * 3)["peak"] == "..."


def test_must_run_units_run_and_nature_is_always_on():
    units = [unit("reactor", "1", (100.0, 99.0), must_run=True), unit("wind", "1", (50.0, 0.0), control=Control.CURTAILABLE), MID]
    assert on_of(units, [10] * 3) == {"reactor": "###", "wind": "###", "mid": "###"}


def test_a_gap_shorter_than_the_down_time_is_closed():
    units = [BASE, unit("mid", "1", (60.0, 20.0), min_down_h=4), PEAK]
    assert on_of(units, [50, 50, 0, 0, 0, 50, 50])["mid"] == "#######"
    assert on_of(units, [50, 50, 0, 0, 0, 0, 0, 50, 50])["mid"] == "##....###"


def test_a_run_shorter_than_the_up_time_is_lengthened():
    units = [BASE, MID, unit("peak", "1", (50.0, 50.0), min_up_h=4)]
    assert on_of(units, [60, 60, 60, 100, 60, 60, 60, 60])["peak"] == "..####.."


def test_when_the_units_do_not_suffice_all_of_them_are_on():
    assert on_of([BASE, MID, PEAK], [500] * 2) == {"base": "##", "mid": "##", "peak": "##"}


@pytest.mark.parametrize("seed", range(5))
def test_need_and_times_are_kept_on_any_day(seed):
    rng = np.random.default_rng(seed)
    units = [
        unit(
            f"U{k}",
            "1",
            (float(rng.uniform(20, 200)), float(rng.uniform(10, 90))),
            min_up_h=int(rng.integers(0, 9)),
            min_down_h=int(rng.integers(0, 9)),
        )
        for k in range(15)
    ]
    load = rng.uniform(200, 900, size=24)
    on = commit(units, load, NONE(24), 0.1)
    capacity = on * np.array([u.p_max_mw for u in units])
    enough = capacity.sum(axis=1) - capacity.max(axis=1) >= load * 1.1
    assert (enough | on.all(axis=1)).all()
    for k, plant in enumerate(units):
        edges = np.flatnonzero(np.diff(on[:, k].astype(int))) + 1
        for begin, end in pairwise(edges):
            assert end - begin >= (plant.min_up_h if on[begin, k] else plant.min_down_h)
