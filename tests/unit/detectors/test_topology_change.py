"""What counts as lost, when three losses are a hard change, and what never counts."""

from __future__ import annotations

import pytest

from detectors.findings import Basis, ConditionGone, ConditionMet, Finding, Noted
from detectors.topology_change import TopologyWatch, next_deadline_ns, observe, still_open
from market.facts import (
    Fact,
    FlowReported,
    LoadReported,
    PermitGranted,
    PointQuality,
    Segment,
    SourceReported,
    SwitchReported,
    SwitchStatus,
    Ticked,
)
from market.rules import GUANGDONG_2023, MarketRules, rules_from
from market.topology import Element, Topology
from tests.kit.table import at_ns, rows

RULES = GUANGDONG_2023
GRID = Topology.of({f"L{i}": Element(kv=500.0) for i in range(1, 11)} | {"S1": Element(kv=220.0)})


def fact_of(ts_ns: int, words: list[str]) -> Fact:
    """Read one line.

    ``open|close|stale|between ELEMENT [END]`` | ``dead|alive|unmetered ELEMENT [END]`` | ``load A MW`` | ``permit E FROM TO`` |
    ``scada up|down`` | ``tick``; positions and flows may end in ``@HH:MM:SS``, their source time, and in ``initial`` or ``history``.
    """
    source_ns, initial, history = ts_ns, "initial" in words, "history" in words
    words = [word for word in words if word not in ("initial", "history")]
    if words[-1].startswith("@"):
        source_ns, words = at_ns(words[-1][1:]), words[:-1]
    match words:
        case ["tick"]:
            return Ticked(ts_event_ns=ts_ns)
        case ["load", area, mw]:
            return LoadReported(ts_event_ns=ts_ns, area=area, load_mw=float(mw))
        case ["permit", element, from_, to]:
            return PermitGranted(ts_event_ns=ts_ns, element=element, from_ns=at_ns(from_), to_ns=at_ns(to))
        case ["scada", word]:
            return SourceReported(ts_event_ns=ts_ns, name="scada", up=word == "up")
        case ["dead" | "alive" | "unmetered" as word, element, *end]:
            pct = 40.0 if word == "alive" else 0.4
            ends = end or ["from", "to"]
            return FlowReported(
                ts_event_ns=ts_ns,
                element=element,
                from_pct=pct if "from" in ends else None,
                to_pct=pct if "to" in ends else None,
                quality=PointQuality.STALE if word == "unmetered" else PointQuality.GOOD,
                ts_source_ns=source_ns,
                history=history,
            )
        case [word, element, *end]:
            status = {"open": SwitchStatus.OPEN, "between": SwitchStatus.INTERMEDIATE}.get(word, SwitchStatus.CLOSED)
            quality = PointQuality.STALE if word == "stale" else PointQuality.GOOD
            return SwitchReported(
                ts_event_ns=ts_ns,
                element=element,
                end="".join(end),
                status=status,
                quality=quality,
                ts_source_ns=source_ns,
                initial=initial,
                history=history,
            )
    raise AssertionError(words)


def run(table: str, rules: MarketRules = RULES, *, held: bool = False) -> list[Finding]:
    """Feed a table, with a tick at every deadline on the way, and return everything found."""
    watch, found, now_ns = TopologyWatch(), list[Finding](), 0
    for ts_ns, words, _ in rows(table):
        while (deadline := next_deadline_ns(watch, now_ns, rules)) is not None and deadline < ts_ns:
            now_ns = deadline
            watch, more = observe(watch, Ticked(ts_event_ns=deadline), rules, GRID, held=held)
            found += more
        now_ns = max(now_ns, ts_ns)
        watch, more = observe(watch, fact_of(ts_ns, words), rules, GRID, held=held)
        found += more
    return found


def hard(found: list[Finding]) -> list[ConditionMet]:
    return [each for each in found if isinstance(each, ConditionMet) and (each.basis, each.segment) == (Basis.TOPOLOGY_HARD, Segment.RT)]


def conditions(found: list[Finding]) -> list[int]:
    return [finding.met_at_ns for finding in hard(found)]


THREE = """
    14:00 open L1
    14:00 dead L1
    14:03 open L2
    14:03 dead L2
    14:06 open L3
    14:06 dead L3
"""


def test_three_lines_trip_at_the_third_debounce_plus_grace() -> None:
    assert conditions(run(THREE + "14:06:39.999 tick")) == []
    assert conditions(run(THREE + "14:06:40 tick")) == [at_ns("14:06:10")]


