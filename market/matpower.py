"""What does a MATPOWER case file say?

Reads the text of a version-2 case (``.m``, or ``.m.gz``): the matrices ``bus``, ``gen``, ``branch`` and ``gencost`` and the
scalar ``baseMVA``. Nothing is evaluated: a file whose statements would change a matrix after it is written is refused, because
reading on would give a different case from the one MATPOWER sees.

How the data are read:
    * Buses are named by their number, branches and units by their row counted from 1; a ``gen_name`` list names the units.
    * A bus draws its load Pd and its shunt conductance Gs (MW at 1 p.u.).
    * Out-of-service units and branches stay in the case, switched off. An isolated bus (type 4) loses load, units and branches.
    * A branch with x = 0 is a closed bus-bar coupler, see :mod:`market.busbars`.
    * Rating 0 is no limit; tap 0 is 1; angle limits of ±360° or beyond, or both 0, are none.
    * Costs are polynomials up to the second degree or convex piecewise-linear curves; the rows for reactive power are not read.

Absent on purpose: DC lines, which would change the balance, are refused; version-1 files; every other matrix.
Format: MATPOWER User's Manual, appendix B (Zimmerman and Murillo-Sánchez).
"""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from math import isfinite
from pathlib import Path

import numpy as np

from market.errors import CaseError
from market.grid import BoolArray, FloatArray, IndexArray, Network
from market.offers import Control, Fuel, Quadratic, Segment, Unit

__all__ = ["Case", "parse_case", "read_case"]

