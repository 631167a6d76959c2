"""Which units answer behind an address?

A unit is there if it answers, be it with a refusal of what it was asked for. A gateway says for a device that it cannot reach that it
cannot (exceptions 10 and 11). Many devices do not look at the unit id at all: where every unit that was asked answers alike, one
nobody would give a device is asked too, and if that answers as well, they are one.

Where no unit answers for holding registers, all are asked once more for input registers: some devices leave unanswered what they do not
know.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from ingest.devices import Kind
from ingest.modbus.frames import ExceptionCode
from ingest.modbus.probing.asks import Asker, Asking, Refused, Said, Silent

__all__ = ["UnitsFound", "find_units"]

_ABSENT: Final = frozenset({ExceptionCode.GATEWAY_PATH, ExceptionCode.GATEWAY_TARGET})
_ABOUT_THE_REQUEST: Final = frozenset({ExceptionCode.ILLEGAL_FUNCTION, ExceptionCode.ILLEGAL_ADDRESS, ExceptionCode.ILLEGAL_VALUE})
_UNLIKELY: Final = 239
"""A unit id that nobody gives a device; not reserved, so that a gateway answers for it too."""

_UNCONNECTED_MAX: Final = 3
"""Units in a row for which there was no connection, before there is none to be had: a device may hang up on a unit it does not have."""

_Answer = Said | Refused | Silent


@dataclass(slots=True)
class UnitsFound:
    """Who is there.

    Attributes:
        answering: units that answer; one, where all of them are one.
        absent: units that a gateway answered for: it cannot reach them.
        failing: units that answer with a failure of their own, whatever they are asked: many servers say so of a unit they do not have.
        silent: units that did not answer.
        is_blind: whether the device answers whichever unit it is asked for.
        unreachable: why no connection could be made; empty where one was.
        why: the last reason that one did not answer.
        unconnected: units in a row for which there was no connection.
    """

    answering: list[int] = field(default_factory=list)
    absent: list[int] = field(default_factory=list)
    failing: list[int] = field(default_factory=list)
    silent: list[int] = field(default_factory=list)
    is_blind: bool = False
    unreachable: str = ""
    why: str = ""
    unconnected: int = 0


def find_units(asker: Asker, units: Sequence[int], found: UnitsFound) -> Asking[None]:
    """Find out which of some units answer; ``found`` is filled in as they are asked.

    Raises:
        Spent: the cap is reached.
    """
    answers: list[_Answer] = []
    left = list(units)
    for kind in (Kind.HOLDING, Kind.INPUT):
        found.silent.clear()
        for unit in left:
            answers.append((yield from _look(asker, unit, kind, found)))
            if found.unreachable:
                return
        left = list(found.silent)
        if found.answering or not left:
            break
    if len(found.answering) == len(units) >= 2 and len(set(answers)) == 1 and _UNLIKELY not in units:
        other = yield from asker.read(_UNLIKELY, Kind.HOLDING, 0)
        if other == answers[0]:
            found.is_blind = True
            del found.answering[1:]


def _look(asker: Asker, unit: int, first: Kind, found: UnitsFound) -> Asking[_Answer]:
    """Ask one unit, and enter it where it belongs; a failure of its own is believed once every table gives it."""
    reply: _Answer = Silent("")
    for kind in (first, *(kind for kind in Kind if kind is not first)):
        reply = yield from asker.read(unit, kind, 0)
        match reply:
            case Said():
                found.answering.append(unit)
                return reply
            case Refused(code) if code in _ABSENT:
                found.absent.append(unit)
                return reply
            case Refused(code) if code in _ABOUT_THE_REQUEST:
                found.answering.append(unit)
                return reply
            case Silent(why, is_connected):
                found.why = why
                found.silent.append(unit)
                found.unconnected = 0 if is_connected else found.unconnected + 1
                if found.unconnected >= _UNCONNECTED_MAX and not (found.answering or found.absent or found.failing):
                    found.unreachable = why
                return reply
            case _:
                continue
    found.failing.append(unit)
    return reply
