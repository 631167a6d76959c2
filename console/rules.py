"""``gridfuse rules …``: print the rules with where they come from, and check a file of them."""

from __future__ import annotations

import json as jsonlib
import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from console.complaints import UNUSABLE, complaints
from market.errors import ConfigError, Problem, UnitError
from market.rulebook import ALWAYS_NS, Rulebook, Version, cited
from market.rules import GUANGDONG_2023
from market.units import instant_ns, instant_text
from streams.rulesfile import read_rulebook, shipped, shipped_names
from streams.settings import read_settings

__all__ = ["register"]

_Rules = Annotated[str, typer.Argument(metavar="RULES", help="A rule set that ships, or a file of rules that change.")]
_Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
_Config = Annotated[Path | None, typer.Option("--config", help="The rules of a service with these settings.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    rules = typer.Typer(help="The rules the market decides by: show them with their articles, and check a file.", no_args_is_help=True)
    rules.command("show")(_show)
    rules.command("check")(_check)
    app.add_typer(rules, name="rules")


def _show(
    rules: _Rules = GUANGDONG_2023.rule_set,
    config: _Config = None,
    at: Annotated[str, typer.Option("--at", help="The rules in force at an instant; now by default.")] = "",
    as_json: _Json = False,
) -> None:
    """Print every rule in force: its name, its value, and the article or policy it comes from."""
    with complaints(UNUSABLE):
        book = _book(rules, config)
        ts_ns = time.time_ns() if not at else _instant(at)
    version = next(version for version in book.versions if version.rules == book.at(ts_ns))
    if as_json:
        told = [{"rule": name, "value": value, "cite": cite} for name, value, cite in cited(version.rules, version.cites)]
        typer.echo(jsonlib.dumps({"id": version.rules.id, "source": version.source, "rules": told}, ensure_ascii=False))
        return
    typer.echo(f"{version.rules.id}, {_since(version)}; {_title(version)}")
    for name, value, cite in cited(version.rules, version.cites):
        typer.echo(f"{name:40} {_written(value):24} {cite}")


def _check(
    rules: _Rules, config: _Config = None, as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False
) -> None:
    """Read a file of rules, and say which hold when and what each changes; exit code 2 and every problem where it cannot be used."""
    with complaints(UNUSABLE):
        book = _book(rules, config)
    if as_json:
        versions = [
            {"id": version.rules.id, "from_ns": version.from_ns, "source": version.source, "rules": asdict(version.rules)}
            for version in book.versions
        ]
        typer.echo(jsonlib.dumps({"versions": versions}, ensure_ascii=False))
        return
    before = {name: value for name, value, _ in cited(GUANGDONG_2023)}
    for version in book.versions:
        typer.echo(f"{version.rules.id}, {_since(version)}; {version.source}")
        for name, value, cite in cited(version.rules, version.cites):
            if value != before[name] and name not in ("rule_set", "revision"):
                typer.echo(f"    {name}: {_written(before[name])} -> {_written(value)}  ({cite})")
            before[name] = value


def _book(rules: str, config: Path | None) -> Rulebook:
    if config is not None:
        settings = read_settings(config)
        return settings.rulebook or Rulebook([Version(from_ns=ALWAYS_NS, rules=settings.rules)])
    if not rules:
        raise ConfigError([Problem("rules", "give a file of rules, one that ships, or --config with a service's settings")])
    return read_rulebook(rules, Path(), {}, "rules")


def _instant(text: str) -> int:
    try:
        return instant_ns(text)
    except UnitError as exc:
        raise ConfigError([Problem("--at", str(exc))]) from exc


def _since(version: Version) -> str:
    return "from the beginning" if version.from_ns == ALWAYS_NS else f"from {instant_text(version.from_ns, version.rules.zone)}"


def _title(version: Version) -> str:
    name = version.rules.rule_set
    return shipped(name)[0].title if name in shipped_names() else version.source


def _written(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
