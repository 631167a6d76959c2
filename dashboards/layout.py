"""Where on the one-line diagram does each station stand?

Stations stand on the cells of a grid of columns and rows, one each, so none covers another. Three steps, each without chance, so the
same plan always gives the same places:

1. **Where it belongs.** Geography where the data have it, spread halfway to an even density because grids crowd in cities. Else the
   places at which the distances on the canvas fit the number of branches between stations best (stress majorisation, begun from
   classical scaling). Theory: Gansner, Koren and North, "Graph drawing by stress majorization" (2004).
2. **A cell of its own.** The assignment with the least sum of squared distances to where the stations belong.
3. **Fewer crossings.** Stations move to free cells or change places with others close by, in the order of their names, as long as that
   takes away crossings, or lines that run through a station they do not end at.

People find a station where it was yesterday. So places that were given once are **kept**: a station that has one stays on it whatever
else changes, and new ones are put on free cells beside what they are joined to.

Deliberately absent: how stations and lines are drawn (:mod:`dashboards.oneline`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil, sqrt
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array
from scipy.sparse.csgraph import shortest_path

from dashboards.gridplan import GridPlan

__all__ = ["Cell", "Layout", "crossings", "laid_out", "run_through"]

Cell = tuple[int, int]
"""Column from the left, row from the top."""

_Floats = NDArray[np.float64]

_ROOM: Final = 2.2
"""Cells for each station: the lines need the others."""
_ASPECT: Final = 1.7
"""Columns for each row, on a canvas of 2.4 to 1 whose stations are wider than high."""
_STRESS_STEPS: Final = 60
_ROUNDS_MAX: Final = 8
_REACH: Final = 2
"""How many columns and rows a station moves in one step."""
_CLEARANCE: Final = 0.4
"""A line closer than this to the middle of a station it does not end at runs through it, in cells."""
_COST_THROUGH: Final = 2.0
_COST_AWAY: Final = 0.03
_COST_LONG: Final = 0.02
"""Against one crossing: a line through a station, a station one cell away from where it belongs (squared), a cell of line."""


@dataclass(frozen=True, kw_only=True)
class Layout:
    """The cell of each station, by name, within so many columns and rows."""

    columns: int
    rows: int
    cells: Mapping[str, Cell] = field(default_factory=dict)


def laid_out(plan: GridPlan, kept: Layout | None = None) -> Layout:
    """Return where every station of a plan stands.

    Args:
        kept: an earlier layout; its stations that are still in the plan stay, and it grows to the right and downwards where it is full.
    """
    names = list(plan.stations)
    old = {name: cell for name, cell in kept.cells.items() if name in plan.stations} if kept is not None else {}
    columns, rows = _size(len(names), kept if old else None)
    new = [name for name in names if name not in old]
    if not new:
        return Layout(columns=columns, rows=rows, cells={name: old[name] for name in names})
    wanted = _wanted(plan, names, columns, rows)
    if old:
        wanted = _beside(plan, new, old, dict(zip(names, wanted, strict=True)))
        return Layout(columns=columns, rows=rows, cells=_sorted(old | _assigned(new, wanted, columns, rows, set(old.values()))))
    cells = _assigned(names, wanted, columns, rows, set())
    return Layout(columns=columns, rows=rows, cells=_sorted(_Search(plan, names, wanted, cells, columns, rows).improved()))


def _sorted(cells: Mapping[str, Cell]) -> dict[str, Cell]:
    return {name: cells[name] for name in sorted(cells)}


def _size(stations: int, kept: Layout | None) -> tuple[int, int]:
    """Return columns and rows with enough cells; more than before, never fewer."""
    if kept is None:
        rows = max(1, ceil(sqrt(stations * _ROOM / _ASPECT)))
        return max(1, ceil(stations * _ROOM / rows)), rows
    columns, rows = kept.columns, kept.rows
    while columns * rows < stations:
        columns, rows = (columns + 1, rows) if columns < rows * _ASPECT else (columns, rows + 1)
    return columns, rows


def _wanted(plan: GridPlan, names: Sequence[str], columns: int, rows: int) -> _Floats:
    """Return (n, 2) where each station belongs, in columns and rows."""
    at = _geographic(plan, names)
    if at is None:
        at = _by_stress(plan, names)
    spread = np.column_stack([_spread(at[:, 0]), _spread(-at[:, 1])])
    wanted: _Floats = spread * np.array([columns - 1, rows - 1])
    return wanted


def _geographic(plan: GridPlan, names: Sequence[str]) -> _Floats | None:
    """Return (n, 2) the mean place of each station's buses, east and north, or None where one has none."""
    at = np.empty((len(names), 2))
    for row, name in enumerate(names):
        places = [(bus.east, bus.north) for bus in plan.stations[name] if bus.east is not None and bus.north is not None]
        if not places:
            return None
        at[row] = np.mean(places, axis=0)
    return at


