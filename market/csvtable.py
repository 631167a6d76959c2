"""What does a table of comma-separated values say, and on which line is it wrong?

Every error names file, line, column and remedy; nothing is filled in, skipped or taken twice.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from market.errors import CaseError
from market.grid import FloatArray

__all__ = ["Row", "Table"]


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a table.

    Attributes:
        path: the file.
        line: the line it ends on, from 1.
        cells: by column, stripped.
    """

    path: Path
    line: int
    cells: dict[str, str]

    def refuse(self, what: str) -> CaseError:
        """Return the error that says what is wrong on this line and what to do about it."""
        return CaseError(f"{self.path}:{self.line}: {what}")

    def text(self, column: str) -> str:
        """Return a cell that may not be empty."""
        if not (cell := self.cells[column]):
            raise self.refuse(f"{column} is empty; fill it in")
        return cell

    def number(self, column: str, *, least: float = -math.inf) -> float:
        """Return a cell that must be a finite number, not below ``least``."""
        cell = self.cells[column]
        try:
            value = float(cell)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise self.refuse(f"{column} is {cell!r}, which is no number; correct the cell")
        if value < least:
            raise self.refuse(f"{column} is {cell}, expected {least:g} or more; correct the cell")
        return value


class Table:
    """A whole file.

    Args:
        path: the file, UTF-8, with a heading.
        columns: columns it must have; more are allowed.

    Attributes:
        path: the file.
        columns: the heading.
        rows: the lines below it that are not blank.

    Raises:
        CaseError: no such file, not text, a column missing or given twice, a row of another length, no rows.
    """

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        self.path = path
        if not path.is_file():
            raise CaseError(f"{path}: no such file; copy the table there or name another folder")
        try:
            with path.open(newline="", encoding="utf-8-sig") as file:
                reader = csv.reader(file, strict=True)
                self.columns = tuple(name.strip() for name in next(reader, []))
                cut = [(reader.line_num, [cell.strip() for cell in cells]) for cells in reader if any(cells)]
        except (OSError, UnicodeDecodeError, csv.Error) as exc:
            raise CaseError(f"{path}: cannot be read as a table ({exc}); restore the file") from exc
        if twice := sorted({name for name in self.columns if self.columns.count(name) > 1}):
            raise CaseError(f"{path}:1: columns given twice: {', '.join(twice[:5])}; keep one of each")
        if missing := [name for name in columns if name not in self.columns]:
            raise CaseError(f"{path}:1: columns missing: {', '.join(missing[:5])}; restore them")
        width = len(self.columns)
        for line, cells in cut:
            if len(cells) != width:
                raise CaseError(f"{path}:{line}: a row of {len(cells)} cells, expected {width}; complete the row")
        if not cut:
            raise CaseError(f"{path}: no rows below the heading; restore the file")
        self.rows = tuple(Row(path, line, dict(zip(self.columns, cells, strict=True))) for line, cells in cut)

    def __iter__(self) -> Iterator[Row]:
        """Go through the rows in their order."""
        return iter(self.rows)

    def by(self, column: str) -> dict[str, Row]:
        """Return the rows by a column whose cells are unique."""
        found: dict[str, Row] = {}
        for row in self.rows:
            name = row.text(column)
            if name in found:
                raise row.refuse(f"{column} {name} stands on line {found[name].line} already; give each its own")
            found[name] = row
        return found

    def numbers(self, columns: Sequence[str], *, least: float = -math.inf) -> FloatArray:
        """Return (rows, columns) finite numbers, none below ``least``."""
        try:
            values = np.array([[row.cells[name] for name in columns] for row in self.rows], dtype=np.float64)
        except ValueError:
            values = np.full((1, 1), np.nan)
        if not (np.isfinite(values) & (values >= least)).all():
            # Something is wrong: read cell by cell to say where.
            return np.array([[row.number(name, least=least) for name in columns] for row in self.rows])
        return values.reshape(len(self.rows), len(columns))
