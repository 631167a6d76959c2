"""What may a device show whose point list is all that is known of it?

Every point moves within its plausible range, and in its own time: quantities swing, counters count, codes and bits change now and then.
A set-point stays where it is put. What a point's checks would find fault with does not happen: nothing moves faster than its ``rate``
or stands still, and no counter gains more than it can.

The value at an instant is a function of the point and the instant alone.
"""

from __future__ import annotations

import math
from typing import Final

from ingest.devices import DATA_TYPES, DataType, ModbusPoint, Point
from ingest.frame import point_id
from market.units import NS_PER_S

__all__ = ["limits_of", "raw_limits", "value_at"]

_SWING: Final = 0.35
"""Part of its range by which a quantity swings to either side."""

_PERIODS_S: Final = (60, 300)
_DWELL_S: Final = (20, 90)
"""How long a code or a bit stands, s: shortest and longest."""

_COUNTED_MAX: Final = 1_000_000
"""By how many counts counters of the same make differ at most."""

_USUAL: Final = (0.0, 100.0)
_RATE_PART: Final = 0.5
_NOISE: Final = 1e-3


def value_at(point: Point, ts_ns: int) -> float:
    """Return what a point shows at an instant, in engineering units.

    Args:
        ts_ns: event time, UTC ns.
    """
    luck = point_id(point.name)
    steps = ts_ns // NS_PER_S // _between(_DWELL_S, luck)
    meaning = point.meaning if isinstance(point, ModbusPoint) else None
    if meaning is not None and (meaning.values or meaning.labels):
        shown = [value for _, value in meaning.values] or [value for value, _ in meaning.labels]
        return shown[(steps + luck) % len(shown)]
    if isinstance(point, ModbusPoint) and (point.type is DataType.BOOL or point.kind.is_bits):
        return float((steps + luck) % 2) * point.scale + point.offset
    if point.checks is not None and point.checks.counter is not None:
        counter = point.checks.counter
        per_s = _RATE_PART * counter.max_per_h / 3600 / abs(point.scale) if counter.max_per_h is not None else 1.0
        counted = (int(ts_ns // NS_PER_S * per_s) + luck % _COUNTED_MAX) % min(counter.modulus, 2**53)
        return counted * point.scale + point.offset
    low, high = limits_of(point)
    middle, swing = (low + high) / 2, _SWING * (high - low)
    if point.writable:
        return middle
    period_s = _between(_PERIODS_S, luck)
    if point.checks is not None and point.checks.rate_per_s is not None:
        swing = min(swing, _RATE_PART * point.checks.rate_per_s * period_s / math.tau)
    phase = (ts_ns % (period_s * NS_PER_S)) / (period_s * NS_PER_S) + luck % 1000 / 1000
    noise = _NOISE * ((ts_ns // NS_PER_S * 7919 + luck) % 101 / 50 - 1)
    return middle + swing * (math.sin(math.tau * phase) * (1 - _NOISE) + noise)


def _between(shortest_and_longest: tuple[int, int], luck: int) -> int:
    shortest, longest = shortest_and_longest
    return shortest + luck % (longest - shortest)


def limits_of(point: Point) -> tuple[float, float]:
    """Return between which values a point moves: its plausible range, or the usual one as far as its registers hold it."""
    if point.low is not None and point.high is not None:
        return point.low, point.high
    low, high = _USUAL
    if isinstance(point, ModbusPoint) and (point.meaning is None or point.meaning.factor is None):
        ends = sorted(raw * point.scale + point.offset for raw in raw_limits(point))
        low, high = max(low, ends[0]), min(high, ends[1])
        if not low < high:
            return ends[0], ends[1]
    return low, high


def raw_limits(point: ModbusPoint) -> tuple[float, float]:
    """Return the least and the greatest raw number that the registers of a point hold."""
    if point.type is DataType.BOOL or point.kind.is_bits:
        return 0.0, 1.0
    if point.type.is_float:
        return (-65504.0, 65504.0) if point.type is DataType.FLOAT16 else (-3e38, 3e38)
    bits = 16 * DATA_TYPES[point.type][2]
    if point.meaning is not None and point.meaning.bits is not None:
        bits = point.meaning.bits[1] - point.meaning.bits[0] + 1
    if point.type.is_bcd:
        return 0.0, float(10 ** (bits // 4) - 1)
    return (-(2.0 ** (bits - 1)), 2.0 ** (bits - 1) - 1) if point.type.is_signed else (0.0, 2.0**bits - 1)