def test_condition_is_found_once() -> None:
    assert len(conditions(run(THREE + "14:06:40 tick\n14:07 tick\n14:20 tick"))) == 1


def test_evidence_names_elements_and_lost_load() -> None:
    found = run("13:59 load A 80000\n13:59 load B 40000\n13:59:30 tick" + THREE + "14:06:20 load A 63200\n14:06:40 tick")
    (condition,) = hard(found)
    assert "L1, L2, L3" in condition.evidence[0]
    assert "16800 MW of 120000 MW" in condition.evidence[-1]


def test_confirmation_waits_for_the_flow_to_die() -> None:
    found = run("14:00 open L1\n14:00 dead L1\n14:03 open L2\n14:03 dead L2\n14:06 open L3\n14:06:25 dead L3\n14:06:54.999 tick")
    assert conditions(found) == []
    found = run("14:00 open L1\n14:00 dead L1\n14:03 open L2\n14:03 dead L2\n14:06 open L3\n14:06:25 dead L3\n14:06:55 tick")
    assert conditions(found) == [at_ns("14:06:25")]


@pytest.mark.parametrize(
    ("why", "table"),
    [
        ("the flow says otherwise", THREE.replace("14:06 dead L3", "14:06 alive L3")),
        ("the flow is dead at one end only", THREE.replace("14:06 dead L3", "14:06 dead L3 from")),
        ("no flow was ever measured", THREE.replace("14:06 dead L3", "")),
        ("two are not three", THREE.replace("14:06 open L3", "").replace("14:06 dead L3", "")),
        ("it reclosed within ten seconds", THREE + "14:06:10 close L3\n"),
        ("its position is stale", THREE + "14:06:05 stale L3\n"),
        ("its position is between", THREE.replace("open L3", "between L3")),
        ("it is below the top voltage", THREE.replace("L3", "S1")),
        ("nobody knows the element", THREE.replace("L3", "X9")),
        ("it was permitted", "13:00 permit L3 14:30 18:00\n" + THREE),
        ("it chatters", THREE + "14:06:02 close L3\n14:06:04 open L3\n14:06:06 close L3\n"),
        ("it is between open and closed before it has stood", THREE + "14:06:04 between L3\n"),
        (
            "one line three times is one line",
            "14:00 dead L1\n14:00 open L1\n14:02 close L1\n14:04 open L1\n14:06 close L1\n14:08 open L1\n",
        ),
        ("a line and another twice are two", THREE.replace("L3", "L1").replace("14:06 open", "14:02 close L1\n14:06 open")),
        ("its flow is not measured any more", THREE.replace("14:06 dead L3", "13:55 dead L3\n13:56 unmetered L3")),
        ("word of its flow came late", THREE + "14:06:12 alive L3 @14:06:08\n"),
        ("word of its reclosing came late", THREE + "14:06:25 close L3 @14:06:09\n"),
        ("word of its permit came late", THREE + "14:06:20 permit L3 14:00 18:00\n"),
        ("it was open when it was first heard of", THREE.replace("open L3", "open L3 initial")),
        ("it was not seen at first, then open", "13:50 stale L3 initial\n" + THREE),
        ("more than fifteen minutes lie between", THREE.replace("14:06", "14:15:00.001")),
    ],
    ids=lambda value: value if " " in str(value) and "\n" not in str(value) else "",
)
def test_does_not_count(why: str, table: str) -> None:
    assert conditions(run(table + "14:16:30 tick")) == [], why


def test_reclosing_after_ten_seconds_does_not_undo_the_loss() -> None:
    assert conditions(run(THREE + "14:06:10.001 close L3\n14:06:41 tick")) == [at_ns("14:06:10")]


def test_permit_covers_half_an_hour_around_it_and_no_more() -> None:
    assert conditions(run("13:00 permit L3 14:36 18:00\n" + THREE + "14:06:41 tick")) == []
    assert conditions(run("13:00 permit L3 14:36:00.001 18:00\n" + THREE + "14:06:41 tick")) == [at_ns("14:06:10")]


def test_three_lines_in_exactly_fifteen_minutes_count() -> None:
    table = THREE.replace("14:06", "14:15")
    assert conditions(run(table + "14:15:40 tick")) == [at_ns("14:15:10")]


def test_both_ends_are_one_element() -> None:
    found = run(THREE.replace("open L3", "open L3 from") + "14:06:01 open L3 to\n14:06:41 tick")
    assert conditions(found) == [at_ns("14:06:10")]
    found = run("14:00 open L1 from\n14:00 open L1 to\n14:00 dead L1\n14:01 open L2 from\n14:01 open L2 to\n14:01 dead L2\n14:05 tick")
    assert conditions(found) == []


