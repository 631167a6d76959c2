"""Islands and lost stations over time: what nobody looked at, what is doubted for a while, and what was joined again in between."""

from __future__ import annotations

from dataclasses import replace

import pytest

from detectors.evidence import Kind, Level
from detectors.findings import Basis, ConditionGone, Finding
from detectors.topology_change import next_deadline_ns, observe
from market.facts import InfeedReported, Segment
from market.rules import rules_from
from market.topology import Bus, Element, Topology
from tests.kit.fieldstory import RULES, conditions, fact_of, of, played, run
from tests.kit.table import at_ns

SOFT = Basis.TOPOLOGY_SOFT


def lost(clock: str, *elements: str) -> str:
    """Elements that open and carry nothing any more."""
    return "".join(f"{clock} open {name}\n{clock} dead {name}\n" for name in elements)


def gone(found: list[Finding], basis: Basis = Basis.TOPOLOGY_HARD) -> list[Segment]:
    return [each.segment for each in found if isinstance(each, ConditionGone) and each.basis is basis]


def spokes(**load_mw: float) -> Topology:
    """A bus N with a line to each of the buses named; what they draw is a share of 10 000 MW in one area."""
    buses = {"N": 10_000.0 - sum(load_mw.values()), **load_mw}
    return Topology(
        elements={f"T{bus}": Element(kv=110.0, from_bus="N", to_bus=bus) for bus in load_mw},
        buses={bus: Bus(kv=110.0, substation=bus, area="A", load_mw=mw) for bus, mw in buses.items()},
    )


LOAD = "13:59 load A 10000\n13:59:01 tick\n"
ONE = spokes(I=500.0)
TWO = spokes(I=300.0, J=300.0)


def test_an_island_that_is_joined_again_an_hour_later_is_over() -> None:
    table = LOAD + lost("14:00", "TI") + "14:02 tick\n15:00 tick\n15:05 close TI\n15:05:01 tick"
    assert gone(run(table, grid=ONE)) == [Segment.RT, Segment.DA]


def test_an_island_behind_a_line_that_was_doubted_for_a_while_counts_once_it_is_not() -> None:
    doubted = LOAD + lost("14:00", "TI") + "14:00:05 doubt TI\n14:00:10 tick\n14:01 tick\n14:05 tick\n"
    assert conditions(run(doubted, grid=ONE)) == []
    assert conditions(run(doubted + "14:06 doubt\n14:06:01 tick\n14:07 tick", grid=ONE)) == [at_ns("14:01")]


@pytest.mark.parametrize(
    ("before", "opening"),
    [("13:00 permit TJ 13:30 18:00\n", lost("14:00", "TJ")), ("", "14:00 open TJ initial\n14:00 dead TJ\n")],
    ids=["permitted", "from the beginning"],
)
def test_a_planned_island_adds_nothing_to_the_share_of_one_that_is_not(before: str, opening: str) -> None:
    found = run(before + LOAD + opening + lost("14:00", "TI") + "14:05 tick", grid=TWO)
    assert conditions(found) == []
    (soft,) = of(found, SOFT)
    assert soft.evidence[0] == "1 energised island with 3.0 % of the load cut off (limit 1 % for 60 s)"


@pytest.mark.parametrize("ticks", ["", "14:00:20.500 tick\n"], ids=["nobody looked between", "somebody looked between"])
def test_an_island_that_was_joined_for_a_moment_must_hold_for_a_minute_from_then(ticks: str) -> None:
    table = LOAD + lost("14:00", "TI") + f"14:00:20 close TI\n{ticks}14:00:21 open TI\n14:05 tick"
    assert conditions(run(table, rules_from({"chatter_changes": 0}), ONE)) == [at_ns("14:01:21")]


def test_an_island_that_opened_earlier_than_was_known_has_held_for_longer() -> None:
    table = LOAD + lost("14:00", "TI") + "14:00:20 open TI @13:59:55 history\n14:05 tick"
    assert conditions(run(table, grid=ONE)) == [at_ns("14:00:55")]


