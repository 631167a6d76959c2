"""Each look says what it found, with the offender; nothing that is looked at is changed."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sqlite3
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from console.api import ApiServer, build_api
from console.board.state import BoardState
from console.checks import stores
from console.cli import app
from ingest.clock import SimulatedClock
from market.decisions import GENESIS, FindingNoted, chained
from market.rules import GUANGDONG_2023
from streams.ledger import Ledger
from streams.spool import Spool
from streams.topics import TOPICS
from streams.transport.log import Log
from streams.transport.schema import FILE_NAME
from tests.kit.board_feed import SCENES
from tests.kit.cli import CliRunner, Result
from tests.kit.field import free_port

pytestmark = pytest.mark.integration  # real stores, real ports

POINTS = """\
maps:
  feeder:
    every: 4s
    points: {"unit/{unit}/mw": {reg: input 0, type: float32, unit: MW}}
devices:
  - {name: rtu-1, area: "1", url: "modbus+tcp://127.0.0.1:502", unit: 1, map: feeder, vars: {unit: 101_CT_1}}
"""

Row = dict[str, Any]


class Site:
    """A service's directory: settings, points, and the stores as a service would leave them."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.port = free_port()
        (home / "points.yaml").write_text(POINTS, encoding="utf-8")
        self.settle()

    @property
    def data(self) -> Path:
        return self.home / "kept"

    def settle(self, *more: str, port: int | None = None) -> None:
        self.port = self.port if port is None else port
        lines = ["data: kept", "points: points.yaml", "network: {rts_gmlc: shipped}", f"http: {{port: {self.port}}}", *more]
        if not any(line.startswith("market:") for line in more):
            lines.append("market: {top_voltage_kv: 230}")
        (self.home / "gridfuse.yaml").write_text("\n".join(lines) + "\n", encoding="utf-8")

    def fill(self) -> None:
        """Have every store there and sound."""
        self.log().close()
        ledger = Ledger(f"sqlite:///{self.data / 'ledger.sqlite'}")
        prev_hash, chain = GENESIS, []
        for seq in (1, 2, 3):
            body = FindingNoted(finding="SOURCE_DOWN", article="policy", evidence=(f"scada {seq}",))
            chain.append(chained(body, seq=seq, ts_event_ns=seq, rule_set="gd/r1", prev_hash=prev_hash))
            prev_hash = chain[-1].hash
        ledger.record_decisions(chain)
        ledger.close()
        spool = Spool(self.data / "spool")
        spool.append(b"kpi load_mw=1.0 1\n")
        spool.close()

    def log(self) -> Log:
        log = Log(self.data / "log")
        for topic in TOPICS:
            log.declare(topic.name, partitions=topic.partitions)
        for number in range(5):
            log.append("market.facts.v1", 0, b"market", b"%d" % number)
        log.wait(log.last_ticket, 5)
        return log

    def examine(self, *options: str) -> tuple[Result, dict[str, Row]]:
        """Run the command; rows by name, of several the worst."""
        result = CliRunner().invoke(app, ["doctor", "--config", str(self.home / "gridfuse.yaml"), "--json", *options])
        rows = json.loads(result.stdout)["checks"]
        order = ("ok", "warn", "fail")
        return result, {row["check"]: row for row in sorted(rows, key=lambda row: order.index(row["level"]))}


@pytest.fixture
def site(tmp_path: Path) -> Site:
    home = tmp_path / "our grid"
    home.mkdir()
    return Site(home)


@pytest.fixture
def filled(site: Site) -> Site:
    site.fill()
    return site


def levels(rows: dict[str, Row]) -> dict[str, str]:
    return {name: row["level"] for name, row in rows.items()}


def contents(directory: Path) -> dict[str, bytes]:
    """Every file but SQLite's working files, which any reader makes."""
    return {str(path): path.read_bytes() for path in directory.rglob("*") if path.is_file() and not path.name.endswith(("-shm", "-wal"))}


# ── the whole ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_all_is_well_and_nothing_was_changed(filled: Site) -> None:
    before = contents(filled.data)
    result, rows = filled.examine()
    assert set(levels(rows).values()) == {"ok"}, result.stdout
    assert set(rows) == {"settings", "points", "network", "data", "log", "topics", "records", "ledger", "spool", "http"}
    assert result.exit_code == 0
    assert rows["records"]["facts"] == {"records": 5}
    assert rows["ledger"]["facts"] == {"decisions": 3}
    assert contents(filled.data) == before


