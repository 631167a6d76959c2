"""What of the log is not as it was written?

A power cut, a torn page, a bad sector: SQLite drops what its write-ahead log had not finished, by checksums of its own, and every record
of ours carries one too. So damage is found per record, and it stays there: each record behind it proves itself by its own checksum and
its own offset, and offsets without a gap show that none is missing. Nothing is cut off (see ARCHITECTURE.md, decision 12).

When the log is opened, what a crash can have touched is read back: the records behind the *mark*, up to which everything had been on
disk for a minute, or up to the last clean close. ``gridfuse doctor --whole`` reads all of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from streams.transport.records import Record, RecordDamaged

__all__ = ["DAMAGE_REMEDY", "Damage", "inspect"]

DAMAGE_REMEDY: Final = (
    "check the disk, and restore the records from a copy of the log if they matter; "
    "agents put them among the dead letters, in a table's changelog one that is still needed stops the start"
)

_NAMED_MAX = 10_000
"""Damaged records of one partition that are looked for one by one; beyond that the rest is named as one."""


class Damage(NamedTuple):
    """Records of one partition, next to each other, that are not what was written.

    Attributes:
        first: offset of the first; ``last`` of the last.
        reason: what is wrong with the first.
    """

    topic: str
    partition: int
    first: int
    last: int
    reason: str

    def __str__(self) -> str:
        offsets = f"offset {self.first}"
        if self.last > self.first:
            offsets = f"offsets {self.first} to {self.last} ({self.last - self.first + 1} records)"
        return f"{self.topic}[{self.partition}] {offsets}: {self.reason}"


def inspect(read: Callable[[int], list[Record]], topic: str, partition: int, start: int, stop: int) -> tuple[int, list[Damage]]:
    """Read the newest records of one partition back.

    Args:
        read: reads the next records from an offset on, as :func:`streams.transport.reader.read_slice`.
        start: first offset.
        stop: the partition's end.

    Returns:
        How many are sound, and what is damaged, in order.

    Raises:
        StoreError: the disk cannot be read.
    """
    sound, named = 0, 0
    damages: list[Damage] = []
    while start < stop:
        try:
            records = read(start)
            if not records:
                raise RecordDamaged(topic, partition, stop - 1, "it is missing")  # compaction would have left the newest
            sound += len(records)
            start = records[-1].offset + 1
        except RecordDamaged as damage:
            named += 1
            last = damage.offset if named < _NAMED_MAX else stop - 1
            if damages and damages[-1].last == damage.offset - 1 and damages[-1].reason == damage.reason:
                damages[-1] = damages[-1]._replace(last=last)
            else:
                damages.append(Damage(topic, partition, damage.offset, last, damage.reason))
            start = last + 1
    return sound, damages
