"""The three write addresses, gzip, and buckets that are made: 1.x on a real server, 2.x and 3 as their documentation says they answer.

Nothing here proves anything about a real InfluxDB 3: none was at hand. What the recorded server says was copied in form from the
documentation of 3 Core (write_lp, configure/database) and of 2.x (buckets, orgs).
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp import web
from typer.testing import CliRunner

from console.cli import app
from streams.errors import SinkRejected, SinkUnavailable
from streams.influx import Flusher, FlushPace, FlushState
from streams.influxapi import Api, InfluxTarget, InfluxWriter, LinesRefused, Refused
from streams.influxfile import Bucket
from streams.influxprepare import prepare
from streams.segments import lines_of
from streams.spool import Spool
from tests.kit.eventually import eventually_async
from tests.kit.influx import Influxd, influxd
from tests.kit.scripted import Asked, scripted
from tests.unit.streams.test_settings import POINTS, WHOLE

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Influxd]:
    with influxd(tmp_path_factory.mktemp("influx")) as running:
        yield running


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    opened = Spool(tmp_path / "spool")
    yield opened
    opened.close()


def lines(first: int, count: int) -> bytes:
    return b"".join(b"m,dev=d v=%d.0 %d\n" % (n, n) for n in range(first, first + count))


def count(server: Influxd, database: str, source: str = '"m"') -> int:
    series = server.query(f'SELECT count("v") FROM {source}', database)
    return int(series[0]["values"][0][1]) if series else 0


def written(target: InfluxTarget, body: bytes) -> None:
    async def story() -> None:
        writer = InfluxWriter(target, 5.0)
        try:
            await writer.write(body)
        finally:
            await writer.close()

    asyncio.run(story())


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("api", [Api.V1, Api.V2])
def test_a_real_1x_takes_both_addresses(server: Influxd, spool: Spool, api: Api, zipped: bool) -> None:
    database = f"both_{api}_{zipped}"
    server.create(database)
    spool.append(lines(0, 12_000) + b"m,dev=d v=nan 77\n")
    flusher = Flusher(spool, InfluxTarget(url=server.url, org="grid", bucket=database, api=api, gzip=zipped))
    asyncio.run(flusher.drain())
    assert count(server, database) == 12_000
    assert flusher.status.lines_rejected == 1
    assert flusher.status.requests == 3, "the server quotes the bad line and keeps the others: nothing is halved"


@pytest.mark.parametrize("api", [Api.V1, Api.V2])
def test_a_retention_policy_that_is_missing_is_an_alarm_and_not_waited_out(server: Influxd, api: Api) -> None:
    """1.x says so with a 500."""
    server.create("policies")
    target = InfluxTarget(url=server.url, org="grid", bucket=f"policies/raw_{api}", api=api)
    with pytest.raises(Refused, match=r"retention policy not found.*gridfuse influx prepare"):
        written(target, lines(0, 1))
    assert "was made and keeps lines for 720 h" in prepare(Bucket(target=target, keep_s=720 * 3_600))
    written(target, b"m,dev=d v=1.0 %d\n" % time.time_ns())
    assert count(server, "policies", f'"raw_{api}"."m"') == 1


def test_types_that_conflict_on_a_real_server_take_few_requests(server: Influxd, spool: Spool) -> None:
    server.create("types")
    spool.append(b"m,dev=d v=1.0 1\n")
    bad = b"".join(b"m,dev=d v=%di %d\n" % (n, n) for n in range(10, 1_010))
    spool.append(bad + b"".join(b"q,dev=d v=%d.0 %d\n" % (n, n) for n in range(500)) + b"q,dev=d v=nan 9\n")
    flusher = Flusher(spool, InfluxTarget(url=server.url, org="grid", bucket="types"))
    asyncio.run(flusher.drain())
    assert count(server, "types", '"q"') == 500
    assert (flusher.status.lines_rejected, flusher.status.lines_sent) == (1_001, 501)
    assert flusher.status.requests <= 4


def test_buckets_of_a_1x_server_are_made_once_and_never_changed(server: Influxd) -> None:
    bucket = Bucket(target=InfluxTarget(url=server.url, org="", bucket="kept", api=Api.V2), keep_s=None)
    assert "was made and keeps lines for ever" in prepare(bucket)
    assert "is there and keeps lines for ever" in prepare(bucket)
    raw = replace(bucket, target=replace(bucket.target, bucket="kept_raw"), keep_s=48 * 3_600)
    assert "was made" in prepare(raw)
    assert "is there" in prepare(raw)
    with pytest.raises(SinkRejected, match=r"keeps for 48 h, configured is for 24 h; .*ALTER RETENTION POLICY .* DURATION 24h"):
        prepare(replace(raw, keep_s=24 * 3_600))
    assert [row[1] for row in server.query('SHOW RETENTION POLICIES ON "kept_raw"')[0]["values"]] == ["48h0m0s"]


def test_the_command_makes_every_bucket_of_the_settings(server: Influxd, tmp_path: Path) -> None:
    (tmp_path / "points.yaml").write_text(POINTS, encoding="utf-8")
    influx = f"influx: {{url: '{server.url}', bucket: commanded, raw_bucket: commanded_raw}}\n"
    (tmp_path / "gridfuse.yaml").write_text(WHOLE + influx, encoding="utf-8")
    command = ["influx", "prepare", "--config", str(tmp_path / "gridfuse.yaml")]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.stderr
    assert done.stdout.count("was made") == 2
    assert CliRunner().invoke(app, command).stdout.count("is there") == 2
    (tmp_path / "gridfuse.yaml").write_text(WHOLE + influx.replace("}", ", raw_keep: 2h}"), encoding="utf-8")
    done = CliRunner().invoke(app, command)
    assert (done.exit_code, "ALTER RETENTION POLICY" in done.stderr) == (1, True)


def test_a_server_that_is_away_cannot_be_prepared() -> None:
    target = InfluxTarget(url="http://127.0.0.1:9", org="", bucket="b")
    with pytest.raises(SinkUnavailable, match="does not answer"):
        prepare(Bucket(target=target, keep_s=None))


# ── as documented ────────────────────────────────────────────────────────────────────────────────────────────────────

Answer = Callable[[Asked], Awaitable[web.Response]]


def of_3_core(stored: list[bytes]) -> Answer:
    """What 3 Core's documentation says about ``write_lp`` with ``accept_partial``: bad lines are numbered, the others stored."""

    async def answer(asked: Asked) -> web.Response:
        if asked.headers.get("Authorization") != "Bearer apiv3_secret":
            return web.json_response({"error": "the request was not authenticated"}, status=401)
        body = asked.body  # aiohttp has unpacked what was gzipped
        bad = []
        for number, line in enumerate(lines_of(body), start=1):
            if b"nan" in line:
                bad.append({"original_line": line.decode().strip(), "line_number": number, "error_message": "invalid number"})
            else:
                stored.append(line)
        if bad:
            return web.json_response({"error": "partial write of line protocol occurred", "data": bad}, status=400)
        return web.Response(status=204)

    return answer


