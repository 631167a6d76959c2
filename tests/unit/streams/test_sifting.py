"""Every good line gets through, every bad one is put aside with the server's words, and it takes few requests, whatever the server."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.segments import lines_of
from streams.sifting import REQUESTS_MAX, Refusal, Sifting

Server = Callable[[bytes, set[bytes]], Refusal | None]


def good(number: int) -> bytes:
    return b"m,dev=d v=%d.0 %d\n" % (number, number)


def unparsable(number: int) -> bytes:
    return b"m,dev=it's:\\ ' v=nan %d\n" % number


def conflicting(number: int) -> bytes:
    return b"m,dev=d v=%di %d\n" % (number, number)


def _quoted(bad: list[bytes]) -> str:
    return "\n".join(f"unable to parse '{line.decode()[:-1]}': invalid number" for line in bad)


def of_1x(body: bytes, stored: set[bytes]) -> Refusal | None:
    """As a real 1.13 answers, recorded: good lines are kept; what cannot be parsed is not told of beside a conflict of types."""
    lines = lines_of(body)
    unknown = [line for line in lines if b"nan" in line]
    typed = [line for line in lines if b"i " in line]
    rest = [line for line in lines if line not in unknown and line not in typed]
    if unknown and not rest and not typed:
        return Refusal(400, _quoted(unknown))
    stored.update(rest)
    if typed:
        words = 'field type conflict: input field "v" on measurement "m" is type integer, already exists as type float'
        return Refusal(400, f"partial write: {words} dropped={len(typed)} for database: b")
    return Refusal(400, f"partial write: {_quoted(unknown)} dropped=0 for database: b") if unknown else None


def of_2x(body: bytes, stored: set[bytes]) -> Refusal | None:
    """Nothing is kept of a body with one line that cannot be parsed."""
    lines = lines_of(body)
    if unknown := [line for line in lines if b"nan" in line]:
        return Refusal(400, _quoted(unknown))
    typed = [line for line in lines if b"i " in line]
    stored.update(line for line in lines if line not in typed)
    words = 'failure writing points to database: partial write: field type conflict: input field "v" on measurement "m"'
    return Refusal(422, f"{words} is type integer, already exists as type float dropped={len(typed)}") if typed else None


def of_3(body: bytes, stored: set[bytes]) -> Refusal | None:
    """Lines are numbered, the others kept."""
    lines = lines_of(body)
    bad = tuple(number for number, line in enumerate(lines) if b"nan" in line or b"i " in line)
    stored.update(line for number, line in enumerate(lines) if number not in bad)
    return Refusal(400, "partial write of line protocol occurred: line 1: no", bad) if bad else None


def taciturn(body: bytes, stored: set[bytes]) -> Refusal | None:
    """Says nothing that helps, and keeps nothing."""
    lines = lines_of(body)
    if any(b"nan" in line or b"i " in line for line in lines):
        return Refusal(400, "bad request")
    stored.update(lines)
    return None


def sifted(body: bytes, server: Server, bytes_max: int | None = None) -> tuple[set[bytes], Sifting, int]:
    stored: set[bytes] = set()
    sifting, requests = Sifting(body, bytes_max), 0
    while (piece := sifting.piece()) is not None:
        requests += 1
        assert requests < 1_000
        refusal = server(piece, stored)
        if refusal is None:
            sifting.taken()
        else:
            sifting.refused(refusal)
    return stored, sifting, requests


@settings(max_examples=40)
@given(
    kinds=st.lists(st.sampled_from([good, good, good, unparsable, conflicting]), min_size=1, max_size=24),
    server=st.sampled_from([of_1x, of_2x, of_3, taciturn]),
)
def test_good_lines_get_through_and_bad_ones_are_put_aside_once(kinds: list[Callable[[int], bytes]], server: Server) -> None:
    lines = [kind(number) for number, kind in enumerate(kinds)]
    stored, sifting, _ = sifted(b"".join(lines), server)
    assert stored == {line for line, kind in zip(lines, kinds, strict=True) if kind is good}
    assert [letter.line for letter in sifting.in_order()] == [line for line in lines if line not in stored]


@pytest.mark.parametrize("bad", [unparsable, conflicting])
@pytest.mark.parametrize("server", [of_1x, of_2x, of_3])
def test_a_server_that_names_lines_is_asked_a_few_times_however_many_are_bad(server: Server, bad: Callable[[int], bytes]) -> None:
    lines = [(bad if number % 3 else good)(number) for number in range(3_000)]
    stored, sifting, requests = sifted(b"".join(lines), server)
    assert (len(stored), len(sifting.letters)) == (1_000, 2_000)
    assert requests <= 3


def test_a_measurement_of_the_wrong_type_is_found_at_once() -> None:
    lines = [(conflicting if number % 2 else lambda n: b"q,dev=d v=1.0 %d\n" % n)(number) for number in range(2_000)]
    stored, sifting, requests = sifted(b"".join(lines), of_1x)
    assert (len(stored), len(sifting.letters), requests) == (1_000, 1_000, 2)


def test_one_bad_line_that_nobody_names_is_found_by_halving() -> None:
    lines = [good(number) for number in range(5_000)]
    lines[1_234] = unparsable(0)
    stored, sifting, requests = sifted(b"".join(lines), taciturn)
    assert (len(stored), [letter.line for letter in sifting.letters]) == (4_999, [unparsable(0)])
    assert requests <= 27


def test_a_server_that_refuses_everything_is_not_asked_thousands_of_times() -> None:
    body = b"".join(map(good, range(5_000)))
    stored, sifting, requests = sifted(body, lambda _, __: Refusal(400, "bad request"))
    assert (stored, len(sifting.letters), requests) == (set(), 5_000, REQUESTS_MAX)
    assert "not decided after 200 refusals, the last of them: bad request" in sifting.letters[-1].said
    assert not sifting.informed


def test_what_is_too_large_is_halved_and_the_next_body_begins_so() -> None:
    def small(body: bytes, stored: set[bytes]) -> Refusal | None:
        if len(body) > 2_000:
            return Refusal(413, "too large")
        stored.update(lines_of(body))
        return None

    body = b"".join(map(good, range(400)))
    stored, sifting, requests = sifted(body, small)
    assert (len(stored), sifting.letters) == (400, [])
    assert sifting.too_large is not None
    _, again, fewer = sifted(body, small, sifting.too_large - 1)
    assert (again.too_large, fewer < requests) == (None, True)


def test_a_single_line_that_is_too_large_is_put_aside_and_teaches_nothing() -> None:
    _, sifting, _ = sifted(good(1), lambda _, __: Refusal(413, "too large"))
    assert ([letter.line for letter in sifting.letters], sifting.too_large) == ([good(1)], None)


def test_points_before_the_retention_policy_are_put_aside_together() -> None:
    old = [good(number) for number in range(500)]
    said = "partial write: dropped 500 points outside retention policy of duration 720h0m0s - oldest point m dropped=500"
    _, sifting, requests = sifted(b"".join(old), lambda _, __: Refusal(400, said))
    assert (len(sifting.letters), requests, sifting.informed) == (500, 1, True)