_COLUMNS = {"bus": 13, "gen": 10, "branch": 11, "gencost": 5}
_OPENING = re.compile(r"^[ \t]*mpc\.(\w+)[ \t]*=[ \t]*([\[{])", re.MULTILINE)
_STATEMENT = re.compile(r"^[ \t]*(function\b.*|mpc\.\w+[ \t]*=[ \t]*('[^']*'|\"[^\"]*\"|[-+.\w]+)|end|return|[ \t;\]}]*)[ \t;]*$")
_COMMENT = re.compile(r"%[^\n]*")
_CONTINUED = re.compile(r"\.\.\.[^\n]*\n")
_ISOLATED = 4
_LARGEST = 1e12
_SLOPE_NOISE = 1e-9
"""Relative fall of a piecewise cost's slope that is the rounding of the division it comes from."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Case:
    """One case as the file has it.

    Attributes:
        name: the file's name, or what the caller calls the text.
        network: every bus and branch of the file.
        in_service: (nl,) branch status.
        units: every unit, in file order; those out of service have a range of 0 MW.
        units_off: ids of the units out of service.
        load_mw: (nb,) Pd, MW; may be negative.
        shunt_mw: (nb,) Gs, MW; may be negative.
    """

    name: str
    network: Network
    in_service: BoolArray
    units: tuple[Unit, ...]
    units_off: tuple[str, ...]
    load_mw: FloatArray
    shunt_mw: FloatArray


@dataclass(frozen=True, kw_only=True, eq=False)
class _Matrix:
    """One matrix, and the text it was read from, in which an error finds its line."""

    where: str
    values: FloatArray
    block: str
    first_line: int

    def refuse(self, row: int, what: str) -> CaseError:
        line, _ = next(islice(_rows(self.block, self.first_line), row, None))
        return CaseError(f"{self.where.format(line)}, row {row + 1}: {what}")


def read_case(path: Path) -> Case:
    """Read a case file, gzipped where its name ends in ``.gz``.

    Raises:
        CaseError: the file cannot be read or is no usable case; names the file, the line and the remedy.
    """
    try:
        raw = path.read_bytes()
        if path.suffix == ".gz":
            raw = gzip.decompress(raw)
    except (OSError, EOFError, zlib.error) as exc:
        raise CaseError(f"{path}: cannot be read ({exc}); give a MATPOWER .m or .m.gz file") from exc
    # Comments carry authors' names in whatever encoding; the matrices are ASCII.
    return parse_case(raw.decode("utf-8", errors="replace"), name=path.name)


def parse_case(text: str, name: str = "case") -> Case:
    """Read the text of a case.

    Args:
        text: the whole file.
        name: what to call it in messages.

    Raises:
        CaseError: malformed text or contradictory data; names the line, the matrix and the remedy.
    """
    # A vertical tab is white space to a row and still counts as a line.
    text = _CONTINUED.sub(" \v", _COMMENT.sub("", text.replace("\r\n", "\n")))
    matrices, gen_names = _matrices(text, name)
    for wanted in _COLUMNS:
        if wanted not in matrices:
            raise CaseError(f"{name}: mpc.{wanted} is missing; give a complete MATPOWER version-2 case")
    if "dcline" in matrices and (matrices["dcline"].values[:, 2] > 0).any():
        raise CaseError(f"{name}: mpc.dcline has lines in service, which are not modelled; turn their schedules into loads and units")
    return _case(name, matrices, _base_mva(text, name), gen_names)


def _base_mva(text: str, name: str) -> float:
    match = re.search(r"^[ \t]*mpc\.baseMVA[ \t]*=[ \t]*([^;\n]+)", text, re.MULTILINE)
    try:
        base = float(match[1]) if match else 0.0
    except ValueError:
        base = 0.0
    if not 0 < base < float("inf"):
        raise CaseError(f"{name}: mpc.baseMVA is missing or no positive number; write it as in mpc.baseMVA = 100;")
    return base


def _matrices(text: str, name: str) -> tuple[dict[str, _Matrix], list[str]]:
    """Cut the text into matrices and refuse statements between them that would change one."""
    matrices: dict[str, _Matrix] = {}
    gen_names: list[str] = []
    at = 0
    while match := _OPENING.search(text, at):
        _refuse_statements(text[at : match.start()], _line_at(text, at), name)
        key, line = match[1], _line_at(text, match.end())
        end = text.find("]" if match[2] == "[" else "}", match.end())
        if end < 0 or _OPENING.search(text, match.end(), end):
            raise CaseError(f"{name}:{line}: mpc.{key} is not closed; end it with {'];' if match[2] == '[' else '};'}")
        if key in matrices:
            raise CaseError(f"{name}:{line}: mpc.{key} is given twice; keep one")
        if match[2] == "[" and (key in _COLUMNS or key == "dcline"):
            matrices[key] = _matrix(text[match.end() : end], line, f"{name}:{{}}: mpc.{key}", _COLUMNS.get(key, 3))
        elif key == "gen_name":
            rows = [row for row in re.split(r"[;\n]", text[match.end() : end]) if row.strip()]
            gen_names = [(re.findall(r"'([^']*)'", row) or [""])[0] for row in rows]
        at = end + 1
    _refuse_statements(text[at:], _line_at(text, at), name)
    return matrices, gen_names


def _line_at(text: str, position: int) -> int:
    return 1 + text.count("\n", 0, position) + text.count("\v", 0, position)


def _refuse_statements(text: str, line: int, name: str) -> None:
    for offset, statement in enumerate(text.split("\n")):
        if not _STATEMENT.match(statement):
            what = f"{statement.strip()[:60]!r} is a statement, and nothing is evaluated"
            raise CaseError(f"{name}:{line + offset}: {what}; save the case from MATPOWER (savecase)")


def _matrix(block: str, first_line: int, where: str, columns: int) -> _Matrix:
    values = _even(block)
    if values is None or values.shape[1] < columns:
        values = _row_by_row(block, first_line, where, columns)
    matrix = _Matrix(where=where, values=values, block=block, first_line=first_line)
    # Infinity stands for "no limit" where the format has limits; what is merely huge is a slip of the pen.
    absurd = np.isnan(values) | (np.isfinite(values) & (np.abs(values) > _LARGEST))
    if absurd.any():
        raise matrix.refuse(int(absurd.any(axis=1).argmax()), f"holds NaN or a number beyond {_LARGEST:g}; correct the cell")
    return matrix


def _even(block: str) -> FloatArray | None:
    """Read rows of plain numbers that are all of one length, in one sweep; None where something is out of the ordinary.

    The end of a row is written as NaN, which no ordinary cell is: blocks with a letter of that word are left to the careful way.
    """
    if "n" in block or "N" in block:
        return None
    cells = block.replace(",", " ").replace(";", " nan ").replace("\n", " nan ").split()
    try:
        flat = np.fromiter(map(float, cells), dtype=np.float64, count=len(cells))
    except ValueError:
        return None
    end = np.isnan(flat)
    lengths = np.diff(np.concatenate([[-1], np.flatnonzero(end), [len(flat)]])) - 1
    lengths = lengths[lengths > 0]
    if not len(lengths) or (lengths != lengths[0]).any():
        return None
    return flat[~end].reshape(len(lengths), int(lengths[0]))


def _row_by_row(block: str, first_line: int, where: str, columns: int) -> FloatArray:
    """Read what is out of the ordinary, or say on which line it is wrong."""
    rows = list(_rows(block, first_line))
    if not rows:
        raise CaseError(f"{where.format(first_line)}: the matrix is empty; give at least one row")
    width = len(rows[0][1])
    for line, row in rows:
        if len(row) != width or width < columns:
            raise CaseError(f"{where.format(line)}: a row of {len(row)} values, expected {max(width, columns)}; complete the row")
    for line, row in rows:
        if bad := [cell for cell in row if not _is_number(cell)]:
            raise CaseError(f"{where.format(line)}: {bad[0]!r} is no number; correct the cell")
    return np.array([[float(cell) for cell in row] for _, row in rows], dtype=np.float64)


def _rows(block: str, line: int) -> Iterator[tuple[int, list[str]]]:
    """Go through the rows of a matrix with the line each stands on."""
    for text in block.replace(",", " ").split("\n"):
        for piece in text.split(";"):
            if cells := piece.split():
                yield line, cells
        line += 1 + text.count("\v")


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _case(name: str, matrices: dict[str, _Matrix], base_mva: float, gen_names: list[str]) -> Case:
    bus, gen, branch, gencost = (matrices[key] for key in ("bus", "gen", "branch", "gencost"))
    numbers = bus.values[:, 0]
    if not np.isfinite(numbers).all():
        raise bus.refuse(int((~np.isfinite(numbers)).argmax()), "its bus number is infinite; number it")
    if len(np.unique(numbers)) != len(numbers):
        row = next(i for i in range(len(numbers)) if numbers[i] in numbers[:i])
        raise bus.refuse(row, f"bus {numbers[row]:g} is given twice; keep one")
    isolated = bus.values[:, 1] == _ISOLATED
    f, t = (_positions(numbers, branch, column, "a branch ends at") for column in (0, 1))
    in_service: BoolArray = (branch.values[:, 10] > 0) & ~isolated[f] & ~isolated[t]
    network = _network(bus, branch, f, t, base_mva)
    load_mw: FloatArray = np.where(isolated, 0.0, bus.values[:, 2])
    shunt_mw: FloatArray = np.where(isolated, 0.0, bus.values[:, 4])
    if not np.isfinite(load_mw + shunt_mw).all():
        raise bus.refuse(int((~np.isfinite(load_mw + shunt_mw)).argmax()), "Pd or Gs is no number; give MW")
    on: BoolArray = (gen.values[:, 7] > 0) & ~isolated[_positions(numbers, gen, 0, "a unit stands at")]
    if gencost.values.shape[0] < len(on):
        raise gencost.refuse(0, f"{gencost.values.shape[0]} cost rows for {len(on)} units; give one per unit")
    named = len(set(gen_names)) == len(on) == len(gen_names)
    ids = gen_names if named else [str(k + 1) for k in range(len(on))]
    areas = dict(zip(network.bus_ids, network.bus_area, strict=True))
    units = tuple(_unit(ids[k], gen, gencost, k, areas, in_service=bool(on[k])) for k in range(len(on)))
    return Case(
        name=name,
        network=network,
        in_service=in_service,
        units=units,
        units_off=tuple(ids[k] for k in np.flatnonzero(~on)),
        load_mw=load_mw,
        shunt_mw=shunt_mw,
    )


def _positions(numbers: FloatArray, matrix: _Matrix, column: int, what: str) -> IndexArray:
    """Return the bus position of each row's bus number."""
    order = np.argsort(numbers)
    at = np.minimum(np.searchsorted(numbers, matrix.values[:, column], sorter=order), len(numbers) - 1)
    position = order[at]
    unknown = numbers[position] != matrix.values[:, column]
    if unknown.any():
        row = int(unknown.argmax())
        raise matrix.refuse(row, f"{what} bus {matrix.values[row, column]:g}, which mpc.bus does not have; add it or correct the row")
    return position.astype(np.int32)


