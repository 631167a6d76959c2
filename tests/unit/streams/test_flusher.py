"""What is newest goes first, what waited follows at its rate, and nothing is passed over, whatever the server and the process do."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from market.units import NS_PER_S
from streams.influx import Flusher, FlushPace, FlushState, InfluxTarget
from streams.influxapi import LinesRefused, NotNow, Refused
from streams.segments import lines_of
from streams.sifting import Refusal
from streams.spool import Spool
from tests.kit.eventually import eventually_async

BRISK = FlushPace(idle_s=0.005, first_s=0.004, max_s=0.02, refused_s=0.01, backlog_per_s=1e6)


class Hand:
    """A wall clock moved by hand."""

    def __init__(self) -> None:
        self.ns = 1_000 * NS_PER_S

    def __call__(self) -> int:
        return self.ns


class Server:
    """Takes bodies as told, and remembers them."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.asked = 0
        self.answer: Callable[[bytes], Exception | None] = lambda body: None

    async def write(self, body: bytes) -> None:
        self.asked += 1
        if (refusal := self.answer(body)) is not None:
            raise refusal
        self.bodies.append(body)

    async def close(self) -> None:
        pass

    def numbers(self) -> list[int]:
        return [int(line.rsplit(b" ", 1)[1]) for body in self.bodies for line in lines_of(body)]


@pytest.fixture
def clock() -> Hand:
    return Hand()


@pytest.fixture
def spool(tmp_path: Path, clock: Hand) -> Iterator[Spool]:
    opened = Spool(tmp_path / "spool", now_ns=clock)
    yield opened
    opened.close()


def line(number: int) -> bytes:
    return b"m,dev=d v=%d.0 %d\n" % (number, number)


def flusher_of(spool: Spool, server: Server, pace: FlushPace = BRISK) -> Flusher:
    flusher = Flusher(spool, InfluxTarget(url="http://127.0.0.1:9", org="o", bucket="b"), pace, spread=lambda: 0.0)
    flusher._writer = server  # type: ignore[assignment]
    return flusher


def away(_: bytes) -> Exception:
    return NotNow("InfluxDB does not answer")


async def emptied(spool: Spool) -> None:
    await eventually_async("an empty spool", lambda: spool.acked == spool.end)


def flushing(flusher: Flusher, story: Callable[[], object]) -> None:
    async def both() -> None:
        task = asyncio.create_task(flusher.run())
        await story()  # type: ignore[misc]
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(both())


def test_after_an_outage_the_newest_go_first_and_what_waited_follows_in_order(spool: Spool, clock: Hand) -> None:
    server = Server()
    flusher = flusher_of(spool, server)
    server.answer = away

    async def story() -> None:
        for number in range(200):
            spool.append(line(number))
            clock.ns += NS_PER_S
        await eventually_async("attempts", lambda: flusher.status.attempts > 2)
        assert flusher.status.state is FlushState.WAITING
        server.answer = lambda body: None
        await eventually_async("the newest", lambda: 199 in server.numbers())
        spool.append(line(200))
        await emptied(spool)

    flushing(flusher, story)
    numbers = server.numbers()
    assert sorted(set(numbers)) == list(range(201))
    assert min(numbers[:20]) >= 170, "the last half minute goes first"
    waited = [number for number in numbers if number < 170]
    assert waited == list(range(170)), "what waited follows, oldest first, each line once"
    assert (flusher.status.lines_backlog, flusher.status.state) == (170, FlushState.OK)


def test_the_backlog_keeps_to_its_rate_and_new_lines_do_not_wait_for_it(spool: Spool) -> None:
    for number in range(100):
        spool.append(b"".join(line(number * 200 + place) for place in range(200)))
    server = Server()
    flusher = flusher_of(spool, server, FlushPace(idle_s=0.005, backlog_per_s=1.0))

    async def story() -> None:
        await eventually_async("a first piece of the backlog", lambda: bool(server.bodies))
        for number in range(20_000, 20_010):
            spool.append(line(number))
            await eventually_async("it is there at once", lambda: number in server.numbers())  # noqa: B023

    flushing(flusher, story)
    assert flusher.status.lines_backlog <= 5_000, "a second piece would be due in more than an hour"
    assert spool.gap(0, spool.end) is not None


def test_lines_gather_for_a_while_into_one_request(spool: Spool) -> None:
    server = Server()
    flusher = flusher_of(spool, server, FlushPace(idle_s=0.2))

    async def story() -> None:
        for number in range(10):
            spool.append(line(number))
            await asyncio.sleep(0)
        await emptied(spool)

    flushing(flusher, story)
    assert server.asked <= 2, "ten appends within a moment"


@pytest.mark.parametrize(("lines", "each"), [(5_000, line(7)), (3, b'm v="%b" 7\n' % (b"x" * 400_000))])
def test_a_full_request_does_not_wait_for_more(spool: Spool, lines: int, each: bytes) -> None:
    server = Server()
    flusher = flusher_of(spool, server, FlushPace(idle_s=600.0))

    async def story() -> None:
        spool.append(each * lines)
        await eventually_async("a request", lambda: bool(server.bodies))

    flushing(flusher, story)


