"""What a link makes of what a peer does, byte by byte and at times of our choosing."""

from __future__ import annotations

import pytest

from ingest.addresses import Manners
from ingest.errors import DeviceError
from ingest.modbus.exchange import Exchange
from ingest.modbus.frames import encode_adu, write_registers_request
from ingest.modbus.rtu import encode_rtu
from ingest.modbus.wire import Wire
from tests.kit.line import MS, RTU, SERIAL, TCP, Line, Transport, holds, read, right_or_silent


def test_a_late_reply_without_a_number_is_never_taken_for_the_next_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    line = Line(monkeypatch, TCP, Manners(transaction_zero=True))
    line.ask("9", read(9))
    line.hear(encode_adu(0, 1, holds(9)))
    line.ask("10", read(10))
    asked_on = line.wire
    line.pass_ms(1100)
    line.ask("11", read(11))
    line.hear(encode_adu(0, 1, holds(10)), asked_on)
    line.settle()
    line.hear(encode_adu(0, 1, holds(11)))
    assert right_or_silent(line), line.outcomes
    assert line.outcomes["11"] == b"\0\x0b"


def test_a_reply_without_a_number_that_comes_twice_answers_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    line = Line(monkeypatch, TCP, Manners(transaction_zero=True))
    line.ask("10", read(10))
    line.ask("11", read(11))
    line.hear(encode_adu(0, 1, holds(10)) * 2)
    line.hear(encode_adu(0, 1, holds(11)))
    assert right_or_silent(line), line.outcomes
    assert line.outcomes["10"] == b"\0\x0a"
    assert line.outcomes["11"] == b"\0\x0b"


def test_a_reply_to_the_last_of_several_timeouts_on_a_serial_line_answers_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    line = Line(monkeypatch, SERIAL)
    line.ask("9", read(9))
    line.hear(encode_rtu(1, holds(9)))
    for register in range(10, 14):
        line.ask(str(register), read(register))
    while len(line.outcomes) < 4:
        line.pass_ms(100)
    line.pass_ms(200)
    line.hear(encode_rtu(1, holds(12)))  # it was late; nothing says whose it is
    assert right_or_silent(line), line.outcomes
    line.pass_ms(1500)
    line.hear(encode_rtu(1, holds(13)))
    assert line.outcomes["13"] == b"\0\x0d"


def test_set_points_are_written_in_the_order_they_were_given(monkeypatch: pytest.MonkeyPatch) -> None:
    line = Line(monkeypatch, TCP, Manners(depth=1))
    line.ask("poll", read(10))
    line.ask("next poll", read(20))
    for value in (5, 7, 9):
        line.ask(f"write {value}", write_registers_request(1, 40, value.to_bytes(2, "big")), first=True)
    for _ in range(5):
        asked = line.transport.written[-1]
        line.hear(asked if asked[7] == 6 else encode_adu(int.from_bytes(asked[:2], "big"), 1, holds(10)))
    assert [int.from_bytes(sent[10:12], "big") for sent in line.transport.written if sent[7] == 6] == [5, 7, 9]
    assert list(line.outcomes) == ["poll", "write 5", "write 7", "write 9", "next poll"]


def test_a_unit_that_is_silent_is_noticed_though_others_on_its_connection_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    line = Line(monkeypatch, TCP, Manners(depth=4))
    line.ask("dead", read(10, unit=9))
    for number in range(40):
        line.ask(f"{number}", read(20))
        line.pass_ms(50)
        line.hear(encode_adu(int.from_bytes(line.transport.written[-1][:2], "big"), 1, holds(20)))
    assert isinstance(line.outcomes["dead"], DeviceError)
    assert sum(isinstance(outcome, DeviceError) for outcome in line.outcomes.values()) == 1


