"""What does a query ask for, in parts? The live board has the records themselves and no InfluxQL.

The registry writes its queries in a handful of forms, and each of them is told apart here by its text, so that whoever adds a panel writes
one query and not two. A query in another form is drawn by Grafana alone; nothing is guessed.

=============  =======================================================================================================
``how``        what the live board keeps
=============  =======================================================================================================
``mean`` …     a day in minutes by ``by``: last, mean, min, max, sum or count of what came in the minute
``mean@last``  the same, of the newest instant in each minute alone: of an interval's versions the last
``rows``       the newest lines, the columns of ``field``
``newest``     the newest line of each series that ``by`` tells apart, of which ``having`` holds
``now:max`` …  one number over the newest values of all series
=============  =======================================================================================================

``within_s`` leaves out series whose newest line is older than that (0: none is), and ``per_s`` asks for the growth a second, times
``per_s``, of what is kept.
"""

# ruff: noqa: S608 (patterns that read queries, not queries)

from __future__ import annotations

import re
from typing import Any, Final

from dashboards.elements import Query

__all__ = ["parts_of"]

_NAMES: Final = r'"\w+"(?:, "\w+")*'
_WHERE: Final = r"WHERE (?:(?P<where>.+?) AND )?\$timeFilter"
_AGGREGATE: Final = r"(?P<how>last|mean|min|max|sum|count)"
_RECENT: Final = re.compile(r"(?:^| AND )time > \$\{__to\}ms - (\d+)m(?= AND |$)")

_ROWS: Final = re.compile(rf'SELECT (?P<field>{_NAMES}) FROM "(?P<measurement>\w+)" {_WHERE} ORDER BY time DESC LIMIT \d+')
_NEWEST: Final = re.compile(
    rf'SELECT last\("(\w+)"\) AS (?P<field>"\1"(?:, "\w+")*) FROM "(?P<measurement>\w+)" {_WHERE} GROUP BY (?P<by>{_NAMES})'
)
_HAVING: Final = re.compile(
    rf'SELECT (?P<field>{_NAMES}) FROM \(SELECT last\("(\w+)"\) AS "\2"(?:, "\w+")* FROM "(?P<measurement>\w+)" {_WHERE} '
    rf"GROUP BY (?P<by>{_NAMES})\) WHERE (?P<having>.+) AND \$timeFilter(?: ORDER BY time DESC)?(?: LIMIT \d+)?"
)
_WHOLE: Final = re.compile(rf'SELECT {_AGGREGATE}\("(?P<field>\w+)"\)(?: AS "\w+")? FROM "(?P<measurement>\w+)" {_WHERE}')
_LAST: Final = r'\(SELECT last\("(?P=field)"\) AS "(?P=field)"(?:, "\w+")* FROM "(?P<measurement>\w+)" '
_NOW: Final = re.compile(
    rf'SELECT {_AGGREGATE}\("(?P<field>\w+)"\)(?: AS "\w+")? FROM {_LAST}'
    rf"{_WHERE} GROUP BY (?P<by>{_NAMES})\) WHERE (?:(?P<having>.+) AND )?\$timeFilter"
)
_TOP: Final = re.compile(rf'SELECT top\("(?P<field>\w+)", (?P<by>"\w+"), \d+\) FROM {_LAST}{_WHERE} GROUP BY (?P=by)\) WHERE \$timeFilter')
_COURSE: Final = re.compile(
    rf'SELECT {_AGGREGATE}\("(?P<field>\w+)"\) FROM "(?P<measurement>\w+)" {_WHERE} GROUP BY time\([^)]+\)(?:, (?P<by>{_NAMES}))?'
    r"(?: fill\(\w+\))?"
)
_COURSE_OVER: Final = re.compile(
    rf'SELECT {_AGGREGATE}\("(?P<field>\w+)"\)(?: AS "\w+")? FROM {_LAST}'
    rf"{_WHERE} GROUP BY time\([^)]+\), {_NAMES}(?: fill\(\w+\))?\) WHERE \$timeFilter GROUP BY time\([^)]+\)(?:, (?P<by>{_NAMES}))?"
    r"(?: fill\(\w+\))?"
)
_RATE: Final = re.compile(
    r'SELECT non_negative_derivative\((?P<how>max)\("(?P<field>\w+)"\), 1s\)(?: \* (?P<per_s>\d+))? FROM "(?P<measurement>\w+)" '
    rf"{_WHERE} GROUP BY time\([^)]+\), (?P<by>{_NAMES})(?: fill\(\w+\))?"
)


def parts_of(query: Query) -> dict[str, Any] | None:
    """Return the parts of a query as the live board reads them, or None where it is written in none of the forms above.

    >>> parts_of(Query('SELECT "kind", "seq" FROM "event" WHERE $timeFilter ORDER BY time DESC LIMIT 50'))["field"]
    'kind,seq'
    >>> parts_of(Query('SELECT stddev("v") FROM "m" WHERE $timeFilter')) is None
    True
    """
    if query.source is not None:
        own = query.source
        return _parts(measurement=own.measurement, field=own.field, how=own.how, by=own.by, where=own.where)
    text = re.sub(r" tz\('[^']*'\)$", "", query.influxql)
    for form, how in ((_ROWS, "rows"), (_NEWEST, "newest"), (_HAVING, "newest"), (_TOP, "last"), (_NOW, "now:")):
        if found := form.fullmatch(text):
            return _found(found, how + found["how"] if how == "now:" else how)
    for form in (_COURSE, _COURSE_OVER, _WHOLE):
        if found := form.fullmatch(text):
            # Of a value that is written again and again while it holds, only the newest of each series counts.
            recent = form is _WHOLE and _RECENT.search(found["where"] or "")
            how = f"{found['how']}@last" if form is _COURSE_OVER else found["how"]
            return _found(found, f"now:{how}" if recent else how)
    if found := _RATE.fullmatch(text):
        return _found(found, found["how"]) | {"per_s": float(found["per_s"] or 1)}
    return None


def _found(found: re.Match[str], how: str) -> dict[str, Any]:
    groups = found.groupdict()
    where = groups.get("where") or ""
    recent = _RECENT.search(where)
    field, by = _plain(groups["field"]), _plain(groups.get("by") or "")
    if how == "newest":
        # What a table is grouped by stands in it too.
        field = ",".join(dict.fromkeys([*field.split(","), *by.split(",")]))
    return _parts(
        measurement=groups["measurement"],
        field=field,
        how=how,
        by=by,
        where=re.sub(r"^ AND ", "", _RECENT.sub("", where)),
        having=groups.get("having") or "",
        within_s=60 * int(recent[1]) if recent else 0,
    )


def _plain(names: str) -> str:
    return names.replace('"', "").replace(", ", ",")


def _parts(*, having: str = "", within_s: int = 0, **asked: str) -> dict[str, Any]:
    return {**asked, "having": having, "within_s": within_s, "per_s": 0.0}
