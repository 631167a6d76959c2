"""What reports say of losses: late ones, repeated ones, those of other lines, and those of an element nobody knew before."""

from __future__ import annotations

import pytest
from msgspec import structs

from detectors.evidence import Certain, Kind, Level
from detectors.findings import Finding, Noted
from detectors.topology_change import TopologyWatch, observe
from market.rules import rules_from
from market.topology import Bus, Element, Topology
from tests.kit.fieldstory import GRID, RULES, conditions, fact_of, run
from tests.kit.table import at_ns, rows


def lost(clock: str, *elements: str) -> str:
    """Elements that open and carry nothing any more."""
    return "".join(f"{clock} open {name}\n{clock} dead {name}\n" for name in elements)


def noted(found: list[Finding], what: str) -> list[str]:
    return [line for each in found if isinstance(each, Noted) and each.what == what for line in each.evidence]


TWO = lost("14:00", "L1") + lost("14:03", "L2")
THREE = TWO + lost("14:06", "L3")
FIRST_OPEN = TWO + "14:06 open L3 initial\n14:06 dead L3\n"


@pytest.mark.parametrize(
    ("why", "table", "met"),
    [
        ("it was heard of closed before", TWO + "14:05:50 close L3 initial\n" + lost("14:06", "L3"), "14:06:10"),
        ("its other end is heard of for the first time", THREE + "14:06:03 open L3 to initial\n", "14:06:10"),
        ("word of a position between came late", THREE + "14:06:25 between L3 @14:06:09\n", None),
        ("it was between after that", THREE + "14:06:25 between L3 @14:06:10.001\n", "14:06:10"),
        ("it carried power as it was certain", THREE + "14:06:12 alive L3 @14:06:10\n", None),
        ("it carried power after that", THREE + "14:06:12 alive L3 @14:06:10.001\n", "14:06:10"),
        ("it had opened earlier, and is closed", THREE + "14:06:20 close L3\n14:06:25 open L3 @14:05:58 history\n", "14:06:10"),
        ("another line reclosed, told late", THREE + "14:06:12 open L4 @14:06:05\n14:06:13 close L4 @14:06:08\n", "14:06:10"),
        ("it was closed before it was first heard of", FIRST_OPEN + "14:06:05 close L3 @14:05:30 history\n", None),
    ],
    ids=lambda value: value if " " in str(value) and "\n" not in str(value) else "",
)
def test_the_third_line_counts_or_not(why: str, table: str, met: str | None) -> None:
    assert conditions(run(table + "14:08 tick")) == ([] if met is None else [at_ns(met)]), why


SLOW = rules_from({"reclose_s": 20, "chatter_changes": 0})
"""A reclosing may take longer than it takes to be certain of a loss."""


@pytest.mark.parametrize(("closed", "met"), [("14:06:20", None), ("14:06:20.001", "14:06:10")])
def test_a_successful_reclosing_takes_a_certain_loss_back(closed: str, met: str | None) -> None:
    assert conditions(run(THREE + f"{closed} close L3\n14:08 tick", SLOW)) == ([] if met is None else [at_ns(met)])


@pytest.mark.parametrize(("closed", "met"), [("14:06:20", "14:06:35"), ("14:06:20.001", "14:06:10")])
def test_so_does_one_that_the_next_opening_overtook(closed: str, met: str) -> None:
    table = THREE + f"14:06:25 open L3\n14:06:25 dead L3\n14:06:26 close L3 @{closed} history\n14:08 tick"
    assert conditions(run(table, SLOW)) == [at_ns(met)]


def test_an_opening_counts_once_though_its_flow_comes_and_goes() -> None:
    again = "14:07 alive L3\n14:07:10 dead L3\n" + lost("14:08", "L5", "L6") + "14:10 tick"
    assert conditions(run(THREE + "14:06:40 tick\n" + again)) == [at_ns("14:06:10")]