@pytest.mark.parametrize("zipped", [False, True])
def test_the_write_address_of_3_as_documented(spool: Spool, tmp_path: Path, zipped: bool) -> None:
    stored: list[bytes] = []
    (tmp_path / "token").write_text("apiv3_secret\n")
    spool.append(lines(0, 300) + b"m,dev=d v=nan 7\n" + lines(300, 300) + b"m,dev=d v=nan 8\n")

    async def story() -> tuple[Flusher, list[Asked]]:
        async with scripted(of_3_core(stored)) as server:
            target = InfluxTarget(url=server.url, org="", bucket="grid", token_file=tmp_path / "token", api=Api.V3, gzip=zipped)
            flusher = Flusher(spool, target)
            await flusher.drain()
            return flusher, server.asked

    flusher, asked = asyncio.run(story())
    assert set(stored) == set(lines_of(lines(0, 600)))
    letters = [json.loads(each) for each in flusher.dead_letters.read_text().splitlines()]
    assert [letter["line"] for letter in letters] == ["m,dev=d v=nan 7", "m,dev=d v=nan 8"]
    assert "line 301: invalid number" in letters[0]["said"]
    assert asked[0].path == "/api/v3/write_lp"
    assert asked[0].query == {"db": "grid", "precision": "nanosecond", "accept_partial": "true"}
    assert len(asked) == 2


