"""``gridfuse breaker propose``, ``duty receipt``, ``case open``, …: every order of :data:`market.commands.ORDERS` as a command.

What an order is, who may give it and what it must say stands in that table alone. Here is only how a person types it: which of its
arguments come without a flag, what each means, and which spellings are taken. A test holds that no order and no argument is left out.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from console.asking import HERE, UNUSABLE, ask, give_order, told
from market.causes import AnomalyClass, Cause
from market.commands import ORDERS, Order
from market.errors import UnitError
from market.units import civil_day, instant_ns

__all__ = ["GROUPS", "VERBS", "Verb", "add_verbs"]

_ZONE: Final = "Asia/Shanghai"
_SEEN: Final = "version"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verb:
    """How one order is typed.

    Attributes:
        role: taken where none is given; empty where a person must say.
        bare: arguments without a flag, in their order.
        preset: arguments this verb always has.
        help: instead of what the table of orders says.
    """

    group: str
    name: str
    action: str
    role: str
    bare: tuple[str, ...] = ()
    preset: Mapping[str, str] = field(default_factory=dict)
    help: str = ""


GROUPS: Final[Mapping[str, str]] = {
    "breaker": "The market breaker: show it, trip it, recover it, suspend and resume the market.",
    "duty": "Statutory duties: what is owed to whom until when, receipts, and tasks that are done.",
    "case": "Anomaly cases: their cause, what was done, the analysis, what is to be rectified.",
    "permit": "Planned outages of elements, and switchover drills: they trip nothing.",
    "approve": "Approvals of the government department and the regulator, bound to a measure's content.",
    "notice": "Notices to the participants: those in force, updates and corrections.",
    "calendar": "When a market is not expected to clear.",
    "warning": "Warnings that stand against a recovery.",
    "spot": "Boundary data, declarations and results of the day-ahead market.",
}

VERBS: Final = (
    Verb(group="breaker", name="propose", action="PROPOSE_TRIP", role="DISPATCH"),
    Verb(group="breaker", name="confirm", action="CONFIRM_TRIP", role="DISPATCH"),
    Verb(group="breaker", name="reject", action="REJECT_TRIP", role="DISPATCH"),
    Verb(
        group="breaker",
        name="recover",
        action="CONFIRM_RECOVER",
        role="DISPATCH",
        help="recover the tripped market; prices return after the notice period",
    ),
    Verb(group="breaker", name="suspend", action="DECIDE_SUSPEND", role="MO"),
    Verb(group="breaker", name="extend", action="EXTEND_SUSPENSION", role="MO"),
    Verb(group="breaker", name="regime28", action="CONFIRM_REGIME28", role="TRADING"),
    Verb(group="breaker", name="apply", action="APPLY_RESUME", role="MO"),
    Verb(group="breaker", name="resume", action="CONFIRM_RESUME", role="MO"),
    Verb(group="breaker", name="eta", action="DA_ETA", role="DISPATCH", bare=("operating_day", "eta")),
    Verb(group="duty", name="receipt", action="RECEIPT", role="DISPATCH", bare=("duty", "recipient")),
    Verb(group="duty", name="done", action="COMPLETE_DUTY", role="MO", bare=("duty",)),
    Verb(group="case", name="open", action="OPEN_CASE", role="MO"),
    Verb(group="case", name="cause", action="SET_CAUSE", role="MO", bare=("case", "cause")),
    Verb(group="case", name="action", action="NOTE_ACTION", role="MO", bare=("case", "text")),
    Verb(group="case", name="analyse", action="ANALYSE_CASE", role="MO", bare=("case", "text")),
    Verb(group="case", name="rectify", action="RECTIFY", role="MO", bare=("case", "item", "text")),
    Verb(group="case", name="rectified", action="RECTIFIED", role="MO", bare=("case", "item")),
    Verb(group="case", name="close", action="CLOSE_CASE", role="MO", bare=("case",)),
    Verb(group="permit", name="grant", action="GRANT_PERMIT", role="DISPATCH", bare=("element", "from", "to")),
    Verb(group="permit", name="revoke", action="REVOKE_PERMIT", role="DISPATCH", bare=("element", "from", "to")),
    Verb(group="permit", name="exercise", action="PLAN_EXERCISE", role="DISPATCH", bare=("from", "to")),
    Verb(group="approve", name="request", action="REQUEST_APPROVAL", role="MO", bare=("measure",)),
    Verb(group="approve", name="give", action="APPROVE", role="", bare=("measure",)),
    Verb(group="notice", name="update", action="PUBLISH_UPDATE", role="DISPATCH"),
    Verb(group="notice", name="anomaly", action="ANNOUNCE_ANOMALY", role="TRADING", bare=("case",)),
    Verb(group="notice", name="correct", action="CORRECT_NOTICE", role="MO", bare=("number",)),
    Verb(group="calendar", name="close", action="CLOSE_CALENDAR", role="MO", bare=("from", "to")),
    Verb(
        group="warning",
        name="set",
        action="SET_WARNING",
        role="DISPATCH",
        bare=("warning",),
        preset={"active": "yes"},
        help="raise a warning; while it is active, a recovery needs two people",
    ),
    Verb(group="warning", name="lift", action="SET_WARNING", role="DISPATCH", bare=("warning",), preset={"active": "no"}, help="lift it"),
    Verb(group="spot", name="boundary", action="PUBLISH_BOUNDARY", role="MO", bare=("operating_day",)),
    Verb(group="spot", name="deadline", action="MOVE_DEADLINE", role="MO", bare=("operating_day", "deadline")),
    Verb(group="spot", name="declarations-failed", action="CONFIRM_DECLARATION_FAILURE", role="TRADING", bare=("operating_day",)),
    Verb(group="spot", name="paper", action="PAPER_DECLARATION", role="TRADING", bare=("operating_day", "participant")),
    Verb(group="spot", name="result", action="PUBLISH_RESULT", role="MO", bare=("operating_day", "result_version")),
    Verb(group="spot", name="window", action="EXTEND_WINDOW", role="TRADING", bare=("days",)),
)
"""In the order of the help. CLEAR_AGAIN is `gridfuse clear-again`."""

_METAVAR_MAX: Final = 24

_ADDS: Final = ("NOTE_ACTION", "ANALYSE_CASE", "RECTIFY", "RECTIFIED", "ANNOUNCE_ANOMALY")
"""Orders that only add to a case or tell of it: what was entered meanwhile stands not against them; bound to a version on demand."""

_YES: Final = ("override", "emergency")
"""Arguments that are said or not."""

_INSTANTS: Final = (
    "from",
    "to",
    "at",
    "eta",
    "expected_end",
    "effective_from",
    "delivered_at",
    "discovered_at",
    "next_update",
    "deadline",
)
_TEXTS: Final = ("content", "text", "text_zh", "text_en")

_CHOICES: Final[Mapping[str, tuple[str, ...]]] = {
    "segment": ("RT", "DA", "RT,DA"),
    "cause": tuple(Cause),
    "class": tuple(AnomalyClass),
    "recipient": ("GOV", "REG", "PARTICIPANTS"),
    "verdict": ("APPROVED", "REFUSED"),
    "form": ("written", "oral"),
    "checklist": ("yes", "no"),
    "outcome": ("met", "lifted"),
}

_MEANING: Final[Mapping[str, str]] = {
    "segment": "Which market; RT where it is not given; RT,DA where the order is for both.",
    "cause": f"Cause of Art. 5: {', '.join(Cause)}. The first and the last need --reference.",
    "reason": "Why; it stands in the record.",
    "reference": "The document or warning that shows it.",
    "operating_day": "Operating day, as 2026-06-11.",
    "checklist": "Whether everything a return needs is done; an order without it attests that it is.",
    "override": "Although lines are still open or a warning is active; needs --reason and --second.",
    "second": "The second person, who agrees.",
    "expected_end": "When the suspension is expected to end; it can be extended later.",
    "effective_from": "First interval of the market again; the first that keeps the notice where it is not given.",
    "scope": "What of it: a part, as A,B; all of it where it is not given.",
    "eta": "When the result is expected.",
    "duty": "Duty, as explain or report; its key where several are open.",
    "recipient": "Who has it: GOV, REG or PARTICIPANTS.",
    "delivered_at": "When it was delivered; now where it is not given.",
    "discovered_at": "When it was found; now where it is not given.",
    "text": "What a person reads; @FILE takes it from a file.",
    "text_zh": "The notice in Chinese; @FILE takes it from a file.",
    "text_en": "The notice in English; @FILE takes it from a file.",
    "outcome": "How it ended.",
    "measure": "Measure, as RESUME/RT or SUSPEND/RT; the kind alone where only one such is open.",
    "content": "What it says, to the letter; @FILE takes it from a file.",
    "emergency": "Whether the bodies may agree by telephone; needs --reason.",
    "verdict": "APPROVED or REFUSED.",
    "form": "How it was given: written, or oral in an emergency.",
    "digest": "Digest of the content that is approved; checked against what was asked.",
    "contact": "Who was spoken to, for an oral approval.",
    "next_update": "Until when the next update is promised.",
    "number": "Number of the notice, as RT-2026-06-10-01.",
    "class": f"Class of Art. 6: {', '.join(AnomalyClass)}.",
    "item": "Item of its class, as 'Art. 8(2)'; for a rectification its name.",
    "subject": "What it is about.",
    "case": "Number of the case, as 2026-06-10-01.",
    "due": "Day until which it is to be rectified, as 2026-06-20.",
    "owner": "Who rectifies it.",
    "element": "Name of the element in the network model.",
    "from": "Beginning.",
    "to": "End.",
    "at": "When it was applied for; now where it is not given.",
    "warning": "Its identity, as typhoon-red-2026-09-01.",
    "result_version": "Version of the result.",
    "days": "Days to look back.",
    "deadline": "The deadline of declarations.",
    "participant": "Whose declaration it is.",
}


def add_verbs(app: typer.Typer, group: str) -> None:
    """Add the orders of a group to it."""
    for verb in VERBS:
        if verb.group == group:
            app.command(verb.name, help=_help(verb))(_command(verb))


_CODES: Final = "Exit code 0 when it was carried out, 1 when a rule forbids it, 2 when it could not be sent, 3 when nobody decided in time."


def _help(verb: Verb) -> str:
    order = ORDERS[verb.action]
    does = verb.help or order.does
    who = " or ".join(order.roles)
    return f"{does[0].upper()}{does[1:]}. ({order.article}; {who})\n\n{_CODES}"


def _arguments(order: Order, verb: Verb) -> list[str]:
    """Return the arguments a person can give, those that are needed first."""
    taken = [*order.needs, *order.takes]
    taken += [name for name in ("reason", "reference") if name not in taken]
    return [name for name in taken if name not in verb.preset and name != _SEEN]


def _command(verb: Verb) -> Callable[..., None]:
    """Make the function whose signature typer reads the options from."""
    order = ORDERS[verb.action]
    names = _arguments(order, verb)
    shows_version = _SEEN in order.takes or "case" in names

    def run(**given: Any) -> None:
        args = dict(verb.preset)
        for name in names:
            value = given[_identifier(name)]
            if name in _YES:
                if value:
                    args[name] = "yes"
            elif value:
                args[name] = value
        _give(verb, args, given, shows_version=shows_version)

    parameters = [_parameter(name, needed=True, bare=True) for name in verb.bare]
    parameters += [_parameter(name, needed=name in order.needs, bare=False) for name in names if name not in verb.bare]
    parameters += [parameter for parameter in _common(verb, order) if parameter.name != _SEEN or shows_version]
    # What must be given comes first in a signature; typer shows the options in this order too.
    parameters.sort(key=lambda one: one.default is not inspect.Parameter.empty)
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return run


def _identifier(name: str) -> str:
    return f"{name}_" if name in ("from", "class") else name


def _parameter(name: str, *, needed: bool, bare: bool) -> inspect.Parameter:
    kind = inspect.Parameter.KEYWORD_ONLY
    if name in _YES:
        option = typer.Option(f"--{name}", help=_MEANING[name])
        return inspect.Parameter(_identifier(name), kind, annotation=Annotated[bool, option], default=False)
    more: dict[str, Any] = {"help": _meaning(name), "parser": _reader(name), "metavar": _metavar(name)}
    info = typer.Argument(**more) if bare else typer.Option(f"--{name.replace('_', '-')}", **more)
    default = inspect.Parameter.empty if needed else ""
    return inspect.Parameter(_identifier(name), kind, annotation=Annotated[str, info], default=default)


def _metavar(name: str) -> str:
    """Return what stands for the value in the help: its choices where they are short, for instance ``RT|DA``."""
    choices = "|".join(_CHOICES.get(name, ()))
    if choices and len(choices) <= _METAVAR_MAX:
        return choices
    return "INSTANT" if name in _INSTANTS and name not in ("from", "to") else name.upper()


def _meaning(name: str) -> str:
    said = _MEANING[name]
    return f"{said} An ISO instant, or HH:MM of the market's day." if name in _INSTANTS else said


def _reader(name: str) -> Callable[[str], str]:
    """Return what makes of a typed word the argument that is sent; typer tells the person what is wrong with it."""
    choices = {choice.lower(): choice for choice in _CHOICES.get(name, ())}

    def read(typed: str) -> str:
        if not typed:
            return ""
        if choices:
            if typed.lower() not in choices:
                raise typer.BadParameter(f"{typed!r} is none of {', '.join(choices.values())}")
            return choices[typed.lower()]
        if name in _TEXTS and typed.startswith("@"):
            try:
                return Path(typed[1:]).read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError) as exc:
                raise typer.BadParameter(f"{typed[1:]} cannot be read: {exc}") from exc
        return typed

    return read


def _common(verb: Verb, order: Order) -> list[inspect.Parameter]:
    """Return the options that every order has."""
    kind = inspect.Parameter.KEYWORD_ONLY
    who = ", ".join(order.roles)
    role = typer.Option("--role", help=f"In which capacity: {who}.", parser=str.upper, metavar="ROLE")
    wait = typer.Option("--wait", help="Seconds to wait for the decision; 0 only sends.", min=0.0)
    shown = "none" if verb.action in _ADDS else "the one shown now"
    version = typer.Option("--version", help=f"Version that you saw; {shown} where it is not given. An older one is refused.")
    by = typer.Option("--by", help="Who orders it; your login by default.")
    url = typer.Option("--url", envvar="GRIDFUSE_URL", help="Address of the running service.")
    lang = typer.Option("--lang", envvar="GRIDFUSE_LANG", help="Language of what came of it: en or zh.")
    as_json = typer.Option("--json", help="Print one JSON object.")
    return [
        inspect.Parameter("role", kind, annotation=Annotated[str, role], default=verb.role or inspect.Parameter.empty),
        inspect.Parameter("by", kind, annotation=Annotated[str, by], default=""),
        inspect.Parameter(_SEEN, kind, annotation=Annotated[str, version], default=""),
        inspect.Parameter("wait", kind, annotation=Annotated[float, wait], default=15.0),
        inspect.Parameter("lang", kind, annotation=Annotated[str, lang], default="en"),
        inspect.Parameter("url", kind, annotation=Annotated[str, url], default=HERE),
        inspect.Parameter("as_json", kind, annotation=Annotated[bool, as_json], default=False),
    ]


def _give(verb: Verb, args: dict[str, str], given: Mapping[str, Any], *, shows_version: bool) -> None:
    for flag in _YES:
        if flag in args and not args.get("reason", "").strip():
            typer.echo(f"--{flag} needs --reason: it stands in the record", err=True)
            raise typer.Exit(UNUSABLE)
    url = given["url"]
    clocked = any(name in _INSTANTS for name in args)
    view = ask(f"{url.rstrip('/')}/api/breaker") if clocked or (shows_version and not given[_SEEN]) else None
    args = {name: _instant(name, value, view) if name in _INSTANTS else value for name, value in args.items()}
    if shows_version:
        version = given[_SEEN] or ("" if verb.action in _ADDS else _version(args, view))
        args |= {_SEEN: str(version)} if version else {}
    answer = give_order(url, verb.action, given["by"], given["role"], args, given["wait"])
    told(answer, as_json=given["as_json"], chinese=given["lang"].startswith("zh"))


def _version(args: Mapping[str, str], view: Mapping[str, Any] | None) -> str:
    """Return the version of what is shown now, so that an order cannot hit another state; empty for what is not shown."""
    if view is None:
        return ""
    if "case" in args:
        return next((str(case["version"]) for case in view.get("cases", ()) if case["case"] == args["case"]), "")
    # An order for both is bound to the state of neither: their versions differ.
    segment = args.get("segment", "RT")
    return next((str(one["version"]) for one in view["segments"] if one["segment"] == segment), "")


def _instant(name: str, typed: str, view: Mapping[str, Any] | None) -> str:
    """Return an instant as orders carry it; exits with a sentence for what is none."""
    text = typed
    if view is not None and len(typed) in (5, 8) and typed[2] == ":":
        day = civil_day(view["ts_event_ns"], _ZONE)
        seconds = typed if len(typed) == 8 else f"{typed}:00"
        text = f"{day}T{seconds}+08:00"
    try:
        instant_ns(text)
    except (UnitError, ValueError) as exc:
        typer.echo(f"--{name.replace('_', '-')}: {typed!r} is no instant: {exc}; write 2026-06-10T12:00:00+08:00, or 12:00", err=True)
        raise typer.Exit(UNUSABLE) from exc
    return text