ISLE = Topology(
    elements={"T": Element(kv=500.0, from_bus="N", to_bus="I")},
    buses={bus: Bus(kv=500.0, substation=bus, area="A", load_mw=mw) for bus, mw in (("N", 9_000.0), ("I", 1_000.0))},
)


@pytest.mark.parametrize(
    ("table", "met"),
    [
        ("13:50 open T initial\n13:50 dead T\n14:05 tick", None),
        ("13:50 open T initial\n13:50 dead T\n13:55 close T\n13:55 alive T\n" + lost("14:00", "T") + "14:05 tick", "14:01"),
        ("13:50 open T initial\n13:50 dead T\n14:00 open T\n14:00:01 close T @13:59:59 history\n14:05 tick", "14:01"),
    ],
    ids=["open from the beginning", "closed and opened again", "closed and opened again, told late"],
)
def test_an_opening_from_the_beginning_makes_no_island_and_the_next_one_does(table: str, met: str | None) -> None:
    assert conditions(run("13:49 load A 10000\n" + table, grid=ISLE)) == ([] if met is None else [at_ns(met)])


@pytest.mark.parametrize(
    ("borne_out", "again"), [("trip", "alive"), ("trip", "dead"), ("trip", "trip"), ("trip", "open"), ("dead", "dead"), ("dead", "open")]
)
def test_a_word_that_speaks_against_nothing_that_counted_leaves_the_loss_as_it_was(borne_out: str, again: str) -> None:
    """What was noted of the loss is noted once."""
    table = f"13:00 permit L1 13:30 18:00\n14:00 open L1\n14:00 {borne_out} L1\n14:00:10 tick\n14:00:15 {again} L1 @14:00:05\n14:01 tick"
    assert len(noted(run(table), "PLANNED_OUTAGE")) == 1


def test_a_bus_that_goes_dark_speaks_against_no_loss() -> None:
    table = "13:00 permit T 13:30 18:00\n" + lost("14:00", "T") + "14:00:10 tick\n14:00:15 volt I 0 @14:00:05\n14:01 tick"
    assert len(noted(run(table, grid=ISLE), "PLANNED_OUTAGE")) == 1


@pytest.mark.parametrize(("fourth", "notes"), [("14:00:59.999", 1), ("14:01", 2)])
def test_chattering_is_noted_once_while_it_is_held_and_again_when_it_goes_on_after_that(fourth: str, notes: int) -> None:
    moves = "14:00 open L1\n14:00:10 close L1\n14:00:20 open L1\n14:00:20 open L1 to\n14:00:30 dead L1\n"
    found = noted(run(moves + f"{fourth} close L1\n{fourth} close L1 to\n14:05 tick"), "CHATTERING")
    assert found == ["L1: 3 changes within 60 s; position held"] * notes


def test_a_line_that_is_back_a_moment_after_its_loss_was_certain_was_lost_whoever_looked() -> None:
    watch, found = TopologyWatch(), list[Finding]()
    for ts_ns, words, _ in rows(THREE + "14:06:10.001 close L3\n14:07 tick"):
        watch, more = observe(watch, fact_of(ts_ns, words), RULES, GRID)
        found += more
    assert conditions(found) == [at_ns("14:06:10")]


@pytest.mark.parametrize(("buses", "stays"), [(("B",), True), ((), False)])
def test_a_closing_takes_back_what_rests_on_positions_and_not_what_rests_on_dead_buses(buses: tuple[str, ...], stays: bool) -> None:
    watch = TopologyWatch()
    for ts_ns, words, _ in rows(lost("14:00", "L1") + "14:00:05 tick"):
        watch, _ = observe(watch, fact_of(ts_ns, words), RULES, GRID)
    evidence = Certain(kind=Kind.SUBSTATION, level=Level.HARD, met_at_ns=at_ns("14:00:08"), text=("out",), elements=("L1",), buses=buses)
    watch = structs.replace(watch, certain=(evidence,))
    ((ts_ns, words, _),) = rows("14:00:07 close L1")
    watch, _ = observe(watch, fact_of(ts_ns, words), RULES, GRID)
    assert (evidence in watch.certain) is stays
