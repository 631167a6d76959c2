"""What does the schema look like to whoever writes a query or a dashboard of their own?

:func:`document` is ``docs/measurements.md``: every measurement with its tags, what bounds them, and its fields with unit and titles.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from streams.measurements import MEASUREMENTS, Measurement

__all__ = ["document"]

_INTRODUCTION = """# What is written to InfluxDB

Drawn from `streams/measurements.py`; after a change there, write it anew with `python scripts/measurements.py`.

Every line carries every tag of its measurement, `none` where one does not apply. Quantities are floats, counts and codes integers. A
quantity that is not known is absent from its line, never 0. Nothing is overwritten: a later version of the same record is appended one
nanosecond later, so `last()` is the correction. Counts of `pipeline` and `stage` grow from the start of the process."""


def document() -> str:
    """Return ``docs/measurements.md``."""
    return "\n".join([_INTRODUCTION, "", *_overview(), *(line for each in MEASUREMENTS for line in _section(each))])


def _row(*cells: str) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _table(head: Iterable[str], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    names = tuple(head)
    yield _row(*names)
    yield "|" + "---|" * len(names)
    yield from (_row(*row) for row in rows)
    yield ""


def _overview() -> Iterator[str]:
    rows = ((f"[`{each.name}`](#{each.name})", each.title_en, each.title_zh, each.time) for each in MEASUREMENTS)
    yield from _table(("measurement", "what", "内容", "its time"), rows)


def _section(measurement: Measurement) -> Iterator[str]:
    yield from (f"## {measurement.name}", "", f"{measurement.title_en}. {measurement.title_zh}。", "", f"Time: {measurement.time}.", "")
    if measurement.tags:
        tags = ((f"`{tag.name}`", tag.title_en, tag.title_zh, tag.bounded_by) for tag in measurement.tags)
        yield from _table(("tag", "what", "含义", "bounded by"), tags)
    else:
        yield from ("No tags.", "")
    fields = ((f"`{field.name}`", field.type, field.unit, field.title_en, field.title_zh) for field in measurement.fields)
    yield from _table(("field", "type", "unit", "what", "含义"), fields)
    if measurement.open_fields:
        yield from ("Further fields as the point list names its quantities.", "")