def test_one_end_closed_leaves_the_branch_open() -> None:
    table = THREE.replace("14:06 open L3", "14:06 open L3 from\n14:06 open L3 to\n14:06:05 close L3 from")
    assert conditions(run(table + "14:06:41 tick")) == [at_ns("14:06:10")]


def test_low_observability_is_noted_and_forbids_automation() -> None:
    table = "13:50 stale L8\n13:50 stale L9\n13:51 tick\n" + THREE + "14:06:41 tick"
    found = run(table)
    assert [f.what for f in found if isinstance(f, Noted)] == ["OBSERVABILITY_LOW", "DATA_QUALITY"]
    assert [f.auto_allowed for f in hard(found)] == [False]
    assert [f.auto_allowed for f in hard(run("13:50 stale L8\n13:51 tick\n" + THREE + "14:06:41 tick"))] == [True]


def test_condition_is_gone_when_every_element_is_closed_again() -> None:
    closing = "14:20 close L1\n14:20 close L2\n14:20:30 tick\n"
    assert not any(isinstance(f, ConditionGone) and f.basis is Basis.TOPOLOGY_HARD for f in run(THREE + "14:06:41 tick\n" + closing))
    found = run(THREE + "14:06:41 tick\n" + closing + "14:21 close L3\n14:21:10 tick")
    assert any(isinstance(f, ConditionGone) and f.basis is Basis.TOPOLOGY_HARD for f in found)


def test_lines_still_out_do_not_hide_the_next_event() -> None:
    later = THREE.replace("L1", "L5").replace("L2", "L6").replace("L3", "L7").replace("14:", "16:")
    assert conditions(run(THREE + "14:06:41 tick\n" + later + "16:06:41 tick")) == [at_ns("14:06:10"), at_ns("16:06:10")]


def test_held_condition_waits() -> None:
    assert conditions(run(THREE + "14:06:41 tick", held=True)) == []


def test_numbers_come_from_the_rules() -> None:
    rules = rules_from({"topology_hard": {"ehv_elements": 2, "ehv_window_min": 5}, "top_voltage_kv": 220, "grace_s": 0})
    table = "14:00 open S1\n14:00 dead S1\n14:03 open L2\n14:03 dead L2\n14:03:10 tick"
    assert conditions(run(table, rules)) == [at_ns("14:03:10")]


def test_older_report_of_the_same_end_is_ignored() -> None:
    watch = TopologyWatch()
    watch, _ = observe(watch, fact_of(at_ns("14:00:10"), ["open", "L1"]), RULES, GRID)
    watch, _ = observe(watch, fact_of(at_ns("14:00:05"), ["close", "L1"]), RULES, GRID)
    assert watch.elements["L1"].open


def test_state_stays_small_when_all_is_well_again() -> None:
    watch = TopologyWatch()
    for ts_ns, words, _ in rows("14:00 open L1\n14:00 dead L1\n14:00:30 tick\n14:05 close L1\n14:05:01 alive L1\n14:30 tick"):
        watch, _ = observe(watch, fact_of(ts_ns, words), RULES, GRID)
    assert watch.elements == {}


def lost(clock: str, element: str) -> str:
    return f"{clock} open {element}\n{clock} dead {element}\n"


def test_a_line_that_stays_open_after_it_chattered_counts_from_then() -> None:
    """Three changes from 14:06:00 on hold the position until 14:07:00."""
    table = THREE + "14:06:02 close L3\n14:06:04 open L3\n"
    assert conditions(run(table + "14:07:29 tick")) == []
    assert conditions(run(table + "14:07:30 tick")) == [at_ns("14:07:00")]


def test_a_fourth_loss_in_the_grace_does_not_undo_the_three() -> None:
    """The fourth line opens more than fifteen minutes after the first."""
    table = lost("14:00:00", "L1") + lost("14:00:05", "L2") + lost("14:14:50", "L3") + lost("14:15:08", "L4")
    assert conditions(run(table + "14:30 tick")) == [at_ns("14:15:00")]


def test_a_flow_that_dies_late_does_not_lose_the_first_line() -> None:
    table = lost("14:00:00", "L1") + lost("14:03", "L2") + "14:14:50 open L3\n14:15:15 dead L3\n"
    assert conditions(run(table + "14:30 tick")) == [at_ns("14:15:15")]