def _spread(values: _Floats) -> _Floats:
    """Return values between 0 and 1, halfway between where they are and even density."""
    if len(values) < 2 or np.ptp(values) == 0:
        return np.full(len(values), 0.5)
    straight = (values - values.min()) / np.ptp(values)
    even: _Floats = np.interp(values, np.sort(values), np.linspace(0.0, 1.0, len(values)))
    between: _Floats = (straight + even) / 2
    return between


def _by_stress(plan: GridPlan, names: Sequence[str]) -> _Floats:
    """Return (n, 2) places whose distances are as near as can be to the number of branches between stations."""
    n = len(names)
    if n < 3:
        return np.column_stack([np.arange(n, dtype=np.float64), np.zeros(n)])
    far = _distances(plan, names)
    at = _classical(far)
    weight = np.divide(1.0, far**2, out=np.zeros_like(far), where=far > 0)
    laplacian = np.diag(weight.sum(axis=1)) - weight
    inverse = np.linalg.pinv(laplacian)
    for _ in range(_STRESS_STEPS):
        apart = np.linalg.norm(at[:, None] - at[None, :], axis=2)
        ratio = np.divide(weight * far, apart, out=np.zeros_like(far), where=apart > 1e-9)
        at = inverse @ ((np.diag(ratio.sum(axis=1)) - ratio) @ at)
    return _turned(at)


def _distances(plan: GridPlan, names: Sequence[str]) -> _Floats:
    """Return (n, n) branches between stations; of different islands, one more than any within one."""
    place = {name: k for k, name in enumerate(names)}
    pairs = [(place[one], place[other]) for one in names for other in plan.neighbours[one]]
    f, t = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    far = shortest_path(coo_array((np.ones(len(f)), (f, t)), shape=(len(names),) * 2).tocsr(), unweighted=True)
    finite = np.isfinite(far)
    far[~finite] = far[finite].max() + 1
    return np.asarray(far, dtype=np.float64)


def _classical(far: _Floats) -> _Floats:
    """Return (n, 2) the classical scaling of a matrix of distances."""
    n = len(far)
    centre = np.eye(n) - 1.0 / n
    values, vectors = np.linalg.eigh(-0.5 * centre @ far**2 @ centre)
    best = np.argsort(values)[::-1][:2]
    # Equal eigenvalues leave a plane undetermined, and a grid of mirror images puts two stations on one place: a trace of the order helps.
    at: _Floats = vectors[:, best] * np.sqrt(np.maximum(values[best], 1e-6))
    return at + 1e-3 * np.column_stack([np.arange(n), np.arange(n) ** 2 % n]) / n


def _turned(at: _Floats) -> _Floats:
    """Return the same picture with its longer side level, and the first station to the left and above the middle."""
    at = at - at.mean(axis=0)
    _, _, axes = np.linalg.svd(at, full_matrices=False)
    level: _Floats = at @ axes.T
    # Grafana and people count rows from the top: what lies north is the greater.
    turned: _Floats = level * np.where(level[0] > 0, -1.0, 1.0) * np.array([1.0, -1.0])
    return turned