def test_a_token_that_3_does_not_know_is_an_alarm_until_it_is_mended(spool: Spool, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("old")
    stored: list[bytes] = []

    async def story() -> Flusher:
        async with scripted(of_3_core(stored)) as server:
            target = InfluxTarget(url=server.url, org="", bucket="grid", token_file=tmp_path / "token", api=Api.V3)
            flusher = Flusher(spool, target, FlushPace(idle_s=0.01, refused_s=0.05))
            spool.append(lines(0, 3))
            task = asyncio.create_task(flusher.run())
            await eventually_async("the alarm", lambda: flusher.status.state is FlushState.REFUSED)
            (tmp_path / "token").write_text("apiv3_secret")
            await eventually_async("they are stored", lambda: len(stored) == 3)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            return flusher

    asyncio.run(story())


def test_a_body_that_3_cannot_read_at_all_is_no_partial_write() -> None:
    async def answer(asked: Asked) -> web.Response:
        data = {"original_line": "m,dev=d v=nan 1", "line_number": 1, "error_message": "invalid number"}
        return web.json_response({"error": "parsing failed for write_lp endpoint", "data": data}, status=400)

    async def story() -> None:
        async with scripted(answer) as server:
            writer = InfluxWriter(InfluxTarget(url=server.url, org="", bucket="grid", api=Api.V3), 5.0)
            try:
                await writer.write(b"m,dev=d v=nan 1\n")
            finally:
                await writer.close()

    with pytest.raises(LinesRefused) as told:
        asyncio.run(story())
    assert told.value.refusal.numbers == (0,)


def of_2x(buckets: dict[str, int], *, may_make: bool = True) -> Answer:
    """The buckets and organisations of 2.x, as its API documentation describes them."""

    async def answer(asked: Asked) -> web.Response:
        match asked.path:
            case "/ping":
                return web.Response(status=204, headers={"X-Influxdb-Version": "v2.9.1"})
            case "/api/v2/orgs":
                return web.json_response({"orgs": [{"id": "0a", "name": "grid"}] if asked.query["org"] == "grid" else []})
            case "/api/v2/buckets" if asked.body:
                if not may_make:
                    return web.json_response({"code": "forbidden", "message": "insufficient permissions for write"}, status=403)
                wanted = json.loads(asked.body)
                assert wanted["orgID"] == "0a"
                buckets[wanted["name"]] = wanted["retentionRules"][0]["everySeconds"] if wanted["retentionRules"] else 0
                return web.json_response(wanted, status=201)
            case "/api/v2/buckets":
                name = asked.query["name"]
                if name not in buckets:
                    return web.json_response({"code": "not found", "message": f'bucket "{name}" not found'}, status=404)
                rule = {"type": "expire", "everySeconds": buckets[name]}
                return web.json_response({"buckets": [{"id": "0b", "name": name, "retentionRules": [rule]}]})
            case _:
                return web.Response(status=404)

    return answer


async def prepared(answer: Answer, keep_s: int | None, org: str = "grid", name: str = "raw") -> str:
    async with scripted(answer) as server:
        return await asyncio.to_thread(prepare, Bucket(target=InfluxTarget(url=server.url, org=org, bucket=name), keep_s=keep_s))


def test_buckets_of_2x_as_documented() -> None:
    buckets = {"old": 0}
    assert "was made and keeps lines for 720 h" in asyncio.run(prepared(of_2x(buckets), 720 * 3_600))
    assert buckets == {"old": 0, "raw": 720 * 3_600}
    assert "is there" in asyncio.run(prepared(of_2x(buckets), 720 * 3_600))
    assert "for ever" in asyncio.run(prepared(of_2x(buckets), None, name="old"))
    with pytest.raises(SinkRejected, match=r"influx bucket update --id 0b --retention 24h"):
        asyncio.run(prepared(of_2x(buckets), 24 * 3_600))
    with pytest.raises(SinkRejected, match=r"shows no organisation 'else'"):
        asyncio.run(prepared(of_2x({}), None, org="else"))
    with pytest.raises(SinkRejected, match=r"403 .*insufficient.*run: influx bucket create --name raw --org grid --retention 24h"):
        asyncio.run(prepared(of_2x({}, may_make=False), 24 * 3_600))


def test_databases_of_3_as_documented() -> None:
    made: list[dict[str, str]] = []

    async def answer(asked: Asked) -> web.Response:
        if asked.path == "/ping":
            return web.json_response({"version": "3.11.2"}, headers={"x-influxdb-version": "3.11.2"})
        wanted = json.loads(asked.body)
        if wanted in made:
            return web.json_response({"error": "attempted to create a resource that already exists"}, status=409)
        if wanted["db"] == "forbidden":
            return web.Response(status=403)
        made.append(wanted)
        return web.Response(status=200)

    assert "was made" in asyncio.run(prepared(answer, 720 * 3_600))
    assert made == [{"db": "raw", "retention_period": "720h"}]
    assert "is there" in asyncio.run(prepared(answer, 720 * 3_600))
    with pytest.raises(SinkRejected, match=r"influxdb3 create database --retention-period 24h forbidden"):
        asyncio.run(prepared(answer, 24 * 3_600, name="forbidden"))
