"""Everything that was spooled is in InfluxDB at the end, whatever the server, the network and the process did meanwhile."""

from __future__ import annotations

import asyncio
import json
import math
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from aiohttp import web
from typer.testing import CliRunner

from console.spool import register
from ingest.frame import frame_of, point_id
from ingest.points import PointSpec, PointTable
from streams.errors import SinkRejected, SinkUnavailable
from streams.influx import Flusher, FlushPace, FlushState, InfluxTarget
from streams.spool import Spool
from streams.telemetrylines import TelemetryEncoder
from tests.kit.eventually import eventually, eventually_async
from tests.kit.influx import Influxd, influxd
from tests.kit.scripted import Asked, Scripted, scripted

pytestmark = pytest.mark.integration

ROOT = Path(__file__).resolve().parents[2]
BRISK = FlushPace(idle_s=0.01, first_s=0.02, max_s=0.1, refused_s=0.05, timeout_s=2.0)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Influxd]:
    with influxd(tmp_path_factory.mktemp("influx")) as running:
        yield running


@pytest.fixture
def bucket(server: Influxd, request: pytest.FixtureRequest) -> str:
    name = str(request.node.name).replace("[", "-").rstrip("]")
    server.create(name)
    return name


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    opened = Spool(tmp_path / "spool")
    yield opened
    opened.close()


def lines(first: int, count: int, measurement: str = "m") -> bytes:
    return b"".join(b"%b,dev=d v=%d.0 %d\n" % (measurement.encode(), n, n) for n in range(first, first + count))


def count(server: Influxd, bucket: str, measurement: str = "m") -> int:
    series = server.query(f'SELECT count("v") FROM "{measurement}"', bucket)
    return int(series[0]["values"][0][1]) if series else 0


def to(server: Influxd | Scripted, bucket: str) -> InfluxTarget:
    return InfluxTarget(url=server.url, org="grid", bucket=bucket)


def letters(flusher: Flusher) -> list[dict[str, Any]]:
    return [json.loads(line) for line in flusher.dead_letters.read_text(encoding="utf-8").splitlines()]


async def flushing(flusher: Flusher, then: Coroutine[Any, Any, None]) -> None:
    """Run the flusher while ``then`` runs."""
    task = asyncio.create_task(flusher.run())
    try:
        await then
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def test_a_spool_is_drained_into_a_real_server(server: Influxd, bucket: str, spool: Spool) -> None:
    for first in range(0, 23_000, 2_300):
        spool.append(lines(first, 2_300))
    flusher = Flusher(spool, to(server, bucket))
    asyncio.run(flusher.drain())
    assert count(server, bucket) == 23_000
    assert spool.acked == spool.end
    assert (flusher.status.lines_sent, flusher.status.state) == (23_000, FlushState.OK)
    assert flusher.status.requests == math.ceil(10 / 2)


def test_awkward_names_come_back_as_they_were(server: Influxd, bucket: str, spool: Spool) -> None:
    names = ["unit/广东 1, A=B/mw", 'unit/quote"d/mw', "unit/back\\slash/mw", "unit/#1/mw", "unit/a\\,b/mw"]
    table = PointTable([PointSpec(name=name, area="南方, 区", device="rtu=1 x", period_ns=1) for name in names])
    frame = frame_of("rtu=1 x", "南方, 区", 1, 0, [(point_id(name), 10**18, 1.5 + i, 0, 0) for i, name in enumerate(names)])
    spool.append(TelemetryEncoder(table).encode(frame).data)
    asyncio.run(Flusher(spool, to(server, bucket)).drain())
    found = server.query('SELECT "mw" FROM "telemetry" GROUP BY *', bucket)
    assert {series["tags"]["element"]: series["values"][0][1] for series in found} == {
        n.split("/")[1]: 1.5 + i for i, n in enumerate(names)
    }
    assert {(series["tags"]["area"], series["tags"]["dev"], series["tags"]["kind"]) for series in found} == {
        ("南方, 区", "rtu=1 x", "unit")
    }


def test_lines_a_real_server_refuses_are_found_and_kept_with_its_words(server: Influxd, bucket: str, spool: Spool) -> None:
    spool.append(lines(0, 1_000) + b"m,dev=d v=nan 77\n" + lines(1_000, 500) + b"m,dev=d v=5i 1700\n" + lines(1_500, 10))
    flusher = Flusher(spool, to(server, bucket))
    asyncio.run(flusher.drain())
    assert count(server, bucket) == 1_510
    nan, conflict = letters(flusher)
    assert (nan["line"], nan["status"]) == ("m,dev=d v=nan 77", 400)
    assert "invalid number" in nan["said"]
    assert conflict["line"] == "m,dev=d v=5i 1700"
    assert "field type conflict" in conflict["said"]
    assert flusher.status.lines_rejected == 2