def _beside(plan: GridPlan, new: Sequence[str], old: Mapping[str, Cell], wanted: Mapping[str, Any]) -> _Floats:
    """Return (n, 2) where new stations belong among those that stay: in the middle of their neighbours, if these have a place."""
    known: dict[str, Any] = {name: np.array(cell, dtype=np.float64) for name, cell in old.items()}
    waiting = list(new)
    while True:
        ready = {name: [known[other] for other in plan.neighbours[name] if other in known] for name in waiting}
        placed = {name: np.mean(around, axis=0) for name, around in ready.items() if around}
        if not placed:
            break
        known |= placed
        waiting = [name for name in waiting if name not in placed]
    return np.array([known.get(name, wanted[name]) for name in new])


def _assigned(names: Sequence[str], wanted: _Floats, columns: int, rows: int, taken: set[Cell]) -> dict[str, Cell]:
    """Give each station a cell of its own, as near as possible to where it belongs."""
    free = [(column, row) for row in range(rows) for column in range(columns) if (column, row) not in taken]
    away = ((wanted[:, None, :] - np.array(free, dtype=np.float64)[None, :, :]) ** 2).sum(axis=2)
    stations, cells = linear_sum_assignment(away)
    return {names[station]: free[cell] for station, cell in zip(stations.tolist(), cells.tolist(), strict=True)}


class _Search:
    """Moves stations until no move makes the picture better."""

    def __init__(self, plan: GridPlan, names: Sequence[str], wanted: _Floats, cells: Mapping[str, Cell], columns: int, rows: int) -> None:
        place = {name: k for k, name in enumerate(names)}
        pairs = sorted({(place[one], place[other]) for one in names for other in plan.neighbours[one] if place[one] < place[other]})
        self._names = names
        self._wanted = wanted
        self._pairs = np.array(pairs, dtype=np.int64).reshape(-1, 2)
        self._at = np.array([cells[name] for name in names], dtype=np.float64)
        self._size = (columns, rows)
        self._ending = _ends(self._pairs, len(names))

    def improved(self) -> dict[str, Cell]:
        """Return the cells after the last move."""
        for _ in range(_ROUNDS_MAX):
            moves = sum(self._improve(station) for station in range(len(self._names)))
            if not moves:
                break
        return {name: (int(x), int(y)) for name, (x, y) in zip(self._names, self._at.tolist(), strict=True)}

    def _improve(self, station: int) -> bool:
        """Make the best move of one station, if one is better than none."""
        here = tuple(self._at[station].astype(int).tolist())
        standing = {(int(x), int(y)): k for k, (x, y) in enumerate(self._at.tolist())}
        best, gain = None, 1e-9
        for there in self._around(*here):
            moved = {station: there}
            if there in standing:
                moved[standing[there]] = here
            saved = self._cost_of(tuple(moved)) - self._cost_after(moved)
            if saved > gain:
                best, gain = moved, saved
        if best is None:
            return False
        for number, cell in best.items():
            self._at[number] = cell
        return True

    def _around(self, column: int, row: int) -> Iterator[Cell]:
        columns, rows = self._size
        for y in range(max(0, row - _REACH), min(rows, row + _REACH + 1)):
            for x in range(max(0, column - _REACH), min(columns, column + _REACH + 1)):
                if (x, y) != (column, row):
                    yield x, y

    def _cost_after(self, moved: Mapping[int, Cell]) -> float:
        before = self._at
        self._at = before.copy()
        for number, cell in moved.items():
            self._at[number] = cell
        cost = self._cost_of(tuple(moved))
        self._at = before
        return cost

    def _cost_of(self, stations: tuple[int, ...]) -> float:
        """Return what of the cost a move of these stations can change."""
        mine = self._ending[:, list(stations)].any(axis=1)
        start, end = self._at[self._pairs[:, 0]], self._at[self._pairs[:, 1]]
        own, others = self._pairs[mine], self._pairs[~mine]
        cost = float((_cross(start[mine], end[mine], start[~mine], end[~mine]) & ~_share(own, others)).sum())
        cost += float(np.triu(_cross(start[mine], end[mine], start[mine], end[mine]) & ~_share(own, own), 1).sum())
        through = _through(start[mine], end[mine], self._at) & ~self._ending[mine]
        cost += _COST_THROUGH * float(through.sum() + _through(start[~mine], end[~mine], self._at[list(stations)]).sum())
        cost += _COST_LONG * float(np.linalg.norm(end[mine] - start[mine], axis=1).sum())
        away = self._at[list(stations)] - self._wanted[list(stations)]
        return cost + _COST_AWAY * float((away**2).sum())


