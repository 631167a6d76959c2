"""``gridfuse breaker …``: look at the market breaker, and order what people may order of it. Talks to a running service."""

from __future__ import annotations

import json as jsonlib
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final

import typer

from console.asking import HERE, Json, Url, ask
from console.orders import GROUPS, add_verbs
from console.terminal import say
from market.units import NS_PER_S, instant_text
from streams.words import CAUSES, DUTIES, VERDICTS, name_of

__all__ = ["approval_line", "case_line", "duty_line", "instant", "left", "notice_line", "register"]

_ZONE: Final = "Asia/Shanghai"

_View = Mapping[str, Any]


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    breaker = typer.Typer(help=GROUPS["breaker"], no_args_is_help=True)
    breaker.command("show")(_show)
    add_verbs(breaker, "breaker")
    app.add_typer(breaker, name="breaker")


def _show(
    url: Url = HERE,
    as_json: Json = False,
    lang: Annotated[str, typer.Option("--lang", envvar="GRIDFUSE_LANG", help="Language of the names: en or zh.")] = "en",
) -> None:
    """Show both segments, the price in force, what is owed, what waits for approval, open cases, notices in force and warnings."""
    view = ask(f"{url.rstrip('/')}/api/breaker")
    if as_json:
        typer.echo(jsonlib.dumps(view, ensure_ascii=False))
        return
    for line in _told(view, 1 if lang.startswith("zh") else 0):
        say(line)


def _told(view: _View, which: int) -> Iterator[str]:
    """Yield the market as lines; ``which`` is the place of the language in the tables of names."""
    now_ns = view["ts_event_ns"]
    price = "—" if view["price_cny_per_mwh"] is None else f"{view['price_cny_per_mwh']:.2f}"
    yield f"{instant(now_ns)}  rules {view['rule_set']}  price in force {price} CNY/MWh ({view['regime']})"
    if view.get("guidance"):
        yield f"dispatch follows {view['guidance']}: the current commitment and the latest load forecast; results are advisory"
    for segment in view["segments"]:
        yield from _segment(segment, which)
    for title, rows in (
        ("duties", [duty_line(duty, now_ns, which) for duty in view.get("duties", ())]),
        ("approvals", [approval_line(approval, which) for approval in view.get("approvals", ())]),
        ("cases", [case_line(case, which) for case in view.get("cases", ())]),
        ("notices in force", [notice_line(notice, now_ns) for notice in view.get("notices", ())]),
        ("warnings", list(view.get("warnings", ()))),
    ):
        if rows:
            yield f"{title}:"
            yield from (f"  {row}" for row in rows)


def _segment(segment: _View, which: int) -> Iterator[str]:
    headroom = ""  # of the day-ahead market, which is broken by an instant, there is none
    if segment["segment"] == "RT":
        headroom = "not expected to clear  " if segment["headroom_s"] is None else f"headroom {segment['headroom_s'] / 60:.1f} min  "
    since = [
        f"{name} {instant(segment[key])}"
        for name, key in (
            ("outage since", "outage_start_ns"),
            ("condition met", "condition_met_at_ns"),
            ("tripped", "tripped_at_ns"),
            ("suspended from", "suspended_from_ns"),
            ("expected end", "expected_end_ns"),
            ("market again from", "effective_from_ns"),
            ("result expected", "expected_p50_ns"),
        )
        if segment.get(key) is not None
    ]
    flags = f"  [{' '.join(segment['flags'])}]" if segment["flags"] else ""
    yield f"{segment['segment']}: {segment['phase']}{flags}  {headroom}version {segment['version']}  {'; '.join(since)}".rstrip()
    about = [
        f"{name} {value}"
        for name, value in (
            ("basis", segment.get("basis")),
            ("operating day", segment.get("operating_day")),
            ("cause", name_of(CAUSES, segment["cause"])[which] if segment.get("cause") else ""),
            ("proposed by", segment.get("proposed_by")),
            ("shadow clearings", segment.get("shadow_ok") or ""),
        )
        if value
    ]
    if about:
        yield f"    {'; '.join(about)}"


def duty_line(duty: _View, now_ns: int, which: int) -> str:
    """Write one open duty: what, until when, and who has nothing yet."""
    segment = f"{duty['segment']} " if duty["segment"] else ""
    due = "no clock" if duty["due_ns"] is None else f"due {instant(duty['due_ns'])} ({left(duty['due_ns'], now_ns)})"
    missing = f"  missing {', '.join(duty['missing'])}" if duty["missing"] else ""
    overdue = "OVERDUE  " if duty["overdue"] else ""
    name = name_of(DUTIES, duty["duty"])[which]
    return f"{overdue}{segment}{duty['duty']}: {name}  {due}  {duty['article']}, {duty['owner']}{missing}  [{duty['key']}]"


def approval_line(approval: _View, which: int) -> str:
    """Write one measure that waits: what each body said of it so far, and the digest they are bound to."""
    said = ", ".join(f"{body} {name_of(VERDICTS, verdict)[which]}" for body, verdict in approval["bodies"].items())
    scope = f" [{', '.join(approval['scope'])}]" if approval["scope"] else ""
    return f"{approval['measure']}{scope}: {said}  {approval['article']}, digest {approval['digest']}"


def case_line(case: _View, which: int) -> str:
    """Write one open case: what it is about and what it lacks."""
    segment = f"{case['segment']} " if case["segment"] else ""
    major = "  MAJOR" if case["major"] else ""
    cause = name_of(CAUSES, case["cause"])[which] if case["cause"] else "cause not set"
    missing = f"  missing: {'; '.join(case['missing'])}" if case["missing"] else ""
    return (
        f"{case['case']}{major}  {segment}{case['item']}: {case['subject']}  {case['status']}, {cause}, version {case['version']}{missing}"
    )


def notice_line(notice: _View, now_ns: int) -> str:
    """Write one notice in force, and the update it promises."""
    promised = notice["next_update_ns"]
    update = "" if promised is None else f"  next update by {instant(promised)} ({left(promised, now_ns)})"
    about = ", ".join(part for part in (notice["segment"], notice["subject"]) if part)
    return f"{notice['number']}  {notice['kind']} ({about}){update}"


def instant(ns: int) -> str:
    """Write an instant in the market's zone."""
    return instant_text(ns, _ZONE)


def left(due_ns: int, now_ns: int) -> str:
    """Say how much time is left, or how much too late it is: ``3 h 20 min left``, ``5 min late``."""
    minutes, late = divmod(abs(due_ns - now_ns) // NS_PER_S, 60)[0], due_ns < now_ns
    hours, minutes = divmod(minutes, 60)
    span = f"{hours} h {minutes:02d} min" if hours else f"{minutes} min"
    return f"{span} {'late' if late else 'left'}"
