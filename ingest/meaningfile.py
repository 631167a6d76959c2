"""What may a point of a Modbus map say about the meaning of its bits, and what can be wrong with that?

The keys of a point of a list (:mod:`ingest.pointlist`), by example::

    grid/{n}/state: {reg: input 20, bits: 4..7}                      # a field of bits, 0 the least significant; signed of an int type
    unit/{n}/c:     {reg: input 21, type: int16, missing: [0x8000, 999]}   # raw values that say that there is none: Bad_NotSupported
    unit/{n}/w:     {reg: input 22, type: float32, missing: sunspec}       # what SunSpec means by the type: 0x8000, 0xFFFF, NaN ...
    switch/{b}/to:  {reg: input 24, values: {0: 1, 3: 2}, labels: {1: open, 2: closed}}    # a code not listed is bad
    unit/{n}/mw:    {reg: input 25, scale_from: input 40, scale: 1.0e-6}   # the device keeps the power of ten in an int16 register
    unit/{n}/kv:    {reg: input 26, quality: {reg: input 41, bad_bits: 0x8001, uncertain: [4]}}    # a map may give it for all points

and in full:

* ``bits``: the field of a whole number that is the value, counted in the value and not in its bytes as they arrive; unsigned of a
  uint, two's complement of an int. Digits above 9 of a BCD type make a value bad without being listed.
* ``missing``: raw values as the device sends them. Of a whole number the number, or its bits (-32768 and 0x8000 are the same int16);
  of a float its number, ``.nan`` standing for every NaN; of digits their bits (``0x9999``); of a field the field's. ``sunspec`` is
  what SunSpec means by the type, of all bits of the value.
* ``values``: raw number to value; a number that is not listed is bad. ``labels``: value to name, for people.
* ``scale_from``: an int16 register; the value is raw x 10^register x ``scale`` + ``offset``. 0x8000 there is "not implemented".
* ``quality``: a register, or a bit, by which the device says how good the point is: numbers listed as ``good``, ``uncertain`` or
  ``bad``, or masks ``uncertain_bits`` and ``bad_bits`` of which any bit that is set says so. The worst of what it says counts; a
  number in no list is bad where ``good`` is given, and good otherwise. A map may give it for all its points.

Registers of the last two are read with the point they belong to, wherever they lie, and the point is bad until they were. Numbers are
checked against the type they belong to, so that a code the device can never send, or a slip in a mask, is found before anything
connects.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Iterator
from typing import Annotated, Any, Final, Self

from pydantic import BeforeValidator, Field, model_validator

from ingest.devices import NAN_BITS, DataType, Kind, Meaning, Order, QualityWord, Register
from ingest.yamlfile import Strict

__all__ = ["SUNSPEC", "MeaningModel", "QualityModel", "Reg", "check_meaning", "meaning_of", "sunspec_missing", "word_of"]

SUNSPEC: Final = "sunspec"

_REG: Final = re.compile(rf"({'|'.join(Kind)})\s+(\d+|0x[0-9a-fA-F]+)")
_BITS: Final = re.compile(r"(\d+)\s*\.\.\s*(\d+)")
_DIGIT_BITS: Final = 4


def _register(value: object) -> tuple[Kind, int]:
    found = _REG.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is None:
        raise ValueError(f"{value!r} is not a register; write a table and an address, as in `holding 16` or `input 0x10`")
    return Kind(found[1]), int(found[2], 0)


def _bits(value: object) -> tuple[int, int]:
    found = _BITS.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is None or int(found[1]) > int(found[2]):
        raise ValueError(f"{value!r} is not a field of bits; write the lowest and the highest, as in `4..7`, 0 being the least significant")
    return int(found[1]), int(found[2])


def _missing(value: object) -> object:
    numbers = value if isinstance(value, list | tuple) else None
    if value == SUNSPEC or (numbers and all(isinstance(n, int | float) and not isinstance(n, bool) for n in numbers)):
        return value if numbers is None else tuple(numbers)
    raise ValueError(f"{value!r} lists no raw values; write them as in `[0x8000, 0xFFFF]`, or {SUNSPEC} for what SunSpec means by the type")


Reg = Annotated[tuple[Kind, int], BeforeValidator(_register)]
"""A model field given as ``holding 16``: table and address."""


class QualityModel(Strict):
    """Where a device says itself how good its points are."""

    reg: Reg
    type: DataType | None = None
    good: tuple[int, ...] = ()
    uncertain: tuple[int, ...] = ()
    bad: tuple[int, ...] = ()
    uncertain_bits: Annotated[int, Field(ge=0)] = 0
    bad_bits: Annotated[int, Field(ge=0)] = 0

    @property
    def data_type(self) -> DataType:
        """The type given, else the plainest its table has."""
        return self.type or (DataType.BOOL if self.reg[0].is_bits else DataType.UINT16)

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.reg[0].is_bits != (self.data_type is DataType.BOOL) or self.data_type.is_float or self.data_type.is_bcd:
            raise ValueError(
                f"a quality is a whole number or one bit of a table of bits, not {self.data_type} of {self.reg[0]}; correct `type`"
            )
        low, high = _extremes(self.data_type, None)
        for number in (*self.good, *self.uncertain, *self.bad):
            if not low <= number <= high:
                raise ValueError(f"{self.reg[0]} {self.reg[1]} is never {number} but {low} to {high}; correct the number or `type`")
        for mask in (self.uncertain_bits, self.bad_bits):
            if mask >> (16 * self.data_type.registers):
                raise ValueError(f"{self.data_type} has no bits 0x{mask:x}; correct the mask or `type`")
        if not any((self.good, self.uncertain, self.bad, self.uncertain_bits, self.bad_bits)):
            raise ValueError("says of nothing what it means; give `good`, `uncertain`, `bad`, `uncertain_bits` or `bad_bits`")
        twice = set(self.good) & {*self.uncertain, *self.bad} | set(self.uncertain) & set(self.bad)
        if twice:
            raise ValueError(f"{min(twice)} means two things; list it once")
        return self


class MeaningModel(Strict):
    """What a point of a Modbus map may say about the meaning of its bits."""

    bits: Annotated[tuple[int, int] | None, BeforeValidator(_bits)] = None
    missing: Annotated[Any, BeforeValidator(_missing)] = None
    values: Annotated[dict[int, float] | None, Field(min_length=1)] = None
    labels: Annotated[dict[int, str] | None, Field(min_length=1)] = None
    scale_from: Reg | None = None
    quality: QualityModel | None = None

    def companions(self) -> Iterator[tuple[str, Reg, int]]:
        """Yield key, register and size of the registers that the point is read with."""
        if self.scale_from is not None:
            yield "scale_from", self.scale_from, DataType.INT16.registers
        if self.quality is not None:
            yield "quality", self.quality.reg, self.quality.data_type.registers


def sunspec_missing(data_type: DataType) -> int | None:
    """Return the bits of a type by which SunSpec says "not implemented"; None of a type that SunSpec does not have.

    The greatest number of an unsigned type, the least of a signed one, and not a number (SunSpec Device Information Model
    Specification, tables of point types). Accumulators and texts, which are other uses of the same types, differ.
    """
    if data_type in (DataType.FLOAT32, DataType.FLOAT64):
        return NAN_BITS[data_type]
    if data_type is DataType.BOOL or data_type.is_bcd or data_type.is_float:
        return None
    size = 16 * data_type.registers
    return 1 << (size - 1) if data_type.is_signed else (1 << size) - 1


def check_meaning(model: MeaningModel, data_type: DataType, *, scaled: bool, write: bool) -> None:
    """Check what a point says of its meaning against its type.

    Args:
        scaled: whether it gives ``scale`` or ``offset``.
        write: whether it is a set-point.

    Raises:
        ValueError: the first thing that is wrong.
    """
    if model.bits is not None:
        if data_type is DataType.BOOL or data_type.is_float or data_type.is_bcd:
            raise ValueError(f"`bits` is a field of a whole number and goes with uint16 to uint64 or int16 to int64, not with {data_type}")
        if model.bits[1] >= 16 * data_type.registers:
            raise ValueError(f"{data_type} has the bits 0..{16 * data_type.registers - 1}, and not {model.bits[1]}; correct `bits`")
        if write:
            raise ValueError("writing some bits would write their neighbours too; write a whole register, or remove `write`")
    if model.missing == SUNSPEC and sunspec_missing(data_type) is None:
        raise ValueError(f"SunSpec has no {data_type}; list the raw values that mean `missing`")
    if model.missing is not None and data_type is DataType.BOOL:
        raise ValueError("one bit cannot say that there is no value; remove `missing`")
    for number in _numbers(model):
        _missing_bits(number, data_type, model.bits)
    if model.scale_from is not None:
        _check_factor(model, data_type, write=write)
    if model.values is not None:
        _check_codes(model.values, data_type, model.bits, scaled=scaled, write=write)
        strangers = sorted(set(model.labels or ()) - set(model.values.values()))
        if strangers:
            raise ValueError(f"`labels` names {strangers[0]}, which is none of the `values`; labels are for values, not for raw numbers")


def _check_factor(model: MeaningModel, data_type: DataType, *, write: bool) -> None:
    assert model.scale_from is not None
    if model.scale_from[0].is_bits:
        raise ValueError(f"a scale factor is a number from -10 to 10 and no {model.scale_from[0]}; give a holding or input register")
    if data_type is DataType.BOOL or model.values is not None:
        raise ValueError("`scale_from` scales a number, and the point is a bit or a code; remove it")
    if write:
        raise ValueError("a point that its device scales cannot be written; give `scale` instead of `scale_from`, or remove `write`")


def meaning_of(
    model: MeaningModel, data_type: DataType, *, base: int = 0, order: Order = Order.ABCD, word: QualityWord | None = None
) -> Meaning | None:
    """Return what a checked model says; None where the type says all.

    Args:
        base: what the map calls its first register.
        order: of the point.
        word: the map's, for a point that has none of its own.
    """
    whole = model.bits is None or model.bits == (0, 16 * data_type.registers - 1)
    implied = sunspec_missing(data_type) if model.missing == SUNSPEC else None
    meaning = Meaning(
        bits=None if whole else model.bits,
        missing=tuple(_missing_bits(number, data_type, model.bits) for number in _numbers(model)) if implied is None else (),
        unimplemented=() if implied is None else (implied,),
        values=tuple((model.values or {}).items()),
        labels=tuple((model.labels or {}).items()),
        factor=None if model.scale_from is None else _companion(model.scale_from, DataType.INT16, base, order),
        word=word if model.quality is None else word_of(model.quality, base, order),
    )
    return None if meaning == Meaning() else meaning


def _companion(reg: Reg, data_type: DataType, base: int, order: Order) -> Register:
    return Register(kind=reg[0], address=reg[1] - base, type=data_type, order=order)


def word_of(quality: QualityModel, base: int, order: Order) -> QualityWord:
    """Return where a device says how good its points are."""
    return QualityWord(
        register=_companion(quality.reg, quality.data_type, base, order),
        good=quality.good,
        uncertain=quality.uncertain,
        bad=quality.bad,
        uncertain_bits=quality.uncertain_bits,
        bad_bits=quality.bad_bits,
    )


def _numbers(model: MeaningModel) -> Iterator[int | float]:
    if model.missing is not None and model.missing != SUNSPEC:
        yield from model.missing


def _missing_bits(number: float, data_type: DataType, bits: tuple[int, int] | None) -> int:
    """Return the bits of one ``missing`` value: a number of a float, two's complement or plain bits of everything else.

    Raises:
        ValueError: the type cannot hold it.
    """
    if data_type.is_float:
        if math.isnan(number):
            return NAN_BITS[data_type]
        try:
            return int.from_bytes(struct.pack(data_type.packing, number), "big")
        except OverflowError:
            raise ValueError(f"no {data_type} is {number:g}; correct `missing`, which lists raw values as the device sends them") from None
    width = 16 * data_type.registers if bits is None else bits[1] - bits[0] + 1
    if not isinstance(number, int) or not -(1 << (width - 1)) <= number < 1 << width:
        raise ValueError(f"{width} bits are never {number!r}; correct `missing`, which lists raw values as the device sends them")
    return number % (1 << width)


def _check_codes(codes: dict[int, float], data_type: DataType, bits: tuple[int, int] | None, *, scaled: bool, write: bool) -> None:
    if data_type.is_float:
        raise ValueError(f"`values` maps whole numbers, and the type is {data_type}; use a whole type or remove `values`")
    if scaled:
        raise ValueError("`values` gives engineering values already; remove `scale` and `offset`")
    low, high = _extremes(data_type, bits)
    for code, value in codes.items():
        if not low <= code <= high:
            raise ValueError(f"`values` lists {code}, and the device can only send {low} to {high}; correct the code or the type")
        if not math.isfinite(value):
            raise ValueError(f"`values` makes {code} {value}, which is no value; leave the code out, and it is bad")
    if write and len(set(codes.values())) < len(codes):
        raise ValueError("`values` gives two codes the same value: which one to write is not known; remove one, or `write`")


def _extremes(data_type: DataType, bits: tuple[int, int] | None) -> tuple[int, int]:
    """Return the least and the greatest whole number a point can send."""
    if data_type.is_bcd:
        return 0, 10 ** (16 // _DIGIT_BITS * data_type.registers) - 1
    width = 1 if data_type is DataType.BOOL else 16 * data_type.registers if bits is None else bits[1] - bits[0] + 1
    return (-(1 << (width - 1)), (1 << (width - 1)) - 1) if data_type.is_signed else (0, (1 << width) - 1)
