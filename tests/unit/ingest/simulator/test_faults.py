"""Scripts as tables: what holds when, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from ingest.simulator.faults import Fault, FaultKind, Faults, Script, StoryLine, Targets, fault_of, read_script, script_of
from market.errors import ConfigError
from market.units import NS_PER_MIN, NS_PER_S, instant_ns

TARGETS = Targets(branches=frozenset({"A27", "A28"}), devices=frozenset({"plant-101", "scada-1"}), rtus=frozenset({"rtu-1"}))
ORIGIN = instant_ns("2026-06-10T10:00:00+08:00")


def faults(*entries: dict[str, object]) -> Faults:
    return Faults(script_of({"faults": list(entries)}, ORIGIN, TARGETS).faults)


def minute(number: float) -> int:
    return ORIGIN + round(number * NS_PER_MIN)


def test_a_line_trips_and_recloses_at_its_own_instants() -> None:
    book = faults({"at": "10m", "kind": "line_trip", "target": "A27", "for": "3s"}, {"at": "11m", "kind": "line_trip", "target": "A28"})
    opened = minute(10)
    assert book.at(opened - 1).open_branches == {}
    assert book.at(opened).open_branches == {"A27": opened}
    assert book.at(opened + 3 * NS_PER_S - 1).moved_ns == {"A27": opened}
    closed = book.at(opened + 3 * NS_PER_S)
    assert (closed.open_branches, closed.moved_ns) == ({}, {"A27": opened + 3 * NS_PER_S})
    assert book.at(minute(600)).open_branches == {"A28": minute(11)}, "a trip before any start stands with its own time"


def test_a_restored_line_is_closed_and_a_second_trip_of_an_open_line_moves_nothing() -> None:
    book = faults(
        {"at": "1m", "kind": "line_trip", "target": "A27"},
        {"at": "2m", "kind": "line_trip", "target": "A27"},
        {"at": "3m", "kind": "line_restore", "target": "A27"},
    )
    assert book.at(minute(2)).open_branches == {"A27": minute(1)}
    assert book.at(minute(3)).open_branches == {}
    assert book.at(minute(3)).moved_ns == {"A27": minute(3)}


def test_devices_break_and_mend() -> None:
    book = faults(
        {"at": "1m", "kind": "device_silent", "target": "plant-101", "for": "2m"},
        {"at": "2m", "kind": "device_down", "target": "scada-1", "for": "2m"},
        {"at": "2m", "kind": "rtu_comms_lost", "target": "rtu-1"},
        {"at": "2m", "kind": "device_lying", "target": "rtu-1", "mode": "factor", "value": 1.5, "for": "1m"},
    )
    at = {k: book.at(minute(k)) for k in (0, 1, 2, 3, 4)}
    assert [sorted(at[k].silent) for k in at] == [[], ["plant-101"], ["plant-101"], [], []]
    assert [sorted(at[k].down) for k in at] == [[], [], ["scada-1"], ["scada-1"], []]
    assert [sorted(at[k].lost) for k in at] == [[], [], ["rtu-1"], ["rtu-1"], ["rtu-1"]]
    assert at[2].lying["rtu-1"].value == 1.5
    assert at[3].lying == {}


def test_control_changes_hands_with_a_moment_between() -> None:
    book = faults({"at": "5m", "kind": "switchover", "for": "10m"})
    seen = [
        (book.at(t).authority, book.at(t).authority_ns)
        for t in (minute(5) - 1, minute(5), minute(5) + 2 * NS_PER_S, minute(15), minute(16))
    ]
    assert seen == [
        ("MAIN", 0),
        ("", minute(5)),
        ("BACKUP", minute(5) + 2 * NS_PER_S),
        ("", minute(15)),
        ("MAIN", minute(15) + 2 * NS_PER_S),
    ]


def test_clearing_fails_for_the_intervals_that_begin_within() -> None:
    book = faults(
        {"at": "10m", "kind": "clearing_fails", "for": "10m"}, {"at": "15m", "kind": "clearing_fails", "mode": "silent", "for": "10m"}
    )
    assert [book.clearing_fault(minute(m)) for m in (5, 10, 15, 20, 25)] == [None, "error", "silent", "silent", None]


def test_every_change_is_announced_in_order() -> None:
    book = faults({"at": "1m", "kind": "line_trip", "target": "A27", "for": "3s"}, {"at": "2m", "kind": "switchover"})
    edges, now = [], ORIGIN
    while (edge := book.next_change_ns(now)) is not None:
        edges.append((edge - ORIGIN) / NS_PER_S)
        now = edge
    assert edges == [60.0, 63.0, 120.0, 122.0]


def test_the_same_on_command() -> None:
    fault = fault_of(5, "device_lying", "plant-101", 60.0, TARGETS, mode="offset", value=-3.0)
    assert fault == Fault(at_ns=5, kind=FaultKind.DEVICE_LYING, target="plant-101", for_ns=60 * NS_PER_S, mode="offset", value=-3.0)
    assert Faults().also(fault).at(6).lying["plant-101"].mode == "offset"


def test_a_clock_is_off_for_as_long_as_the_fault_lasts() -> None:
    faults = Faults([fault_of(10, "clock_off", "rtu-1", 1e-8, TARGETS, value=-3600.0)])
    assert [dict(faults.at(ts_ns).clock_off_s) for ts_ns in (9, 10, 19, 20)] == [{}, {"rtu-1": -3600.0}, {"rtu-1": -3600.0}, {}]


@pytest.mark.parametrize(
    ("kind", "target", "extra", "says"),
    [
        ("meteor", "", {}, "there is no kind 'meteor'; use line_trip"),
        ("line_trip", "A277", {}, "there is no branch 'A277'; did you mean 'A27'?"),
        ("device_down", "rtu-1", {}, "there is no device 'rtu-1'"),
        ("rtu_comms_lost", "plant-101", {}, "there is no RTU 'plant-101'"),
        ("switchover", "MAIN", {}, "switchover has no target"),
        ("line_restore", "A27", {"for_s": 3.0}, "restored for good"),
        ("line_trip", "A27", {"for_s": -1.0}, "no time at all"),
        ("device_lying", "plant-101", {}, "use factor, offset, frozen"),
        ("device_lying", "plant-101", {"mode": "factor"}, "factor needs a number"),
        ("device_lying", "plant-101", {"mode": "frozen", "value": 1.0}, "goes with factor, offset and clock_off only"),
        ("device_down", "plant-101", {"mode": "error"}, "device_down has no mode"),
        ("clock_off", "rtu-1", {}, "clock_off needs a number"),
        ("clock_off", "plant-101", {"value": 60.0}, "there is no RTU 'plant-101'"),
        ("clearing_fails", "", {"mode": "badly"}, "use error, silent"),
    ],
)
def test_what_makes_no_sense_is_refused_on_command(kind: str, target: str, extra: dict[str, object], says: str) -> None:
    with pytest.raises(ConfigError, match=says.replace("?", r"\?")):
        fault_of(0, kind, target, extra.pop("for_s", None), TARGETS, **extra)  # type: ignore[arg-type]


def test_a_script_names_every_problem_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "script.yaml"
    path.write_text(
        "faults:\n"
        "- {at: 10m, kind: line_trip, target: A99}\n"
        "- {at: 10m, kind: device_down, target: plant-1O1, for: 5m}\n"
        "- {at: 20m, kind: switchover, reclose_after_s: 3}\n"
        "- {at: 30m, kind: line_trip, target: A27, for: 1s, reclose_after_s: 3}\n"
    )
    with pytest.raises(ConfigError) as caught:
        read_script(path, ORIGIN, TARGETS)
    lines = [problem.where.rsplit(":", 1)[1] for problem in caught.value.problems]
    assert lines == ["2", "3", "4", "5"]
    assert "did you mean 'plant-101'" in str(caught.value)


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ("{kind: line_trip, target: A27}", "at: is missing"),
        ("{at: 10, kind: line_trip, target: A27}", "10 is no time"),
        ("{at: noon, kind: line_trip, target: A27}", "'noon' is no time"),
        ('{at: "2026-06-10T12:00:00", kind: line_trip, target: A27}', "is no time"),
        ("{at: 1m, kind: line_trp, target: A27}", "line_trp"),
        ("{at: 1m, kind: line_trip, target: A27, fore: 3s}", "did you mean 'for'"),
    ],
)
def test_unreadable_entries_are_refused(tmp_path: Path, entry: str, says: str) -> None:
    path = tmp_path / "script.yaml"
    path.write_text(f"faults:\n- {entry}\n")
    with pytest.raises(ConfigError, match=says):
        read_script(path, ORIGIN, TARGETS)


def test_times_are_counted_from_the_origin_or_stand_for_themselves() -> None:
    script = script_of(
        {
            "faults": [
                {"at": "0s", "kind": "line_trip", "target": "A27", "reclose_after_s": 2.5},
                {"at": "2026-06-10T12:00:00+08:00", "kind": "line_trip", "target": "A28"},
            ]
        },
        ORIGIN,
        TARGETS,
    )
    assert [(f.at_ns - ORIGIN, f.for_ns) for f in script.faults] == [(0, 2_500_000_000), (120 * NS_PER_MIN, None)]


def test_the_story_is_told_chapter_by_chapter() -> None:
    script = script_of(
        {"story": [{"at": "5m", "en": "A device falls silent", "zh": "设备失联"}, {"at": "1m", "en": "All quiet", "zh": "平静"}]},
        ORIGIN,
        TARGETS,
    )
    assert script.told(ORIGIN) is None
    assert script.told(minute(1)) == StoryLine(1, 2, "All quiet", "平静")
    assert script.told(minute(60)) == StoryLine(2, 2, "A device falls silent", "设备失联")
    assert Script().told(ORIGIN) is None
