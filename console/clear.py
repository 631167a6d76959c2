"""``gridfuse clear CASE``: clear one interval of a MATPOWER case and show, or hand on, what came out.

The exit code tells a script how it ended: 0 cleared (also with priced violations), 1 not cleared, 2 input that cannot be used; then
the reason stands on standard error with the file, the line and the remedy.
"""

from __future__ import annotations

import csv
import json as jsonlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict
from math import isfinite
from pathlib import Path
from time import perf_counter
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from market import matpower
from market.engine import clear_case
from market.errors import CaseError, ConfigError, GridfuseError, Problem
from market.grid import Convention
from market.offers import Segment
from market.outcomes import Cleared, ClearingFailed, Outcome

__all__ = ["clear", "outcome_data", "read_loads", "read_offers", "register"]

_FAILED, _UNUSABLE = 1, 2
_ROWS_SHOWN = 20


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("clear")(clear)


def clear(
    case: Annotated[Path, typer.Argument(help="MATPOWER case, .m or .m.gz")],
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables.")] = False,
    loads: Annotated[Path | None, typer.Option(help="CSV bus,mw: loads that replace the case's.")] = None,
    offers: Annotated[
        Path | None, typer.Option(help="CSV unit,mw,price: segments from 0 MW up, in order, that replace a unit's cost.")
    ] = None,
    convention: Annotated[Convention, typer.Option(help="How susceptances are formed.")] = Convention.POWERMODELS,
) -> None:
    """Clear one interval of a MATPOWER case: dispatch, prices, flows, and the certificate that they belong together."""
    started = perf_counter()
    try:
        read = matpower.read_case(case)
        loads_mw = read_loads(loads, read.network.bus_index.keys()) if loads else {}
        segments = read_offers(offers, {unit.id for unit in read.units}) if offers else {}
        parsed = perf_counter()
        outcome = clear_case(read, loads_mw, segments, convention)
    except (CaseError, ConfigError) as exc:
        _complain(exc)
        raise typer.Exit(_UNUSABLE) from exc
    cleared = perf_counter()
    if json:
        timings = {"parse": parsed - started, "clear": cleared - parsed, "total": cleared - started}
        data = outcome_data(outcome) | {"timings_ms": {name: round(seconds * 1e3, 3) for name, seconds in timings.items()}}
        typer.echo(jsonlib.dumps(data, ensure_ascii=False, allow_nan=False))
    elif isinstance(outcome, Cleared):
        _show(outcome, read)
    if isinstance(outcome, ClearingFailed):
        typer.echo(f"{case}: not cleared, {outcome.reason}: {outcome.detail}", err=True)
        raise typer.Exit(_FAILED)


def outcome_data(outcome: Outcome) -> dict[str, Any]:
    """Return an outcome as plain data, one key per published quantity; what a failure does not have is null, never 0."""
    if isinstance(outcome, ClearingFailed):
        return {
            "status": "FAILED",
            "reason": outcome.reason.value,
            "detail": outcome.detail,
            **dict.fromkeys(_PUBLISHED),
            "binding": [],
            "violations": [],
            "certificate": None,
        }
    return {
        "status": outcome.status.value,
        "reason": None,
        **{name: getattr(outcome, name) for name in _PUBLISHED},
        "binding": [asdict(binding) for binding in outcome.binding],
        "violations": [asdict(violation) for violation in outcome.violations],
        "certificate": {"passed": outcome.certificate.passed, **outcome.certificate.residuals},
    }


_PUBLISHED = (
    "objective_per_h",
    "penalty_per_h",
    "dispatch_mw",
    "lmp_per_mwh",
    "energy_per_mwh",
    "congestion_per_mwh",
    "flow_mw",
    "uniform_price_per_mwh",
    "hashes",
)


def read_loads(path: Path, buses: Collection[str]) -> dict[str, float]:
    """Read loads written as ``bus,mw``, one bus a line; the heading may be left out.

    Args:
        path: the file.
        buses: names that may stand in it.

    Returns:
        MW by bus.

    Raises:
        ConfigError: the file cannot be read, or lines that are no load of a known bus; all of them.
    """
    loads: dict[str, float] = {}
    problems: list[Problem] = []
    for where, cells in _rows(path, ("bus", "mw"), problems):
        bus, mw = cells[0], _number(cells[1])
        if mw is None:
            problems.append(Problem(where, f"{cells[1]!r} is no number of MW; give one"))
        elif bus not in buses:
            problems.append(Problem(where, f"bus {bus!r} is not in the case; name buses by their number there"))
        elif bus in loads:
            problems.append(Problem(where, f"bus {bus} is given twice; keep one"))
        else:
            loads[bus] = mw
    if problems:
        raise ConfigError(problems)
    return loads


