"""A small app with everything that can go wrong in a stream, run in a process of its own so that it can be killed.

Inputs are counted per key. The agent drops what it has seen (a sequence guard), sends its output and waits until that is safe, and
only then changes its table; a second agent reads the outputs. A feeder inside the app sends inputs as fast as they are accepted and
writes down, outside the app, what was accepted. The content of every output follows from the inputs alone, so that a test can tell
what must be there:

    input  ``k7:12``      the 12th input of key k7
    output ``k7:12:4711`` and the sum of all amounts of k7 up to it

Run as ``python -m tests.kit.workers JSON`` with the fields of :class:`Job`.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.kit.eventually import eventually

__all__ = [
    "APP_ID",
    "CHANGELOG",
    "INPUTS",
    "KEYS",
    "OUTPUTS",
    "PARTITIONS",
    "TABLE",
    "Job",
    "Worker",
    "amount",
    "expected_total",
    "running",
]

APP_ID = "drill"
CHANGELOG = "drill-totals-changelog"
INPUTS = "drill.inputs"
OUTPUTS = "drill.outputs"
TABLE = "totals"
KEYS = 40
PARTITIONS = 2
_BATCH = 20
_LEAD = 1000
"""Inputs that the feeder is ahead of the agent at most, so that a kill finds work in every stage."""

_CHECKOUT = Path(__file__).parents[2]


def amount(key: str, seq: int) -> int:
    """What one input adds."""
    return (int(key[1:]) * 7919 + seq * 104_729) % 1000


def expected_total(key: str, seq: int) -> int:
    """The sum over a key's inputs 0 to ``seq``."""
    return sum(amount(key, number) for number in range(seq + 1))


@dataclass(frozen=True)
class Job:
    """What a worker is to do.

    Attributes:
        notes: directory in which it writes down what it did, for the test.
        feed: inputs to send in all, counted over all runs; 0 feeds nothing.
        file_bytes_max: largest file it may write at first (RLIMIT_FSIZE): a quota that is used up; see :meth:`Worker.grant`.
        padding: bytes that each input carries in a header besides, so that a disk fills sooner.
        lingers_s: how long it takes after a rebalance to hear where to begin to read, a third of how long recovery of the tables does
            nothing between seeking the changelogs and letting records flow, and between going to what is committed and saying that the
            rebalance is over, and a twentieth of how long a fetch waits for records: as on a machine that is busy with other things.
    """

    broker: str
    notes: str
    instance_id: str = "worker-1"
    feed: int = 0
    file_bytes_max: int | None = None
    padding: int = 0
    lingers_s: float = 0.0