def _cross(a: _Floats, b: _Floats, c: _Floats, d: _Floats) -> NDArray[np.bool_]:
    """Return (m, k) whether the lines a–b (m, 2) cross the lines c–d (k, 2), or lie on each other."""

    def side(p: _Floats, q: _Floats, r: _Floats) -> _Floats:
        turned: _Floats = (q[..., 0] - p[..., 0]) * (r[..., 1] - p[..., 1]) - (q[..., 1] - p[..., 1]) * (r[..., 0] - p[..., 0])
        return np.sign(turned)

    a, b, c, d = a[:, None], b[:, None], c[None], d[None]
    return (side(a, b, c) * side(a, b, d) <= 0) & (side(c, d, a) * side(c, d, b) <= 0) & _boxes_meet(a, b, c, d)


def _boxes_meet(a: _Floats, b: _Floats, c: _Floats, d: _Floats) -> NDArray[np.bool_]:
    meet = (np.minimum(a, b) <= np.maximum(c, d)) & (np.minimum(c, d) <= np.maximum(a, b))
    return np.asarray(meet.all(axis=-1))


def _share(one: NDArray[np.int64], other: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return (m, k) whether two lines end at one station; they meet there and do not cross."""
    return np.asarray((one[:, None, :, None] == other[None, :, None, :]).any(axis=(2, 3)))


def _ends(pairs: NDArray[np.int64], n: int) -> NDArray[np.bool_]:
    """Return (m, n) whether a line ends at a station."""
    return np.asarray((pairs[:, :, None] == np.arange(n)).any(axis=1))


def _through(start: _Floats, end: _Floats, at: _Floats) -> NDArray[np.bool_]:
    """Return (m, n) whether a line passes the middle of a station too closely."""
    along = end - start
    length = np.maximum((along**2).sum(axis=1), 1e-12)[:, None]
    to = at[None] - start[:, None]
    share = np.clip((to * along[:, None]).sum(axis=2) / length, 0.0, 1.0)
    nearest = start[:, None] + share[..., None] * along[:, None]
    return np.asarray(((nearest - at[None]) ** 2).sum(axis=2) < _CLEARANCE**2)


def _lines(plan: GridPlan, layout: Layout) -> tuple[NDArray[np.int64], _Floats]:
    names = list(layout.cells)
    place = {name: k for k, name in enumerate(names)}
    pairs = sorted({(place[one], place[other]) for one in names for other in plan.neighbours[one] if place[one] < place[other]})
    return np.array(pairs, dtype=np.int64).reshape(-1, 2), np.array([layout.cells[name] for name in names], dtype=np.float64)


def crossings(plan: GridPlan, layout: Layout) -> int:
    """Return how many pairs of lines cross."""
    pairs, at = _lines(plan, layout)
    start, end = at[pairs[:, 0]], at[pairs[:, 1]]
    return int(np.triu(_cross(start, end, start, end) & ~_share(pairs, pairs), 1).sum())


def run_through(plan: GridPlan, layout: Layout) -> int:
    """Return how many times a line runs through a station it does not end at."""
    pairs, at = _lines(plan, layout)
    return int((_through(at[pairs[:, 0]], at[pairs[:, 1]], at) & ~_ends(pairs, len(at))).sum())
