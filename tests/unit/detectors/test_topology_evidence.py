"""Every row of the table of evidence at its limit: what is hard, what is soft, and what is neither."""

from __future__ import annotations

import pytest

from detectors.findings import Basis, ConditionGone, ConditionMet, Finding, Noted
from detectors.topology_change import still_open
from market.facts import Segment
from market.rules import rules_from
from market.topology import Bus, Element, Topology
from tests.kit.fieldstory import conditions, of, played, run
from tests.kit.table import at_ns

HARD, SOFT = Basis.TOPOLOGY_HARD, Basis.TOPOLOGY_SOFT

LINES = Topology.of(
    {f"L{i}": Element(kv=500.0) for i in range(1, 5)} | {f"H{i}": Element(kv=220.0) for i in range(1, 9)} | {"M1": Element(kv=110.0)}
)


def lost(clock: str, *elements: str) -> str:
    """Elements that open and carry nothing any more."""
    return "".join(f"{clock} open {name}\n{clock} dead {name}\n" for name in elements)


def level(found: list[Finding]) -> str:
    return "hard" if conditions(found) else "soft" if conditions(found, SOFT) else "none"


# Load lost


@pytest.mark.parametrize(
    ("before_mw", "lost_mw", "expected"),
    [
        (20_000, 2_600, "hard"),
        (20_000, 2_599, "soft"),
        (20_000, 1_000, "soft"),
        (20_000, 999, "none"),
        (19_999, 3_200, "hard"),
        (19_999, 2_600, "soft"),
        (10_000, 1_600, "hard"),
        (10_000, 1_599, "soft"),
        (10_000, 600, "soft"),
        (10_000, 599, "none"),
        (5_000, 800, "hard"),
        (4_999, 2_499, "soft"),
        (4_000, 2_000, "hard"),
        (4_000, 1_999, "soft"),
        (4_000, 400, "soft"),
        (4_000, 399, "none"),
        (500, 250, "hard"),
    ],
)
def test_the_share_of_load_that_counts_follows_the_size_of_the_grid(before_mw: int, lost_mw: int, expected: str) -> None:
    assert level(run(f"13:59 load A {before_mw}\n14:00 load A {before_mw - lost_mw}\n14:01 tick", grid=LINES)) == expected


def test_a_loss_of_load_is_certain_after_ten_seconds_and_told_after_the_grace() -> None:
    table = "13:59 load A 30000\n14:00 load A 20000\n"
    assert conditions(run(table + "14:00:39.999 tick", grid=LINES)) == []
    assert conditions(run(table + "14:00:40 tick", grid=LINES)) == [at_ns("14:00:10")]
    assert conditions(run(table + "14:00:10 load A 30000\n14:01 tick", grid=LINES)) == []
    assert conditions(run(table + "14:00:10.001 load A 30000\n14:01 tick", grid=LINES)) == [at_ns("14:00:10")]


def test_load_is_lost_within_ten_minutes() -> None:
    assert conditions(run("14:00 load A 30000\n14:10 load A 20000\n14:11 tick", grid=LINES)) == [at_ns("14:10:10")]
    assert conditions(run("14:00 load A 30000\n14:10:00.001 load A 20000\n14:11 tick", grid=LINES)) == []


def test_a_grid_without_load_loses_none() -> None:
    assert level(run("13:59 load A 0\n14:00 load A 0\n14:01 tick", grid=LINES)) == "none"


def test_load_that_moves_from_one_area_to_another_is_not_lost() -> None:
    table = "13:59 load A 20000\n13:59 load B 10000\n"
    assert level(run(table + "14:00 load A 10000\n14:00 load B 20000\n14:01 tick", grid=LINES)) == "none"
    assert level(run(table + "14:00 load B 20000\n14:00 load A 10000\n14:01 tick", grid=LINES)) == "none", "40 000 MW never were"


def test_a_loss_of_load_that_has_stood_for_ten_seconds_at_a_tick_is_certain() -> None:
    table = "13:59 load A 30000\n14:00 load A 20000\n14:00:10 tick\n14:00:10 load A 30000\n14:01 tick"
    assert conditions(run(table, grid=LINES)) == [at_ns("14:00:10")]


def test_a_loss_of_load_is_told_once_and_again_after_it_was_over() -> None:
    table = "13:59 load A 30000\n14:00 load A 20000\n14:01 load A 19000\n14:02 tick\n"
    assert conditions(run(table, grid=LINES)) == [at_ns("14:00:10")]
    table += "14:20 load A 30000\n14:25 load A 20000\n14:26 tick\n"
    assert conditions(run(table, grid=LINES)) == [at_ns("14:00:10"), at_ns("14:25:10")]


def gone(found: list[Finding], basis: Basis = HARD) -> list[Segment]:
    return [each.segment for each in found if isinstance(each, ConditionGone) and each.basis is basis]


def test_a_loss_of_load_is_over_when_the_load_is_back_above_the_limit() -> None:
    """Thirteen per cent of 30 000 MW are 3 900 MW."""
    table = "13:59 load A 30000\n14:00 load A 20000\n14:01 tick\n"
    assert gone(run(table + "14:20 load A 26100\n14:21 tick", grid=LINES)) == []
    assert gone(run(table + "14:20 load A 26101\n14:21 tick", grid=LINES)) == [Segment.RT, Segment.DA]


def test_evidence_of_lost_load_has_its_figures() -> None:
    (found,) = of(run("13:59 load A 80000\n13:59 load B 40000\n14:00 load A 63200\n14:01 tick", grid=LINES))
    assert found.evidence == ("load lost within 10 min: 16800 MW of 120000 MW (14.0 % since 14:00, limit 13 %)",)
    assert found.details == {
        "elements": "16800 MW of 120000 MW of load",
        "evidence": "load",
        "load_lost_mw": "16800",
        "load_before_mw": "120000",
    }


