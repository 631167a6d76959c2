"""What is one record of the embedded log, and how is damage to it noticed?

A record is stored as the columns of one row, so that any SQLite shell can read the log, with a CRC-32 over all of them: topic,
partition, offset, write time and the length and bytes of key, value and headers. A changed byte anywhere in the row, a row moved
to another place, and a field that became null or text therefore all show. Kafka's brokers check records the same way; here the
check is made on every read from disk.

Absent on purpose: compression (frames are packed columns of changing floats) and event time. ``ts_write_ms`` is when the record
was written and serves retention only; when something happened stands in the record's value.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, TypeAlias

import msgspec

from streams.errors import DecodeError

__all__ = ["Headers", "Record", "RecordDamaged", "Row", "decode_row", "encode_row", "place_seed", "raise_if_damaged", "stand_in"]

Headers: TypeAlias = tuple[tuple[str, bytes], ...]
Row: TypeAlias = tuple[int, int, bytes | None, bytes | None, bytes | None, int]
"""Offset, write time in ms, key, value, encoded headers, CRC-32."""

_DAMAGED_HEADER = "gridfuse-damaged"
_PREFIX = struct.Struct("<qqqqq")
_NULL = -1
_encode_headers = msgspec.msgpack.Encoder().encode
_decode_headers = msgspec.msgpack.Decoder(tuple[tuple[str, bytes], ...]).decode


class Record(NamedTuple):
    """One record as readers get it.

    Attributes:
        offset: its place in its partition; offsets ascend, with gaps where compaction took records away.
        ts_write_ms: when it was written, UTC ms since the epoch by this machine's clock.
        value: None is a tombstone: the key has no value any more.
    """

    offset: int
    ts_write_ms: int
    key: bytes | None
    value: bytes | None
    headers: Headers = ()


class RecordDamaged(DecodeError):
    """A record whose bytes on disk are not the bytes that were written.

    Attributes:
        raw: the value as found, b"" where nothing could be read; for the dead letter.
    """

    def __init__(self, topic: str, partition: int, offset: int, reason: str, raw: bytes = b"") -> None:
        self.topic = topic
        self.partition = partition
        self.offset = offset
        self.reason = reason
        self.raw = raw
        super().__init__(
            f"record {topic}[{partition}] offset {offset} is damaged on disk ({reason}); "
            "check the disk, and restore the record from a copy of the log if it matters"
        )


def place_seed(topic: str, partition: int) -> int:
    """Return the checksum of a record's place, with which the checksum of each record in it begins."""
    return zlib.crc32(f"{topic}:{partition}".encode())


def _checksum(seed: int, offset: int, ts_write_ms: int, fields: Iterable[bytes | None]) -> int:
    present = [_NULL if field is None else len(field) for field in fields]
    crc = zlib.crc32(_PREFIX.pack(offset, ts_write_ms, *present), seed)
    for field in fields:
        if field:
            crc = zlib.crc32(field, crc)
    return crc


def encode_row(seed: int, record: Record) -> Row:
    """Lay a record out as the row that is stored.

    Args:
        seed: :func:`place_seed` of the record's topic and partition.
    """
    offset, ts_write_ms, key, value, headers = record
    packed = _encode_headers(headers) if headers else None
    return offset, ts_write_ms, key, value, packed, _checksum(seed, offset, ts_write_ms, (key, value, packed))


def decode_row(topic: str, partition: int, seed: int, row: tuple[Any, ...]) -> Record:
    """Read a row back.

    Args:
        row: six columns as SQLite gave them; damage may have changed their types too.

    Raises:
        RecordDamaged: the row is not what was written.
    """
    offset, ts_write_ms, key, value, packed, crc = row
    raw = value if isinstance(value, bytes) else b""
    fields = (key, value, packed)
    if not (isinstance(ts_write_ms, int) and all(field is None or isinstance(field, bytes) for field in fields)):
        raise RecordDamaged(topic, partition, offset, "a column changed its type", raw)
    if _checksum(seed, offset, ts_write_ms, fields) != crc:
        raise RecordDamaged(topic, partition, offset, "checksum differs", raw)
    return Record(offset, ts_write_ms, key, value, _decode_headers(packed) if packed else ())


def stand_in(damage: RecordDamaged) -> Record:
    """Return the record that is delivered in place of a damaged one, so that its offset is accounted for and not skipped.

    An agent's edge turns it back into the error with :func:`raise_if_damaged`.
    """
    return Record(damage.offset, 0, None, damage.raw, ((_DAMAGED_HEADER, damage.reason.encode()),))


def raise_if_damaged(topic: str, partition: int, offset: int, headers: Mapping[str, bytes], value: bytes) -> None:
    """Raise the error that a stand-in record carries; agents call it before they decode. Does nothing for any other record.

    Raises:
        RecordDamaged: the record was damaged on disk; dead-letter it.
    """
    if _DAMAGED_HEADER in headers:
        raise RecordDamaged(topic, partition, offset, headers[_DAMAGED_HEADER].decode(), value)
