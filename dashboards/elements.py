"""What is a panel made of, and how is a query written so that it cannot ask for a field that is not written?

Names of measurements and fields, their titles and their units come from :mod:`streams.measurements`; the functions below refuse any
other.

How a control room's display is drawn (ISA-101): grey is normal, and no colour says "good". Colour is kept for what is abnormal, by
priority, and never alone: a mark or a word says the same. Series that are only compared are shades of one blue.

Queries are in the part of InfluxQL that InfluxDB 1.8+, 2.x and 3 Core all answer. ``$timeFilter``, ``$__interval`` and variables are
Grafana's, which replaces them.

Deliberately absent: which panels there are (:mod:`dashboards.boards`) and Grafana's JSON (:mod:`dashboards.classic`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Final

from streams.measurements import Field, Measurement, Tag

__all__ = [
    "GREY",
    "P1",
    "P2",
    "P3",
    "P4",
    "UNITS",
    "Drill",
    "Look",
    "Mark",
    "Panel",
    "PanelKind",
    "Query",
    "Source",
    "Step",
    "Text",
    "course",
    "course_over",
    "headings",
    "last",
    "open_now",
    "rows",
    "select",
    "tile",
    "title_of",
    "total",
]

GREY: Final = "#8E8E8E"
"""Normal."""
P1: Final = "#E02020"
P2: Final = "#F08000"
P3: Final = "#E8C000"
P4: Final = "#C050C0"
"""Abnormal, by priority: red, orange, yellow, magenta."""

UNITS: Final = {
    "": "none",
    "MW": "suffix:MW",
    "MWh": "suffix:MWh",
    "kV": "kvolt",
    "Hz": "hertz",
    "%": "percent",
    "s": "s",
    "ms": "ms",
    "min": "m",
    "h": "suffix:h",
    "d": "suffix:d",
    "B": "bytes",
    "1/s": "suffix:/s",
    "p.u.": "suffix:p.u.",
    "clock": "dthms",
    "age": "dateTimeFromNow",
    "text": "string",
    "元": "suffix:元",
    "元/MWh": "suffix:元/MWh",
    "元/h": "suffix:元/h",
}
"""Grafana's name of each unit. Its own ``megwatt`` would turn 8,550 MW into 9 GW, and ``currencyCNY`` does not exist: a suffix is exact."""


@dataclass(frozen=True, slots=True)
class Text:
    """The same words in both languages."""

    en: str
    zh: str


NO_LABEL: Final = Text("", "")


class PanelKind(StrEnum):
    """Grafana's core panels, as far as they are used.

    Its list of annotations is not among them: it shows what people wrote into Grafana's own database, and our events are in ours. A table
    of ``event`` answers the question.
    """

    STAT = "stat"
    BAR_GAUGE = "bargauge"
    TIME_SERIES = "timeseries"
    STATE_TIMELINE = "state-timeline"
    STATUS_HISTORY = "status-history"
    HEATMAP = "heatmap"
    TABLE = "table"
    CANVAS = "canvas"
    TEXT = "text"


@dataclass(frozen=True, slots=True)
class Source:
    """What a plain query asks for, in parts: the live board has the records themselves and no InfluxQL."""

    measurement: str
    field: str
    how: str
    by: str = ""
    where: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """From ``value`` upwards the colour holds; None is from minus infinity."""

    value: float | None
    colour: str


@dataclass(frozen=True, slots=True)
class Query:
    """One InfluxQL query.

    Attributes:
        label: names its series, and may use ``$tag_<name>``.
        source: None where it is more than one aggregate of one field.
        unit, steps: of its values, where they are not the panel's.
    """

    influxql: str
    label: Text = NO_LABEL
    source: Source | None = None
    unit: str | None = None
    steps: tuple[Step, ...] = ()


