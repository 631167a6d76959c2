"""The same app, checked in the same way, on a real Apache Kafka broker with our Kafka driver."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from tests.kit.eventually import eventually
from tests.kit.kafka import Broker, broker
from tests.kit.workers import APP_ID, CHANGELOG, INPUTS, OUTPUTS, Job, Worker, expected_total, running

pytestmark = [pytest.mark.integration, pytest.mark.slow]  # a broker takes up to ten seconds to start


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    with broker(tmp_path_factory.mktemp("kafka")) as server:
        yield server


def _totals(server: Broker) -> dict[str, tuple[int, int]]:
    """The table as it is when every input that the broker has is added up."""
    last: dict[str, int] = {}
    for _, _, _, value in server.records(INPUTS):
        key, seq = (value or b"").decode().split(":")
        last[key] = max(last.get(key, -1), int(seq))
    return {key: (seq, expected_total(key, seq)) for key, seq in last.items()}


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
        expected = _totals(kafka)
        assert sum(seq + 1 for seq, _ in expected.values()) >= accepted
        eventually("every input is added up", lambda: worker.totals == expected, 60)
        assert worker.state["gaps"] == 0
        wanted = {f"{key}:{seq}:{expected_total(key, seq)}".encode() for key, (end, _) in expected.items() for seq in range(end + 1)}
        assert {value for _, _, _, value in kafka.records(OUTPUTS)} == wanted, "each output, with the same content each time"
        assert worker.terminate() == 0, worker.log.read_text()

    kept = kafka.config(INPUTS)
    assert kept["message.timestamp.type"] == "LogAppendTime", "history that is written today is not deleted as old"
    assert kept["retention.ms"] == "-1", "a topic without a retention is kept, as on the embedded log"
    assert kafka.config(CHANGELOG)["cleanup.policy"] == "compact"
    assert int(kafka.config(CHANGELOG)["segment.ms"]) <= 3_600_000


def test_a_worker_that_takes_over_recovers_on_a_machine_that_is_busy_with_other_things(tmp_path: Path) -> None:
    """A fetch that waited through the rebalance ends when recovery has sought the changelogs: what it brings is not lost to recovery.

    The changelogs of a worker that died get no further record, so that its successor would wait for them for ever.
    """
    with broker(tmp_path / "broker") as server, ExitStack() as crew:

        def begun(name: str, feed: int) -> Worker:
            notes = str(tmp_path / name)
            return crew.enter_context(running(Job(f"kafka://{server.address}", notes, name, feed, lingers_s=0.2)))

        first, second = begun("worker-1", 0), begun("worker-2", 10**9)
        for worker in (first, second):
            worker.ready()
        eventually("both have a part of the inputs", lambda: all(worker.state["processed"] for worker in (first, second)), 60)
        second.kill()
        expected = _totals(server)
        eventually("the other one goes on where it was", lambda: first.totals == expected, 120)
        assert first.state["gaps"] == 0
        assert first.terminate() == 0, first.log.read_text()


def test_two_workers_that_begin_together_read_from_the_very_first_record_on(tmp_path: Path) -> None:
    """What comes before a rebalance is over is nobody's yet, and where nothing is committed yet there is nothing to go back to."""
    with broker(tmp_path / "broker") as server, ExitStack() as crew:
        job = Job(f"kafka://{server.address}", str(tmp_path / "worker-1"), "worker-1", lingers_s=0.2)
        first = crew.enter_context(running(job))
        first.ready()
        second = crew.enter_context(running(replace(job, notes=str(tmp_path / "worker-2"), instance_id="worker-2", feed=2000)))
        eventually("both add up", lambda: all(worker.state.get("processed") for worker in (first, second)), 60)
        second.accepts(2000 - second.accepted)
        expected = _totals(server)
        eventually("every input is added up", lambda: {**first.totals, **second.totals} == expected, 60)
        assert first.state["gaps"] == second.state["gaps"] == 0
