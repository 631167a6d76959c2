"""Ranges that were taken are a set of places, whatever order they come in, and are read back as they were written."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.taken import Taken

_RANGES = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)).map(lambda pair: (min(pair), max(pair))), max_size=8)


@settings(max_examples=60)
@given(floor=st.integers(0, 20), ranges=_RANGES, window=st.tuples(st.integers(0, 31), st.integers(0, 31)))
def test_it_is_the_set_of_places_that_were_taken(floor: int, ranges: list[tuple[int, int]], window: tuple[int, int]) -> None:
    places, taken = set(range(floor)), Taken(floor)
    for start, end in ranges:
        taken.add(start, end)
        places |= set(range(start, end))
    start, end = min(window), max(window)
    assert taken.among(start, end) == len(places & set(range(start, end)))
    assert taken.covers(start, end) == (set(range(start, end)) <= places)
    assert taken.floor == min(set(range(40)) - places)
    assert taken.end == max(places, default=-1) + 1
    first, stop = taken.gap(start)
    assert first == min(place for place in range(start, 40) if place not in places)
    assert stop == min((place for place in places if place > first), default=None)
    assert Taken.read(taken.text()).text() == taken.text()


def test_ranges_that_touch_are_one() -> None:
    assert Taken(0, [(5, 7), (9, 12), (7, 9)]).beyond == [(5, 12)]


@pytest.mark.parametrize("text", ["", "x\n", "5\n7\n", "5\n9 7\n", "5\n1 2 3\n"])
def test_what_is_no_note_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        Taken.read(text)
