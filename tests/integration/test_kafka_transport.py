"""The same app, checked in the same way, on a real Apache Kafka broker with our Kafka driver."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit.eventually import eventually
from tests.kit.kafka import Broker, broker
from tests.kit.workers import APP_ID, CHANGELOG, INPUTS, OUTPUTS, Job, expected_total, running

pytestmark = [pytest.mark.integration, pytest.mark.slow]  # a broker takes up to ten seconds to start


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    with broker(tmp_path_factory.mktemp("kafka")) as server:
        yield server


def test_a_killed_worker_comes_back_at_once_and_loses_nothing(kafka: Broker, tmp_path: Path) -> None:
    job = Job(broker=f"kafka://{kafka.address}", notes=str(tmp_path), feed=10**9)
    with running(job) as worker:
        worker.ready()
        worker.accepts(2000)
        generation = worker.state["generation"]
        worker.kill()
        accepted = worker.accepted
    done = kafka.committed(APP_ID, INPUTS)
    outputs = {(value or b"").rpartition(b":")[0] for _, _, _, value in kafka.records(OUTPUTS)}
    processed = {value for partition, offset, _, value in kafka.records(INPUTS) if offset < done.get(partition, 0)}
    assert processed <= outputs, "the effects of all that counts as processed are there"

    with running(Job(broker=job.broker, notes=job.notes)) as worker:
        worker.ready()
        assert worker.state["generation"] == generation, "static membership: it is the same member, and nothing is rebalanced"
        last: dict[str, int] = {}
        for _, _, _, value in kafka.records(INPUTS):
            key, seq = (value or b"").decode().split(":")
            last[key] = max(last.get(key, -1), int(seq))
        assert sum(seq + 1 for seq in last.values()) >= accepted
        expected = {key: (seq, expected_total(key, seq)) for key, seq in last.items()}
        eventually("every input is added up", lambda: worker.totals == expected, 60)
        assert worker.state["gaps"] == 0
        wanted = {f"{key}:{seq}:{expected_total(key, seq)}".encode() for key, end in last.items() for seq in range(end + 1)}
        assert {value for _, _, _, value in kafka.records(OUTPUTS)} == wanted, "each output, with the same content each time"
        assert worker.terminate() == 0, worker.log.read_text()

    kept = kafka.config(INPUTS)
    assert kept["message.timestamp.type"] == "LogAppendTime", "history that is written today is not deleted as old"
    assert kept["retention.ms"] == "-1", "a topic without a retention is kept, as on the embedded log"
    assert kafka.config(CHANGELOG)["cleanup.policy"] == "compact"
    assert int(kafka.config(CHANGELOG)["segment.ms"]) <= 3_600_000
