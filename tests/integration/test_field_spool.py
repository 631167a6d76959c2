"""What devices say while the broker is away arrives when it is back: once, flagged, behind what is read then; also after ``kill -9``.

One meter counts the reads it answered, so each of its values is one sample and says which. What came of them is judged by intake itself,
over what stands on the topic in the end.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import pytest

from ingest import bundle
from ingest.frame import TelemetryFrame
from ingest.pointlist import read_point_list
from ingest.quality import Flag
from streams.accounts import AreaAccounts
from streams.intake import AreaIntake
from tests.kit.eventually import eventually
from tests.kit.field import free_port
from tests.kit.kafka import Broker, broker
from tests.kit.modbus_slave import Asked, Piece, Slave

pytestmark = [pytest.mark.integration, pytest.mark.slow]  # a real broker is stopped and started; devices are read in real time

ROOT = Path(__file__).parents[2]
TOPIC = "telemetry.frames.v1"
REPLAYED = int(Flag.REPLAYED)
POINTS = """
maps:
  meter:
    every: 100ms
    points: {{bus/101/kv: {{reg: holding 1, type: uint16, unit: kV}}}}
devices:
  - {{name: m-1, area: 1, url: "modbus+tcp://127.0.0.1:{port}", unit: 1, map: meter}}
"""
SETTINGS = """
data: {data}
points: {points}
network: {{rts_gmlc: shipped}}
broker: "kafka://{broker}"
field_spool: {{away_after: 1s, replay: {rate}}}
tick: 1s
http: {{port: {port}}}
"""


class Meter:
    """Answers each read with the number of reads before it."""

    def __init__(self) -> None:
        self.given = 0
        self.slave = Slave()
        self.slave.script = self._answer
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def _answer(self, asked: Asked) -> Sequence[Piece]:
        self.given += 1
        return [asked.reply[:-2] + self.given.to_bytes(2, "big")]

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self.slave.open(), self._loop).result(10)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self.slave.close(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class Ingest:
    """A process that reads the meter; started again, it is the same one."""

    def __init__(self, home: Path, meter: Meter, address: str, rate: int) -> None:
        port = free_port()
        self.points = home / "points.yaml"
        self.points.write_text(POINTS.format(port=meter.slave.port))
        self._config = home / "gridfuse.yaml"
        self._config.write_text(SETTINGS.format(data=home / "data", points=self.points, broker=address, port=port, rate=rate))
        self._metrics = f"http://127.0.0.1:{port}/metrics"
        self._ready = f"http://127.0.0.1:{port}/ready"
        self.log = home / "log.txt"
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-m", "console.cli", "run", "--config", str(self._config), "--role", "ingest", "--instance", "reader"]
        with self.log.open("ab") as out:
            self._process = subprocess.Popen(command, cwd=ROOT, stdout=out, stderr=out)

    def kill(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()

    def stop(self) -> int:
        self._process.terminate()
        return self._process.wait(30)

    def metric(self, name: str) -> float:
        """The sum over a metric's samples; -1 while there is no answer."""
        assert self._process.poll() is None, self.log.read_text()[-3000:]
        try:
            with urllib.request.urlopen(self._metrics, timeout=5) as reply:
                lines = reply.read().decode().splitlines()
        except (urllib.error.URLError, OSError):
            return -1.0
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith((f"{name} ", f"{name}{{")))

    def is_in(self, state: str) -> bool:
        return self.metric(f'gridfuse_field_spool_state{{state="{state}"}}') == 1.0

    def missing(self) -> str:
        """What ``/ready`` says is missing; empty where nothing is."""
        try:
            with urllib.request.urlopen(self._ready, timeout=5):
                return ""
        except urllib.error.HTTPError as refused:
            return refused.read().decode()


@contextmanager
def reading(home: Path, rate: int) -> Iterator[tuple[Broker, Meter, Ingest]]:
    with broker(home / "broker") as server, Meter() as meter:
        ingest = Ingest(home, meter, server.address, rate)
        try:
            eventually("it is up", lambda: ingest.is_in("up") and ingest.missing() == "", 60)
            yield server, meter, ingest
        except BaseException as exc:
            exc.add_note(ingest.log.read_text()[-4000:])
            raise
        finally:
            ingest.kill()


def read_more(meter: Meter, count: int) -> None:
    want = meter.given + count
    eventually(f"{count} more reads", lambda: meter.given >= want, 60)


def frames_of(server: Broker) -> list[TelemetryFrame]:
    """All frames of the area, in the order of the topic."""
    records = (value for _, _, _, value in server.records(TOPIC) if value is not None)
    return [frame for value in records for frame in bundle.frames_of(bundle.decode_telemetry(value))]


