"""``gridfuse spool``: what waits for InfluxDB, and how to send it by hand.

``show`` reads the spool's files and may be used while the service writes them. ``drain`` becomes the spool's one writer, so it is
refused while the service runs: it is for a machine whose service is down, or whose archive is to be loaded into another InfluxDB.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from market.errors import ConfigError, GridfuseError, Problem
from market.units import instant_text
from streams.influx import Api, Flusher, InfluxTarget
from streams.spool import Spool, SpoolStatus, survey

__all__ = ["register"]

_Dir = Annotated[Path, typer.Option("--dir", help="The spool's directory.", show_default=False)]


def register(app: typer.Typer) -> None:
    """Add ``spool show`` and ``spool drain`` to the command."""
    spool = typer.Typer(help="What waits for InfluxDB.", no_args_is_help=True)
    spool.command("show")(_show)
    spool.command("drain")(_drain)
    app.add_typer(spool, name="spool")


def _show(directory: _Dir, as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False) -> None:
    """Show how full the spool is and what the server never accepted."""
    try:
        status = survey(directory)
    except GridfuseError as exc:
        raise _failed(exc) from exc
    letters = _dead_letters(directory)
    if as_json:
        typer.echo(json.dumps(asdict(status) | {"dead_letters": letters}))
        return
    for name, value in _rows(status, letters):
        typer.echo(f"{name:<16}{value}")


def _rows(status: SpoolStatus, letters: int) -> list[tuple[str, str]]:
    since = instant_text(status.oldest_ns) if status.oldest_ns else "-"
    return [
        ("directory", status.directory),
        ("waiting", f"{status.waiting_bytes:,} bytes not yet accepted by InfluxDB"),
        ("on disk", f"{status.bytes_on_disk:,} bytes in {status.segments} segments, the oldest of {since}"),
        ("dead letters", f"{letters} lines refused, in dead_letters.jsonl" if letters else "none"),
    ]


def _drain(
    directory: _Dir,
    url: Annotated[str, typer.Option(help="InfluxDB, as http://host:8086.", show_default=False)],
    bucket: Annotated[str, typer.Option(help="Bucket; for 1.x database or database/retention_policy.", show_default=False)],
    org: Annotated[str, typer.Option(help="Organisation.")] = "grid",
    token_file: Annotated[Path | None, typer.Option(help="File that holds the token.")] = None,
    token_env: Annotated[str, typer.Option(help="Else, the environment variable that holds it.")] = "",
    api: Annotated[Api, typer.Option(help="Which address of InfluxDB is written to.")] = Api.V2,
) -> None:
    """Send everything that waits, and end; what was sent is acknowledged also when it ends early."""
    target = InfluxTarget(url=url, org=org, bucket=bucket, token_file=token_file, token_env=token_env, api=api)
    try:
        if problems := [Problem(f"--{place}", what) for place, what in target.problems()]:
            raise ConfigError(problems)
        survey(directory)
        spool = Spool(directory)
        try:
            flusher = Flusher(spool, target)
            asyncio.run(flusher.drain())
        finally:
            spool.close()
    except GridfuseError as exc:
        raise _failed(exc) from exc
    status = flusher.status
    typer.echo(f"sent {status.lines_sent:,} lines, {status.bytes_sent:,} bytes in {status.requests} requests to {url}")
    if status.lines_rejected:
        typer.echo(f"refused: {status.lines_rejected} lines, kept in {flusher.dead_letters}", err=True)
        raise typer.Exit(1)


def _dead_letters(directory: Path) -> int:
    path = directory / "dead_letters.jsonl"
    return path.read_bytes().count(b"\n") if path.exists() else 0


def _failed(exc: GridfuseError) -> typer.Exit:
    typer.echo(str(exc), err=True)
    return typer.Exit(1)
