"""Frames come back oldest first; what limits drop is of the least weight, counted, and corrected in the accounts; damage is passed over."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ingest.account import INTERVAL_NS, Accounts, DeviceAccount
from ingest.errors import SpoolError, SpoolLocked
from ingest.frame import ACCOUNTS_PART, TelemetryFrame, Ticket, account_frame, frame_of, point_id
from ingest.framespool import FrameSpool, FrameSpoolLimits
from ingest.priority import Priorities, Priority
from ingest.quality import BAD_NO_COMMUNICATION, Flag
from ingest.segments import HEADER_BYTES
from market.units import NS_PER_S

NAMES = ("switch/A/from", "bus/101/kv", "meter/7/spare")
START_NS = 1_000 * INTERVAL_NS


def frame(second: int, *names: str, quality: int = 0) -> TelemetryFrame:
    ts_ns = START_NS + second * NS_PER_S
    return frame_of("rtu", "1", second, ts_ns, [(point_id(name), ts_ns - 5, float(second), quality, 0) for name in names])


Open = Callable[..., FrameSpool]


@pytest.fixture
def spool_at(tmp_path: Path) -> Iterator[Open]:
    opened: list[FrameSpool] = []

    def opening(limits: FrameSpoolLimits | None = None, now_ns: Callable[[], int] = lambda: START_NS) -> FrameSpool:
        spool = FrameSpool(tmp_path, Priorities(NAMES), limits, now_ns)
        opened.append(spool)
        return spool

    yield opening
    for spool in opened:
        spool.close()


def backlog(spool: FrameSpool) -> list[TelemetryFrame]:
    found = []
    while (each := spool.next()) is not None:
        if each.frame is not None:
            found.append(each.frame)
    return found


def seconds(frames: list[TelemetryFrame], part: int) -> list[int]:
    return [each.seq for each in frames if each.ticket is not None and each.ticket.part == part]


def test_a_frame_comes_back_flagged_by_weight_with_its_times(spool_at: Open) -> None:
    spool = spool_at()
    spool.put(frame(3, *reversed(NAMES)), Ticket(9, 4))
    back = backlog(spool)
    assert [(each.ticket, each.point.tolist()) for each in back] == [(Ticket(9, 4, part), [point_id(NAMES[part])]) for part in range(3)]
    assert all(each.flags.tolist() == [int(Flag.REPLAYED)] for each in back)
    assert all((each.ts_ingest_ns, each.ts_event_ns.tolist()) == (START_NS + 3 * NS_PER_S, [START_NS + 3 * NS_PER_S - 5]) for each in back)


def test_the_backlog_is_read_oldest_first_whatever_the_weight(spool_at: Open) -> None:
    spool = spool_at()
    for second in range(9):
        spool.put(frame(second, NAMES[(2 * second) % 3]), Ticket(9, second))
    assert [each.seq for each in backlog(spool)] == list(range(9))


def test_accounts_come_behind_what_they_are_about(spool_at: Open) -> None:
    spool = spool_at()
    accounts = Accounts(from_ns=START_NS, to_ns=START_NS + NS_PER_S, devices=())
    spool.put(account_frame("1", START_NS + 5 * NS_PER_S, accounts), Ticket(9, 1))
    spool.put(frame(5, NAMES[2]), Ticket(9, 0))
    assert [each.accounts for each in backlog(spool)] == [None, accounts]


def test_what_was_not_noted_as_sent_is_given_out_again_also_after_a_restart(spool_at: Open) -> None:
    spool = spool_at()
    for second in range(4):
        spool.put(frame(second, NAMES[1]), Ticket(9, second))
    first, second = spool.next(), spool.next()
    assert first is not None
    assert second is not None
    spool.sent({first.priority: first.end})
    spool.again()
    assert [each.seq for each in backlog(spool)] == [1, 2, 3]
    spool.close()
    assert [each.seq for each in backlog(spool_at())] == [1, 2, 3]


def test_what_was_sent_leaves_the_disk(spool_at: Open) -> None:
    spool = spool_at(FrameSpoolLimits(bytes_max=100_000))
    for second in range(200):
        spool.put(frame(second, NAMES[1]), Ticket(9, second))
    ends = {}
    while (each := spool.next()) is not None:
        ends[each.priority] = each.end
    spool.sent(ends)
    assert spool.waiting_bytes() == 0
    spool.tidy()
    assert spool.disk_bytes() == 0


def test_a_full_spool_drops_the_oldest_of_the_least_weight_and_counts_it(spool_at: Open) -> None:
    limits = FrameSpoolLimits(bytes_max=56_000)
    spool = spool_at(limits)
    for second in range(120):
        spool.put(frame(second, *NAMES), Ticket(9, second))
    assert spool.disk_bytes() <= limits.bytes_max
    back = backlog(spool)
    kept = {part: seconds(back, part) for part in range(3)}
    assert kept[0] == kept[1] == list(range(120))
    assert 0 < len(kept[2]) < 120
    assert kept[2] == list(range(120 - len(kept[2]), 120))
    assert spool.status().dropped == {"other spool_full": 120 - len(kept[2])}
    for second in range(120, 900):
        spool.put(frame(second, NAMES[0]), Ticket(9, second))
    spool.again()
    back = backlog(spool)
    assert not seconds(back, 1) + seconds(back, 2), "everything else goes before a position of a switch does"
    assert seconds(back, 0)[-1] == 899
    assert spool.status().dropped["other spool_full"] == spool.status().dropped["measured spool_full"] == 120


def test_what_is_too_old_goes_whatever_its_weight(spool_at: Open) -> None:
    now = [START_NS]
    spool = spool_at(FrameSpoolLimits(age_max_s=240), lambda: now[0])
    for second in range(30):
        now[0] = START_NS + 11 * second * NS_PER_S
        spool.put(frame(second, NAMES[0]), Ticket(9, second))
    kept = [each.seq for each in backlog(spool)]
    assert kept == list(range(30 - len(kept), 30))
    assert 240 // 11 <= len(kept) <= 240 // 11 + 3
    assert spool.status().dropped == {"status spool_too_old": 30 - len(kept)}


def full_of_one_minute(spool: FrameSpool) -> int:
    """Overfill it within one minute, bad samples among good ones; returns how many were dropped."""
    for each in range(150):
        spool.put(frame(each % 50, *NAMES, quality=BAD_NO_COMMUNICATION if each % 4 == 0 else 0), Ticket(9, each))
    return sum(spool.status().dropped.values())


def account(made: int) -> Accounts:
    device = DeviceAccount(device="rtu", expected=made + 2, good=made - made // 4, uncertain=0, bad=made // 4, lost={"not_polled": 2})
    return Accounts(from_ns=START_NS, to_ns=START_NS + INTERVAL_NS, devices=(device,))


def test_the_account_of_what_was_dropped_says_so_and_balances(spool_at: Open) -> None:
    spool = spool_at(FrameSpoolLimits(bytes_max=40_000))
    dropped = full_of_one_minute(spool)
    (corrected,) = spool.dropped.corrected(account(450)).devices
    assert corrected.lost == {"not_polled": 2, "spool_full": dropped}
    assert corrected.bad < 112
    assert corrected.expected == corrected.good + corrected.uncertain + corrected.bad + corrected.late + corrected.lost_in_all
    spool.settle(account(450))
    assert spool.dropped.corrected(account(450)) == account(450), "once"


def test_what_was_dropped_is_known_after_a_restart_and_counted_once(spool_at: Open, tmp_path: Path) -> None:
    """Also where the process died between counting and removing: the segment is there again."""
    spool = spool_at(FrameSpoolLimits(bytes_max=40_000))
    removed: dict[Path, bytes] = {}
    unlink = Path.unlink

    def keep(path: Path, missing_ok: bool = False) -> None:
        removed.clear()
        removed[path] = path.read_bytes()
        unlink(path, missing_ok=missing_ok)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "unlink", keep)
        dropped = full_of_one_minute(spool)
    kept = len(backlog(spool))
    corrected = spool.dropped.corrected(account(450))
    spool.close()
    [(path, raw)] = removed.items()
    path.write_bytes(raw)
    again = spool_at(FrameSpoolLimits(bytes_max=40_000))
    assert not path.exists()
    assert sum(again.status().dropped.values()) == dropped
    assert again.dropped.corrected(account(450)) == corrected
    assert len(backlog(again)) == kept


@pytest.mark.parametrize("cut", [1, 30, HEADER_BYTES + 40])
def test_a_tail_cut_short_is_removed_and_reported(spool_at: Open, tmp_path: Path, cut: int, caplog: pytest.LogCaptureFixture) -> None:
    spool = spool_at()
    for second in range(3):
        spool.put(frame(second, NAMES[1]), Ticket(9, second))
    spool.close()
    (path,) = (tmp_path / "measured").glob("*.gff")
    path.write_bytes(path.read_bytes()[:-cut])
    again = spool_at()
    again.put(frame(7, NAMES[1]), Ticket(9, 7))
    assert [each.seq for each in backlog(again)] == [0, 1, 7]
    assert "measured: cut" in caplog.text


def test_damage_in_the_midst_is_passed_over_and_counted(spool_at: Open, tmp_path: Path) -> None:
    spool = spool_at(FrameSpoolLimits(bytes_max=100_000))
    for second in range(60):
        spool.put(frame(second, NAMES[1]), Ticket(9, second))
    spool.close()
    path = min((tmp_path / "measured").glob("*.gff"))
    raw = bytearray(path.read_bytes())
    raw[HEADER_BYTES + 20] ^= 1
    path.write_bytes(raw)
    again = spool_at(FrameSpoolLimits(bytes_max=100_000))
    assert [each.seq for each in backlog(again)] == list(range(1, 60))
    assert again.status().damaged_bytes > 0


def test_a_spool_belongs_to_one_process_and_a_damaged_note_is_named(spool_at: Open, tmp_path: Path) -> None:
    spool = spool_at()
    with pytest.raises(SpoolLocked, match="is open in another process"):
        spool_at()
    spool.close()
    (tmp_path / "dropped.json").write_text("{")
    with pytest.raises(SpoolError, match=r"dropped\.json is damaged .* remove it"):
        spool_at()


def test_points_weigh_by_what_their_names_say() -> None:
    parts = list(Priorities(NAMES).parts(frame(0, "elsewhere/x", NAMES[1], NAMES[0])))
    assert [(priority, part.point.tolist()) for priority, part in parts] == [
        (Priority.STATUS, [point_id(NAMES[0])]),
        (Priority.MEASURED, [point_id(NAMES[1])]),
        (Priority.OTHER, [point_id("elsewhere/x")]),
    ]
    assert len(Priority) <= ACCOUNTS_PART
