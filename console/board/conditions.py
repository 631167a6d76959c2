"""Which lines is a panel of? The conditions of the registry's queries, asked of one line.

The registry writes them as InfluxQL does: ``"segment" = 'RT' AND "kind" != 'Refused'``. Those with a variable of Grafana's
(``"area" =~ /^$area$/``) hold for every line: the board has no chooser and shows all of them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

__all__ = ["Condition", "condition_of"]

Condition = Callable[[Mapping[str, str], Mapping[str, float | str]], bool]
"""Answers for the tags and the fields of a line."""

_TOKEN: Final = re.compile(r"""\s*(?:(?P<word>AND|OR)\b|(?P<paren>[()])|(?P<test>"(?P<name>[^"]+)"\s*(?P<op>=~|!~|!=|<>|>=|<=|=|>|<)\s*
    (?:'(?P<text>[^']*)'|/(?P<regex>(?:[^/\\]|\\.)*)/|(?P<number>[-+0-9.eE]+))))""", re.VERBOSE)  # fmt: skip


def condition_of(where: str) -> Condition:
    r"""Return what a condition asks; the empty one always holds.

    Raises:
        ValueError: it is written otherwise than the registry writes conditions.

    >>> holds = condition_of("\"segment\" = 'RT' AND \"valid\" = 0")
    >>> holds({"segment": "RT"}, {"valid": 0.0}), holds({"segment": "RT"}, {"valid": 1.0}), holds({"segment": "DA"}, {"valid": 0.0})
    (True, False, False)
    """
    if not where.strip():
        return lambda tags, fields: True
    tokens = []
    at = 0
    while at < len(where.rstrip()):
        found = _TOKEN.match(where, at)
        if found is None:
            raise ValueError(f"condition {where!r}: not understood from character {at} on")
        tokens.append(found)
        at = found.end()
    condition, rest = _any(tokens)
    if rest:
        raise ValueError(f"condition {where!r}: {rest[0][0].strip()!r} does not belong there")
    return condition


_Tokens = list[re.Match[str]]


def _any(tokens: _Tokens) -> tuple[Condition, _Tokens]:
    condition, tokens = _all(tokens)
    while tokens and tokens[0]["word"] == "OR":
        right, tokens = _all(tokens[1:])
        condition = _either(condition, right)
    return condition, tokens


def _all(tokens: _Tokens) -> tuple[Condition, _Tokens]:
    condition, tokens = _one(tokens)
    while tokens and tokens[0]["word"] == "AND":
        right, tokens = _one(tokens[1:])
        condition = _both(condition, right)
    return condition, tokens


def _either(left: Condition, right: Condition) -> Condition:
    return lambda tags, fields: left(tags, fields) or right(tags, fields)


def _both(left: Condition, right: Condition) -> Condition:
    return lambda tags, fields: left(tags, fields) and right(tags, fields)


def _one(tokens: _Tokens) -> tuple[Condition, _Tokens]:
    if not tokens:
        raise ValueError("a condition ends too early")
    token, rest = tokens[0], tokens[1:]
    if token["paren"] == "(":
        condition, rest = _any(rest)
        if not rest or rest[0]["paren"] != ")":
            raise ValueError("a condition has a parenthesis that is not closed")
        return condition, rest[1:]
    if not token["test"]:
        raise ValueError(f"a condition has {token[0].strip()!r} where a comparison belongs")
    return _test(token), rest


def _test(token: re.Match[str]) -> Condition:
    name, op = token["name"], token["op"]
    if token["regex"] is not None:
        if "$" in token["regex"].removesuffix("$"):
            return lambda tags, fields: True
        pattern = re.compile(token["regex"])
        return lambda tags, fields: bool(pattern.search(str(tags.get(name, fields.get(name, ""))))) is (op == "=~")
    if token["text"] is not None:
        text = token["text"]
        return lambda tags, fields: (tags.get(name, fields.get(name)) == text) is (op == "=")
    number = float(token["number"])

    def compare(tags: Mapping[str, str], fields: Mapping[str, float | str]) -> bool:
        value = fields.get(name)
        if not isinstance(value, float):
            return False
        return {
            "=": value == number, "!=": value != number, "<>": value != number,
            ">": value > number, "<": value < number, ">=": value >= number, "<=": value <= number,
        }[op]  # fmt: skip

    return compare
