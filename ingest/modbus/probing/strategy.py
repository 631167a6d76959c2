"""What is asked of an unknown device, after what, and when is it enough?

First who is there; then, of each unit, what somebody expects of it, what it calls itself, which registers can be read, whether they are
SunSpec models, and what the registers say a few times, some seconds apart; last, where requests can be told apart, how many may be on their
way. What is most telling comes first, so that a look that is cut short has told most.

Values in, values out: no clock, no connection.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from ingest.devices import Kind, Order
from ingest.modbus.identify import BASIC, OBJECT_NAMES, REGULAR
from ingest.modbus.probing.asks import Asker, Asking, Pause, Read, Said, Spent
from ingest.modbus.probing.expected import Expectation, agreeing, look_for
from ingest.modbus.probing.findings import BaseFound, Findings, UnitFindings
from ingest.modbus.probing.models import find_models
from ingest.modbus.probing.orders import Certainty, OrderFound, judge_orders, numbers_in
from ingest.modbus.probing.ranges import Table, anchors, survey
from ingest.modbus.probing.units import find_units

__all__ = ["UNITS_MAX", "ProbePlan", "described", "examine", "usual_units"]

UNITS_MAX: Final = 8
"""Units behind one address that are looked at closely."""

_BURST: Final = 40
_BLOCKS_READ_MAX: Final = 8
"""Readings of one table when it is watched."""

_IDENTIFICATIONS_MAX: Final = 8
_REGISTERS: Final = (Kind.HOLDING, Kind.INPUT)
_INPUT_AT: Final = 1 << 17
"""Where input registers are put beside holding registers, so that the two never touch."""


def usual_units(*, is_serial: bool) -> tuple[int, ...]:
    """Return the unit ids that are tried where nobody says which: on a line no 0, which speaks to all and is answered by none."""
    return tuple(range(1, 33)) if is_serial else (1, 255, 0, *range(2, 17), 247)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbePlan:
    """What a look may do.

    Attributes:
        units: unit ids that are tried, in this order.
        scan: addresses to look at; None for those at which devices often begin something.
        requests_max: requests after which it ends, whatever is not known then.
        readings: how often the registers are read to see what moves.
        pause_s: wall seconds between these.
        pipelines: whether several requests may be on their way at all.
    """

    units: tuple[int, ...]
    tables: tuple[Kind, ...] = (Kind.HOLDING, Kind.INPUT, Kind.COIL, Kind.DISCRETE)
    scan: range | None = None
    expectations: tuple[Expectation, ...] = ()
    requests_max: int = 1000
    readings: int = 3
    pause_s: float = 1.5
    pipelines: bool = True


def described(plan: ProbePlan) -> list[str]:
    """Say what a look would do, step by step."""
    at = anchors(plan.scan)
    steps = [f"read one register of each of {len(plan.units)} unit ids ({_run(plan.units)}); one that is not there costs a timeout"]
    if plan.expectations:
        steps.append(f"look for {', '.join(each.text for each in plan.expectations)}")
    steps.append("ask what the device calls itself (function 43/14)")
    steps.append(f"read {', '.join(plan.tables)} at {len(at)} addresses from {at[0]} to {at[-1]}, and measure what answers")
    if Kind.HOLDING in plan.tables:
        steps.append("look for the SunSpec marker, and go through its models")
    if set(plan.tables) & set(_REGISTERS):
        steps.append(f"read what answers {plan.readings} times, {plan.pause_s:g} s apart, to see what moves and in which order it stands")
    if plan.pipelines:
        steps.append(f"send {_BURST} reads at once over one connection, to see how many it bears")
    steps.append(f"all of that with at most {plan.requests_max} requests, on at most {UNITS_MAX} units; nothing is ever written")
    return steps


def examine(plan: ProbePlan, findings: Findings) -> Asking[None]:
    """Look at an address; ``findings`` is filled in as it goes."""
    asker = Asker(plan.requests_max)
    try:
        yield from find_units(asker, plan.units, findings.found)
        looked, findings.unlooked = findings.found.answering[:UNITS_MAX], tuple(findings.found.answering[UNITS_MAX:])
        for unit in looked:
            about = UnitFindings(unit)
            findings.units.append(about)
            yield from _look_at(asker, plan, about)
        readable = next(_readable(findings), None)
        if plan.pipelines and readable is not None:
            findings.depth = yield from asker.burst(readable, _BURST)
    except (Spent, GeneratorExit):
        # Out of requests, or whoever drives it has had enough; what was found stands.
        findings.cut_short = True
    finally:
        findings.asked = asker.asked


def _readable(findings: Findings) -> Iterator[Read]:
    for about in findings.units:
        for kind, table in about.tables.items():
            for extent in table.extents:
                yield Read(about.unit, kind, extent.start, table.step)


def _look_at(asker: Asker, plan: ProbePlan, about: UnitFindings) -> Asking[None]:
    try:
        for expectation in plan.expectations:
            about.matches[expectation.text] = yield from look_for(asker, about.unit, expectation)
        yield from _identify(asker, about)
        at = anchors(plan.scan)
        for kind in plan.tables:
            table = about.tables[kind] = Table(kind)
            yield from survey(asker, about.unit, table, at)
        holding = about.tables.get(Kind.HOLDING)
        if holding is not None and holding.verdict in ("answers", "refuses"):
            about.sunspec = yield from find_models(asker, about.unit)
        yield from _watch(asker, plan, about)
    finally:
        _conclude(about)


def _identify(asker: Asker, about: UnitFindings) -> Asking[None]:
    category, following = BASIC, 0
    for _ in range(_IDENTIFICATIONS_MAX):
        reply = yield from asker.identify(about.unit, category, following)
        said = reply.identification if isinstance(reply, Said) else None
        if said is None:
            return
        about.identification |= {OBJECT_NAMES.get(number, f"object_{number}"): text for number, text in said.objects if text}
        if said.next_object is not None and said.next_object > following:
            following = said.next_object
        elif category == BASIC and said.conformity & 0x7F >= REGULAR:
            category, following = REGULAR, 0
        else:
            return


def _watch(asker: Asker, plan: ProbePlan, about: UnitFindings) -> Asking[None]:
    """Read what can be read a few times, and judge by it in which order numbers stand."""
    blocks = [(kind, start, count) for kind in _REGISTERS if kind in about.tables for start, count in _blocks(about.tables[kind])]
    for number in range(plan.readings if blocks else 0):
        if number:
            yield Pause(plan.pause_s)
        words: dict[Kind, dict[int, int]] = {kind: {} for kind in _REGISTERS}
        for kind, start, count in blocks:
            reply = yield from asker.read(about.unit, kind, start, count)
            if isinstance(reply, Said):
                words[kind] |= {start + k: int.from_bytes(reply.data[2 * k : 2 * k + 2], "big") for k in range(count)}
        about.readings.append(words)


def _blocks(table: Table) -> list[tuple[int, int]]:
    """Return start and length of the readings that cover a table, as far as it is watched."""
    blocks = [
        (start, min(table.longest, extent.end - start))
        for extent in table.extents
        for start in range(extent.start, extent.end, max(table.longest, 1))
    ]
    return blocks[:_BLOCKS_READ_MAX]


def _conclude(about: UnitFindings) -> None:
    """Say what is known of order and base: what somebody expected, and was found, tells more than what the registers seem to say."""
    met = [found for found in about.matches.values() if found]
    orders, bases = agreeing(met) if met else (frozenset[Order](), frozenset[int]())
    said = ", ".join(text for text, found in about.matches.items() if found)
    # A reading of which part was not answered says nothing of what moves.
    one_table = [_side_by_side(reading) for reading in about.readings]
    whole = [words for words in one_table if words.keys() == one_table[0].keys()]
    order = judge_orders(whole) if whole else OrderFound(Order.ABCD, Certainty.UNKNOWN, "nothing was read of it")
    has_floats = order.has_floats or any(match.type.is_float for found in met for match in found)
    if len(orders) == 1:
        order = OrderFound(next(iter(orders)), Certainty.KNOWN, f"{said} is found in this order alone")
    elif orders and order.order not in orders:
        order = OrderFound(min(orders), Certainty.GUESSED, f"{said} is found in {' and '.join(sorted(orders))}")
    about.order = order
    about.base = _base(about, bases, said)
    if whole:
        about.moved = {kind: frozenset(at) for kind, at in _by_table(_moved(whole)).items()}
    if whole and order.certainty is not Certainty.UNKNOWN:
        floats, counters = numbers_in(whole, order.order, has_floats=has_floats)
        about.floats, about.counters = _by_table(floats), _by_table(counters)


def _side_by_side(reading: Mapping[Kind, Mapping[int, int]]) -> dict[int, int]:
    """Put both tables of registers into one, so far apart that no number reaches across."""
    return {at + (_INPUT_AT if kind is Kind.INPUT else 0): word for kind, words in reading.items() for at, word in words.items()}


def _by_table(addresses: Iterable[int]) -> dict[Kind, tuple[int, ...]]:
    """Undo :func:`_side_by_side`."""
    every = list(addresses)
    return {
        Kind.HOLDING: tuple(at for at in every if at < _INPUT_AT),
        Kind.INPUT: tuple(at - _INPUT_AT for at in every if at >= _INPUT_AT),
    }


def _moved(readings: Sequence[Mapping[int, int]]) -> list[int]:
    return [at for at in readings[0] if len({words[at] for words in readings}) > 1]


def _base(about: UnitFindings, bases: frozenset[int], said: str) -> BaseFound:
    """Say what the maker calls the first register."""
    if len(bases) == 1:
        [base] = bases
        return BaseFound(base, Certainty.KNOWN, f"{said} is found where a manual would mean it that counts from {base}")
    if about.sunspec is not None:
        if about.sunspec.at in (0, 40_000, 50_000):
            return BaseFound(0, Certainty.KNOWN, f"the SunSpec marker stands at {about.sunspec.at} on the wire, as specified")
        why = f"the SunSpec marker stands at {about.sunspec.at} on the wire: the maker puts numbers that count from 1 there as they are"
        return BaseFound(0, Certainty.LIKELY, why)
    starts = [table.extents[0].start for kind, table in about.tables.items() if table.extents and kind in _REGISTERS]
    if starts and min(starts) == 1:
        why = "register 0 is refused and 1 answers: the maker seems to count from 1, and to put that number on the wire as it is"
        return BaseFound(0, Certainty.LIKELY, why)
    return BaseFound(0, Certainty.UNKNOWN, "addresses are as on the wire; a manual may count from 1: --expect NUMBER=VALUE tells")


def _run(numbers: Sequence[int]) -> str:
    """Write numbers with their runs, as in ``1, 255, 2..16``."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}..{run[-1]}" for run in runs)
