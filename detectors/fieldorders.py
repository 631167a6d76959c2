"""What people say of the field: permits, planned exercises, closed calendars, warnings.

Each order is answered with the facts it stands for, which are then taken in like any other, or with a refusal that names the remedy.
Who may order what, and that nothing is missing, was checked before (:mod:`market.commands`). An order is never back-dated to undo what
the clocks have found: what lies wholly in the past is refused, and a calendar is closed from now on at the earliest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from detectors.topologywatch import TopologyWatch
from market.commands import ORDERS, refused
from market.decisions import Refused
from market.errors import UnitError
from market.facts import CalendarClosed, CommandGiven, ExercisePlanned, Fact, PermitGranted, PermitRevoked, Segment, WarningReported
from market.rules import MarketRules
from market.topology import Topology
from market.units import instant_ns, instant_text

__all__ = ["ordered"]

_YES: Final = {"yes": True, "no": False}
_NAMED_MAX: Final = 6

Answer = Refused | tuple[Fact, ...]


def ordered(watch: TopologyWatch, command: CommandGiven, now_ns: int, rules: MarketRules, grid: Topology) -> Answer:
    """Return the facts that an order stands for, or why it is refused.

    Args:
        watch: what the detector of topology changes knows: the permits.
        command: of an owner FIELD, as :func:`market.commands.refusal` let it pass.
        now_ns: when it is given; the facts are known from then on.
        grid: the network model, for the names.
    """
    return _ORDERS[command.action](watch, command, now_ns, rules, grid)


def _span(command: CommandGiven, now_ns: int, rules: MarketRules) -> tuple[int, int] | Refused:
    """Read the span of an order; some of it must be ahead."""
    try:
        from_ns, to_ns = instant_ns(command.args["from"]), instant_ns(command.args["to"])
    except UnitError as exc:
        return _refused(command, str(exc))
    if from_ns >= to_ns:
        return _refused(command, "it must end after it begins; give from=… before to=…")
    if to_ns <= now_ns:
        return _refused(command, f"it lies in the past; it is {instant_text(now_ns, rules.zone)} now, give to=… after that")
    return from_ns, to_ns


def _refused(command: CommandGiven, why: str) -> Refused:
    return refused(command, ORDERS[command.action].article, why)


def _element(command: CommandGiven, grid: Topology) -> str | Refused:
    name = command.args["element"]
    if name in grid.elements or name in grid.infeeds:
        return name
    alike = sorted(each for each in (*grid.elements, *grid.infeeds) if each.casefold().startswith(name[:2].casefold()))[:_NAMED_MAX]
    hint = f"; there are {', '.join(alike)}" if alike else ""
    return _refused(command, f"{name!r} is no line, transformer or infeed of the network model{hint}")


def _grant_permit(_watch: TopologyWatch, command: CommandGiven, now_ns: int, rules: MarketRules, grid: Topology) -> Answer:
    name = _element(command, grid)
    if isinstance(name, Refused):
        return name
    span = _span(command, now_ns, rules)
    if isinstance(span, Refused):
        return span
    return (PermitGranted(ts_event_ns=now_ns, element=name, from_ns=span[0], to_ns=span[1]),)


def _revoke_permit(watch: TopologyWatch, command: CommandGiven, now_ns: int, rules: MarketRules, grid: Topology) -> Answer:
    name = _element(command, grid)
    if isinstance(name, Refused):
        return name
    span = _span(command, now_ns, rules)
    if isinstance(span, Refused):
        return span
    if (name, *span) not in watch.permits:
        given = [f"{instant_text(a, rules.zone)} to {instant_text(b, rules.zone)}" for element, a, b in watch.permits if element == name]
        return _refused(command, f"there is no such permit for {name}; there {'is ' + ', '.join(given) if given else 'is none'}")
    return (PermitRevoked(ts_event_ns=now_ns, element=name, from_ns=span[0], to_ns=span[1]),)


def _plan_exercise(_watch: TopologyWatch, command: CommandGiven, now_ns: int, rules: MarketRules, _grid: Topology) -> Answer:
    span = _span(command, now_ns, rules)
    if isinstance(span, Refused):
        return span
    return (ExercisePlanned(ts_event_ns=now_ns, from_ns=span[0], to_ns=span[1]),)


def _close_calendar(_watch: TopologyWatch, command: CommandGiven, now_ns: int, rules: MarketRules, _grid: Topology) -> Answer:
    segment = command.args.get("segment", Segment.RT)
    if segment not in tuple(Segment):
        return _refused(command, f"{segment!r} is no segment; give segment={' or segment='.join(Segment)}")
    span = _span(command, now_ns, rules)
    if isinstance(span, Refused):
        return span
    if span[0] < now_ns:
        return _refused(
            command, f"a calendar is not closed for the past; it is {instant_text(now_ns, rules.zone)} now, give a later from=…"
        )
    return (CalendarClosed(ts_event_ns=now_ns, segment=Segment(segment), from_ns=span[0], to_ns=span[1]),)


def _set_warning(_watch: TopologyWatch, command: CommandGiven, now_ns: int, _rules: MarketRules, _grid: Topology) -> Answer:
    active = _YES.get(command.args["active"])
    if active is None:
        return _refused(command, f"active={command.args['active']} is neither yes nor no; give one of them")
    text = command.args.get("text", "")
    return (WarningReported(ts_event_ns=now_ns, warning=command.args["warning"], active=active, text=text),)


_ORDERS: Final[Mapping[str, Callable[[TopologyWatch, CommandGiven, int, MarketRules, Topology], Answer]]] = {
    "GRANT_PERMIT": _grant_permit,
    "REVOKE_PERMIT": _revoke_permit,
    "PLAN_EXERCISE": _plan_exercise,
    "CLOSE_CALENDAR": _close_calendar,
    "SET_WARNING": _set_warning,
}
