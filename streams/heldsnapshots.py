"""The snapshots a grid processor holds, in the table that a restart begins from.

Every part of every snapshot has a key of its own, ``part/AREA/PART/SLOT``: no value grows past a record, and a record that was taken in
costs one write. A slot is used again when the snapshot in it is held no more, so that the changelog does not fill with tombstones; until
then it shows a snapshot of the past, which :class:`streams.grid.GridProcessor` leaves aside.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, MutableMapping
from itertools import count
from typing import Final

from streams.image import AreaSnapshot, decode_snapshots, encode_snapshots

__all__ = ["HeldSnapshots"]

_PART: Final = b"part/"
_ALL: Final = b"held/"
"""Where earlier releases kept all snapshots of an area in one value."""


class HeldSnapshots:
    """Reads and writes the held snapshots of a table.

    Args:
        table: key → value; keys of others are left alone.

    Raises:
        FrameError: a value is no list of snapshots: an invariant is broken, and the worker must not go on.
    """

    def __init__(self, table: MutableMapping[bytes, bytes]) -> None:
        self._table = table
        self._slots: dict[tuple[str, int], dict[int, int]] = {}
        self.found: list[AreaSnapshot] = list(self._read())
        """What was held when the process ended, and snapshots of its past."""

    def _read(self) -> Iterator[AreaSnapshot]:
        for key in list(self._table):
            if key.startswith((_PART, _ALL)):
                snapshots = decode_snapshots(self._table[key])
                if key.startswith(_PART):
                    for snapshot in snapshots:
                        slots = self._slots.setdefault((snapshot.area, snapshot.part), {})
                        slots[int(key.rpartition(b"/")[2])] = snapshot.ts_event_ns
                yield from snapshots

    def keep(self, snapshot: AreaSnapshot, held: Iterable[AreaSnapshot]) -> None:
        """Write a snapshot that was taken in, if it is held.

        Args:
            held: what is held of its area now.
        """
        wanted = {each.ts_event_ns for each in held if each.part == snapshot.part}
        slots = self._slots.setdefault((snapshot.area, snapshot.part), {})
        if snapshot.ts_event_ns not in wanted or snapshot.ts_event_ns in slots.values():
            return
        slot = next(number for number in count() if slots.get(number) not in wanted)
        self._table[b"%s%s/%d/%d" % (_PART, snapshot.area.encode(), snapshot.part, slot)] = encode_snapshots([snapshot])
        slots[slot] = snapshot.ts_event_ns
