"""How do a thousand samples become lines of line protocol in a fraction of a millisecond?

By columns. What is constant about a sample (``telemetry,area=…,element=101,kind=bus kv=``) is prepared once per layout of a source's
frames; the values become text in one call, and one join makes the bytes. The instant of a line is put where a NUL byte keeps its
place, because no name can hold one. A layout is prepared again when a source sends other points, or the same in another order.

A sample of bad quality, or one that is not a finite number, is not written as a value: its status code is written instead, in the
field ``<quantity>_quality``. An uncertain one is written with its status code beside it; a good one has no status code.

Deliberately absent: flags, which the frames on the topic keep; rounding (a float is written in the shortest form that reads back the
same).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from ingest.frame import TelemetryFrame
from ingest.points import PointTable
from ingest.quality import BAD, is_bad
from market.errors import ConfigError, Problem
from market.units import NS_PER_MS
from streams.lineprotocol import tag_value
from streams.measurements import QUALITY_SUFFIX, TELEMETRY

__all__ = ["Encoded", "TelemetryEncoder", "series_key"]

_NOT_NAME: Final = re.compile(r"[^A-Za-z0-9_-]")


class Encoded(NamedTuple):
    """Lines of telemetry, and an account of every sample of the frame.

    Attributes:
        data: the lines, each with its line break.
        lines: how many.
        values: samples written as values.
        withheld: samples written as a status code only: bad quality, or not a finite number.
        unknown: samples of points that are not in the table, not written.
    """

    data: bytes
    lines: int
    values: int
    withheld: int
    unknown: int


def series_key(name: str) -> tuple[str, str, str]:
    """Split a point's name into kind, element and field.

    >>> series_key("branch/A-B/from_mw")
    ('branch', 'A-B', 'from_mw')
    >>> series_key("site/MAIN")
    ('site', 'MAIN', 'value')
    """
    parts = name.split("/")
    if len(parts) == 1:
        return "other", name, "value"
    if len(parts) == 2:
        return parts[0], parts[1], "value"
    quantity = _NOT_NAME.sub("_", parts[-1]) or "value"
    taken = quantity == "time" or quantity in {tag.name for tag in TELEMETRY.tags}
    return parts[0], "/".join(parts[1:-1]), f"value_{quantity}" if taken or not quantity[0].isalnum() else quantity


class _Leads(NamedTuple):
    """What stands before each value of a layout (k,).

    Attributes:
        first: before one that begins a line.
        following: before one that continues a line.
        one_instant: before each where all samples have one instant, with a NUL in its place.
    """

    first: list[bytes]
    following: list[bytes]
    one_instant: list[bytes]


@dataclass(slots=True)
class _Layout:
    """What is constant about the frames of one source while they carry the same points in the same order.

    Attributes:
        point: (n,) the points as they come.
        take: (k,) positions of the known points, by line and field.
        breaks: (k - 1,) whether sample i + 1 begins a line whatever its instant.
        values: what stands before values.
        codes: what stands before status codes, where these take the place of values.
        beside: (k,) what stands between a value and its status code.
        lines: lines of a frame of one instant.
    """

    point: NDArray[np.uint64]
    take: NDArray[np.intp]
    breaks: NDArray[np.bool_]
    values: _Leads
    codes: _Leads
    beside: list[bytes]
    lines: int


class TelemetryEncoder:
    """Encodes the frames of the sources of one point table.

    Raises:
        ConfigError: two points would be the same field of the same series, or a quantity is named like a status code.
    """

    def __init__(self, table: PointTable) -> None:
        self._table = table
        self._layouts: dict[str, _Layout] = {}
        owner: dict[tuple[bytes, str], str] = {}
        problems: list[Problem] = []
        self._head: list[bytes] = []
        self._field: list[bytes] = []
        for spec in table.specs:
            kind, element, quantity = series_key(spec.name)
            values = {"area": spec.area, "dev": spec.device, "element": element, "kind": kind}
            head = (TELEMETRY.name + "".join(f",{tag.name}={tag_value(values[tag.name])}" for tag in TELEMETRY.tags) + " ").encode()
            twin = owner.setdefault((head, quantity), spec.name)
            if twin != spec.name:
                problems.append(Problem(f"device {spec.device}", f"points {twin} and {spec.name} are both field {quantity}; rename one"))
            if quantity.endswith(QUALITY_SUFFIX):
                what = f"point {spec.name}: a quantity may not end in {QUALITY_SUFFIX}, which names status codes; rename it"
                problems.append(Problem(f"device {spec.device}", what))
            self._head.append(head)
            self._field.append(quantity.encode())
        if problems:
            raise ConfigError(problems)

    def encode(self, frame: TelemetryFrame) -> Encoded:
        """Encode a frame; instants are cut to the millisecond."""
        if not len(frame):
            return Encoded(b"", 0, 0, 0, 0)
        layout = self._layouts.get(frame.source)
        if layout is None or (layout.point is not frame.point and not np.array_equal(layout.point, frame.point)):
            layout = self._layouts[frame.source] = self._lay_out(frame.point)
        unknown, known = len(frame) - len(layout.take), len(layout.take)
        if not known:
            return Encoded(b"", 0, 0, 0, unknown)
        value = frame.value[layout.take]
        quality = frame.quality[layout.take]
        ts_ms = frame.ts_event_ns[layout.take] // NS_PER_MS
        leads, lines = _leads(layout, layout.values, ts_ms)
        count = 0
        if not np.count_nonzero(quality) and np.isfinite(value).all():
            texts = _float_texts(value)
        else:
            withheld = is_bad(quality) | ~np.isfinite(value)
            marked = np.flatnonzero(withheld | (quality != 0))
            count = int(np.count_nonzero(withheld))
            texts = _float_texts(np.where(withheld, 0.0, value))
            codes, _ = _leads(layout, layout.codes, ts_ms)
            leads = leads.copy()
            # A number that is not finite, though it came as Good, is Bad to us.
            told = np.where(withheld & (quality >> 31 == 0), np.uint32(BAD), quality)
            words = {code: b"%di" % code for code in np.unique(told[marked]).tolist()}
            for i, code, instead in zip(marked.tolist(), told[marked].tolist(), withheld[marked].tolist(), strict=True):
                if instead:
                    leads[i], texts[i] = codes[i], words[code]
                else:
                    texts[i] += layout.beside[i] + words[code]
        pieces = [b" \x00\n"] * (2 * known + 1)
        pieces[0:-1:2], pieces[1::2] = leads, texts
        data = b"".join(pieces)
        return Encoded(data.replace(b"\x00", b"%d000000" % ts_ms[-1]), lines, known - count, count, unknown)

    def _lay_out(self, point: NDArray[np.uint64]) -> _Layout:
        rows = self._table.rows(point)
        known = [i for i in range(len(point)) if rows[i] >= 0]
        # Sorted by line, then field; stable, so that of two samples of one point and instant the later one is written last and stays.
        take = sorted(known, key=lambda i: (self._head[rows[i]], self._field[rows[i]]))
        chosen = [int(rows[i]) for i in take]
        breaks = [self._head[a] != self._head[b] or a == b for a, b in pairwise(chosen)]
        suffix = QUALITY_SUFFIX.encode()
        heads, names = [self._head[row] for row in chosen], [self._field[row] for row in chosen]
        return _Layout(
            point=point.copy() if point.flags.writeable else point,
            take=np.array(take, dtype=np.intp),
            breaks=np.array(breaks, dtype=np.bool_),
            values=_leads_of(heads, names, breaks),
            codes=_leads_of(heads, [name + suffix for name in names], breaks),
            beside=[b",%b%b=" % (name, suffix) for name in names],
            lines=1 + sum(breaks),
        )


def _leads_of(heads: list[bytes], names: list[bytes], breaks: list[bool]) -> _Leads:
    """Return what stands before values of fields of these names; ``breaks`` as in a layout."""
    first = [b"%b%b=" % pair for pair in zip(heads, names, strict=True)]
    following = [b",%b=" % name for name in names]
    one_instant = [first[i] if i == 0 else (b" \x00\n" + first[i] if breaks[i - 1] else following[i]) for i in range(len(names))]
    return _Leads(first, following, one_instant)


def _leads(layout: _Layout, leads: _Leads, ts_ms: NDArray[np.int64]) -> tuple[list[bytes], int]:
    """Return what stands before each value, not to be changed, and the number of lines.

    The instant of the last line is left to the caller, and so are all that are a NUL.
    """
    if (ts_ms == ts_ms[0]).all():
        return leads.one_instant, layout.lines
    ends = np.flatnonzero(layout.breaks | (ts_ms[1:] != ts_ms[:-1]))
    begins, instants = (ends + 1).tolist(), ts_ms[ends].tolist()
    words = {instant: b" %d000000\n" % instant for instant in set(instants)}
    found = leads.following.copy()
    found[0] = leads.first[0]
    for i, instant in zip(begins, instants, strict=True):
        found[i] = words[instant] + leads.first[i]
    return found, len(begins) + 1


def _float_texts(values: NDArray[np.float64]) -> list[bytes]:
    """Write finite floats, each in the shortest form that reads back the same."""
    return msgspec.json.encode(values.tolist())[1:-1].split(b",")