def test_a_notice_of_lost_load_names_the_lines_that_were_lost_with_it() -> None:
    (found,) = of(run("13:59 load A 30000\n" + lost("14:00", "L2", "H1", "M1") + "14:00 load A 20000\n14:01 tick", grid=LINES))
    assert found.details["elements"] == "H1, L2"


# Elements


@pytest.mark.parametrize(
    ("elements", "expected"),
    [
        (["L1"], "none"),
        (["L1", "L2"], "soft"),
        (["L1", "L2", "L3"], "hard"),
        (["H1", "H2", "H3"], "none"),
        (["H1", "H2", "H3", "H4"], "soft"),
        (["H1", "H2", "H3", "H4", "H5"], "soft"),
        (["H1", "H2", "H3", "H4", "H5", "H6"], "hard"),
        (["L1", "H1", "H2", "H3"], "none"),
        (["L1", "L2", "H1", "H2", "H3", "H4"], "soft"),
        (["M1", "H1", "H2", "H3"], "none"),
    ],
)
def test_elements_of_each_voltage_are_counted_for_themselves(elements: list[str], expected: str) -> None:
    assert level(run(lost("14:00", *elements) + "14:01 tick", grid=LINES)) == expected


@pytest.mark.parametrize(("kv", "expected"), [(219.9, "none"), (220.0, "hard"), (499.9, "hard"), (500.0, "none")])
def test_the_second_voltage_reaches_up_to_the_first(kv: float, expected: str) -> None:
    grid = Topology.of({f"X{i}": Element(kv=kv) for i in range(1, 7)})
    strict = rules_from({"topology_hard": {"ehv_elements": 99}, "topology_soft": {"ehv_elements": 99}})
    assert level(run(lost("14:00", *grid.elements) + "14:01 tick", strict, grid)) == expected


def test_second_voltage_elements_count_within_fifteen_minutes() -> None:
    early = lost("14:00", "H1", "H2", "H3", "H4", "H5")
    assert level(run(early + lost("14:15", "H6") + "14:16 tick", grid=LINES)) == "hard"
    assert level(run(early + lost("14:15:00.001", "H6") + "14:16 tick", grid=LINES)) == "soft"


def test_a_condition_is_a_proposal_for_the_day_ahead_market() -> None:
    found = run(lost("14:00", "L1", "L2", "L3") + "14:01 tick", grid=LINES)
    (real_time,), (day_ahead,) = of(found), of(found, HARD, Segment.DA)
    assert (real_time.auto_allowed, day_ahead.auto_allowed) == (True, False)
    assert real_time.evidence == day_ahead.evidence
    assert real_time.met_at_ns == day_ahead.met_at_ns


def test_soft_evidence_never_trips() -> None:
    found = run(lost("14:00", "L1", "L2") + "14:01 tick", grid=LINES)
    assert [each.auto_allowed for each in of(found, SOFT)] == [False]
    assert conditions(found, SOFT) == [at_ns("14:00:10")]


def test_soft_evidence_is_told_before_it_grows_hard_and_not_after() -> None:
    found = run(lost("14:00", "L1") + lost("14:01", "L2") + lost("14:03", "L3") + "14:04 tick", grid=LINES)
    assert (conditions(found, SOFT), conditions(found)) == ([at_ns("14:01:10")], [at_ns("14:03:10")])
    found = run(lost("14:00", "L1", "L2", "L3") + lost("14:01", "H1", "H2", "H3", "H4") + "14:04 tick", grid=LINES)
    assert (conditions(found, SOFT), conditions(found)) == ([], [at_ns("14:00:10")])


def test_soft_evidence_counts_no_element_twice() -> None:
    table = lost("14:00", "L1", "L2") + "14:01 tick\n" + lost("14:20", "L3")
    assert conditions(run(table + "14:21 tick", grid=LINES), SOFT) == [at_ns("14:00:10")]
    assert conditions(run(table + lost("14:21", "L4") + "14:22 tick", grid=LINES), SOFT) == [at_ns("14:00:10"), at_ns("14:21:10")]


def test_soft_evidence_is_gone_when_its_elements_are_closed_again() -> None:
    table = lost("14:00", "L1", "L2") + "14:01 tick\n14:05 close L1\n14:06 tick\n"
    assert gone(run(table, grid=LINES), SOFT) == []
    assert gone(run(table + "14:07 close L2\n14:07:01 tick", grid=LINES), SOFT) == [Segment.RT, Segment.DA]


def test_losses_that_were_reported_count_no_more_but_those_of_the_other_voltage_do() -> None:
    early = lost("14:00", "H1", "H2", "H3", "H4", "H5") + lost("14:01", "L1", "L2", "L3") + "14:02 tick\n"
    assert conditions(run(early + lost("14:05", "H6") + "14:06 tick", grid=LINES)) == [at_ns("14:01:10"), at_ns("14:05:10")]
    assert conditions(run(early + lost("14:05", "L4") + "14:06 tick", grid=LINES)) == [at_ns("14:01:10")]


# What bears an opening out

PAIR = Topology.of(
    {f"L{i}": Element(kv=500.0, from_bus=f"A{i}", to_bus="Z") for i in range(1, 4)} | {"Q": Element(kv=500.0, from_bus="Z", to_bus="A1")}
)
OPEN = "13:50 tick\n14:00 open L1\n14:00 open L2\n14:00 dead L1\n14:00 dead L2\n14:00:05 open L3\n"


