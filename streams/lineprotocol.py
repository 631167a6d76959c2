"""How does a record become lines of InfluxDB line protocol?

Every record goes through :func:`line`, which writes what :mod:`streams.measurements` declares and nothing else: tags in order and
all of them, fields by their declared type, values that are not finite left out. One such value would make InfluxDB 2 refuse every
line of its request. What the records are made of stands in :mod:`streams.gridlines`, :mod:`streams.marketlines`,
:mod:`streams.breakerlines` and :mod:`streams.servicelines`. Telemetry, a thousand times as much data, has an encoder of its own
(:mod:`streams.telemetrylines`).

Escaping follows what the servers accept, not only what they document: a tag value cannot be empty, hold a line break or end in a
backslash, so these are replaced; text fields lose their line breaks, because a line is also the unit in which the flusher looks for
what a server refuses.

Deliberately absent: buffering and sending; rounding (a float is written in the shortest form that reads back the same).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from math import isfinite
from typing import Any, Final

from market.units import NS_PER_MS, floor_ns
from streams import measurements as m

__all__ = ["Values", "line", "ms", "tag_value"]

_TEXT_MAX: Final = 8_000
"""Characters of a text field; a server's own limit is 64 KiB. A longer text is cut and ends in an ellipsis."""

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
Values = Mapping[str, float | int | str | None]
"""Fields of one line by name; None is not written."""

_TAG_ESCAPES: Final = str.maketrans({",": r"\,", "=": r"\=", " ": r"\ "})


def tag_value(text: str) -> str:
    r"""Escape a tag value; what line protocol cannot hold becomes ``_``.

    >>> tag_value("A, B=1"), tag_value("C:" + chr(92)), tag_value("")
    ('A\\,\\ B\\=1', 'C:_', 'none')
    """
    clean = _CONTROL.sub("_", text) or m.NONE
    if clean.endswith("\\"):
        clean = clean.rstrip("\\") + "_" * (len(clean) - len(clean.rstrip("\\")))
    return clean.translate(_TAG_ESCAPES)


def _text_value(text: str) -> str:
    clean = _CONTROL.sub(" ", text)
    if len(clean) > _TEXT_MAX:
        clean = clean[: _TEXT_MAX - 1] + "…"
    return '"' + clean.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _field_value(kind: m.FieldType, value: Any) -> str | None:
    """Write one value as its declared type, or nothing where there is no value to write."""
    if value is None:
        return None
    if kind is m.FieldType.FLOAT:
        return repr(float(value)) if isfinite(value) else None
    if kind is m.FieldType.INT:
        return f"{int(value)}i"
    return _text_value(value)


def line(measurement: m.Measurement, ts_ns: int, tags: Mapping[str, str], values: Values) -> bytes:
    """Write one line, or nothing where no field has a value.

    Raises:
        KeyError: a tag is missing, or a field is not declared; the schema and the record have come apart.
    """
    fields = []
    for name, value in values.items():
        text = _field_value(measurement.field(name).type, value)
        if text is not None:
            fields.append(f"{name}={text}")
    if not fields:
        return b""
    key = "".join(f",{tag.name}={tag_value(tags[tag.name])}" for tag in measurement.tags)
    return f"{measurement.name}{key} {','.join(fields)} {ts_ns}\n".encode()


def ms(ts_ns: int) -> int:
    """Cut an instant to the millisecond."""
    return floor_ns(ts_ns, NS_PER_MS)
