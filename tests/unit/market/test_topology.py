"""Into which parts the grid falls, which stations there are, and what a network model becomes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from market.matpower import parse_case
from market.rts_gmlc import load
from market.topology import Bus, Element, Kind, Part, Topology, from_network


def ring(n: int) -> Topology:
    """Buses B0…, each joined to the next one and the last to the first by L0…."""
    return Topology.of({f"L{k}": Element(kv=110.0, from_bus=f"B{k}", to_bus=f"B{(k + 1) % n}") for k in range(n)})


def parts(grid: Topology, *out: str) -> dict[str, Part]:
    return {part.name: part for part in grid.parts(frozenset(out))}


def test_one_opening_of_a_ring_cuts_nothing_off_and_two_make_two_parts() -> None:
    grid = ring(4)
    assert parts(grid) == {}
    assert parts(grid, "L0") == {}
    two = parts(grid, "L0", "L2")
    assert {name: (part.n_buses, part.cut, part.sources) for name, part in two.items()} == {
        "B0": (2, ("L0", "L2"), ("B0", "B3")),
        "B1": (2, ("L0", "L2"), ("B1", "B2")),
    }


def test_elements_without_ends_hold_nothing_together() -> None:
    grid = Topology.of({"L": Element(kv=110.0), "M": Element(kv=110.0, from_bus="A", to_bus="B")})
    assert parts(grid, "L") == {}
    assert set(parts(grid, "L", "M")) == {"A", "B"}
    assert parts(Topology.of({}), "L") == {}


def test_a_part_knows_its_share_of_each_areas_load() -> None:
    buses = {
        "N": Bus(area="1", load_mw=60.0),
        "S": Bus(area="1", load_mw=20.0, source=False),
        "T": Bus(area="2", load_mw=5.0),
        "U": Bus(area="1", load_mw=-9.0),
        "V": Bus(area="3"),
    }
    ends = {"NS": ("N", "S"), "ST": ("S", "T"), "NU": ("N", "U"), "NV": ("N", "V")}
    grid = Topology(elements={name: Element(kv=110.0, from_bus=f, to_bus=t) for name, (f, t) in ends.items()}, buses=buses)
    cut = parts(grid, "NS")
    assert cut["S"].area_share == {"1": 0.25, "2": 1.0}
    assert cut["N"].area_share == {"1": 0.75}
    assert (cut["S"].sources, cut["N"].sources) == (("T",), ("N", "U", "V"))


def test_parts_of_grids_that_were_never_joined_have_different_numbers() -> None:
    ends = {"AB": ("A", "B"), "CD": ("C", "D")}
    grid = Topology.of({name: Element(kv=110.0, from_bus=f, to_bus=t) for name, (f, t) in ends.items()})
    cut = parts(grid, "AB", "CD")
    assert cut["A"].whole == cut["B"].whole != cut["C"].whole == cut["D"].whole


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)).filter(lambda ends: ends[0] != ends[1]), max_size=20), st.data())
def test_parts_are_what_walking_along_closed_elements_reaches(ends: list[tuple[int, int]], data: st.DataObject) -> None:
    elements = {f"L{k}": Element(kv=110.0, from_bus=str(f), to_bus=str(t)) for k, (f, t) in enumerate(ends)}
    out = frozenset(data.draw(st.lists(st.sampled_from([*elements, "nobody"]))))
    grid = Topology.of(elements)
    beside = {bus: {bus} for bus in grid.buses}
    for _ in grid.buses:  # walk on along every closed element, as often as there are buses
        for name, each in elements.items():
            if name not in out:
                beside[each.from_bus] |= beside[each.to_bus]
                beside[each.to_bus] |= beside[each.from_bus]
    expected = set()
    for bus, reached in beside.items():
        cut = sorted(name for name in out & set(elements) if len(reached & {elements[name].from_bus, elements[name].to_bus}) == 1)
        if cut and bus == min(reached):
            expected.add((bus, len(reached), tuple(cut), tuple(sorted(reached))))
    assert {(part.name, part.n_buses, part.cut, part.sources) for part in grid.parts(out)} == expected
    assert grid.parts(out) is grid.parts(frozenset(out)), "the same question costs nothing"


def test_stations_and_what_ends_at_a_bus() -> None:
    grid = Topology(
        elements={"L": Element(kv=500.0, from_bus="A", to_bus="B"), "T": Element(kv=500.0, from_bus="B", to_bus="C"), "X": Element(kv=1.0)},
        buses={"A": Bus(kv=500.0, substation="S1"), "B": Bus(kv=500.0, substation="S2"), "C": Bus(kv=220.0, substation="S2")},
    )
    assert grid.at_bus == {"A": ("L",), "B": ("L", "T"), "C": ("T",)}
    assert grid.stations == {"S1": ("A",), "S2": ("B", "C")}
    assert (grid.stations_of("L"), grid.stations_of("T"), grid.stations_of("X")) == (("S1", "S2"), ("S2",), ())
    assert grid.backbone("S2", 500.0) == (("B",), ("L", "T"))
    assert grid.backbone("S2", 220.0) == (("B", "C"), ("L", "T"))
    assert grid.backbone("S2", 500.1) == ((), ())
    assert grid.backbone("S9", 220.0) == ((), ())
    assert (grid.count_from(500.0), grid.count_from(1.0), grid.count_from(500.1)) == (2, 3, 0)


CASE = """
mpc.version = '2';
mpc.baseMVA = 100;
mpc.bus = [
  1 3 50 0 0 0 1 1 0 500 1 1.1 0.9;
  2 1 30 0 0 0 1 1 0 220 1 1.1 0.9;
  3 1 20 0 0 0 2 1 0 500 1 1.1 0.9;
  4 1 0 0 0 0 2 1 0 500 1 1.1 0.9;
];
mpc.gen = [1 100 0 9 -9 1 100 1 200 0];
mpc.branch = [
  1 2 0 0.1 0 100 0 0 0 0 1 -360 360;
  1 3 0 0.1 0 200 0 0 0 0 1 -360 360;
  3 4 0 0.1 0 0 0 0 1.02 0 1 -360 360;
  2 3 0 0.1 0 100 0 0 0 0 0 -360 360;
];
mpc.gencost = [2 0 0 2 10 0];
"""


def test_a_network_model_becomes_a_topology() -> None:
    case = parse_case(CASE)
    off = [name for name, on in zip(case.network.branch_ids, case.in_service, strict=True) if not on]
    grid = from_network(
        case.network,
        load_mw=case.load_mw,
        sources={unit.bus for unit in case.units},
        out_of_service=off,
        substations={"4": "Delta"},
        infeeds={"DC": "3"},
    )
    transformer = Element(kv=500.0, from_bus="1", to_bus="2", kind=Kind.TRANSFORMER, rating_mw=100.0)
    names = case.network.branch_ids
    assert grid.elements[names[0]] == transformer
    assert grid.elements[names[1]] == Element(kv=500.0, from_bus="1", to_bus="3", rating_mw=200.0)
    assert (grid.elements[names[2]].kind, grid.elements[names[2]].rating_mw) == (Kind.TRANSFORMER, np.inf)
    assert (grid.elements[names[3]].from_bus, grid.elements[names[3]].to_bus) == ("", ""), "switched off, it holds nothing together"
    assert {bus: each.substation for bus, each in grid.buses.items()} == {"1": "1", "2": "1", "3": "1", "4": "Delta"}, (
        "also one switched off"
    )
    assert {bus: each.source for bus, each in grid.buses.items()} == {"1": True, "2": False, "3": True, "4": False}
    assert {bus: (each.area, each.kv, each.load_mw) for bus, each in grid.buses.items()}["3"] == ("2", 500.0, 20.0)
    assert grid.infeeds == {"DC"}
    assert set(parts(grid, names[1])) == {"1", "3"}


@pytest.fixture(scope="module")
def rts() -> Topology:
    case = load()
    return from_network(case.network, load_mw=case.bus_load_mw(case.real_time, 0), sources={unit.bus for unit in case.units})


def test_the_demonstration_grid_is_whole_and_its_transformers_make_stations(rts: Topology) -> None:
    assert len(rts.elements) == 120
    assert rts.stations["103"] == ("103", "124")
    assert rts.stations["109"] == ("109", "110", "111", "112")
    assert sum(element.kind is Kind.TRANSFORMER for element in rts.elements.values()) >= 15
    assert rts.parts(frozenset({"A1"})) == ()
    between = [name for name, each in rts.elements.items() if rts.buses[each.from_bus].area != rts.buses[each.to_bus].area]
    assert len(rts.parts(frozenset(between))) == 3, "three areas without their ties"