@pytest.mark.parametrize(
    ("words", "met"),
    [
        ("14:00:06 volt A3 0.0999", "14:00:15"),
        ("14:00:06 volt A3 0.1", None),
        ("14:00:06 badvolt A3 0", None),
        ("14:00:20 volt A3 0", "14:00:20"),
        ("13:59 volt A3 0", "14:00:15"),
        ("14:00:06 volt A2 0", None),
        ("14:00:05.1 trip L3", "14:00:15"),
        ("13:59:55 trip L3", "14:00:15"),
        ("13:59:54.999 trip L3", None),
        ("14:00:25 trip L3", "14:00:25"),
        ("14:00:05 trip L2", None),
        ("14:00:05 dead L3 from", None),
        ("14:00:06 volt A3 0\n14:00:14 volt A3 0.95", None),
        ("14:00:06 volt A3 0\n14:00:15.001 volt A3 0.95", "14:00:15"),
        ("14:00:06 volt A3 0\n14:00:14 badvolt A3 0 @14:00:06", None),
        ("14:00:06 volt A3 0\n14:00:15.001 badvolt A3 0 @14:00:06", "14:00:15"),
        ("14:00:06 volt A3 0\n14:00:14 volt A3 0.95\n14:00:14.5 volt A3 0 @14:00:13", "14:00:15"),
        ("14:00:06 volt A3 0\n14:00:20 volt A3 0.95 @14:00:15", None),
        ("14:00:06 trip L3\n14:00:07 volt A3 0\n14:00:14 volt A3 0.95", "14:00:15"),
    ],
)
def test_an_opening_is_borne_out_by_flow_voltage_or_protection(words: str, met: str | None) -> None:
    table = "\n".join(sorted([*OPEN.splitlines(), *words.splitlines()], key=lambda line: at_ns(line.split()[0]))) + "\n14:02 tick"
    counted = [each.met_at_ns for each in of(run(table, grid=PAIR)) if each.details["evidence"] == "top_voltage"]
    assert counted == ([] if met is None else [at_ns(met)])


def test_evidence_says_what_bears_an_opening_out() -> None:
    found = of(run(lost("14:00", "L1") + "14:00 open L2\n14:00 trip L2\n14:00 open L3\n14:01 volt A3 0\n14:02 tick", grid=PAIR))
    text = "\n".join(line for each in found for line in each.evidence)
    assert "L1: OPEN since 14:00, flow below 1 % at both ends" in text
    assert "L2: OPEN since 14:00, tripped by protection" in text
    assert "L3: OPEN since 14:00, bus A3 without voltage" in text


def test_a_position_that_the_estimate_contradicts_is_not_counted() -> None:
    table = lost("14:00", "L1", "L2", "L3")
    found = run(table + "14:00:30 doubt L2\n14:01 tick\n14:02 tick", grid=LINES)
    assert conditions(found) == []
    (soft,) = of(found, SOFT)
    assert soft.details["elements"] == "L1, L3"
    assert "not counted, as the state estimate contradicts their position: L2" in soft.evidence
    assert conditions(run(table + "14:00:30 doubt L2\n14:01 doubt\n14:02 tick", grid=LINES)) == [at_ns("14:00:10")]


# Islands


def grid_of(island_mw: float, *, source: bool = True, kv: float = 110.0) -> Topology:
    """A ring N1-N2-N3 with a pair of lines to the buses I1-I2; loads are shares of 10 000 MW in one area."""
    mw = {"N1": 10_000.0 - island_mw, "N2": 0.0, "N3": 0.0, "I1": island_mw, "I2": 0.0}
    buses = {bus: Bus(kv=kv, substation=bus, area="A", load_mw=load, source=source or bus.startswith("N")) for bus, load in mw.items()}
    ends = {"R1": ("N1", "N2"), "R2": ("N2", "N3"), "R3": ("N3", "N1"), "T1": ("N1", "I1"), "T2": ("N2", "I1"), "J": ("I1", "I2")}
    return Topology(elements={name: Element(kv=kv, from_bus=f, to_bus=t) for name, (f, t) in ends.items()}, buses=buses)


ISLANDED = "13:59 load A 10000\n13:59:01 tick\n" + lost("14:00", "T1") + lost("14:01", "T2")


@pytest.mark.parametrize(("mw", "expected"), [(500.0, "hard"), (499.0, "soft"), (100.0, "soft"), (99.0, "none")])
def test_an_island_counts_by_its_share_of_the_load(mw: float, expected: str) -> None:
    assert level(run(ISLANDED + "14:05 tick", grid=grid_of(mw))) == expected


def test_an_island_must_hold_for_a_minute() -> None:
    assert conditions(run(ISLANDED + "14:02:29.999 tick", grid=grid_of(500.0))) == []
    assert conditions(run(ISLANDED + "14:02:30 tick", grid=grid_of(500.0))) == [at_ns("14:02")]
    assert conditions(run(ISLANDED + "14:01:59.999 close T1\n14:05 tick", grid=grid_of(500.0))) == []
    assert conditions(run(ISLANDED + "14:02:00.001 close T1\n14:05 tick", grid=grid_of(500.0))) == [at_ns("14:02")]


def test_an_island_that_is_certain_late_is_met_when_it_is() -> None:
    table = "13:59 load A 10000\n" + lost("14:00", "T1") + "14:01 open T2\n14:03 dead T2\n14:05 tick"
    assert conditions(run(table, grid=grid_of(500.0))) == [at_ns("14:03")]


def granted(until: str) -> str:
    return f"14:02:10 permit T1 13:00 {until}\n14:02:10 permit T2 13:00 {until}\n"


@pytest.mark.parametrize(
    ("why", "table", "grid"),
    [
        ("nothing in it holds the voltage up", ISLANDED, grid_of(500.0, source=False)),
        ("its voltage is gone", ISLANDED + "14:01 volt I1 0\n14:01 volt I2 0\n", grid_of(500.0)),
        ("permits made it", "13:00 permit T1 13:30 18:00\n13:00 permit T2 13:30 18:00\n" + ISLANDED, grid_of(500.0)),
        ("its voltage is gone later", ISLANDED + "14:01:30 volt I1 0\n14:01:30 volt I2 0\n", grid_of(500.0)),
        ("permits for it came in the grace", ISLANDED + granted("13:31"), grid_of(500.0)),
        ("a permit for its only fault came", ISLANDED.replace("n T1", "n T1 initial") + "14:02:10 permit T2 13:00 18:00\n", grid_of(500.0)),
        ("it was there before", ISLANDED.replace("open T1", "open T1 initial").replace("open T2", "open T2 initial"), grid_of(500.0)),
        ("a line of it is doubted", ISLANDED + "14:02:10 doubt T2\n", grid_of(500.0)),
        ("nobody knows the load", ISLANDED.replace("13:59 load A 10000\n", ""), grid_of(500.0)),
        ("there is another way round", ISLANDED.replace("T2", "R1"), grid_of(500.0)),
    ],
)
def test_is_no_island(why: str, table: str, grid: Topology) -> None:
    assert level(run(table + "14:05 tick", grid=grid)) == "none", why


