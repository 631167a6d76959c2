"""What was overtaken on its way: reordered or late, told as history or to nobody, and never what is so now."""

from __future__ import annotations

import base64

import msgspec
import numpy as np
import pytest
from msgspec.structs import replace

from ingest.account import Accounts, DeviceAccount
from ingest.errors import FrameError
from ingest.frame import ACCOUNTS_PART, TelemetryFrame, Ticket, account_frame, frame_of, heartbeat, point_id
from ingest.points import PointSpec, PointTable
from ingest.quality import BAD_DEVICE_FAILURE, GOOD, UNCERTAIN, Flag
from market.facts import ControlReported, Fact, FlowReported, SwitchReported
from market.units import NS_PER_S
from streams.identity import identity_of
from streams.intake import CLOCK_SOURCE, AreaIntake, state_offset

T0 = 1_577_840_400 * NS_PER_S
SPECS = [
    PointSpec(name="load/101/mw", area="1", device="meter", period_ns=NS_PER_S),
    PointSpec(name="load/102/mw", area="1", device="meter", period_ns=NS_PER_S),
    PointSpec(name="branch/A1/from_mw", area="1", device="meter", period_ns=NS_PER_S),
    PointSpec(name="switch/A1/from", area="1", device="scada", period_ns=NS_PER_S, by_exception=True),
    PointSpec(name="site/MAIN", area="1", device="scada", period_ns=NS_PER_S, by_exception=True),
]
OPEN, CLOSED, BETWEEN = 1.0, 2.0, 0.0
Said = tuple[float, float] | tuple[float, float, int]
"""Seconds after T0, value, and the quality where it is not good."""


def intake() -> AreaIntake:
    return AreaIntake("1", PointTable(SPECS), {"A1": 100.0}, dead_flow_pct=1.0)


def frame(received_s: float, point: str, *said: Said) -> TelemetryFrame:
    device = next(spec.device for spec in SPECS if spec.name == point)
    rows = [(point_id(point), T0 + round(s[0] * NS_PER_S), s[1], s[2] if len(s) == 3 else GOOD, 0) for s in said]
    return frame_of(device, "1", 1, T0 + round(received_s * NS_PER_S), rows)


def told(point: str, *frames: list[Said]) -> list[tuple[float, str, bool]]:
    """(source time, what, whether as history) of every fact that frames of one point give rise to, received from 100 s on."""
    unit = intake()
    facts = [fact for k, said in enumerate(frames) for fact in unit.take(frame(100 + k, point, *said)).facts]
    return [_plain(fact) for fact in facts]


def _plain(fact: Fact) -> tuple[float, str, bool]:
    match fact:
        case SwitchReported():
            return (fact.ts_source_ns - T0) / NS_PER_S, str(fact.status), fact.history
        case FlowReported():
            return (fact.ts_source_ns - T0) / NS_PER_S, f"{fact.from_pct:g}", fact.history
        case ControlReported():
            return (fact.ts_source_ns - T0) / NS_PER_S, str(fact.asserted), False
        case _:
            raise AssertionError(fact)


SWITCH, FLOW, SITE = "switch/A1/from", "branch/A1/from_mw", "site/MAIN"


def test_a_trip_that_its_reclosing_overtook_is_told_with_it() -> None:
    assert told(SWITCH, [(90, CLOSED)], [(99, CLOSED)], [(97, OPEN)]) == [(97, "OPEN", True), (99, "CLOSED", True)]


def test_an_opening_that_was_known_later_than_it_happened_is_told_as_history() -> None:
    assert told(SWITCH, [(90, CLOSED)], [(99, OPEN)], [(97, OPEN)]) == [(99, "OPEN", False), (97, "OPEN", True)]


def test_what_is_so_now_is_told_at_once_whatever_comes_after_it() -> None:
    facts = told(SWITCH, [(90, CLOSED)], [(99, OPEN)], [(98, CLOSED)], [(97, OPEN)])
    assert facts == [(99, "OPEN", False), (97, "OPEN", True), (98, "CLOSED", True)]


def test_several_instants_of_one_frame_are_told_in_their_order() -> None:
    assert told(SWITCH, [(90, CLOSED)], [(99, CLOSED), (97, OPEN)]) == [(97, "OPEN", False), (99, "CLOSED", False)]


def test_two_facts_of_one_frame_have_two_identities() -> None:
    unit = intake()
    unit.take(frame(100, SWITCH, (90, CLOSED)))
    facts = unit.take(frame(101, SWITCH, (97, OPEN), (99, CLOSED))).facts
    assert len({identity_of(fact) for fact in facts}) == 2


