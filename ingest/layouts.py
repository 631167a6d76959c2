"""What is known of a frame's points, looked up once: a source sends the same points again and again.

Values in, values out: no clock.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

__all__ = ["Layouts", "is_fixed"]

_T = TypeVar("_T")
_SAMPLES_PER_POINT: Final = 4
"""Samples of remembered layouts per point: polled points are in one or two, those told by exception in any number."""

_FIXED_MAX: Final = 4
"""Columns that are told by themselves: a device that is polled has one for each of its blocks, and seldom more than a few."""


class Layouts(Generic[_T]):
    """What :attr:`lay_out` says of the points of frames, remembered.

    Args:
        points: how many points the device has.
        lay_out: from (n,) uint64 ids of the points of a frame, in their order.
    """

    __slots__ = ("_fixed", "_known", "_lay_out", "_samples", "_samples_max")

    def __init__(self, points: int, lay_out: Callable[[NDArray[np.uint64]], _T]) -> None:
        self._lay_out = lay_out
        self._fixed: tuple[tuple[NDArray[np.uint64], _T], ...] = ()
        self._known: dict[bytes, _T] = {}
        self._samples = 0
        self._samples_max = _SAMPLES_PER_POINT * max(points, 1)

    def of(self, point: NDArray[np.uint64]) -> _T:
        """Return what is known of these points, (n,) ids."""
        for column, layout in self._fixed:
            if column is point:
                return layout
        if is_fixed(point):
            layout = self._lay_out(point)
            # The column is kept, so no other can be taken for it.
            self._fixed = (*self._fixed[1 - _FIXED_MAX :], (point, layout))
            return layout
        key = point.tobytes()
        found = self._known.get(key)
        if found is None:
            self._samples += len(point)
            if self._samples > self._samples_max:
                self._known.clear()
                self._samples = len(point)
            found = self._known[key] = self._lay_out(point)
        return found


def is_fixed(column: NDArray[np.uint64]) -> bool:
    """Return whether nobody can write to a column: it can be told by itself then, whatever it holds."""
    return not column.flags.writeable and column.base is None
