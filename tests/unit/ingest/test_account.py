"""Every sample that was due is accounted for: sent, late, or lost with a reason."""

from __future__ import annotations

import numpy as np
import pytest

from ingest import account
from ingest.account import INTERVAL_NS, DeviceAccount, Ledger, LostReason
from ingest.quality import BAD_NO_COMMUNICATION, UNCERTAIN_SUB_NORMAL
from market.units import NS_PER_H, NS_PER_S, instant_ns

NOON = instant_ns("2026-06-10T12:00:00Z")


class Book:
    """A ledger of points "0", "1", … and the seconds after noon."""

    def __init__(self, *every_s: int, missing: LostReason = LostReason.NOT_POLLED, by_exception: bool = False) -> None:
        self.ids = np.arange(len(every_s), dtype=np.uint64) * 7919 % 31
        periods_ns = None if by_exception else np.array(every_s, dtype=np.int64) * NS_PER_S
        self.ledger = Ledger("rtu", self.ids, periods_ns, missing)
        self.ledger.begin(NOON)

    def make(self, at_s: float, *rows: int) -> None:
        self.ledger.made(self.ids[list(rows)], NOON + round(at_s * NS_PER_S))

    def send(self, made_s: float, *quality: int) -> None:
        self.ledger.sent(NOON + round(made_s * NS_PER_S), np.array(quality, dtype=np.uint32))

    def lose(self, made_s: float, samples: int, reason: LostReason) -> None:
        self.ledger.dropped(NOON + round(made_s * NS_PER_S), samples, reason)

    def told(self, at_s: float, *, final: bool = False) -> list[DeviceAccount]:
        return [account for _, _, account in self.ledger.close(NOON + round(at_s * NS_PER_S), final=final)]


def said(*, expected: int, good: int = 0, uncertain: int = 0, bad: int = 0, lost: dict[str, int] | None = None) -> DeviceAccount:
    return DeviceAccount(device="rtu", expected=expected, good=good, uncertain=uncertain, bad=bad, lost=lost or {})


def test_a_minute_in_which_all_was_well() -> None:
    book = Book(10, 10)
    for k in range(6):
        book.make(0.3 + 10 * k, 0, 1)
        book.send(0.3 + 10 * k, 0, UNCERTAIN_SUB_NORMAL if k == 2 else 0)
    book.make(60.3, 0, 1)
    assert book.told(61.9) == [], "a poll that began in the minute may still be under way"
    assert book.told(62.0) == [said(expected=12, good=11, uncertain=1)]
    assert book.told(62.0) == [], "once"


def test_what_waits_to_be_sent_keeps_its_minute_open() -> None:
    book = Book(10)
    for k in range(7):
        book.make(0.3 + 10 * k, 0)
    for k in range(5):
        book.send(0.3 + 10 * k, 0)
    assert book.told(65) == []
    book.lose(50.3, 1, LostReason.QUEUE_FULL)
    assert book.told(65) == [said(expected=6, good=5, lost={"queue_full": 1})]


def test_periods_that_nobody_polled_are_lost_in_the_minutes_they_were_in() -> None:
    book = Book(20)
    book.make(1, 0)
    book.send(1, 0)
    book.make(125, 0)
    book.send(125, BAD_NO_COMMUNICATION)
    book.make(141, 0)
    book.send(141, 0)
    book.make(161, 0)
    book.send(161, 0)
    book.make(181, 0)
    # Due at 21 and 41, 61, 81 and 101; what came at 125 is that of 121.
    assert book.told(182) == [
        said(expected=3, good=1, lost={"not_polled": 2}),
        said(expected=3, lost={"not_polled": 3}),
        said(expected=3, good=2, bad=1),
    ]
    assert book.ledger.lost == {"not_polled": 5}
    assert book.ledger.expected == 10


def test_a_device_that_never_says_anything_is_missed_every_minute() -> None:
    book = Book(15, missing=LostReason.NOT_PUSHED)
    # What is due on the stroke of a minute belongs to the minute that begins.
    assert book.told(62) == [said(expected=3, lost={"not_pushed": 3})]
    assert book.told(190) == [said(expected=4, lost={"not_pushed": 4})] * 2


def test_a_sample_that_is_due_seldom_may_come_until_it_counts_for_the_next_time() -> None:
    book = Book(600)
    book.make(1, 0)
    book.send(1, 0)
    assert book.told(620) == [said(expected=1, good=1)] + [said(expected=0)] * 9
    assert book.told(890) == [], "it was due at 601, and may come until 901"
    assert book.told(901) == [said(expected=1, lost={"not_polled": 1})] + [said(expected=0)] * 3


def test_a_sample_that_was_not_due_is_expected_when_it_is_there() -> None:
    book = Book(60)
    for at_s in (1, 2, 3):
        book.make(at_s, 0)
        book.send(at_s, 0)
    book.make(61, 0)
    assert book.told(62) == [said(expected=3, good=3)]


def test_of_points_told_by_exception_what_came_was_expected() -> None:
    book = Book(1, 1, by_exception=True)
    book.make(5, 0, 0, 1)
    book.send(5, 0, 0, 0)
    assert book.told(125) == [said(expected=3, good=3), said(expected=0)]


def test_a_point_that_comes_twice_in_a_frame_has_missed_its_periods_once() -> None:
    book = Book(10)
    book.make(41, 0, 0)
    book.send(41, 0, 0)
    book.make(51, 0)
    book.send(51, 0)
    book.make(61, 0)
    # Of those due at 10, 20, 30 and 40, one came, twice.
    assert book.told(62) == [said(expected=6, good=3, lost={"not_polled": 3})]


def test_stopping_closes_what_is_open() -> None:
    book = Book(10)
    for k in range(8):
        book.make(1 + 10 * k, 0)
        if k < 7:
            book.send(1 + 10 * k, 0)
    closed = book.ledger.close(NOON + 73 * NS_PER_S, final=True)
    assert closed == [
        (NOON, NOON + INTERVAL_NS, said(expected=6, good=6)),
        (NOON + INTERVAL_NS, NOON + 73 * NS_PER_S, said(expected=2, good=1, lost={"stopped": 1})),
    ]


def test_a_ledger_that_nobody_reads_does_not_grow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(account, "_OPEN_MAX", 3)
    book = Book(60)
    for minute in range(10):
        book.make(60 * minute + 1, 0)
    for minute in range(10):
        book.send(60 * minute + 1, 0)
    assert book.told(602) == [said(expected=1, good=1)] * 3, "the minutes that were forgotten have no account"


def test_before_the_first_sample_and_before_reading_began_nothing_is_told() -> None:
    ledger = Ledger("rtu", np.array([1], dtype=np.uint64), np.array([NS_PER_S]), LostReason.NOT_POLLED)
    assert ledger.close(NOON + NS_PER_H) == []