def test_a_database_that_is_missing_raises_the_alarm_until_it_exists(server: Influxd, spool: Spool) -> None:
    spool.append(lines(0, 10))
    flusher = Flusher(spool, to(server, "later"), BRISK)

    async def story() -> None:
        await eventually_async("the alarm", lambda: bool(flusher.status.alarm))
        assert flusher.status.state is FlushState.REFUSED
        assert "'later'" in flusher.status.alarm
        assert "database not found" in flusher.status.alarm
        spool.append(lines(10, 10))
        await asyncio.to_thread(server.create, "later")
        await eventually_async("all lines accepted", lambda: spool.acked == spool.end)

    asyncio.run(flushing(flusher, story()))
    assert count(server, "later") == 20
    assert (flusher.status.alarm, flusher.status.state) == ("", FlushState.OK)


def test_a_server_that_takes_small_requests_only_gets_small_ones(tmp_path: Path, spool: Spool) -> None:
    with influxd(tmp_path / "influx", body_max=20_000) as small:
        small.create("b")
        spool.append(lines(0, 4_000))
        asyncio.run(Flusher(spool, to(small, "b")).drain())
        assert count(small, "b") == 4_000


def test_draining_into_nothing_says_so_and_keeps_everything(tmp_path: Path, spool: Spool) -> None:
    spool.append(lines(0, 10))
    flusher = Flusher(spool, InfluxTarget(url="http://127.0.0.1:9", org="o", bucket="b"))
    with pytest.raises(SinkUnavailable, match=r"InfluxDB at http://127\.0\.0\.1:9 does not answer"):
        asyncio.run(flusher.drain())
    assert (spool.acked, flusher.status.state) == (0, FlushState.WAITING)


Answer = Callable[[Asked], Awaitable[web.Response]]


def against(spool: Spool, answer: Answer, pace: FlushPace = BRISK) -> tuple[Flusher, list[Asked]]:
    """Flush the spool until it is empty against a server that answers as told."""
    made: list[Flusher] = []
    asked: list[Asked] = []

    async def story() -> None:
        async with scripted(answer) as server:
            flusher = Flusher(spool, to(server, "b"), pace, spread=lambda: 0.0)
            made.append(flusher)
            await flushing(flusher, eventually_async("an empty spool", lambda: spool.acked == spool.end))
            asked.extend(server.asked)

    asyncio.run(story())
    return made[0], asked


def answering(*statuses: int, headers: dict[str, str] | None = None) -> Answer:
    """Answer with each status in turn, then 204."""
    left = list(statuses)

    async def answer(asked: Asked) -> web.Response:
        return web.Response(status=left.pop(0), headers=headers) if left else web.Response(status=204)

    return answer


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_not_now_is_asked_again(spool: Spool, status: int) -> None:
    spool.append(lines(0, 3))
    flusher, asked = against(spool, answering(status, status))
    assert [request.body for request in asked] == [lines(0, 3)] * 3
    assert (flusher.status.retries, flusher.status.attempts, flusher.status.lines_sent) == (2, 0, 3)


@pytest.mark.parametrize("status", [401, 403, 404, 405])
def test_a_refusal_waits_for_a_person_and_goes_on_when_it_ends(spool: Spool, status: int) -> None:
    spool.append(lines(0, 3))
    flusher, asked = against(spool, answering(status))
    assert len(asked) == 2
    assert f": {status} " in flusher.status.last_error
    assert flusher.status.alarm == ""


def test_a_yes_that_is_not_influxdbs_is_no_yes(spool: Spool) -> None:
    spool.append(lines(0, 3))
    flusher, asked = against(spool, answering(200))
    assert len(asked) == 2
    assert "login page" in flusher.status.last_error


def test_retry_after_is_honoured(spool: Spool) -> None:
    spool.append(lines(0, 3))
    began_s = time.monotonic()
    against(spool, answering(503, headers={"Retry-After": "1"}))
    assert time.monotonic() - began_s >= 1.0


def test_a_server_that_hangs_is_given_up_after_the_timeout(spool: Spool) -> None:
    spool.append(lines(0, 3))
    hung = asyncio.Event()

    async def answer(asked: Asked) -> web.Response:
        if not hung.is_set():
            hung.set()
            await asyncio.sleep(60)
        return web.Response(status=204)

    flusher, asked = against(spool, answer, FlushPace(idle_s=0.01, first_s=0.02, timeout_s=0.2))
    assert len(asked) == 2
    assert "does not answer" in flusher.status.last_error


def test_a_server_that_refuses_whole_bodies_gets_every_good_line(spool: Spool) -> None:
    """InfluxDB 2 keeps nothing of a body with one bad line; 1.x, run above, keeps the good ones."""
    stored: Counter[bytes] = Counter()

    async def answer(asked: Asked) -> web.Response:
        if b"nan" in asked.body:
            return web.json_response({"code": "invalid", "message": "invalid number"}, status=400)
        stored.update(asked.body.splitlines())
        return web.Response(status=204)

    spool.append(lines(0, 700) + b"m v=nan 1\n" + lines(700, 300) + b"m v=nan 2\n")
    flusher, asked = against(spool, answer)
    assert stored == Counter(lines(0, 1_000).splitlines())
    assert [letter["line"] for letter in letters(flusher)] == ["m v=nan 1", "m v=nan 2"]
    # Each of the two is found in two requests per halving of 1002 lines.
    assert len(asked) <= 1 + 2 * 2 * math.ceil(math.log2(1_002))


