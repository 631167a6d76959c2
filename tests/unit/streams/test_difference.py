"""Two records side by side: what differs is named by its path, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from streams.difference import differences


@dataclass
class Inner:
    mw: float
    names: tuple[str, ...] = ()


@dataclass
class Outer:
    inner: Inner
    by_bus: dict[str, float]


def outer(mw: float = 1.0, names: tuple[str, ...] = ("a", "b"), **by_bus: float) -> Outer:
    return Outer(Inner(mw, names), {"1": 10.0, **by_bus})


@pytest.mark.parametrize(
    ("old", "new", "lines"),
    [
        (outer(), outer(), ()),
        (outer(float("nan")), outer(float("nan")), ()),
        (outer(), outer(2.0), ("inner.mw: recorded 1.0, recomputed 2.0",)),
        (outer(), outer(names=("a", "c")), ("inner.names[1]: recorded b, recomputed c",)),
        (outer(), outer(names=("a",)), ("inner.names[1]: recorded b, recomputed –",)),
        (outer(), outer(x=3.0), ("by_bus.x: recorded –, recomputed 3.0",)),
        (1, "1", ("record: recorded 1, recomputed 1",)),
        (np.array([1.0, np.nan, 3.0]), np.array([1.0, np.nan, 4.0]), ("[2]: recorded 3.0, recomputed 4.0",)),
        (np.zeros(2), np.zeros(3), (": recorded 2 values, recomputed 3",)),
    ],
)
def test_what_differs_is_named_by_its_path(old: object, new: object, lines: tuple[str, ...]) -> None:
    assert differences(old, new) == lines


def test_many_are_counted() -> None:
    assert differences(list(range(100)), list(range(1, 101)), most=3)[-1] == "and 97 more"
