"""What shape has a point list file, and what can be wrong with one entry of it?

The models mirror the file, key by key (:mod:`ingest.pointlist` describes it). Each checks what it can see of itself; what takes two
entries to see is checked where the records are built.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BeforeValidator, Discriminator, Field, Tag, field_validator, model_validator

from ingest.devices import DataType, Kind, Order
from ingest.opcua.browsepath import BrowsePath, is_browse_path
from ingest.opcua.entry import BackfillNs, DeadbandValue, SamplingNs, SecurityModel
from ingest.yamlfile import DurationNs, Name, Strict

__all__ = ["ClockModel", "DeviceModel", "FileModel", "MapModel", "ModbusPointModel", "PointModel", "UaPointModel"]

_HEARTBEAT_MIN: Final = 3
_REG: Final = re.compile(rf"({'|'.join(Kind)})\s+(\d+|0x[0-9a-fA-F]+)")
_NODE: Final = re.compile(r"(?:nsu=[^;]+;|ns=\d+;)?(?:i=\d+|[sgb]=.+)")


def _register(value: object) -> tuple[Kind, int]:
    found = _REG.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is None:
        raise ValueError(f"{value!r} is not a register; write a table and an address, as in `holding 16` or `input 0x10`")
    return Kind(found[1]), int(found[2], 0)


_Reg = Annotated[tuple[Kind, int], BeforeValidator(_register)]


class PointModel(Strict):
    """What every point may say, whatever it is read with."""

    unit: str = ""
    scale: float = 1.0
    offset: float = 0.0
    range: tuple[float, float] | None = None
    every: DurationNs | None = None
    write: bool = False

    @field_validator("scale", "offset")
    @classmethod
    def _finite(cls, value: float) -> float:
        if not math.isfinite(value):
            raise ValueError(f"{value} is no factor; give a finite number")
        return value

    @field_validator("scale")
    @classmethod
    def _not_zero(cls, value: float) -> float:
        if value == 0:
            raise ValueError("0 would make every value the same; give the engineering units of one count")
        return value

    @field_validator("range")
    @classmethod
    def _ordered(cls, value: tuple[float, float] | None) -> tuple[float, float] | None:
        if value is not None and not value[0] < value[1]:
            raise ValueError(f"[{value[0]:g}, {value[1]:g}] holds nothing; write the least plausible value first")
        return value


class ModbusPointModel(PointModel):
    """A point of a map for Modbus devices; it has ``reg``."""

    reg: _Reg
    type: DataType | None = None
    bit: Annotated[int, Field(ge=0, le=15)] | None = None
    order: Order | None = None

    @property
    def data_type(self) -> DataType:
        """The type given, else the plainest its table has."""
        return self.type or (DataType.BOOL if self.reg[0].is_bits else DataType.UINT16)

    @model_validator(mode="after")
    def _fits_its_table(self) -> Self:
        kind, _ = self.reg
        if kind.is_bits and (self.data_type is not DataType.BOOL or self.bit is not None or self.order is not None):
            raise ValueError(f"a {kind} is one bit: it has no `type` but bool, no `bit` and no `order`; remove them")
        if not kind.is_bits and (self.data_type is DataType.BOOL) != (self.bit is not None):
            raise ValueError(f"`bit` picks one bit of a {kind} register and goes with `type: bool`; give both or neither")
        if self.write and not kind.is_writable:
            raise ValueError(f"{kind} cannot be written; use a holding register or a coil, or remove `write`")
        if self.write and self.bit is not None:
            raise ValueError("writing one bit would write its fifteen neighbours too; use a coil or a whole register")
        return self


class UaPointModel(PointModel):
    """A point of a map for OPC UA servers; it has ``node``."""

    node: str
    sampling: SamplingNs | None = None
    queue: Annotated[int, Field(ge=1, le=100_000)] | None = None
    deadband: DeadbandValue | None = None

    @field_validator("node")
    @classmethod
    def _is_node_id(cls, value: str) -> str:
        if is_browse_path(value):
            BrowsePath.parsed(value)
            return value
        if not _NODE.fullmatch(value):
            raise ValueError(f"{value!r} is not a node id; write nsu=<namespace URI>;s=<identifier> (or i=, g=, b=)")
        return value


def _protocol(value: Any) -> str:
    return "ua" if isinstance(value, Mapping) and "node" in value else "modbus"


AnyPoint = Annotated[
    Annotated[ModbusPointModel, Tag("modbus")] | Annotated[UaPointModel, Tag("ua")],
    Discriminator(_protocol),
]


class ClockModel(Strict):
    """Where a device that dials in writes its own time."""

    reg: _Reg
    type: DataType
    tick: DurationNs

    @field_validator("type")
    @classmethod
    def _counts(cls, value: DataType) -> DataType:
        if value not in (DataType.UINT32, DataType.UINT64, DataType.INT64):
            raise ValueError(f"{value} cannot hold a time since 1970; use uint32, uint64 or int64")
        return value

    @field_validator("reg")
    @classmethod
    def _is_holding(cls, value: tuple[Kind, int]) -> tuple[Kind, int]:
        if value[0] is not Kind.HOLDING:
            raise ValueError("a device can write its clock to a holding register only; write `holding` and the address")
        return value


class MapModel(Strict):
    """How one make of device is laid out."""

    points: Annotated[dict[Name, AnyPoint], Field(min_length=1)]
    every: DurationNs | None = None
    order: Order = Order.ABCD
    base: Literal[0, 1] = 0
    publish: DurationNs | None = None
    mode: Literal["subscribe", "poll"] = "subscribe"
    reorder: DurationNs | None = None
    clock: ClockModel | None = None

    @property
    def is_ua(self) -> bool:
        """Whether its first point is for OPC UA; a map that mixes protocols is refused later."""
        return isinstance(next(iter(self.points.values())), UaPointModel)


class DeviceModel(Strict):
    """One device, or as many as its ranges hold."""

    name: Name
    area: Name
    url: str
    map: Name
    unit: int | str = 1
    vars: Annotated[dict[str, Name | list[Name]], Field(default_factory=dict)]
    timeout: DurationNs | None = None
    security: SecurityModel | None = None
    backfill: BackfillNs = None
    register_: Annotated[str | None, Field(alias="register")] = None
    heartbeat: str | None = None

    @field_validator("register_")
    @classmethod
    def _names_the_device(cls, value: str | None) -> str | None:
        if value is None:
            return None
        try:
            groups = re.compile(value).groupindex
        except re.error as exc:
            raise ValueError(f"{value!r} is not a regular expression ({exc}); correct it") from None
        if "name" not in groups:
            raise ValueError(f"{value!r} does not say which device it is; write `(?P<name>...)` around the name")
        return value

    @field_validator("heartbeat")
    @classmethod
    def _cannot_be_a_frame(cls, value: str | None) -> str | None:
        # The third byte of every Modbus/TCP frame is 0; a shorter heartbeat could be the start of one.
        if value is not None and (len(value.encode()) < _HEARTBEAT_MIN or not value.isascii() or value[2] == "\0"):
            raise ValueError(f"{value!r} cannot be told from a frame; a heartbeat has at least {_HEARTBEAT_MIN} plain characters")
        return value


class FileModel(Strict):
    """The whole file."""

    maps: dict[Name, MapModel]
    devices: Annotated[list[DeviceModel], Field(min_length=1)]
