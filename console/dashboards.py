"""``gridfuse dashboards``: render the Grafana dashboards from the registry, check that they are current, bring them to a Grafana.

Each runs as a process of its own, because this room imports nothing of the dashboards.
"""

from __future__ import annotations

import subprocess
import sys
from typing import Annotated

import typer

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add ``dashboards build`` and ``dashboards push`` to the command."""
    dashboards = typer.Typer(help="Grafana dashboards as code.", no_args_is_help=True)
    dashboards.command("build")(_build)
    # Its options are the module's, which also tells of them.
    passed_on = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}
    dashboards.command("push", context_settings=passed_on, add_help_option=False)(_push)
    app.add_typer(dashboards, name="dashboards")


def _build(check: Annotated[bool, typer.Option("--check", help="Write nothing; fail where a file is not current.")] = False) -> None:
    """Write the dashboards of both languages to dashboards/grafana/json."""
    command = [sys.executable, "-m", "dashboards.build", *(["--check"] if check else [])]
    done = subprocess.run(command, check=False)  # noqa: S603 (our own interpreter and module)
    raise typer.Exit(done.returncode)


def _push(context: typer.Context) -> None:
    """Bring dashboards, data source and alert rules to a Grafana through its API; `--help` lists the options."""
    done = subprocess.run([sys.executable, "-m", "dashboards.push", *context.args], check=False)  # noqa: S603 (likewise)
    raise typer.Exit(done.returncode)
