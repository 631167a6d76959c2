"""An incident in one file: a span of every topic with the states it began from and the settings it ran under, to be replayed elsewhere.

A zip file with ``manifest.json``; ``settings/``, the service's settings without addresses and secrets, its point list and network;
``base/``, the encoded states at the beginning of the span; and ``topics/NAME/PARTITION``, records one after the other, each with a CRC-32
over its place and its bytes, so that a file that was cut or altered on its way is noticed at the record.

The span is of event time. Inputs are cut at it; of what came out of them a little more is kept, because an answer is later than its
question.
"""

from __future__ import annotations

import json
import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final, Self

from market.errors import ConfigError, Problem
from market.units import NS_PER_MIN
from market.version import CODE
from streams import topics, wire
from streams.errors import DecodeError
from streams.identity import instant_of
from streams.marketmodel import MarketModel
from streams.replay import Base, RecordSource, Span, base_before
from streams.topics import TOPICS
from streams.transport.records import Record, RecordDamaged, place_seed

__all__ = ["Archive", "write_archive"]

_FORMAT: Final = 1
_HEAD: Final = struct.Struct("<qqiiI")
"""Offset, write time in ms, length of key and of value (-1 for none), CRC-32."""

_NONE: Final = -1
_MARGIN_NS: Final = 15 * NS_PER_MIN
"""Kept of answers after the end of the span."""

_CROSSWISE_NS: Final = 5 * NS_PER_MIN
"""How much later than its neighbours a record may stand."""

_INPUTS: Final = (topics.FRAMES, topics.SNAPSHOTS, topics.INPUTS, topics.FACTS)


@dataclass(frozen=True, slots=True)
class _Cut:
    """Offsets of one partition: ``start`` to before ``stop`` are kept; records before ``done`` were dealt with."""

    start: int
    stop: int
    done: int