@pytest.mark.parametrize("ticks", [("14:15:40",), ("14:15:41",), ("14:20",), ("15:00",), ("14:05", "14:15:12", "14:16")])
def test_when_ticks_come_decides_nothing(ticks: tuple[str, ...]) -> None:
    watch, found = TopologyWatch(), list[Finding]()
    facts = list(rows(lost("14:00", "L1") + lost("14:05", "L2") + lost("14:15", "L3") + "".join(f"{tick} tick\n" for tick in ticks)))
    for ts_ns, words, _ in sorted(facts, key=lambda row: row[0]):
        watch, more = observe(watch, fact_of(ts_ns, words), RULES, GRID)
        found += more
    assert conditions(found) == [at_ns("14:15:10")]


def test_a_line_lost_and_restored_between_two_ticks_was_lost() -> None:
    table = lost("14:00", "L1") + lost("14:03", "L2") + lost("14:06", "L3") + "14:06:15 close L3\n"
    watch, found = TopologyWatch(), list[Finding]()
    for ts_ns, words, _ in rows(table + "14:07 tick"):
        watch, more = observe(watch, fact_of(ts_ns, words), RULES, GRID)
        found += more
    assert conditions(found) == [at_ns("14:06:10")]


def test_a_cascade_is_decided_by_its_third_line() -> None:
    clocks = ["14:00:00", "14:00:00", "14:00:00", "14:00:25", "14:00:50", "14:01:15"]
    table = "".join(lost(clock, f"L{n}") for n, clock in enumerate(clocks, start=1))
    assert conditions(run("".join(table.splitlines(keepends=True)[:8]) + "14:00:39 tick")) == []
    found = run(table + "14:02:30 tick")
    assert conditions(found)[0] == at_ns("14:00:10")
    first = hard(found)[0]
    assert first.details["elements"] == "L1, L2, L3, L4", "what was certain when it was decided"


def test_a_held_condition_is_not_forgotten() -> None:
    watch, found = TopologyWatch(), list[Finding]()
    for ts_ns, words, _ in rows(THREE + "14:06:45 tick\n14:40 tick\n15:10 tick"):
        watch, found_held = observe(watch, fact_of(ts_ns, words), RULES, GRID, held=True)
        assert conditions(list(found_held)) == []
    _, released = observe(watch, Ticked(ts_event_ns=at_ns("15:11")), RULES, GRID)
    assert conditions([*found, *released]) == [at_ns("14:06:10")]


def test_nothing_is_decided_while_scada_is_down_and_the_back_fill_has_one_grace() -> None:
    table = "13:55 scada down\n13:56 scada down\n" + THREE
    found = run(table + "14:30 tick")
    assert conditions(found) == []
    assert [f.what for f in found if isinstance(f, Noted)] == ["SCADA_DOWN"]
    table += "14:30 scada up\n14:30:20 scada up\n"
    assert conditions(run(table + "14:30:29 tick")) == []
    assert conditions(run(table + "14:30:30 tick")) == [at_ns("14:06:10")]
    assert conditions(run(table + "14:30:10 alive L3 @14:06:05\n14:31 tick")) == [], "what was missed while it was down still counts"


def test_dead_since_is_when_the_second_end_died() -> None:
    table = (
        lost("14:00", "L1") + lost("14:03", "L2") + "14:06 open L3\n14:06:25.2 dead L3 from @14:06:25\n14:06:25.4 dead L3 to @14:06:01\n"
    )
    assert conditions(run(table + "14:07 tick")) == [at_ns("14:06:25")]


def test_an_older_flow_of_the_same_end_is_ignored() -> None:
    assert conditions(run(THREE + "14:06:12 alive L3 @14:05:59\n14:07 tick")) == [at_ns("14:06:10")]


def test_a_line_that_is_seen_again_must_stand_before_it_counts() -> None:
    table = THREE + "14:06:04 between L3\n14:06:20 open L3\n"
    assert conditions(run(table + "14:06:59 tick")) == []
    assert conditions(run(table + "14:07 tick")) == [at_ns("14:06:30")]


def test_a_loss_stands_though_its_station_falls_silent_after_it() -> None:
    assert conditions(run(THREE + "14:06:12 stale L3 @14:06:00\n14:07 tick")) == [at_ns("14:06:10")]


def test_a_line_open_from_the_beginning_counts_when_it_opens_again() -> None:
    table = "13:50 open L3 initial\n13:50 dead L3\n13:55 close L3\n13:55 alive L3\n" + THREE
    assert conditions(run(table + "14:07 tick")) == [at_ns("14:06:10")]


