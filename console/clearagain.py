"""``gridfuse clear-again``: order that a past interval is cleared again, with corrected values, as a new revision (Art. 22)."""

from __future__ import annotations

import getpass
import json as jsonlib
import secrets
from pathlib import Path
from typing import Annotated

import typer
from pydantic import Field

from console.asking import ask
from ingest.yamlfile import Name, Strict, read_yaml
from market.errors import ConfigError
from market.reclear import ACTION, corrections_of
from market.units import instant_ns

__all__ = ["register"]

_WRONG = 2
_Mw = dict[Name, float]


class _File(Strict):
    """What the file of corrections may say; see :class:`market.reclear.Corrections`."""

    load_mw: _Mw = Field(default_factory=dict)
    output_mw: _Mw = Field(default_factory=dict)
    available_mw: _Mw = Field(default_factory=dict)
    out_of_service: list[Name] | None = None
    units_off: list[Name] | None = None


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("clear-again")(_clear_again)


def _clear_again(
    interval: Annotated[str, typer.Argument(help="Start of the interval, for instance 2020-01-01T12:05:00+08:00.")],
    reason: Annotated[str, typer.Option("--reason", help="Why; it stands in the record.")],
    gov: Annotated[str, typer.Option("--gov", help="Reference of the government department's approval.")],
    reg: Annotated[str, typer.Option("--reg", help="Reference of the regulator's approval.")],
    corrections: Annotated[
        Path | None,
        typer.Option("--corrections", help="YAML or JSON file: load_mw, output_mw, available_mw by name; out_of_service, units_off whole."),
    ] = None,
    url: Annotated[str, typer.Option("--url", envvar="GRIDFUSE_URL", help="Address of the running service.")] = "http://127.0.0.1:8080",
    by: Annotated[str, typer.Option("--by", help="Who orders it; your login by default.")] = "",
    role: Annotated[str, typer.Option("--role", help="In which capacity: MO, TRADING, DISPATCH.")] = "MO",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Clear a past interval again and publish the result as its next revision.

    Exit codes: 0 the order is on its way, 1 the service refused it, 2 something in the order is wrong or no service answers. Whether it
    is carried out, and what came of it, are decisions: see the board.
    """
    try:
        start_ns = instant_ns(interval)
    except ValueError as exc:
        typer.echo(f"{interval!r} is no instant: {exc}", err=True)
        raise typer.Exit(_WRONG) from exc
    args = {"interval_start_ns": str(start_ns), "reason": reason, "approval_gov": gov, "approval_reg": reg}
    if corrections is not None:
        args["corrections"] = _read(corrections)
    body = {"command_id": f"cli-{secrets.token_hex(8)}", "by": by or getpass.getuser(), "role": role, "action": ACTION, "args": args}
    answer = ask(f"{url.rstrip('/')}/api/commands", body)
    if as_json:
        typer.echo(jsonlib.dumps({"command_id": answer["command_id"], "interval_start_ns": start_ns}))
    else:
        typer.echo(f"sent as {answer['command_id']}; whether it is carried out, and what came of it, is among the decisions on the board")


def _read(path: Path) -> str:
    """Return the corrections in a file as an order carries them; exits with every problem of a file that cannot be used."""
    try:
        text = read_yaml(path, _File).model_dump_json(exclude_defaults=True)
        corrections_of(text)
    except ConfigError as exc:
        typer.echo(str(exc), err=True)
        raise typer.Exit(_WRONG) from exc
    except ValueError as exc:
        typer.echo(f"{path}: {exc}", err=True)
        raise typer.Exit(_WRONG) from exc
    return text
