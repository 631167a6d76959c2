"""The demonstration grid's physics for tests: built once, and the loops tests repeat."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache

import numpy as np

from ingest.simulator.daycurve import DayCurve, Nature
from ingest.simulator.gridstate import GridState
from ingest.simulator.physics import Physics
from market import rts_gmlc
from market.grid import BoolArray
from market.units import instant_ns

__all__ = ["MORNING_NS", "SEED", "all_closed", "balance_error_mw", "opened", "physics", "run", "stepped"]

SEED = 7
MORNING_NS = instant_ns("2026-06-10T10:00:00+08:00")


@cache
def physics() -> Physics:
    return Physics(rts_gmlc.load(), SEED)


def all_closed() -> BoolArray:
    return np.ones(physics().case.network.n_branches, dtype=np.bool_)


def opened(*branches: str) -> BoolArray:
    """Return which branches are closed when these are open."""
    closed = all_closed()
    closed[[physics().case.network.branch_index[name] for name in branches]] = False
    return closed


def run(grid: Physics, state: GridState, seconds: int, in_service: BoolArray | None = None) -> list[GridState]:
    """Return the states of the coming seconds."""
    states = []
    for _ in range(seconds):
        state = grid.step(state, all_closed() if in_service is None else in_service)
        states.append(state)
    return states


def balance_error_mw(grid: Physics, state: GridState) -> float:
    """Return the largest imbalance of any island, MW; islands are found here by spreading labels, not by the code under test."""
    net = grid.case.network
    label = np.arange(net.n_buses)
    for _ in range(net.n_buses):
        spread = label.copy()
        for f, t, closed in zip(net.from_bus, net.to_bus, state.in_service, strict=True):
            if closed:
                spread[[f, t]] = min(spread[f], spread[t])
        if (spread == label).all():
            break
        label = spread
    buses = [net.bus_index[unit.bus] for unit in grid.case.units]
    injection = -state.load_mw.copy()
    np.add.at(injection, buses, state.output_mw)
    return float(max(abs(injection[label == island].sum()) for island in np.unique(label)))


def stepped(grid: Physics, at_ns: int, load_mw: Mapping[str, float]) -> Physics:
    """Return a copy of the physics in which loads are larger by so many MW from an instant on, and without noise."""
    copy = Physics(grid.case, SEED)
    extra = np.zeros(grid.case.network.n_buses)
    for bus, mw in load_mw.items():
        extra[grid.case.network.bus_index[bus]] = mw
    copy.day = _Stepped(grid, at_ns, extra)
    return copy


class _Stepped(DayCurve):
    """One frozen instant of the day, with more load from a certain time on."""

    def __init__(self, grid: Physics, at_ns: int, extra_mw: np.ndarray) -> None:
        super().__init__(grid.case, SEED)
        self._still, self._at_ns, self._extra_mw = grid.day.at(at_ns), at_ns, extra_mw

    def at(self, ts_ns: int) -> Nature:
        load_mw = self._still.load_mw + (self._extra_mw if ts_ns >= self._at_ns else 0.0)
        return replace(self._still, load_mw=load_mw)
