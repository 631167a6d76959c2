"""A frame that is delivered twice is taken once, whichever way it came; none is passed over that was not taken."""

from __future__ import annotations

import random

import msgspec
import pytest

from ingest.frame import ACCOUNTS_PART, Ticket
from streams.delivered import Delivered, RunState

RUN = 7


def firsts(delivered: Delivered, *tickets: tuple[int, int | None]) -> list[bool]:
    return [delivered.is_first(Ticket(RUN, nth, part)) for nth, part in tickets]


def test_live_frames_are_taken_once() -> None:
    delivered = Delivered()
    assert firsts(delivered, (0, None), (1, None), (1, None), (0, None), (2, None)) == [True, True, False, False, True]


def test_what_went_into_the_spool_is_taken_from_it_once() -> None:
    delivered = Delivered()
    firsts(delivered, (0, None), (5, None))
    assert firsts(delivered, (1, 0), (1, 1), (1, 1), (4, 1), (2, 1), (5, 1)) == [True, True, False, True, False, False]


def test_what_was_in_doubt_and_had_arrived_is_not_taken_from_the_spool() -> None:
    delivered = Delivered()
    firsts(delivered, (0, None), (1, None), (2, None))
    assert firsts(delivered, (1, 1), (2, 1), (3, 1)) == [False, False, True]


def test_what_was_in_doubt_and_arrives_behind_its_copy_from_the_spool_is_not_taken_again() -> None:
    delivered = Delivered()
    firsts(delivered, (0, None), (1, 0))
    assert firsts(delivered, (1, None), (1, 1), (2, None)) == [False, True, True]


def test_accounts_wait_longer_than_what_goes_past_them() -> None:
    delivered = Delivered()
    firsts(delivered, (0, None), (2, None), (1, ACCOUNTS_PART), (9, ACCOUNTS_PART))
    assert firsts(delivered, (3, None), (9, ACCOUNTS_PART)) == [True, False]


def test_the_first_frame_that_comes_may_be_any() -> None:
    assert firsts(Delivered(), (40, None), (3, 2), (41, None)) == [True, True, True]


def test_each_run_of_a_reader_counts_for_itself() -> None:
    delivered = Delivered()
    assert all(delivered.is_first(Ticket(run, 0)) for run in range(40))
    assert len(delivered.states()) == 16


def test_of_gaps_that_are_forgotten_frames_are_taken_rather_than_lost() -> None:
    delivered = Delivered()
    firsts(delivered, *((nth, None) for nth in range(0, 400, 2)))
    assert firsts(delivered, (1, 0), (399, 0)) == [True, True]


def test_what_is_remembered_survives_a_restart() -> None:
    delivered, again = Delivered(), Delivered()
    firsts(delivered, (0, None), (5, None), (2, 1))
    again.restore(msgspec.msgpack.decode(msgspec.msgpack.encode(delivered.states()), type=dict[int, RunState]))
    assert firsts(again, (5, None), (2, 1), (3, 1), (6, None)) == [False, False, True, True]


@pytest.mark.parametrize("seed", range(20))
def test_whatever_was_away_and_repeated_each_part_is_taken_exactly_once(seed: int) -> None:
    """Spans of frames go to the spool, in three parts; some of them arrive live all the same; each backlog is sent with repeats."""
    chance = random.Random(seed)
    delivered, taken = Delivered(), dict[tuple[int, int], int]()

    def take(nth: int, part: int | None) -> None:
        if delivered.is_first(Ticket(RUN, nth, part)):
            for each in range(3) if part is None else (part,):
                taken[nth, each] = taken.get((nth, each), 0) + 1

    nth = 0
    for _ in range(12):
        for _ in range(chance.randrange(1, 8)):
            take(nth, None)
            nth += 1
        spooled = range(nth, nth + chance.randrange(1, 10))
        doubtful = chance.randrange(0, len(spooled))
        for each in spooled[:doubtful]:
            take(each, None)
        nth = spooled.stop
        if chance.random() < 0.5:
            take(nth, None)
            nth += 1
        for part in range(3):
            sent = 0
            while sent < len(spooled):
                until = chance.randrange(sent + 1, len(spooled) + 1)
                for each in spooled[max(0, sent - chance.randrange(3)) : until]:
                    take(each, part)
                sent = until
    assert taken == {(each, part): 1 for each in range(nth) for part in range(3)}
