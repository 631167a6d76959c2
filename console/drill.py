"""``gridfuse drill FILE…``: play scenario files through the real processors and check what they expect; record them, rehearse them."""

from __future__ import annotations

import json as jsonlib
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from console.complaints import UNUSABLE, complaints
from console.drilllive import rehearse
from console.drillrecording import record
from console.drillreport import markdown_report, table_report
from ingest.yamlfile import load_yaml
from market.errors import ConfigError, Problem, UnitError
from market.units import instant_ns, instant_text
from streams.drill import Check, DrillResult, play
from streams.drillfile import scenario_from, schema
from streams.recordings import open_recording
from streams.replay import Span
from streams.settings import read_settings

__all__ = ["register"]

_FAILED = 1
_ZONE = "Asia/Shanghai"


class _Report(StrEnum):
    MARKDOWN = "markdown"
    TABLE = "table"


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("drill")(_drill)


def _drill(
    files: Annotated[list[Path] | None, typer.Argument(help="Scenario files (YAML).", metavar="FILE…")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a file instead of text.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show every decision, not only what failed.")] = False,
    report: Annotated[_Report | None, typer.Option("--report", help="Print one table of all files instead.")] = None,
    as_schema: Annotated[bool, typer.Option("--schema", help="Print the format of a drill file as JSON Schema, and end.")] = False,
    live: Annotated[str, typer.Option("--live", metavar="URL", help="Send the orders of one drill to a running service.")] = "",
    patience_s: Annotated[float, typer.Option(min=0, help="--live: event seconds an expectation may be late.")] = 60.0,
    recording: Annotated[bool, typer.Option("--record", help="Write a drill of what a service recorded.")] = False,
    from_: Annotated[str, typer.Option("--from", help="--record: event time to begin at, ISO instant.")] = "",
    to: Annotated[str, typer.Option("--to", help="--record: event time to end before, ISO instant.")] = "",
    config: Annotated[Path | None, typer.Option("--config", help="--record: the service's settings.")] = None,
    data: Annotated[Path | None, typer.Option("--data", help="--record: a demo's data directory, which holds its settings.")] = None,
    out: Annotated[Path | None, typer.Option("--out", help="--record: file to write; without it the drill is printed.")] = None,
) -> None:
    """Play scenario files on a simulated clock and check what they expect. How they are written: docs/drills.md.

    Exit code 0 when every expectation was met, 1 when one was not, 2 when a file cannot be played.
    """
    if as_schema:
        typer.echo(jsonlib.dumps(schema(), indent=1, ensure_ascii=False))
        return
    if recording:
        with complaints(UNUSABLE):
            _record(config, data, from_, to, out)
        return
    if not files or (live and len(files) > 1):
        typer.echo("give one drill to rehearse live" if live else "give a drill file; see `gridfuse drill --help`", err=True)
        raise typer.Exit(UNUSABLE)
    if live:
        with complaints(UNUSABLE):
            met = _rehearse(files[0], live, patience_s)
    else:
        results = _played(files)
        met = all(result.passed for result in results)
        if report is _Report.MARKDOWN:
            typer.echo(markdown_report(results))
        elif report is _Report.TABLE:
            Console().print(table_report(results))
        else:
            _tell(results, as_json=as_json, verbose=verbose)
    if not met:
        raise typer.Exit(_FAILED)


def _played(files: list[Path]) -> list[DrillResult]:
    """Play every file; where one cannot be, say what is wrong with all of them."""
    results: list[DrillResult] = []
    problems = []
    for file in files:
        try:
            results.append(play(*scenario_from(load_yaml(file))))
        except ConfigError as exc:
            problems += [str(problem) for problem in exc.problems]
    if problems:
        typer.echo("\n".join(problems), err=True)
        raise typer.Exit(UNUSABLE)
    return results


def _record(config: Path | None, data: Path | None, from_: str, to: str, out: Path | None) -> None:
    if config is None and data is None:
        raise ConfigError([Problem("recording", "say which: --config gridfuse.yaml, or --data with a demo's directory")])
    span = Span(from_ns=_instant(from_, "--from"), to_ns=_instant(to, "--to"))
    name = "recorded" if out is None else out.stem
    settings = read_settings(config or Path(str(data)) / "gridfuse.yaml")
    with open_recording(settings.broker) as source:
        text, result = record(settings, source, span, name)
    if out is None:
        typer.echo(text, nl=False)
        return
    out.write_text(text, encoding="utf-8")
    steps, checks, decisions = text.count("\n- {"), len(result.checks), len(result.decisions)
    typer.echo(f"{out}: {steps} steps, which pass with {checks} checks and {decisions} decisions. Play it with: gridfuse drill {out}")


def _instant(text: str, flag: str) -> int:
    try:
        return instant_ns(text)
    except UnitError as exc:
        raise ConfigError([Problem(flag, str(exc) if text else "give an instant, as in 2026-06-10T12:00:00+08:00")]) from exc


def _rehearse(file: Path, url: str, patience_s: float) -> bool:
    """Rehearse one drill live, and say of every step whether it was played; returns whether all that was looked at was as expected."""
    scenario, held = scenario_from(load_yaml(file))
    counts: dict[str, int] = {}
    checks: list[Check] = []
    for step in rehearse(scenario, held.at(scenario.start), url, patience_s=patience_s):
        counts[step.how] = counts.get(step.how, 0) + 1
        checks += step.checks
        typer.echo(f"{instant_text(step.at_ns, _ZONE)}  step {step.number:3}  {step.how:20}{step.what}")
        for check in step.checks:
            verdict = "as expected" if check.ok else f"NOT as expected: found {check.actual}"
            typer.echo(f"    {check.key} {check.expected}: {verdict}")
    told = ", ".join(f"{count} {how}" for how, count in sorted(counts.items()))
    met = sum(check.ok for check in checks)
    typer.echo(f"{scenario.id}: {told}; {met} of {len(checks)} checks as expected. What was left to the service this drill did not play.")
    return bool(checks) and met == len(checks)


def _tell(results: list[DrillResult], *, as_json: bool, verbose: bool) -> None:
    for result in results:
        typer.echo(jsonlib.dumps(_data(result), ensure_ascii=False)) if as_json else _show(result, verbose=verbose)
    if not as_json and len(results) > 1:
        typer.echo(f"{sum(result.passed for result in results)} of {len(results)} drills passed")


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
