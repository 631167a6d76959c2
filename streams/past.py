"""What did points that are one of two things say lately, in the order of their own times?

Reports overtake each other on their way. What is true now is told when it comes; a change that an earlier report told of, and that
comes after a later one, is told too, once, with the time at which it held, so that it is known as history. A point's past reaches back
to the watermark of its device: what is older is late, and changes nothing.

Nearly all of it is never asked for, so it is kept as columns, frame behind frame (:class:`Pasts`); a :class:`Past` is made of it only
where something was overtaken.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ingest.points import PointTable

__all__ = ["UNKNOWN", "Columns", "Past", "Pasts", "Said", "Samples"]

UNKNOWN: Final = -1
"""Stands beside 0 and 1 for what a point was before it was first heard of."""


@dataclass(slots=True)
class Said:
    """What a point said: that at ``ts_ns`` it measured ``value``, hence was ``state``; whether whoever acts on it was told so."""

    ts_ns: int
    value: float
    state: bool
    told: bool = False


@dataclass(slots=True)
class Past:
    """One point's recent past.

    Attributes:
        before: what it was before all that; None if it was first heard of then.
        said: good samples, by source time.
    """

    before: bool | None
    said: list[Said]

    def overtaken(self, ts_ns: int, value: float, state_of: Callable[[float, bool], bool]) -> list[Said]:
        """Take in a sample that was overtaken, and return the changes nobody was told of, by source time; they count as told from now on.

        Args:
            state_of: gives the state of a value, and of the state before it.
        """
        place = bisect_right(self.said, ts_ns, key=lambda said: said.ts_ns)
        state = self.said[place - 1].state if place else self.before
        if state is None:
            return []
        self.said.insert(place, Said(ts_ns, value, state_of(value, state)))
        changes = []
        for each in self.said[place:]:
            each.state = state_of(each.value, state)
            if each.state is not state and not each.told:
                each.told = True
                changes.append(each)
            state = each.state
        return changes


class Samples(NamedTuple):
    """Good samples, (k,) each; those of one point stand in the order of their source times.

    Attributes:
        row: rows of the points.
        ts_ns: source time, UTC ns.
        value: what was measured.
        was: state before it: 0, 1, or :data:`UNKNOWN`.
        state: state after it.
        told: whether whoever acts on it was told.
    """

    row: NDArray[np.int64]
    ts_ns: NDArray[np.int64]
    value: NDArray[np.float64]
    was: NDArray[np.int8]
    state: NDArray[np.bool_]
    told: NDArray[np.bool_]

    def only(self, chosen: NDArray[np.bool_]) -> Samples:
        """Return some of them, (k,) bool which."""
        columns: list[Any] = [column[chosen] for column in self]
        return Samples(*columns)


Columns = tuple[bytes, bytes, bytes, bytes, bytes, bytes]
"""Samples on the wire, little-endian, with the ids of the points in place of their rows."""

_DTYPES: Final = ("<u8", "<i8", "<f8", "i1", "?", "?")
_NOTHING: Final = Samples(*(np.empty(0, dtype=dtype) for dtype in ("<i8", *_DTYPES[1:])))


class Pasts:
    """The recent pasts of many points."""

    def __init__(self) -> None:
        self._parts: list[Samples] = []

    def note(self, samples: Samples) -> None:
        """Note samples, each the newest of its point."""
        self._parts.append(samples)

    def forget(self, before_ns: NDArray[np.int64], place_of: NDArray[np.int64]) -> None:
        """Forget what nothing can overtake any more: of a point in row r, what is older than ``before_ns[place_of[r]]``."""
        whole = self._whole()
        kept = whole.ts_ns >= before_ns[place_of[whole.row]]
        self._parts = [whole.only(kept)]

    def taken_out(self, rows: NDArray[np.int64]) -> dict[int, Past]:
        """Take out the pasts of some points, to be :meth:`put` back; those that have none are left out."""
        whole = self._whole()
        wanted = np.isin(whole.row, rows)
        pasts: dict[int, Past] = {}
        for row, ts_ns, value, was, state, told in zip(*(column.tolist() for column in whole.only(wanted)), strict=True):
            if row not in pasts:
                pasts[row] = Past(None if was == UNKNOWN else bool(was), [])
            pasts[row].said.append(Said(ts_ns, value, state, told))
        if pasts:
            self._parts = [whole.only(~wanted)]
        return pasts

    def put(self, pasts: Mapping[int, Past]) -> None:
        """Put back what was taken out."""
        said = [
            (row, each.ts_ns, each.value, UNKNOWN if was is None else was, each.state, each.told)
            for row, past in pasts.items()
            for was, each in zip([past.before, *(each.state for each in past.said)], past.said, strict=False)
        ]
        if said:
            empty: list[NDArray[Any]] = [*_NOTHING]
            columns: list[Any] = [np.array(column, dtype=like.dtype) for column, like in zip(zip(*said, strict=True), empty, strict=True)]
            self._parts.append(Samples(*columns))

    def encode(self, table: PointTable) -> Columns:
        """Write everything down."""
        whole = self._whole()
        columns: list[NDArray[Any]] = [table.ids[whole.row], *whole[1:]]
        a, b, c, d, e, f = (column.astype(dtype).tobytes() for column, dtype in zip(columns, _DTYPES, strict=True))
        return a, b, c, d, e, f

    def restore(self, columns: Columns, table: PointTable, listed: NDArray[np.bool_]) -> None:
        """Go on from :meth:`encode`; what is not listed any more, (n,) bool by row, is forgotten.

        Raises:
            ValueError: not written by :meth:`encode`.
        """
        read: list[Any] = [np.frombuffer(raw, dtype=dtype) for raw, dtype in zip(columns, _DTYPES, strict=True)]
        point, *others = read
        if any(len(column) != len(point) for column in others):
            raise ValueError("columns of different lengths")
        rows = table.rows(point)
        self._parts = [Samples(rows, *others).only((rows >= 0) & listed[rows])]

    def _whole(self) -> Samples:
        if len(self._parts) != 1:
            columns: list[Any] = [np.concatenate(column) for column in zip(*(self._parts or [_NOTHING]), strict=True)]
            self._parts = [Samples(*columns)]
        return self._parts[0]