def test_permits_that_ended_before_the_last_line_opened_do_not_take_an_island_back() -> None:
    assert conditions(run(ISLANDED + granted("13:30:59.999") + "14:05 tick", grid=grid_of(500.0))) == [at_ns("14:02")]


def test_an_island_in_an_area_without_metered_load_has_no_share() -> None:
    grid = Topology.of({"T": Element(kv=110.0, from_bus="A", to_bus="B")})
    assert level(run("13:59 load A 100\n" + lost("14:00", "T") + "14:05 tick", grid=grid)) == "none"


def test_a_grid_with_one_megawatt_of_load_falls_apart_like_any_other() -> None:
    assert level(run(ISLANDED.replace("load A 10000", "load A 1") + "14:05 tick", grid=grid_of(500.0))) == "hard"


def test_an_island_behind_one_permit_and_one_fault_counts() -> None:
    assert level(run("13:00 permit T1 13:30 18:00\n" + ISLANDED + "14:05 tick", grid=grid_of(500.0))) == "hard"


def test_one_live_bus_with_a_unit_keeps_an_island_alive() -> None:
    assert level(run(ISLANDED + "14:01 volt I1 0\n14:05 tick", grid=grid_of(500.0))) == "hard"


def test_two_islands_count_together_from_the_second_on() -> None:
    buses = {"N": 9_400.0, "I1": 300.0, "I2": 300.0}
    grid = Topology(
        elements={name: Element(kv=110.0, from_bus="N", to_bus=name.replace("T", "I")) for name in ("T1", "T2")},
        buses={bus: Bus(kv=110.0, substation=bus, area="A", load_mw=mw) for bus, mw in buses.items()},
    )
    found = run("13:59 load A 10000\n" + lost("14:00", "T1") + lost("14:05", "T2") + "14:10 tick", grid=grid)
    assert conditions(found) == [at_ns("14:06")]
    assert conditions(found, SOFT) == [at_ns("14:01")]
    (hard,) = of(found)
    assert hard.evidence[:3] == (
        "2 energised islands with 6.0 % of the load cut off (limit 5 % for 60 s)",
        "island of I1: 1 bus, 3.0 % of the load, since 14:00, behind T1",
        "island of I2: 1 bus, 3.0 % of the load, since 14:05, behind T2",
    )
    assert hard.details["elements"] == "island of I1"


def test_of_two_equal_parts_the_first_is_the_grid() -> None:
    grid = Topology.of({"T": Element(kv=110.0, from_bus="A", to_bus="B")})
    (found,) = of(run("13:59 load A 100\n13:59 load B 100\n" + lost("14:00", "T") + "14:05 tick", grid=grid))
    assert found.evidence[:2] == (
        "1 energised island with 50.0 % of the load cut off (limit 5 % for 60 s)",
        "island of B: 1 bus, 50.0 % of the load, since 14:00, behind T",
    )


def test_the_grid_is_the_part_with_more_load_and_of_equal_loads_the_one_with_more_buses() -> None:
    grid = Topology.of({"T": Element(kv=110.0, from_bus="A", to_bus="B"), "U": Element(kv=110.0, from_bus="B", to_bus="C")})
    for loads, share in (((10, 60, 30), "10.0"), ((50, 25, 25), "50.0")):
        metered = "".join(f"13:59 load {area} {mw}\n" for area, mw in zip("ABC", loads, strict=True))
        (found,) = of(run(metered + lost("14:00", "T") + "14:05 tick", grid=grid))
        assert found.evidence[1] == f"island of A: 1 bus, {share} % of the load, since 14:00, behind T"


@pytest.mark.parametrize(("n", "ends"), [(6, "T6"), (7, "T6 …")])
def test_evidence_of_an_island_names_six_of_its_elements(n: int, ends: str) -> None:
    grid = Topology.of({f"T{k}": Element(kv=110.0, from_bus="A", to_bus="B") for k in range(1, n + 1)})
    table = "13:59 load A 100\n13:59 load B 10\n" + lost("14:00", *grid.elements) + "14:05 tick"
    (found,) = of(run(table, grid=grid))
    assert found.evidence[1].endswith(f"T4, T5, {ends}")


def test_an_island_is_told_once_and_over_when_it_is_joined_again() -> None:
    table = ISLANDED + "14:03 tick\n14:10 tick\n"
    assert conditions(run(table, grid=grid_of(500.0))) == [at_ns("14:02")]
    story = played(table, grid=grid_of(500.0))
    assert still_open(story.watch) == ("T1", "T2")
    assert gone(run(table + "14:11 close T2\n14:11:01 tick", grid=grid_of(500.0))) == [Segment.RT, Segment.DA]


def test_a_grid_that_was_never_joined_is_no_island() -> None:
    grid = Topology.of({"A": Element(kv=110.0, from_bus="1", to_bus="2"), "B": Element(kv=110.0, from_bus="3", to_bus="4")})
    table = "".join(f"13:59 load {area} 100\n" for area in "123") + "13:59 load 4 1\n" + lost("14:00", "B") + "14:05 tick"
    assert level(run(table, grid=grid)) == "none", "bus 4 with 0.3 % of the load was cut off, not 1 and 2"


# Stations

