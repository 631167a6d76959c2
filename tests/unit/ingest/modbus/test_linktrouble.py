"""What a link makes of silence, of a line that breaks, and of what it once found out: trouble passes, and costs the others little."""

from __future__ import annotations

import pytest

from ingest.addresses import Manners
from ingest.errors import DeviceError, DeviceSilent
from ingest.modbus.exchange import Exchange
from ingest.modbus.frames import encode_adu
from ingest.modbus.rtu import encode_rtu
from ingest.source import Source
from market.units import NS_PER_S
from tests.kit.field import Collector, source_into
from tests.kit.line import RTU, SERIAL, TCP, Line, holds, read


def transaction(sent: bytes) -> int:
    return int.from_bytes(sent[:2], "big")


def answer_all(line: Line, *, since: int = 0) -> None:
    for sent in line.transport.written[since:]:
        line.hear(encode_adu(transaction(sent), sent[6], holds(int.from_bytes(sent[8:10], "big"))))


def deepens(line: Line) -> bool:
    """Whether a peer that answers whatever is sent ahead is sent sixteen requests at a time before long."""
    for _ in range(10):
        start = len(line.transport.written)
        for number in range(start, start + 20):
            line.ask(f"{number}", read(number % 900))
        while len(line.transport.written) > start:
            at, start = start, len(line.transport.written)
            answer_all(line, since=at)
        if line.link.depth == 16:
            return True
    return False


def answers_one_at_a_time(line: Line, first: int) -> None:
    """Have a peer answer the first of what is on its way, and nothing else until that is asked again."""
    for register in range(first, first + 6):
        line.ask(str(register), read(register))
    sent = line.transport.written[-6:]
    line.hear(encode_adu(transaction(sent[0]), 1, holds(first)))
    line.pass_ms(1100)
    for register in range(first + 1, first + 6):
        line.hear(encode_adu(transaction(line.transport.written[-1]), 1, holds(register)))


def test_a_peer_that_did_not_bear_requests_ahead_is_tried_again_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    line = Line(monkeypatch, TCP)
    assert deepens(line)
    answers_one_at_a_time(line, 3000)
    assert line.link.depth == 1
    assert [line.outcomes[str(n)] for n in range(3000, 3006)] == [n.to_bytes(2, "big") for n in range(3000, 3006)]
    assert not deepens(line)
    line.pass_ms(11 * 60_000)
    assert deepens(line)
    # Having failed again, it is tried later than before.
    answers_one_at_a_time(line, 6000)
    line.pass_ms(11 * 60_000)
    assert not deepens(line)
    line.pass_ms(11 * 60_000)
    assert deepens(line)


def test_a_unit_that_dies_among_requests_ahead_costs_the_others_no_depth(monkeypatch: pytest.MonkeyPatch) -> None:
    line = Line(monkeypatch, TCP)
    assert deepens(line)
    line.ask("dead", read(10, unit=9))
    for register in range(3000, 3004):
        line.ask(str(register), read(register))
    line.pass_ms(1100)  # a gateway waits for its unit, and the others behind it
    line.pass_ms(1100)  # asked alone it is as silent
    assert isinstance(line.outcomes["dead"], DeviceError)
    assert line.link.depth == 16
    answer_all(line, since=len(line.transport.written) - 4)
    assert [line.outcomes[str(n)] for n in range(3000, 3004)] == [n.to_bytes(2, "big") for n in range(3000, 3004)]


def test_a_unit_known_to_be_silent_leaves_those_behind_it_their_time(monkeypatch: pytest.MonkeyPatch) -> None:
    line = Line(monkeypatch, TCP)
    assert deepens(line)
    dead = source_into(Collector())
    dead.name = "dead"
    line.ask("dead", read(10, unit=9), source=dead)
    line.pass_ms(2200)
    assert isinstance(line.outcomes["dead"], DeviceError)
    line.pass_ms(30_000)
    line.ask("dead again", read(10, unit=9), source=dead)
    line.ask("3000", read(3000))
    line.pass_ms(1100)
    assert line.link.depth == 16
    assert isinstance(line.outcomes["dead again"], DeviceError)
    answer_all(line, since=len(line.transport.written) - 1)
    assert line.outcomes["3000"] == (3000).to_bytes(2, "big")


def test_three_dead_units_in_a_row_on_a_fresh_connection_cost_those_who_wait_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    for address in (TCP, RTU, SERIAL):
        line = Line(monkeypatch, address, Manners(depth=1) if address is TCP else None)
        for unit in (7, 8, 9):
            line.ask(f"dead {unit}", read(10, unit=unit))
        line.ask("11", read(11))
        for _ in range(80):
            line.pass_ms(100)
            line.settle()
            sent = line.transport.written[-1] if line.transport.written else b""
            if address is TCP and sent[6:7] == b"\x01":
                line.hear(encode_adu(transaction(sent), 1, holds(11)))
            elif address is not TCP and sent[:1] == b"\x01" and "11" not in line.outcomes:
                line.hear(encode_rtu(1, holds(11)))
        assert line.outcomes["11"] == b"\0\x0b", address
        assert all(isinstance(line.outcomes[f"dead {unit}"], DeviceError) for unit in (7, 8, 9))


