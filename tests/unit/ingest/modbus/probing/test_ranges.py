"""Which registers can be read, and how many at a time: against devices that exist only as what they would answer."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.devices import Kind
from ingest.modbus.probing.asks import Asker, Silent
from ingest.modbus.probing.ranges import Extent, Table, anchors, survey
from tests.kit.unknown_device import Unknown, drive


def surveyed(device: Unknown, kind: Kind = Kind.HOLDING, scan: range | None = None) -> Table:
    table = Table(kind)
    drive(survey(Asker(10_000), 1, table, anchors(scan)), device)
    return table


def holding(*runs: range, **more: object) -> Unknown:
    return Unknown({Kind.HOLDING: {at: at % 65_536 for run in runs for at in run}}, **more)  # type: ignore[arg-type]


def test_a_run_is_measured_to_the_register() -> None:
    table = surveyed(holding(range(100, 117), range(4000, 4003)))
    assert table.extents == [Extent(100, 117), Extent(4000, 4003)]
    assert (table.verdict, table.longest, table.is_limit) == ("answers", 17, False)


def test_a_run_that_begins_before_the_first_address_that_is_tried_is_followed_downwards() -> None:
    assert surveyed(holding(range(970, 1010))).extents == [Extent(970, 1010)]


def test_a_small_hole_is_looked_across() -> None:
    assert surveyed(holding(range(1000, 1005), range(1008, 1030))).extents == [Extent(1000, 1005), Extent(1008, 1030)]


def test_the_longest_reading_is_told_from_the_end_of_a_run() -> None:
    table = surveyed(holding(range(180), longest=60))
    assert table.extents == [Extent(0, 180)]
    assert (table.longest, table.is_limit) == (60, True)


def test_a_seam_is_no_limit() -> None:
    table = surveyed(holding(range(90), seams=(20,)))
    assert table.extents == [Extent(0, 90)]
    assert (table.longest, table.is_limit) == (70, False)


def test_a_large_table_is_not_followed_to_its_end() -> None:
    device = holding(range(65_536))
    table = surveyed(device, scan=range(100))
    assert table.extents[0].start == 0
    assert table.extents[0].goes_on
    assert len(device.asked) < 150


def test_a_device_that_gives_pairs_only() -> None:
    table = surveyed(holding(range(24), pairs=True))
    assert (table.step, table.extents) == (2, [Extent(0, 24)])


def test_a_table_that_the_device_does_not_know_costs_one_request() -> None:
    device = Unknown({})
    assert surveyed(device).verdict == "absent"
    assert len(device.asked) == 1


def test_a_device_that_leaves_unanswered_what_it_would_refuse_is_not_worn_out() -> None:
    device = holding(range(8), is_mute=True)
    table = surveyed(device)
    assert table.extents[0].start == 0
    assert table.cut_short
    assert sum(isinstance(device.answer(ask), Silent) for ask in list(device.asked)) <= 4


def test_bits_are_read_two_thousand_at_a_time() -> None:
    table = surveyed(Unknown({Kind.COIL: dict.fromkeys(range(2100), 1)}), Kind.COIL)
    assert table.extents == [Extent(0, 2100)]
    assert table.longest == 2000
    assert table.words[2099] == 1


@settings(max_examples=60, deadline=None)
@given(start=st.integers(0, 300), size=st.integers(1, 200), longest=st.integers(1, 125))
def test_whatever_lies_around_an_address_that_is_tried_is_found_whole(start: int, size: int, longest: int) -> None:
    table = Table(Kind.HOLDING)
    drive(survey(Asker(10_000), 1, table, [start + size // 2]), holding(range(start, start + size), longest=longest))
    assert not table.cut_short or longest < 10
    if not table.cut_short and not table.extents[0].goes_on and size // 2 <= 4 * longest:
        assert table.extents == [Extent(start, start + size)]
        assert table.longest <= longest
        assert all(table.words[at] == at for at in range(start, start + size))
