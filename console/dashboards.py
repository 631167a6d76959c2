"""``gridfuse dashboards``: render the Grafana dashboards from the registry, or check that the rendered ones are current.

The renderer runs as a process of its own, because this room imports nothing of the dashboards.
"""

from __future__ import annotations

import subprocess
import sys
from typing import Annotated

import typer

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add ``dashboards build`` to the command."""
    dashboards = typer.Typer(help="Grafana dashboards as code.", no_args_is_help=True)
    # A group of one command is still a group: `push` joins it.
    dashboards.callback()(_group)
    dashboards.command("build")(_build)
    app.add_typer(dashboards, name="dashboards")


def _group() -> None:
    """Grafana dashboards as code."""


def _build(check: Annotated[bool, typer.Option("--check", help="Write nothing; fail where a file is not current.")] = False) -> None:
    """Write the dashboards of both languages to dashboards/grafana/json."""
    command = [sys.executable, "-m", "dashboards.build", *(["--check"] if check else [])]
    done = subprocess.run(command, check=False)  # noqa: S603 (our own interpreter and module)
    raise typer.Exit(done.returncode)