STATION = Topology(
    elements={
        "E1": Element(kv=500.0, from_bus="K5", to_bus="N"),
        "E2": Element(kv=500.0, from_bus="N", to_bus="K5"),
        "T": Element(kv=500.0, from_bus="K5", to_bus="K2"),
        "H": Element(kv=220.0, from_bus="K2", to_bus="M"),
        "E3": Element(kv=500.0, from_bus="N", to_bus="N6"),
        "E4": Element(kv=500.0, from_bus="N6", to_bus="O"),
    },
    buses={
        "K5": Bus(kv=500.0, substation="K"),
        "K2": Bus(kv=220.0, substation="K"),
        "N": Bus(kv=500.0, substation="N"),
        "M": Bus(kv=220.0, substation="M"),
        "N6": Bus(kv=500.0, substation="N"),
        "O": Bus(kv=500.0, substation="O"),
    },
)
FEW = rules_from({"topology_hard": {"ehv_elements": 99}, "topology_soft": {"ehv_elements": 99}})


ALL = ("E1", "E2", "T")


def ended(clock: str) -> str:
    return "".join(f"14:00:20 permit {name} 13:00 {clock}\n" for name in ALL)


CLOSED = "14:00:25 close E1\n14:00:25 close E2\n"


def permits(*elements: str, at: str = "13:51") -> str:
    return "".join(f"{at} permit {name} 13:55 18:00\n" for name in elements)


def from_the_beginning(*elements: str) -> str:
    """All three open, some of which were open when they were first heard of."""
    return "".join(
        lost("14:00", name).replace("open " + name, f"open {name} initial" if name in elements else f"open {name}") for name in ALL
    )


@pytest.mark.parametrize(
    ("why", "table", "met"),
    [
        ("all its elements are out", lost("14:00", "E1") + lost("14:03", "E2", "T"), "14:03:10"),
        ("the transformer is in", lost("14:00", "E1", "E2"), None),
        ("one is certain later", lost("14:00", "E1", "E2") + "14:00 open T\n14:02 dead T\n", "14:02"),
        ("its bus is dark", "14:00 volt K5 0\n", "14:00:10"),
        ("its lower bus is dark", "14:00 volt K2 0\n", None),
        ("its bus is dark for a moment", "14:00 volt K5 0\n14:00:09.999 volt K5 0.95\n", None),
        ("its bus was dark from the beginning", "13:50:30 volt K5 0\n", None),
        ("its bus was dark just after the beginning", "13:50:30.001 volt K5 0\n", "13:50:40.001"),
        ("its bus was told dark from the beginning twice", "13:50:30 volt K5 0\n14:00 volt K5 0.01\n", None),
        ("one of two buses is dark", "14:00 volt N 0\n", None),
        ("both of its buses are dark", "14:00 volt N 0\n14:01 volt N6 0\n", "14:01:10"),
        ("permits took it out", permits(*ALL) + lost("14:00", *ALL), None),
        ("permits made it dark", permits(*ALL) + "14:00 volt K5 0\n", None),
        ("permits and a fault", permits("E1", "E2") + lost("14:00", *ALL), "14:00:10"),
        ("permits that came in the grace", lost("14:00", *ALL) + permits(*ALL, at="14:00:20"), None),
        ("a permit for the only fault came in the grace", from_the_beginning("E1", "T") + "14:00:20 permit E2 13:00 18:00\n", None),
        ("permits that ended as it opened came in the grace", lost("14:00", *ALL) + ended("13:30"), None),
        ("permits that ended before it opened came in the grace", lost("14:00", *ALL) + ended("13:29:59.999"), "14:00:10"),
        ("permits that ended as its bus went dark came in the grace", "14:00 volt K5 0\n" + ended("13:30"), None),
        ("permits that ended before its bus went dark came in the grace", "14:00 volt K5 0\n" + ended("13:29:59.999"), "14:00:10"),
        ("permits for some came in the grace", lost("14:00", *ALL) + permits("E1", "T", at="14:00:20"), "14:00:10"),
        ("permits that came in the grace for what is closed", lost("14:00", *ALL) + permits(*ALL, at="14:00:20") + CLOSED, None),
        ("its bus is dark while one element is out as planned", permits("T") + lost("13:56", "T") + "14:00 volt K5 0\n", "14:00:10"),
        ("permits came after its bus went dark", "14:00 volt K5 0\n" + permits(*ALL, at="14:00:20"), None),
        ("what failed is repaired in the grace", permits("T") + lost("13:56", "T") + lost("14:00", "E1", "E2") + CLOSED, "14:00:10"),
        ("one was back before that was certain", lost("14:00", *ALL) + "14:00:20 close E1 @14:00:10\n", None),
        ("one was back after that was certain", lost("14:00", *ALL) + "14:00:20 close E1 @14:00:10.001\n", "14:00:10"),
        ("its bus was back before that was certain", "14:00 volt K5 0\n14:00:20 volt K5 1 @14:00:10\n", None),
        ("its bus was back after that was certain", "14:00 volt K5 0\n14:00:20 volt K5 1 @14:00:10.001\n", "14:00:10"),
        ("its bus was dark, whatever moves there", "14:00 volt K5 0\n14:00:20 open T @14:00:05\n14:00:21 close T @14:00:06\n", "14:00:10"),
        ("one is doubted", lost("14:00", *ALL) + "14:00:20 doubt T\n", None),
        ("two were open from the beginning", from_the_beginning("E1", "T"), "14:00:10"),
        ("all were open from the beginning", from_the_beginning(*ALL), None),
        ("it hangs on one element", lost("14:00", "E4"), None),
        ("one element that hangs on it is out", lost("14:00", "E3") + "14:00 volt O 0\n", None),
    ],
    ids=lambda value: value if " " in str(value) and "\n" not in str(value) else "",
)
def test_a_substation_is_lost_with_all_its_elements_or_all_its_voltage(why: str, table: str, met: str | None) -> None:
    found = of(run("13:50 tick\n" + table + "14:05 tick", FEW, STATION))
    assert [each.met_at_ns for each in found] == ([] if met is None else [at_ns(met)]), why


