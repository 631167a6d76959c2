"""Rows of a unit commitment that are only added where an answer lacks them: steps of offers, and lines.

A step of an offer is available in proportion to how far its unit is on. Where that is a whole number the program says so already; a
relaxed answer that has a unit half on must be told, or it fills the cheap steps of units it hardly runs. Few such rows matter, and a
program with all of them is three times as large.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from market.errors import CaseError
from market.grid import BoolArray, FloatArray, Topology
from market.ucmodel import CommitmentModel, RowBlock, Rows

__all__ = ["LineRows", "steps_lacking"]

_STEP_TOLERANCE = 1e-6
_LINE_TOLERANCE_MW = 1e-3
_PTDF_CUT = 1e-9
"""Relative to the largest coefficient of the row."""


def steps_lacking(model: CommitmentModel, x: FloatArray) -> RowBlock | None:
    """Return the rows ``step <= width·a`` that an answer does not keep, or None where it keeps all."""
    found: list[tuple[int, int]] = []
    rows = Rows(0)
    for g, i in enumerate(model.fleet.seg_unit.tolist()):
        row, column, value = model.available(i)
        width_mw = float(model.fleet.seg_mw[g])
        available = np.bincount(row, weights=value * x[column], minlength=model.periods)
        lacking = np.flatnonzero(x[model.segment[:, g]] > width_mw * available + _STEP_TOLERANCE * max(width_mw, 1.0))
        if not len(lacking):
            continue
        place = np.full(model.periods, -1, dtype=np.int64)
        place[lacking] = np.arange(len(found), len(found) + len(lacking))
        found += [(int(t), g) for t in lacking]
        inside = place[row] >= 0
        rows.add(place[lacking], model.segment[lacking, g], 1.0).add(place[row[inside]], column[inside], -width_mw * value[inside])
    if not found:
        return None
    rows.count = len(found)
    return rows.block(-np.inf, 0.0)


class LineRows:
    """Finds the lines an answer exceeds, and writes them as rows.

    Args:
        topology: the wires in service, one island as far as anything stands on it.
        model: the program.
        withdrawn_mw: (P, nb) load of each bus less what is injected there whatever happens.
        load_mw: (P, nb) load; what is shed or spilled is spread in proportion to it.
        places: buses of the switched units and of nature's.
        share: how much of a limit may be used.

    Raises:
        CaseError: units or loads in several islands.
    """

    def __init__(
        self,
        topology: Topology,
        model: CommitmentModel,
        withdrawn_mw: FloatArray,
        load_mw: FloatArray,
        places: tuple[Sequence[int], Sequence[int]],
        share: float,
    ) -> None:
        self._topology, self._model, self._withdrawn_mw = topology, model, withdrawn_mw
        self._units, self._nature = (np.array(each, dtype=np.intp) for each in places)
        used = np.unique(topology.island_of_bus[np.concatenate([self._units, self._nature, np.flatnonzero(withdrawn_mw.any(axis=0))])])
        if len(used) > 1:
            raise CaseError(f"commitment: units and loads stand in {len(used)} islands; commit each of them alone")
        total = np.abs(load_mw).sum(axis=1, keepdims=True)
        self._weight: FloatArray = np.divide(np.abs(load_mw), total, out=np.full_like(load_mw, 1.0 / load_mw.shape[1]), where=total > 0)
        self._low_mw, self._high_mw = share * topology.limit_low_mw, share * topology.limit_high_mw
        self._there: BoolArray = np.zeros((model.periods, topology.network.n_branches), dtype=np.bool_)

    @property
    def names(self) -> tuple[str, ...]:
        """Branches that have rows, sorted."""
        return tuple(sorted(self._topology.network.branch_ids[i] for i in np.flatnonzero(self._there.any(axis=0))))

    def lacking(self, x: FloatArray) -> list[tuple[int, int]]:
        """Return (period, branch) of flows beyond a limit that have no row yet; they count as added."""
        model, found = self._model, []
        for t in range(model.periods):
            injection_mw = (x[model.shed[t]] - x[model.spill[t]]) * self._weight[t] - self._withdrawn_mw[t]
            np.add.at(injection_mw, self._units, x[model.output[t]])
            np.add.at(injection_mw, self._nature, x[model.nature[t]])
            flow = self._topology.flows_mw(injection_mw)
            beyond = (flow > self._high_mw + _LINE_TOLERANCE_MW) | (flow < self._low_mw - _LINE_TOLERANCE_MW)
            found += [(t, int(branch)) for branch in np.flatnonzero(beyond & ~self._there[t])]
        for t, branch in found:
            self._there[t, branch] = True
        return found

    def rows(self, lacking: Sequence[tuple[int, int]], over: int) -> RowBlock:
        """Write them; the columns from ``over`` onward are what is exceeded upward and downward, two a row."""
        model, count = self._model, len(lacking)
        period = np.array([t for t, _ in lacking], dtype=np.int64)
        branch = np.array([line for _, line in lacking], dtype=np.int64)
        lines, which = np.unique(branch, return_inverse=True)
        ptdf = self._topology.ptdf(lines)
        ptdf[np.abs(ptdf) < _PTDF_CUT * np.abs(ptdf).max(axis=1, keepdims=True)] = 0.0
        ptdf = ptdf[which]
        row = np.arange(count, dtype=np.int64)
        spread = (ptdf * self._weight[period]).sum(axis=1)
        rows = Rows(count).add(row[:, None], model.output[period], ptdf[:, self._units])
        rows.add(row[:, None], model.nature[period], ptdf[:, self._nature])
        rows.add(row, model.shed[period], spread).add(row, model.spill[period], -spread)
        rows.add(row, over + 2 * row, -1.0).add(row, over + 2 * row + 1, 1.0)
        # What is withdrawn, and what phase shifters drive, is known.
        known_mw = (ptdf * self._withdrawn_mw[period]).sum(axis=1) - self._shifted_mw[branch]
        return rows.block(self._low_mw[branch] + known_mw, self._high_mw[branch] + known_mw)

    @property
    def _shifted_mw(self) -> FloatArray:
        return self._topology.flows_mw(np.zeros(self._topology.network.n_buses))
