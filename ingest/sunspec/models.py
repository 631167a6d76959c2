"""Where does a SunSpec model keep a point, of which type, and with which scale factor?

A model is a stretch of holding registers that begins with its number (``ID``) and its length (``L``). What follows is laid out by the
JSON that the SunSpec Alliance publishes with pysunspec2 (Apache-2.0): points in order, then groups of points in order, which may hold
groups. A group may come several times in a row, as often as one of the model's points says (``NPrt``), or to the end of the model
(``count`` 0). ``models.zip`` holds that JSON for the models of meters, inverters, storage and their modules.

A point is named by its path: ``W``; ``PFWInj.PF`` in a group that comes once; ``module[2].DCW`` in the second of a group that repeats,
or ``DCW[2]`` where one group alone has such a point. Indices count from 1.

Absent on purpose: what only the device knows. The place of a group that lies behind another of unknown number, and of the second of a
group that holds such a one, would have to be read from the device first (the second curve of 705, the ``MayTrip`` curves of 707).
"""

from __future__ import annotations

import difflib
import io
import itertools
import json
import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Final

__all__ = ["SunspecError", "SunspecModel", "SunspecPoint", "known_models", "read_model"]

_Group = Mapping[str, Any]
"""A group as the JSON has it."""

_STEP: Final = re.compile(r"(\w+)(?:\[(\d+)\])?")
_INDEX: Final = re.compile(r"\[\d+\]")
_FILE: Final = re.compile(r"model_(\d+)\.json")


class SunspecError(ValueError):
    """A model has no such point, or its place cannot be known; names the remedy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SunspecPoint:
    """A point of a model.

    Attributes:
        offset: of its first register, from the model's ``ID``.
        type: as SunSpec calls it.
        size: registers.
        factor: offset of the register with its power of ten; None where it has none.
        unit: as SunSpec calls it; empty where it has none.
        symbols: number and name of what an enumeration may be.
        writable: whether the model lets it be written.
    """

    offset: int
    type: str
    size: int
    factor: int | None
    unit: str
    symbols: tuple[tuple[int, str], ...]
    writable: bool


class SunspecModel:
    """One model.

    Attributes:
        number: as its ``ID`` says.
    """

    def __init__(self, number: int, group: _Group) -> None:
        self.number = number
        self._group = group

    def point(self, path: str) -> SunspecPoint:
        """Return a point by its path.

        Raises:
            SunspecError: there is none, or its place depends on the device.
        """
        steps = [_STEP.fullmatch(step) for step in path.split(".")]
        found = [(step[1], None if step[2] is None else int(step[2])) for step in steps if step is not None]
        if len(found) < len(steps):
            raise SunspecError(f"{path!r} is no path of a SunSpec point; write `W`, `PFWInj.PF` or `module[2].DCW`")
        *groups, (name, index) = found
        if not groups and index is not None:
            groups, index = [(self._group_with(name, path), index)], None
        if index is not None:
            raise SunspecError(f"{path!r} gives an index to a point; groups have one, as in `module[2].DCW`")
        return self._walk(groups, name, path)

    def paths(self) -> Iterator[str]:
        """Yield the path of every point, ``[n]`` standing for the index of a group that repeats."""
        yield from _paths(self._group, "")

    def _group_with(self, name: str, path: str) -> str:
        """Return which repeating group ``DCW[2]`` is short for."""
        having = [g["name"] for g in self._group.get("groups", ()) if "count" in g and _named(g.get("points", ()), name) is not None]
        if len(having) == 1:
            return str(having[0])
        if having:
            raise SunspecError(f"{path!r} may be in {' or '.join(having)}; write `{having[0]}[..].{name}`")
        raise SunspecError(f"SunSpec model {self.number} repeats no {name!r}{self._near(path)}")

    def _walk(self, groups: Sequence[tuple[str, int | None]], name: str, path: str) -> SunspecPoint:
        """Go down the groups to a point; ``within`` are the groups passed, with their offsets."""
        group: _Group = self._group
        start = 0
        within: list[tuple[_Group, int]] = [(group, start)]
        for wanted, index in groups:
            start += self._before(group, wanted, path)
            inner = _named(group["groups"], wanted)
            assert inner is not None
            if ("count" in inner) != (index is not None):
                what = "repeats; give an index, from 1" if index is None else "comes once; give no index"
                raise SunspecError(f"{wanted} of SunSpec model {self.number} {what}, in {path!r}")
            if index is not None:
                count = inner["count"]
                if index < 1 or (isinstance(count, int) and 0 < count < index):
                    raise SunspecError(
                        f"{path!r} is none: {wanted} is counted from 1{f' to {count}' if isinstance(count, int) and count else ''}"
                    )
                start += (index - 1) * (self._size(inner, path) if index > 1 else 0)
            group = inner
            within.append((group, start))
        point = _named(group.get("points", ()), name)
        if point is None:
            raise SunspecError(f"SunSpec model {self.number} has no point {path!r}{self._near(path)}")
        return SunspecPoint(
            offset=start + _offset(group, name),
            type=point["type"],
            size=point["size"],
            factor=self._factor(point.get("sf"), within),
            unit=point.get("units", ""),
            symbols=tuple((symbol["value"], symbol["name"]) for symbol in point.get("symbols", ())),
            writable=point.get("access") == "RW",
        )

    def _before(self, group: _Group, wanted: str, path: str) -> int:
        """Return how far into a group one of its groups begins."""
        if _named(group.get("groups", ()), wanted) is None:
            raise SunspecError(f"SunSpec model {self.number} has no point {path!r}{self._near(path)}")
        passed = _own_size(group)
        for inner in group["groups"]:
            if inner["name"] == wanted:
                break
            passed += self._whole_size(inner, path)
        return passed

    def _whole_size(self, group: _Group, path: str) -> int:
        """Return the registers of all of a group."""
        count = group.get("count", 1)
        if not isinstance(count, int) or count == 0:
            raise SunspecError(
                f"{path!r} lies behind {group['name']}, and how many of those there are only the device knows; give its `reg`"
            )
        return int(count) * self._size(group, path)

    def _size(self, group: _Group, path: str) -> int:
        """Return the registers of one of a group."""
        return _own_size(group) + sum(self._whole_size(inner, path) for inner in group.get("groups", ()))

    def _factor(self, name: str | None, within: Sequence[tuple[_Group, int]]) -> int | None:
        """Return the offset of a scale factor: the nearest of its name, from the point's own group outwards."""
        if name is None:
            return None
        group, start = next((group, start) for group, start in reversed(within) if _named(group.get("points", ()), name) is not None)
        return start + _offset(group, name)

    def _near(self, path: str) -> str:
        """Return what may have been meant, as the end of a sentence."""
        known = [each.replace("[n]", "[1]") for each in self.paths()]
        bare: dict[str, str] = {}
        for each in known:
            name = _INDEX.sub("", each).lower()
            bare.setdefault(name, each)
            bare.setdefault(name.rpartition(".")[2], each)
        near = [bare[name] for name in difflib.get_close_matches(_INDEX.sub("", path).lower(), bare, n=3)]
        meant = list(dict.fromkeys(near))
        return f"; did you mean {' or '.join(meant)}?" if meant else f"; it has {', '.join(known[2:8])} ..."