def test_evidence_of_a_lost_substation_names_it() -> None:
    (found,) = of(run("13:50 tick\n14:00 volt N 0\n14:01 volt N6 0\n14:05 tick", FEW, STATION))
    assert found.evidence == ("substation N lost: all 2 of its top-voltage buses are without voltage since 14:01 (limit 1)",)
    assert found.details["elements"] == "N"
    (found,) = of(run("13:50 tick\n" + lost("14:00", "E1", "E2", "T") + "14:05 tick", FEW, STATION))
    assert found.evidence == ("substation K lost: all 3 elements at its top-voltage buses are out since 14:00 (limit 1)",)
    assert found.details["elements"] == "E1, E2, T"


def test_how_many_substations_are_needed_is_a_rule() -> None:
    two = rules_from({"topology_hard": {"ehv_elements": 99, "substations": 2}, "topology_soft": {"ehv_elements": 99}})
    table = "13:50 tick\n14:00 volt K5 0\n14:01 tick\n"
    assert conditions(run(table, two, STATION)) == []
    planned = table.replace("13:50 tick\n", "13:50 tick\n" + permits(*ALL)) + "14:01 volt N 0\n14:01 volt N6 0\n14:02 tick"
    assert conditions(run(planned.replace("E1 13:55", "E4 13:55"), two, STATION)) != []
    assert conditions(run(planned, two, STATION)) == [], "the other one is planned"
    assert conditions(run(table + "14:01 volt N 0\n14:01 volt N6 0\n14:02 tick", two, STATION)) == [at_ns("14:00:10"), at_ns("14:01:10")]


def test_a_lost_substation_is_told_once_and_over_when_it_has_voltage_again() -> None:
    table = "13:50 tick\n14:00 volt K5 0\n14:01 tick\n14:02 tick\n"
    assert conditions(run(table, FEW, STATION)) == [at_ns("14:00:10")]
    assert gone(run(table + "14:05 volt K5 0.9\n14:05:10 tick", FEW, STATION)) == [Segment.RT, Segment.DA]


# Infeeds and interfaces

TIED = Topology.of({"L1": Element(kv=500.0)}, infeeds=["DC1"])


@pytest.mark.parametrize(
    ("before_mw", "after_mw", "expected"),
    [
        (1500, 0, "hard"),
        (1499, 0, "soft"),
        (600, 0, "soft"),
        (599, 0, "none"),
        (2000, 19.9, "hard"),
        (2000, 20, "none"),
        (2000, -500, "hard"),
        (-2000, 0, "none"),
        (0, 0, "none"),
    ],
)
def test_an_infeed_counts_by_its_share_of_the_load(before_mw: float, after_mw: float, expected: str) -> None:
    table = f"13:59 load A 30000\n13:59 infeed DC1 {before_mw}\n14:00 infeed DC1 {after_mw}\n14:01 tick"
    assert level(run(table, grid=TIED)) == expected


INFEED_LOST = "13:59 load A 30000\n13:59 infeed DC1 2000\n14:00 infeed DC1 0\n"


@pytest.mark.parametrize(
    ("why", "table", "met"),
    [
        ("it stays away", INFEED_LOST, "14:00:10"),
        ("it is back before ten seconds are over", INFEED_LOST + "14:00:10 infeed DC1 2000\n", None),
        ("it is back after ten seconds", INFEED_LOST + "14:00:10.001 infeed DC1 2000\n", "14:00:10"),
        ("its meter is bad", INFEED_LOST.replace("14:00 infeed", "14:00 badinfeed"), None),
        ("nobody knows it", INFEED_LOST.replace("DC1", "DC9"), None),
        ("nobody knows the load", INFEED_LOST.replace("13:59 load A 30000\n", ""), None),
        ("a permit covers it", "13:00 permit DC1 14:30 18:00\n" + INFEED_LOST, None),
        ("a permit covers it too late", "13:00 permit DC1 14:30:00.001 18:00\n" + INFEED_LOST, "14:00:10"),
        ("a permit that came in the grace", INFEED_LOST + "14:00:20 permit DC1 13:00 18:00\n", None),
        ("a permit that came in the grace and ended when it was lost", INFEED_LOST + "14:00:20 permit DC1 13:00 13:30\n", None),
        ("a permit that came in the grace and ended before", INFEED_LOST + "14:00:20 permit DC1 13:00 13:29:59.999\n", "14:00:10"),
        ("word came late that it was back in time", INFEED_LOST + "14:00:20 infeed DC1 2000 @14:00:09.999\n", None),
        ("word came late that it was still away", INFEED_LOST + "14:00:20 infeed DC1 1 @14:00:05\n", "14:00:10"),
        ("word came late that it was back after that", INFEED_LOST + "14:00:20 infeed DC1 2000 @14:00:10\n", "14:00:10"),
        ("it faded within ten minutes", INFEED_LOST.replace("13:59 infeed", "13:50 infeed"), "14:00:10"),
        ("it faded more slowly", INFEED_LOST.replace("13:59 infeed DC1 2000", "13:49 infeed DC1 2000\n13:50 infeed DC1 900"), "soft"),
        ("it is corrected in the same instant", INFEED_LOST.replace("14:00 i", "14:00 infeed DC1 1900\n14:00 i"), "14:00:10"),
        ("it has stood for ten seconds at a tick", INFEED_LOST + "14:00:10 tick\n14:00:10 infeed DC1 2000\n", "14:00:10"),
        ("an older value came late", INFEED_LOST + "14:00:05 infeed DC1 2000 @13:59:30\n", "14:00:10"),
        ("it went down in steps", INFEED_LOST.replace("14:00 infeed DC1 0", "13:59:30 infeed DC1 90\n14:00 infeed DC1 0"), "14:00:10"),
    ],
    ids=lambda value: value if " " in str(value) and "\n" not in str(value) else "",
)  # fmt: skip
def test_an_infeed_is_lost_when_nothing_is_left_of_it(why: str, table: str, met: str | None) -> None:
    found = run(table + "14:01 tick", grid=TIED)
    if met == "soft":
        assert level(found) == "soft", why
    else:
        assert conditions(found) == ([] if met is None else [at_ns(met)]), why


