"""Devices whose clocks are set ahead or back: what is found, what their values are dated by, and what is no such thing."""

from __future__ import annotations

import numpy as np
import pytest

from ingest.frame import TelemetryFrame, decode_frame, encode_frame, frame_of, point_id
from ingest.points import PointSpec, PointTable
from ingest.quality import BAD_NO_COMMUNICATION, GOOD, Flag
from ingest.sourcetime import clock_off_ns, settle_source_times
from market.facts import SwitchReported, SwitchStatus
from market.units import NS_PER_S
from streams.findings import ClockDirection, SourceClockJumped, SourceClockSteady, SourceStale
from streams.intake import AreaIntake, Taken

T0 = 1_577_840_400 * NS_PER_S
HOUR_S = 3600
TABLE = PointTable(
    [
        PointSpec(name="load/101/mw", area="1", device="rtu", period_ns=4 * NS_PER_S),
        PointSpec(name="load/102/mw", area="1", device="rtu", period_ns=4 * NS_PER_S),
        PointSpec(name="bus/101/kv", area="1", device="scada", period_ns=2 * NS_PER_S, by_exception=True),
        PointSpec(name="switch/A1/from", area="1", device="scada", period_ns=2 * NS_PER_S, by_exception=True),
    ]
)
SUSPECT = int(Flag.TS_ESTIMATED | Flag.CLOCK_SUSPECT)


def intake() -> AreaIntake:
    return AreaIntake("1", TABLE, {}, dead_flow_pct=1.0)


def frame(device: str, received_s: float, samples: dict[str, tuple[float, float]], flags: int = 0, quality: int = GOOD) -> TelemetryFrame:
    """A frame received at ``received_s`` after T0; samples by point: (source time, s after T0; value)."""
    rows = [(point_id(name), T0 + round(at * NS_PER_S), value, quality, flags) for name, (at, value) in samples.items()]
    return frame_of(device, "1", 1, T0 + round(received_s * NS_PER_S), rows)


def loads(received_s: float, off_s: float = 0.0, mw: float = 10.0) -> TelemetryFrame:
    at = received_s + off_s
    return frame("rtu", received_s, {"load/101/mw": (at, mw), "load/102/mw": (at, 2 * mw)})


def at_edge(given: TelemetryFrame) -> TelemetryFrame:
    """The frame as the reader of the device publishes it."""
    times, flags = settle_source_times(given.ts_event_ns, given.ts_ingest_ns)
    off_ns = clock_off_ns(given.ts_event_ns, flags, given.ts_ingest_ns)
    settled = TelemetryFrame(
        source=given.source, area=given.area, seq=given.seq, ts_ingest_ns=given.ts_ingest_ns, point=given.point,
        ts_event_ns=times, value=given.value, quality=given.quality, flags=given.flags | flags, clock_off_ns=off_ns,
    )  # fmt: skip
    return decode_frame(encode_frame(settled))


def tick(unit: AreaIntake, second: float) -> Taken:
    return unit.tick(T0 + round(second * NS_PER_S))


def row(name: str) -> int:
    return TABLE.row(name)


def clock_findings(taken: list[Taken]) -> list[SourceClockJumped | SourceClockSteady]:
    return [f for each in taken for f in each.findings if isinstance(f, SourceClockJumped | SourceClockSteady)]


def test_a_clock_set_back_an_hour_is_found_once_and_its_values_are_used_again() -> None:
    unit = intake()
    for second in range(0, 40, 4):
        unit.take(loads(second, off_s=-0.1))
    assert clock_findings([tick(unit, 38)]) == []
    after = [unit.take(loads(second, off_s=-HOUR_S, mw=float(second))) for second in range(40, 140, 4)]
    (found,) = clock_findings(after)
    assert found == SourceClockJumped(
        ts_event_ns=T0 + 48 * NS_PER_S,
        device="rtu",
        area="1",
        since_ns=T0 + 40 * NS_PER_S,
        jump_s=HOUR_S,
        direction=ClockDirection.BEHIND,
    )
    assert unit.last.value[row("load/101/mw")] == 136.0
    assert unit.last.ts_value_ns[row("load/101/mw")] == T0 + 136 * NS_PER_S
    assert int(unit.last.flags[row("load/101/mw")]) == SUSPECT
    assert [f for f in tick(unit, 137).findings if isinstance(f, SourceStale) and f.device == "rtu"] == [], "it never fell silent"
    assert unit.last.counters["late"] == 4, "two frames came before it was certain"


