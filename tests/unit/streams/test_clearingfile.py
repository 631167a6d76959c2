"""The file behind ``clearing:``: what it declares, and that every mistake is named with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from market import rts_gmlc
from market.engine import ClearingEngine
from market.errors import ConfigError
from market.monitor import LimitKind
from market.params import ClearingParams
from streams.clearingfile import ClearingSetup, read_clearing

WHOLE = """
look_ahead: 24
outages: all
emergency_factor: 1.2
penalties: {outage: 3, line: 5, section: 6.5, balance: 40}
pricing: {limit: 2, balance: 10}
sections:
  east: {members: {A1: 1.0, A7: -1.0}, high_mw: 900, low_mw: -700}
reserves:
  products: {spin: {direction: up, minutes: 10}}
  requirements: {spin-1: {product: spin, area: "1", mw: 120, shortage: [[50, 300], [100, 1000]]}}
  offers: [{provider: all, product: spin}]
storages:
  b1: {bus: "313", area: "3", charge_mw: 50, discharge_mw: 50, energy_max_mwh: 200, charge_efficiency: 0.93,
       discharge_efficiency: 0.93, offers: [[50, 280]], bids: [[50, 120]]}
groups: {outlet: {members: [101_CT_1, 101_CT_2], high_mw: 30}}
"""


def read(tmp_path: Path, text: str) -> ClearingSetup:
    path = tmp_path / "clearing.yaml"
    path.write_text(text)
    return read_clearing(path)


def problems(tmp_path: Path, text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, text)
    return [str(problem).split("clearing.yaml:")[1] for problem in caught.value.problems]


def test_a_whole_file_is_what_an_engine_takes(tmp_path):
    setup, case = read(tmp_path, WHOLE), rts_gmlc.load()
    params = setup.params(ClearingParams(offer_cap_per_mwh=1000.0))
    assert (setup.look_ahead, setup.outages) == (24, "all")
    assert params.penalties == {LimitKind.LINE: 5000.0, LimitKind.SECTION: 6500.0, LimitKind.OUTAGE: 3000.0}
    assert (params.pricing_balance_penalty_per_mwh, params.emergency_factor) == (10_000.0, 1.2)
    resources = setup.resources_of(case.units)
    assert len(resources.reserve_offers) == sum(u.control.value == "dispatchable" and u.p_max_mw > u.p_min_mw for u in case.units)
    engine = ClearingEngine(case.network, case.units, params, resources=resources, sections=setup.sections)
    assert engine.participants.storages.ids == ("b1",)
    assert [section.id for section in engine.monitor(()).sections] == ["east"]


def test_an_empty_declaration_changes_nothing(tmp_path):
    assert read(tmp_path, "look_ahead: 1\n") == ClearingSetup()


def test_every_mistake_is_named_with_its_line(tmp_path):
    text = """look_ahead: 1
sections:
  east: {members: {A1: 0.0}}
reserves:
  products: {spin: {direction: up, minutes: 10}}
  requirements: {r: {product: spin, mw: 5, shortage: []}}
  offers:
    - {provider: all, product: slow}
    - {provider: u1, product: spin}
storages:
  b1: {bus: "1", area: "1", charge_mw: 5, discharge_mw: 5, energy_max_mwh: 9, charge_efficiency: 1.2, discharge_efficiency: 1}
groups: {g: {members: []}}
"""
    found = problems(tmp_path, text)
    assert [line.split(":")[0] for line in found] == ["3", "11", "12", "6", "8", "9"]
    assert "coefficients that are 0" in found[0]
    assert "charge_efficiency is 1.2" in found[1]
    assert "there is no product slow" in found[4]
    assert "u1 offers no mw" in found[5]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("look_ahead: 25\n", "25"),
        ("penalties: {line: -1}\n", "line"),
        ("outage: all\n", "outage"),
        ("storages: {b: {bus: x}}\n", "area"),
        ("sections: {s: {members: {A1: .nan}}}\n", "A1"),
    ],
)
def test_what_is_no_value_is_refused(tmp_path, text, said):
    assert any(said in problem for problem in problems(tmp_path, text))