@cache
def known_models() -> tuple[int, ...]:
    """Return the numbers of the models that are shipped."""
    with _archive() as archive:
        return tuple(int(found[1]) for name in archive.namelist() if (found := _FILE.fullmatch(name)))


@cache
def read_model(number: int) -> SunspecModel:
    """Return a model.

    Raises:
        SunspecError: it is not shipped.
    """
    known = known_models()
    if number not in known:
        raise SunspecError(
            f"SunSpec model {number} is not among those Gridfuse has: {', '.join(map(str, known))}; give each point its `reg`"
        )
    with _archive() as archive:
        return SunspecModel(number, json.loads(archive.read(f"model_{number}.json"))["group"])


def _archive() -> zipfile.ZipFile:
    return zipfile.ZipFile(io.BytesIO(resources.files("ingest.sunspec").joinpath("models.zip").read_bytes()))


def _named(items: Sequence[Mapping[str, Any]], name: str | None) -> Mapping[str, Any] | None:
    return next((item for item in items if item["name"] == name), None)


def _own_size(group: _Group) -> int:
    """Return the registers of a group's points, without its groups."""
    return sum(int(point["size"]) for point in group.get("points", ()))


def _offset(group: _Group, name: str) -> int:
    """Return how far into a group one of its points begins."""
    return sum(int(point["size"]) for point in itertools.takewhile(lambda point: point["name"] != name, group["points"]))


def _paths(group: _Group, prefix: str) -> Iterator[str]:
    for point in group.get("points", ()):
        yield prefix + point["name"]
    for inner in group.get("groups", ()):
        yield from _paths(inner, f"{prefix}{inner['name']}{'[n]' if 'count' in inner else ''}.")
