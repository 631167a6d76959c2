"""What is asked for in one go is answered for, each and once, whatever the peer makes of it."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingest.addresses import Manners
from ingest.errors import DeviceError, DeviceLate, DeviceRefused
from ingest.modbus.frames import encode_adu, write_registers_request
from tests.kit.line import RTU, TCP, Line, holds, read, right_or_silent


def line_of(monkeypatch: pytest.MonkeyPatch, **manners: int) -> Line:
    return Line(monkeypatch, TCP, Manners(depth=manners.get("depth", 4)))


def replies(line: Line, *, since: int = 0) -> list[bytes]:
    """Return what a peer answers that knows every register, request by request."""
    return [encode_adu(transaction, 1, holds(register)) for transaction, register in line.asked()[since:]]


def test_replies_that_come_together_are_told_together(monkeypatch: pytest.MonkeyPatch) -> None:
    line = line_of(monkeypatch)
    assert line.ask_together(10, 11, 12)
    assert len(line.transport.written) == 1, "one packet"
    assert line.transport.expects == sum(map(len, replies(line)))
    line.hear(b"".join(replies(line)))
    assert line.rounds == 1
    assert line.outcomes == {"10": b"\0\x0a", "11": b"\0\x0b", "12": b"\0\x0c"}
    assert line.ask_together(20, 21), "and what was heard of the peer lets it be asked again"


def test_replies_that_come_one_by_one_or_in_another_order_are_told_each(monkeypatch: pytest.MonkeyPatch) -> None:
    line = line_of(monkeypatch)
    line.ask_together(10, 11, 12)
    for reply in reversed(replies(line)):
        line.hear(reply)
    assert line.rounds == 0
    assert list(line.outcomes) == ["12", "11", "10"]
    assert right_or_silent(line)


def test_an_exception_among_them_is_one_of_them_only(monkeypatch: pytest.MonkeyPatch) -> None:
    line = line_of(monkeypatch)
    line.ask_together(10, 11, 12)
    first, (transaction, _), last = replies(line)[0], line.asked()[1], replies(line)[2]
    line.hear(first + encode_adu(transaction, 1, b"\x83\x02") + last)
    assert (line.outcomes["10"], line.outcomes["12"]) == (b"\0\x0a", b"\0\x0c")
    assert isinstance(line.outcomes["11"], DeviceRefused)


def test_when_not_all_of_them_come_soon_those_that_came_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    line = line_of(monkeypatch)
    line.ask_together(10, 11)
    assert line.transport.expects > 1
    line.pass_ms(60)
    assert line.transport.expects == 1
    for reply in replies(line):
        line.hear(reply)
    assert len(line.outcomes) == 2


def test_replies_are_not_waited_for_as_one_until_they_are_late(monkeypatch: pytest.MonkeyPatch) -> None:
    line = line_of(monkeypatch)
    line.ask_together(10, 11, timeout_s=0.04)
    line.pass_ms(20)
    assert line.transport.expects == 1
    line.hear(replies(line)[0])
    line.pass_ms(30)
    line.hear(replies(line)[1])
    assert line.outcomes == {"10": b"\0\x0a", "11": b"\0\x0b"}


def test_a_peer_that_is_slow_again_and_again_is_not_waited_for_until_it_was_asked_often(monkeypatch: pytest.MonkeyPatch) -> None:
    line = line_of(monkeypatch)
    patient = []
    for number in range(60):
        line.outcomes.clear()
        since = len(line.asked())
        line.ask_together(10, 11)
        patient.append(line.transport.expects > 1)
        line.pass_ms(60)
        line.hear(b"".join(replies(line, since=since)))
        assert len(line.outcomes) == 2, number
    assert patient[:4] == [True, True, True, False]
    assert any(patient[4:])
    assert sum(patient) < 10


def test_a_peer_that_takes_one_request_from_a_packet_is_asked_again_and_never_so_again(monkeypatch: pytest.MonkeyPatch) -> None:
    line = line_of(monkeypatch)
    line.ask_together(10, 11, 12)
    line.hear(replies(line)[0])
    line.pass_ms(1100)
    assert [register for _, register in line.asked()] == [10, 11, 12, 11, 12]
    for reply in replies(line, since=3):
        line.hear(reply)
    assert right_or_silent(line)
    assert len(line.outcomes) == 3
    assert not any(isinstance(outcome, DeviceError) for outcome in line.outcomes.values())
    assert not line.ask_together(20, 21)
    assert line.link.depth == 4, "it bears several requests, each in a packet of its own"


def test_a_peer_that_says_nothing_at_all_is_late(monkeypatch: pytest.MonkeyPatch) -> None:
    line = line_of(monkeypatch)
    line.ask_together(10, 11)
    line.pass_ms(5000)
    assert isinstance(line.outcomes["10"], DeviceLate)
    assert isinstance(line.outcomes["11"], DeviceError)


def test_a_peer_that_said_nothing_for_a_while_is_asked_in_one_go_again(monkeypatch: pytest.MonkeyPatch) -> None:
    line = line_of(monkeypatch)
    line.ask_together(10, 11)
    line.pass_ms(5000)
    since = len(line.asked())
    line.ask("30", read(30))
    line.hear(replies(line, since=since)[0])
    assert line.outcomes["30"] == b"\0\x1e"
    assert line.ask_together(20, 21), "it was no reply to some of them, but none to any"


def test_a_write_in_between_wakes_us_for_its_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    line = line_of(monkeypatch)
    line.ask_together(10, 11)
    line.ask("write", write_registers_request(1, 40, b"\0\x05"), first=True)
    assert line.transport.expects == 1
    echo = line.transport.written[-1]
    line.hear(b"".join(replies(line)[:2]) + echo)
    assert line.outcomes["write"] == b""
    assert right_or_silent_but(line, "write")


def right_or_silent_but(line: Line, name: str) -> bool:
    del line.outcomes[name]
    return right_or_silent(line)


def test_it_is_not_asked_in_one_go_while_others_wait_or_the_peer_does_not_bear_it(monkeypatch: pytest.MonkeyPatch) -> None:
    line = line_of(monkeypatch, depth=2)
    assert not line.ask_together(10, 11, 12), "more than it bears"
    line.ask("20", read(20))
    assert not line.ask_together(10, 11), "another is on its way"
    assert not Line(monkeypatch, RTU).ask_together(10, 11), "replies that bear no number"
    assert not Line(monkeypatch, TCP, Manners(depth=4, gap_s=0.1)).ask_together(10, 11), "a pause is due after each"


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.sampled_from(["right", "missing", "twice", "another unit", "another register's size", "exception"]), min_size=2, max_size=4
    ),
    st.lists(st.integers(1, 30), max_size=8),
    st.booleans(),
)
def test_whatever_comes_in_whatever_pieces_each_is_told_once_and_no_wrong_value_is(
    monkeypatch: pytest.MonkeyPatch, kinds: list[str], cuts: list[int], reverse: bool
) -> None:
    line = line_of(monkeypatch)
    registers = range(10, 10 + len(kinds))
    assert line.ask_together(*registers)
    said: list[bytes] = []
    for kind, (transaction, register) in zip(kinds, line.asked(), strict=True):
        right = encode_adu(transaction, 1, holds(register))
        said.append(
            {
                "right": right,
                "missing": b"",
                "twice": right + right,
                "another unit": encode_adu(transaction, 2, holds(99)),
                "another register's size": encode_adu(transaction, 1, b"\x03\x04\0\1\0\2"),
                "exception": encode_adu(transaction, 1, b"\x83\x02"),
            }[kind]
        )
    stream = b"".join(reversed(said) if reverse else said)
    for cut in [*cuts, len(stream)]:
        if stream:
            line.hear(stream[:cut])
            stream = stream[cut:]
    line.pass_ms(20_000)
    assert set(line.outcomes) == set(map(str, registers))
    assert right_or_silent(line), line.outcomes
    assert all(isinstance(line.outcomes[str(10 + k)], bytes) for k, kind in enumerate(kinds) if kind in ("right", "twice"))
