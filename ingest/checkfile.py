"""How does a point list say what a point cannot do: its keys ``rate``, ``frozen`` and ``counter``?

:mod:`ingest.pointlist` describes them to who writes a list.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final, Protocol

from pydantic import BeforeValidator

from ingest.devices import DataType
from ingest.pointchecks import CounterCheck, PointChecks
from ingest.yamlfile import DurationNs, Strict

__all__ = ["CounterKey", "CounterModel", "Frozen", "Rate", "check_counter", "checks_of"]

_RATE: Final = re.compile(r"(\d+(?:\.\d+)?(?:[eE][-+]?\d+)?)\s*/\s*(s|min|m|h)")
_SECONDS: Final = {"s": 1.0, "min": 60.0, "m": 60.0, "h": 3600.0}
_POWER: Final = re.compile(r"(\d+)\s*(?:\*\*|\^)\s*(\d+)")
_MODULUS_MAX: Final = 2**64

_SIZES: Final = {"uint16": 2**16, "uint32": 2**32, "uint64": 2**64, "bcd16": 10**4, "bcd32": 10**8, "bcd64": 10**16}
"""How many counts the types have that makers count with, by their name in a point list."""

_BITS_PER_REGISTER: Final = 16


def _rate_per_s(value: object) -> float:
    found = _RATE.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is None:
        raise ValueError(f"{value!r} is not a rate of change; write engineering units and a time, as in 50/s, 3.5/m or 100/h")
    per_s = float(found[1]) / _SECONDS[found[2]]
    if not 0.0 < per_s < math.inf:
        raise ValueError(f"{value!r} is a rate that nothing or everything keeps; give a number above 0")
    return per_s


def _modulus(value: object) -> int:
    found = _POWER.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is not None and int(found[1]) <= _MODULUS_MAX and int(found[2]) <= _MODULUS_MAX.bit_length():
        value = int(found[1]) ** int(found[2])
    if isinstance(value, bool) or not isinstance(value, int) or not 2 <= value <= _MODULUS_MAX:
        raise ValueError(f"{value!r} is not the size of a counter; write how many counts it has, as in 2**32, 10**6 or 1000000")
    return value


def _max_power(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0.0 < value < math.inf:
        raise ValueError(f"{value!r} is not a power; give the most units it can count in an hour: MW for MWh, kW for kWh")
    return float(value)


class CounterModel(Strict):
    """How a point counts."""

    modulus: Annotated[int | None, BeforeValidator(_modulus)] = None
    max_power: Annotated[float | None, BeforeValidator(_max_power)] = None
    difference: str | None = None


def _counter(value: object) -> Any:
    if value is True:
        return {}
    if not isinstance(value, Mapping | CounterModel):
        raise ValueError(f"{value!r} does not say how it counts; write `true`, or {{modulus: 2**32, max_power: 500}}")
    return value


CounterKey = Annotated[CounterModel, BeforeValidator(_counter)]
"""``counter``: ``true`` or what is known of it."""

Rate = Annotated[float, BeforeValidator(_rate_per_s)]
"""``rate``: engineering units per second, written with the time they are for."""

Frozen = DurationNs
"""``frozen``: event time, ns."""


def check_counter(counter: CounterModel, kind: DataType | None) -> None:
    """Check that a point can count so.

    Args:
        kind: its type; None where only the device knows.

    Raises:
        ValueError: it cannot, with the remedy.
    """
    if kind is None:
        if counter.modulus is None:
            raise ValueError("a node does not say how large its counter is; give `counter: {modulus: 2**32}`, or whatever its maker says")
        return
    if kind.is_float:
        raise ValueError(f"a {kind} is no counter: its last counts are lost long before it is full; remove `counter`")
    if kind is DataType.BOOL:
        raise ValueError("one bit is no counter; remove `counter`")
    if counter.modulus is None and kind not in _SIZES:
        raise ValueError(f"{kind} does not say how large the counter is; give `counter: {{modulus: 2**31}}`, or whatever its maker says")
    holds = _SIZES.get(kind, 2 ** (_BITS_PER_REGISTER * kind.registers))
    if counter.modulus is not None and counter.modulus > holds:
        raise ValueError(f"{kind} holds {holds} counts and never {counter.modulus}; give the modulus that its maker says")


class _Checked(Protocol):
    rate: float | None
    frozen: int | None
    counter: CounterModel | None


def checks_of(model: _Checked, kind: DataType | None, filled: Callable[[str], str]) -> PointChecks | None:
    """Return what a point of the list asks for; None where that is nothing.

    Args:
        model: its entry, which :func:`check_counter` has found right.
        kind: its type; None where only the device knows.
        filled: fills a name's placeholders in.
    """
    if model.rate is None and model.frozen is None and model.counter is None:
        return None
    counter = None
    if model.counter is not None:
        size = _SIZES.get(kind, _MODULUS_MAX) if kind is not None else _MODULUS_MAX
        name = model.counter.difference
        counter = CounterCheck(
            modulus=model.counter.modulus or size,
            max_per_h=model.counter.max_power,
            difference=None if name is None else filled(name),
        )
    return PointChecks(rate_per_s=model.rate, frozen_ns=model.frozen, counter=counter)
