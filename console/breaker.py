"""``gridfuse breaker …``: look at the market breaker, and order what a dispatcher may order. Talks to a running service."""

from __future__ import annotations

import getpass
import json as jsonlib
import secrets
import urllib.error
import urllib.request
from typing import Annotated, Any

import typer

from market.units import instant_text

__all__ = ["ask", "register"]

_REFUSED, _UNREACHABLE = 1, 2
_ZONE = "Asia/Shanghai"
_TIMEOUT_S = 10.0

_Url = Annotated[str, typer.Option("--url", envvar="GRIDFUSE_URL", help="Address of the running service.")]
_By = Annotated[str, typer.Option("--by", help="Who orders it; your login by default.")]
_Role = Annotated[str, typer.Option("--role", help="In which capacity: DISPATCH, TRADING, MO, GOV, REG.")]
_Here = "http://127.0.0.1:8080"


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    breaker = typer.Typer(help="The market breaker: show it, and order what a dispatcher may order.", no_args_is_help=True)
    breaker.command("show")(_show)
    breaker.command("confirm")(_confirm)
    breaker.command("reject")(_reject)
    breaker.command("recover")(_recover)
    app.add_typer(breaker, name="breaker")


def _show(url: _Url = _Here, as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False) -> None:
    """Show both segments, the price in force and how much headroom is left."""
    view = ask(f"{url.rstrip('/')}/api/breaker")
    if as_json:
        typer.echo(jsonlib.dumps(view, ensure_ascii=False))
        return
    price = "—" if view["price_cny_per_mwh"] is None else f"{view['price_cny_per_mwh']:.2f}"
    typer.echo(f"{_instant(view['ts_event_ns'])}  rules {view['rule_set']}  price in force {price} CNY/MWh ({view['regime']})")
    for segment in view["segments"]:
        left = "not expected to clear" if segment["headroom_s"] is None else f"headroom {segment['headroom_s'] / 60:.1f} min"
        since = [
            f"{name} {_instant(segment[key])}"
            for name, key in (
                ("outage since", "outage_start_ns"),
                ("condition met", "condition_met_at_ns"),
                ("tripped", "tripped_at_ns"),
                ("market again from", "effective_from_ns"),
            )
            if segment[key] is not None
        ]
        flags = f"  [{' '.join(segment['flags'])}]" if segment["flags"] else ""
        typer.echo(f"{segment['segment']}: {segment['phase']}{flags}  {left}  version {segment['version']}  {'; '.join(since)}")


def _confirm(url: _Url = _Here, by: _By = "", role: _Role = "DISPATCH") -> None:
    """Confirm a proposed trip."""
    _order(url, "CONFIRM_TRIP", by, role, {})


def _reject(
    reason: Annotated[str, typer.Option("--reason", help="Why the market is not to be tripped.")],
    url: _Url = _Here,
    by: _By = "",
    role: _Role = "DISPATCH",
) -> None:
    """Reject a proposed trip; it comes back while its condition holds."""
    _order(url, "REJECT_TRIP", by, role, {"reason": reason})


def _recover(
    url: _Url = _Here,
    by: _By = "",
    role: _Role = "DISPATCH",
    override: Annotated[bool, typer.Option("--override", help="Although lines that tripped the market are still open.")] = False,
    reason: Annotated[str, typer.Option("--reason", help="Why; needed with --override.")] = "",
) -> None:
    """Recover the tripped market; prices return after the notice period."""
    if override and not reason.strip():
        typer.echo("--override needs --reason: it stands in the record", err=True)
        raise typer.Exit(2)
    args = {"reason": reason} if reason else {}
    _order(url, "CONFIRM_RECOVER", by, role, args | {"override": "yes"} if override else args)


def _order(url: str, action: str, by: str, role: str, args: dict[str, str]) -> None:
    """Send an order, bound to the version of the segment that is shown now, so that it cannot hit another state."""
    base = url.rstrip("/")
    view = ask(f"{base}/api/breaker")
    version = next(segment["version"] for segment in view["segments"] if segment["segment"] == "RT")
    body = {
        "command_id": f"cli-{secrets.token_hex(8)}",
        "by": by or getpass.getuser(),
        "role": role,
        "action": action,
        "args": {**args, "version": str(version)},
    }
    answer = ask(f"{base}/api/commands", body)
    typer.echo(f"sent as {answer['command_id']}; whether it is carried out is decided by the breaker: see `gridfuse breaker show`")


def ask(url: str, body: dict[str, Any] | None = None) -> Any:
    """GET, or POST a JSON body; exits with a sentence where that fails."""
    if not url.startswith(("http://", "https://")):
        typer.echo(f"{url!r} is not an http address; give one with --url", err=True)
        raise typer.Exit(_UNREACHABLE)
    data = None if body is None else jsonlib.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})  # noqa: S310 - the scheme was checked above
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as reply:  # noqa: S310
            return jsonlib.load(reply)
    except urllib.error.HTTPError as exc:
        with exc:
            said = exc.read().decode(errors="replace")
        try:
            said = jsonlib.loads(said)["error"]
        except (ValueError, KeyError, TypeError):
            said = said[:200]
        typer.echo(f"refused ({exc.code}): {said}", err=True)
        raise typer.Exit(_REFUSED) from exc
    except (urllib.error.URLError, TimeoutError, OSError) as exc:
        reason = getattr(exc, "reason", exc)
        typer.echo(f"no service answers at {url} ({reason}); start one with `gridfuse demo` or `gridfuse run`, or give --url", err=True)
        raise typer.Exit(_UNREACHABLE) from exc


def _instant(ns: int) -> str:
    return instant_text(ns, _ZONE)
