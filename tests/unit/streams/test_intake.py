"""Last values, what is counted, and the facts that edges give rise to."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest

from ingest.bundle import FrameBundle
from ingest.errors import FrameError
from ingest.frame import SAMPLES_MAX, TelemetryFrame, frame_of, heartbeat, point_id
from ingest.points import PointSpec, PointTable
from ingest.quality import BAD_DEVICE_FAILURE, BAD_NO_COMMUNICATION, GOOD, Flag
from market.facts import ControlReported, FlowReported, LoadReported, PointQuality, SwitchReported, SwitchStatus
from market.units import NS_PER_S
from streams.findings import SourceFresh, SourceStale
from streams.identity import identity_of
from streams.image import decode_snapshot, encode_snapshot
from streams.intake import CLOCK_SOURCE, AreaIntake, Taken
from streams.transport.log import RECORD_BYTES_MAX

T0 = 1_577_840_400 * NS_PER_S
SPECS = [
    PointSpec(name="load/101/mw", area="1", device="meter", period_ns=NS_PER_S),
    PointSpec(name="load/102/mw", area="1", device="meter", period_ns=NS_PER_S),
    PointSpec(name="branch/A1/from_mw", area="1", device="meter", period_ns=NS_PER_S),
    PointSpec(name="switch/A1/from", area="1", device="scada", period_ns=NS_PER_S, by_exception=True),
    PointSpec(name="site/MAIN", area="1", device="scada", period_ns=NS_PER_S, by_exception=True),
]


def intake() -> AreaIntake:
    return AreaIntake("1", PointTable(SPECS), {"A1": 100.0}, dead_flow_pct=1.0)


def frame(second: float, device: str, **values: float | tuple[float, int]) -> TelemetryFrame:
    """Samples at ``second`` after T0; names with ``__`` for ``/``; a pair gives the quality too."""
    ts_ns = T0 + round(second * NS_PER_S)
    samples = []
    for name, value in values.items():
        number, quality = value if isinstance(value, tuple) else (value, GOOD)
        samples.append((point_id(name.replace("__", "/")), ts_ns, number, quality, 0))
    return frame_of(device, "1", 1, ts_ns, samples)


def loads(second: float, a: float = 10.0, b: float = 20.0) -> TelemetryFrame:
    return frame(second, "meter", load__101__mw=a, load__102__mw=b)


def tick(unit: AreaIntake, second: float) -> Taken:
    return unit.tick(T0 + round(second * NS_PER_S))


def value_of(taken: Taken, name: str) -> tuple[float, int, int]:
    (snapshot,) = taken.snapshots
    values = snapshot.values
    row = values.point.tolist().index(point_id(name))
    return float(values.value[row]), int(values.quality[row]), int(values.flags[row])


def test_every_sample_is_taken_repeated_late_or_unknown() -> None:
    unit = intake()
    unit.take(loads(1))
    unit.take(loads(1))
    unit.take(loads(0.5))
    taken = unit.take(frame(2, "meter", load__101__mw=11.0, load__999__mw=1.0))
    unit.take(loads(-4))
    assert unit.last.counters == {"taken": 3, "duplicate": 2, "reordered": 2, "late": 2, "unknown": 1}
    assert taken.unknown.tolist() == [point_id("load/999/mw")]


def test_one_frame_of_a_bundle_that_cannot_be_taken_costs_the_others_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    unit = intake()
    unit.take(frame(0, "scada", switch__A1__from=2.0))
    clocks = unit._clocks
    read = clocks.read

    def fails(each: TelemetryFrame, *args: Any, **named: Any) -> Any:
        if each.source == "faulty":
            raise ZeroDivisionError
        return read(each, *args, **named)

    monkeypatch.setattr(clocks, "read", fails)
    opened, broken, load = frame(1, "scada", switch__A1__from=1.0), frame(1, "faulty", x=1.0), frame(1, "meter", load__101__mw=7.0)
    taken = unit.take_in(FrameBundle("1", (opened, broken, load)), 0)
    assert taken is not None
    assert [fact.status for fact in taken.facts if isinstance(fact, SwitchReported)] == [SwitchStatus.OPEN]
    assert [(each.source, type(exc)) for each, exc in taken.failed] == [("faulty", ZeroDivisionError)]
    assert value_of(tick(unit, 2), "load/101/mw")[0] == 7.0


def test_which_frames_of_a_bundle_have_points_that_nobody_listed_is_told() -> None:
    known, strange = loads(0), frame(0, "meter", load__999__mw=1.0)
    taken = intake().take_in(FrameBundle("1", (known, strange)), 0)
    assert taken is not None
    assert taken.unlisted == [strange]


def test_late_sample_changes_nothing() -> None:
    unit = intake()
    unit.take(loads(2, a=12.0))
    unit.take(loads(1, a=99.0))
    assert value_of(tick(unit, 2), "load/101/mw")[0] == 12.0


def test_bad_sample_keeps_the_last_usable_value_and_says_so() -> None:
    unit = intake()
    unit.take(loads(1))
    unit.take(frame(2, "meter", load__101__mw=(float("nan"), BAD_NO_COMMUNICATION)))
    value, quality, _ = value_of(tick(unit, 2), "load/101/mw")
    assert (value, quality) == (10.0, BAD_NO_COMMUNICATION)


def test_load_is_reported_only_when_every_meter_has_spoken() -> None:
    unit = intake()
    unit.take(frame(1, "meter", load__101__mw=10.0))
    assert not any(isinstance(f, LoadReported) for f in tick(unit, 1).facts)
    unit.take(frame(2, "meter", load__102__mw=20.0))
    assert [f.load_mw for f in tick(unit, 2).facts if isinstance(f, LoadReported)] == [30.0]


def test_silent_device_is_found_once_and_its_return_once() -> None:
    unit = intake()
    unit.take(loads(0))
    assert tick(unit, 3).findings == []
    stale = tick(unit, 3.001)
    again = tick(unit, 10)
    assert [(f.device, f.since_ns) for f in stale.findings if f.device == "meter"] == [("meter", T0)]
    assert [f for f in again.findings if f.device == "meter"] == []
    value, quality, flags = value_of(again, "load/101/mw")
    assert value == 10.0
    assert quality != GOOD
    assert flags & Flag.STALE
    unit.take(loads(11))
    back = tick(unit, 11)
    assert [f for f in back.findings if isinstance(f, SourceFresh)] == [
        SourceFresh(ts_event_ns=T0 + 11 * NS_PER_S, device="meter", area="1", since_ns=T0)
    ]


def test_nothing_is_stale_before_it_had_time_to_speak() -> None:
    unit = intake()
    assert tick(unit, 100).findings == []
    assert [f.device for f in tick(unit, 103.5).findings if isinstance(f, SourceStale)] == ["meter", "scada"]


def test_switch_move_is_told_once_with_its_source_time() -> None:
    unit = intake()
    assert unit.take(frame(1, "scada", switch__A1__from=2.0)).facts == []
    moved = unit.take(frame(2, "scada", switch__A1__from=1.0)).facts
    again = unit.take(frame(3, "scada", switch__A1__from=1.0)).facts
    assert [(f.element, f.end, f.status, f.ts_source_ns) for f in moved if isinstance(f, SwitchReported)] == [
        ("A1", "from", SwitchStatus.OPEN, T0 + 2 * NS_PER_S)
    ]
    assert again == []


def test_point_told_by_exception_lives_as_long_as_its_source() -> None:
    unit = intake()
    unit.take(frame(0, "scada", switch__A1__from=2.0))
    for second in range(1, 60):
        unit.take(heartbeat("scada", "1", second, T0 + second * NS_PER_S))
    assert [f for f in tick(unit, 60).facts if isinstance(f, SwitchReported)] == []
    stale = [f for f in tick(unit, 70).facts if isinstance(f, SwitchReported)]
    assert [(f.status, f.quality) for f in stale] == [(SwitchStatus.CLOSED, PointQuality.STALE)]
    unit.take(heartbeat("scada", "1", 99, T0 + 71 * NS_PER_S))
    back = [f for f in tick(unit, 71).facts if isinstance(f, SwitchReported)]
    assert [(f.status, f.quality) for f in back] == [(SwitchStatus.CLOSED, PointQuality.GOOD)]


def test_a_server_that_publishes_a_bad_value_lives() -> None:
    """With something to publish it sends no keep-alive; only what we say in its place is no sign of life."""
    for quality, told in ((BAD_DEVICE_FAILURE, PointQuality.GOOD), (BAD_NO_COMMUNICATION, PointQuality.STALE)):
        unit = intake()
        unit.take(frame(0, "scada", switch__A1__from=1.0, site__MAIN=1.0))
        for second in range(1, 61):
            unit.take(frame(second, "scada", site__MAIN=(float("nan"), quality)))
        facts = [f.quality for f in tick(unit, 60).facts if isinstance(f, SwitchReported)]
        assert facts == ([] if told is PointQuality.GOOD else [told])


def test_value_repeated_after_a_failure_restores_its_quality() -> None:
    unit = intake()
    unit.take(frame(1, "scada", switch__A1__from=2.0))
    unit.take(frame(5, "scada", switch__A1__from=(float("nan"), BAD_NO_COMMUNICATION)))
    back = unit.take(frame(1, "scada", switch__A1__from=2.0)).facts
    assert [f.quality for f in back if isinstance(f, SwitchReported)] == [PointQuality.GOOD]


def test_flow_is_told_when_it_dies_and_when_it_revives_not_when_it_wavers() -> None:
    unit = intake()
    told = []
    for second, mw in enumerate([40.0, 0.9, -0.5, 1.5, 1.99, 2.0, 1.5]):
        told += [
            (second, f.from_pct, f.to_pct)
            for f in unit.take(frame(second, "meter", branch__A1__from_mw=mw)).facts
            if isinstance(f, FlowReported)
        ]
    assert told == [(1, 0.9, None), (5, 2.0, None)]


def test_control_site_is_told() -> None:
    facts = intake().take(frame(1, "scada", site__MAIN=0.0)).facts
    assert [(f.site, f.asserted) for f in facts if isinstance(f, ControlReported)] == [("MAIN", False)]


def test_snapshot_round_trips() -> None:
    unit = intake()
    unit.take(loads(1))
    unit.take(frame(1, "scada", switch__A1__from=1.0))
    (snapshot,) = tick(unit, 2).snapshots
    assert encode_snapshot(decode_snapshot(encode_snapshot(snapshot))) == encode_snapshot(snapshot)


def test_what_stood_so_when_we_came_is_told_as_such_and_what_changes_then_as_a_change() -> None:
    """Lines that are out of service since last week did not fall when the service was first started."""
    unit = intake()
    (first,) = unit.take(frame(1, "scada", switch__A1__from=1.0)).facts
    (site,) = unit.take(frame(1, "scada", site__MAIN=1.0)).facts
    assert isinstance(first, SwitchReported)
    assert isinstance(site, ControlReported)
    assert first.initial
    assert site.initial
    unit.take(frame(2, "scada", switch__A1__from=2.0))
    for at, again in ((3, unit), (3, restarted(unit))):
        told = again.take(frame(at, "scada", switch__A1__from=1.0, site__MAIN=0.0)).facts
        assert [fact.initial for fact in told if isinstance(fact, SwitchReported | ControlReported)] == [False, False]


def test_a_switch_first_heard_of_when_it_was_already_stale_has_no_history_either() -> None:
    unit = intake()
    tick(unit, 0)
    assert [f.quality for f in tick(unit, 60).facts if isinstance(f, SwitchReported)] == [PointQuality.STALE]
    (told,) = unit.take(frame(61, "scada", switch__A1__from=1.0)).facts
    assert isinstance(told, SwitchReported)
    assert told.initial
    closed = intake()
    closed.take(frame(1, "scada", switch__A1__from=2.0))
    (opened,) = closed.take(frame(2, "scada", switch__A1__from=1.0)).facts
    assert isinstance(opened, SwitchReported)
    assert not opened.initial, "it was seen closed"


def restarted(unit: AreaIntake) -> AreaIntake:
    again = intake()
    again.restore(unit.encode())
    return again


def test_a_restart_changes_nothing_that_comes_after_it() -> None:
    """Edges are not told again, a bad sample keeps its status, counters go on."""
    unit = intake()
    unit.take(loads(1))
    unit.take(frame(1, "meter", branch__A1__from_mw=0.1))
    unit.take(frame(1, "scada", switch__A1__from=1.0, site__MAIN=1.0))
    unit.take(frame(2, "meter", load__101__mw=(0.0, BAD_NO_COMMUNICATION)))
    tick(unit, 2)
    again = restarted(unit)
    for event in (loads(3, a=11.0), frame(3, "scada", switch__A1__from=1.0), frame(4, "meter", branch__A1__from_mw=0.1)):
        assert again.take(event).facts == unit.take(event).facts == []
    ours, theirs = tick(unit, 5), tick(again, 5)
    assert theirs.facts == ours.facts
    assert theirs.findings == ours.findings
    assert [encode_snapshot(part) for part in theirs.snapshots] == [encode_snapshot(part) for part in ours.snapshots]
    assert again.encode() == unit.encode()


def test_what_was_taken_in_before_is_passed_over_also_after_a_restart() -> None:
    unit = intake()
    assert unit.take_in(loads(1), 7) is not None
    ticked = unit.take_in(heartbeat(CLOCK_SOURCE, "1", 5, T0 + 2 * NS_PER_S), 8)
    assert ticked is not None
    assert len(ticked.snapshots) == 1
    again = restarted(unit)
    assert [again.take_in(loads(second), offset) for second, offset in ((1, 7), (2, 8))] == [None, None]
    assert again.take_in(loads(3), 9) is not None
    assert again.last.counters["taken"] == 4


def test_the_first_tick_of_a_run_calls_no_device_stale_for_our_own_absence() -> None:
    unit = intake()
    unit.take(loads(1))
    tick(unit, 2)
    again = restarted(unit)
    assert again.tick(T0 + 3600 * NS_PER_S, first=True).findings == []
    assert [f.device for f in tick(again, 3610).findings] == ["meter", "scada"]


def test_a_device_that_was_silent_before_a_restart_has_not_answered_by_it() -> None:
    unit = intake()
    unit.take(loads(1))
    unit.take(frame(1, "scada", site__MAIN=1.0))
    assert {type(f) for f in tick(unit, 60).findings} == {SourceStale}
    again = restarted(unit)
    first = again.tick(T0 + 100 * NS_PER_S, first=True)
    assert first.findings == []
    assert {source.state for part in first.snapshots for source in part.sources} == {"stale"}
    again.take(loads(101))
    assert [(type(f), f.device) for f in tick(again, 101.5).findings] == [(SourceFresh, "meter")]


def test_state_of_another_point_list_is_read_as_far_as_it_fits() -> None:
    unit = intake()
    unit.take(loads(1))
    tick(unit, 2)
    other = AreaIntake("1", PointTable([*SPECS[1:], PointSpec(name="bus/1/kv", area="1", device="new", period_ns=NS_PER_S)]), {}, 1.0)
    other.restore(unit.encode())
    assert value_of(tick(other, 3), "load/102/mw")[0] == 20.0
    with pytest.raises(FrameError, match="not the state"):
        other.restore(b"\xc1")
    with pytest.raises(FrameError):
        other.restore(unit.encode()[:-1])


def test_clock_source_is_a_name_no_device_can_have() -> None:
    assert not CLOCK_SOURCE[0].isalnum()


def test_a_large_area_is_written_out_in_parts_that_any_transport_carries() -> None:
    count = 2 * SAMPLES_MAX + 10
    table = PointTable(PointSpec(name=f"x/{n}", area="1", device=f"device-{n // 4}", period_ns=NS_PER_S) for n in range(count))
    unit = AreaIntake("1", table, {}, 1.0)
    for start in range(0, count, SAMPLES_MAX):
        unit.take(frame_of("device-0", "1", 1, T0, [(int(i), T0, float(i % 7), GOOD, 0) for i in table.ids[start : start + SAMPLES_MAX]]))
    parts = unit.tick(T0).snapshots
    encoded = [encode_snapshot(part) for part in parts]
    assert [(part.part, part.parts) for part in parts] == [(0, 3), (1, 3), (2, 3)]
    assert max(len(raw) for raw in encoded) < RECORD_BYTES_MAX
    again = [decode_snapshot(raw) for raw in encoded]
    assert [point for part in again for point in part.values.point.tolist()] == table.ids.tolist()
    assert [source.source for part in again for source in part.sources] == list(table.devices)
    assert len({identity_of(part) for part in again}) == 3
    restored = AreaIntake("1", table, {}, 1.0)
    restored.restore(unit.encode())
    later = T0 + NS_PER_S
    assert [encode_snapshot(part) for part in restored.tick(later).snapshots] == [
        encode_snapshot(part) for part in unit.tick(later).snapshots
    ]


def test_a_release_that_knows_no_parts_does_not_take_one_for_the_whole() -> None:
    (whole,) = tick(intake(), 1).snapshots
    first = replace(whole, part=0, parts=2)
    assert msgspec.msgpack.decode(encode_snapshot(whole))["v"] == 1
    assert "part" not in msgspec.msgpack.decode(encode_snapshot(whole))
    assert msgspec.msgpack.decode(encode_snapshot(first))["v"] == 2
    with pytest.raises(FrameError, match="part 2 of 2"):
        decode_snapshot(encode_snapshot(replace(whole, part=2, parts=2)))
