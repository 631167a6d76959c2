"""To clear a past interval again and publish the result as a new revision: who may order it, and from what it is cleared (Art. 22).

A result that came of a fault of the clearing, or of boundary data that were wrong, is corrected by clearing the interval's own frozen
inputs again, with the values that were wrong put right. What was frozen is the record: corrections are told value by value and are
always made to what was frozen, never to an earlier correction, so that an order says by itself what it is cleared from. It needs the
approval of the government department and of the regulator; without both nothing is cleared, and nothing published.

Deliberately absent: what becomes of prices (:mod:`market.pricebook`), and the market breaker, which a later result of an interval that
is over does not move.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from math import isfinite
from typing import Any, Final

from market.decisions import Refused
from market.facts import CommandGiven
from market.outcomes import ClearingInputs, InputQuality
from market.pricebook import REVISED_NS
from market.rules import MarketRules
from market.units import NS_PER_H, instant_text

__all__ = ["ACTION", "ARTICLE", "ClearAgain", "Corrections", "corrected", "corrections_of", "judged"]

ACTION: Final = "CLEAR_AGAIN"
ARTICLE: Final = "Art. 22"
_ROLES: Final = ("MO", "TRADING", "DISPATCH")
"""Both market operators; the authorities approve and do not clear."""
_APPROVALS: Final = {"GOV": "approval_gov", "REG": "approval_reg"}
"""Who must approve → the argument that holds the reference of the approval."""
_VALUES: Final = ("load_mw", "output_mw", "available_mw")
_LISTS: Final = ("out_of_service", "units_off")


@dataclass(frozen=True, slots=True, kw_only=True)
class Corrections:
    """Values that take the place of frozen ones.

    Attributes:
        load_mw, output_mw, available_mw: by bus or unit, MW, with the signs of :class:`market.outcomes.ClearingInputs`; what is not named
            stays as it was frozen.
        out_of_service, units_off: the whole list, sorted; None for the one that was frozen.
    """

    load_mw: dict[str, float] = field(default_factory=dict)
    output_mw: dict[str, float] = field(default_factory=dict)
    available_mw: dict[str, float] = field(default_factory=dict)
    out_of_service: tuple[str, ...] | None = None
    units_off: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClearAgain:
    """An interval is to be cleared again, by an order that was found in order.

    Attributes:
        ts_event_ns: when it was ordered.
        approvals: reference of each approval, by who gave it.
    """

    ts_event_ns: int
    command_id: str
    by: str
    role: str
    interval_start_ns: int
    reason: str
    approvals: dict[str, str] = field(default_factory=dict)
    corrections: Corrections = field(default_factory=Corrections)


def judged(command: CommandGiven, now_ns: int, rules: MarketRules) -> ClearAgain | Refused:
    """Return what an order asks for, or the refusal that names the rule.

    Args:
        command: of the action :data:`ACTION`; ``args`` are ``interval_start_ns``, ``reason``, ``approval_gov``, ``approval_reg`` and
            ``corrections`` (:func:`corrections_of`), which may be missing.
        now_ns: event time of the breaker.
        rules: the rule set in force.
    """

    def refused(rule: str, why: str) -> Refused:
        return Refused(command_id=command.command_id, by=command.by, role=command.role, action=command.action, rule=rule, why=why)

    if command.role not in _ROLES:
        why = f"{ACTION} belongs to the market operators ({', '.join(_ROLES)}); {command.by} acts as {command.role}"
        return refused(ARTICLE, why)
    given = command.args.get("interval_start_ns", "")
    if not (given.isascii() and given.isdigit() and len(given) <= len(str(2**63))):
        return refused("policy", f"interval_start_ns {given!r} is no instant; give the start of the interval in ns since 1970")
    start_ns = int(given)
    if start_ns > now_ns:
        return refused("policy", "the interval has not begun; its first clearing is still to come")
    if start_ns <= now_ns - REVISED_NS:
        what = f"the interval {instant_text(start_ns, rules.zone)} began more than {REVISED_NS // NS_PER_H} h ago"
        return refused("policy", f"{what}: neither its inputs nor its price are kept open so long; correct it in settlement")
    if start_ns % rules.rt_interval_ns:
        what = f"{instant_text(start_ns, rules.zone)} is not the start of a {rules.rt_interval_min}-minute interval"
        return refused("policy", f"{what}; name the interval by its start")
    reason = command.args.get("reason", "").strip()
    if not reason:
        return refused("policy", "an order to clear again needs a reason; give reason=…")
    approvals = {who: command.args.get(name, "").strip() for who, name in _APPROVALS.items()}
    if pending := [who for who, reference in approvals.items() if not reference]:
        names = ", ".join(f"{_APPROVALS[who]}=…" for who in pending)
        return refused(ARTICLE, f"a new result needs the approval of {' and '.join(pending)}; give its reference: {names}")
    try:
        corrections = corrections_of(command.args.get("corrections") or "{}")
    except ValueError as exc:
        return refused("policy", f"the corrections cannot be used: {exc}")
    return ClearAgain(
        ts_event_ns=now_ns,
        command_id=command.command_id,
        by=command.by,
        role=command.role,
        interval_start_ns=start_ns,
        reason=reason,
        approvals=approvals,
        corrections=corrections,
    )


def corrections_of(text: str) -> Corrections:
    """Read corrections from a JSON object; its names are those of :class:`Corrections`.

    Raises:
        ValueError: naming what cannot be used.

    >>> corrections_of('{"load_mw": {"101": 96.5}}').load_mw
    {'101': 96.5}
    """
    try:
        given = json.loads(text)
    except (ValueError, RecursionError) as exc:
        raise ValueError(f"no JSON: {exc}") from exc
    if not isinstance(given, dict):
        raise ValueError(f"an object with {', '.join((*_VALUES, *_LISTS))} is wanted")
    if strangers := sorted(given.keys() - {*_VALUES, *_LISTS}):
        raise ValueError(f"unknown: {', '.join(strangers)}; known: {', '.join((*_VALUES, *_LISTS))}")
    lists = {name: _names(name, given[name]) for name in _LISTS if given.get(name) is not None}
    return Corrections(**{name: _values(name, given.get(name) or {}) for name in _VALUES}, **lists)  # type: ignore[arg-type]


def _values(name: str, given: Any) -> dict[str, float]:
    if not isinstance(given, dict):
        raise ValueError(f"{name}: MW by name are wanted")
    for each, mw in given.items():
        # A truth value is a number to Python, and no power to anybody.
        if isinstance(mw, bool) or not isinstance(mw, int | float) or not isfinite(mw):
            raise ValueError(f"{name} {each}: {mw!r} is no number of MW")
    return {each: float(given[each]) for each in sorted(given)}


def _names(name: str, given: Any) -> tuple[str, ...]:
    if not isinstance(given, list) or not all(isinstance(each, str) for each in given):
        raise ValueError(f"{name}: a list of names is wanted")
    return tuple(sorted(set(given)))


def corrected(inputs: ClearingInputs, corrections: Corrections) -> tuple[ClearingInputs, tuple[str, ...]]:
    """Return frozen inputs with the corrections made, and each change as a person reads it.

    A value that people gave is not stale. What the inputs say of their quality is told anew for the units that were corrected; sums of
    what was measured move by as much as was corrected. A correction to what was frozen anyway changes nothing and is not told.
    """
    told: list[str] = []
    changed: dict[str, Any] = {}
    for name in _VALUES:
        before: Mapping[str, float] = getattr(inputs, name)
        wanted: Mapping[str, float] = getattr(corrections, name)
        told.extend(_told(name, before, wanted))
        changed[name] = {**before, **wanted}
    for name in _LISTS:
        frozen, whole = set(getattr(inputs, name)), getattr(corrections, name)
        if whole is None:
            continue
        told += [f"{name}: {each} added" for each in whole if each not in frozen]
        told += [f"{name}: {each} removed" for each in sorted(frozen - set(whole))]
        changed[name] = tuple(whole)
    given = set(corrections.output_mw)
    stale = () if inputs.quality is None else tuple(unit for unit in inputs.quality.stale_units if unit in given)
    quality = None if inputs.quality is None else _quality(inputs, inputs.quality, corrections)
    stale_points = max(inputs.stale_points - len(stale), 0)
    return replace(inputs, **changed, quality=quality, stale_points=stale_points), tuple(told)


def _told(name: str, before: Mapping[str, float], wanted: Mapping[str, float]) -> Iterator[str]:
    for each, mw in sorted(wanted.items()):
        if each not in before:
            yield f"{name} {each}: not known, now {mw:g} MW"
        elif before[each] != mw:
            yield f"{name} {each}: {before[each]:g}, now {mw:g} MW"


def _quality(inputs: ClearingInputs, quality: InputQuality, corrections: Corrections) -> InputQuality:
    given = corrections.output_mw

    def without(units: tuple[str, ...], sum_mw: float) -> tuple[tuple[str, ...], float]:
        theirs_mw = sum(abs(inputs.output_mw.get(unit, 0.0)) for unit in units if unit in given)
        return tuple(unit for unit in units if unit not in given), max(sum_mw - theirs_mw, 0.0)

    stale_units, stale_mw = without(quality.stale_units, quality.stale_output_mw)
    replaced_units, replaced_mw = without(quality.replaced_units, quality.replaced_output_mw)
    moved_mw = sum(mw - inputs.output_mw.get(unit, 0.0) for unit, mw in given.items())
    drawn_mw = sum(mw - inputs.load_mw.get(bus, 0.0) for bus, mw in corrections.load_mw.items())
    grown_mw = sum(abs(mw) - abs(inputs.output_mw.get(unit, 0.0)) for unit, mw in given.items())
    return replace(
        quality,
        output_mw=max(quality.output_mw + grown_mw, 0.0),
        stale_units=stale_units,
        stale_output_mw=stale_mw,
        replaced_units=replaced_units,
        replaced_output_mw=replaced_mw,
        generation_mw=None if quality.generation_mw is None else quality.generation_mw + moved_mw,
        load_mw=None if quality.load_mw is None else quality.load_mw + drawn_mw,
    )
