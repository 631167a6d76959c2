"""What is known of a frame's points, looked up once: a source sends the same points again and again.

Values in, values out: no clock.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

__all__ = ["Layouts"]

_T = TypeVar("_T")
_SAMPLES_PER_POINT: Final = 4
"""Samples of remembered layouts per point: polled points are in one or two, those told by exception in any number."""


class Layouts(Generic[_T]):
    """What :attr:`lay_out` says of the points of frames, remembered.

    Args:
        points: how many points the device has.
        lay_out: from (n,) uint64 ids of the points of a frame, in their order.
    """

    __slots__ = ("_known", "_lay_out", "_newest", "_samples", "_samples_max")

    def __init__(self, points: int, lay_out: Callable[[NDArray[np.uint64]], _T]) -> None:
        self._lay_out = lay_out
        self._known: dict[bytes, _T] = {}
        self._newest: tuple[NDArray[np.uint64], _T] | None = None
        self._samples = 0
        self._samples_max = _SAMPLES_PER_POINT * max(points, 1)

    def of(self, point: NDArray[np.uint64]) -> _T:
        """Return what is known of these points, (n,) ids."""
        # A column that nobody can write to holds what it held. It is kept, so no other can be taken for it.
        if self._newest is not None and self._newest[0] is point:
            return self._newest[1]
        key = point.tobytes()
        layout = self._known.get(key)
        if layout is None:
            self._samples += len(point)
            if self._samples > self._samples_max:
                self._known.clear()
                self._samples = len(point)
            layout = self._known[key] = self._lay_out(point)
        if not point.flags.writeable and point.base is None:
            self._newest = point, layout
        return layout
