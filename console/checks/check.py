"""What one look found: a level, a sentence about it, and what to do."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

__all__ = ["Check", "Level", "looked"]


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARN = "warn"
    """The service runs, or would start; a person should know."""
    FAIL = "fail"
    """It does not do what the settings say, or something that was kept cannot be believed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One finding.

    Attributes:
        name: what was looked at, as ``log`` or ``webhook``; one name may have several findings.
        what: the state, naming the offender.
        remedy: what to do, empty where nothing is to be done.
        facts: numbers and names for machines.
    """

    name: str
    level: Level
    what: str
    remedy: str = ""
    facts: Mapping[str, int | str] = field(default_factory=dict)


def looked(name: str, look: Callable[[], Iterable[Check]]) -> list[Check]:
    """Take one look; what goes wrong in it is a finding too, so that one store that is away hides no other."""
    found: list[Check] = []
    try:
        found.extend(look())
    except Exception as exc:
        found.append(Check(name=name, level=Level.FAIL, what=str(exc) or repr(exc), facts={"error": type(exc).__name__}))
    return found