def test_for_people_it_is_a_line_each(filled: Site) -> None:
    with sqlite3.connect(filled.data / "ledger.sqlite") as db:
        db.execute("DELETE FROM decisions WHERE seq = 2")
    db.close()
    result = CliRunner().invoke(app, ["doctor", "--config", str(filled.home / "gridfuse.yaml")])
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert lines[0].startswith("OK    settings  ")
    assert [line.split()[1] for line in lines if line.startswith("FAIL")] == ["ledger"]
    assert "breaks at decision 3, which follows decision 1: decision 2 is missing" in result.stdout


def test_before_the_first_start_nothing_fails_and_nothing_is_made(site: Site) -> None:
    result, rows = site.examine()
    assert result.exit_code == 0
    assert {name for name, level in levels(rows).items() if level != "ok"} == {"log", "ledger", "spool"}
    assert not site.data.exists()


def test_settings_that_cannot_be_used_are_named_with_their_line(site: Site) -> None:
    site.settle("tick: 7s")
    result, rows = site.examine()
    assert result.exit_code == 2
    assert "gridfuse.yaml:5" in rows["settings"]["what"]


def test_a_network_that_cannot_be_read_fails_alone(filled: Site) -> None:
    settings = filled.home / "gridfuse.yaml"
    (filled.home / "grid.m").write_text("not a case", encoding="utf-8")
    text = settings.read_text(encoding="utf-8").replace("{rts_gmlc: shipped}", "{matpower: grid.m}")
    settings.write_text(text + "day_ahead: none\n", encoding="utf-8")
    result, rows = filled.examine()
    assert result.exit_code == 1
    assert [name for name, level in levels(rows).items() if level == "fail"] == ["network"]
    assert "grid.m" in rows["network"]["what"]


def test_rules_that_do_not_fit_the_grid_are_told_before_they_matter(filled: Site) -> None:
    filled.settle("day_ahead: none", "market: {top_voltage_kv: 500}")
    result, rows = filled.examine()
    assert result.exit_code == 0
    assert {name for name, level in levels(rows).items() if level == "warn"} == {"voltage"}
    assert "500 kV" in rows["voltage"]["what"]
    filled.settle("day_ahead: none", "market: {top_voltage_kv: 230}")
    assert set(levels(filled.examine()[1]).values()) == {"ok"}


# ── the disk ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("free_mib", "level"), [(2_000, "ok"), (1_000, "warn"), (99, "fail")])
def test_free_space(filled: Site, monkeypatch: pytest.MonkeyPatch, free_mib: int, level: str) -> None:
    usage = stores.shutil.disk_usage(filled.data)._replace(free=free_mib << 20)
    monkeypatch.setattr("console.checks.stores.shutil.disk_usage", lambda path: usage)
    assert filled.examine()[1]["data"]["level"] == level