def test_a_clock_that_is_right_again_is_told_once_and_its_times_are_used() -> None:
    unit = intake()
    taken = [unit.take(loads(second, off_s=0.0 if second < 40 else -HOUR_S)) for second in range(0, 100, 4)]
    taken += [unit.take(loads(second, off_s=-0.5)) for second in range(100, 160, 4)]
    jumped, steady = clock_findings(taken)
    assert isinstance(jumped, SourceClockJumped)
    assert steady == SourceClockSteady(ts_event_ns=T0 + 108 * NS_PER_S, device="rtu", area="1", since_ns=jumped.since_ns)
    assert unit.last.ts_value_ns[row("load/101/mw")] == T0 + round(155.5 * NS_PER_S)
    assert int(unit.last.flags[row("load/101/mw")]) == 0
    again = [unit.take(loads(second, off_s=-HOUR_S)) for second in range(160, 200, 4)]
    assert len(clock_findings(again)) == 1, "another jump is another episode"


@pytest.mark.parametrize("off_s", [HOUR_S, -30 * 365 * 24 * HOUR_S], ids=["ahead", "before there were such devices"])
def test_times_beyond_belief_are_ours_from_the_first_sample_and_found_when_they_stay(off_s: float) -> None:
    unit = intake()
    taken = [unit.take(at_edge(loads(second, off_s=0.0 if second < 20 else off_s, mw=float(second)))) for second in range(0, 60, 4)]
    (found,) = clock_findings(taken)
    assert isinstance(found, SourceClockJumped)
    assert (found.jump_s, found.direction) == (abs(off_s), ClockDirection.AHEAD if off_s > 0 else ClockDirection.BEHIND)
    assert (found.since_ns, found.ts_event_ns) == (T0 + 20 * NS_PER_S, T0 + 28 * NS_PER_S)
    assert unit.last.value[row("load/101/mw")] == 56.0
    assert (unit.last.counters["late"], unit.last.counters["duplicate"]) == (0, 0)


def test_a_future_date_hides_nothing_that_follows() -> None:
    """Whoever wrote the frame: here it did not pass the edge, and it lies less or more than the edge's bound ahead."""
    for off_s in (0.5, 4.9, HOUR_S):
        unit = intake()
        unit.take(loads(0))
        unit.take(loads(4, off_s=off_s, mw=11.0))
        assert unit.last.ts_value_ns[row("load/101/mw")] == T0 + 4 * NS_PER_S
        unit.take(loads(8, off_s=-0.1, mw=12.0))
        assert unit.last.value[row("load/101/mw")] == 12.0
        assert unit.last.counters == {"taken": 6, "duplicate": 0, "reordered": 0, "late": 0, "unknown": 0}


def test_one_odd_frame_is_no_jump() -> None:
    for off_s in (HOUR_S, -HOUR_S):
        unit = intake()
        taken = [unit.take(at_edge(loads(second, off_s=off_s if second % 12 == 8 else 0.0))) for second in range(0, 200, 4)]
        assert clock_findings(taken) == []


def test_two_odd_frames_in_a_row_are_no_jump_however_far_apart() -> None:
    for off_s in (HOUR_S, -HOUR_S):
        unit = intake()
        odd = {20: off_s, 40: off_s}
        taken = [unit.take(at_edge(loads(second, off_s=odd.get(second, 0.0)))) for second in (0, 4, 20, 40, 60, 64)]
        assert clock_findings(taken) == []


def test_what_repeats_an_old_value_beside_the_new_ones_does_not_hide_a_jump() -> None:
    unit = intake()
    unit.take(frame("scada", 0, {"switch/A1/from": (-HOUR_S, 2.0), "bus/101/kv": (0, 230.0)}))
    repeated = (-HOUR_S, 2.0)
    taken = [unit.take(frame("scada", s, {"switch/A1/from": repeated, "bus/101/kv": (s - 2 * HOUR_S, 230.0 + s)})) for s in range(2, 20, 2)]
    (found,) = clock_findings(taken)
    assert isinstance(found, SourceClockJumped)
    assert found.jump_s == 2 * HOUR_S
    assert unit.last.value[row("bus/101/kv")] == 248.0
    assert unit.last.ts_value_ns[row("switch/A1/from")] == T0 - HOUR_S * NS_PER_S


def test_what_we_say_of_an_unanswered_poll_moves_no_watermark() -> None:
    unit = intake()
    unit.take(loads(0))
    unit.take(loads(8))
    unit.take(frame("rtu", 60, {"load/101/mw": (60, np.nan), "load/102/mw": (60, np.nan)}, quality=BAD_NO_COMMUNICATION, flags=1))
    unit.take(loads(61, off_s=-57))
    assert (unit.last.counters["reordered"], unit.last.counters["late"]) == (2, 0)


def test_a_store_that_is_read_out_after_an_outage_is_no_jump() -> None:
    """Live values first, then what was stored meanwhile, as fast as the line takes it or slower than it was measured."""
    for step_s in (0.01, 0.5, 2.0):
        unit = intake()
        unit.take(loads(0))
        unit.take(loads(2000))
        stored = [loads(2000 + k * step_s, off_s=-1990 + k * (4 - step_s)) for k in range(100)]
        assert clock_findings([unit.take(each) for each in stored]) == []
        assert unit.last.ts_value_ns[row("load/101/mw")] == T0 + 2000 * NS_PER_S
        assert unit.last.counters["late"] == 200