def _network(bus: _Matrix, branch: _Matrix, f: IndexArray, t: IndexArray, base_mva: float) -> Network:
    data = branch.values
    low, high = (data[:, 11], data[:, 12]) if data.shape[1] >= 13 else (np.zeros(len(data)), np.zeros(len(data)))
    none = (low == 0) & (high == 0)

    def limit(column: int) -> FloatArray:
        return np.where(data[:, column] == 0, np.inf, data[:, column])

    return Network(
        bus_ids=tuple(f"{number:.0f}" for number in bus.values[:, 0]),
        bus_area=tuple(f"{area:.0f}" for area in bus.values[:, 6]),
        base_kv=bus.values[:, 9],
        branch_ids=tuple(str(k + 1) for k in range(len(data))),
        from_bus=f,
        to_bus=t,
        r_pu=data[:, 2],
        x_pu=data[:, 3],
        tap=np.where(data[:, 8] == 0, 1.0, data[:, 8]),
        shift_rad=np.radians(data[:, 9]),
        rate_mw=limit(5),
        rate_emergency_mw=limit(7),
        angle_min_rad=np.where(none | (low <= -360), -np.inf, np.radians(low)),
        angle_max_rad=np.where(none | (high >= 360), np.inf, np.radians(high)),
        base_mva=base_mva,
    )