def test_evidence_of_a_lost_infeed_has_its_figures_and_is_over_when_it_is_back() -> None:
    (found,) = of(run(INFEED_LOST + "14:01 tick", grid=TIED))
    what = "infeed DC1 lost since 14:00: 2000 MW before, 0 MW now (6.7 % of the load of 30000 MW, limit 5 %)"
    assert found.evidence[0] == what
    assert found.details["elements"] == "DC1"
    table = INFEED_LOST + "14:01 tick\n14:02 infeed DC1 19\n14:30 infeed DC1 19\n14:31 tick\n"
    assert (conditions(run(table, grid=TIED)), gone(run(table, grid=TIED))) == ([at_ns("14:00:10")], [])
    assert gone(run(table + "14:32 infeed DC1 20\n14:33 tick", grid=TIED)) == [Segment.RT, Segment.DA]


@pytest.mark.parametrize(
    ("why", "table", "met"),
    [
        ("by thirty per cent", "13:59 limit W 1000\n14:00 cleared\n14:01 limit W 700\n", ["14:01"]),
        ("by less", "13:59 limit W 1000\n14:00 cleared\n14:01 limit W 700.1\n", []),
        ("in two steps", "13:59 limit W 1000\n14:00 cleared\n14:01 limit W 800\n14:02 limit W 600\n", ["14:02"]),
        ("in two steps, each of which was cleared with", "13:59 limit W 1000\n14:01 limit W 800\n14:02 cleared\n14:03 limit W 600\n", []),
        ("once while it stays", "13:59 limit W 1000\n14:01 limit W 700\n14:02 limit W 650\n", ["14:01"]),
        ("again", "13:59 limit W 1000\n14:01 limit W 700\n14:02 limit W 1000\n14:03 limit W 700\n", ["14:01", "14:03"]),
        ("after a failure", "13:59 limit W 1000\n14:01 limit W 800\n14:02 failed\n14:03 limit W 600\n", ["14:03"]),
        ("after a study", "13:59 limit W 1000\n14:01 limit W 800\n14:02 studied\n14:03 limit W 600\n", ["14:03"]),
        ("after a day-ahead run", "13:59 limit W 1000\n14:01 limit W 800\n14:02 dayahead\n14:03 limit W 600\n", ["14:03"]),
        ("from nothing", "13:59 limit W 0\n14:01 limit W 0\n", []),
        ("of another one", "13:59 limit W 1000\n14:01 limit E 600\n", []),
    ],
    ids=lambda value: value if " " in str(value) and "\n" not in str(value) else "",
)  # fmt: skip
def test_the_limit_of_an_interface_falls(why: str, table: str, met: list[str]) -> None:
    found = run(table + "14:05 tick", grid=TIED)
    assert (conditions(found, SOFT), conditions(found)) == ([at_ns(clock) for clock in met], []), why


def test_a_fallen_limit_is_over_when_it_is_told_again_after_a_clearing_used_it() -> None:
    table = "13:59 limit W 1000\n14:01 limit W 600\n14:02 tick\n14:14 cleared\n14:15 tick\n"
    assert gone(run(table, grid=TIED), SOFT) == []
    assert gone(run(table + "14:16 limit W 600\n14:17 tick", grid=TIED), SOFT) == [Segment.RT, Segment.DA]
    (found,) = of(run(table, grid=TIED), SOFT)
    assert found.evidence == ("limit of interface W fell from 1000 MW, as the last clearing used it, to 600 MW (40.0 %, limit 30 %)",)


# Sight, plans, and what waits

WIDE = Topology.of({f"L{i}": Element(kv=500.0, from_bus="HUB", to_bus=f"S{i}") for i in range(1, 11)} | {"U": Element(kv=220.0)})


def noted(found: list[Finding], what: str) -> list[str]:
    return [line for each in found if isinstance(each, Noted) and each.what == what for line in each.evidence]


def test_stations_that_fall_silent_together_are_one_note() -> None:
    silent = "".join(f"14:00 stale L{i}\n" for i in range(1, 4)) + "14:00 tick\n14:00:20 stale L4\n14:00:20 tick\n"
    assert noted(run(silent + "14:00:29.999 tick", grid=WIDE), "DATA_QUALITY") == []
    assert len(noted(run(silent + "14:00:30 tick", grid=WIDE), "DATA_QUALITY")) == 1
    (what,) = noted(run(silent + "14:10 tick", grid=WIDE), "DATA_QUALITY")
    assert what == "positions of 4 elements at 5 stations (HUB, S1, S2, S3, S4) not seen since 14:00, held as last told: L1, L2, L3, L4"
    assert level(run(silent + "14:10 tick", grid=WIDE)) == "none"


def test_who_falls_silent_later_is_told_alone_and_the_end_is_told() -> None:
    table = "14:00 stale L1\n14:00 tick\n14:01 tick\n14:05 stale L2\n14:05 tick\n14:06 tick\n14:07 close L1\n14:07 tick\n"
    found = run(table, grid=WIDE)
    assert [line.split()[2] for line in noted(found, "DATA_QUALITY")] == ["1", "1"]
    assert noted(found, "DATA_QUALITY_OVER") == []
    assert len(noted(run(table + "14:08 close L2\n14:08 tick\n14:09 tick", grid=WIDE), "DATA_QUALITY_OVER")) == 1


def test_a_position_that_is_unseen_for_a_moment_is_not_told() -> None:
    table = "14:00 stale L1\n14:00 tick\n14:00:29 close L1\n14:00:29 tick\n14:02 stale L1\n14:02 tick\n14:02:29 tick\n"
    assert noted(run(table, grid=WIDE), "DATA_QUALITY") == []