def test_an_island_that_was_joined_before_that_was_certain_holds_from_when_it_formed_again() -> None:
    other = lost("13:59:30", "TJ") + "13:59:40 tick\n"
    table = LOAD + other + lost("14:00", "TI") + "14:00:05 tick\n14:00:06 close TI\n14:00:07 open TI\n14:05 tick"
    assert conditions(run(table, rules_from({"chatter_changes": 0}), spokes(I=500.0, J=1.0))) == [at_ns("14:01:07")]


STATION = Topology(
    elements={name: Element(kv=500.0, from_bus=bus, to_bus="N") for name, bus in (("E1", "K"), ("E2", "K"), ("E3", "M"))},
    buses={bus: Bus(kv=500.0, substation=bus) for bus in "KNM"},
)
FEW = rules_from({"topology_hard": {"ehv_elements": 99}, "topology_soft": {"ehv_elements": 99}})


@pytest.mark.parametrize(
    ("back", "met"),
    [("14:00:08", []), ("14:00:10", []), ("14:00:10.001", ["14:00:10"])],
)
def test_a_station_is_lost_once_it_has_been_without_voltage_for_ten_seconds_whoever_looks_before(back: str, met: list[str]) -> None:
    table = f"13:50 tick\n14:00 volt K 0\n14:00:05 tick\n{back} volt K 0.95\n14:01 tick"
    assert conditions(run(table, FEW, STATION)) == [at_ns(clock) for clock in met]


def test_a_station_that_somebody_looked_at_too_early_is_lost_all_the_same_and_told_once() -> None:
    table = "13:50 tick\n14:00 volt K 0\n14:00:05 tick\n14:00:10 tick\n14:00:20 tick\n14:00:40 tick\n14:05 tick"
    assert conditions(run(table, FEW, STATION)) == [at_ns("14:00:10")]


@pytest.mark.parametrize(("back", "met"), [("14:00:10", []), ("14:00:10.001", ["14:00:10"])])
def test_a_station_whose_last_element_is_closed_again_after_ten_seconds_was_lost(back: str, met: list[str]) -> None:
    table = "13:50 tick\n" + lost("14:00", "E1", "E2") + f"{back} close E1\n14:01 tick"
    assert conditions(run(table, FEW, STATION)) == [at_ns(clock) for clock in met]


def test_hard_and_soft_evidence_that_are_met_at_one_instant_are_told_as_hard_evidence() -> None:
    grid = Topology.of({name: Element(kv=500.0) for name in ("L1", "L2")})
    found = run("13:59 load A 30000\n14:00 load A 20000\n" + lost("14:00", "L1", "L2") + "14:01 tick", grid=grid)
    assert (conditions(found), conditions(found, SOFT)) == ([at_ns("14:00:10")], [])


def test_a_station_that_was_back_for_a_moment_before_that_was_certain_is_lost_when_it_is_certain_again() -> None:
    table = "13:50 tick\n14:00 volt K 0\n14:00:10 tick\n14:00:15 volt K 1 @14:00:05\n14:00:15 volt K 0 @14:00:06\n14:01 tick"
    assert conditions(run(table, FEW, STATION)) == [at_ns("14:00:16")]


def test_a_station_without_voltage_of_which_that_is_told_again_stays_lost() -> None:
    found = played("13:50 tick\n14:00 volt K 0\n14:00:10 tick\n", FEW, STATION).watch
    (lost_station,) = found.certain
    again, _ = observe(found, fact_of(at_ns("14:00:15"), ["volt", "K", "0.01", "@14:00:05"]), FEW, STATION)
    assert again.certain == (lost_station,)


def test_an_infeed_that_is_back_takes_back_nothing_but_itself() -> None:
    """It is called after its station."""
    grid = Topology(elements=STATION.elements, buses=STATION.buses, infeeds=frozenset("K"))
    table = "13:50 tick\n13:58 load A 10000\n13:59 infeed K 900\n14:00 infeed K 0\n14:00 volt K 0\n14:00:10 tick\n"
    back = "14:00:20 infeed K 900 @14:00:05\n14:01 tick"
    assert conditions(run(table + "14:01 tick", FEW, grid)) == [at_ns("14:00:10")] * 2
    assert [each.kind for each in played(table + back.splitlines()[0], FEW, grid).watch.certain] == [Kind.SUBSTATION]
    assert conditions(run(table + back, FEW, grid)) == [at_ns("14:00:10")]
    assert len(played(table + back, FEW, grid).watch.standing) == 1


