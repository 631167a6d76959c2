"""How a command talks to a running service: it asks, it orders, and it waits for what was decided."""

from __future__ import annotations

import getpass
import json as jsonlib
import secrets
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Annotated, Any, Final

import typer

from console.terminal import say

__all__ = ["HERE", "REFUSED", "UNDECIDED", "UNUSABLE", "Json", "Url", "ask", "give_order", "told"]

REFUSED: Final = 1
UNUSABLE: Final = 2
UNDECIDED: Final = 3
"""Exit codes: a rule forbade it; it could not be sent; nobody has decided in the time that was given."""

HERE: Final = "http://127.0.0.1:8080"
_TIMEOUT_S: Final = 10.0
_ASK_EVERY_S: Final = 0.05
_SETTLE_S: Final = 0.25
"""After an order was carried out: what came of it is recorded one decision after the other."""

Url = Annotated[str, typer.Option("--url", envvar="GRIDFUSE_URL", help="Address of the running service.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def ask(url: str, body: dict[str, Any] | None = None) -> Any:
    """GET, or POST a JSON body; exits with a sentence where that fails."""
    status, said = _fetch(url, body)
    if status < 400:
        return said
    error = said["error"] if isinstance(said, dict) and "error" in said else str(said)[:200]
    # What is not there, or not now, is no refusal.
    refused = 400 <= status < 500 and status != 404
    say(f"{'refused' if refused else 'cannot be done now'} ({status}): {error}", err=True)
    raise typer.Exit(REFUSED if refused else UNUSABLE)


def _fetch(url: str, body: dict[str, Any] | None = None) -> tuple[int, Any]:
    """Return status and content of an answer; exits with a sentence where there is none."""
    if not url.startswith(("http://", "https://")):
        typer.echo(f"{url!r} is not an http address; give one with --url", err=True)
        raise typer.Exit(UNUSABLE)
    data = None if body is None else jsonlib.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})  # noqa: S310 - the scheme was checked above
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as reply:  # noqa: S310
            return reply.status, jsonlib.load(reply)
    except urllib.error.HTTPError as exc:
        with exc:
            said = exc.read().decode(errors="replace")
        try:
            return exc.code, jsonlib.loads(said)
        except ValueError:
            return exc.code, said
    except (urllib.error.URLError, TimeoutError, OSError) as exc:
        reason = getattr(exc, "reason", exc)
        typer.echo(f"no service answers at {url} ({reason}); start one with `gridfuse demo` or `gridfuse run`, or give --url", err=True)
        raise typer.Exit(UNUSABLE) from exc


def give_order(url: str, action: str, by: str, role: str, args: Mapping[str, str], wait_s: float) -> dict[str, Any]:
    """Send an order and wait for the decision.

    Args:
        by: who orders it; the login where empty.
        wait_s: how long to wait, by the wall clock, s; with 0 the order is only sent.

    Returns:
        The answer as ``GET /api/commands/{id}`` gives it; its state is ``pending`` where nobody decided in time.
    """
    base = url.rstrip("/")
    command_id = f"cli-{secrets.token_hex(8)}"
    ask(f"{base}/api/commands", {"command_id": command_id, "by": by or getpass.getuser(), "role": role, "action": action, "args": {**args}})
    pending = {"command_id": command_id, "state": "pending", "action": action}
    deadline_s = time.monotonic() + wait_s
    while time.monotonic() < deadline_s:
        status, answer = _fetch(f"{base}/api/commands/{command_id}")
        if status == 200 and answer["state"] == "refused":
            return dict(answer)
        if status == 200 and answer["state"] == "accepted":
            time.sleep(_SETTLE_S)
            status, settled = _fetch(f"{base}/api/commands/{command_id}")
            return dict(settled if status == 200 else answer)
        time.sleep(_ASK_EVERY_S)
    return pending


def told(answer: dict[str, Any], *, as_json: bool, chinese: bool = False) -> None:
    """Print what became of an order; exits with a code that says so unless it was carried out."""
    if as_json:
        typer.echo(jsonlib.dumps(answer, ensure_ascii=False))
    state = answer["state"]
    if state == "accepted":
        if not as_json:
            typer.echo(f"carried out: {answer['action']} ({answer['rule']}), decision {answer['seq']}")
            for one in answer["then"]:
                say(f"  {one['seq']:>6}  {one['zh' if chinese else 'en']}")
        return
    if state == "refused":
        if not as_json:
            say(f"refused ({answer['rule']}): {answer['why']}", err=True)
        raise typer.Exit(REFUSED)
    if not as_json:
        typer.echo(
            f"sent as {answer['command_id']}, and not decided yet: see `gridfuse breaker show`, or wait longer with --wait", err=True
        )
    raise typer.Exit(UNDECIDED)