def test_of_two_values_of_one_instant_in_one_frame_the_last_one_counts() -> None:
    unit = intake()
    unit.take(frame(100, SWITCH, (90, CLOSED)))
    (fact,) = unit.take(frame(101, SWITCH, (99, CLOSED), (99, OPEN))).facts
    assert _plain(fact) == (99, "OPEN", False)
    assert unit.last.counters["duplicate"] == 1


def test_what_is_late_is_told_to_nobody() -> None:
    assert told(SWITCH, [(90, CLOSED)], [(99, CLOSED)], [(93.9, OPEN)]) == []
    assert told(FLOW, [(90, 40.0)], [(99, 40.0)], [(93.9, 0.1)]) == []
    assert told(SITE, [(90, 1.0)], [(99, 1.0)], [(93.9, 0.0)]) == [(90, "True", False)]


def test_the_bound_is_part_of_what_is_reordered() -> None:
    assert told(SWITCH, [(90, CLOSED)], [(99, CLOSED)], [(94, OPEN)]) == [(94, "OPEN", True), (99, "CLOSED", True)]


def test_a_device_has_one_watermark_for_all_its_points() -> None:
    unit = intake()
    unit.take(frame(80, SWITCH, (80, CLOSED)))
    unit.take(frame(81, SWITCH, (81, CLOSED)))
    unit.take(frame(100, SITE, (100, 1.0)))
    assert unit.take(frame(101, SWITCH, (80.5, OPEN))).facts == []
    assert unit.last.counters["late"] == 1
    (moved,) = unit.take(frame(102, SWITCH, (82, OPEN))).facts
    assert _plain(moved) == (82, "OPEN", False), "old as it is, it is what its point said last"


def test_history_that_was_not_good_says_nothing() -> None:
    for quality in (UNCERTAIN, BAD_DEVICE_FAILURE):
        assert told(SWITCH, [(90, CLOSED)], [(99, CLOSED)], [(97, OPEN, quality)]) == []
    assert told(SWITCH, [(90, CLOSED)], [(99, CLOSED)], [(97, BETWEEN)]) == []


def test_of_a_switch_that_is_not_seen_no_history_is_told() -> None:
    facts = told(SWITCH, [(90, CLOSED)], [(98, CLOSED)], [(99, CLOSED, UNCERTAIN)], [(97, OPEN)])
    assert facts == [(99, "CLOSED", False)]


def test_of_a_switch_that_is_told_as_stale_no_history_is_told_before_it_is_seen_again() -> None:
    unit = intake()
    unit.take(frame(90, SWITCH, (90, CLOSED)))
    unit.take(frame(99, SWITCH, (99, CLOSED)))
    assert len(unit.tick(T0 + 110 * NS_PER_S).facts) == 1
    assert unit.take(frame(111, SWITCH, (97, OPEN))).facts == []


def test_what_came_before_anything_was_known_is_no_change() -> None:
    assert told(SWITCH, [(99, CLOSED)], [(97, OPEN)]) == []


def test_a_repeat_brings_nothing_twice() -> None:
    facts = told(SWITCH, [(90, CLOSED)], [(99, CLOSED)], [(97, OPEN)], [(97, OPEN)], [(99, CLOSED)], [(98, OPEN)])
    assert facts == [(97, "OPEN", True), (99, "CLOSED", True)]


def test_a_position_that_was_uncertain_meanwhile_hides_no_movement() -> None:
    """A movement is one against the newest good report, not against what was told of a switch that nobody could see well."""
    unit = intake()
    for received_s, said in ((100, (1, CLOSED)), (101, (20, OPEN, UNCERTAIN))):
        unit.take(frame(received_s, SWITCH, said))
    unit.tick(T0 + 102 * NS_PER_S)
    facts = [_plain(fact) for said in ((30, OPEN), (28, OPEN)) for fact in unit.take(frame(103, SWITCH, said)).facts]
    assert facts == [(30, "OPEN", False), (28, "OPEN", True)]


def test_a_flow_that_was_dead_in_between_was_so_in_the_past() -> None:
    assert told(FLOW, [(90, 40.0)], [(99, 40.0)], [(97, 0.1)]) == [(97, "0.1", True), (99, "40", True)]


def test_a_flow_that_wavers_now_is_dead_if_it_was_dead_before() -> None:
    """1.5 % is alive after 40 %, and dead after 0.1 %: what was overtaken changes what is so now, and that is no history."""
    assert told(FLOW, [(90, 40.0)], [(99, 1.5)], [(97, 0.1)]) == [(97, "0.1", False)]
    assert told(FLOW, [(90, 40.0)], [(99, 1.5)], [(97, 0.1)], [(98, 3.0)]) == [(97, "0.1", False), (98, "3", False)]