def values(frames: Sequence[TelemetryFrame], chosen: Callable[[TelemetryFrame], bool] = lambda frame: True) -> list[int]:
    """Values of the meter, those of polls that failed left out."""
    good = (value for frame in frames if chosen(frame) for value, quality in zip(frame.value, frame.quality, strict=True) if quality == 0)
    return [int(value) for value in good]


def is_replayed(frame: TelemetryFrame) -> bool:
    return bool(len(frame)) and bool(frame.flags[0] & REPLAYED)


def taken_in(ingest: Ingest, frames: Sequence[TelemetryFrame]) -> tuple[Counter[str], list[AreaAccounts]]:
    """What intake made of all of it; restarted in the midst, which must make no difference."""
    table = read_point_list(ingest.points).table()
    intake = AreaIntake("1", table.of_area("1"), {}, 1.0)
    accounts: list[AreaAccounts] = []
    for offset, frame in enumerate(frames):
        if offset == len(frames) // 2:
            state, intake = intake.encode(), AreaIntake("1", table.of_area("1"), {}, 1.0)
            intake.restore(state)
        taken = intake.take_in(frame, offset)
        assert taken is not None
        accounts += taken.accounts
    return Counter(intake.last.counters), accounts


def test_what_is_read_while_the_broker_is_away_arrives_once_behind_what_is_read_then(tmp_path: Path) -> None:
    with reading(tmp_path, rate=20) as (server, meter, ingest):
        read_more(meter, 20)
        server.stop()
        away_from = meter.given
        eventually("it notices", lambda: ingest.is_in("away"))
        assert "field_spool.size_mb" in ingest.missing()
        read_more(meter, 50)
        assert ingest.metric("gridfuse_field_spool_waiting_bytes") > 0
        back_at = meter.given
        server.start()
        server.wait()
        eventually("the backlog is made up for", lambda: ingest.is_in("up"), 60)
        assert ingest.metric("gridfuse_field_spool_waiting_bytes") == 0
        assert ingest.metric("gridfuse_field_spool_dropped_samples_total") == 0
        read_more(meter, 5)
        assert ingest.stop() == 0
        frames = frames_of(server)
        said = values(frames)
        assert set(range(2, meter.given)) <= set(said), "the very first and the last may be cut off by start and stop"
        replayed, live = values(frames, is_replayed), values(frames, lambda frame: not is_replayed(frame))
        assert replayed == sorted(replayed), "the backlog comes oldest first"
        assert set(range(away_from + 15, back_at)) <= set(replayed), "what came while it was away, known to be so, comes from the spool"
        newest_live = next(value for value in live if value > back_at)
        assert said.index(newest_live) < said.index(replayed[-1]), "what is live goes first"
        counted, accounts = taken_in(ingest, frames)
        assert counted["taken"] + counted["late"] + counted["reordered"] == len(set(said)) + sum(
            1 for frame in frames for quality in frame.quality if quality != 0
        )
        assert all(
            device.expected == device.good + device.uncertain + device.bad + device.late + device.lost_in_all
            for account in accounts
            for device in account.devices
        )
        assert "the stream side takes no telemetry" in ingest.log.read_text()


def test_a_reader_killed_while_its_spool_fills_and_while_it_drains_loses_nothing_it_had_spooled(tmp_path: Path) -> None:
    with reading(tmp_path, rate=20) as (server, meter, ingest):
        server.stop()
        eventually("it notices", lambda: ingest.is_in("away"))
        away_from = meter.given
        killed: list[int] = []
        for _ in range(2):  # while it fills; the broker is still away when it is started again
            read_more(meter, 20)
            ingest.kill()
            killed.append(meter.given)
            ingest.start()
            eventually("it reads and spools again", lambda: ingest.is_in("away"), 60)
        read_more(meter, 20)
        server.start()
        server.wait()
        for _ in range(2):  # while it drains
            eventually("it catches up", lambda: ingest.metric("gridfuse_field_spool_replayed_samples_total") >= 5, 60)
            ingest.kill()
            killed.append(meter.given)
            ingest.start()
        eventually("the backlog is made up for", lambda: ingest.is_in("up") and ingest.missing() == "", 90)
        read_more(meter, 5)
        assert ingest.stop() == 0
        frames = frames_of(server)
        said = values(frames)
        # A value that was given and not yet stored when its reader was killed is nobody's: one of a poll under way, or not yet confirmed.
        excused = {value for at in killed for value in range(at - 2, at + 1)}
        assert set(range(away_from, meter.given)) - set(said) <= excused
        bad = sum(1 for frame in frames for quality in frame.quality if quality != 0)
        counted, _ = taken_in(ingest, frames)
        assert counted["taken"] + counted["late"] + counted["reordered"] <= len(set(said)) + bad, "nothing is taken twice"
        assert counted["taken"] + counted["late"] + counted["reordered"] >= len(set(said)), "nothing is passed over"
