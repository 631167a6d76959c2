"""Reads line protocol back, as far as we write it."""

from __future__ import annotations

import re
from typing import Any

__all__ = ["parsed"]

_HEAD = re.compile(r"(?:\\.|[^\\ ])+")
_ESCAPED = re.compile(r"\\([,= ])")
_FIELD = re.compile(r'([A-Za-z0-9_-]+)=("(?:\\.|[^"\\])*"|[^, ]+),?')


def parsed(data: bytes) -> list[dict[str, Any]]:
    """Return each line as one dict: ``measurement``, its tags and fields by name, ``time`` in ns."""
    return [_line(line) for line in data.decode().splitlines()]


def _line(text: str) -> dict[str, Any]:
    head = _HEAD.match(text)
    assert head is not None, text
    fields, _, instant = text[head.end() + 1 :].rpartition(" ")
    measurement, *tags = re.split(r"(?<!\\),", head[0])
    line: dict[str, Any] = {"measurement": measurement, "time": int(instant)}
    for tag in tags:
        name, _, value = tag.partition("=")
        line[name] = _ESCAPED.sub(r"\1", value)
    read_to = 0
    for field in _FIELD.finditer(fields):
        assert field.start() == read_to, text
        line[field[1]], read_to = _value(field[2]), field.end()
    assert read_to == len(fields), text
    return line


def _value(text: str) -> float | int | str:
    if text.startswith('"'):
        return text[1:-1].replace('\\"', '"').replace("\\\\", "\\")
    return int(text[:-1]) if text.endswith("i") else float(text)