@dataclass(frozen=True, slots=True)
class Drill:
    """Where a panel leads to, one level down: the board ``to`` (its uid without the language), the time shown kept.

    Args:
        variables: variable of that board → tag (in a table: column) whose value under the pointer it takes.
    """

    to: str
    variables: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Mark:
    """How one state is drawn: its words with a mark, and its colour."""

    state: str
    text: Text
    colour: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """How some series of a panel are shown, where that differs from the others: unit, limits and marks as of a panel."""

    unit: str
    limits: tuple[float, float] | None = None
    marks: tuple[Mark, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One panel.

    Attributes:
        number: stable id within the dashboard; links and alert rules use it.
        unit: a key of :data:`UNITS`.
        at: left edge, top edge, width, height, in Grafana's grid of 24 columns.
        steps: colours by value; grey without any.
        marks: colours and words by state.
        columns: titles of a table's columns, by the name the query gives them; of a pair ``…_en``, ``…_zh`` one is shown.
        hidden: columns that are not shown, as the time of a sum, which is of no instant.
        shown_as: units of columns, where they are not the schema's.
        coloured: columns that take their colour from steps or marks; the others stay grey.
        limits: least and greatest value of the axis or bar.
        stepped: values hold until the next one, as prices of intervals do.
        stacked: series are parts of a whole.
        sparkline: the number stands before its recent course.
        span: how much of the time shown it looks at, from its end, as ``1h``; empty for all of it.
        highest, lowest: column by which the rows are ordered, the highest or the lowest first.
        least_step: no step of its courses is shorter, as ``5m``; a map of cells needs the length of an interval.
        drill: where it leads to.
        drawing: options of a canvas, by language.
        looks: series that are shown otherwise, by a pattern (``/…/``) of their names.
        words: content of a text panel, as Markdown.
    """

    number: int
    kind: PanelKind
    title: Text
    description: Text
    unit: str
    at: tuple[int, int, int, int]
    queries: tuple[Query, ...]
    decimals: int | None = None
    steps: tuple[Step, ...] = (Step(None, GREY),)
    marks: tuple[Mark, ...] = ()
    columns: dict[str, Text] = field(default_factory=dict)
    hidden: tuple[str, ...] = ()
    shown_as: dict[str, str] = field(default_factory=dict)
    coloured: tuple[str, ...] = ()
    limits: tuple[float, float] | None = None
    stepped: bool = False
    stacked: bool = False
    sparkline: bool = False
    span: str = ""
    highest: str = ""
    lowest: str = ""
    least_step: str = ""
    drill: Drill | None = None
    drawing: Callable[[str], dict[str, Any]] | None = None
    looks: dict[str, Look] = field(default_factory=dict)
    words: Text = NO_LABEL


def title_of(item: Measurement | Field | Tag) -> Text:
    """Return the title the schema gives."""
    return Text(item.title_en, item.title_zh)


def _require(measurement: Measurement, *names: str) -> None:
    known = {tag.name for tag in measurement.tags} | {column.name for column in measurement.fields}
    unknown = sorted(set(names) - known)
    if unknown:
        raise KeyError(f"measurement {measurement.name} has no {', '.join(unknown)}")


def select(
    what: str, table: Measurement | Query, *, where: str = "", then: str = "", label: Text = NO_LABEL, source: Source | None = None
) -> Query:
    """Write a query of the time shown, from a measurement or from another query; ``where`` narrows it further."""
    written = f'"{table.name}"' if isinstance(table, Measurement) else f"({table.influxql})"
    parts = ["SELECT", what, "FROM", written, "WHERE", f"{where} AND $timeFilter" if where else "$timeFilter", then]
    return Query(" ".join(parts).rstrip(), label, source)


def last(
    measurement: Measurement,
    name: str,
    *,
    where: str = "",
    over: float | None = None,
    label: Text = NO_LABEL,
    unit: str | None = None,
    steps: tuple[Step, ...] = (),
) -> Query:
    """Ask for the newest value of a field, divided by ``over`` where it is shown in another unit.

    Raises:
        KeyError: the measurement has no such field; so may every function here.
    """
    _require(measurement, name)
    source = Source(measurement.name, name, f"last/{over:g}" if over else "last", where=where)
    asked = select(f'last("{name}")' + (f" / {over:g}" if over else ""), measurement, where=where, label=label, source=source)
    return replace(asked, unit=unit, steps=steps)


def course(
    measurement: Measurement,
    name: str,
    *,
    how: str = "mean",
    where: str = "",
    by: str = "",
    over: float | None = None,
    label: Text = NO_LABEL,
    unit: str | None = None,
    steps: tuple[Step, ...] = (),
) -> Query:
    """Ask for the course of a field over time, ``how`` summing up each step of it.

    Args:
        by: tag that each series is of, and is named after; ``label`` names the one series where there is none.
        over: what each value is divided by, where it is shown in another unit.
    """
    _require(measurement, name, *([by] if by else []))
    then = "GROUP BY time($__interval)" + (f', "{by}"' if by else "") + " fill(none)"
    label = Text(f"$tag_{by}", f"$tag_{by}") if by else label
    source = Source(measurement.name, name, f"{how}/{over:g}" if over else how, by, where)
    asked = select(f'{how}("{name}")' + (f" / {over:g}" if over else ""), measurement, where=where, then=then, label=label, source=source)
    return replace(asked, unit=unit, steps=steps)


def course_over(
    measurement: Measurement, name: str, by: str, *, how: str, where: str = "", each: str = "", label: Text = NO_LABEL
) -> Query:
    """Ask for the course of one number over all series of a tag, each by the last version of its intervals.

    A plain aggregate would count an interval that was cleared twice with both of its prices.

    Args:
        by: tag the number is taken over.
        each: tag that each series is of, and is named after; ``label`` names the one series where there is none.
    """
    _require(measurement, name, by, *([each] if each else []))
    and_each = f', "{each}"' if each else ""
    versions = select(
        f'last("{name}") AS "{name}"', measurement, where=where, then=f'GROUP BY time($__interval), "{by}"{and_each} fill(none)'
    )
    label = Text(f"$tag_{each}", f"$tag_{each}") if each else label
    return select(f'{how}("{name}")', versions, then=f"GROUP BY time($__interval){and_each} fill(none)", label=label)


def total(measurement: Measurement, name: str, *, where: str = "", by: str = "", to: str = "sum") -> Query:
    """Ask for the sum over all intervals of the time shown, each by its last version.

    Args:
        by: tag that each sum is of.
        to: name of the column of sums.
    """
    _require(measurement, name, *([by] if by else []))
    and_by = f', "{by}"' if by else ""
    # No interval is shorter than a minute, and its versions are nanoseconds apart.
    versions = select(f'last("{name}") AS "{name}"', measurement, where=where, then=f"GROUP BY time(1m){and_by} fill(none)")
    return select(f'sum("{name}") AS "{to}"', versions, then=f'GROUP BY "{by}"' if by else "")


def open_now(measurement: Measurement, *names: str, by: tuple[str, ...], flag: str = "open", where: str = "", what: str = "") -> Query:
    """Ask for what is open at the end of the time shown, the newest line of each series.

    What is settled writes one more line that says so, and no others: its last line while it was open would be found for hours.

    Args:
        flag: field that is 1 on the lines of what is open.
        what: asked of the lines found, instead of their columns.
    """
    _require(measurement, flag, *names, *by)
    columns = ", ".join(f'"{name}"' for name in names)
    groups = "GROUP BY " + ", ".join(f'"{tag}"' for tag in by)
    newest = select(f'last("{flag}") AS "{flag}", {columns}', measurement, where=where, then=groups)
    return select(what or columns, newest, where=f'"{flag}" = 1', then="" if what else groups)


def rows(measurement: Measurement, *names: str, most: int = 50, where: str = "") -> Query:
    """Ask for the newest lines, tags and fields beside each other."""
    _require(measurement, *names)
    return select(", ".join(f'"{name}"' for name in names), measurement, where=where, then=f"ORDER BY time DESC LIMIT {most}")


def headings(measurement: Measurement, *names: str) -> dict[str, Text]:
    """Return the titles of a table's columns, the time first."""
    _require(measurement, *names)
    columns: tuple[Tag | Field, ...] = (*measurement.tags, *measurement.fields)
    titled = {column.name: title_of(column) for column in columns}
    # Grafana calls the first column so, whatever the server calls it.
    return {"Time": Text("Time", "时间")} | {name: titled[name] for name in names}


def tile(
    measurement: Measurement,
    name: str,
    *,
    number: int,
    at: tuple[int, int, int, int],
    description: Text,
    steps: tuple[Step, ...] = (Step(None, GREY),),
    decimals: int = 1,
) -> Panel:
    """Show the newest value of a field before its recent course, under the title and in the unit of the schema."""
    column = measurement.field(name)
    return Panel(
        number=number,
        kind=PanelKind.STAT,
        title=title_of(column),
        description=description,
        unit=column.unit,
        at=at,
        queries=(course(measurement, name, how="last"),),
        decimals=decimals,
        steps=steps,
        sparkline=True,
    )