def test_control_that_was_given_up_and_taken_back_is_told_in_that_order() -> None:
    facts = told(SITE, [(90, 1.0)], [(99, 1.0)], [(97, 0.0)])
    assert facts == [(90, "True", False), (97, "False", False), (99, "True", False)]


def test_a_claim_is_never_told_after_a_later_one() -> None:
    facts = told(SITE, [(90, 0.0)], [(99, 1.0)], [(97, 1.0)], [(98, 0.0)])
    assert facts == [(90, "False", False), (99, "True", False)]


def test_a_claim_is_told_when_it_changes() -> None:
    assert told(SITE, [(90, 1.0)], [(91, 1.0)], [(92, 0.0)], [(93, 0.0)]) == [(90, "True", False), (92, "False", False)]


def test_the_list_may_say_how_far_samples_overtake_each_other() -> None:
    def bound_s(period_s: int, reorder_s: int | None = None) -> float:
        reorder_ns = None if reorder_s is None else reorder_s * NS_PER_S
        spec = PointSpec(name="x", area="1", device="d", period_ns=period_s * NS_PER_S, reorder_ns=reorder_ns)
        return float(PointTable([spec]).reorder_ns[0]) / NS_PER_S

    assert [bound_s(1), bound_s(10), bound_s(10, 2), bound_s(1, 60)] == [5, 30, 2, 60]


def test_history_is_remembered_over_a_restart_and_forgotten_behind_the_watermark() -> None:
    unit = intake()
    unit.take(frame(100, SWITCH, (90, CLOSED)))
    unit.take(frame(101, SWITCH, (99, CLOSED)))
    again = intake()
    again.restore(unit.encode())
    assert again.take(frame(102, SWITCH, (97, OPEN))).facts == unit.take(frame(102, SWITCH, (97, OPEN))).facts != []
    sizes = []
    for second in range(110, 200):
        unit.take(frame(second, SWITCH, (second, CLOSED)))
        unit.tick(T0 + second * NS_PER_S)
        sizes.append(len(unit.encode()))
    assert len(set(sizes[10:])) == 1


VERSION_1 = base64.b64decode(
    "i6F2AaZvZmZzZXQHpGxhc3TFAQiEoXYBpXBvaW50xCiMSEpTr3zFHFMSQE0a8mUy4GB3qgDHK2nW38bak2RjygvOTWeqhgrfp2NvbHVtbnOVxCgAAAAAAAAk"
    "QAAAAAAAAPA/AAAAAAAANECamZmZmZm5PwAAAAAAAPA/xCgAat0lfJ3lFQBq3SV8neUVAGrdJXyd5RUAat0lfJ3lFQBq3SV8neUVxCgANHhhfJ3lFQBq3SV8"
    "neUVAGrdJXyd5RUAat0lfJ3lFQBq3SV8neUVxBQAADGAAAAAAAAAAAAAAAAAAAAAAMQKAAAAAAAAAAAAAKhjb3VudGVyc4SldGFrZW4GqWR1cGxpY2F0ZQCk"
    "bGF0ZQCndW5rbm93bgCjc2VxAahiZWdhbl9uc88V5Z18Jd1qAKl0aWNrZWRfbnPPFeWdguZmTACoYWxpdmVfbnOCpW1ldGVyzxXlnXwl3WoApXNjYWRhzxXl"
    "nXwl3WoArnN0YWxlX3NpbmNlX25zgqVtZXRlcs8V5Z18Jd1qAKVzY2FkYc8V5Z18Jd1qAKtzd2l0Y2hfdG9sZIHP3wqGqmdNzguSpE9QRU6lU1RBTEWpZmxv"
    "d19kZWFkkc/KY2ST2sbf1qVrbm93bpLPMmXyGk1AElPP3wqGqmdNzgs="
)


