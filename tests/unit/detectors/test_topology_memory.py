"""Losses in memory: which a notice names, which count again, how long they are kept, and how often a planned one is noted."""

from __future__ import annotations

import pytest

from detectors.findings import Basis, Noted
from market.rules import rules_from
from market.topology import Element, Topology
from tests.kit.fieldstory import conditions, of, played, run
from tests.kit.table import at_ns

HARD, SOFT = Basis.TOPOLOGY_HARD, Basis.TOPOLOGY_SOFT
LINES = Topology.of({f"L{n}": Element(kv=500.0) for n in range(1, 10)})
FEW = rules_from({"topology_hard": {"ehv_elements": 99}, "topology_soft": {"ehv_elements": 99}})


def lost(clock: str, *elements: str) -> str:
    """Elements that open and carry nothing any more."""
    return "".join(f"{clock} open {name}\n{clock} dead {name}\n" for name in elements)


def in_order(*tables: str) -> str:
    """Tables told together, by the clock."""
    return "\n".join(sorted("".join(tables).splitlines(), key=lambda line: at_ns(line.split()[0])))


BLIND = "13:00 scada down\n14:02 scada up\n14:02:30 tick\n"
LOAD_LOST = "13:59 load A 30000\n14:00 load A 20000\n"


@pytest.mark.parametrize(
    ("why", "table", "named"),
    [
        ("lost with the load", lost("14:00", "L1"), "L1"),
        ("opened as long before as lines count together", lost("13:45:10", "L1"), "L1"),
        ("opened before that", lost("13:45:09.999", "L1"), ""),
        ("certain when it was decided", lost("14:00:30", "L1"), "L1"),
        ("certain after that", lost("14:00:30.001", "L1"), ""),
        ("planned", "13:10 permit L1 13:30 18:00\n" + lost("14:00", "L1"), ""),
        ("doubted", lost("14:00", "L1") + "14:00:30 doubt L1\n", ""),
        ("the first to open is named first", lost("13:59", "L2") + lost("14:00", "L1"), "L2, L1"),
        ("of those that open together the names decide", lost("14:00", "L2", "L1"), "L1, L2"),
        ("one that opened twice is named once", lost("13:50", "L1") + "13:51 close L1\n" + lost("14:00", "L1"), "L1"),
    ],
    ids=lambda value: value if " " in str(value) and "\n" not in str(value) else "",
)  # fmt: skip
def test_a_notice_of_lost_load_names_what_was_lost_about_the_same_time(why: str, table: str, named: str) -> None:
    """Nobody sees the positions while it happens, so all of it is decided late and at once."""
    (found,) = of(run(in_order(BLIND, LOAD_LOST, table), FEW, LINES))
    assert found.details["elements"] == (named or "10000 MW of 30000 MW of load"), why


@pytest.mark.parametrize(("clock", "again"), [("14:00:30", []), ("14:00:30.001", ["14:05:10"])])
def test_a_line_that_was_counted_as_hard_evidence_counts_no_more_and_one_that_was_certain_later_does(clock: str, again: list[str]) -> None:
    table = lost("14:00", "L1", "L2", "L3") + lost(clock, "L4") + "14:01 tick\n" + lost("14:05", "L5", "L6") + "14:06 tick"
    assert conditions(run(table, grid=LINES)) == [at_ns(clock) for clock in ("14:00:10", *again)]


@pytest.mark.parametrize(("clock", "kept"), [("14:30", ["L1"]), ("14:30:00.001", [])])
def test_a_loss_is_kept_for_two_windows(clock: str, kept: list[str]) -> None:
    story = played(lost("14:00", "L1") + f"{clock} tick", grid=LINES)
    assert [loss.element for loss in story.watch.losses] == kept


def test_a_loss_outlives_its_element_and_an_element_that_was_never_lost_is_forgotten() -> None:
    back = lost("14:00", "L1") + "14:05 close L1\n14:05 alive L1\n14:20 tick\n"
    watch = played(back, grid=LINES).watch
    assert (watch.elements, len(watch.losses)) == ({}, 1)
    assert played(back + "14:31 tick", grid=LINES).watch.losses == ()
    assert played("14:00 close L1\n14:05 tick", grid=LINES).watch.elements == {}


@pytest.mark.parametrize(("clock", "kept"), [("15:00", 1), ("15:00:00.001", 0)])
def test_a_permit_is_kept_for_two_windows_after_its_margin(clock: str, kept: int) -> None:
    assert len(played(f"13:00 permit L1 13:00 14:00\n{clock} tick", grid=LINES).watch.permits) == kept


def test_nothing_is_forgotten_while_evidence_waits_to_be_reported() -> None:
    blind = "13:00 scada down\n15:00 scada up\n15:00:30 tick\n"
    (found,) = of(run(in_order(blind, LOAD_LOST, lost("14:00", "L1")), grid=LINES))
    assert found.details["elements"] == "L1"
    tied = Topology.of({}, infeeds=["DC"])
    infeed = "13:58 load A 30000\n13:59 infeed DC 2000\n14:00 infeed DC 0\n14:31 tick\n"
    assert conditions(run(in_order(blind, infeed), grid=tied)) == [at_ns("14:00:10")]
    assert conditions(run(in_order(blind, infeed, "14:00:20 permit DC 13:00 13:30\n"), grid=tied)) == []


def test_each_planned_opening_is_noted_once() -> None:
    first = "13:00 permit L1 13:30 18:00\n" + lost("14:00", "L1") + "14:00:10 tick\n14:00:20 tick\n14:05 close L1\n14:05 alive L1\n"
    second = "14:06 tick\n14:07 tick\n" + lost("14:10", "L1") + "14:11 tick\n14:50 tick\n"
    notes = [line for each in run(first + second, grid=LINES) if isinstance(each, Noted) for line in each.evidence]
    assert notes == [f"L1: OPEN since {clock}, under a permit; not counted" for clock in ("14:00", "14:10")]


@pytest.mark.parametrize(("clock", "named"), [("14:00:30", "L1, L2, L3, L4"), ("14:00:30.001", "L1, L2, L3")])
def test_a_count_that_is_decided_late_names_what_was_certain_when_it_was_due(clock: str, named: str) -> None:
    (found,) = of(run(in_order(BLIND, lost("14:00", "L1", "L2", "L3"), lost(clock, "L4")), grid=LINES))
    assert found.details["elements"] == named


def test_a_loss_outlives_the_memory_of_its_element_though_that_is_heard_of_again() -> None:
    back = lost("14:00", "L1") + "14:05 close L1\n14:05 alive L1\n14:08 tick\n14:09 close L1\n"
    assert conditions(run(back + lost("14:10", "L2", "L3") + "14:11 tick", grid=LINES)) == [at_ns("14:10:10")]
