"""``gridfuse influx prepare``: have the buckets made that the service writes to, with the time they keep lines for.

What is there is left as it is. It may be run at any time, beside the service and again.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from console.complaints import complaints
from market.errors import GridfuseError
from streams.influxprepare import prepare
from streams.settings import read_settings

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add ``influx prepare`` to the command."""
    influx = typer.Typer(help="The InfluxDB that the service writes to.", no_args_is_help=True)
    influx.callback()(lambda: None)
    influx.command("prepare")(_prepare)
    app.add_typer(influx, name="influx")


def _prepare(config: Annotated[Path, typer.Option("--config", help="The service's settings (YAML).")]) -> None:
    """Make the buckets, or databases, that are missing; say which command to run where that is not allowed."""
    with complaints():
        settings = read_settings(config)
    if settings.influx is None:
        typer.echo("the settings name no InfluxDB; add `influx:`", err=True)
        raise typer.Exit(1)
    failed = False
    for bucket in settings.sinking.buckets(settings.influx):
        try:
            typer.echo(prepare(bucket))
        except GridfuseError as exc:
            typer.echo(str(exc), err=True)
            failed = True
    if failed:
        raise typer.Exit(1)
