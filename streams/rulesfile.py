"""Rule sets as files: those that ship, and a file of rules that change, behind ``rules:`` in the settings.

``rules: southern-2025`` names a rule set that ships (``market/rulesets``). A file says which rules hold when; each version stands on a
shipped rule set (the Guangdong draft where it names none), and the first may leave out its ``from``: it holds from the beginning::

    versions:
    - {base: gd-2023-draft}
    - from: "2026-07-01T00:00:00+08:00"
      base: gd-2023-draft
      revision: r2                                   # stands in every decision
      overrides: {rt_limit_min: 90}
      cites: {rt_limit_min: "measure of 2026-06-15, Art. 23(1)"}

An outage that spans a change is judged by the rules it began under. ``gridfuse rules check FILE`` says what a file means.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, Field

import market
from ingest.yamlfile import Located, Strict, load_yaml
from market.errors import ConfigError, Problem, UnitError
from market.rulebook import ALWAYS_NS, Rulebook, Version, cited
from market.rules import GUANGDONG_2023, MarketRules, rules_from
from market.units import instant_ns

__all__ = ["RuleSet", "read_rulebook", "shipped", "shipped_names"]

_FOLDER: Final = Path(market.__file__).parent / "rulesets"


def _instant(value: object) -> int:
    try:
        return instant_ns(str(value))
    except UnitError as exc:
        raise ValueError(str(exc)) from None


class RuleSet(Strict):
    """One rule set, as it is written: what it changes of the one it stands on."""

    base: str | None = None
    rule_set: str | None = None
    revision: str | None = None
    title: str = ""
    source: str = ""
    overrides: dict[str, Any] = Field(default_factory=dict)
    cites: dict[str, str] = Field(default_factory=dict)


class _Version(RuleSet):
    from_: Annotated[int | None, BeforeValidator(_instant), Field(alias="from")] = None


class _Book(Strict):
    versions: Annotated[list[_Version], Field(min_length=1)]


def shipped_names() -> tuple[str, ...]:
    """Return the names of the rule sets that ship, in order."""
    return tuple(sorted(path.stem for path in _FOLDER.glob("*.yaml")))


def shipped(name: str, where: str = "rules") -> tuple[RuleSet, Version]:
    """Read a rule set that ships: what its file says, and the rules it stands for, from the beginning.

    Raises:
        ConfigError: there is none of that name.
    """
    if name not in shipped_names():
        raise ConfigError([Problem(where, f"there is no rule set {name!r}; there are {', '.join(shipped_names())}")])
    located = load_yaml(_FOLDER / f"{name}.yaml")
    written = located.validate(RuleSet)
    return written, _version(written, located, f"market/rulesets/{name}.yaml", ALWAYS_NS)


def read_rulebook(named: str, beside: Path, overrides: Mapping[str, Any], where: str) -> Rulebook:
    """Read which rules hold when.

    Args:
        named: a rule set that ships, or a file, relative to ``beside``.
        overrides: of a rule set that ships; a file has its own.
        where: they stand, for messages.

    Raises:
        ConfigError: every problem of the file.
    """
    if not named.endswith((".yaml", ".yml")):
        _, version = shipped(named)
        rules = rules_from(overrides, version.rules, where)
        own = dict.fromkeys((name for name, *_ in _changed(version.rules, rules)), where)
        return Rulebook([Version(from_ns=ALWAYS_NS, rules=rules, source=version.source, cites={**version.cites, **own})])
    if overrides:
        raise ConfigError([Problem(where, f"the rules are those of {named}; write these overrides there, in the version they belong to")])
    located = load_yaml(beside / named)
    book = located.validate(_Book)
    problems: list[Problem] = []
    versions: list[Version] = []
    for number, written in enumerate(book.versions):
        source = located.where("versions", number)
        if written.from_ is None and number:
            problems.append(Problem(source, "says no `from`; only the first version holds from the beginning"))
            continue
        try:
            versions.append(_version(written, located, source, ALWAYS_NS if written.from_ is None else written.from_, number))
        except ConfigError as exc:
            problems.extend(exc.problems)
    if problems:
        raise ConfigError(problems)
    return Rulebook(versions)


def _version(written: RuleSet, located: Located, source: str, from_ns: int, number: int | None = None) -> Version:
    """Return the rules a written rule set stands for."""
    place: tuple[str | int, ...] = () if number is None else ("versions", number)
    base = Version(from_ns=ALWAYS_NS, rules=GUANGDONG_2023)
    if written.base is not None or number is not None:
        _, base = shipped(written.base or GUANGDONG_2023.rule_set, located.where(*place, "base"))
    names = {key: value for key, value in (("rule_set", written.rule_set), ("revision", written.revision)) if value is not None}
    rules = rules_from({**written.overrides, **names}, base.rules, located.where(*place, "overrides"))
    known = {name for name, *_ in cited(rules)}
    if strangers := sorted(set(written.cites) - known):
        what = f"cites {', '.join(strangers)}, which is no rule; a rule in a group is written as modes.RT_120"
        raise ConfigError([Problem(located.where(*place, "cites"), what)])
    own = dict.fromkeys((name for name, *_ in _changed(base.rules, rules)), source)
    return Version(from_ns=from_ns, rules=rules, source=source, cites={**base.cites, **own, **written.cites})


def _changed(before: MarketRules, after: MarketRules) -> list[tuple[str, object, str]]:
    was = {name: value for name, value, _ in cited(before)}
    return [(name, value, cite) for name, value, cite in cited(after) if value != was[name]]