def read_offers(path: Path, units: Collection[str]) -> Mapping[str, tuple[Segment, ...]]:
    """Read offers written as ``unit,mw,price``, one segment a line, in order; the heading may be left out.

    Args:
        path: the file.
        units: names that may stand in it.

    Returns:
        Segments by unit.

    Raises:
        ConfigError: the file cannot be read, or lines that are no segment of a known unit; all of them.
    """
    offers: dict[str, tuple[Segment, ...]] = {}
    problems: list[Problem] = []
    for where, cells in _rows(path, ("unit", "mw", "price"), problems):
        unit, mw, price = cells[0], _number(cells[1]), _number(cells[2])
        if mw is None or price is None:
            problems.append(Problem(where, f"{cells[1]!r} MW at {cells[2]!r} is no segment; give two numbers"))
        elif unit not in units:
            problems.append(Problem(where, f"unit {unit!r} is not in the case; name units by their row there, from 1"))
        else:
            offers[unit] = (*offers.get(unit, ()), Segment(mw, price))
    if problems:
        raise ConfigError(problems)
    return offers


def _rows(path: Path, heading: tuple[str, ...], problems: list[Problem]) -> Iterator[tuple[str, list[str]]]:
    """Yield ``file:line`` and the cells of every line of the right length; the others become problems."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as exc:
        raise ConfigError([Problem(str(path), f"cannot be read ({exc}); give a CSV file {','.join(heading)}")]) from exc
    rows = csv.reader(text.splitlines())
    for row in rows:
        cells = [cell.strip() for cell in row]
        if not any(cells) or (rows.line_num == 1 and tuple(cells) == heading):
            continue
        if len(cells) == len(heading):
            yield f"{path}:{rows.line_num}", cells
        else:
            problems.append(Problem(f"{path}:{rows.line_num}", f"{','.join(row)!r} is not {','.join(heading)}; complete the line"))


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if isfinite(value) else None


def _complain(exc: GridfuseError) -> None:
    typer.echo(f"gridfuse clear: {exc}", err=True)


def _show(outcome: Cleared, case: matpower.Case) -> None:
    console = Console()
    style = "green" if outcome.status.value == "OK" else "yellow"
    console.print(
        f"[bold]{case.name}[/]: [{style}]{outcome.status.value}[/], certificate {'passed' if outcome.certificate.passed else 'FAILED'}"
    )
    console.print(f"cost {outcome.objective_per_h:,.2f} /h, penalties {outcome.penalty_per_h:,.2f} /h")
    console.print(f"uniform price {outcome.uniform_price_per_mwh:.4f} /MWh, energy {outcome.energy_per_mwh:.4f} /MWh")
    _table(console, "violated limits", ("kind", "id", "MW"), [(v.kind, v.id, f"{v.mw:,.3f}") for v in outcome.violations])
    binding = [(b.id, f"{b.flow_mw:,.2f}", f"{b.limit_mw:,.2f}", f"{b.shadow_price:,.4f}") for b in outcome.binding]
    _table(console, "binding lines", ("branch", "flow MW", "limit MW", "shadow price /MWh"), binding)
    running = [(unit.id, unit.bus, outcome.dispatch_mw[unit.id], unit.p_max_mw) for unit in case.units if outcome.dispatch_mw[unit.id]]
    running.sort(key=lambda row: -row[2])
    units = [(name, bus, f"{mw:,.2f}", f"{p_max:,.2f}", f"{outcome.lmp_per_mwh[bus]:,.4f}") for name, bus, mw, p_max in running]
    _table(console, "units, largest first", ("unit", "bus", "MW", "of MW", "LMP /MWh"), units)
    lmp = sorted(outcome.lmp_per_mwh.items(), key=lambda item: -abs(outcome.congestion_per_mwh[item[0]]))
    buses = [(bus, f"{value:,.4f}", f"{outcome.congestion_per_mwh[bus]:+,.4f}") for bus, value in lmp]
    _table(console, "bus prices, most congested first", ("bus", "LMP /MWh", "of it congestion"), buses)


def _table(console: Console, title: str, heading: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    if not rows:
        return
    hidden = len(rows) - _ROWS_SHOWN
    table = Table(title=title, title_justify="left", caption=f"and {hidden} more; --json has all" if hidden > 0 else None)
    for k, name in enumerate(heading):
        table.add_column(name, justify="right" if k >= len(heading) - 3 else "left")
    for row in rows[:_ROWS_SHOWN]:
        table.add_row(*row)
    console.print(table)
