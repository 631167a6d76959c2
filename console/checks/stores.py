"""Can what the service keeps in its data directory be used, and believed?

The stores are read as they lie, whether or not a service writes them: the log and the ledger in read-only mode, the spool's files.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Final

from sqlalchemy import URL

from console.checks.check import Check, Level
from ingest.segments import Segment, walk
from market.units import NS_PER_H, NS_PER_S, instant_text
from streams.ledger import Ledger
from streams.segments import list_segments
from streams.spool import survey
from streams.topics import TOPICS
from streams.transport.inspection import DAMAGE_REMEDY, Damage, inspect
from streams.transport.reader import LogReader
from streams.transport.records import Record
from streams.transport.schema import FILE_NAME, Declaration

__all__ = ["check_data", "check_ledger", "check_log", "check_spool"]

_WARN_FREE_BYTES: Final = 1 << 30
_FAIL_FREE_BYTES: Final = 100 << 20
_LOOK_BACK: Final = 1_000
"""Newest records of each partition that are read."""

_DAMAGES_NAMED: Final = 5
"""Places of damage that are named for each partition."""

_SEGMENTS_READ: Final = 8
"""Waiting segments of the spool that are read, the next to be sent first."""

_OLD_NS: Final = NS_PER_H
"""Lines that wait longer than this for an InfluxDB that is configured are worth a word."""


def check_data(data: Path) -> Iterator[Check]:
    """Look at the data directory: can it be written, and how much room is left?"""
    there = data
    while not there.exists():
        there = there.parent
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        what = f"{there} cannot be written by this user"
        yield Check(name="data", level=Level.FAIL, what=what, remedy="run as the service's user, or correct `data` or its permissions")
        return
    free = shutil.disk_usage(there).free
    what = f"{data} can be written, {free / (1 << 30):,.1f} GiB free" if there == data else f"{data} will be made by the first start"
    facts: dict[str, int | str] = {"directory": str(data), "free_bytes": free}
    if free >= _WARN_FREE_BYTES:
        yield Check(name="data", level=Level.OK, what=what, facts=facts)
        return
    level = Level.FAIL if free < _FAIL_FREE_BYTES else Level.WARN
    what = f"{free >> 20:,} MiB are free on the disk of {data}"
    yield Check(name="data", level=level, what=what, remedy="free space: the service takes nothing while it cannot write", facts=facts)


# ── the embedded log ─────────────────────────────────────────────────────────────────────────────────────────────────


def check_log(directory: Path, owner: int | None, *, whole: bool = False) -> Iterator[Check]:
    """Look at the embedded log: its owner, its topics, and the newest records of every partition.

    Args:
        owner: as :func:`holder` gives it.
        whole: read every record and not only the newest; takes a minute for every few gigabytes.
    """
    if not (directory / FILE_NAME).exists():
        remedy = "the first start makes it; if the service ran before, `data` names another directory than it did then"
        yield Check(name="log", level=Level.WARN, what=f"there is none in {directory} yet", remedy=remedy)
        return
    if owner is None:
        yield Check(name="log", level=Level.OK, what=f"{directory} is free: no service has it open")
    else:
        who = f"process {owner}" if owner else "a process that left no number"
        yield Check(name="log", level=Level.OK, what=f"{directory} is owned by {who}", facts={"owner_pid": owner})
    with LogReader(directory) as log:
        declared = log.topics()
        yield from _declarations(declared)
        yield from _records(log, declared, whole=whole)


def _declarations(declared: dict[str, Declaration]) -> Iterator[Check]:
    """Compare the topics of the log with those that this release wants."""
    sound = True
    for topic in TOPICS:
        found = declared.get(topic.name)
        if found is not None and (found.partitions != topic.partitions or found.compacted):
            sound = False
            what = f"{topic.name} has {found.partitions} partitions{', compacted' * found.compacted}; {topic.partitions} are wanted"
            remedy = "another release wrote it: start with that one, or give this one another `data` directory"
            yield Check(name="topics", level=Level.FAIL, what=what, remedy=remedy)
    if missing := [topic.name for topic in TOPICS if topic.name not in declared]:
        what = f"not in the log: {', '.join(missing)}"
        yield Check(name="topics", level=Level.WARN, what=what, remedy="the next start declares them")
    elif sound:
        yield Check(name="topics", level=Level.OK, what=f"{len(TOPICS)} topics as declared", facts={"topics": len(declared)})


def _records(log: LogReader, declared: dict[str, Declaration], *, whole: bool) -> Iterator[Check]:
    """Read the records of every partition, changelogs included."""
    read, places, all_sound = 0, 0, True
    for topic, declaration in declared.items():
        for number in range(declaration.partitions):
            count, damages = _read_back(log, topic, number, whole=whole)
            read += count
            places += 1
            if damages:
                all_sound = False
                named = "; ".join(str(damage) for damage in damages[:_DAMAGES_NAMED])
                lost = sum(damage.last - damage.first + 1 for damage in damages)
                what = f"{lost:,} records of {topic}[{number}] are damaged: {named}{'; …' * (len(damages) > _DAMAGES_NAMED)}"
                facts: dict[str, int | str] = {"topic": topic, "partition": number, "offset": damages[0].first, "damaged": lost}
                yield Check(name="records", level=Level.FAIL, what=what, remedy=DAMAGE_REMEDY, facts=facts)
    if all_sound:
        what = f"{read:,} records read in {places} partitions, all as they were written"
        yield Check(name="records", level=Level.OK, what=what, facts={"records": read})


def _read_back(log: LogReader, topic: str, partition: int, *, whole: bool) -> tuple[int, list[Damage]]:
    """Read a partition back; returns how many records are sound, and those that are not."""
    mark = log.mark(topic, partition)  # before the end: a service that runs moves both
    oldest, end = log.bounds(topic, partition)
    start = oldest if whole else max(oldest, end - _LOOK_BACK)

    def read(at: int) -> list[Record]:
        # Up to where the end is by now: a changelog's newest record may have been superseded and taken away meanwhile.
        return log.read(topic, partition, at, max(mark, log.bounds(topic, partition)[1]))

    return inspect(read, topic, partition, start, max(end, mark))


# ── the ledger ───────────────────────────────────────────────────────────────────────────────────────────────────────


def check_ledger(at: Path | URL) -> Iterator[Check]:
    """Look at the ledger: does it open, and is the audit chain whole?"""
    where = str(at)  # of a database without its password
    if isinstance(at, Path) and not at.exists():
        yield Check(name="ledger", level=Level.WARN, what=f"there is none at {where} yet", remedy="the first start makes it")
        return
    ledger = Ledger.to_read(at)
    try:
        decisions = ledger.last_seq()
        broken = ledger.broken_at()
    finally:
        ledger.close()
    if broken is None:
        facts = {"decisions": decisions}
        yield Check(name="ledger", level=Level.OK, what=f"{where} opens, the chain of {decisions} decisions is whole", facts=facts)
        return
    what = f"the audit chain in {where} breaks at decision {broken.seq}, which {broken.why}"
    remedy = "compare it with market.decisions.v1 (`gridfuse replay`), and find out who wrote to the ledger"
    yield Check(name="ledger", level=Level.FAIL, what=what, remedy=remedy, facts={"seq": broken.seq})


# ── the spool ────────────────────────────────────────────────────────────────────────────────────────────────────────


def check_spool(directory: Path, *, to_influx: bool, running: bool) -> Iterator[Check]:
    """Look at the spool: can it be read, how much waits in it and since when?

    Args:
        to_influx: whether an InfluxDB is configured that should take the lines.
        running: whether a service writes it, so that its last block may be half there.
    """
    if not (directory / "lock").exists():
        yield Check(name="spool", level=Level.WARN, what=f"there is none in {directory} yet", remedy="the first start makes it")
        return
    status = survey(directory)
    waiting = [segment for segment in list_segments(directory) if segment.end > status.acked]
    yield from _damaged_blocks(waiting, status.acked, running=running)
    letters = directory / "dead_letters.jsonl"
    if letters.exists() and (refused := letters.read_bytes().count(b"\n")):
        what = f"InfluxDB refused {refused:,} lines, kept in {letters}"
        yield Check(name="spool", level=Level.WARN, what=what, remedy="read why, then move the file away", facts={"dead_letters": refused})
    facts = {"waiting_bytes": status.waiting_bytes, "segments": status.segments}
    oldest_ns = _oldest_ns(waiting, status.acked)
    if oldest_ns is None:
        yield Check(name="spool", level=Level.OK, what=f"{directory} can be read, nothing waits", facts=facts)
        return
    what = f"{status.waiting_bytes:,} bytes wait, the oldest since {instant_text(oldest_ns)}"
    facts["oldest_s"] = max(0, time.time_ns() - oldest_ns) // NS_PER_S
    if not to_influx:
        yield Check(name="spool", level=Level.OK, what=f"{what}; no InfluxDB is configured, they are the archive", facts=facts)
    elif time.time_ns() - oldest_ns > _OLD_NS:
        remedy = "see what InfluxDB answers in the service's log; the oldest are dropped when the spool is full"
        yield Check(name="spool", level=Level.WARN, what=what, remedy=remedy, facts=facts)
    else:
        yield Check(name="spool", level=Level.OK, what=what, facts=facts)


def _damaged_blocks(waiting: list[Segment], acked: int, *, running: bool) -> Iterator[Check]:
    for segment in waiting[:_SEGMENTS_READ]:
        good = start = max(0, acked - segment.base)
        try:
            for behind, _ in walk(segment.path, start):
                good = behind
        except FileNotFoundError:
            continue  # a limit dropped it meanwhile
        growing = running and segment is waiting[-1]
        if good < segment.end - segment.base and not growing:
            what = f"{segment.path} holds no whole block at {good}"
            yield Check(name="spool", level=Level.WARN, what=what, remedy="check the disk; what is whole behind it is sent all the same")


def _oldest_ns(waiting: list[Segment], acked: int) -> int | None:
    """Return when the oldest block that waits was written, UTC ns by the wall clock; None where none waits."""
    for segment in waiting:
        with contextlib.suppress(FileNotFoundError):
            for _, header in islice(walk(segment.path, max(0, acked - segment.base)), 1):
                return header.created_ns
    return None
