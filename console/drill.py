"""``gridfuse drill FILE…``: play scenario files through the real processors and check what they expect."""

from __future__ import annotations

import json as jsonlib
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from ingest.yamlfile import load_yaml
from market.errors import ConfigError
from market.units import instant_text
from streams.drill import DrillResult, play
from streams.drillfile import scenario_from

__all__ = ["register"]

_FAILED, _UNUSABLE = 1, 2
_ZONE = "Asia/Shanghai"


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("drill")(_drill)


def _drill(
    files: Annotated[list[Path], typer.Argument(help="Scenario files (YAML).", metavar="FILE…")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a file instead of text.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show every decision, not only what failed.")] = False,
) -> None:
    """Play scenario files on a simulated clock and check what they expect.

    Exit code 0 when every expectation was met, 1 when one was not, 2 when a file cannot be played.
    """
    results: list[DrillResult] = []
    problems = []
    for file in files:
        try:
            results.append(play(*scenario_from(load_yaml(file))))
        except ConfigError as exc:
            problems += [str(problem) for problem in exc.problems]
    if problems:
        typer.echo("\n".join(problems), err=True)
        raise typer.Exit(_UNUSABLE)
    for result in results:
        typer.echo(jsonlib.dumps(_data(result), ensure_ascii=False)) if as_json else _show(result, verbose=verbose)
    if not as_json and len(results) > 1:
        typer.echo(f"{sum(result.passed for result in results)} of {len(results)} drills passed")
    if not all(result.passed for result in results):
        raise typer.Exit(_FAILED)


def _data(result: DrillResult) -> dict[str, object]:
    return {
        "id": result.scenario_id,
        "title": result.title,
        "rule_set": result.rule_set,
        "passed": result.passed,
        "checks": [asdict(check) | {"at": instant_text(check.at_ns, _ZONE)} for check in result.checks],
        "decisions": [asdict(decision) for decision in result.decisions],
    }


def _show(result: DrillResult, *, verbose: bool) -> None:
    verdict = "passed" if result.passed else "FAILED" if result.checks else "FAILED (it expects nothing)"
    typer.echo(f"{result.scenario_id}  {result.title}: {verdict} ({len(result.checks)} checks, {len(result.decisions)} decisions)")
    if verbose:
        table = Table(show_edge=False, pad_edge=False)
        for heading in ("#", "at", "decision", "what"):
            table.add_column(heading)
        for decision in result.decisions:
            what = ", ".join(f"{key}={value}" for key, value in decision.body.items() if key not in ("text_zh", "facts") and value)
            table.add_row(str(decision.seq), instant_text(decision.ts_event_ns, _ZONE)[11:], decision.kind, what)
        Console().print(table)
    for check in result.checks:
        if not check.ok:
            at = instant_text(check.at_ns, _ZONE)
            typer.echo(f"  step {check.step} at {at}: {check.key}: expected {check.expected}, found {check.actual}")
