"""Topology changes at their edges: what is not remembered, what is asked for, and what is over though nobody hears of it any more."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from detectors.evidence import Kind, Level, Standing
from detectors.findings import Basis, ConditionGone, Finding, Noted
from detectors.topology_change import TopologyWatch, next_deadline_ns, observe, still_open
from detectors.voltages import DeadBus
from market.topology import Element, Topology
from market.units import NS_PER_S
from tests.kit.fieldstory import GRID, RULES, conditions, fact_of, played, run
from tests.kit.table import at_ns

HEARD = TopologyWatch(began_ns=1)
THREE = "".join(f"14:0{n} open L{n}\n14:0{n} dead L{n}\n" for n in (1, 2, 3))


def told(watch: TopologyWatch, at: str, words: str, grid: Topology = GRID) -> TopologyWatch:
    return observe(watch, fact_of(at_ns(at), words.split()), RULES, grid)[0]


@pytest.mark.parametrize(
    ("watch", "words"),
    [
        (HEARD, "cleared"),
        (replace(HEARD, doubted=("L1",)), "doubt L1"),
        (HEARD, "badinfeed DC 100"),
        (HEARD, "open V1"),
        (HEARD, "dead V1"),
        (HEARD, "trip V1"),
        (HEARD, "infeed NOBODY 0"),
        (HEARD, "scada up"),
        (HEARD, "volt A 1"),
    ],
)
def test_what_says_nothing_new_or_can_decide_nothing_is_not_remembered(watch: TopologyWatch, words: str) -> None:
    elements = {"L1": Element(kv=500.0), "V1": Element(kv=110.0), "W": Element(kv=110.0, from_bus="A", to_bus="B")}
    grid = Topology.of(elements, infeeds=["DC"])
    assert told(watch, "14:00", words, grid) is watch


def test_a_position_older_than_what_is_known_changes_nothing() -> None:
    watch = told(HEARD, "14:00", "open L1")
    assert told(watch, "14:01", "close L1 @13:00") is watch


def test_an_infeed_that_is_told_again_as_it_was_is_the_one_that_is_known() -> None:
    grid = Topology.of({}, infeeds=["DC"])
    watch = told(told(HEARD, "14:00", "infeed DC 5000", grid), "14:01", "infeed DC 5000", grid)
    assert told(watch, "14:02", "badinfeed DC 0", grid) is watch
    assert told(watch, "14:02", "infeed DC 0 @13:00", grid) is watch, "of a time before what is known"


def test_a_loss_of_load_is_certain_before_the_report_that_takes_it_back_and_not_at_its_instant() -> None:
    watch = played("13:59 load A 100000\n14:00 load A 80000").watch
    for late_ns, certain in ((0, 0), (1, len(Level))):
        back = fact_of(at_ns("14:00:10") + late_ns, ["load", "A", "100000"])
        assert len(observe(watch, back, RULES, GRID)[0].certain) == certain


def test_a_loss_of_an_infeed_is_certain_before_the_report_that_takes_it_back_and_not_at_its_instant() -> None:
    grid = Topology.of({}, infeeds=["DC"])
    watch = played("13:58 load A 100000\n13:59 infeed DC 9000\n14:00 infeed DC 0", grid=grid).watch
    for late_ns, certain in ((0, 0), (1, 1)):
        back = fact_of(at_ns("14:00:10") + late_ns, ["infeed", "DC", "9000"])
        after, _ = observe(watch, back, RULES, grid)
        assert len(after.certain) == certain
        assert after.infeeds["DC"].lost_since_ns is None


@pytest.mark.parametrize(("initial", "due"), [(False, at_ns("14:00:10")), (True, None)])
def test_a_dead_bus_is_asked_after_once_it_has_held_unless_it_was_dead_when_first_heard_of(initial: bool, due: int | None) -> None:
    dead = {"B": DeadBus(since_ns=at_ns("14:00"), ts_source_ns=at_ns("14:00"), initial=initial)}
    assert next_deadline_ns(replace(HEARD, dead=dead), at_ns("14:00"), RULES) == due


def test_nothing_that_is_certain_is_asked_after_while_positions_are_not_seen() -> None:
    watch = played(THREE + "14:03:10.001 tick").watch
    assert next_deadline_ns(watch, at_ns("14:03:11"), RULES) == at_ns("14:03:40")
    assert next_deadline_ns(replace(watch, scada_down=True), at_ns("14:03:11"), RULES) is None


def test_what_was_counted_or_told_is_not_asked_after_again() -> None:
    watch = played(THREE + "14:03:40 tick").watch
    assert [state.spent for state in watch.elements.values()] == [True] * 3
    assert next_deadline_ns(watch, at_ns("14:00"), RULES) is None
    grid = Topology.of({}, infeeds=["DC"])
    watch = played("13:58 load A 100000\n13:59 infeed DC 9000\n14:00 infeed DC 0\n14:00:10 tick\n14:00:40 tick", grid=grid).watch
    assert watch.infeeds["DC"].told
    assert next_deadline_ns(watch, at_ns("14:00"), RULES) is None


def test_an_element_that_is_closed_and_forgotten_is_open_no_more() -> None:
    story = played(THREE + "14:03:40 tick\n14:10 close L1\n14:10 alive L1\n15:30 tick\n15:31 tick")
    assert "L1" not in story.watch.elements
    assert still_open(story.watch) == ("L2", "L3")
    assert not [each for each in story.found if isinstance(each, ConditionGone)]
    over = played(THREE + "14:03:40 tick\n" + "".join(f"14:10 close L{n}\n14:10 alive L{n}\n" for n in (1, 2, 3)) + "15:30 tick")
    assert {each.why for each in over.found if isinstance(each, ConditionGone)} == {"every element of the finding is closed again"}
    assert still_open(over.watch) == ()


def test_only_what_could_count_is_noted_as_planned() -> None:
    grid = Topology.of({"L1": Element(kv=500.0), "V1": Element(kv=110.0, from_bus="A", to_bus="B")})

    def notes(name: str) -> list[str]:
        found: list[Finding] = run(f"13:00 permit {name} 13:30 18:00\n14:00 open {name}\n14:00 dead {name}\n14:00:10 tick", grid=grid)
        return [each.what for each in found if isinstance(each, Noted) and each.what == "PLANNED_OUTAGE"]

    assert (notes("L1"), notes("V1")) == (["PLANNED_OUTAGE"], [])


@pytest.mark.parametrize(("lost", "over"), [(("A",), False), ((), True), (("B",), True)])
def test_a_lost_station_stands_while_it_is_lost(lost: tuple[str, ...], over: bool) -> None:
    standing = Standing(kind=Kind.SUBSTATION, level=Level.HARD, subject="A", elements=())
    _, found = observe(replace(HEARD, standing=(standing,), stations=lost), fact_of(at_ns("14:00"), ["tick"]), RULES, GRID)
    assert bool([each for each in found if isinstance(each, ConditionGone)]) is over


def test_soft_evidence_of_one_kind_is_not_swallowed_by_that_of_another_nor_told_twice() -> None:
    two = "".join(f"14:0{n} open L{n}\n14:0{n} dead L{n}\n" for n in (1, 2))
    story = played(two + "14:02:40 tick")
    (standing,) = story.watch.standing
    assert (standing.kind, standing.level, standing.elements) == (Kind.TOP_VOLTAGE, Level.SOFT, ("L1", "L2"))
    assert played(two + "14:02:40 tick\n14:05 tick\n14:30 tick").watch.standing == story.watch.standing
    more = played(two + "14:02:40 tick\n14:04 open L3\n14:04 dead L3\n14:04:40 tick")
    assert [each.level for each in more.watch.standing] == [Level.SOFT, Level.HARD], "with a third it is major"
    assert at_ns("14:04:40") - at_ns("14:04:10") == RULES.grace_s * NS_PER_S


def test_what_is_lost_within_the_grace_is_named_and_what_comes_after_it_is_not() -> None:
    early = played(THREE + "14:03:30 open L4\n14:03:30 dead L4\n14:03:40 tick").watch.standing[-1]
    late = played(THREE + "14:03:30.001 open L4\n14:03:30.001 dead L4\n14:03:40.001 tick").watch.standing[-1]
    assert (early.elements, late.elements) == (("L1", "L2", "L3", "L4"), ("L1", "L2", "L3"))


def test_a_line_that_soft_evidence_named_and_that_opens_again_makes_no_second_one_while_it_stands() -> None:
    two = "".join(f"14:00 open L{n}\n14:00 dead L{n}\n" for n in (1, 2)) + "14:01 tick\n"
    again = "14:20 close L1\n14:20 alive L1\n14:21 open L1\n14:21 dead L1\n14:22 open L3\n14:22 dead L3\n14:23 tick\n"
    assert conditions(run(two + again), Basis.TOPOLOGY_SOFT) == [at_ns("14:00:10")]
    assert conditions(run(two + again + "14:24 open L4\n14:24 dead L4\n14:25 tick")) == [at_ns("14:24:10")], "hard evidence counts it"


def test_soft_evidence_that_has_grown_hard_before_it_is_reported_is_not_told() -> None:
    three = "".join(f"14:00 open L{n}\n14:00 dead L{n}\n" for n in (1, 2)) + "14:00:20 open L3\n14:00:20 dead L3\n"
    found = run(three + "14:00:40 tick\n14:01 tick")
    assert (conditions(found, Basis.TOPOLOGY_SOFT), conditions(found)) == ([], [at_ns("14:00:30")])
