"""In which order do registers stand: told by what they would mean, and by what somebody reads off the device."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.devices import DataType, Kind, Order
from ingest.modbus.probing.asks import Asker
from ingest.modbus.probing.expected import agreeing, look_for, matches, parse_expectation
from ingest.modbus.probing.orders import Certainty, judge_orders, number_at, numbers_in
from tests.kit.unknown_device import Unknown, drive, float_words

METER = (230.1, 229.8, 231.4, 12.25, 49.98, -3.5, 0.92, 1234.5)


def meter(order: str, drift: float = 1.0, values: tuple[float, ...] = METER) -> dict[int, int]:
    words = [word for value in values for word in float_words(value * drift, order)]
    return dict(enumerate(words))


@pytest.mark.parametrize("order", list(Order))
def test_a_meter_of_floats_tells_its_order(order: Order) -> None:
    readings = [meter(order), meter(order, 1.001), meter(order, 0.9995)]
    found = judge_orders(readings)
    assert (found.order, found.certainty) == (order, Certainty.LIKELY)
    assert numbers_in(readings, order, has_floats=True)[0] == tuple(range(0, 16, 2))


def test_whole_numbers_of_one_register_tell_nothing() -> None:
    found = judge_orders([{0: 230, 1: 231, 2: 0, 3: 50}])
    assert (found.order, found.certainty) == (Order.ABCD, Certainty.UNKNOWN)


@pytest.mark.parametrize(("order", "place"), [(Order.ABCD, 1), (Order.CDAB, 0)])
def test_a_counter_of_two_registers_tells_which_comes_first(order: Order, place: int) -> None:
    readings = [{place: 41_000 + 7 * k, 1 - place: 5} for k in range(3)]
    found = judge_orders(readings)
    assert (found.order, found.certainty) == (order, Certainty.GUESSED)
    assert numbers_in(readings, order, has_floats=found.has_floats) == ((), (0,))


@pytest.mark.parametrize(("order", "place"), [(Order.ABCD, 1), (Order.CDAB, 0)])
def test_small_numbers_in_two_registers_tell_which_half_is_empty(order: Order, place: int) -> None:
    readings = [{2 * n + half: (30_000 + 11 * n + 5 * k if half == place else 0) for n in range(4) for half in (0, 1)} for k in (0, 1)]
    found = judge_orders(readings)
    assert (found.order, found.certainty, found.has_floats) == (order, Certainty.LIKELY, False)


def test_registers_that_look_like_floats_by_chance_are_none() -> None:
    """0x42C8 is how 100.0 begins, and 17096 is a number as well; so is 0xC842, whose bytes are swapped."""
    found = judge_orders([{0: 0x42C8, 1: 7, 2: 0xC842, 3: 9}])
    assert not found.has_floats
    assert numbers_in([{0: 0x42C8, 1: 7}], Order.ABCD, has_floats=found.has_floats) == ((), ())


@given(value=st.floats(0.0078125, 1e7, width=32), order=st.sampled_from(Order))
def test_a_number_is_read_in_the_order_it_was_written_in(value: float, order: Order) -> None:
    assert number_at(dict(enumerate(float_words(value, order))), 0, DataType.FLOAT32, order) == value


def test_a_number_of_which_a_register_was_not_read_is_none() -> None:
    assert number_at({0: 1}, 0, DataType.UINT32, Order.ABCD) is None


def test_an_expectation_tells_order_and_base() -> None:
    device = Unknown({Kind.INPUT: {100 + at: word for at, word in meter("CDAB").items()}})
    found = [drive(look_for(Asker(100), 1, parse_expectation(text)), device) for text in ("101=230.1", "input 107=12.25")]
    assert agreeing(found) == ({Order.CDAB}, {1})
    assert [(match.kind, match.address, match.type) for match in found[1]] == [(Kind.INPUT, 106, DataType.FLOAT32)]


def test_a_number_that_names_the_table_is_understood() -> None:
    device = Unknown({Kind.HOLDING: {at: at for at in range(60)}})
    [match, *_] = drive(look_for(Asker(100), 1, parse_expectation("40031=30")), device)
    assert (match.kind, match.address, match.base) == (Kind.HOLDING, 30, 1)


def test_one_register_says_nothing_of_how_registers_follow_each_other() -> None:
    found = matches(parse_expectation("5=230.1"), Kind.HOLDING, 5, 0, {5: 2301})
    assert {(match.type, match.scale) for match in found} == {(DataType.UINT16, 0.1), (DataType.INT16, 0.1)}
    assert agreeing([found])[0] == {Order.ABCD, Order.CDAB}


@pytest.mark.parametrize("text", ["", "30", "coil 3=1", "30=volts", "999999=1"])
def test_what_is_no_expectation_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="write the register's number and what it shows"):
        parse_expectation(text)
