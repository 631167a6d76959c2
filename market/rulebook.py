"""Which rules hold when: rule sets one after the other, each from an instant on (Art. 32, 33).

A rule set is changed by adding the next one with the instant it holds from, never by editing the one in force: a decision of June is
replayed in August under June's rules. Whoever decides asks ``rules.at(instant)``; a single :class:`market.rules.MarketRules` answers
the same question with itself, so that both may stand where rules are wanted.

Which instant to ask about is the asker's to know. An outage that spans a change is judged by the set in force when it began (GD-32-1).

Absent on purpose: files. What a file of rules looks like stands in :mod:`streams.rulesfile`.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from itertools import pairwise
from typing import Any, Final, Protocol

from market.errors import ConfigError, Problem
from market.rules import MarketRules
from market.units import instant_text

__all__ = ["ALWAYS_NS", "Rulebook", "RulesInForce", "Version", "cited"]

ALWAYS_NS: Final = 0
"""The instant from which the first rule set of a book holds where it names none."""


class RulesInForce(Protocol):
    """What answers which rules hold at an instant: a rulebook, or one rule set that always does."""

    def at(self, ts_ns: int) -> MarketRules:
        """Return the rules in force at an instant, UTC ns."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """One rule set, and the instant it holds from.

    Attributes:
        from_ns: first instant it holds, UTC ns; until the next version.
        source: where it is written, for people and for messages.
        cites: citation of each value that is not the shipped rule set's, by its name, as ``modes.RT_120``.
    """

    from_ns: int
    rules: MarketRules
    source: str = ""
    cites: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, init=False)
class Rulebook:
    """Rule sets in the order they came into force.

    Args:
        versions: in any order, at least one. Before the first of them the first holds too: there is no instant without rules.

    Raises:
        ConfigError: two sets from one instant, one identity for two contents, another zone, or a change inside an interval.

    >>> from dataclasses import replace
    >>> from market.rules import GUANGDONG_2023
    >>> later = replace(GUANGDONG_2023, revision="r2", rt_limit_min=90)
    >>> book = Rulebook((Version(from_ns=0, rules=GUANGDONG_2023), Version(from_ns=3_600_000_000_000, rules=later)))
    >>> [book.at(ts_ns).rt_limit_min for ts_ns in (3_599_999_999_999, 3_600_000_000_000)]
    [120, 90]
    """

    versions: tuple[Version, ...]

    def __init__(self, versions: Iterable[Version]) -> None:
        ordered = tuple(sorted(versions, key=lambda version: version.from_ns))
        assert ordered, "a rulebook without rules decides nothing"
        if problems := [problem for pair in pairwise(ordered) for problem in _between(*pair)] + _namesakes(ordered):
            raise ConfigError(problems)
        object.__setattr__(self, "versions", ordered)

    def at(self, ts_ns: int) -> MarketRules:
        """Return the rules in force at an instant, UTC ns; those of the first version before it."""
        place = bisect_right(self.versions, ts_ns, key=lambda version: version.from_ns)
        return self.versions[max(place - 1, 0)].rules

    def next_change_ns(self, ts_ns: int) -> int | None:
        """Return the first instant after ``ts_ns`` at which other rules come into force, or None."""
        return next((version.from_ns for version in self.versions[1:] if version.from_ns > ts_ns), None)


def _named(version: Version) -> str:
    return f"{version.rules.id} ({version.source})" if version.source else version.rules.id


def _between(before: Version, after: Version) -> list[Problem]:
    """Say why one version cannot follow the other."""
    where = after.source or after.rules.id
    at = instant_text(after.from_ns, after.rules.zone)
    if before.from_ns == after.from_ns:
        return [Problem(where, f"{_named(before)} and {_named(after)} both hold from {at}; one instant has one rule set, so remove one")]
    problems = []
    if before.rules.zone != after.rules.zone:
        problems.append(
            Problem(where, f"{_named(after)} is for {after.rules.zone} and {_named(before)} for {before.rules.zone}; use one zone")
        )
    for version in (before, after):
        if after.from_ns % version.rules.rt_interval_ns:
            minutes = version.rules.rt_interval_min
            what = f"{at} lies inside an interval of {minutes} min of {_named(version)}; let the rules change at a boundary"
            problems.append(Problem(where, what))
    return problems


def _namesakes(versions: tuple[Version, ...]) -> list[Problem]:
    """Say which versions share an identity and differ: it stands in every decision and must say which rules those were."""
    first: dict[str, Version] = {}
    problems = []
    for version in versions:
        other = first.setdefault(version.rules.id, version)
        if other.rules != version.rules:
            what = f"{_named(other)} and {_named(version)} differ and have one name; give the later one a revision of its own"
            problems.append(Problem(version.source or version.rules.id, what))
    return problems


def cited(rules: MarketRules, cites: Mapping[str, str] | None = None) -> Iterator[tuple[str, object, str]]:
    """Yield every rule: its name, as ``modes.RT_120``, its value, and the article or policy it comes from.

    Args:
        cites: name to citation, of values that were given elsewhere.
    """
    yield from _cited(rules, "", cites or {})


def _cited(group: Any, prefix: str, cites: Mapping[str, str]) -> Iterator[tuple[str, object, str]]:
    for spec in fields(group):
        name, value = f"{prefix}{spec.name}", getattr(group, spec.name)
        if is_dataclass(value):
            yield from _cited(value, f"{name}.", cites)
        else:
            yield name, value, cites.get(name, spec.metadata.get("cite", ""))