def test_what_says_it_comes_from_a_store_never_passes_for_live() -> None:
    unit = intake()
    unit.take(loads(0))
    replayed = int(Flag.REPLAYED)
    taken = [unit.take(frame("rtu", s, {"load/101/mw": (s - HOUR_S, 99.0)}, flags=replayed)) for s in range(4, 100, 4)]
    assert clock_findings(taken) == []
    assert unit.last.value[row("load/101/mw")] == 10.0


def test_changes_that_are_long_on_their_way_are_no_jump() -> None:
    """Every point is in order; one of them always reaches us half a minute late."""
    unit = intake()
    unit.take(frame("scada", 0, {"bus/101/kv": (0, 230.0)}))
    taken = [unit.take(frame("scada", s, {"switch/A1/from": (s - 30, 1.0 + s % 2)})) for s in range(1, 60)]
    assert clock_findings(taken) == []
    assert sum(len(each.facts) for each in taken) == 58, "every one but the first, which was closed"
    assert unit.last.counters["late"] == 0


def test_what_a_server_repeats_after_a_reconnection_is_no_jump() -> None:
    unit = intake()
    unit.take(frame("scada", 0, {"switch/A1/from": (-HOUR_S, 2.0), "bus/101/kv": (0, 230.0)}))
    taken = []
    for second in range(10, 100, 10):
        taken.append(unit.take(frame("scada", second, {"switch/A1/from": (second, np.nan)}, quality=BAD_NO_COMMUNICATION, flags=1)))
        taken.append(unit.take(frame("scada", second + 1, {"switch/A1/from": (-HOUR_S, 2.0)})))
    assert clock_findings(taken) == []


def test_a_switch_that_moved_before_the_jump_was_certain_is_told_when_it_is() -> None:
    """A server tells a movement once; it must not be lost between the clock's jump and our noticing."""
    unit = intake()
    for second in range(10):
        unit.take(frame("scada", second, {"bus/101/kv": (second, 230.0 + second)}))
    unit.take(frame("scada", 10, {"switch/A1/from": (10, 2.0)}))
    taken = [unit.take(frame("scada", 11, {"switch/A1/from": (11 - HOUR_S, 1.0), "bus/101/kv": (11 - HOUR_S, 231.0)}))]
    assert taken[0].facts == [], "it might be a store"
    taken += [unit.take(frame("scada", s, {"bus/101/kv": (s - HOUR_S, 231.0 + s)})) for s in range(12, 20)]
    (fact,) = [fact for each in taken for fact in each.facts if isinstance(fact, SwitchReported)]
    assert (fact.status, fact.ts_source_ns, fact.history) == (SwitchStatus.OPEN, T0 + 11 * NS_PER_S, False)
    (found,) = clock_findings(taken)
    assert fact.ts_event_ns == found.ts_event_ns


def test_samples_of_one_frame_keep_their_distance_when_they_are_dated_by_receipt() -> None:
    unit = intake()
    for second in range(0, 60, 4):
        unit.take(loads(second, off_s=0.0 if second < 20 else -HOUR_S))
    unit.take(frame("rtu", 60, {"load/101/mw": (58 - HOUR_S, 1.0), "load/102/mw": (60 - HOUR_S, 2.0)}))
    assert unit.last.ts_value_ns[row("load/101/mw")] == T0 + 58 * NS_PER_S
    assert unit.last.ts_value_ns[row("load/102/mw")] == T0 + 60 * NS_PER_S


def test_a_clock_that_was_set_back_has_not_recovered_when_it_reaches_the_hour_of_its_jump() -> None:
    unit = intake()
    taken = [unit.take(loads(second, off_s=0.0 if second < 20 else -60.0)) for second in range(0, 400, 4)]
    assert len(clock_findings(taken)) == 1


def test_a_device_without_a_clock_of_its_own_has_none_that_jumps() -> None:
    unit = intake()
    estimated = int(Flag.TS_ESTIMATED)
    for second in (0, 4, 8, 4, 5, 6, 7, 8, 9):
        assert unit.take(frame("rtu", second, {"load/101/mw": (second, 1.0)}, flags=estimated)).findings == []


def test_our_own_clock_going_back_is_no_jump_of_the_devices() -> None:
    unit = intake()
    taken = [unit.take(loads(second)) for second in range(HOUR_S, HOUR_S + 40, 4)]
    taken += [unit.take(loads(second)) for second in range(0, 100, 4)]
    assert clock_findings(taken) == []


def test_who_speaks_for_no_device_of_the_list_moves_no_watermark() -> None:
    unit = intake()
    unit.take(loads(0))
    stranger = frame("stranger", 4, {"load/101/mw": (4, 1.0)})
    assert unit.take(stranger).findings == []
    assert unit.last.value[row("load/101/mw")] == 1.0
    unit.take(loads(3))
    assert unit.last.counters["reordered"] == 1
