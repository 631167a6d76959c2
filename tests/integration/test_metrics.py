"""What a running service says about itself, to Prometheus and to the doctor; and what the doctor says of a real broker."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from prometheus_client.parser import text_string_to_metric_families

from console.checks.check import Check, Level
from console.checks.peers import check_kafka
from market.units import NS_PER_MIN, instant_ns
from streams.topics import TOPICS
from tests.kit.demo import DemoProcess
from tests.kit.eventually import eventually
from tests.kit.field import free_port
from tests.kit.kafka import broker

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
START = instant_ns("2020-01-01T14:00:00+08:00")
RISING = ("processor_records_total", "processor_work_seconds_total", "records_sent_total", "device_samples_total")
LAG_MAX = 2_000
"""Frames of a few seconds at sixty times real time: commits come every second, frames are held until the tick."""

Page = dict[str, dict[tuple[str, ...], float]]


def scrape(port: int) -> Page:
    """Samples by name and label values, the names without their prefix."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as reply:
        text = reply.read().decode()
    page: Page = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            page.setdefault(sample.name.removeprefix("gridfuse_"), {})[tuple(sample.labels.values())] = sample.value
    return page


def doctor(data: Path) -> tuple[int, dict[str, Any]]:
    command = [sys.executable, "-m", "console.cli", "doctor", "--config", str(data / "gridfuse.yaml"), "--json"]
    done = subprocess.run(command, capture_output=True, cwd=ROOT, timeout=60, check=False)
    assert done.stdout, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return done.returncode, told


def test_a_running_demo_counts_and_is_in_good_health(tmp_path: Path) -> None:
    port = free_port()
    with DemoProcess(tmp_path, "--port", str(port), "--speed", "60") as demo:
        assert demo.reaches(START + NS_PER_MIN)
        before = scrape(port)
        assert demo.reaches(START + 3 * NS_PER_MIN)
        after = scrape(port)
        code, told = doctor(tmp_path)
    assert max(after["topic_lag_records"].values()) < LAG_MAX
    assert {topic for _, topic in after["topic_lag_records"]} == {topic.name for topic in TOPICS}
    for name in RISING:
        assert sum(after[name].values()) > sum(before[name].values()), name
        assert all(after[name][labels] >= before[name][labels] for labels in before[name]), name
    assert after["last_tick_timestamp_seconds"][()] >= before["last_tick_timestamp_seconds"][()] + 110
    assert sum(after["dead_letters_total"].values()) == 0
    assert sum(after["processor_errors_total"].values()) == 0
    assert max(after["gateway_waiting_frames"].values()) < 256
    assert sum(after["device_available"].values()) > 50
    accounted = after["account_samples_total"]
    for area in ("1", "2", "3"):
        outcomes = {outcome: accounted.get((area, outcome), 0) for outcome in ("good", "uncertain", "bad", "late", "lost")}
        assert accounted[area, "expected"] == sum(outcomes.values()) > 1000, area
        assert outcomes["good"] > 0.9 * accounted[area, "expected"]
    assert after.get("device_flagged_samples_total", {}) == {}, "no check finds anything in honest instruments"
    assert after["event_loop_delay_max_seconds"][()] > 0
    assert after["spool_waiting_bytes"][()] > before["spool_waiting_bytes"][()]

    rows = {row["check"]: row for row in told["checks"]}
    assert rows["log"]["facts"] == {"owner_pid": demo.process.pid}
    assert [row for row in told["checks"] if row["level"] != "ok"] == []
    assert {"ledger", "records", "ready"} <= rows.keys()
    assert code == 0


def levels(checks: list[Check]) -> dict[str, Level]:
    return {check.name: check.level for check in checks}


async def make_topics(address: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=address)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(topic.name, topic.partitions, 1) for topic in TOPICS])
    finally:
        await admin.close()


@pytest.mark.slow  # a broker takes seconds to start
def test_the_doctor_asks_a_broker_for_our_topics(tmp_path: Path) -> None:
    with broker(tmp_path) as kafka:
        url = f"kafka://{kafka.address}"
        assert levels(list(check_kafka(url))) == {"kafka": Level.OK, "topics": Level.WARN}
        asyncio.run(make_topics(kafka.address))
        eventually("our topics are listed", lambda: levels(list(check_kafka(url))) == {"kafka": Level.OK, "topics": Level.OK})
