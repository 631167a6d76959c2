"""Which buses are without voltage, what do ties feed in, and what did protection trip?

Points of three kinds are told of, each only when it says something new:

* ``bus/<bus>/kv``: a bus dies below a tenth of its nominal voltage, revives above two tenths, and is not known any more when its value
  is not good while it was dead;
* ``tie/<bus>/mw``, positive into the grid: an infeed ``tie/<bus>``, told first, and when it has changed by a twentieth of the most it
  ever fed in, or has died or revived;
* ``switch/<branch>/trip``, 0 or 1: protection tripped the branch, told when it rises.

What was overtaken on its way is not told: a voltage or an infeed bears out what a switch says, and does not change hands.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from ingest.points import PointTable
from ingest.quality import is_good
from market.facts import Fact, InfeedReported, PointQuality, TripSignalled, VoltageReported
from streams.lastvalues import LastValues

__all__ = ["LevelState", "Levels", "infeed_of"]

_DEAD_PU: Final = 0.1
_ALIVE_PU: Final = 0.2
"""A dead bus counts as alive again from here on, so that noise at the threshold is not news."""
_STEP: Final = 0.05
_DEAD_SHARE: Final = 0.01
_TRIPPED: Final = 0.5

_NO_LEVEL, _BUS, _TIE, _TRIP = range(4)


class LevelState(msgspec.Struct):
    """What is remembered, by point id: dead buses, what was told of ties and the most they fed in, MW, and raised trip signals."""

    dead: list[int]
    told_mw: dict[int, float]
    most_mw: dict[int, float]
    tripped: list[int]


def infeed_of(bus: str) -> str:
    """Return the name of the infeed that a tie at a bus is."""
    return f"tie/{bus}"


class Levels:
    """The points of an area whose level is told when it changes.

    Args:
        table: the area's points.
        last: their last values.
        base_kv: nominal voltage of every bus that has a voltage point here, kV; others are not told of.
    """

    def __init__(self, table: PointTable, last: LastValues, base_kv: Mapping[str, float]) -> None:
        n = len(table)
        self._table = table
        self._last = last
        self._name: dict[int, str] = {}
        self._kind: NDArray[np.uint8] = np.full(n, _NO_LEVEL, dtype=np.uint8)
        self._base_kv: NDArray[np.float64] = np.ones(n)
        for bus, row in table.named("bus", "kv"):
            if base_kv.get(bus, 0.0) > 0:
                self._name[row], self._kind[row], self._base_kv[row] = bus, _BUS, base_kv[bus]
        for bus, row in table.named("tie", "mw"):
            self._name[row], self._kind[row] = infeed_of(bus), _TIE
        for branch, row in table.named("switch", "trip"):
            self._name[row], self._kind[row] = branch, _TRIP
        self._on: NDArray[np.bool_] = np.zeros(n, dtype=bool)
        """Dead buses, and trip signals that are raised."""
        self._told_mw: NDArray[np.float64] = np.full(n, np.nan)
        self._most_mw: NDArray[np.float64] = np.zeros(n)

    def changed(self, rows: NDArray[np.int64], now_ns: int) -> list[Fact]:
        """Tell what fresh samples changed, (k,) rows, none twice; the last values hold them already."""
        kind = self._kind[rows]
        if not np.count_nonzero(kind):
            return []
        facts: list[Fact] = []
        good = is_good(self._last.quality[rows])
        facts += self._buses(rows[kind == _BUS], good[kind == _BUS], now_ns, PointQuality.BAD)
        facts += self._ties(rows[(kind == _TIE) & good], now_ns)
        facts += self._trips(rows[(kind == _TRIP) & good], now_ns)
        return facts

    def aged(self, stale: NDArray[np.bool_], now_ns: int) -> list[Fact]:
        """Tell which dead buses are not seen any more; ``stale`` is (n,)."""
        rows = np.flatnonzero(stale & self._on & (self._kind == _BUS))
        return self._buses(rows, np.zeros(len(rows), dtype=bool), now_ns, PointQuality.STALE) if len(rows) else []

    def state(self) -> LevelState:
        """Return what is remembered."""
        ids, told = self._table.ids, np.isfinite(self._told_mw)
        return LevelState(
            dead=ids[self._on & (self._kind == _BUS)].tolist(),
            told_mw=dict(zip(ids[told].tolist(), self._told_mw[told].tolist(), strict=True)),
            most_mw=dict(zip(ids[told].tolist(), self._most_mw[told].tolist(), strict=True)),
            tripped=ids[self._on & (self._kind == _TRIP)].tolist(),
        )

    def restore(self, state: LevelState) -> None:
        """Go on from :meth:`state`; points that are no longer listed are forgotten."""
        row_of = {int(point): row for row, point in enumerate(self._table.ids.tolist())}
        for point in (*state.dead, *state.tripped):
            if (row := row_of.get(point, -1)) in self._name:
                self._on[row] = True
        for point, mw in state.told_mw.items():
            if (row := row_of.get(point, -1)) in self._name:
                self._told_mw[row], self._most_mw[row] = mw, state.most_mw.get(point, abs(mw))

    def _buses(self, rows: NDArray[np.int64], good: NDArray[np.bool_], now_ns: int, otherwise: PointQuality) -> list[Fact]:
        pu = self._last.value[rows] / self._base_kv[rows]
        was = self._on[rows]
        dead = good & (pu < np.where(was, _ALIVE_PU, _DEAD_PU))
        self._on[rows] = dead
        return [
            VoltageReported(
                ts_event_ns=now_ns,
                bus=self._name[int(rows[k])],
                pu=max(float(pu[k]), 0.0) if good[k] else 0.0,
                quality=PointQuality.GOOD if good[k] else otherwise,
                ts_source_ns=max(int(self._last.ts_value_ns[rows[k]]), 0),
            )
            for k in np.flatnonzero(dead != was).tolist()
        ]

    def _ties(self, rows: NDArray[np.int64], now_ns: int) -> list[Fact]:
        mw, told_mw = self._last.value[rows], self._told_mw[rows]
        most_mw = np.maximum(self._most_mw[rows], np.abs(mw))
        self._most_mw[rows] = most_mw
        died = (np.abs(mw) < _DEAD_SHARE * most_mw) != (np.abs(told_mw) < _DEAD_SHARE * most_mw)
        news = np.isnan(told_mw) | (np.abs(mw - told_mw) >= np.maximum(_STEP * most_mw, 1e-9)) | died
        self._told_mw[rows[news]] = mw[news]
        return [
            InfeedReported(
                ts_event_ns=now_ns,
                infeed=self._name[int(row)],
                mw=float(self._last.value[row]),
                quality=PointQuality.GOOD,
                ts_source_ns=max(int(self._last.ts_value_ns[row]), 0),
            )
            for row in rows[news].tolist()
        ]

    def _trips(self, rows: NDArray[np.int64], now_ns: int) -> list[Fact]:
        raised = self._last.value[rows] > _TRIPPED
        news = rows[raised & ~self._on[rows]]
        self._on[rows] = raised
        return [
            TripSignalled(ts_event_ns=now_ns, element=self._name[row], ts_source_ns=max(int(self._last.ts_value_ns[row]), 0))
            for row in news.tolist()
        ]