def test_a_piece_of_the_backlog_that_the_server_cannot_cope_with_holds_up_nothing_else(spool: Spool) -> None:
    for number in range(3):
        spool.append(b"".join(line(number * 5_000 + place) for place in range(5_000)))
    server = Server()
    poison = [True]
    server.answer = lambda body: NotNow("500", about_this=True) if poison[0] and line(5_001) in body else None
    flusher = flusher_of(spool, server)

    async def story() -> None:
        await eventually_async("what is behind it", lambda: 10_001 in server.numbers())
        spool.append(line(20_000))
        await eventually_async("what is new", lambda: 20_000 in server.numbers())
        await eventually_async("it is said", lambda: flusher.status.state is FlushState.WAITING)
        poison[0] = False
        await emptied(spool)

    flushing(flusher, story)
    assert sorted(server.numbers()) == [*range(15_000), 20_000]


def test_a_process_that_ends_anywhere_passes_nothing_over(tmp_path: Path) -> None:
    """Ten lives of the flusher on one spool, with a server that comes and goes; every line arrives, and restarts know what was taken."""
    seed = random.randrange(1 << 32)
    chance, server, number, arrived = random.Random(seed), Server(), 0, 0
    server.answer = lambda body: away(body) if chance.random() < 0.4 else None
    for life in range(10):
        spool, clock = Spool(tmp_path, now_ns=Hand()), Hand()
        spool._now_ns = clock
        flusher = flusher_of(spool, server)
        if life == 9:
            server.answer = lambda body: None

        async def story() -> None:
            nonlocal number
            for _ in range(chance.randrange(5, 30)):
                spool.append(b"".join(map(line, range(number, number + 7))))  # noqa: B023
                number += 7
                clock.ns += NS_PER_S * chance.randrange(10)  # noqa: B023
                await asyncio.sleep(chance.choice([0, 0.002]))
            if life == 9:  # noqa: B023
                await emptied(spool)  # noqa: B023

        flushing(flusher, story)
        spool.close()
        waiting = sum(end - start for start, end in _gaps(tmp_path))
        assert waiting == 0 or life < 9
        arrived = len(server.bodies)
    assert set(server.numbers()) == set(range(number)), f"seed {seed}"
    assert arrived


def _gaps(home: Path) -> Iterator[tuple[int, int]]:
    spool = Spool(home)
    place = 0
    while (gap := spool.gap(place, spool.end)) is not None:
        yield gap
        place = gap[1]
    spool.close()


def test_a_server_that_takes_no_line_at_all_loses_none(spool: Spool) -> None:
    server = Server()
    server.answer = lambda body: LinesRefused(Refusal(400, "<html>bad gateway</html>"))
    flusher = flusher_of(spool, server)

    async def story() -> None:
        spool.append(line(1) + line(2) + line(3))
        await eventually_async("the alarm", lambda: bool(flusher.status.alarm))
        assert "takes no line at all: 400 <html>bad gateway" in flusher.status.alarm
        server.answer = lambda body: None
        await emptied(spool)

    flushing(flusher, story)
    assert not flusher.dead_letters.exists()
    assert sorted(set(server.numbers())) == [1, 2, 3]


def test_lines_that_are_refused_wait_while_they_cannot_be_put_aside(spool: Spool) -> None:
    server = Server()
    server.answer = lambda body: LinesRefused(Refusal(400, "unable to parse 'm,dev=d v=1.0 1': no"))
    flusher = flusher_of(spool, server)
    flusher.dead_letters.mkdir()

    async def story() -> None:
        spool.append(line(1))
        await eventually_async("it is tried again", lambda: flusher.status.retries > 1)
        assert "dead_letters.jsonl cannot be written" in flusher.status.last_error
        assert spool.acked == 0
        flusher.dead_letters.rmdir()
        await emptied(spool)

    flushing(flusher, story)
    assert (flusher.dead_letters.read_text().count("\n"), flusher.status.lines_rejected) == (1, 1)


def test_a_refusal_stops_both_ways_and_is_asked_again_with_everything_kept(spool: Spool) -> None:
    spool.append(line(1))
    server = Server()
    server.answer = lambda body: Refused("401: check the token")
    flusher = flusher_of(spool, server)

    async def story() -> None:
        spool.append(line(2))
        await eventually_async("the alarm", lambda: flusher.status.state is FlushState.REFUSED)
        server.answer = lambda body: None
        await emptied(spool)
        await eventually_async("it is over", lambda: flusher.status.alarm == "")

    flushing(flusher, story)
    assert sorted(server.numbers()) == [1, 2]


def test_how_far_behind_what_is_new_lags(spool: Spool, clock: Hand) -> None:
    flusher = flusher_of(spool, Server())
    assert flusher.lag_s(clock.ns) == 0.0
    spool.append(line(1))
    assert flusher.lag_s(clock.ns + 3 * NS_PER_S) == 3.0


def test_after_an_outage_new_lines_gather_again(spool: Spool, clock: Hand) -> None:
    server = Server()
    flusher = flusher_of(spool, server)
    server.answer = away

    async def story() -> None:
        for number in range(6):
            spool.append(b"".join(line(1_000 * number + i) for i in range(1_000)))
            clock.ns += 31 * NS_PER_S
        await eventually_async("attempts", lambda: flusher.status.attempts > 0)
        server.answer = lambda body: None
        await eventually_async("all of it", lambda: flusher._live.place == spool.end)
        spool.append(line(7_000))
        assert not flusher._is_full(), "one line is no request"

    flushing(flusher, story)
