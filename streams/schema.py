"""What is a measurement made of?

The words the schema of :mod:`streams.measurements` is written in: tags, fields and their types, and what several measurements share.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

__all__ = [
    "AREA",
    "BUS_TAG",
    "DEV",
    "INTERVAL",
    "NONE",
    "QUALITY_SUFFIX",
    "REV",
    "SEGMENT",
    "SNAPSHOT",
    "Field",
    "FieldType",
    "Measurement",
    "Tag",
    "count",
    "quantity",
    "tag",
    "text",
]

NONE: Final = "none"
"""Value of a tag that does not apply to a line."""

QUALITY_SUFFIX: Final = "_quality"
"""A telemetry quantity that is not Good is accompanied, or where it is Bad replaced, by its status code in a field so named."""


class FieldType(StrEnum):
    """How a field is written: ``1.0``, ``1i`` or ``"text"``."""

    FLOAT = "float"
    INT = "integer"
    TEXT = "string"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tag:
    """What lines are grouped by; ``bounded_by`` says what limits its values."""

    name: str
    title_en: str
    title_zh: str
    bounded_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One column of values; ``unit`` is empty for counts, codes and texts."""

    name: str
    type: FieldType
    unit: str
    title_en: str
    title_zh: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """One table.

    Attributes:
        tags: sorted by name, the order the vendor asks for on the wire.
        time: what the instant of a line is.
        open_fields: whether fields beyond those listed are written too (telemetry carries what the point list names).
    """

    name: str
    title_en: str
    title_zh: str
    time: str
    tags: tuple[Tag, ...]
    fields: tuple[Field, ...]
    open_fields: bool = False

    def field(self, name: str) -> Field:
        """Return a field.

        Raises:
            KeyError: no such field.
        """
        for field in self.fields:
            if field.name == name:
                return field
        raise KeyError(f"measurement {self.name} has no field {name}")


def tag(name: str, title_en: str, title_zh: str, bounded_by: str) -> Tag:
    """Declare a tag."""
    return Tag(name=name, title_en=title_en, title_zh=title_zh, bounded_by=bounded_by)


def quantity(name: str, unit: str, title_en: str, title_zh: str) -> Field:
    """Declare a field of floats."""
    return Field(name=name, type=FieldType.FLOAT, unit=unit, title_en=title_en, title_zh=title_zh)


def count(name: str, title_en: str, title_zh: str) -> Field:
    """Declare a field of whole numbers: a count, a code, or 1 and 0 for yes and no."""
    return Field(name=name, type=FieldType.INT, unit="", title_en=title_en, title_zh=title_zh)


def text(name: str, title_en: str, title_zh: str) -> Field:
    """Declare a field of texts."""
    return Field(name=name, type=FieldType.TEXT, unit="", title_en=title_en, title_zh=title_zh)


AREA: Final = tag("area", "Area", "区域", "control areas of the point list")
BUS_TAG: Final = tag("bus", "Bus", "节点", "buses of the network")
DEV: Final = tag("dev", "Device", "设备", "devices of the point list")
SEGMENT: Final = tag("segment", "Market segment", "市场", "RT, DA, none")
INTERVAL: Final = "start of the interval; a later version of it one nanosecond later"
SNAPSHOT: Final = "instant of the process image"
REV: Final = count("rev", "Revision, 0 for the first", "修订号")
