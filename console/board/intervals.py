"""What became of each real-time interval: how it cleared, and which price counts?

One cell per interval, filled from the clearing's outcome, the breaker's note that a result was missing, and the price in force.
Later knowledge replaces earlier by version (clearings) and revision (prices); repeats change nothing.

Whether an interval was cleared in the shadow is not recorded anywhere: it is one that cleared while its price came from a rule.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import Any

from market.facts import Segment
from market.outcomes import Cleared, ClearingFailed
from market.prices import PriceInForce
from market.units import NS_PER_MS

__all__ = ["IntervalBook"]


@dataclass(slots=True)
class _Cell:
    stamp: int = -1
    run: tuple[int, int] = (-1, 0)
    """Version and completion (UTC ns) of the clearing shown: the later run of a version counts."""
    outcome: str | None = None
    """OK, OK_VIOLATION, OK_DEGRADED or FAILED."""
    reason: str = ""
    detail: str = ""
    completed_ms: int | None = None
    cleared_price: float | None = None
    missing: str = ""
    """How the result was missing when it was due, by the breaker's note."""
    rev: int = -1
    """Revision of the price shown; -1 before any."""
    regime: str | None = None
    price: float | None = None
    source: str = ""
    provisional: bool = False


class IntervalBook:
    """The cells of the last ``span_ns``."""

    def __init__(self, *, span_ns: int) -> None:
        self._span_ns = span_ns
        self._cells: dict[int, _Cell] = {}

    def cleared(self, result: Cleared, version: int) -> bool:
        """Note a valid result; returns whether anything changed."""
        cell = self._cell(result.interval_start_ns)
        run = (result.version, result.completed_at_ns)
        if cell is None or run <= cell.run:
            return False
        cell.run, cell.outcome, cell.reason = run, str(result.status), ""
        cell.detail = ", ".join(f"{violation.kind} {violation.id} {violation.mw:.1f} MW" for violation in result.violations[:3])
        cell.completed_ms = result.completed_at_ns // NS_PER_MS
        cell.cleared_price = _known(result.uniform_price_per_mwh)
        cell.stamp = version
        return True

    def failed(self, result: ClearingFailed, version: int) -> bool:
        """Note a failure; returns whether anything changed."""
        cell = self._cell(result.interval_start_ns)
        run = (result.version, result.completed_at_ns)
        if cell is None or run <= cell.run:
            return False
        cell.run, cell.outcome, cell.reason, cell.detail = run, "FAILED", str(result.reason), result.detail
        cell.completed_ms, cell.cleared_price = result.completed_at_ns // NS_PER_MS, None
        cell.stamp = version
        return True

    def anomaly(self, interval_start_ns: int, how: str, reason: str, version: int) -> bool:
        """Note that the interval had no valid result when it was due; returns whether anything changed."""
        cell = self._cell(interval_start_ns)
        if cell is None or cell.missing == how:
            return False
        cell.missing, cell.stamp = how, version
        cell.reason = cell.reason or reason
        return True

    def priced(self, price: PriceInForce, version: int) -> bool:
        """Note the price in force; returns whether anything changed. Day-ahead prices are not shown here."""
        if price.segment is not Segment.RT:
            return False
        cell = self._cell(price.interval_start_ns)
        if cell is None or price.rev <= cell.rev:
            return False
        cell.rev, cell.regime, cell.source, cell.provisional = price.rev, str(price.regime), price.source, price.provisional
        cell.price = None if price.price_cny_per_mwh is None else _known(price.price_cny_per_mwh)
        cell.stamp = version
        return True

    def since(self, version: int) -> list[dict[str, Any]]:
        """Return the cells written after ``version``, oldest first."""
        return [_plain(start_ns, cell) for start_ns, cell in sorted(self._cells.items()) if cell.stamp > version]

    def _cell(self, start_ns: int) -> _Cell | None:
        """Find or make the cell of an interval; None for one that is older than the book."""
        cell = self._cells.get(start_ns)
        if cell is not None:
            return cell
        newest_ns = max(self._cells, default=start_ns)
        if start_ns <= newest_ns - self._span_ns:
            return None
        cell = self._cells[start_ns] = _Cell()
        for old_ns in [one for one in self._cells if one <= max(newest_ns, start_ns) - self._span_ns]:
            del self._cells[old_ns]
        return cell


def _plain(start_ns: int, cell: _Cell) -> dict[str, Any]:
    return {
        "start_ms": start_ns // NS_PER_MS,
        "outcome": cell.outcome,
        "run": cell.run[0],
        "reason": cell.reason,
        "detail": cell.detail,
        "missing": cell.missing,
        "completed_ms": cell.completed_ms,
        "cleared_price": cell.cleared_price,
        "regime": cell.regime,
        "price": cell.price,
        "rev": cell.rev,
        "source": cell.source,
        "provisional": cell.provisional,
    }


def _known(value: float) -> float | None:
    return round(value, 2) if isfinite(value) else None
