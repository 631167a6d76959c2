"""What a device teaches about what may be read from it, and what round trips teach about what is worth reading."""

from __future__ import annotations

import pytest

from ingest.devices import Kind
from ingest.modbus.cost import RoundTrips
from ingest.modbus.lessons import BELIEVED_NS, Lessons, Suspicion
from ingest.modbus.plan import HOLE_MAX, Barred, Block
from market.units import NS_PER_H


def block(address: int, count: int) -> Block:
    return Block(Kind.HOLDING, address, count, ())


def test_two_halves_that_answer_teach_the_hole_between_them_or_the_length() -> None:
    lessons = Lessons()
    lessons.both_answered(Suspicion(block(0, 4), block(9, 1)), 7)
    assert lessons.gaps == {Barred(Kind.HOLDING, 4, 9)}
    assert lessons.longest == {}
    lessons.both_answered(Suspicion(block(0, 60), block(60, 65)), 8)
    lessons.both_answered(Suspicion(block(0, 70), block(70, 50)), 9)
    assert lessons.longest == {Kind.HOLDING: 65}
    assert lessons.learned_ns == 7


def test_nothing_is_believed_for_longer_than_a_day() -> None:
    lessons = Lessons()
    lessons.refused("p", 0)
    lessons.both_answered(Suspicion(block(0, 4), block(9, 1)), NS_PER_H)
    assert not lessons.forget_old(BELIEVED_NS)
    assert lessons.doubted(BELIEVED_NS - 1) == []
    assert lessons.doubted(BELIEVED_NS) == ["p"]
    assert lessons.forget_old(BELIEVED_NS + NS_PER_H)
    assert lessons.gaps == set()
    assert not lessons.forget_old(2**62)
    assert lessons.there("p")
    assert not lessons
    assert not lessons.there("p")


def test_lessons_read_back_as_they_were_written() -> None:
    lessons = Lessons({"p": 5}, {Barred(Kind.INPUT, 4, 9)}, {Kind.COIL: 16}, 7)
    assert Lessons.decode(lessons.encode()) == lessons
    assert Lessons.decode(lessons.encode()[:-1]) is None


def test_lessons_of_a_later_version_are_learned_again() -> None:
    assert Lessons.decode(Lessons().encode().replace(b'"v":1', b'"v":2')) is None


@pytest.mark.parametrize(
    ("per_request_s", "per_register_s", "hole_max"),
    [(0.010, 0.00229, 4), (0.030, 0.0005, 60), (0.002, 0.0, 125), (0.002, 1e-6, 125), (0.0, 0.002, 0)],
)
def test_a_hole_is_read_while_it_is_cheaper_than_asking_twice(per_request_s: float, per_register_s: float, hole_max: int) -> None:
    trips = RoundTrips()
    for number in range(200):
        count = (2, 40, 125)[number % 3]
        trips.add(count, per_request_s + per_register_s * count)
    assert abs(trips.hole_max() - hole_max) <= 1


def test_too_few_measurements_or_blocks_of_one_length_tell_nothing() -> None:
    trips = RoundTrips()
    for _ in range(10):
        trips.add(2, 0.1)
        trips.add(100, 0.1)
    assert trips.hole_max() == HOLE_MAX
    alike = RoundTrips()
    for _ in range(100):
        alike.add(40, 0.1)
    assert alike.hole_max() == HOLE_MAX
