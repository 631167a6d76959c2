"""``gridfuse dashboards``: render the Grafana dashboards from the registry, check that they are current, bring them to a Grafana.

Each runs as a process of its own, because this room imports nothing of the dashboards.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from console.complaints import UNUSABLE, complaints
from console.gridplan import grid_plan, network_named

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add ``dashboards build`` and ``dashboards push`` to the command."""
    dashboards = typer.Typer(help="Grafana dashboards as code.", no_args_is_help=True)
    dashboards.command("build")(_build)
    # Its options are the module's, which also tells of them.
    passed_on = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}
    dashboards.command("push", context_settings=passed_on, add_help_option=False)(_push)
    app.add_typer(dashboards, name="dashboards")


def _push(context: typer.Context) -> None:
    """Bring dashboards, data source and alert rules to a Grafana through its API; `--help` lists the options."""
    raise typer.Exit(_run("dashboards.push", *context.args))


def _build(
    check: Annotated[bool, typer.Option("--check", help="Write nothing; fail where a file is not current.")] = False,
    network: Annotated[
        str,
        typer.Option(help="Draw this grid instead of the demonstration's: settings (.yaml), MATPOWER case (.m, .m.gz) or RTS folder."),
    ] = "",
    output: Annotated[Path | None, typer.Option(help="Where the dashboards of --network go.")] = None,
    rt_interval_min: Annotated[
        int | None, typer.Option(help="Length of a real-time interval, for the alert rules; that of the default rules without it.", min=1)
    ] = None,
) -> None:
    """Write the dashboards of both languages to dashboards/grafana/json, or those of a grid of your own to --output."""
    options = ["--check"] if check else []
    if not network and output is None:
        paced = [] if rt_interval_min is None else ["--rt-interval-min", str(rt_interval_min)]
        raise typer.Exit(_run("dashboards.build", *options, *paced))
    if not network or output is None:
        raise typer.BadParameter("--network and --output go together")
    with TemporaryDirectory() as place, complaints(UNUSABLE):
        plan = Path(place, "plan.json")
        plan.write_text(json.dumps(grid_plan(network_named(network))), encoding="utf-8")
        raise typer.Exit(_run("dashboards.ownnetwork", str(plan), str(output), *options))


def _run(module: str, *arguments: str) -> int:
    return subprocess.run([sys.executable, "-m", module, *arguments], check=False).returncode  # noqa: S603 (our own interpreter and module)
