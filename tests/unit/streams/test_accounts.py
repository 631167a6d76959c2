"""The two halves of an account meet at intake: what was sent, and what of it came too late."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ingest.account import INTERVAL_NS, Accounts, DeviceAccount, LostReason
from ingest.frame import TelemetryFrame, account_frame, decode_frame, encode_frame, frame_of, heartbeat, point_id
from ingest.points import PointSpec, PointTable
from ingest.quality import BAD_DEVICE_FAILURE, GOOD, UNCERTAIN_SUB_NORMAL
from market.units import NS_PER_H, NS_PER_S
from streams import topics, wire
from streams.accounts import AreaAccounts, LateSamples
from streams.gridlines import encode_accounts
from streams.identity import identity_of, instant_of
from streams.intake import CLOCK_SOURCE, AreaIntake, Taken
from streams.measurements import ACCOUNT

T0 = 1_577_840_400 * NS_PER_S
SPECS = [PointSpec(name=f"bus/{bus}/kv", area="1", device="rtu", period_ns=NS_PER_S) for bus in (101, 102)]
SENT = DeviceAccount(device="rtu", expected=20, good=10, uncertain=2, bad=1, lost={"not_polled": 7})
SILENT = DeviceAccount(device="dead", expected=4, good=0, uncertain=0, bad=0, lost={"not_pushed": 4})


def intake() -> AreaIntake:
    return AreaIntake("1", PointTable(SPECS), {}, dead_flow_pct=1.0)


def frame(received_s: float, held_s: float, *quality: int) -> TelemetryFrame:
    """Samples of the two buses, received at one time and of another, in seconds after T0."""
    received_ns, held_ns = T0 + round(received_s * NS_PER_S), T0 + round(held_s * NS_PER_S)
    rows = [(point_id(spec.name), held_ns, 1.0, code, 0) for spec, code in zip(SPECS, quality, strict=False)]
    return frame_of("rtu", "1", 1, received_ns, rows)


def accounts(minute: int = 0, *devices: DeviceAccount) -> TelemetryFrame:
    from_ns = T0 + minute * INTERVAL_NS
    told = Accounts(from_ns=from_ns, to_ns=from_ns + INTERVAL_NS, devices=devices or (SENT, SILENT))
    return account_frame("1", from_ns + INTERVAL_NS + 2 * NS_PER_S, told)


def settled(taken: Taken | None) -> AreaAccounts:
    assert taken is not None
    [found] = taken.accounts
    for account in found.devices:
        assert account.expected == account.good + account.uncertain + account.bad + account.late + account.lost_in_all
    return found


def test_what_came_late_is_taken_out_of_what_was_sent() -> None:
    unit = intake()
    unit.take_in(frame(20, 20, GOOD, GOOD), 0)
    unit.take_in(frame(21, 1, GOOD, UNCERTAIN_SUB_NORMAL), 1)
    unit.take_in(frame(22, 2, GOOD), 2)
    found = settled(unit.take_in(accounts(), 3))
    assert found.devices == (replace(SENT, good=8, uncertain=1, late=3), SILENT)
    assert (found.from_ns, found.ts_event_ns, found.area) == (T0, T0 + INTERVAL_NS, "1")
    assert found.outcomes() == {"expected": 24, "good": 8, "uncertain": 1, "bad": 1, "late": 3, "lost": 11}
    assert settled(unit.take_in(accounts(), 4)).devices == (SENT, SILENT), "and once"


def test_late_samples_belong_to_the_minute_they_came_in() -> None:
    unit = intake()
    unit.take_in(frame(59, 59, GOOD, GOOD), 0)
    unit.take_in(frame(61, 30, GOOD), 1)
    assert settled(unit.take_in(accounts(0), 2)).devices[0] == SENT
    assert settled(unit.take_in(accounts(1), 3)).devices[0] == replace(SENT, good=9, late=1)


def test_an_account_is_the_same_after_a_restart_and_taken_in_once() -> None:
    unit = intake()
    unit.take_in(frame(20, 20, GOOD, GOOD), 0)
    unit.take_in(frame(21, 1, GOOD, GOOD), 1)
    again = intake()
    again.restore(unit.encode())
    expected = settled(unit.take_in(accounts(), 2))
    assert settled(again.take_in(accounts(), 2)) == expected
    assert again.take_in(accounts(), 2) is None


def test_an_account_is_no_sign_of_life_and_no_time() -> None:
    unit = intake()
    before = unit.encode()
    taken = unit.take_in(accounts(), 0)
    assert taken is not None
    assert (taken.facts, taken.findings, taken.snapshots) == ([], [], ())
    unit.offset = -1
    assert unit.encode() == before


def test_never_more_is_late_than_was_sent() -> None:
    late = LateSamples()
    late.add("rtu", T0, np.array([GOOD] * 30 + [BAD_DEVICE_FAILURE] * 30, dtype=np.uint32))
    [account] = late.settle("1", Accounts(from_ns=T0, to_ns=T0 + 1, devices=(SENT,))).devices
    assert account == replace(SENT, good=0, bad=0, late=11)
    assert account.expected == account.uncertain + account.late + account.lost_in_all


def test_late_samples_that_no_account_comes_for_are_forgotten() -> None:
    unit = intake()
    unit.take_in(frame(20, 20, GOOD, GOOD), 0)
    unit.take_in(frame(21, 1, GOOD, GOOD), 1)
    unit.take_in(heartbeat(CLOCK_SOURCE, "1", 2, T0 + NS_PER_H), 2)
    assert unit._late.state() != {}
    unit.take_in(heartbeat(CLOCK_SOURCE, "1", 3, T0 + NS_PER_H + 2 * INTERVAL_NS), 3)
    assert unit._late.state() == {}


def test_accounts_go_over_both_topics() -> None:
    sent = accounts()
    read = decode_frame(encode_frame(sent))
    assert (read.accounts, read.area, len(read)) == (sent.accounts, "1", 0)
    assert decode_frame(encode_frame(frame(1, 1, GOOD))).accounts is None
    record = settled(intake().take_in(sent, 0))
    assert wire.decode(topics.KPI, wire.encode(record)) == record
    end_ns = T0 + INTERVAL_NS
    assert (identity_of(record), instant_of(record)) == (f"AreaAccounts area 1 {T0} to {end_ns} from rtu", end_ns)


def test_the_account_of_a_minute_that_was_cut_short_is_another_than_that_of_the_minute_begun_anew() -> None:
    """A demo goes back to its last tick when it is started again: the same minute is read twice, from the same beginning."""
    whole = AreaAccounts(ts_event_ns=T0 + INTERVAL_NS, area="1", from_ns=T0, devices=(SENT,))
    cut_short = replace(whole, ts_event_ns=T0 + INTERVAL_NS // 3, devices=(replace(SENT, expected=6, good=3, uncertain=1),))
    assert identity_of(cut_short) != identity_of(whole)
    assert identity_of(whole) == identity_of(replace(whole, devices=(replace(SENT, good=8),))), "of one end, one is a contradiction"


def test_lines_of_an_account() -> None:
    odd = DeviceAccount(device="d", expected=3, good=1, uncertain=0, bad=0, lost={"of a later release": 2})
    record = AreaAccounts(ts_event_ns=T0 + INTERVAL_NS, area="1", from_ns=T0, devices=(replace(SENT, good=9, late=1), odd))
    assert encode_accounts(record).decode().splitlines() == [
        f"account,area=1,dev=rtu expected=20i,good=9i,uncertain=2i,bad=1i,late=1i,lost=7i,lost_not_polled=7i {T0}",
        f"account,area=1,dev=d expected=3i,good=1i,uncertain=0i,bad=0i,late=0i,lost=2i {T0}",
    ]


@pytest.mark.parametrize("reason", LostReason)
def test_every_reason_has_its_field(reason: LostReason) -> None:
    assert ACCOUNT.field(f"lost_{reason}").unit == ""
