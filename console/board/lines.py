"""Line protocol read back: what the service writes of its records is what the board draws.

The board's courses are fed with the lines that go to the spool, so that a panel here and the same panel in Grafana rest on the same
numbers, and a record that is newly written needs nothing here. Only what our own encoders write is understood; a line that is not is
skipped and counted by the caller.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

__all__ = ["Line", "lines_of"]

Value = float | str

_SPACE: Final = re.compile(r"(?<!\\) ")
_COMMA: Final = re.compile(r"(?<!\\),")
_ESCAPED: Final = re.compile(r"\\([,= ])")
_FIELD: Final = re.compile(r'([^=,"]+)=("(?:[^"\\]|\\.)*"|[^,"]+)(?:,|$)')
_QUOTED: Final = re.compile(r'\\(["\\])')


class Line(NamedTuple):
    """One line: the instant in UTC ns; whole numbers and truths as floats."""

    measurement: str
    tags: dict[str, str]
    fields: dict[str, Value]
    ts_ns: int


def lines_of(data: bytes, wanted: frozenset[str] | set[str]) -> Iterator[Line | None]:
    r"""Yield the lines of the wanted measurements, None for one that cannot be read.

    >>> list(lines_of(b'fuel,fuel=gas\\ turbine generation_mw=1.5,n=2i,note="a, b" 17\n', {"fuel"}))
    [Line(measurement='fuel', tags={'fuel': 'gas turbine'}, fields={'generation_mw': 1.5, 'n': 2.0, 'note': 'a, b'}, ts_ns=17)]
    """
    for raw in data.decode("utf-8", "replace").split("\n"):
        # The name ends at the first comma or space: ours have nothing to escape.
        end = min((at for at in (raw.find(","), raw.find(" ")) if at > 0), default=0)
        if raw[:end] in wanted:
            yield _line(raw, end)


def _line(raw: str, end: int) -> Line | None:
    try:
        key, rest = _SPACE.split(raw, maxsplit=1) if "\\" in raw else raw.split(" ", 1)
        fields, ts = rest.rsplit(" ", 1)
        return Line(raw[:end], _tags(key[end + 1 :]), _fields(fields), int(ts))
    except ValueError:
        return None


def _tags(text: str) -> dict[str, str]:
    if not text:
        return {}
    if "\\" not in text:
        return dict(one.split("=", 1) for one in text.split(","))
    return {name: _ESCAPED.sub(r"\1", value) for name, value in (one.split("=", 1) for one in _COMMA.split(text))}


def _fields(text: str) -> dict[str, Value]:
    if '"' not in text:
        return {name: _number(value) for name, value in (one.split("=", 1) for one in text.split(","))}
    return {name: _value(value) for name, value in _FIELD.findall(text)}


def _value(text: str) -> Value:
    return _QUOTED.sub(r"\1", text[1:-1]) if text[0] == '"' else _number(text)


def _number(text: str) -> float:
    return float(text[:-1] if text[-1] == "i" else text)