def test_a_permit_that_comes_after_an_island_was_told_does_not_end_it() -> None:
    table = LOAD + lost("14:00", "TI") + "14:02 tick\n14:10 permit TI 13:00 18:00\n14:11 tick\n14:12 tick"
    assert gone(run(table, grid=ONE)) == []


def test_of_two_infeeds_the_one_that_is_back_takes_back_itself() -> None:
    grid = Topology(elements=ONE.elements, buses=ONE.buses, infeeds=frozenset(["DC", "DD"]))
    both = "13:58 load A 10000\n13:59 infeed DC 900\n13:59 infeed DD 900\n14:00 infeed DC 0\n14:00 infeed DD 0\n14:00:10 tick\n"
    watch = played(both, grid=grid).watch
    back = fact_of(at_ns("14:00:20"), ["infeed", "DD", "900"])
    assert isinstance(back, InfeedReported)
    for early_ns, left in ((0, ["DC", "DD"]), (1, ["DC"])):
        after, _ = observe(watch, replace(back, ts_source_ns=at_ns("14:00:10") - early_ns), RULES, grid)
        assert [each.subject for each in after.certain] == left


def test_a_line_that_reclosed_takes_back_no_lost_load() -> None:
    table = "13:59 load A 30000\n14:00 load A 20000\n14:00:10 tick\n14:00:12 open TI @14:00:05\n14:00:13 close TI @14:00:08\n14:01 tick"
    assert conditions(run(table, grid=ONE)) == [at_ns("14:00:10")]


@pytest.mark.parametrize(("back", "met"), [("14:01", None), ("14:01:00.001", "14:01")])
def test_word_that_came_late_takes_an_island_back_if_it_speaks_of_the_time_before_it_was_certain(back: str, met: str | None) -> None:
    late = LOAD + lost("14:00", "TI") + f"14:01:10 close TI @{back}\n14:05 tick"
    assert conditions(run(late, grid=ONE)) == ([] if met is None else [at_ns(met)])


def test_an_island_that_was_taken_back_is_found_again_when_it_has_held() -> None:
    table = LOAD + lost("14:00", "TI") + "14:01:10 close TI @14:00:20\n14:01:10 open TI @14:00:21\n14:05 tick"
    assert conditions(run(table, rules_from({"chatter_changes": 0}), ONE)) == [at_ns("14:01:21")]


def test_an_infeed_that_is_back_takes_no_island_back() -> None:
    grid = Topology(elements=ONE.elements, buses=ONE.buses, infeeds=frozenset(["DC"]))
    island = LOAD + "13:59:30 infeed DC 900\n" + lost("14:00", "TI") + "14:00:50 infeed DC 0\n14:01 tick\n"
    assert conditions(run(island + "14:01:20 infeed DC 900 @14:00:55\n14:05 tick", grid=grid)) == [at_ns("14:01")]


def test_a_third_island_does_not_delay_what_the_first_two_have_reached() -> None:
    table = LOAD + lost("14:00", "TI") + lost("14:05", "TJ") + lost("14:05:30", "TK") + "14:10 tick"
    assert conditions(run(table, grid=spokes(I=300.0, J=300.0, K=100.0))) == [at_ns("14:06")]


def test_an_island_that_was_found_is_not_asked_after_again() -> None:
    watch = played(LOAD + lost("14:00", "TI") + "14:01:30 tick", grid=ONE).watch
    assert next_deadline_ns(watch, at_ns("14:00:59"), RULES) is None


def test_soft_evidence_of_an_island_does_not_swallow_that_of_the_lines_behind_it() -> None:
    grid = Topology(
        elements={"TI": Element(kv=500.0, from_bus="N", to_bus="I"), "L": Element(kv=500.0)},
        buses={bus: Bus(kv=500.0, substation=bus, area="A", load_mw=mw) for bus, mw in (("N", 9_700.0), ("I", 300.0))},
    )
    story = played(LOAD + lost("14:00", "TI") + "14:02 tick\n" + lost("14:05", "L") + "14:06 tick", grid=grid)
    assert conditions(story.found, SOFT) == [at_ns("14:01"), at_ns("14:05:10")]
    assert [each.level for each in story.watch.standing] == [Level.SOFT] * 2
