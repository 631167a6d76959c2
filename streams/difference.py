"""How do two records of one kind differ? Field by field, by path, for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from itertools import islice, zip_longest
from typing import Any, Final

import numpy as np

__all__ = ["differences"]

_MOST: Final = 12
_ABSENT: Final = "–"


def differences(recorded: Any, recomputed: Any, most: int = _MOST) -> tuple[str, ...]:
    """Name what differs, one line a value, at most ``most`` and then how many more.

    >>> differences({"a": 1, "b": [1, 2]}, {"a": 1, "b": [1, 3], "c": 0})
    ('b[1]: recorded 2, recomputed 3', 'c: recorded –, recomputed 0')
    """
    found = _walk("", recorded, recomputed)
    shown = list(islice(found, most))
    more = sum(1 for _ in found)
    return (*shown, *([f"and {more} more"] if more else []))


def _walk(path: str, old: Any, new: Any) -> Iterator[str]:
    if type(old) is not type(new):
        yield _line(path, old, new)
    elif isinstance(old, np.ndarray):
        yield from _arrays(path, old, new)
    elif is_dataclass(old):
        for spec in fields(old):
            yield from _walk(_joined(path, spec.name), getattr(old, spec.name), getattr(new, spec.name))
    elif isinstance(old, Mapping):
        for key in sorted({*old, *new}, key=str):
            yield from _walk(_joined(path, str(key)), old.get(key, _ABSENT), new.get(key, _ABSENT))
    elif isinstance(old, Sequence) and not isinstance(old, str | bytes):
        for i, (one, other) in enumerate(zip_longest(old, new, fillvalue=_ABSENT)):
            yield from _walk(f"{path}[{i}]", one, other)
    elif old != new and not (old != old and new != new):
        yield _line(path, old, new)


def _arrays(path: str, old: Any, new: Any) -> Iterator[str]:
    if old.shape != new.shape:
        yield f"{path}: recorded {len(old)} values, recomputed {len(new)}"
        return
    same = (old == new) | (np.isnan(old) & np.isnan(new)) if old.dtype.kind == "f" else old == new
    for i in np.flatnonzero(~same).tolist():
        yield _line(f"{path}[{i}]", old[i], new[i])


def _joined(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _line(path: str, old: Any, new: Any) -> str:
    return f"{path or 'record'}: recorded {old}, recomputed {new}"
