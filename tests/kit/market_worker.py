"""A worker of the real app on Kafka, in a process of its own, so that it can be killed, stopped and continued.

Event time is what the test writes into a file: nothing is decided by when a worker runs.

Run as ``python -m tests.kit.market_worker JSON`` with the fields of :class:`Job`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import signal
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from market.rules import rules_from

__all__ = ["Job", "Worker"]

_CHECKOUT = Path(__file__).parents[2]


@dataclass(frozen=True, kw_only=True)
class Job:
    """What a worker is told.

    Attributes:
        notes: directory of its log, of ``clock`` (event time, ns) and of ``<instance>.owner``, which is there while it runs the breaker.
        fails: (from, to) minutes after the start between which every clearing fails.
    """

    broker: str
    notes: str
    instance: str
    rules: dict[str, Any]
    start_ns: int
    fails: tuple[int, int]


class Worker:
    """A running worker process."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.log = Path(job.notes) / f"{job.instance}.log"
        self._owner = Path(job.notes) / f"{job.instance}.owner"
        self._owner.unlink(missing_ok=True)
        with self.log.open("ab") as out:
            command = [sys.executable, "-m", "tests.kit.market_worker", json.dumps(asdict(job))]
            self.process = subprocess.Popen(command, cwd=_CHECKOUT, stdout=out, stderr=out)

    @property
    def leads(self) -> bool:
        """Whether it runs the breaker, by its own account."""
        return self._owner.exists()

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    def kill(self) -> None:
        """End it as a power cut would."""
        self.process.send_signal(signal.SIGCONT)
        self.process.kill()
        self.process.wait()
        self._owner.unlink(missing_ok=True)


async def _work(job: Job) -> None:
    from streams import topics
    from streams.agents import Hooks
    from streams.app import build_app
    from streams.roles import Role
    from tests.kit.market_run import failing, market_settings, rts_model

    notes = Path(job.notes)
    rules = rules_from(job.rules)
    hooks = Hooks(clearing_fault=failing(job.start_ns, tuple(job.fails)))
    settings = market_settings(job.broker, notes / job.instance, rules)
    clock = notes / "clock"
    app, shell = build_app(settings, rts_model(rules), lambda: int(clock.read_text()), hooks, Role.STREAMS, job.instance)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await app.start()
    owner = notes / f"{job.instance}.owner"
    while not stop.is_set() and not app.crashed:
        if shell.owns(topics.FACTS):
            owner.touch()
        else:
            owner.unlink(missing_ok=True)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), 0.05)
    await app.stop()
    if app.crashed:
        raise SystemExit(f"crashed: {app.crash_reason!r}")


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    asyncio.run(_work(Job(**json.loads(sys.argv[1]))))
