"""``gridfuse ingest reload``: have a running service read its point list again, and say what became of it."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Annotated, Any, Final

import typer

from console.ingest import ingest_group

__all__ = ["register"]

_REFUSED, _UNREACHABLE = 1, 2
_TIMEOUT_S: Final = 60.0
"""A list of ten thousand devices takes seconds to read."""


def register(app: typer.Typer) -> None:
    """Add ``ingest reload`` to the command."""
    ingest_group(app).command("reload")(_reload)


def _reload(
    url: Annotated[str, typer.Option("--url", envvar="GRIDFUSE_URL", help="Address of the running process.")] = "http://127.0.0.1:8080",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Have a running process read its point list again; only devices that changed are stopped and begun anew."""
    told = _asked(f"{url.rstrip('/')}/api/points")
    if as_json:
        typer.echo(json.dumps(told, ensure_ascii=False))
    elif told["outcome"] == "refused":
        for problem in told["problems"]:
            typer.echo(f"{problem['where']}: {problem['what']}", err=True)
        typer.echo("refused; the point list in force goes on", err=True)
    else:
        typer.echo(f"{told['outcome']}; devices: " + ", ".join(f"{count} {what}" for what, count in told["devices"].items()))
    if told["outcome"] == "refused":
        raise typer.Exit(_REFUSED)


def _asked(url: str) -> dict[str, Any]:
    """POST, and return what became of it; exits with a sentence where nobody answers."""
    if not url.startswith(("http://", "https://")):
        typer.echo(f"{url!r} is not an http address; give one with --url", err=True)
        raise typer.Exit(_UNREACHABLE)
    request = urllib.request.Request(url, b"{}", {"Content-Type": "application/json"})  # noqa: S310 - the scheme was checked above
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as reply:  # noqa: S310
            told: dict[str, Any] = json.load(reply)
            return told
    except urllib.error.HTTPError as exc:
        with exc:
            said = exc.read()
        try:
            told = json.loads(said)
        except ValueError:
            told = {}
        if exc.code == 409 and "outcome" in told:
            return told
        typer.echo(f"refused ({exc.code}): {told.get('error', said[:200])}", err=True)
        raise typer.Exit(_UNREACHABLE) from exc
    except OSError as exc:
        reason = getattr(exc, "reason", exc)
        typer.echo(f"no service answers at {url} ({reason}); start one with `gridfuse run`, or give --url", err=True)
        raise typer.Exit(_UNREACHABLE) from exc
