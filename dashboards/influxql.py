"""Is a query in the part of InfluxQL that InfluxDB 1.8+, 2.x and 3 Core all answer?

Whatever is not known to be in that part is refused, so a query that no server at hand would mind is caught here: names are quoted, bare
words are a short list of keywords, and what is called is a short list of functions. Joins, unions, ``INTO``, ``SLIMIT``, samples and
forecasts are in none of these lists.

Deliberately absent: a grammar. A server checks that (``tests/integration/test_dashboards.py``).
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["FUNCTIONS", "named", "query_faults", "variables"]

FUNCTIONS: Final = frozenset(
    {
        *("mean", "sum", "min", "max", "last", "first", "count", "percentile", "top", "spread", "stddev", "integral", "elapsed"),
        *("derivative", "non_negative_derivative", "difference", "non_negative_difference", "cumulative_sum", "moving_average"),
        *("median", "bottom", "distinct", "abs"),
    }
)
"""What the three servers all have; not everything here was needed so far."""

_IN_ORDER: Final = re.compile(r"\b(difference|non_negative_difference|derivative|non_negative_derivative|elapsed|cumulative_sum)\(")
"""What depends on the order of the points; an order from without is pushed down into the query they are in."""

_KEYWORDS: Final = frozenset(
    {
        *("select", "from", "where", "and", "or", "as", "group", "by", "order", "asc", "desc", "limit"),
        *("show", "tag", "values", "with", "key"),
    }
)
_CALLED: Final = FUNCTIONS | {"time", "fill", "tz"}
_FILLS: Final = frozenset({"none", "null", "previous"})
_OF_GRAFANA: Final = frozenset({"timeFilter", "__interval", "__interval_ms", "__to"})

_TOKEN: Final = re.compile(
    r"""(?P<string>'[^']*') | "(?P<name>[^"]*)" | (?P<regex>=~\s*/(?:[^/\\]|\\.)*/) | \$(?P<variable>\w+) | (?P<instant>\$\{__to\}ms)
      | (?P<number>\d[\w.]*) | (?P<word>[A-Za-z_]\w*)(?P<call>\s*\()? | (?P<mark><>|!=|<=|>=|[-+*/%=<>(),])""",
    re.VERBOSE,
)


def _tokens(influxql: str) -> list[re.Match[str]]:
    return list(_TOKEN.finditer(influxql))


def variables(influxql: str) -> set[str]:
    """Return the viewer's variables that a query uses.

    >>> variables('SELECT last("x") FROM "m" WHERE "area" =~ /^$area$/ AND $timeFilter')
    {'area'}
    """
    return set(re.findall(r"\$\{?(\w+)", influxql)) - _OF_GRAFANA


def named(influxql: str) -> tuple[set[str], set[str], set[str]]:
    """Return the measurements that are read, the tags and fields that are named, and the names that the query itself gives.

    >>> named('SELECT max("x") AS "most" FROM "m" WHERE $timeFilter')
    ({'m'}, {'x'}, {'most'})
    """
    read = set(re.findall(r'FROM "([^"]*)"', influxql))
    given = set(re.findall(r'AS "?(\w+)"?', influxql))
    every = [token["name"] for token in _tokens(influxql) if token["name"] is not None]
    return read, set(every) - read - given, given


def query_faults(influxql: str) -> list[str]:
    """Return what is not portable in a query; empty where everything is.

    >>> query_faults('SELECT sample("x", 3) FROM "m" WHERE $timeFilter')
    ['sample() is not in every server']
    """
    faults: list[str] = []
    given = {name.lower() for name in named(influxql)[2]}
    if "ORDER BY time DESC" in influxql and (backwards := _IN_ORDER.findall(influxql)):
        faults.append(f"{backwards[0]}() under ORDER BY time DESC is taken backwards by the server; sort the panel instead")
    left = _TOKEN.sub("", influxql).strip()
    if left:
        faults.append(f"not understood: {left}")
    before = ""
    for token in _tokens(influxql):
        if (word := token["word"]) is not None:
            faults += _word_faults(word.lower(), token["call"] is not None, before, given)
            before = word.lower() + (token["call"] or "").strip()
        else:
            before = ""
    return faults


def _word_faults(word: str, is_called: bool, before: str, given: set[str]) -> list[str]:
    """Judge a word that stands without quotes, and what stands before it."""
    if is_called and word in {"in", "and", "or", "from", "where"}:
        return []
    if is_called:
        return [] if word in _CALLED else [f"{word}() is not in every server"]
    if (
        word in _KEYWORDS
        or word in given
        or (word == "time" and before in {"by", "and", "where"})
        or (before == "fill(" and word in _FILLS)
    ):
        return []
    return [f"{word.upper()} is neither quoted nor a keyword of every server"]