def test_a_peer_that_answers_nobody_is_left_alone_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    line = Line(monkeypatch, TCP, Manners(depth=1))
    for number in range(3):
        line.ask(str(number), read(number))
        line.pass_ms(1100)
    line.settle()
    exchange = Exchange(read(9), line.source, 1.0, lambda *_: None)
    assert isinstance(line.link.submit(exchange), DeviceSilent)


def test_a_serial_line_that_broke_while_a_reply_was_owed_is_left_alone_before_the_next_request(monkeypatch: pytest.MonkeyPatch) -> None:
    line = Line(monkeypatch, SERIAL)
    line.ask("9", read(9))
    line.hear(encode_rtu(1, holds(9)))
    line.ask("10", read(10))
    line.wire.connection_lost(OSError(5, "input/output error"))
    assert isinstance(line.outcomes["10"], DeviceError)
    line.ask("11", read(11))
    line.connect()
    line.hear(encode_rtu(1, holds(10)))  # what was owed comes over the line that is open again
    assert line.transport.written == []
    line.pass_ms(1500)
    assert len(line.transport.written) == 1
    line.hear(encode_rtu(1, holds(11)))
    assert line.outcomes["11"] == b"\0\x0b"


def test_only_replies_in_a_row_that_are_good_lead_to_more_being_sent_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    line = Line(monkeypatch, TCP)
    for register in range(20):
        line.ask(str(register), read(register))
    for register in range(12):
        sent = line.transport.written[-1]
        bad = register % 4 == 3
        line.hear(encode_adu(transaction(sent), 1, holds(register) + b"\0" * bad))
    assert line.link.depth == 1


def test_dead_units_take_a_tenth_of_a_line_at_most_and_are_asked_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twenty dead units and a live one on a serial line; all want to be asked every second, as pollers without a back-off would."""
    line = Line(monkeypatch, SERIAL)
    sources = {unit: Source(f"unit-{unit}", "1", line.clock, Collector().put) for unit in range(1, 22)}
    waiting: set[int] = set()
    asked: dict[int, list[int]] = {unit: [] for unit in sources}
    answers_ns: list[int] = []
    seen = 0

    def done(unit: int) -> None:
        waiting.discard(unit)

    for tick in range(20 * 60 * 10):
        if tick % 10 == 0:
            for unit, source in sources.items():
                if unit in waiting:
                    continue
                exchange = Exchange(read(unit, unit=unit), source, 0.5, lambda *_, unit=unit: done(unit))
                if line.link.submit(exchange) is None:
                    waiting.add(unit)
        for sent in line.transport.written[seen:]:
            seen += 1
            asked[sent[0]].append(line.now_ns)
            if sent[0] == 1:
                line.hear(encode_rtu(1, holds(1)))
                answers_ns.append(line.now_ns)
        line.pass_ms(100)
        seen = min(seen, len(line.transport.written))
    settled = [ns for ns in answers_ns if ns > 120 * NS_PER_S]
    assert len(settled) > 0.85 * 1080
    probes = [sum(ns > 120 * NS_PER_S for ns in times) for unit, times in asked.items() if unit != 1]
    assert sum(probes) * 1.0 <= 0.11 * 1080, "a second each: half of it waited for, half of it left quiet"
    assert min(probes) >= max(probes) - 1 > 0


def test_units_that_fell_silent_together_are_asked_at_once_when_one_is_back(monkeypatch: pytest.MonkeyPatch) -> None:
    line = Line(monkeypatch, SERIAL)
    sources = {unit: Source(f"unit-{unit}", "1", line.clock, Collector().put) for unit in range(1, 13)}

    def ask(unit: int, *, answers: bool) -> bool:
        told: list[object] = []
        line.link._backoff.succeeded()  # whose time is not the test's
        exchange = Exchange(read(unit, unit=unit), sources[unit], 0.5, lambda _, outcome, __: told.append(outcome))
        if line.link.submit(exchange) is not None:
            return False
        for _ in range(300):
            if told:
                return True
            if answers and line.transport.written and line.transport.written[-1][0] == unit and line.wire.owed:
                line.hear(encode_rtu(unit, holds(unit)))
            else:
                line.pass_ms(100)
        raise AssertionError("nobody is told")

    for unit in sources:
        assert ask(unit, answers=True)
        sources[unit].polls += 1
    for _ in range(2):
        for unit in sources:
            ask(unit, answers=False)
    line.pass_ms(30_000)
    assert not ask(12, answers=True), "the others were there a moment ago: it waits for its turn"
    back = next(unit for unit in sources if ask(unit, answers=True))
    assert back
    assert all(ask(unit, answers=True) for unit in sources)
