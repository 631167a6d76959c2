"""What is appended is read back in order; limits, damage and a second writer are dealt with and reported."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ingest.segments import HEADER_BYTES
from ingest.taken import Taken
from market.units import NS_PER_S
from streams.errors import StoreError, StoreLocked
from streams.segments import lines_of
from streams.spool import Spool, SpoolLimits, survey
from tests.kit.eventually import eventually

SMALL = SpoolLimits(segment_bytes=200, bytes_max=1_000, segment_age_s=60, age_max_s=600)


class Hand:
    """A wall clock moved by hand."""

    def __init__(self) -> None:
        self.ns = 1_000 * NS_PER_S

    def __call__(self) -> int:
        return self.ns


Open = Callable[..., Spool]


@pytest.fixture
def spool_at(tmp_path: Path) -> Iterator[Open]:
    opened: list[Spool] = []

    def opening(limits: SpoolLimits = SMALL, clock: Callable[[], int] | None = None) -> Spool:
        spool = Spool(tmp_path, limits, clock or Hand())
        opened.append(spool)
        return spool

    yield opening
    for spool in opened:
        spool.close()


def line(number: int) -> bytes:
    return b"kpi load_mw=%d.0 %d\n" % (number, number)


BLOCK = HEADER_BYTES + len(line(0))


def everything(spool: Spool, place: int | None = None) -> list[bytes]:
    """Read to the end without acknowledging."""
    place = spool.acked if place is None else place
    found: list[bytes] = []
    while (chunk := spool.read(place)) is not None:
        assert chunk.end > place
        found += lines_of(chunk.data) if chunk.data else []
        place = chunk.end
    return found


def test_lines_come_back_in_order_across_segments(spool_at: Open) -> None:
    spool = spool_at()
    for number in range(10):
        spool.append(line(number))
    assert spool.status().segments > 3
    assert everything(spool) == [line(number) for number in range(10)]


def test_an_empty_append_writes_nothing(spool_at: Open) -> None:
    spool = spool_at()
    assert spool.append(b"") == spool.end == 0
    assert spool.read(0) is None


def test_acknowledged_lines_are_not_read_again_after_a_restart(spool_at: Open) -> None:
    spool = spool_at()
    for number in range(10):
        spool.append(line(number))
    chunk = spool.read(spool.acked)
    assert chunk is not None
    spool.ack(chunk.end)
    spool.close()
    again = spool_at()
    assert everything(again) == [line(number) for number in range(chunk.items, 10)]
    assert again.recovery is None


def test_an_acknowledgement_never_goes_back(spool_at: Open) -> None:
    spool = spool_at()
    spool.append(line(1))
    spool.ack(spool.end)
    spool.ack(0)
    assert spool.acked == spool.end


def test_status_counts_what_waits(spool_at: Open, tmp_path: Path) -> None:
    spool = spool_at()
    for number in range(3):
        spool.append(line(number))
    block = HEADER_BYTES + len(line(0))
    spool.ack(block)
    status = spool.status()
    assert (status.acked, status.end, status.waiting_bytes, status.bytes_on_disk) == (block, 3 * block, 2 * block, 3 * block)
    assert survey(tmp_path) == status


def test_a_survey_of_another_directory_says_what_to_give(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="is not a spool"):
        survey(tmp_path)


@pytest.mark.parametrize("cut", [1, 20, HEADER_BYTES, HEADER_BYTES + 5])
def test_a_block_cut_short_is_removed_and_reported(spool_at: Open, tmp_path: Path, cut: int) -> None:
    spool = spool_at(SpoolLimits())
    for number in range(3):
        spool.append(line(number))
    spool.close()
    path = tmp_path / f"{0:020d}.lp"
    path.write_bytes(path.read_bytes()[:-cut])
    again = spool_at(SpoolLimits())
    assert again.recovery is not None
    assert again.recovery.kept_as is None
    assert again.recovery.bytes_cut == HEADER_BYTES + len(line(2)) - cut
    again.append(line(9))
    assert everything(again) == [line(0), line(1), line(9)]


def test_a_whole_block_that_fails_its_crc_is_removed_and_kept(spool_at: Open, tmp_path: Path) -> None:
    spool = spool_at(SpoolLimits())
    for number in range(3):
        spool.append(line(number))
    spool.close()
    path = tmp_path / f"{0:020d}.lp"
    block = HEADER_BYTES + len(line(0))
    raw = bytearray(path.read_bytes())
    raw[block + HEADER_BYTES + 3] ^= 1
    path.write_bytes(raw)
    again = spool_at(SpoolLimits())
    assert again.recovery is not None
    assert again.recovery.kept_as is not None
    assert (tmp_path / again.recovery.kept_as).read_bytes() == bytes(raw[block:])
    assert everything(again) == [line(0)]


def test_damage_in_an_older_segment_is_passed_over_and_counted(spool_at: Open, tmp_path: Path) -> None:
    limits = SpoolLimits(segment_bytes=230, bytes_max=10_000)
    spool = spool_at(limits)
    for number in range(9):
        spool.append(line(number))
    spool.close()
    block = HEADER_BYTES + len(line(0))
    path = tmp_path / f"{3 * block:020d}.lp"
    raw = bytearray(path.read_bytes())
    raw[block + 60] ^= 1
    path.write_bytes(raw)
    again = spool_at(limits)
    assert everything(again) == [line(number) for number in range(9) if number != 4]
    assert again.status().damaged_bytes == block


def test_blocks_lost_with_the_power_do_not_make_new_ones_count_as_sent(spool_at: Open, tmp_path: Path) -> None:
    spool = spool_at()
    for number in range(2):
        spool.append(line(number))
    spool.ack(spool.end)
    spool.close()
    path = tmp_path / f"{0:020d}.lp"
    path.write_bytes(path.read_bytes()[: HEADER_BYTES + len(line(0))])
    again = spool_at()
    again.append(line(7))
    assert everything(again) == [line(7)]


def test_a_size_limit_drops_the_oldest_and_counts_lines_that_were_never_acknowledged(spool_at: Open) -> None:
    spool = spool_at()
    for number in range(5):
        spool.append(line(number))
    spool.ack(spool.end)
    for number in range(5, 40):
        spool.append(line(number))
    status = spool.status()
    kept = everything(spool)
    assert status.bytes_on_disk <= 1_000
    assert kept == [line(number) for number in range(40 - len(kept), 40)]
    assert status.dropped_lines == 40 - 5 - len(kept)


def test_a_segment_that_somebody_removed_stops_nothing(spool_at: Open, tmp_path: Path) -> None:
    """An operator frees space by hand: what is appended from then on is kept as ever."""
    spool = spool_at()
    for number in range(60):
        if number == 20:
            min(path for path in tmp_path.iterdir() if path.suffix not in (".lock", ".json") and path.stat().st_size > 100).unlink()
        spool.append(line(number))
    assert everything(spool)[-1] == line(59)


def test_a_segment_that_somebody_removed_before_it_was_sent_is_passed_over(spool_at: Open, tmp_path: Path) -> None:
    spool = spool_at(SpoolLimits(segment_bytes=200, bytes_max=1 << 20))
    for number in range(12):
        spool.append(line(number))
    removed = sorted(tmp_path.glob("*.lp"))[1]
    gone = removed.read_bytes().count(b"kpi")
    removed.unlink()
    assert len(everything(spool)) == 12 - gone
    assert everything(spool)[-1] == line(11)


def test_two_threads_that_note_what_was_taken_never_spoil_the_note(spool_at: Open, tmp_path: Path) -> None:
    spool = spool_at(SpoolLimits(sync_s=0.0001))
    for _ in range(200):
        spool.append(line(7))
    for number in range(0, 200, 2):
        # Live by the spool's thread, backlog by ours, in stretches that do not touch, so that the note is long.
        spool.ack_soon((200 - number) * BLOCK, (199 - number) * BLOCK)
        spool.ack((number // 4 + 1) * BLOCK)
        Taken.read((tmp_path / "acked").read_text(encoding="ascii"))


def test_an_age_limit_drops_segments_whose_last_block_is_older(spool_at: Open) -> None:
    clock = Hand()
    spool = spool_at(SpoolLimits(segment_bytes=10_000, bytes_max=100_000, segment_age_s=60, age_max_s=600), clock)
    for number in range(12):
        spool.append(line(number))
        clock.ns += 61 * NS_PER_S
    # Eleven segments were begun after the first; those whose successor is older than 600 s are gone.
    assert everything(spool) == [line(number) for number in range(1, 12)]


def test_a_second_writer_is_refused(spool_at: Open) -> None:
    spool_at()
    with pytest.raises(StoreLocked, match="is open in another process"):
        spool_at()


def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreError, match="file/spool: Not a directory"):
        Spool(tmp_path / "file" / "spool")


def test_limits_that_cannot_hold_two_segments_are_refused() -> None:
    with pytest.raises(ValueError, match="less than two segments"):
        SpoolLimits(segment_bytes=100, bytes_max=150)


def test_what_is_not_whole_lines_is_a_mistake_of_the_caller(spool_at: Open) -> None:
    with pytest.raises(AssertionError, match="only whole lines"):
        spool_at().append(b"kpi load_mw=1.0 1")


def test_what_was_taken_in_the_middle_is_neither_waiting_nor_sent_again(spool_at: Open) -> None:
    spool = spool_at(SpoolLimits())
    for number in range(5):
        spool.append(line(number))
    spool.ack(4 * BLOCK, 2 * BLOCK)
    spool.close()
    again = spool_at(SpoolLimits())
    assert (again.acked, again.status().waiting_bytes) == (0, 3 * BLOCK)
    assert again.gap(0, again.end) == (0, 2 * BLOCK)
    assert again.gap(2 * BLOCK, again.end) == (4 * BLOCK, 5 * BLOCK)
    chunk = again.read(0, 2 * BLOCK)
    assert chunk is not None
    assert (chunk.data, chunk.end) == (line(0) + line(1), 2 * BLOCK)
    assert again.read(2 * BLOCK, 2 * BLOCK) is None
    again.ack(2 * BLOCK)
    assert again.acked == 4 * BLOCK


def test_a_limit_counts_of_a_segment_only_the_lines_that_were_not_taken(spool_at: Open) -> None:
    spool = spool_at(SpoolLimits(segment_bytes=5 * BLOCK, bytes_max=15 * BLOCK))
    for number in range(5):
        spool.append(line(number))
    spool.ack(4 * BLOCK, 1 * BLOCK)
    for number in range(5, 12):
        spool.append(line(number))
    assert (spool.acked, spool.status().dropped_lines) == (5 * BLOCK, 2)


def test_blocks_taken_and_then_lost_with_the_power_do_not_make_new_ones_count_as_sent(spool_at: Open, tmp_path: Path) -> None:
    spool = spool_at(SpoolLimits())
    for number in range(4):
        spool.append(line(number))
    spool.ack(4 * BLOCK, 2 * BLOCK)
    spool.close()
    path = tmp_path / f"{0:020d}.lp"
    path.write_bytes(path.read_bytes()[: 3 * BLOCK])
    again = spool_at(SpoolLimits())
    again.append(line(7))
    gaps, place = [], 0
    while (gap := again.gap(place, again.end)) is not None:
        chunk = again.read(*gap)
        assert chunk is not None
        gaps += lines_of(chunk.data)
        place = chunk.end
    assert gaps == [line(0), line(1), line(7)]


def test_it_is_remembered_where_the_spool_ended_a_while_ago(spool_at: Open) -> None:
    clock = Hand()
    spool = spool_at(SpoolLimits(), clock)
    for number in range(10):
        spool.append(line(number))
        clock.ns += NS_PER_S
    assert spool.since(3.5) == 7 * BLOCK
    assert spool.since(0.5) == spool.end
    assert spool.since(1_000) == 0
    assert spool.waiting_since_ns() == 1_000 * NS_PER_S
    assert spool.begun_ns(3 * BLOCK) == 1_003 * NS_PER_S
    spool.ack(spool.end)
    assert spool.waiting_since_ns() is None


def test_what_was_appended_last_is_read_from_memory_as_it_would_be_from_disk(spool_at: Open) -> None:
    spool = spool_at(SpoolLimits())
    places = [spool.end]
    for number in range(6):
        spool.append(b"".join(b"m,n=%d v=%d %d\n" % (number, k, k) for k in range(1 + 700 * number)))
        places.append(spool.end)
    for place in places:
        assert spool.newest(place) == spool.read(place), place
    assert spool.newest(places[1] + 1) is None, "no block begins there"
    for _ in range(40):
        spool.append(b"m,n=9 v=1 %d\n" % 7 * 3_000)
    assert spool.newest(places[0]) is None
    assert spool.read(places[0]) is not None
    assert spool.newest(spool.end) is None


def test_what_is_acknowledged_soon_counts_at_once_and_is_noted_with_the_next_sync_and_at_the_end(spool_at: Open) -> None:
    spool = spool_at(SpoolLimits())
    spool.append(b"m v=1 1\n")
    spool.ack_soon(spool.end)
    assert spool.status().waiting_bytes == 0
    eventually("it is noted", lambda: survey(spool.directory).waiting_bytes == 0)
    spool.append(b"m v=2 2\n")
    end = spool.end
    spool.ack_soon(end)
    spool.close()
    assert survey(spool.directory).acked == end
