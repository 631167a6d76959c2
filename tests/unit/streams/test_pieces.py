"""A state larger than a record, through any crash."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from streams.errors import StoreError
from streams.pieces import PIECE_BYTES, keep, kept
from streams.transport.log import RECORD_BYTES_MAX

KEY = b"1"


class Dying(dict[bytes, bytes]):
    """A table whose process dies after so many writes."""

    def __init__(self, found: dict[bytes, bytes], writes: int) -> None:
        super().__init__(found)
        self.left = writes

    def __setitem__(self, key: bytes, value: bytes) -> None:
        if self.left == 0:
            raise KeyboardInterrupt
        self.left -= 1
        super().__setitem__(key, value)


def state(letter: bytes, pieces: float) -> bytes:
    return letter * round(pieces * PIECE_BYTES)


def interrupted(found: dict[bytes, bytes], value: bytes) -> Iterator[dict[bytes, bytes]]:
    """The table after a crash before each write of a value."""
    writes = 0
    while True:
        table = Dying(found, writes)
        try:
            keep(table, KEY, value)
        except KeyboardInterrupt:
            yield dict(table)
            writes += 1
        else:
            return


def test_what_fits_a_record_is_one_value_as_it_is() -> None:
    table: dict[bytes, bytes] = {}
    keep(table, KEY, b"small")
    assert table == {KEY: b"small"}
    assert kept(table, KEY) == b"small"
    assert kept(table, b"2") is None


def test_a_larger_one_is_cut_into_records_and_put_together() -> None:
    table: dict[bytes, bytes] = {}
    keep(table, KEY, state(b"a", 7.5))
    assert kept(table, KEY) == state(b"a", 7.5)
    assert max(len(key) + len(value) for key, value in table.items()) < RECORD_BYTES_MAX
    assert kept(table, b"1\x00") is None


@pytest.mark.parametrize("before", [b"small", state(b"a", 2.5), state(b"a", 3)])
@pytest.mark.parametrize("after", [state(b"b", 2.5), state(b"b", 1.1)])
def test_a_crash_between_two_writes_leaves_the_state_of_before(before: bytes, after: bytes) -> None:
    table: dict[bytes, bytes] = {}
    keep(table, KEY, state(b"z", 4))
    keep(table, KEY, before)
    crashes = list(interrupted(table, after))
    assert len(crashes) > 1
    for left in crashes:
        assert kept(left, KEY) == before
        keep(left, KEY, after)
        assert kept(left, KEY) == after


def test_a_piece_that_is_not_what_was_written_stops_the_worker() -> None:
    table: dict[bytes, bytes] = {}
    keep(table, KEY, state(b"a", 2.5))
    spoiled = table | {b"1\x000/1": state(b"x", 1)}
    missing = {key: value for key, value in table.items() if key != b"1\x000/2"}
    for bad in (spoiled, missing):
        with pytest.raises(StoreError, match="not what was written"):
            kept(bad, KEY)