def test_a_state_of_version_1_is_read_as_if_its_values_had_been_taken_in_by_this_release() -> None:
    """Written by the release before: two loads, a dead flow, an open switch, a claim, a meter that could not be read, a tick at 30 s."""
    unit = intake()
    unit.restore(VERSION_1)
    assert state_offset(VERSION_1) == unit.offset == 7
    assert unit.last.counters == {"taken": 6, "duplicate": 0, "reordered": 0, "late": 0, "unknown": 0}
    assert unit.take(frame(31, SWITCH, (1, OPEN))).facts == []
    assert unit.take(frame(31, SITE, (31, 1.0))).facts == [], "the claim was told"
    assert unit.take(frame(31, FLOW, (31, 0.1))).facts == [], "the flow is known to be dead"
    (closed,) = unit.take(frame(32, SWITCH, (32, CLOSED))).facts
    assert isinstance(closed, SwitchReported)
    assert not closed.initial
    assert unit.take(frame(33, SWITCH, (20, OPEN))).facts == []
    assert unit.last.counters["late"] == 1
    jumping = intake()
    jumping.restore(VERSION_1)
    jump = [f for s in range(40, 60, 2) for f in jumping.take(frame(s, "load/102/mw", (s - 3600, 1.0))).findings]
    assert len(jump) == 1, "what its clock told is known from its values"
    again = intake()
    again.restore(unit.encode())
    assert again.encode() == unit.encode()
    assert state_offset(again.encode()) == 7


def test_a_state_whose_columns_do_not_fit_is_refused() -> None:
    unit = intake()
    unit.take(frame(31, SWITCH, (31, OPEN)))
    wire = msgspec.msgpack.decode(unit.encode())
    wire["past"][1] += b"\x00" * 8
    with pytest.raises(FrameError, match="different lengths"):
        intake().restore(msgspec.msgpack.encode(wire))


def replayed(received_s: float, nth: int, *said: Said) -> TelemetryFrame:
    """A frame from the spool of the ingest side: how a load was."""
    it = frame(received_s, "load/101/mw", *said)
    return replace(it, flags=it.flags | np.uint16(Flag.REPLAYED | Flag.CLOCK_SUSPECT), ticket=Ticket(1, nth, 1))


def test_a_backlog_is_history_taken_once_and_no_clock_that_jumped() -> None:
    unit = intake()
    unit.take_in(replace(frame(10, "load/101/mw", (10, 1.0)), ticket=Ticket(1, 0)), 0)
    unit.take_in(replace(frame(900, "load/101/mw", (900, 900.0)), ticket=Ticket(1, 90)), 1)
    unit.take_in(heartbeat(CLOCK_SOURCE, "1", 1, T0 + 901 * NS_PER_S), 2)
    found = []
    for offset, second in enumerate([*range(11, 99), *range(60, 99)]):  # the reader was killed on the way and sends some of it again
        taken = unit.take_in(replayed(second, second - 10, (second, float(second))), 3 + offset)
        assert taken is not None
        found += [*taken.facts, *taken.findings]
    assert found == []
    assert unit.last.value[unit.table.row("load/101/mw")] == 900.0
    assert unit.last.counters | {"reordered": 0} == {"taken": 2, "late": 88, "duplicate": 39, "reordered": 0, "unknown": 0}
    assert unit.take_in(heartbeat(CLOCK_SOURCE, "1", 2, T0 + 902 * NS_PER_S), 500) is not None
    assert unit._alive_ns.max() == T0 + 900 * NS_PER_S, "what was received long ago is no sign of life now"


def test_late_samples_from_a_spool_wait_for_their_account_however_long_ago_they_were_received() -> None:
    unit = intake()
    hours = 5 * 3_600
    unit.take_in(replace(frame(hours, "load/101/mw", (hours, 1.0)), ticket=Ticket(1, 90)), 0)
    unit.take_in(heartbeat(CLOCK_SOURCE, "1", 1, T0 + (hours + 1) * NS_PER_S), 1)
    for nth in range(10):
        unit.take_in(replayed(60 + nth, nth, (60 + nth, 1.0)), 2 + nth)
    unit.take_in(heartbeat(CLOCK_SOURCE, "1", 2, T0 + (hours + 11) * NS_PER_S), 20)
    again = intake()
    again.restore(unit.encode())
    device = DeviceAccount(device="meter", expected=12, good=10, uncertain=0, bad=0, lost={"spool_full": 2})
    accounts = Accounts(from_ns=T0 + 60 * NS_PER_S, to_ns=T0 + 120 * NS_PER_S, devices=(device,))
    sent = replace(account_frame("1", T0 + 122 * NS_PER_S, accounts), ticket=Ticket(1, 11, ACCOUNTS_PART))
    taken = again.take_in(sent, 21)
    assert taken is not None
    assert taken.accounts[0].outcomes() == {"expected": 12, "good": 0, "uncertain": 0, "bad": 0, "late": 10, "lost": 2}
    repeated = again.take_in(sent, 22)
    assert repeated is not None
    assert repeated.accounts == ()
