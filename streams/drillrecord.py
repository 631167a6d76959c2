"""A drill of what a service lived through: recorded facts as steps, what was decided as expectations.

What came out of the recording is what the drill expects, so it passes on the release that recorded it and says on any other what would
be decided differently. Ticks are left out, since whoever plays a drill sends them. An expectation stands at each change of a segment's
state; at the end stand the notices, every kind of decision with its count, and every price.

Deliberately absent: reading a log (:mod:`streams.recordings`), and knowing whether the drill passes, which is found by playing it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Any, Final
from zoneinfo import ZoneInfo

from market import facts
from market.decisions import Decision
from market.errors import ConfigError, Problem
from market.facts import Fact, Segment
from market.prices import PriceInForce
from market.rules import GUANGDONG_2023, MarketRules
from market.sessionfacts import LoginReported, OrderReported, ParticipantsEntitled, SessionReported
from market.units import civil_day

__all__ = ["Recorded", "drill_text"]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_PLAIN: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_Step = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """A span of a recording.

    Attributes:
        facts: every fact, in the order of its topic; the first says when the drill starts.
        decisions: what was decided after them, in order; repeats are passed over.
        prices: what was in force, in order of writing.
        grid: of the network, as a drill file has it (:class:`streams.drillfile.Grid`); empty for none.
        rules: that held.
    """

    facts: Sequence[Fact]
    decisions: Sequence[Decision]
    prices: Sequence[PriceInForce]
    grid: Mapping[str, Any]
    rules: MarketRules
    end_ns: int = field(default=0)


def drill_text(name: str, title: str, recorded: Recorded) -> str:
    """Write a recording as a drill file.

    Raises:
        ConfigError: nothing was recorded, or something a drill has no step for.
    """
    if not recorded.facts:
        raise ConfigError([Problem("recording", "holds no facts between these instants; give others with --from and --to")])
    zone, start_ns = recorded.rules.zone, recorded.facts[0].ts_event_ns
    begin = f"grid: {_flow({'silent': True, **recorded.grid})}\n" if recorded.grid else ""
    lines = [
        f"id: {json.dumps(name, ensure_ascii=False)}",
        f"title: {json.dumps(title, ensure_ascii=False)}",
        f"rules: {_flow(_overrides(recorded.rules))}",
        f"{begin}calendar: {{rt: open, da: open}}",
        f"start: {_quoted(_instant(start_ns, zone))}",
        "steps:",
    ]
    steps = _merged(_happened(recorded.facts, recorded.rules), _expected(recorded, zone))
    lines += [f"- {_flow({'at': _instant(at_ns, zone), **step})}" for at_ns, step in steps]
    return "\n".join(lines) + "\n"


def _merged(happened: Sequence[tuple[int, _Step]], expected: Sequence[tuple[int, _Step]]) -> list[tuple[int, _Step]]:
    """Put each expectation behind everything that happened up to its instant."""
    return sorted([*happened, *expected], key=lambda step: (step[0], "expect" in step[1]))


def _happened(taken: Iterable[Fact], rules: MarketRules) -> list[tuple[int, _Step]]:
    at_ns, steps, given = 0, list[tuple[int, _Step]](), set[str]()
    clocks_apart = False
    for fact in taken:
        at_ns = max(at_ns, fact.ts_event_ns)
        if isinstance(fact, facts.ClockCompared):
            # Only what changes anything: a comparison a minute would drown the rest.
            apart, before = abs(fact.wall_s - fact.monotonic_s) > rules.clock_jump_s, clocks_apart
            clocks_apart = apart
            if not apart and not before:
                continue
        if isinstance(fact, facts.CommandGiven):
            if fact.command_id in given:
                continue
            given.add(fact.command_id)
        if (step := _step(fact, rules.zone)) is not None:
            steps.append((at_ns, step))
    return steps


def _step(fact: Fact, zone: str) -> _Step | None:
    """Return the step that stands for a fact; None for one that needs none."""
    if isinstance(fact, facts.ClearedAgain):
        at = _instant(fact.ts_event_ns, zone)
        raise ConfigError([Problem("recording", f"an interval was cleared again at {at}; a drill has no step for that: leave it out")])
    if isinstance(fact, facts.Ticked) or (isinstance(fact, facts.DayAheadExpected) and fact.p50_ns is None):
        return None
    kind, write = _WRITERS[type(fact)]
    return {
        kind: {key: value for key, value in write(fact, lambda ns: _instant(ns, zone), zone).items() if value not in (None, "", [], {})}
    }


_Write = Callable[[Any, Callable[[int], str], str], _Step]


def _clearing(fact: facts.ClearingReported, at: Callable[[int], str], zone: str) -> _Step:
    real_time = fact.segment is Segment.RT
    return {
        "segment": fact.segment,
        "interval": at(fact.interval_start_ns) if real_time else None,
        "operating_day": None if real_time else civil_day(fact.interval_start_ns, zone),
        "outcome": fact.status,
        "run_type": None if fact.run_type is facts.RunType.PRODUCTION else fact.run_type,
        "version": None if fact.version == 1 else fact.version,
        "completed_at": at(fact.completed_at_ns),
        "reason": fact.reason,
        "review": list(fact.review),
        "price": list(fact.price_cny_per_mwh),
    }


def _switch(fact: facts.SwitchReported, at: Callable[[int], str], _zone: str) -> _Step:
    return {
        **_point(fact, at),
        "element": fact.element,
        "status": fact.status,
        "end": fact.end,
        "initial": fact.initial or None,
        "history": fact.history or None,
    }


def _point(fact: facts.SwitchReported | facts.FlowReported, at: Callable[[int], str]) -> _Step:
    return {"quality": fact.quality, "source_at": at(fact.ts_source_ns)}


def _session(fact: SessionReported, at: Callable[[int], str], _zone: str) -> _Step:
    opens, closes = (None if ns is None else at(ns) for ns in (fact.opens_ns, fact.closes_ns))
    return {"name": fact.session, "event": fact.event, "opens": opens, "closes": closes, "product": fact.product}


def _order(fact: OrderReported, _at: Callable[[int], str], _zone: str) -> _Step:
    told = {"session": fact.session, "participant": fact.participant, "order": fact.order, "result": fact.result}
    return told | {"withdrawal": fact.withdrawal or None}


def _eta(fact: facts.DayAheadExpected, at: Callable[[int], str], zone: str) -> _Step:
    assert fact.p50_ns is not None, "an estimate without an instant is no step"
    p90 = None if fact.p90_ns is None else at(fact.p90_ns)
    return {"operating_day": civil_day(fact.interval_start_ns, zone), "eta": at(fact.p50_ns), "source": "statistical", "p90": p90}


def _estimate(fact: facts.EstimateReported, _at: Callable[[int], str], _zone: str) -> _Step:
    told = {"suspects": list(fact.suspects), "doubted": list(fact.doubted)}
    return told | {"chi_square": fact.chi_square, "limit": fact.limit, "observable_pct": fact.observable_pct}


def _control(fact: facts.ControlReported, at: Callable[[int], str], _zone: str) -> _Step:
    return {"site": fact.site, "asserted": fact.asserted, "source_at": at(fact.ts_source_ns), "initial": fact.initial or None}


_WRITERS: Final[Mapping[type[Any], tuple[str, _Write]]] = {
    facts.ClearingReported: ("clearing", _clearing),
    facts.DayAheadExpected: ("da_eta", _eta),
    facts.SwitchReported: ("switch", _switch),
    facts.FlowReported: (
        "flow",
        lambda f, at, _: {
            **_point(f, at),
            "element": f.element,
            "from_pct": f.from_pct,
            "to_pct": f.to_pct,
            "history": f.history or None,
        },
    ),
    facts.LoadReported: ("load", lambda f, at, _: {"area": f.area, "mw": f.load_mw}),
    facts.ControlReported: ("control", _control),
    facts.SourceReported: ("source", lambda f, at, _: {"name": f.name, "up": f.up}),
    facts.ClockCompared: ("clock", lambda f, at, _: {"wall_s": f.wall_s, "monotonic_s": f.monotonic_s}),
    facts.CalendarClosed: ("calendar", lambda f, at, _: {"segment": f.segment, "closed": {"from": at(f.from_ns), "to": at(f.to_ns)}}),
    facts.PermitGranted: ("permit", lambda f, at, _: {"element": f.element, "from": at(f.from_ns), "to": at(f.to_ns)}),
    facts.ExercisePlanned: ("exercise", lambda f, at, _: {"from": at(f.from_ns), "to": at(f.to_ns)}),
    facts.VoltageReported: ("voltage", lambda f, at, _: {"bus": f.bus, "pu": f.pu, "quality": f.quality}),
    facts.TripSignalled: ("trip_signal", lambda f, at, _: {"element": f.element}),
    facts.InfeedReported: ("infeed", lambda f, at, _: {"infeed": f.infeed, "mw": f.mw, "quality": f.quality}),
    facts.InterfaceLimitReported: ("interface_limit", lambda f, at, _: {"interface": f.interface, "mw": f.limit_mw}),
    facts.EstimateReported: ("estimate", _estimate),
    facts.WarningReported: ("warning", lambda f, at, _: {"id": f.warning, "active": f.active, "text": f.text}),
    ParticipantsEntitled: ("session", lambda f, at, _: {"name": f.session, "entitled": f.participants}),
    SessionReported: ("session", _session),
    LoginReported: ("login", lambda f, at, _: {"session": f.session, "participant": f.participant, "result": f.result}),
    OrderReported: ("order", _order),
    facts.CommandGiven: ("command", lambda f, at, _: {"by": f.by, "role": f.role, "action": f.action, "args": dict(f.args)}),
}
"""Fact → the kind of step, and what it says; nothing that is None or empty is written."""


def _expected(recorded: Recorded, zone: str) -> list[tuple[int, _Step]]:
    decisions = list({decision.seq: decision for decision in recorded.decisions}.values())
    expected: dict[int, _Step] = {}
    for decision in decisions:
        if decision.kind == "Transition":
            expected.setdefault(decision.ts_event_ns, {})[decision.body["segment"]] = {"state": decision.body["after"]}
    steps = [(at_ns, {"expect": states}) for at_ns, states in sorted(expected.items())]
    kinds = sorted({decision.kind for decision in decisions})
    last: _Step = {"announcements": sum(decision.kind == "Announcement" for decision in decisions)}
    last["record"] = [{"kind": kind, "count": sum(decision.kind == kind for decision in decisions)} for kind in kinds]
    in_force = {(price.segment, price.interval_start_ns): price for price in recorded.prices}
    last["regime"] = _spans(in_force, lambda price: str(price.regime), recorded.rules, zone)
    last["price"] = _spans(in_force, lambda price: price.price_cny_per_mwh, recorded.rules, zone)
    last["audit_ok"] = True
    end_ns = max(recorded.end_ns, recorded.facts[-1].ts_event_ns, *(at_ns for at_ns, _ in steps), 0)
    return [*steps, (end_ns, {"expect": {key: value for key, value in last.items() if value not in ([], {})}})]


def _spans(
    in_force: Mapping[tuple[Segment, int], PriceInForce], value_of: Callable[[PriceInForce], object], rules: MarketRules, zone: str
) -> dict[str, object]:
    """Write what holds for real-time intervals in a row as one span."""
    step_ns = rules.rt_interval_ns
    starts = sorted(start_ns for segment, start_ns in in_force if segment is Segment.RT)
    spans = {}
    for _, row in groupby(enumerate(starts), lambda at: (at[1] - at[0] * step_ns, json.dumps(value_of(in_force[Segment.RT, at[1]])))):
        held = [start_ns for _, start_ns in row]
        key = f"{_instant(held[0], zone)}/{_instant(held[-1] + step_ns, zone)}"
        spans[key] = value_of(in_force[Segment.RT, held[0]])
    return spans


def _overrides(rules: MarketRules) -> dict[str, Any]:
    """Return what makes the shipped rule set these rules; its revision with it, so that the decisions name the same."""
    return _difference(asdict(GUANGDONG_2023), asdict(rules))


def _difference(shipped: dict[str, Any], held: dict[str, Any]) -> dict[str, Any]:
    changed: dict[str, Any] = {}
    for name, value in held.items():
        if isinstance(value, dict):
            changed |= {name: inner} if (inner := _difference(shipped[name], value)) else {}
        elif value != shipped[name]:
            changed[name] = list(value) if isinstance(value, tuple) else value
    return changed


def _instant(ns: int, zone: str) -> str:
    """Write an instant to the microsecond, which is what a drill reads back."""
    return (_EPOCH + timedelta(microseconds=ns // 1_000)).astimezone(ZoneInfo(zone)).isoformat()


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _flow(value: Any) -> str:
    """Write a value as YAML reads it on one line; text always in quotes."""
    if isinstance(value, Mapping):
        keys = {key: key if _PLAIN.fullmatch(key) else _quoted(key) for key in value}
        return "{" + ", ".join(f"{keys[key]}: {_flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_flow(item) for item in value) + "]"
    return json.dumps(value, ensure_ascii=False)