def _unit(unit_id: str, gen: _Matrix, gencost: _Matrix, row: int, areas: dict[str, str], *, in_service: bool) -> Unit:
    number, p_max_mw, p_min_mw = gen.values[row, [0, 8, 9]].tolist() if in_service else (gen.values[row, 0], 0.0, 0.0)
    bus = f"{number:.0f}"
    cost_at_min, segments, quadratic = _cost(gencost, row, p_min_mw, p_max_mw)
    try:
        return Unit(
            id=unit_id,
            bus=bus,
            area=areas[bus],
            fuel=Fuel.OTHER,
            category="",
            control=Control.DISPATCHABLE,
            p_min_mw=p_min_mw,
            p_max_mw=p_max_mw,
            ramp_mw_per_min=float("inf"),
            segments=segments,
            quadratic=quadratic,
            cost_at_min_per_h=cost_at_min,
        )
    except CaseError as exc:
        raise gen.refuse(row, str(exc)) from exc


def _cost(gencost: _Matrix, row: int, p_min_mw: float, p_max_mw: float) -> tuple[float, tuple[Segment, ...], Quadratic | None]:
    """Return the cost per hour at the minimum, and what lies above it as segments or as a quadratic."""
    # Plain numbers: four thousand units have a row each, and an array costs more than what is done with it here.
    numbers = gencost.values[row].tolist()
    if not all(map(isfinite, numbers)):
        raise gencost.refuse(row, "holds an infinite cost; give numbers")
    model, _, _, terms, *data = numbers
    n = int(terms)
    if model == 2 and 0 < n <= len(data):
        c2, c1, c0 = [0.0, 0.0, 0.0, *data[:n]][-3:]
        if n > 3 and any(data[: n - 3]):
            raise gencost.refuse(row, f"a cost polynomial of degree {n - 1}; use a quadratic or piecewise-linear cost")
        at_min = (c2 * p_min_mw + c1) * p_min_mw + c0
        if c2 != 0:
            return at_min, (), Quadratic(linear_per_mwh=c1, curvature_per_mw2h=c2)
        return at_min, ((Segment(p_max_mw - p_min_mw, c1),) if p_max_mw > p_min_mw else ()), None
    if model == 1 and n >= 2 and 2 * n <= len(data):
        x, y = np.array(data[0 : 2 * n : 2]), np.array(data[1 : 2 * n : 2])
        if (np.diff(x) <= 0).any():
            raise gencost.refuse(row, "the points of the cost curve do not rise in MW; order them")
        return _piecewise(gencost, row, x, y, p_min_mw, p_max_mw)
    raise gencost.refuse(row, f"cost model {model:g} with {n} terms; use model 1 (points) or 2 (polynomial) and give every term")


def _piecewise(
    gencost: _Matrix, row: int, x: FloatArray, y: FloatArray, p_min_mw: float, p_max_mw: float
) -> tuple[float, tuple[Segment, ...], None]:
    """Cut the curve to the unit's range; its end pieces extend beyond it."""
    slope = np.diff(y) / np.diff(x)
    peak = np.maximum.accumulate(slope)
    if (slope < peak - _SLOPE_NOISE * np.abs(peak)).any():
        raise gencost.refuse(row, "the cost curve is not convex; its slope must never fall")
    edges = np.clip(np.concatenate([[p_min_mw], x[1:-1], [p_max_mw]]), p_min_mw, p_max_mw)
    segments = tuple(Segment(mw, price) for mw, price in zip(np.diff(edges).tolist(), peak.tolist(), strict=True) if mw > 0)
    piece = int(np.clip(np.searchsorted(x, p_min_mw, side="right") - 1, 0, len(slope) - 1))
    return float(y[piece] + slope[piece] * (p_min_mw - x[piece])), segments, None
