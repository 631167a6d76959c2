"""``gridfuse duty|case|permit|approve|notice|calendar|warning|spot …``: what is open, and the orders that deal with it."""

from __future__ import annotations

import json as jsonlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Annotated, Any, Final

import typer

from console.asking import HERE, UNUSABLE, Json, Url, ask
from console.breaker import approval_line, case_line, duty_line, instant, notice_line
from console.caseexport import export_case
from console.casereport import report_case
from console.orders import GROUPS, add_verbs
from console.terminal import say
from market.decisions import Decision
from market.errors import UnitError
from market.units import instant_ns
from streams.sentences import sentence

__all__ = ["permits_of", "register"]

_RECORD_MAX: Final = 5_000
_CASE_KINDS: Final = ("CaseOpened", "CaseNoted", "CaseClosed")

_Lang = Annotated[str, typer.Option("--lang", envvar="GRIDFUSE_LANG", help="Language of the names: en or zh.")]
_View = Mapping[str, Any]


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    lists: dict[str, tuple[tuple[str, Callable[..., None]], ...]] = {
        "duty": (("list", _duties),),
        "case": (("list", _cases), ("show", _case), ("report", report_case), ("export", export_case)),
        "permit": (("list", _permits),),
        "approve": (("list", _approvals),),
        "notice": (("list", _notices),),
        "warning": (("list", _warnings),),
    }
    for group, about in GROUPS.items():
        if group == "breaker":
            continue
        made = typer.Typer(help=about, no_args_is_help=True)
        for name, command in lists.get(group, ()):
            made.command(name)(command)
        add_verbs(made, group)
        app.add_typer(made, name=group)


def _duties(url: Url = HERE, lang: _Lang = "en", as_json: Json = False) -> None:
    """List the duties that are open: until when, owed to whom, whose receipt is missing."""
    _list(url, "duties", lambda duty, view, which: duty_line(duty, view["ts_event_ns"], which), "no duty is open", lang, as_json)


def _cases(url: Url = HERE, lang: _Lang = "en", as_json: Json = False) -> None:
    """List the anomaly cases that are open, and what each lacks before it can be closed."""
    _list(url, "cases", lambda case, _, which: case_line(case, which), "no case is open", lang, as_json)


def _approvals(url: Url = HERE, lang: _Lang = "en", as_json: Json = False) -> None:
    """List the measures that wait for approval, and what each body said so far."""
    _list(url, "approvals", lambda one, _, which: approval_line(one, which), "nothing waits for approval", lang, as_json)


def _warnings(url: Url = HERE, as_json: Json = False) -> None:
    """List the warnings that stand against a recovery."""
    _list(url, "warnings", lambda one, _view, _which: str(one), "no warning is active", "en", as_json)


def _list(url: str, name: str, line: Callable[[Any, _View, int], str], none: str, lang: str, as_json: bool) -> None:
    view = ask(f"{url.rstrip('/')}/api/breaker")
    rows = view.get(name, [])
    if as_json:
        typer.echo(jsonlib.dumps({"ts_event_ns": view["ts_event_ns"], name: rows}, ensure_ascii=False))
        return
    which = 1 if lang.startswith("zh") else 0
    say("\n".join(line(row, view, which) for row in rows) or none)


def _notices(
    url: Url = HERE,
    lang: _Lang = "en",
    last: Annotated[int, typer.Option("--last", help="Show this many of the newest, in force or not; 0 only those in force.", min=0)] = 0,
    as_json: Json = False,
) -> None:
    """List the notices in force with their text, and on demand the newest ones."""
    view = ask(f"{url.rstrip('/')}/api/breaker")
    in_force = {notice["number"]: notice for notice in view.get("notices", ())}
    told = {decision.body["number"]: decision.body for decision in _recorded(url, ("Announcement",), max(last, 100)) if last or in_force}
    shown = [body for number, body in told.items() if number in in_force] if not last else list(told.values())[-last:]
    if as_json:
        rows = [{**body, "in_force": body["number"] in in_force} for body in shown]
        typer.echo(jsonlib.dumps({"ts_event_ns": view["ts_event_ns"], "notices": rows}, ensure_ascii=False))
        return
    for body in shown:
        number = body["number"]
        head = notice_line(in_force[number], view["ts_event_ns"]) if number in in_force else f"{number}  superseded or over"
        say(f"{head}\n    {body['text_zh' if lang.startswith('zh') else 'text_en']}")
    if not shown:
        typer.echo("no notice is in force")


