"""A state that may be larger than a record, kept in a table.

What fits one record is one value, as it is. A larger one is cut: its pieces go under keys of their own, then the value of its key says
which they are. There are two sets of pieces, written in turn, and the set that counts is never touched: a crash between two writes leaves
the state as it was before.
"""

from __future__ import annotations

import zlib
from collections.abc import MutableMapping
from typing import Final

import msgspec

from streams.errors import StoreError

__all__ = ["PIECE_BYTES", "forget", "keep", "kept"]

PIECE_BYTES: Final = 500_000
"""Largest value in one piece: half of what a broker takes by default."""

_MARK: Final = b"\xc1"
"""No MessagePack and no JSON begins with it."""


class _Head(msgspec.Struct, array_like=True):
    generation: int
    pieces: int
    crc: int


_HEAD: Final = msgspec.msgpack.Decoder(_Head)


def keep(table: MutableMapping[bytes, bytes], key: bytes, value: bytes) -> None:
    """Write a value; pieces of a larger one before it stay behind, and mean nothing."""
    if len(value) <= PIECE_BYTES:
        table[key] = value
        return
    before = _head(table.get(key))
    generation = 0 if before is None else 1 - before.generation
    starts = range(0, len(value), PIECE_BYTES)
    for number, start in enumerate(starts):
        table[_piece(key, generation, number)] = value[start : start + PIECE_BYTES]
    table[key] = _MARK + msgspec.msgpack.encode(_Head(generation, len(starts), zlib.crc32(value)))


def kept(table: MutableMapping[bytes, bytes], key: bytes) -> bytes | None:
    """Return the value that :func:`keep` wrote last, None where there is none.

    Raises:
        StoreError: a piece is missing or is not what was written: an invariant is broken, and the worker must not go on.
    """
    value = table.get(key)
    head = _head(value)
    if head is None:
        return value
    whole = b"".join(table.get(_piece(key, head.generation, number)) or b"" for number in range(head.pieces))
    if zlib.crc32(whole) != head.crc:
        raise StoreError(f"the state kept of {key!r} is not what was written; restore the log from a copy")
    return whole


def forget(table: MutableMapping[bytes, bytes], key: bytes) -> None:
    """Take a value out of the table, with its pieces."""
    for generation in (0, 1):
        number = 0
        while table.pop(_piece(key, generation, number), None) is not None:
            number += 1
    table.pop(key, None)


def _head(value: bytes | None) -> _Head | None:
    return _HEAD.decode(value[1:]) if value is not None and value.startswith(_MARK) else None


def _piece(key: bytes, generation: int, number: int) -> bytes:
    return b"%s\x00%d/%d" % (key, generation, number)
