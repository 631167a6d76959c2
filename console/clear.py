"""``gridfuse clear CASE``: clear one interval of a MATPOWER case and show, or hand on, what came out.

The exit code tells a script how it ended: 0 cleared (also with priced violations), 1 not cleared, 2 input that cannot be used; then
the reason stands on standard error with the file, the line and the remedy.
"""

from __future__ import annotations

import csv
import json as jsonlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from math import isfinite
from pathlib import Path
from time import perf_counter
from typing import Annotated, Any

import typer
from rich.console import Console

from console import cleartables
from market import matpower
from market.diagnosis import Diagnosis, diagnose
from market.engine import CASE_PARAMS, Outages, clear_case
from market.errors import CaseError, ConfigError, GridfuseError, Problem
from market.explain import Explanation, which
from market.explain import explain as explain_name
from market.grid import Convention
from market.merit import OutOfMerit, out_of_merit
from market.offers import Segment
from market.outages import EMERGENCY_FACTOR, Contingencies
from market.outcomes import Cleared, ClearingFailed, Outcome
from market.workings import Workings

__all__ = ["clear", "outcome_data", "read_loads", "read_offers", "read_outages", "register"]

_FAILED, _UNUSABLE = 1, 2


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
    n_1: Annotated[bool, typer.Option("--n-1", help="Secure every branch against the outage of any other one.")] = False,
    outages: Annotated[Path | None, typer.Option(help="CSV branch: secure against these outages only, one a line.")] = None,
    emergency_factor: Annotated[
        float | None,
        typer.Option(help=f"Limit after an outage over the rating, where a branch has no emergency rating of its own; {EMERGENCY_FACTOR}."),
    ] = None,
    explain: Annotated[
        list[str] | None, typer.Option(help="Say why a bus has its price or a unit its output; bus:7, unit:7 or 7 for both. Repeatable.")
    ] = None,
    merit: Annotated[bool, typer.Option("--merit", help="List the units that do not run as their offers would have it, and why.")] = False,
    why: Annotated[
        bool, typer.Option("--why", help="Where limits are violated, name a smallest set that cannot be kept together.")
    ] = False,
) -> None:
    """Clear one interval of a MATPOWER case: dispatch, prices, flows, and the certificate that they belong together."""
    started = perf_counter()
    kept: list[Workings] = []
    try:
        read = matpower.read_case(case)
        loads_mw = read_loads(loads, read.network.bus_index.keys()) if loads else {}
        segments = read_offers(offers, {unit.id for unit in read.units}) if offers else {}
        for name in explain or ():
            which(name, read.network.bus_index.keys(), {unit.id for unit in read.units})
        secured = _secured(read, outages, every=n_1)
        parsed = perf_counter()
        params = CASE_PARAMS if emergency_factor is None else replace(CASE_PARAMS, emergency_factor=emergency_factor)
        if emergency_factor is not None and secured is None:
            raise ConfigError([Problem("--emergency-factor", "changes nothing without outages; give --n-1 or --outages too")])
        outcome = clear_case(read, loads_mw, segments, convention, params, secured, keep=kept.append)
        cleared = perf_counter()
        asked = _Asked.of(kept, explain or [], merit=merit, why=why)
    except (CaseError, ConfigError) as exc:
        _complain(exc)
        raise typer.Exit(_UNUSABLE) from exc
    timings = {"parse": parsed - started, "clear": cleared - parsed, "explain": perf_counter() - cleared, "total": perf_counter() - started}
    if json:
        data = outcome_data(outcome) | asked.data() | {"timings_ms": {name: round(s * 1e3, 3) for name, s in timings.items()}}
        typer.echo(jsonlib.dumps(data, ensure_ascii=False, allow_nan=False))
    elif isinstance(outcome, Cleared):
        console = Console()
        cleartables.show_outcome(console, outcome, read)
        asked.show(console)
    if isinstance(outcome, ClearingFailed):
        typer.echo(f"{case}: not cleared, {outcome.reason}: {outcome.detail}", err=True)
        raise typer.Exit(_FAILED)


def _secured(case: matpower.Case, outages: Path | None, *, every: bool) -> Outages | None:
    """Return the outages to be secured against."""
    if outages is None:
        return "all" if every else None
    if every:
        raise ConfigError([Problem("--outages", "names some outages and --n-1 means all; give one of the two")])
    return read_outages(outages, case.network.branch_index.keys())


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """What was asked for besides the outcome; None for what was not, and for everything where nothing was cleared."""

    outages: Contingencies | None = None
    explanations: tuple[Explanation, ...] | None = None
    merit: tuple[OutOfMerit, ...] | None = None
    diagnosis: Diagnosis | None = None

    @classmethod
    def of(cls, kept: Sequence[Workings], names: Sequence[str], *, merit: bool, why: bool) -> _Asked:
        if not kept:
            return cls()
        (workings,) = kept
        return cls(
            outages=workings.assembled.problem.monitors[0].contingencies,
            explanations=tuple(each for name in names for each in explain_name(workings, name)) if names else None,
            merit=out_of_merit(workings) if merit else None,
            diagnosis=diagnose(workings) if why else None,
        )

    def data(self) -> dict[str, Any]:
        """Return it as plain data."""
        outages = self.outages
        listed = None if outages is None else {name: list(getattr(outages, name)) for name in ("islanding", "couplers", "out_already")}
        return {
            "outages": None if outages is None or listed is None else {"screened": len(outages.outages), **listed},
            "explain": None if self.explanations is None else [asdict(each) for each in self.explanations],
            "out_of_merit": None if self.merit is None else [asdict(each) for each in self.merit],
            "diagnosis": None if self.diagnosis is None else asdict(self.diagnosis),
        }

    def show(self, console: Console) -> None:
        """Show it to a person."""
        if self.outages is not None:
            cleartables.show_outages(console, self.outages)
        if self.merit is not None:
            cleartables.show_merit(console, self.merit)
        if self.diagnosis is not None:
            cleartables.show_diagnosis(console, self.diagnosis)
        for explanation in self.explanations or ():
            cleartables.show_explanation(console, explanation)


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
            "flags": [],
            "certificate": None,
        }
    return {
        "status": outcome.status.value,
        "reason": None,
        **{name: getattr(outcome, name) for name in _PUBLISHED},
        "binding": [asdict(binding) for binding in outcome.binding],
        "violations": [asdict(violation) for violation in outcome.violations],
        "flags": list(outcome.flags),
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


def read_outages(path: Path, branches: Collection[str]) -> tuple[str, ...]:
    """Read outages written as ``branch``, one a line; the heading may be left out.

    Args:
        path: the file.
        branches: names that may stand in it.

    Returns:
        The branches, in the order of the file.

    Raises:
        ConfigError: the file cannot be read, or lines that are no branch of the case, or one twice; all of them.
    """
    found: dict[str, None] = {}
    problems: list[Problem] = []
    for where, (branch,) in _rows(path, ("branch",), problems):
        if branch not in branches:
            problems.append(Problem(where, f"branch {branch!r} is not in the case; name branches by their row there, from 1"))
        elif branch in found:
            problems.append(Problem(where, f"branch {branch} is given twice; keep one"))
        else:
            found[branch] = None
    if problems:
        raise ConfigError(problems)
    return tuple(found)


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