def test_a_directory_that_cannot_be_written(filled: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.access
    monkeypatch.setattr("console.checks.stores.os.access", lambda path, *more, **named: path != filled.data and real(path, *more, **named))
    assert filled.examine()[1]["data"]["level"] == "fail"


# ── the log ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_owner_of_the_log_is_named(filled: Site) -> None:
    log = filled.log()
    _, rows = filled.examine()
    log.close()
    assert rows["log"]["facts"] == {"owner_pid": os.getpid()}
    assert f"process {os.getpid()}" in rows["log"]["what"]
    assert "nobody answers" in rows["http"]["what"]


def damage(site: Site, sql: str) -> None:
    db = sqlite3.connect(site.data / "log" / FILE_NAME)
    (place,) = db.execute("SELECT id FROM places WHERE topic = 'market.facts.v1'").fetchone()
    assert db.execute(sql.format(table=f"records_{place}")).rowcount == 1
    db.commit()
    db.close()


@pytest.mark.parametrize("sql", ["UPDATE {table} SET value = CAST('x' AS BLOB) WHERE off = 3", "DELETE FROM {table} WHERE off = 3"])
def test_a_damaged_record_is_named_with_its_place(filled: Site, sql: str) -> None:
    damage(filled, sql)
    result, rows = filled.examine()
    assert result.exit_code == 1
    assert rows["records"]["facts"] == {"topic": "market.facts.v1", "partition": 0, "offset": 3, "damaged": 1}


def test_only_the_newest_records_are_read(filled: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    damage(filled, "UPDATE {table} SET crc = crc + 1 WHERE off = 2")
    monkeypatch.setattr("console.checks.stores._LOOK_BACK", 2)
    _, rows = filled.examine()
    assert (rows["records"]["level"], rows["records"]["facts"]) == ("ok", {"records": 2})


def test_every_record_is_read_when_the_whole_log_is_asked_for(filled: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    damage(filled, "UPDATE {table} SET crc = crc + 1 WHERE off = 2")
    monkeypatch.setattr("console.checks.stores._LOOK_BACK", 2)
    result, rows = filled.examine("--whole")
    assert result.exit_code == 1
    assert rows["records"]["facts"] == {"topic": "market.facts.v1", "partition": 0, "offset": 2, "damaged": 1}
    assert "market.facts.v1[0] offset 2: checksum differs" in rows["records"]["what"]
    assert "restore the records from a copy" in rows["records"]["remedy"]


def test_records_that_went_from_the_end_are_missed(filled: Site) -> None:
    damage(filled, "DELETE FROM {table} WHERE off = 4")
    _, rows = filled.examine()
    assert rows["records"]["facts"] == {"topic": "market.facts.v1", "partition": 0, "offset": 4, "damaged": 1}


def test_a_topic_of_another_release(site: Site) -> None:
    log = Log(site.data / "log")
    log.declare("kpi.v1", partitions=8)
    log.wait(log.last_ticket, 5)
    log.close()
    _, rows = site.examine()
    assert rows["topics"]["level"] == "fail"
    assert "kpi.v1 has 8 partitions; 1 are wanted" in rows["topics"]["what"]


def test_a_file_that_is_no_log(filled: Site) -> None:
    for name in ("", "-wal", "-shm"):
        (filled.data / "log" / f"{FILE_NAME}{name}").unlink(missing_ok=True)
    (filled.data / "log" / FILE_NAME).write_bytes(b"not a database" * 100)
    result, rows = filled.examine()
    assert result.exit_code == 1
    assert "cannot read the log" in rows["log"]["what"]
    assert rows["ledger"]["level"] == "ok"


# ── the ledger ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("sql", "what"),
    [
        ("UPDATE decisions SET rule_set = 'mine' WHERE seq = 2", "breaks at decision 2, which was altered"),
        ("UPDATE decisions SET body = '{' WHERE seq = 2", "breaks at decision 2, which was altered"),
        ("DROP TABLE decisions", "no such table"),
    ],
)
def test_a_chain_that_cannot_be_believed(filled: Site, sql: str, what: str) -> None:
    db = sqlite3.connect(filled.data / "ledger.sqlite")
    db.execute(sql)
    db.commit()
    db.close()
    result, rows = filled.examine()
    assert (result.exit_code, rows["ledger"]["level"]) == (1, "fail")
    assert what in rows["ledger"]["what"]


# ── the spool ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_lines_that_wait_long_for_an_influxdb(site: Site) -> None:
    spool = Spool(site.data / "spool", now_ns=lambda: 1_700_000_000 * 10**9)
    spool.append(b"kpi load_mw=1.0 1\n")
    spool.close()
    assert site.examine()[1]["spool"]["level"] == "ok"
    site.settle('influx: {url: "http://127.0.0.1:9", bucket: grid}')
    _, rows = site.examine()
    assert rows["spool"]["level"] == "warn"
    assert "the oldest since 2023-11-14T22:13:20" in rows["spool"]["what"]


def test_a_damaged_block_and_refused_lines_are_told(filled: Site) -> None:
    (segment,) = (filled.data / "spool").glob("*.lp")
    segment.write_bytes(segment.read_bytes()[:-3])
    assert "holds no whole block at 0" in filled.examine()[1]["spool"]["what"]
    (filled.data / "spool" / "dead_letters.jsonl").write_text("{}\n{}\n", encoding="utf-8")
    lines = CliRunner().invoke(app, ["doctor", "--config", str(filled.home / "gridfuse.yaml")]).stdout
    assert "InfluxDB refused 2 lines" in lines
    assert "holds no whole block at 0" in lines


# ── peers ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def peer() -> Iterator[tuple[str, dict[str, tuple[int, dict[str, str], bytes]]]]:
    """A server that answers as told by path, and 404 else."""
    answers: dict[str, tuple[int, dict[str, str], bytes]] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, headers, body = answers.get(self.path, (404, {}, b"no"))
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}", answers
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(
    ("path", "answer", "level"),
    [
        ("/ping", (204, {"X-Influxdb-Version": "1.13.2"}, b""), "ok"),
        ("/ping", (401, {"X-Influxdb-Version": "3.0"}, b""), "ok"),
        ("/health", (200, {}, b'{"name": "influxdb", "version": "2.9.1"}'), "ok"),
        ("/health", (200, {}, b"<html>"), "warn"),
        ("/nothing", (200, {}, b""), "warn"),
    ],
)
def test_influxdb(filled: Site, peer: Any, path: str, answer: Any, level: str) -> None:
    url, answers = peer
    answers[path] = answer
    filled.settle(f'influx: {{url: "{url}", bucket: grid}}')
    assert filled.examine()[1]["influx"]["level"] == level


def test_peers_that_are_not_there_are_failures(filled: Site) -> None:
    nobody = f"http://127.0.0.1:{free_port()}"
    filled.settle(f'influx: {{url: "{nobody}", bucket: grid}}', f'webhook: {{url: "{nobody}/secret"}}')
    result, rows = filled.examine()
    assert result.exit_code == 1
    assert (rows["influx"]["level"], rows["webhook"]["level"]) == ("fail", "fail")
    assert "Connection refused" in rows["webhook"]["what"]
    assert "secret" not in result.stdout


def test_a_webhook_is_connected_to_and_told_nothing(filled: Site) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        filled.settle(f'webhook: {{url: "http://127.0.0.1:{server.getsockname()[1]}/hook"}}')
        assert filled.examine()[1]["webhook"]["level"] == "ok"
        connection, _ = server.accept()
        with connection:
            assert connection.recv(100) == b""


def test_a_webhook_of_no_name(filled: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_args: object, **_more: object) -> socket.socket:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr("console.checks.peers.socket.create_connection", unknown)
    filled.settle('webhook: {url: "https://nowhere.invalid/hook"}')
    assert "nowhere.invalid does not resolve" in filled.examine()[1]["webhook"]["what"]


def test_a_broker_that_does_not_answer(filled: Site) -> None:
    filled.settle(f'broker: "kafka://127.0.0.1:{free_port()}"')
    result, rows = filled.examine()
    assert result.exit_code == 1
    assert rows["kafka"]["what"].startswith("no broker answers at 127.0.0.1:")
    assert "log" not in rows


# ── our own port ─────────────────────────────────────────────────────────────────────────────────────────────────────


class Health:
    def __init__(self, *missing: str) -> None:
        self._missing = missing

    def failing(self) -> tuple[str, ...]:
        return ()

    def missing(self) -> tuple[str, ...]:
        return self._missing


def beside_an_api(site: Site, *missing: str) -> dict[str, Row]:
    """Examine while an API answers at the site's port."""

    async def run() -> dict[str, Row]:
        api = build_api(BoardState(GUANGDONG_2023, simulated=True), None, Health(*missing), clock=SimulatedClock(SCENES["failing"], 1e-9))
        server = ApiServer(api, port=site.port)
        await server.start()
        try:
            return (await asyncio.to_thread(site.examine))[1]
        finally:
            await server.stop()

    return asyncio.run(run())


def test_the_running_service_answers_and_is_ready(filled: Site) -> None:
    log = filled.log()
    rows = beside_an_api(filled)
    recovering = beside_an_api(filled, "stream processors: recovering")
    log.close()
    assert (rows["http"]["level"], rows["ready"]["level"]) == ("ok", "ok")
    assert recovering["ready"]["level"] == "warn"
    assert "stream processors: recovering" in recovering["ready"]["what"]


def test_another_service_on_our_port(filled: Site) -> None:
    rows = beside_an_api(filled)
    assert rows["http"]["level"] == "fail"
    assert "another data directory" in rows["http"]["what"]


def test_another_program_on_our_port(filled: Site, peer: Any) -> None:
    filled.settle(port=int(peer[0].rpartition(":")[2]))
    assert "not by a Gridfuse" in filled.examine()[1]["http"]["what"]


def test_a_port_that_is_chosen_at_the_start_cannot_be_asked(filled: Site) -> None:
    filled.settle(port=0)
    assert filled.examine()[1]["http"]["level"] == "ok"
    log = filled.log()
    assert filled.examine()[1]["http"]["level"] == "warn"
    log.close()