def test_a_line_whose_flow_never_dies_hides_no_deadline() -> None:
    watch = TopologyWatch()
    for ts_ns, words, _ in rows("14:01 open L9\n" + lost("14:02", "L1") + lost("14:02", "L2") + lost("14:02", "L3") + "14:02:12 tick"):
        watch, _ = observe(watch, fact_of(ts_ns, words), RULES, GRID)
    assert next_deadline_ns(watch, at_ns("14:02:12"), RULES) == at_ns("14:02:40")
    watch, _ = observe(watch, Ticked(ts_event_ns=at_ns("14:02:40")), RULES, GRID)
    assert next_deadline_ns(watch, at_ns("14:02:40"), RULES) is None


def test_what_is_still_open_of_a_condition_is_known() -> None:
    watch = TopologyWatch()
    for ts_ns, words, _ in rows(THREE + "14:06:41 tick\n14:10 close L2\n" + lost("14:20", "L5") + "14:30 tick"):
        watch, _ = observe(watch, fact_of(ts_ns, words), RULES, GRID)
    assert still_open(watch) == ("L1", "L3")


def test_permits_are_remembered_once_and_forgotten_when_past() -> None:
    watch = TopologyWatch()
    for ts_ns, words, _ in rows("13:00 permit L3 13:00 14:00\n13:01 permit L3 13:00 14:00"):
        watch, _ = observe(watch, fact_of(ts_ns, words), RULES, GRID)
    assert len(watch.permits) == 1
    watch, _ = observe(watch, Ticked(ts_event_ns=at_ns("15:30")), RULES, GRID)
    assert watch.permits == ()


@pytest.mark.parametrize(
    ("history", "condition"),
    [
        ("14:06:12 open L3 @14:05:58 history", "14:06:08"),
        ("14:06:12 open L3 @14:05:50 history", "14:06"),
        ("14:06:12 close L3 @14:05:58 history", "14:06:10"),
        ("14:06:12 alive L3 from @14:05:58 history", "14:06:10"),
        ("14:06:12 open L4 @14:05:58 history", "14:06:10"),
    ],
    ids=["opened earlier", "opened before its flow died", "closed before it opened", "alive before it died", "another line"],
)
def test_what_was_overtaken_says_since_when(history: str, condition: str) -> None:
    assert conditions(run(THREE + history + "\n14:07 tick")) == [at_ns(condition)]


def test_what_was_overtaken_is_never_what_is_so_now() -> None:
    """Also of a line of which nothing is remembered any more, and whatever its quality was."""
    for history in ("open L3 @14:05:58 history", "dead L3 @14:05:58 history", "stale L3 @14:05:58 history", "between L3 @14:05:58 history"):
        table = lost("14:00", "L1") + lost("14:03", "L2") + f"14:06 {history}\n"
        watch = TopologyWatch()
        for ts_ns, words, _ in rows(table):
            watch, _ = observe(watch, fact_of(ts_ns, words), RULES, GRID)
        assert not watch.elements["L3"].open
        assert not watch.elements["L3"].unseen
        assert watch.elements["L3"].dead_since_ns is None
        watch, _ = observe(watch, Ticked(ts_event_ns=at_ns("14:20")), RULES, GRID)
        assert "L3" not in watch.elements


def test_a_line_that_was_closed_in_between_opened_after_that() -> None:
    """It reclosed at 14:06:09, which the next opening overtook: three moves since 14:06, so it is not believed until 14:07."""
    table = THREE + "14:06:12 open L3\n14:06:13 close L3 @14:06:09 history\n"
    assert conditions(run(table + "14:08 tick")) == [at_ns("14:07:00")]
    calm = rules_from({"chatter_changes": 0})
    assert conditions(run(table + "14:08 tick", calm)) == [at_ns("14:06:22")]


def test_a_line_open_from_the_beginning_that_was_closed_in_between_counts() -> None:
    table = lost("14:00", "L1") + lost("14:03", "L2") + "13:00 open L3 initial\n13:00 dead L3\n14:06 open L3\n"
    assert conditions(run(table + "14:08 tick")) == []
    assert conditions(run(table + "14:06:01 close L3 @14:05:59 history\n14:08 tick")) == [at_ns("14:06:10")]


def test_moves_that_were_overtaken_count_as_chattering() -> None:
    in_order = "14:06 open L3\n14:06:01 close L3\n14:06:02 open L3\n14:06:02 dead L3\n"
    overtaken = "14:06:02 open L3\n14:06:02 dead L3\n14:06:03 open L3 @14:06 history\n14:06:03 close L3 @14:06:01 history\n"
    for table in (in_order, overtaken):
        assert conditions(run(lost("14:00", "L1") + lost("14:03", "L2") + table + "14:08 tick")) == [at_ns("14:07")]
