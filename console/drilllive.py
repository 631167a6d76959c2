"""``gridfuse drill FILE --live URL``: rehearse the people's part of a drill against a running service.

What people order is sent to the service, at the drill's pace and in its event time. What devices, clearings and the calendar do is not:
a running service has its own. A demo makes its faults by its own script, the same on every run, so a drill recorded of one demo can be
rehearsed on the next, with orders given by hand.

What was looked at is what the service shows: both segments, and the notices in force. Every step is told as played, expected, or left
to the service.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from console.asking import ask
from market.facts import CommandGiven
from market.rules import MarketRules
from market.units import NS_PER_S
from market.view import MarketView
from streams.drillcheck import Check, Seen, checked
from streams.drillexpect import Expect
from streams.drillfacts import FactMaker
from streams.drillfile import Scenario, Step, played

__all__ = ["LiveStep", "rehearse"]

_LOOKED_AT: Final = ("RT", "DA", "notices")
"""Keys of an expectation that a running service shows."""

_NAP_S: Final = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveStep:
    """What became of one step.

    Attributes:
        at_ns: event time of the service.
        how: ``sent`` (an order), ``looked at``, ``not looked at``, or ``left to the service``.
        what: the kind of step, and of it what was not looked at.
        checks: what was looked at.
    """

    number: int
    at_ns: int
    how: str
    what: str
    checks: tuple[Check, ...] = ()


def rehearse(scenario: Scenario, rules: MarketRules, url: str, *, patience_s: float) -> Iterator[LiveStep]:
    """Play the people's part of a drill on a running service.

    Where the drill's instants still lie ahead of the service, they are kept; otherwise the drill begins now.

    Args:
        url: of the service.
        patience_s: event time an expectation may be late.

    Yields:
        Each step once its instant has come.
    """
    base = url.rstrip("/")
    view = _view(base)
    shift_ns = 0 if scenario.start >= view.ts_event_ns else view.ts_event_ns - scenario.start
    maker = FactMaker(rules)
    for number, step in played(scenario, rules):
        due_ns = step.at + shift_ns
        if step.expect is not None:
            yield _looked_at(base, number, step.expect, due_ns, int(patience_s * NS_PER_S), rules)
            continue
        orders = [fact for fact in maker.facts(step) if isinstance(fact, CommandGiven)]
        if not orders:
            yield LiveStep(number=number, at_ns=due_ns, how="left to the service", what=step.kind)
            continue
        view = _waited(base, due_ns)
        for order in orders:
            _send(base, order)
        yield LiveStep(number=number, at_ns=view.ts_event_ns, how="sent", what=_named(step, orders))


def _named(step: Step, orders: list[CommandGiven]) -> str:
    return f"{step.kind}: {', '.join(f'{order.action} by {order.by} ({order.role})' for order in orders)}"


def _view(base: str) -> MarketView:
    return msgspec.convert(ask(f"{base}/api/breaker"), MarketView)


def _waited(base: str, due_ns: int) -> MarketView:
    """Wait until the service's event time has reached an instant."""
    while (view := _view(base)).ts_event_ns < due_ns:
        time.sleep(_NAP_S)
    return view


def _send(base: str, order: CommandGiven) -> None:
    # Ids of a drill repeat from one rehearsal to the next; a service carries an id out once.
    body: dict[str, Any] = {
        "command_id": f"{order.command_id}-{secrets.token_hex(6)}",
        "by": order.by,
        "role": order.role,
        "action": order.action,
        "args": dict(order.args),
    }
    ask(f"{base}/api/commands", body)


def _looked_at(base: str, number: int, expect: Expect, due_ns: int, patience_ns: int, rules: MarketRules) -> LiveStep:
    shown = Expect.model_construct(_fields_set=expect.model_fields_set, **{**expect.__dict__, **dict.fromkeys(_others(expect))})
    view = _waited(base, due_ns)
    while True:
        seen = Seen(view=view, decisions=(), prices={}, alarms=set(), last_command="", zone=rules.zone)
        checks = tuple(checked(number, view.ts_event_ns, shown, seen))
        if all(check.ok for check in checks) or view.ts_event_ns >= due_ns + patience_ns:
            break
        time.sleep(_NAP_S)
        view = _view(base)
    what = f"not shown by a service, so not looked at: {', '.join(_others(expect))}" if _others(expect) else ""
    how = "looked at" if checks else "not looked at"
    return LiveStep(number=number, at_ns=view.ts_event_ns, how=how, what=what, checks=checks)


def _others(expect: Expect) -> list[str]:
    return sorted(name for name in expect.model_fields_set if name not in _LOOKED_AT)
