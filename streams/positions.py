"""How far has each of our topics been read?

The embedded log knows it exactly. On Kafka it is what Faust saw at its last fetch and its last commit, which costs no request to
the broker; a partition that this worker has not read yet is left out.

Changelogs are left out: they have no place where processing stands.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import faust

from streams.topics import TOPICS
from streams.transport.log import Log

__all__ = ["Position", "open_log", "positions", "waiting_records"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """How far one partition has been read.

    Attributes:
        end: offset behind the newest record on disk.
        committed: offset at which processing would go on after a crash, None before the first commit.
        lag: records between the two; of all that are there before the first commit, None where that is not known.
    """

    topic: str
    partition: int
    end: int
    committed: int | None
    lag: int | None


def open_log(app: faust.App) -> Log | None:
    """Return the embedded log of an app; None on Kafka, before the app has started and after it has stopped."""
    link = getattr(app.transport, "opened", None)
    return None if link is None else link.log


def positions(app: faust.App) -> list[Position]:
    """Return the position of every partition of our topics; none before the app has started. Reads memory only."""
    log = open_log(app)
    return _in_monitor(app.monitor.tp_end_offsets, app.monitor.tp_committed_offsets) if log is None else _in_log(log, app.conf.id)


def waiting_records(app: faust.App) -> dict[str, int]:
    """Return how many records were read for each agent and not taken by it yet; none before the app has started."""
    queues = {name: [actor.stream.channel.queue for actor in getattr(agent, "_actors", ())] for name, agent in app.agents.items()}
    return {name: sum(queue.qsize() for queue in each) for name, each in queues.items()}


def _in_log(log: Log, consumer: str) -> list[Position]:
    committed = log.committed(consumer)
    found = []
    for topic in TOPICS:
        for number in range(log.partitions(topic.name) or 0):
            oldest, end = log.bounds(topic.name, number)
            done = committed.get((topic.name, number))
            lag = max(0, end - (oldest if done is None else done))
            found.append(Position(topic=topic.name, partition=number, end=end, committed=done, lag=lag))
    return found


def _in_monitor(ends: Mapping[Any, int], committed: Mapping[Any, int]) -> list[Position]:
    ours = {topic.name for topic in TOPICS}
    found = []
    for tp, end in sorted(ends.items()):
        if tp.topic in ours:
            done = committed.get(tp)
            lag = None if done is None else max(0, end - done)
            found.append(Position(topic=tp.topic, partition=tp.partition, end=end, committed=done, lag=lag))
    return found
