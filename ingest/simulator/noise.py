"""Random numbers that depend on nothing but a seed, a stream and a counter.

Philox is a counter-based generator: the n-th block of a stream can be drawn without drawing the blocks before it. So noise is a
function of time, and a simulation that starts in mid-day draws what one that ran since midnight draws.
"""

from __future__ import annotations

from enum import IntEnum
from functools import lru_cache

import numpy as np

from market.grid import FloatArray

__all__ = ["Stream", "normals", "wandering"]


class Stream(IntEnum):
    """What a sequence of random numbers is for."""

    BUS_LOAD = 1
    AREA_LOAD = 2
    NATURE = 3
    METER = 4
    COUNTER = 5


def normals(seed: int, stream: Stream, counter: int, n: int) -> FloatArray:
    """Return (n,) standard normal numbers: the ``counter``-th block of a stream.

    >>> bool((normals(7, Stream.METER, 12, 4) == normals(7, Stream.METER, 12, 4)).all())
    True
    """
    generator = np.random.Generator(np.random.Philox(key=[seed, int(stream)], counter=[0, 0, 0, counter]))
    return generator.standard_normal(n)


@lru_cache(maxsize=64)
def _knot(seed: int, stream: Stream, counter: int, n: int) -> FloatArray:
    knot = normals(seed, stream, counter, n)
    knot.flags.writeable = False
    return knot


def wandering(seed: int, stream: Stream, ts_s: float, knot_s: float, n: int) -> FloatArray:
    """Return (n,) slow noise of mean 0 at an instant: a straight line between standard normal knots.

    Args:
        ts_s: event time, s since the epoch.
        knot_s: time between two knots, s.
    """
    counter, passed_s = divmod(ts_s, knot_s)
    before, after = _knot(seed, stream, int(counter), n), _knot(seed, stream, int(counter) + 1, n)
    share = passed_s / knot_s
    return before + (after - before) * share