def _case(
    case: Annotated[str, typer.Argument(help="Number of the case, as 2026-06-10-01.")],
    url: Url = HERE,
    lang: _Lang = "en",
    as_json: Json = False,
) -> None:
    """Show one case, open or closed: what it lacks, and every entry with who made it."""
    view = ask(f"{url.rstrip('/')}/api/breaker")
    now = next((one for one in view.get("cases", ()) if one["case"] == case), None)
    entries = [decision for decision in _recorded(url, _CASE_KINDS, _RECORD_MAX) if decision.body["case"] == case]
    if now is None and not entries:
        typer.echo(f"there is no case {case}; `gridfuse case list` shows those that are open", err=True)
        raise typer.Exit(UNUSABLE)
    if as_json:
        rows = [{"seq": one.seq, "ts_event_ns": one.ts_event_ns, "kind": one.kind, **one.body} for one in entries]
        typer.echo(jsonlib.dumps({"case": case, "now": now, "entries": rows}, ensure_ascii=False))
        return
    which = 1 if lang.startswith("zh") else 0
    say(f"{case}  closed" if now is None else case_line(now, which))
    for one in entries:
        say(f"  {one.seq:>6}  {instant(one.ts_event_ns)}  {sentence(one)[which]}")


def _permits(url: Url = HERE, as_json: Json = False) -> None:
    """List the permits that are in force or to come, as they were granted by order."""
    view = ask(f"{url.rstrip('/')}/api/breaker")
    permits = permits_of(_recorded(url, ("CommandAccepted",), _RECORD_MAX), view["ts_event_ns"])
    if as_json:
        typer.echo(jsonlib.dumps({"ts_event_ns": view["ts_event_ns"], "permits": permits}, ensure_ascii=False))
        return
    for permit in permits:
        reference = f"  {permit['reference']}" if permit["reference"] else ""
        typer.echo(f"{permit['element']}  {permit['from']} – {permit['to']}  granted by {permit['by']}{reference}")
    if not permits:
        typer.echo("no permit is in force or to come")


def permits_of(accepted: Sequence[Decision], now_ns: int) -> list[dict[str, str]]:
    """Return the permits that hold at an instant or later, by their beginning.

    Args:
        accepted: orders that were carried out, in their order.
    """
    held: dict[tuple[str, str, str], dict[str, str]] = {}
    for decision in accepted:
        action, args = decision.body["action"], decision.body["args"]
        if action not in ("GRANT_PERMIT", "REVOKE_PERMIT"):
            continue
        place = args["element"], args["from"], args["to"]
        if action == "GRANT_PERMIT":
            held[place] = {**dict(zip(("element", "from", "to"), place, strict=True)), "by": decision.body["by"]}
            held[place]["reference"] = args.get("reference", "")
        else:
            held.pop(place, None)
    return sorted((permit for permit in held.values() if _ends_ns(permit) >= now_ns), key=lambda one: (one["from"], one["element"]))


def _ends_ns(permit: Mapping[str, str]) -> int:
    try:
        return instant_ns(permit["to"])
    except UnitError:
        return 0


def _recorded(url: str, kinds: Sequence[str], last: int) -> list[Decision]:
    """Return the newest decisions of some kinds, oldest first."""
    asked = "&".join(f"kind={kind}" for kind in kinds)
    return list(_decisions(ask(f"{url.rstrip('/')}/api/decisions?{asked}&last={last}")["decisions"]))


def _decisions(rows: Sequence[Mapping[str, Any]]) -> Iterator[Decision]:
    for row in rows:
        yield Decision(**row)