def write_archive(path: Path, source: RecordSource, model: MarketModel, span: Span, settings: dict[str, bytes]) -> dict[str, Any]:
    """Write a span of a recording.

    Args:
        path: the file; one that is there is replaced.
        source: the recording, from its beginning.
        model: the grid and the rules of the recording.
        span: event time.
        settings: name → content of the files a replay reads: ``gridfuse.yaml`` and what it names.

    Returns:
        The manifest.

    Raises:
        ConfigError: nothing was recorded in the span.
    """
    cuts = {(topic.name, number): _cut(source, topic, number, span) for topic in TOPICS for number in range(source.partitions(topic.name))}
    if all(cut.start == cut.stop for (name, _), cut in cuts.items() if name == topics.FACTS.name):
        raise ConfigError([Problem(str(path), "nothing was recorded in this span; choose another with --from and --to")])
    base = base_before(source, model, {place: cut.start for place, cut in cuts.items()})
    manifest: dict[str, Any] = {
        "format": _FORMAT,
        "code": CODE,
        "rule_set": model.grid.rules.id,
        "from_ns": span.from_ns,
        "to_ns": span.to_ns,
        "topics": {},
    }
    draft = path.with_suffix(path.suffix + ".draft")
    with zipfile.ZipFile(draft, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        for name, content in sorted(settings.items()):
            archive.writestr(f"settings/{name}", content)
        for name, state in _states(base):
            archive.writestr(f"base/{name}", state)
        for (name, number), cut in cuts.items():
            with archive.open(f"topics/{name}/{number}", "w", force_zip64=True) as out:
                count = _copy(source, name, number, cut, out)
            manifest["topics"].setdefault(name, {})[str(number)] = {
                "start": cut.start,
                "stop": cut.stop,
                "done": cut.done,
                "records": count,
            }
        archive.writestr("manifest.json", json.dumps(manifest, indent=1))
    draft.replace(path)
    return manifest


def _cut(source: RecordSource, topic: topics.Topic, partition: int, span: Span) -> _Cut:
    """Find the offsets of a span: from the first record in it to behind the last one; times within a partition run a little crosswise."""
    to_ns = span.to_ns if topic in _INPUTS else span.to_ns + _MARGIN_NS
    start, stop, end = None, 0, 0
    for record in source.records(topic.name, partition):
        end = record.offset + 1
        try:
            ts_ns = instant_of(wire.decode(topic, record.value or b""))
        except DecodeError:
            continue
        if start is None and span.from_ns <= ts_ns < to_ns:
            start = record.offset
        if ts_ns < to_ns:
            stop = record.offset + 1
        elif ts_ns >= to_ns + _CROSSWISE_NS:
            break
    if start is None:
        return _Cut(end, end, end)
    return _Cut(start, stop, min(stop, source.done(topic.name, partition)))


def _copy(source: RecordSource, topic: str, partition: int, cut: _Cut, out: IO[bytes]) -> int:
    count, seed = 0, place_seed(topic, partition)
    for record in source.records(topic, partition, cut.start):
        if record.offset >= cut.stop:
            break
        out.write(_packed(seed, record))
        count += 1
    return count


def _packed(seed: int, record: Record) -> bytes:
    lengths = (_NONE if record.key is None else len(record.key), _NONE if record.value is None else len(record.value))
    body = (record.key or b"") + (record.value or b"")
    return _HEAD.pack(record.offset, record.ts_write_ms, *lengths, _crc(seed, record.offset, record.ts_write_ms, lengths, body)) + body


def _crc(seed: int, offset: int, ts_write_ms: int, lengths: tuple[int, int], body: bytes) -> int:
    return zlib.crc32(body, zlib.crc32(struct.pack("<qqii", offset, ts_write_ms, *lengths), seed))


def _states(base: Base) -> Iterator[tuple[str, bytes]]:
    if base.breaker is not None:
        yield "breaker", base.breaker
    if base.grid is not None:
        yield "grid", base.grid
    yield from ((f"held/{area}", raw) for area, raw in sorted(base.held.items()))
    yield from ((f"intake/{area}", raw) for area, raw in sorted(base.intake.items()))


class Archive:
    """A span of a recording, opened for a replay (:class:`streams.replay.RecordSource`). Use it as a context manager.

    Raises:
        ConfigError: not such a file, or of a later format.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._zip = zipfile.ZipFile(path)
            self.manifest: dict[str, Any] = json.loads(self._zip.read("manifest.json"))
        except (OSError, KeyError, ValueError, zipfile.BadZipFile) as exc:
            raise ConfigError([Problem(str(path), f"is no archive of `gridfuse export`: {exc}")]) from exc
        if self.manifest.get("format") != _FORMAT:
            what = f"is of format {self.manifest.get('format')}; this release reads format {_FORMAT}"
            raise ConfigError([Problem(str(path), what)])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._zip.close()

    @property
    def span(self) -> Span:
        """The event time it was cut to."""
        return Span(from_ns=self.manifest["from_ns"], to_ns=self.manifest["to_ns"])

    def settings(self, directory: Path) -> Path:
        """Write the settings into a directory and return the path of the first file."""
        for name in self._zip.namelist():
            if name.startswith("settings/") and ".." not in name:
                target = directory / name.removeprefix("settings/")
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(self._zip.read(name))
        return directory / "gridfuse.yaml"

    def base(self) -> Base:
        """Return the states at the beginning of the span."""
        names = self._zip.namelist()

        def by_area(kind: str) -> dict[str, bytes]:
            head = f"base/{kind}/"
            return {name.removeprefix(head): self._zip.read(name) for name in names if name.startswith(head)}

        one = {kind: self._zip.read(f"base/{kind}") if f"base/{kind}" in names else None for kind in ("breaker", "grid")}
        return Base(breaker=one["breaker"], grid=one["grid"], held=by_area("held"), intake=by_area("intake"))

    def partitions(self, topic: str) -> int:
        """Return how many partitions of a topic there are."""
        return len(self.manifest["topics"].get(topic, {}))

    def done(self, topic: str, partition: int) -> int:
        """Return the offset before which every record was dealt with."""
        return int(self.manifest["topics"][topic][str(partition)]["done"])

    def records(self, topic: str, partition: int, start: int = 0) -> Iterator[Record]:
        """Yield the records of one partition in order, from an offset on.

        Raises:
            RecordDamaged: the file was cut or altered here.
        """
        seed, last = place_seed(topic, partition), -1
        with self._zip.open(f"topics/{topic}/{partition}") as data:
            while head := data.read(_HEAD.size):
                if len(head) < _HEAD.size:
                    raise RecordDamaged(topic, partition, last + 1, "the archive was cut")
                offset, ts_ms, key_n, value_n, crc = _HEAD.unpack(head)
                body = data.read(max(key_n, 0) + max(value_n, 0))
                if _crc(seed, offset, ts_ms, (key_n, value_n), body) != crc:
                    raise RecordDamaged(topic, partition, last + 1, "checksum differs")
                last = offset
                if offset >= start:
                    split = max(key_n, 0)
                    yield Record(offset, ts_ms, None if key_n < 0 else body[:split], None if value_n < 0 else body[split:])