class Worker:
    """A running worker process."""

    def __init__(self, job: Job) -> None:
        self.notes = Path(job.notes)
        self.notes.mkdir(parents=True, exist_ok=True)
        self._state = self.notes / "state.json"
        self._state.unlink(missing_ok=True)
        self.log = self.notes / "worker.log"
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.kit.workers", json.dumps(asdict(job))], cwd=_CHECKOUT, stdout=out, stderr=out
            )

    @property
    def state(self) -> dict[str, Any]:
        """What the worker last said of itself; empty until it has recovered."""
        try:
            found: dict[str, Any] = json.loads(self._state.read_text())
        except FileNotFoundError:
            return {}
        return found

    @property
    def totals(self) -> dict[str, tuple[int, int]]:
        """Its table: key → (number of the last input, sum)."""
        return {key: (int(seq), int(total)) for key, (seq, total) in ((k, v.split(":")) for k, v in self.state.get("totals", {}).items())}

    @property
    def accepted(self) -> int:
        """Inputs that were accepted in all runs: their sends resolved."""
        path = self.notes / "accepted"
        return int(path.read_text().split()[-1]) if path.exists() and path.read_text().strip() else 0

    def ready(self, deadline_s: float = 60.0) -> None:
        """Wait until the app has recovered and runs."""
        eventually(f"worker ready, see {self.log}", lambda: bool(self.state) or self.process.poll() is not None, deadline_s)
        assert self.process.poll() is None, self.log.read_text()

    def accepts(self, more: int, deadline_s: float = 60.0) -> None:
        """Wait until ``more`` inputs have been accepted."""
        goal = self.accepted + more
        eventually(f"{goal} inputs accepted, see {self.log}", lambda: self.accepted >= goal, deadline_s)

    def stalls(self, deadline_s: float = 60.0) -> None:
        """Wait until the disk takes nothing more: the log said so, and nothing has been accepted for a while."""
        eventually(f"the log is stalled, see {self.log}", lambda: "until then nothing more is accepted" in self.log.read_text(), deadline_s)
        before, since_s = self.accepted, time.monotonic()
        while time.monotonic() - since_s < 1.0:
            time.sleep(0.05)
            if self.accepted != before:
                before, since_s = self.accepted, time.monotonic()
        assert self.process.poll() is None, self.log.read_text()

    def grant(self, file_bytes_max: int | None) -> None:
        """Change the largest file it may write; None lifts the limit."""
        soft = resource.RLIM_INFINITY if file_bytes_max is None else file_bytes_max
        resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE, (soft, resource.RLIM_INFINITY))

    def kill(self) -> None:
        """End it as a power cut would, ``kill -9``."""
        self.process.kill()
        self.process.wait()

    def terminate(self, deadline_s: float = 30.0) -> int:
        """Ask it to stop, and return its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(deadline_s)


@contextmanager
def running(job: Job) -> Iterator[Worker]:
    """Run a worker; whatever happens, it is gone afterwards."""
    worker = Worker(job)
    try:
        yield worker
    except BaseException as exc:
        exc.add_note(f"the worker wrote:\n{worker.log.read_text()[-5000:]}")
        raise
    finally:
        if worker.process.poll() is None:
            worker.kill()


def _let_linger(linger_s: float) -> None:
    """Have a fetch that waited through a rebalance end between recovery's seeks and its letting records flow, nearly always.

    And have records of the agents come before the rebalance is over.
    """
    from aiokafka.consumer.fetcher import Fetcher
    from faust.tables.recovery import Recovery

    from streams.transport import drain

    find_positions, seek_offsets, seek_streams = Fetcher._update_fetch_positions, Recovery._seek_offsets, drain.Drain.perform_seek

    async def lingering_find(self: Any, *args: Any) -> Any:
        await asyncio.sleep(linger_s)
        return await find_positions(self, *args)

    async def lingering_seek(self: Any, *args: Any) -> None:
        await seek_offsets(self, *args)
        await asyncio.sleep(3 * linger_s)

    async def lingering_streams(self: Any) -> None:
        await seek_streams(self)
        if self.app.rebalancing:
            await asyncio.sleep(3 * linger_s)

    drain.Drain.perform_seek = lingering_streams  # type: ignore[method-assign]
    Fetcher._update_fetch_positions, Recovery._seek_offsets = lingering_find, lingering_seek
    drain._FETCH_S = 20 * linger_s


def build(job: Job) -> Any:
    """Return the app. Imports Faust, so it is called in the worker's process only."""
    import faust
    from faust.transport.drivers import TRANSPORTS
    from mode import Service

    from streams.transport import faust_settings
    from streams.transport.records import RecordDamaged, raise_if_damaged

    # The entry points of an installed project, for a checkout that is not.
    TRANSPORTS.data.update(embedded="streams.transport.embedded:Transport", gridkafka="streams.transport.kafka:Transport")
    notes = Path(job.notes)
    if job.lingers_s > 0:
        _let_linger(job.lingers_s)
    settings = faust_settings(job.broker, notes, job.instance_id)
    settings["broker_commit_interval"] = 0.05  # a kill is to find commits in flight, and offsets that moved
    app = faust.App(APP_ID, **settings)
    raw: dict[str, Any] = {"key_type": bytes, "value_type": bytes, "key_serializer": "raw", "value_serializer": "raw"}
    inputs = app.topic(INPUTS, internal=True, partitions=PARTITIONS, **raw)
    outputs = app.topic(OUTPUTS, internal=True, partitions=PARTITIONS, **raw)
    # Bytes on both sides: a table whose changelog Faust cannot decode waits in recovery for ever.
    totals = app.Table(TABLE, partitions=PARTITIONS, key_type=bytes, value_type=bytes)
    count = {"processed": 0, "seen": 0, "gaps": 0, "heard": 0, "damaged": 0}

    @app.agent(inputs, name="adds")
    async def adds(stream: Any) -> None:
        async for event in stream.events():
            try:
                raise_if_damaged(event.message.topic, event.message.partition, event.message.offset, event.headers, event.value)
            except RecordDamaged:
                count["damaged"] += 1
                continue
            key, seq = event.value.decode().split(":")
            last, total = map(int, totals.get(event.key, b"-1:0").split(b":"))
            count["processed"] += 1
            if int(seq) <= last:
                count["seen"] += 1
                continue
            count["gaps"] += int(seq) != last + 1
            total += amount(key, int(seq))
            await (await outputs.send(key=event.key, value=f"{key}:{seq}:{total}".encode()))
            totals[event.key] = b"%d:%d" % (int(seq), total)

    @app.agent(outputs, name="hears")
    async def hears(stream: Any) -> None:
        async for _ in stream.events():
            count["heard"] += 1

    @app.service
    class Feeder(Service):
        @Service.task
        async def _feed(self) -> None:
            path = notes / "accepted"
            number = int(path.read_text().split()[-1]) if path.exists() and path.read_text().strip() else 0
            padding = [("padding", bytes(job.padding))] if job.padding else []
            with path.open("a") as accepted:
                start = number
                while number < job.feed and not self.should_stop:
                    if number - start - count["processed"] > _LEAD:
                        await self.sleep(0.01)
                        continue
                    batch = [f"k{at % KEYS}" for at in range(number, number + _BATCH)]
                    sent = [
                        await inputs.send(key=key.encode(), value=f"{key}:{(number + at) // KEYS}".encode(), headers=padding)
                        for at, key in enumerate(batch)
                    ]
                    await asyncio.gather(*sent)
                    number += _BATCH
                    accepted.write(f"{number}\n")
                    accepted.flush()

        @Service.timer(0.1)
        async def _tell(self) -> None:
            draft = notes / "state.draft"
            sums = {key.decode(): value.decode() for key, value in totals.items()}
            draft.write_text(json.dumps({**count, "generation": app.consumer_generation_id, "totals": sums}))
            draft.replace(notes / "state.json")

    return app


def main() -> None:
    """Run the worker until it is stopped."""
    import faust

    job = Job(**json.loads(sys.argv[1]))
    if job.file_bytes_max is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (job.file_bytes_max, resource.RLIM_INFINITY))
    faust.Worker(build(job), loglevel=os.environ.get("DRILL_LOGLEVEL", "WARNING"), redirect_stdouts=False).execute_from_commandline()


if __name__ == "__main__":
    main()
