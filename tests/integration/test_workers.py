"""Workers that share the work on a real Kafka broker: killed, added, standing still, they decide what one worker alone decides."""

from __future__ import annotations

import asyncio
import signal
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from market.rules import rules_from
from market.units import instant_ns
from streams import topics, wire
from streams.identity import identity_of
from streams.recordings import open_recording
from streams.replay import STAGES, replay
from streams.topics import Topic
from streams.transport.reader import LogReader
from tests.kit.eventually import eventually_async
from tests.kit.kafka import Broker, broker
from tests.kit.market_cluster import ClusterRun
from tests.kit.market_run import MarketRun, TickByTick, rts_model
from tests.kit.market_worker import Job, Worker

pytestmark = [pytest.mark.integration, pytest.mark.slow]  # a dead worker is missed after ten seconds, and several die here

MARKET: Final[dict[str, Any]] = {"rt_interval_min": 5, "rt_limit_min": 10, "resume_notice_min": 5, "shadow_ok": 2, "top_voltage_kv": 230}
RULES = rules_from(MARKET)
NOON = instant_ns("2020-01-01T12:00:00+08:00")
FAILS = (10, 25)
EFFECTS = (topics.SNAPSHOTS, topics.FINDINGS, topics.INPUTS, topics.OUTCOMES, topics.FACTS, topics.DECISIONS, topics.PRICES, topics.ALERTS)

Effects = dict[str, dict[str, set[bytes]]]


async def story(run: Any) -> None:
    """A trip after failed clearings, a recovery, three lines down, a trip again."""
    await run.until(36)
    await run.command("CONFIRM_RECOVER", "c1")
    await run.until(50)
    run.open_branches = ("B33-1", "B33-2", "B34")
    await run.until(55)


def by_identity(topic: Topic, raws: list[bytes]) -> dict[str, set[bytes]]:
    """What was said about each thing: more than one content is a contradiction."""
    found: defaultdict[str, set[bytes]] = defaultdict(set)
    for raw in raws:
        found[identity_of(wire.decode(topic, raw))].add(raw)
    return dict(found)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Effects:
    """The effects of one worker on the embedded log."""
    data = tmp_path_factory.mktemp("alone")

    async def live() -> None:
        async with MarketRun(f"embedded://{data}/log", data, RULES, NOON, FAILS) as run:
            await story(run)

    asyncio.run(live())
    with LogReader(data / "log") as log:
        return {t.name: by_identity(t, [r.value or b"" for r in log.records(t.name, 0)]) for t in EFFECTS}


class Crew:
    """The workers there are."""

    def __init__(self, address: str, notes: Path) -> None:
        self._address, self._notes = address, notes
        self.workers: list[Worker] = []
        self._count = 0

    def add(self) -> Worker:
        self._count += 1
        job = Job(
            broker=f"kafka://{self._address}",
            notes=str(self._notes),
            instance=f"worker-{self._count}",
            rules=MARKET,
            start_ns=NOON,
            fails=FAILS,
        )
        self.workers.append(Worker(job))
        return self.workers[-1]

    def leader(self) -> Worker:
        return next((worker for worker in self.workers if worker.leads), self.workers[0])

    def lose(self, worker: Worker) -> None:
        worker.kill()
        self.workers.remove(worker)

    async def ready(self) -> None:
        await eventually_async("a worker that runs the breaker", lambda: any(worker.leads for worker in self.workers), 60)

    def told(self) -> str:
        return "\n".join(f"== {log.name}\n{log.read_text()[-3000:]}" for log in sorted(self._notes.glob("*.log")))


@contextmanager
def crew(server: Broker, notes: Path) -> Iterator[Crew]:
    notes.mkdir()
    (notes / "clock").write_text(str(NOON))
    workers = Crew(server.address, notes)
    try:
        yield workers
    except BaseException as exc:
        exc.add_note(workers.told())
        raise
    finally:
        for worker in workers.workers:
            worker.kill()


async def trouble(run: TickByTick, workers: Crew) -> None:
    """Kill the worker that leads, add two, stop the leader for longer than its session lasts, kill again: each in the midst of a tick."""
    minute = 60 * 10**9

    async def reaches(at: float) -> None:
        while run.clock.now_ns() < NOON + at * minute:
            await asyncio.sleep(0.001)

    await reaches(12)
    workers.lose(workers.leader())
    workers.add()
    await reaches(21)
    standing = workers.leader()
    standing.signal(signal.SIGSTOP)
    await asyncio.sleep(14)
    standing.signal(signal.SIGCONT)
    await reaches(33)
    workers.add()
    await reaches(38)
    workers.lose(workers.leader())
    await reaches(52)
    workers.lose(workers.leader())
    workers.add()


def lasting(effects: dict[str, set[bytes]]) -> set[str]:
    """Names of effects but for how far a day-ahead run is: a worker that remembers a commitment goes through fewer phases."""
    return {what for what in effects if not what.startswith("DayAheadExpected ")}


@asynccontextmanager
async def troubled(run: TickByTick, workers: Crew) -> AsyncIterator[None]:
    making = asyncio.create_task(trouble(run, workers))
    yield
    await making


def test_workers_that_die_and_come_decide_what_one_decides(alone: Effects, tmp_path: Path) -> None:
    async def live(server: Broker, workers: Crew) -> None:
        workers.add()
        await workers.ready()
        workers.add()
        async with ClusterRun(server.address, tmp_path / "notes", RULES, NOON) as run, troubled(run, workers):
            await story(run)

    with broker(tmp_path / "broker") as server:
        with crew(server, tmp_path / "notes") as workers:
            asyncio.run(live(server, workers))
        with open_recording(f"kafka://{server.address}") as recording:
            reports = replay(recording, rts_model(RULES))
        found = {topic.name: by_identity(topic, [raw or b"" for *_, raw in server.records(topic.name)]) for topic in EFFECTS}
    assert {report.name: report.differences for report in reports} == {name: [] for name in STAGES}
    assert all(report.same for report in reports)
    for topic in EFFECTS:
        contradictions = {what: raws for what, raws in found[topic.name].items() if len(raws) > 1}
        assert not contradictions, topic.name
        assert lasting(found[topic.name]) == lasting(alone[topic.name]), topic.name
    for topic in (topics.DECISIONS, topics.PRICES, topics.OUTCOMES, topics.INPUTS, topics.ALERTS):
        assert found[topic.name] == alone[topic.name], topic.name
