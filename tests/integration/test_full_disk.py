"""The whole service on a disk that is full: log, ledger, outbox and spool at once. It waits, says so, calls people, and goes on."""

from __future__ import annotations

import json
import re
import signal
import time
from pathlib import Path

import pytest

from market.units import NS_PER_MIN, instant_ns
from streams.topics import FACTS, TOPICS
from streams.transport.inspection import inspect
from streams.transport.reader import LogReader
from streams.transport.schema import Declaration
from tests.kit.demo import DemoProcess, webhook
from tests.kit.eventually import eventually

pytestmark = pytest.mark.integration

START = instant_ns("2020-01-01T14:00:00+08:00")
NO_FILE_MAY_GROW = 1
STOP_S = 30.0
"""A container is killed when its stop takes longer."""


def metric(demo: DemoProcess, name: str) -> float:
    found = re.search(rf"^gridfuse_{name} (\S+)$", demo.get("/metrics")[1], re.MULTILINE)
    assert found is not None
    return float(found[1])


def is_sound(data: Path) -> None:
    """The log's topics are those of the table, and every record is there and as it was written."""
    with LogReader(data / "log") as log:
        wanted = {topic.name: Declaration(topic.partitions, topic.retention_s * 1000, False) for topic in TOPICS}
        assert {name: found for name, found in log.topics().items() if name in wanted} == wanted
        changelogs = {name: found for name, found in log.topics().items() if name.endswith("-changelog")}
        assert len(changelogs) >= 3
        assert all(found.compacted and found.retention_ms is None for found in changelogs.values())
        for topic, declaration in log.topics().items():
            for number in range(declaration.partitions):
                oldest, end = log.bounds(topic, number)
                damages = inspect(lambda at, t=topic, n=number, e=end: log.read(t, n, at, e), topic, number, oldest, end)[1]  # type: ignore[misc]
                assert damages == []
        assert log.bounds(FACTS.name, 0)[1] > 0


@pytest.mark.slow  # the demo is started twice
def test_a_full_disk_is_waited_out_and_told_to_people_once(tmp_path: Path) -> None:
    data = tmp_path / "100% of a grid?"  # signs that mean something in a URL
    with webhook() as hook:
        with DemoProcess(data, "--speed", "60", "--webhook", hook.url) as demo:
            assert demo.reaches(START + NS_PER_MIN)
            assert (metric(demo, "log_stalled"), metric(demo, "log_stalled_seconds")) == (0, 0)
            demo.grant(NO_FILE_MAY_GROW)
            eventually("people are called", lambda: bool(hook.ids("log_stalled")))
            status, body = demo.get("/ready")
            assert status == 503
            assert any(re.match(r"log: stalled since .*cannot be written.*free space", line) for line in json.loads(body)["missing"]), body
            assert metric(demo, "log_stalled") == 1
            assert metric(demo, "log_stalled_seconds") > 0
            status, body = demo.get("/api/commands", {"command_id": "c1", "by": "op", "role": "DISPATCH", "action": "RECOVER"})
            assert status == 503, "an order that cannot be kept is not taken"
            assert "cannot be written" in body
            stood_at_ns = demo.event_ns()
            demo.grant(None)
            eventually("its end is told", lambda: len(hook.ids("log_stalled")) == 2)
            assert demo.reaches(max(stood_at_ns, START) + 2 * NS_PER_MIN)
            eventually("it is in sync again", lambda: demo.get("/ready")[0] == 200)
            assert metric(demo, "log_stalled") == 0
            raised, resolved = [key for key, body in hook.told if body["name"] == "log_stalled"]
            assert re.fullmatch(r"log_stalled/\d+", raised)
            assert resolved == f"{raised}/resolved"

            demo.grant(NO_FILE_MAY_GROW)
            eventually("it is stalled again", lambda: metric(demo, "log_stalled") == 1)
            began_s = time.monotonic()
            demo.process.send_signal(signal.SIGTERM)
            code = demo.ends()
            assert time.monotonic() - began_s < STOP_S
            assert code not in (0, -9), demo.told
            assert re.search(r"gridfuse: the log .*cannot be written: .*free space.*it was stopped before that", demo.told), demo.told
        is_sound(data)
        assert (data / "ledger.sqlite").exists()
        with DemoProcess(data, "--speed", "60", "--webhook", hook.url) as demo:
            assert demo.reaches(START + 5 * NS_PER_MIN)
            eventually("it is in sync again", lambda: demo.get("/ready")[0] == 200)