def test_a_short_timeout_is_kept_behind_a_long_one(monkeypatch: pytest.MonkeyPatch) -> None:
    line = Line(monkeypatch, TCP)
    line.ask("patient", read(10), timeout_s=30.0)
    line.hear(encode_adu(1, 1, holds(10)))
    line.ask("hasty", read(11), timeout_s=0.2)
    line.pass_ms(300)
    assert isinstance(line.outcomes["hasty"], DeviceError)
    for number in range(100):
        line.ask(f"{number}", read(11), timeout_s=0.2 if number % 2 else 30.0)
        line.hear(encode_adu(3 + number, 1, holds(11)))
    assert len(line._due) <= 100
    line.pass_ms(31_000)
    assert not line._due, "looking goes on though nothing is owed"


def test_one_silent_unit_on_rtu_over_tcp_costs_the_others_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    line = Line(monkeypatch, RTU)
    line.ask("10", read(10, unit=9))
    line.ask("11", read(11))
    line.pass_ms(1100)
    assert isinstance(line.outcomes["10"], DeviceError)
    line.hear(encode_rtu(1, holds(11)))
    assert line.outcomes["11"] == b"\0\x0b"


def test_a_fault_of_one_that_is_told_costs_the_others_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    line = Line(monkeypatch, TCP, Manners(depth=1))

    def fails(exchange: Exchange, outcome: bytes | DeviceError, now_ns: int) -> None:
        raise RuntimeError("a fault of ours")

    for _ in range(2):
        assert line.link.submit(Exchange(read(10), line.source, 1.0, fails)) is None
        line.ask(str(11 + len(line.outcomes)), read(11 + len(line.outcomes)))
        line.hear(encode_adu(len(line.transport.written), 1, holds(10)))
        line.hear(encode_adu(len(line.transport.written), 1, holds(10 + len(line.outcomes) + 1)))
    assert line.outcomes == {"11": b"\0\x0b", "12": b"\0\x0c"}
    assert line.link.submit(Exchange(read(10), line.source, 1.0, fails)) is None
    line.ask("13", read(13))
    line.transport.close()
    line.settle()
    line.link.close()
    line.settle()
    assert isinstance(line.outcomes["13"], DeviceError)


def test_who_closes_after_a_poll_leaves_the_connection_to_those_who_wait_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    line = Line(monkeypatch, TCP, Manners(depth=1))

    def rests(exchange: Exchange, outcome: bytes | DeviceError, now_ns: int) -> None:
        line.link.rest()

    assert line.link.submit(Exchange(read(10), line.source, 1.0, rests)) is None
    line.ask("11", read(11))
    line.hear(encode_adu(1, 1, holds(10)))
    assert not line.transport.is_closed
    line.hear(encode_adu(2, 1, holds(11)))
    assert line.outcomes["11"] == b"\0\x0b"
    line.link.rest()
    assert line.transport.is_closed


def test_a_round_trip_that_waited_behind_another_is_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    line = Line(monkeypatch, TCP, Manners(depth=4))
    took_ns: list[int] = []
    for register in (10, 11):
        exchange = Exchange(read(register), line.source, 1.0, lambda exchange, *_: took_ns.append(exchange.took_ns))
        assert line.link.submit(exchange) is None
    line.pass_ms(100)
    line.hear(encode_adu(1, 1, holds(10)))
    line.hear(encode_adu(2, 1, holds(11)))
    assert took_ns == [0, 0]
    assert line.link.submit(exchange) is None
    line.pass_ms(30)
    line.hear(encode_adu(3, 1, holds(11)))
    assert took_ns == [0, 0, 30 * MS]


def test_a_connection_that_was_closed_before_it_was_ready_is_not_asked_for_again_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    line = Line(monkeypatch, TCP)
    line.transport.close()
    line.settle()
    line.link._backoff.succeeded()
    line.ask("10", read(10))
    stillborn = Wire(line.link)
    stillborn.connection_made(Transport())
    stillborn.connection_lost(None)
    line.is_opening = False
    line.link.adopt(stillborn)
    assert not line.is_opening
    assert isinstance(line.outcomes["10"], DeviceError)
    assert not line.link.is_open