def test_the_request_is_the_write_address_of_2x(spool: Spool, tmp_path: Path) -> None:
    spool.append(lines(0, 1))
    (tmp_path / "token").write_text("s3cret")

    async def story() -> Asked:
        async with scripted(answering()) as server:
            await Flusher(spool, InfluxTarget(url=server.url, org="grid", bucket="b", token_file=tmp_path / "token")).drain()
            return server.asked[0]

    asked = asyncio.run(story())
    assert asked.path == "/api/v2/write"
    assert asked.query == {"org": "grid", "bucket": "b", "precision": "ns"}
    assert asked.headers["Authorization"] == "Token s3cret"


def test_draining_against_a_refusal_ends(spool: Spool) -> None:
    spool.append(lines(0, 1))

    async def story() -> None:
        async with scripted(answering(401)) as server:
            await Flusher(spool, to(server, "b")).drain()

    with pytest.raises(SinkRejected, match="check the token"):
        asyncio.run(story())


def test_the_event_loop_is_never_held_up(server: Influxd, bucket: str, spool: Spool) -> None:
    """While 200,000 lines are sent, nothing else in the loop waits longer than a frame of the board would notice."""
    for first in range(0, 200_000, 5_000):
        spool.append(lines(first, 5_000))
    longest_s = 0.0

    async def story() -> None:
        nonlocal longest_s

        async def watch() -> None:
            nonlocal longest_s
            while True:
                began_s = time.perf_counter()
                await asyncio.sleep(0)
                longest_s = max(longest_s, time.perf_counter() - began_s)

        watcher = asyncio.create_task(watch())
        await Flusher(spool, to(server, bucket)).drain()
        watcher.cancel()

    asyncio.run(story())
    assert count(server, bucket) == 200_000
    assert longest_s < 1.0


PRODUCER = """
import asyncio, sys
from pathlib import Path
from streams.influx import Flusher, FlushPace, InfluxTarget
from streams.segments import lines_of, list_segments
from streams.spool import Spool, SpoolLimits

home, url, last = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
spool = Spool(home, SpoolLimits(segment_bytes=50_000, bytes_max=1 << 30))
number, place = 0, list_segments(home)[0].base
while (chunk := spool.read(place)) is not None:
    number, place = int(lines_of(chunk.data)[-1].rsplit(b" ", 1)[1]) + 1, chunk.end

async def main():
    global number
    target = InfluxTarget(url=url, org="o", bucket="killed")
    flusher = asyncio.create_task(Flusher(spool, target, FlushPace(idle_s=0.01, first_s=0.05, max_s=0.2, timeout_s=2.0)).run())
    while number < last or spool.acked < spool.end:
        if number < last:
            batch = min(1 + number % 23, last - number)
            spool.append(b"".join(b"m,dev=d v=%d.0 %d\\n" % (n, n) for n in range(number, number + batch)))
            number += batch
        await asyncio.sleep(0.001)
    flusher.cancel()

asyncio.run(main())
spool.close()
"""


@pytest.mark.slow  # Six processes are started and the server is killed and restarted twice.
def test_nothing_is_lost_when_writer_and_server_are_killed(tmp_path: Path) -> None:
    """The writer is killed five times and the server twice, at random; at the end a query counts what was produced, each once."""
    total, seed = 60_000, random.randrange(1 << 32)
    chance = random.Random(seed)
    with influxd(tmp_path / "influx") as server:
        server.create("killed")
        command = [sys.executable, "-c", PRODUCER, str(tmp_path / "spool"), server.url, str(total)]
        for life in range(5):
            with subprocess.Popen(command, cwd=ROOT) as process:
                lock = tmp_path / "spool" / "lock"
                eventually("the writer's spool", lambda: lock.exists() or process.poll() is not None)  # noqa: B023
                if life in {1, 3}:
                    server.kill()
                # Instants of death are drawn, not waited for.
                time.sleep(chance.uniform(0.6, 1.4))
                process.send_signal(signal.SIGKILL)
            if life in {2, 3}:
                server.start()
        assert 0 < count(server, "killed") < total, "the deaths must fall into the middle of the work"
        done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        assert count(server, "killed") == total, f"seed {seed}"
        assert not (tmp_path / "spool" / "dead_letters.jsonl").exists()


def test_gridfuse_spool_drain(server: Influxd, bucket: str, spool: Spool) -> None:
    spool.append(lines(0, 7) + b"m,dev=d v=nan 9\n")
    spool.close()
    app = typer.Typer()
    register(app)
    command = ["spool", "drain", "--dir", str(spool.directory), "--url", server.url, "--bucket", bucket]
    result = CliRunner().invoke(app, command)
    assert count(server, bucket) == 7
    assert (result.exit_code, "refused: 1 lines, kept in" in result.stderr) == (1, True)
    again = CliRunner().invoke(app, command)
    assert (again.exit_code, again.stdout) == (0, f"sent 0 lines, 0 bytes in 0 requests to {server.url}\n")
