"""The shipped grid and day, against figures that can be read off the published tables."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from market import rts_gmlc
from market.errors import CaseError
from market.grid import Topology
from market.offers import Control, Fuel


@pytest.fixture(scope="module")
def case():
    return rts_gmlc.load()


def test_size_and_what_is_left_out(case):
    assert (case.network.n_buses, case.network.n_branches) == (73, 120)
    assert len(case.units) == 154
    assert case.left_out == ("114_SYNC_COND_1", "214_SYNC_COND_1", "313_STORAGE_1", "314_SYNC_COND_1")
    assert Topology(case.network, np.ones(120, dtype=np.bool_)).n_islands == 1


def test_a_gas_turbine_is_priced_from_its_heat_rates(case):
    """101_CT_1: 13,114 BTU/kWh at 8 MW, then 9,456 9,476 10,352 for 4 MW each, at 10.3494 USD per million BTU."""
    unit = case.unit["101_CT_1"]
    assert (unit.fuel, unit.control, unit.bus, unit.area) == (Fuel.OIL, Control.DISPATCHABLE, "101", "1")
    assert (unit.p_min_mw, unit.p_max_mw, unit.ramp_mw_per_min) == (8.0, 20.0, 3.0)
    assert [s.mw for s in unit.segments] == pytest.approx([4.0, 4.0, 4.0])
    assert [s.price_per_mwh / 7 for s in unit.segments] == pytest.approx([97.8639, 98.0709, 107.1370], abs=1e-4)
    assert unit.cost_at_min_per_h / 7 == pytest.approx(8 * 135.7220, abs=1e-3)


def test_every_offer_rises_and_reaches_the_capacity(case):
    for unit in case.units:
        assert unit.p_min_mw + sum(s.mw for s in unit.segments) == pytest.approx(unit.p_max_mw), unit.id
        assert len(unit.segments) <= 10


def test_only_rooftop_plant_is_fixed_and_only_the_reactor_must_run(case):
    assert all(("RTPV" in unit.id) == (unit.control is Control.FIXED) for unit in case.units)
    assert [unit.id for unit in case.units if unit.must_run] == ["121_NUCLEAR_1"]
    assert sum(unit.control is Control.CURTAILABLE for unit in case.units) == 20 + 25 + 4 + 1


def test_series_are_the_published_ones(case):
    assert case.real_time.load_mw[0].tolist() == [908.2773922, 1106.41791, 1274.834854]
    assert case.real_time.periods == 288
    assert case.day_ahead.periods == 24
    assert case.available_mw(case.real_time, 0)["309_WIND_1"] == 146.0
    assert case.available_mw(case.day_ahead, 1)["122_WIND_1"] == 712.8
    inflow = [case.available_mw(case.real_time, k)["212_CSP_1"] for k in range(120, 132)]
    assert case.available_mw(case.day_ahead, 10)["212_CSP_1"] == pytest.approx(np.mean(inflow))


def test_area_load_is_spread_by_the_published_share(case):
    load = case.bus_load_mw(case.real_time, 0)
    assert load.sum() == pytest.approx(908.2773922 + 1106.41791 + 1274.834854)
    # Bus 101 has 108 of the 2,850 MW of area 1.
    assert load[case.network.bus_index["101"]] == pytest.approx(908.2773922 * 108 / 2850)
    assert len(case.load_buses) == np.count_nonzero(load)


def test_lines_and_transformers(case):
    kv = dict(zip(case.network.branch_ids, case.network.branch_kv, strict=True))
    assert kv["A1"] == 138.0
    assert kv["A7"] == 230.0  # the transformer 103-124
    assert set(case.network.bus_area) == {"1", "2", "3"}


@pytest.fixture
def copy(tmp_path):
    source = rts_gmlc.SHIPPED
    shutil.copytree(source, tmp_path / "rts")
    return tmp_path / "rts"


def test_a_folder_of_ones_own(copy):
    assert rts_gmlc.load(copy).real_time.periods == 288


DAY = "2020-01-01/"


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        (
            DAY + "REAL_TIME_regional_Load.csv",
            "\n2020,1,1,7,",
            "\n2020,1,1,8,",
            r"Load\.csv:8: Period is '8', expected 7, of periods 1 to 288",
        ),
        (DAY + "REAL_TIME_pv.csv", "\n2020,1,1,1,", "\n2020,1,2,1,", r"pv\.csv:2: a row of 2020-01-02 in the folder of 2020-01-01"),
        (DAY + "REAL_TIME_wind.csv", "146.0,782.7", "-146.0,782.7", r"wind\.csv:2: 309_WIND_1 is -146\.0, expected 0 or more"),
        (DAY + "REAL_TIME_wind.csv", "146.0,782.7", "146.0,NaN", r"wind\.csv:2: 317_WIND_1 is 'NaN', which is no number"),
        (DAY + "REAL_TIME_wind.csv", "146.0,782.7", "146.0,", r"wind\.csv:2: 317_WIND_1 is '', which is no number"),
        (DAY + "REAL_TIME_wind.csv", "146.0,782.7", "146.0;782.7", r"wind\.csv:2: a row of 7 cells, expected 8"),
        (DAY + "REAL_TIME_wind.csv", "317_WIND_1", "309_WIND_1", r"wind\.csv:1: columns given twice: 309_WIND_1"),
        (DAY + "REAL_TIME_wind.csv", "317_WIND_1", "122_HYDRO_1", r"REAL_TIME_wind\.csv:1: in another REAL_TIME series too: 122_HYDRO_1"),
        (DAY + "DAY_AHEAD_wind.csv", "309_WIND_1", "309_WIND_9", "309_WIND_1, 309_WIND_9"),
        (DAY + "DAY_AHEAD_wind.csv", "Period", "Hour", r"DAY_AHEAD_wind\.csv:1: columns missing: Period"),
        (DAY + "DAY_AHEAD_regional_Load.csv", "Period,1,2,3", "Period,1,2,4", r"Load\.csv:1: areas not both here and in bus\.csv: 3, 4"),
        ("bus.csv", "102,Adams", "101,Adams", r"bus\.csv:3: Bus ID 101 stands on line 2 already"),
        ("bus.csv", "PV,108.0", "PV,-108.0", r"bus\.csv:2: MW Load is -108\.0, expected 0 or more"),
        ("bus.csv", "PV,108.0", "PV,inf", r"bus\.csv:2: MW Load is 'inf', which is no number"),
        ("bus.csv", ",Area,", ",Region,", r"bus\.csv:1: columns missing: Area"),
        ("bus.csv", "0.0,0.0,1,11.0,11.0", "0.0,0.0,,11.0,11.0", r"bus\.csv:2: Area is empty"),
        ("branch.csv", "A1,101,102", "A1,101,999", r"branch\.csv:2: To Bus: bus '999'"),
        ("branch.csv", "A1,101,102", "A1,102,102", r"branch\.csv:2: branch A1 has both ends at bus 102"),
        ("branch.csv", "A2,101", "A1,101", r"branch\.csv:3: UID A1 stands on line 2 already"),
        ("branch.csv", "0.461,175", "0.461,-175", r"branch\.csv:2: Cont Rating is -175, expected 0 or more"),
        ("branch.csv", "175,193,200", "175,193,170", r"branch\.csv:2: STE Rating 170 below Cont Rating 175"),
        ("branch.csv", "0.003,0.014", "0.003,x", r"branch\.csv:2: X is 'x', which is no number"),
        ("gen.csv", "101_CT_1,101", "101_CT_1,999", r"gen\.csv:2: unit 101_CT_1 stands at bus 999"),
        ("gen.csv", "101_CT_2,101", "101_CT_1,101", r"gen\.csv:3: GEN UID 101_CT_1 stands on line 2 already"),
        ("gen.csv", "Oil CT,Oil,8", "Oil CT,Peat,8", r"gen\.csv:2: Fuel is 'Peat', expected one of Coal"),
        ("gen.csv", "1.0468,20,8", "1.0468,-20,8", r"gen\.csv:2: PMax MW is -20, expected 0 or more"),
        ("gen.csv", "1.0468,20,8", "1.0468,6,8", r"gen\.csv:2: "),
        ("gen.csv", "10.3494,0.4,0.6,0.8,1", "10.3494,0.4,0.8,0.6,1", r"gen\.csv:2: the Output_pct points do not rise"),
        ("gen.csv", "10.3494,0.4,0.6,0.8,1", "10.3494,NA,NA,NA,NA", r"gen\.csv:2: fewer than two Output_pct points"),
        ("gen.csv", "13114,9456,9476", "13114,NA,9476", r"gen\.csv:2: HR_incr_1 is 'NA', which is no number"),
        ("gen.csv", "13114,9456,9476", "13114,9476,9456", r"gen\.csv:2: unit 101_CT_1: "),
    ],
)
def test_a_damaged_file_is_refused_by_file_line_and_remedy(copy, file, old, new, message):
    path = copy / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(CaseError, match=message):
        rts_gmlc.load(copy)


def test_a_series_cut_short_and_an_area_that_nobody_draws_from_are_refused(copy):
    path = copy / DAY / "DAY_AHEAD_hydro.csv"
    whole = path.read_text()
    path.write_text("\n".join(whole.splitlines()[:20]) + "\n")
    with pytest.raises(CaseError, match=r"DAY_AHEAD_hydro\.csv: 19 rows, expected periods 1 to 24"):
        rts_gmlc.load(copy)
    path.write_text("")
    with pytest.raises(CaseError, match=r"DAY_AHEAD_hydro\.csv:1: columns missing: Year"):
        rts_gmlc.load(copy)
    path.write_text(whole.splitlines()[0])
    with pytest.raises(CaseError, match=r"DAY_AHEAD_hydro\.csv: no rows below the heading"):
        rts_gmlc.load(copy)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(CaseError, match=r"DAY_AHEAD_hydro\.csv: cannot be read as a table"):
        rts_gmlc.load(copy)
    path.write_text(whole)
    buses = (copy / "bus.csv").read_text().splitlines()
    idle = [",".join([*row.split(",")[:4], "0.0", *row.split(",")[5:]]) if row.startswith("3") else row for row in buses]
    (copy / "bus.csv").write_text("\n".join(idle))
    with pytest.raises(CaseError, match=r"REAL_TIME_regional_Load\.csv: area 3 has load, and no bus of bus\.csv to draw it"):
        rts_gmlc.load(copy)


def test_a_byte_order_mark_blank_lines_and_spaces_change_nothing(copy):
    path = copy / "bus.csv"
    path.write_text("\ufeff" + path.read_text().replace("\n102,Adams", "\n\n102 ,Adams"))
    assert rts_gmlc.load(copy).network.digest == rts_gmlc.load().network.digest


def test_a_missing_day_is_refused_by_name():
    with pytest.raises(CaseError, match=r"2021-01-01.*no such file"):
        rts_gmlc.load(day="2021-01-01")
