"""Loads and availabilities against the case's own series."""

from __future__ import annotations

import numpy as np
import pytest

from ingest.simulator.daycurve import DayCurve
from market import rts_gmlc
from market.units import NS_PER_DAY, NS_PER_S, instant_ns


def at(clock: str, seed: int = 7) -> tuple[np.ndarray, np.ndarray]:
    nature = DayCurve(rts_gmlc.load(), seed).at(instant_ns(f"2026-06-10T{clock}+08:00"))
    return nature.load_mw, nature.available_mw


def test_the_time_of_day_in_shanghai_picks_the_point() -> None:
    """10:00 in Shanghai is period 120; the areas' loads are those of the series but for their noise of a quarter of a per cent."""
    case = rts_gmlc.load()
    load_mw, _ = at("10:00:00")
    for area, expected in zip(case.real_time.area_ids, case.real_time.load_mw[120], strict=True):
        mine = [a == area for a in case.network.bus_area]
        assert load_mw[mine].sum() == pytest.approx(expected, rel=0.02)


def test_halfway_between_two_points_is_halfway_between_their_values() -> None:
    case = rts_gmlc.load()
    seeds = [at("10:02:30", seed)[0].sum() for seed in range(40)]
    expected = case.real_time.load_mw[[120, 121]].sum(axis=1).mean()
    assert np.mean(seeds) == pytest.approx(expected, rel=2e-3)


def test_nature_never_offers_more_than_the_plant_can_give_nor_less_than_nothing() -> None:
    case = rts_gmlc.load()
    p_max = np.array([u.p_max_mw for u in case.units])
    for clock in ("00:00:30", "08:10:00", "12:00:00", "16:40:10"):
        _, available = at(clock)
        assert (available <= p_max).all()
        assert (available >= 0.0).all()
    dark = at("01:00:00")[1]
    assert all(dark[k] == 0.0 for k, u in enumerate(case.units) if "PV" in u.id)


def test_midnight_is_crossed_without_a_jump() -> None:
    """The data end at a third of the wind they begin with; nothing moves by more in a minute than in the day itself."""
    day = DayCurve(rts_gmlc.load(), 7)
    midnight = instant_ns("2026-06-11T00:00:00+08:00")
    minutes = [day.at(midnight + k * 60 * NS_PER_S).available_mw.sum() for k in range(-150, 10)]
    assert np.abs(np.diff(minutes)).max() < 60.0


def test_days_repeat_but_for_their_noise() -> None:
    day = DayCurve(rts_gmlc.load(), 7)
    now = instant_ns("2026-06-10T13:00:00+08:00")
    today, tomorrow = day.at(now), day.at(now + NS_PER_DAY)
    assert today.load_mw.sum() == pytest.approx(tomorrow.load_mw.sum(), rel=0.02)
    assert not (today.load_mw == tomorrow.load_mw).all()
