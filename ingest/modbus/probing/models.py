"""Which SunSpec models does a device keep, and where?

The first two registers of the models say "SunS", at one of three addresses the specification names; some makers count them from 1 and
put them one further. Behind the marker stand the models, each with its number and its length, up to one with the number 0xFFFF.

What is in a model, :mod:`ingest.sunspec.models` knows; what of it a device has, its registers say: each type has a value that means
that there is none.

Values in, values out: no clock, no connection.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from ingest.devices import Kind
from ingest.modbus.attributes import text_of
from ingest.modbus.frames import REGISTERS_MAX
from ingest.modbus.probing.asks import Asker, Asking, Said
from ingest.sunspec.models import SunspecError, known_models, read_model

__all__ = ["ModelFound", "SunspecFound", "find_models", "points_of"]

_MARKER: Final = b"SunS"
_MARKED: Final = (40_000, 0, 50_000, 40_001, 1, 50_001)
_END: Final = 0xFFFF
_MODELS_MAX: Final = 64
_BLOCKS_MAX: Final = 8
"""Readings of one model: longer ones are curves and lists, and their first part says enough."""

_NOT_THERE: Final = {
    "int16": b"\x80\x00",
    "uint16": b"\xff\xff",
    "enum16": b"\xff\xff",
    "bitfield16": b"\xff\xff",
    "acc16": bytes(2),
    "count": b"\xff\xff",
    "int32": b"\x80\x00\x00\x00",
    "uint32": b"\xff" * 4,
    "enum32": b"\xff" * 4,
    "bitfield32": b"\xff" * 4,
    "acc32": bytes(4),
    "float32": b"\x7f\xc0\x00\x00",
    "int64": b"\x80" + bytes(7),
    "uint64": b"\xff" * 8,
    "bitfield64": b"\xff" * 8,
    "acc64": bytes(8),
    "float64": b"\x7f\xf8" + bytes(6),
}
"""What each type says where there is no value (SunSpec Device Information Model Specification 1.1)."""

_TEXTS: Final = ("Mn", "Md", "Opt", "Vr", "SN")


@dataclass(frozen=True, slots=True)
class ModelFound:
    """One model.

    Attributes:
        at: wire address of its number.
        length: registers behind its number and length.
    """

    model: int
    at: int
    length: int
    words: Mapping[int, int] = field(repr=False, default_factory=dict)


@dataclass(frozen=True, slots=True)
class SunspecFound:
    """The models of a device.

    Attributes:
        at: wire address of the marker.
        texts: what model 1 says of the device, by SunSpec's name of it.
        is_whole: whether the end of the models was found.
    """

    at: int
    models: tuple[ModelFound, ...]
    texts: Mapping[str, str]
    is_whole: bool


def find_models(asker: Asker, unit: int) -> Asking[SunspecFound | None]:
    """Look for the marker, and go from model to model; None where there is no marker.

    Raises:
        Spent: the cap of requests is reached.
    """
    for at in _MARKED:
        reply = yield from asker.read(unit, Kind.HOLDING, at, 2)
        if isinstance(reply, Said) and reply.data == _MARKER:
            break
    else:
        return None
    models: list[ModelFound] = []
    texts: dict[str, str] = {}
    here, is_whole = at + 2, False
    while len(models) < _MODELS_MAX and here + 2 <= 65_536:
        reply = yield from asker.read(unit, Kind.HOLDING, here, 2)
        if not isinstance(reply, Said):
            break
        number, length = (int.from_bytes(reply.data[k : k + 2], "big") for k in (0, 2))
        if number == _END or (number == 0 and length == 0):
            is_whole = True
            break
        words = (yield from _words(asker, unit, here, length + 2)) if number in known_models() else {}
        models.append(ModelFound(number, here, length, words))
        if number == 1:
            texts = _texts(words, here)
        here += length + 2
    return SunspecFound(at, tuple(models), texts, is_whole)


def _words(asker: Asker, unit: int, at: int, size: int) -> Asking[dict[int, int]]:
    """Read a model, as far as it can be; by address."""
    words: dict[int, int] = {}
    for start in range(at, min(at + size, at + _BLOCKS_MAX * REGISTERS_MAX, 65_536), REGISTERS_MAX):
        count = min(REGISTERS_MAX, at + size - start, 65_536 - start)
        most = count
        done = 0
        while done < count:
            part = min(most, count - done)
            reply = yield from asker.read(unit, Kind.HOLDING, start + done, part)
            if isinstance(reply, Said):
                words |= {start + done + k: int.from_bytes(reply.data[2 * k : 2 * k + 2], "big") for k in range(part)}
                done += part
            elif most > 8:
                most = most // 2
            else:
                return words
    return words


def _texts(words: Mapping[int, int], at: int) -> dict[str, str]:
    model = read_model(1)
    said = {}
    for name in _TEXTS:
        found = model.point(name)
        raw = b"".join(words.get(at + found.offset + k, 0).to_bytes(2, "big") for k in range(found.size))
        if text := text_of(raw):
            said[name] = text
    return said


def points_of(found: ModelFound) -> list[tuple[str, str]]:
    """Return path and unit of the points that a device has of a model: numbers that are there, and no scale factors."""
    if found.model == 1 or found.model not in known_models():
        return []
    model = read_model(found.model)
    points = []
    for path in model.paths():
        if "[n]" in path or path in ("ID", "L"):
            continue
        try:
            point = model.point(path)
        except SunspecError:
            continue  # it lies behind a group of unknown number
        absent = _NOT_THERE.get(point.type)
        if absent is None or point.offset + point.size > found.length + 2:
            continue
        words = [found.words.get(found.at + point.offset + k) for k in range(point.size)]
        raw = b"".join(word.to_bytes(2, "big") for word in words if word is not None)
        if len(raw) == 2 * point.size and raw != absent:
            points.append((path, point.unit))
    return points
