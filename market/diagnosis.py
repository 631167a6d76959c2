"""Which limits cannot be kept together?

A clearing never fails for a limit: what cannot be kept is exceeded at a penalty, and the violations say which and by how much. That is the
first opinion, and the one to act on. This is the second: the same interval with every limit rigid, as a question of feasibility alone, and
of the answer "no" an *irreducible* set of limits, from which none can be left out without the rest becoming possible. It tells a wrong
rating from a grid that is short everywhere.

There can be several such sets; one is named. Where all limits can be kept after all, a violation was a matter of money: keeping the limit
would have cost more than its penalty.

The interval is asked alone, within the ranges of its units; periods ahead are left out. Limits of the network enter as they are broken, as
in the clearing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, vstack

from market.grid import FloatArray, IndexArray, sum_by
from market.highs import Conflict, conflict
from market.reporting import limit_names
from market.workings import Workings

__all__ = ["Diagnosis", "KeptLimit", "diagnose"]

_TOLERANCE_MW = 1e-6
_ROUNDS_MAX = 60
_CUT = 1e-9
_AT_BOUND_MW = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptLimit:
    """One of the limits that cannot be kept together.

    Attributes:
        kind: ``line``, ``section`` or ``n-1``; ``balance`` of an island; ``unit``, ``storage`` or ``award`` for a range; ``group``,
            ``reserve`` for a requirement, ``energy`` of a storage, ``headroom`` for output and reserve out of one range.
        id: its name; of a balance the first bus of the island.
        outage: the contingency, where there is one.
        side: ``at most``, ``at least`` or ``exactly``.
        mw: the limit, MW (MWh for ``energy``); of a balance what is wanted above the least outputs.
    """

    kind: str
    id: str
    outage: str | None
    side: str
    mw: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """Whether every limit of the interval can be kept.

    Attributes:
        possible: whether they can; None where the question was not settled.
        limits: if not, a smallest set that cannot be kept together: the network's first, then by kind and name.
        detail: the same in a sentence.
    """

    possible: bool | None
    limits: tuple[KeptLimit, ...]
    detail: str


def diagnose(workings: Workings) -> Diagnosis:
    """Ask whether the first period can be had without exceeding or missing anything, and if not, what stands in the way."""
    if not _missed(workings):
        return Diagnosis(possible=True, limits=(), detail="nothing is exceeded and nothing missed")
    rigid = _Rigid(workings)
    for _ in range(_ROUNDS_MAX):
        found = rigid.solve()
        if found is None:
            return Diagnosis(possible=None, limits=(), detail="the solver came to no verdict; go by the violations")
        if isinstance(found, Conflict):
            return _told(rigid.named(found))
        if not rigid.add_violated(found):
            said = (
                "every limit of this interval can be kept: where one is exceeded, keeping it costs more than its penalty, or a period "
                "ahead asks for it"
            )
            return Diagnosis(possible=True, limits=(), detail=said)
    return Diagnosis(possible=None, limits=(), detail=f"not settled after {_ROUNDS_MAX} rounds; go by the violations")


def _missed(workings: Workings) -> bool:
    """Whether anything of the first period is exceeded or missed; load in dead islands is asked of no program."""
    assembled, solution = workings.assembled, workings.result.solution
    relief, groups, storages = assembled.relief, assembled.groups, assembled.storages
    now = relief.period == 0
    bought = [relief.shed[now], relief.spill[now], groups.under[0], groups.over[0], storages.shortfall]
    if assembled.reserves is not None:
        bought.append(assembled.reserves.short[0])
    over = any(limit.period == 0 and abs(limit.over_mw) > _AT_BOUND_MW for limit in solution.priced)
    return over or bool(solution.x[np.concatenate(bought)].max(initial=0.0) > _AT_BOUND_MW)


def _told(limits: tuple[KeptLimit, ...]) -> Diagnosis:
    wires = [limit for limit in limits if limit.kind in {"line", "section", "n-1"}]
    named = ", ".join(limit.id if limit.outage is None else f"{limit.id} after {limit.outage}" for limit in wires[:10])
    others = len(limits) - len(wires)
    of_wires = f"{len(wires)} limit{'s' * (len(wires) > 1)} of the network ({named}{', …' if len(wires) > 10 else ''})" if wires else ""
    beside = f"{others} of balance, units or others" if others else ""
    said = " and ".join(part for part in (of_wires, beside) if part)
    return Diagnosis(possible=False, limits=limits, detail=f"these cannot be kept together, and could if any one were eased: {said}")


class _Rigid:
    """The interval with every limit rigid: a column per range, a row per limit.

    Attributes:
        width: (n,) what each column may add to its least value.
        source: (n,) the formulation's column that each stands for, -1 for a curve that has none.
        unit: (n,) the unit it is the output of, -1 for others.
    """

    def __init__(self, workings: Workings) -> None:
        self.workings = workings
        assembled = workings.assembled
        self.problem, self.units = assembled.problem, assembled.units
        self.period, self.monitor = self.problem.formulation.periods[0], self.problem.monitors[0]
        self._columns()
        self.keys: NDArray[np.int64] = np.zeros(0, dtype=np.int64)
        self._flow_before = self.period.flows_mw(self.period.injection_mw)
        self.rows, self.low, self.high = self._balances()
        self.n_balances = len(self.low)
        self._structure()
        self.n_firm = len(self.low)
        priced = [limit for limit in workings.result.solution.priced if limit.period == 0]
        active = [limit.key for limit in priced if abs(limit.over_mw) > _AT_BOUND_MW or limit.price_per_mwh != 0.0]
        self._add(np.array(active, dtype=np.int64))

    def _columns(self) -> None:
        """One column per unit, whatever its segments; what may be exceeded or missed at a penalty has none."""
        f, block, assembled = self.problem.formulation, self.units, self.workings.assembled
        relief, groups, storages = assembled.relief, assembled.groups, assembled.storages
        open_ = f.period == 0
        closed = [relief.shed, relief.spill, groups.under[0], groups.over[0], storages.shortfall, block.column[0]]
        if assembled.reserves is not None:
            closed.append(assembled.reserves.short[0])
        open_[np.concatenate(closed)] = False
        other = np.flatnonzero(open_ & (f.upper > 0))
        room = (block.high_mw - block.low_mw)[0]
        moving = np.flatnonzero(block.live[0] & (room > 0))
        first = np.full(len(room), -1, dtype=np.intp)
        # The segments of a unit stand in the same rows with the same coefficients: the first speaks for all.
        first[block.unit[::-1]] = block.column[0, ::-1]
        self.unit = np.concatenate([moving, np.full(len(other), -1)])
        self.source = np.concatenate([first[moving], other])
        self.width: FloatArray = np.concatenate([room[moving], f.upper[other]])
        self.bus = np.concatenate([block.book.bus[moving], f.bus[other]])
        self.gain: FloatArray = np.concatenate([np.ones(len(moving)), f.gain[other]])
        self.gain[self.bus < 0] = 0.0

    def _balances(self) -> tuple[csr_array[np.float64], FloatArray, FloatArray]:
        period, feeding = self.period, np.flatnonzero(self.gain != 0)
        island = period.topology.island_of_bus
        self.live = np.flatnonzero(period.live)
        row = np.searchsorted(self.live, island[self.bus[feeding]])
        matrix = csr_array((self.gain[feeding], (row, feeding)), shape=(len(self.live), len(self.width)))
        wanted = -sum_by(island, period.injection_mw, len(period.live))[self.live]
        return matrix, wanted, wanted.copy()

    def _structure(self) -> None:
        """Rows that tie columns of this period alone, those of which nothing can be moved left out."""
        f = self.problem.formulation
        entries = f.rows.tocoo()
        ahead = np.zeros(len(f.low), dtype=np.bool_)
        ahead[entries.row[f.period[entries.col] != 0]] = True
        self.structure = np.flatnonzero(~ahead & ~f.lazy)
        part = f.rows[self.structure].tocsc()
        known = np.flatnonzero(self.source >= 0)
        spread = csr_array((np.ones(len(known)), (np.arange(len(known)), known)), shape=(len(known), len(self.width)))
        moved = csr_array(part[:, self.source[known]] @ spread)
        self._append(moved, f.low[self.structure], f.high[self.structure])

    def _append(self, rows: csr_array[np.float64], low: FloatArray, high: FloatArray) -> None:
        self.rows = csr_array(vstack([self.rows, rows]))
        self.low, self.high = np.concatenate([self.low, low]), np.concatenate([self.high, high])

    def _add(self, keys: NDArray[np.int64]) -> None:
        """Take limits of the network in, scaled so that the solver drops no factor as too small."""
        if not len(keys):
            return
        found = self.monitor.rows(keys)
        factor = self.period.topology.ptdf_of(found.coefficients)
        dense = np.where(self.bus >= 0, factor[:, np.maximum(self.bus, 0)] * self.gain, 0.0)
        largest = np.abs(dense).max(axis=1, initial=0.0)
        dense = np.where(np.abs(dense) < _CUT * largest[:, None], 0.0, dense)
        scale = np.where(largest > 0, 1.0 / np.where(largest > 0, largest, 1.0), 1.0)
        base = found.coefficients @ self._flow_before
        self._append(csr_array(dense * scale[:, None]), (found.low_mw - base) * scale, (found.high_mw - base) * scale)
        self.keys = np.concatenate([self.keys, keys])

    def solve(self) -> FloatArray | Conflict | None:
        start = self.rows.indptr[:-1].astype(np.int32)
        return conflict(self.width, self.low, self.high, (start, self.rows.indices.astype(np.int32), self.rows.data))

    def add_violated(self, x: FloatArray) -> bool:
        """Add the worst limits that a point breaks; tell whether it broke any."""
        feeding = self.gain != 0
        made = sum_by(self.bus[feeding], (self.gain * x)[feeding], len(self.period.load_mw))
        flow = self.period.flows_mw(self.period.injection_mw + np.where(self.period.live_bus, made, 0.0))
        new = self.monitor.violated(flow, np.sort(self.keys), _TOLERANCE_MW)
        self._add(new)
        return bool(len(new))

    def named(self, found: Conflict) -> tuple[KeptLimit, ...]:
        """Return the limits of a conflict by name."""
        at = dict(zip(found.row.tolist(), found.row_above.tolist(), strict=True))
        wires = [(row - self.n_firm, above) for row, above in at.items() if row >= self.n_firm]
        keys = self.keys[[k for k, _ in wires]]
        rows = self.monitor.rows(keys)
        limits = [
            KeptLimit(kind=kind.value, id=name, outage=outage, side=_side(above), mw=float(high if above else low))
            for (kind, name, outage), (_, above), low, high in zip(
                limit_names(self.monitor, keys.tolist()), wires, rows.low_mw, rows.high_mw, strict=True
            )
        ]
        limits.sort(key=lambda limit: (limit.kind, limit.id, limit.outage or ""))
        firm = [self._firm(row, above) for row, above in at.items() if row < self.n_firm]
        ranges = [self._range(k, above) for k, above in zip(found.column.tolist(), found.column_above.tolist(), strict=True)]
        return (*limits, *sorted([*firm, *ranges], key=lambda limit: (limit.kind, limit.id)))

    def _firm(self, row: int, above: bool) -> KeptLimit:
        names = self.period.topology.network.bus_ids
        if row < self.n_balances:
            first = names[self.period.topology.reference_bus[self.live[row]]]
            return KeptLimit(kind="balance", id=first, outage=None, side="exactly", mw=float(self.low[row]))
        kind, name = self._structure_name(int(self.structure[row - self.n_balances]))
        side = "exactly" if self.low[row] == self.high[row] else _side(above)
        return KeptLimit(kind=kind, id=name, outage=None, side=side, mw=float(self.high[row] if above else self.low[row]))

    def _structure_name(self, row: int) -> tuple[str, str]:
        assembled = self.workings.assembled
        held, storages = assembled.reserves, assembled.storages
        tables: list[tuple[str, IndexArray, tuple[str, ...]]] = [
            ("group", assembled.groups.row[0], assembled.groups.ids),
            ("energy", storages.soc_row[0], storages.book.ids),
            ("energy", storages.target_row, tuple(storages.book.ids[i] for i in storages.book.target)),
        ]
        if held is not None:
            tables.append(("reserve", held.requirement_row[0], held.book.requirements))
        for kind, rows, names in tables:
            if len(at := np.flatnonzero(rows == row)):
                return kind, names[at[0]]
        columns = self.problem.formulation.rows[[row]].indices
        return "headroom", next((name for name in map(self._owner, columns.tolist()) if name), "")

    def _owner(self, column: int) -> str:
        """The unit, storage or provider that a column of the formulation belongs to."""
        assembled = self.workings.assembled
        block, storages, held = assembled.units, assembled.storages, assembled.reserves
        tables: list[tuple[IndexArray, tuple[str, ...]]] = [
            (block.column[0], tuple(block.book.ids[i] for i in block.unit)),
            (storages.charge[0], tuple(storages.book.ids[i] for i in storages.book.bid_of)),
            (storages.discharge[0], tuple(storages.book.ids[i] for i in storages.book.offer_of)),
            (storages.soc[0], storages.book.ids),
        ]
        if held is not None:
            tables.append((held.award[0], tuple(f"{provider} for {product}" for provider, product in held.book.offers)))
        return next((names[at[0]] for columns, names in tables if len(at := np.flatnonzero(columns == column))), "")

    def _range(self, k: int, above: bool) -> KeptLimit:
        """The bound of one column: of a unit the end of its range."""
        if (i := int(self.unit[k])) >= 0:
            end = (self.units.high_mw if above else self.units.low_mw)[0, i]
            return KeptLimit(kind="unit", id=self.units.book.ids[i], outage=None, side=_side(above), mw=float(end))
        held, column = self.workings.assembled.reserves, int(self.source[k])
        award = held is not None and column in held.award[0]
        name = self._owner(column)
        return KeptLimit(
            kind="award" if award else "storage", id=name, outage=None, side=_side(above), mw=float(self.width[k] if above else 0.0)
        )


def _side(above: bool) -> str:
    return "at most" if above else "at least"