def test_nine_of_ten_top_voltage_elements_are_enough_to_act_on() -> None:
    """Silence at a lower voltage does not count."""
    table = "13:50 stale L9\n13:50 stale U\n13:51 tick\n" + lost("14:00", "L1", "L2", "L3") + "14:01 tick"
    found = run(table, FEW_STATIONS, grid=WIDE)
    assert noted(found, "OBSERVABILITY_LOW") == []
    assert [each.auto_allowed for each in of(found)] == [True]
    found = run("13:50 stale L8\n" + table, FEW_STATIONS, grid=WIDE)
    assert len(noted(found, "OBSERVABILITY_LOW")) == 1
    assert [each.auto_allowed for each in of(found)] == [False]


FEW_STATIONS = rules_from({"topology_hard": {"substations": 99}})


def test_three_permitted_lines_are_noted_as_planned_once_and_trip_nothing() -> None:
    table = "".join(f"13:00 permit L{i} 13:30 18:00\n" for i in (1, 2, 3)) + lost("14:00", "L1", "L2", "L3") + "14:05 tick\n14:06 tick\n"
    found = run(table, grid=LINES)
    assert level(found) == "none"
    assert noted(found, "PLANNED_OUTAGE") == [f"L{i}: OPEN since 14:00, under a permit; not counted" for i in (1, 2, 3)]


def test_all_kinds_of_evidence_wait_for_sight_and_for_the_clock() -> None:
    table = "13:59 load A 30000\n14:00 load A 20000\n"
    assert conditions(run(table + "14:05 tick", grid=LINES, held=True)) == []
    blind = "13:58 scada down\n" + table + "14:05 tick\n"
    assert conditions(run(blind, grid=LINES)) == []
    assert conditions(run(blind + "14:06 scada up\n14:06:29.999 tick", grid=LINES)) == []
    assert conditions(run(blind + "14:06 scada up\n14:06:30 tick", grid=LINES)) == [at_ns("14:00:10")]


def test_what_the_grid_does_not_have_changes_nothing() -> None:
    words = "14:00 volt X 0\n14:00 trip X\n14:00 open X\n14:00 dead X\n14:00 infeed X 5\n"
    story = played("13:50 tick\n" + words, grid=STATION)
    assert story.watch == played("13:50 tick\n", grid=STATION).watch


@pytest.mark.parametrize(
    ("permit", "expected"),
    [("14:30 18:00", "none"), ("14:30:00.001 18:00", "soft"), ("13:00 13:30", "none"), ("13:00 13:29:59.999", "soft")],
)
def test_a_permit_covers_half_an_hour_before_and_after_it_to_the_instant(permit: str, expected: str) -> None:
    assert level(run(f"12:00 permit L2 {permit}\n" + lost("14:00", "L1", "L2") + "14:01 tick", grid=LINES)) == expected


@pytest.mark.parametrize(("n", "ends"), [(12, "X12"), (13, "X12 …")])
def test_a_notice_names_twelve_elements(n: int, ends: str) -> None:
    grid = Topology.of({f"X{k:02}": Element(kv=500.0) for k in range(1, n + 1)})
    (found,) = of(run(lost("14:00", *grid.elements) + "14:01 tick", grid=grid))
    assert found.details["elements"].endswith(f"X11, {ends}")
    assert sum(line.startswith("X") for line in found.evidence) == 12


def test_a_station_that_hangs_on_two_elements_is_lost_with_both() -> None:
    grid = Topology.of({name: Element(kv=500.0, from_bus="A", to_bus="B") for name in ("X1", "X2")})
    found = of(run("13:50 tick\n" + lost("14:00", "X1", "X2") + "14:01 tick", FEW, grid))
    assert [each.evidence[0].split(":")[0] for each in found] == ["substation A lost", "substation B lost"]


def test_a_notice_names_lines_that_opened_exactly_fifteen_minutes_apart() -> None:
    (found,) = of(run(lost("14:00", "L1") + lost("14:05", "L2") + lost("14:15", "L3") + "14:16 tick", grid=LINES))
    assert found.details["elements"] == "L1, L2, L3"
    assert "3 top-voltage elements lost within 15.0 min (limit 3 within 15 min): L1, L2, L3" in found.evidence


@pytest.mark.parametrize(("n", "ends"), [(12, "X12"), (13, "X12 …")])
def test_a_note_of_silence_names_twelve_elements(n: int, ends: str) -> None:
    grid = Topology.of({f"X{k:02}": Element(kv=500.0) for k in range(1, n + 1)})
    silent = "".join(f"14:00 stale {name}\n" for name in grid.elements)
    (what,) = noted(run(silent + "14:00 tick\n14:01 tick", grid=grid), "DATA_QUALITY")
    assert what.endswith(f"X11, {ends}")


# Over before it is reported


@pytest.mark.parametrize(("elements", "basis"), [(("L1", "L2"), SOFT), (("L1", "L2", "L3"), HARD)])
def test_what_is_closed_again_in_the_grace_is_over_at_the_tick_that_reports_it_and_does_not_come_back(
    elements: tuple[str, ...], basis: Basis
) -> None:
    closed = lost("14:00", *elements) + "".join(f"14:00:20 close {name}\n" for name in elements)
    found = [each for each in run(closed + "14:00:40 tick", grid=LINES) if isinstance(each, ConditionMet | ConditionGone)]
    assert [(type(each), each.segment, each.basis) for each in found] == [
        (kind, segment, basis) for kind in (ConditionMet, ConditionGone) for segment in (Segment.RT, Segment.DA)
    ]
    later = run(closed + "14:00:40 tick\n14:00:40 tick\n14:01 tick\n14:10 tick", grid=LINES)
    assert [each for each in later if isinstance(each, ConditionMet | ConditionGone)] == found


def test_lines_that_soft_evidence_counted_and_that_are_back_count_with_the_third_as_hard() -> None:
    two = lost("14:00", "L1", "L2") + "14:01 tick\n14:02 close L1\n14:02 close L2\n14:03 tick\n"
    assert conditions(run(two + lost("14:05", "L3") + "14:06 tick", grid=LINES)) == [at_ns("14:05:10")]
