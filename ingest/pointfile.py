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

from ingest.addresses import Engine
from ingest.checkfile import CounterKey, Frozen, Rate, check_counter
from ingest.devices import ClockRegister, DataType, Kind, Order
from ingest.linkfile import NeedsModel, TlsModel
from ingest.listenfile import check_heartbeats, check_register
from ingest.meaningfile import MeaningModel, QualityModel, Reg, check_meaning
from ingest.modbus.frames import REGISTERS_MAX
from ingest.opcua.browsepath import BrowsePath, is_browse_path
from ingest.opcua.entry import BackfillNs, DeadbandValue, SamplingNs, SecurityModel
from ingest.sunspec.models import read_model
from ingest.yamlfile import DurationNs, Name, Strict
from market.errors import UnitError
from market.units import instant_ns

__all__ = [
    "ClockModel",
    "DeviceModel",
    "FileModel",
    "MapModel",
    "ModbusPointModel",
    "PointModel",
    "SunspecPlaceModel",
    "SunspecPointModel",
    "UaPointModel",
]

_NODE: Final = re.compile(r"(?:nsu=[^;]+;|ns=\d+;)?(?:i=\d+|[sgb]=.+)")


class PointModel(Strict):
    """What every point may say, whatever it is read with."""

    unit: str = ""
    scale: float = 1.0
    offset: float = 0.0
    range: tuple[float, float] | None = None
    every: DurationNs | None = None
    write: bool = False
    rate: Rate | None = None
    frozen: Frozen | None = None
    counter: CounterKey | None = None

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


class ModbusPointModel(MeaningModel, PointModel):
    """A point of a map for Modbus devices; it has ``reg``."""

    reg: Reg
    type: DataType | None = None
    bit: Annotated[int, Field(ge=0, le=15)] | None = None
    order: Order | None = None

    @field_validator("type", mode="before")
    @classmethod
    def _is_telemetry(cls, value: object) -> object:
        if value == "string":
            raise ValueError("a text is no telemetry; list it under the map's `attributes`, with its `length` in registers")
        return value

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
        check_meaning(self, self.data_type, scaled=(self.scale, self.offset) != (1, 0), write=self.write)
        if self.counter is not None:
            check_counter(self.counter, self.data_type)
            if self.counter.difference is not None and self.scale_from is not None:
                raise ValueError(
                    "its device alone knows what a count is worth, and may change that between two readings; remove `difference`"
                )
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

    @model_validator(mode="after")
    def _can_be_checked(self) -> Self:
        if self.counter is not None:
            check_counter(self.counter, None)
        return self


class SunspecPointModel(MeaningModel, PointModel):
    """A point of a map that a SunSpec model names; it has ``sunspec``, and :mod:`ingest.sunspecfile` makes a Modbus point of it."""

    sunspec: str


class AttributeModel(Strict):
    """A text that a device keeps about itself; it has ``reg`` and ``length``, or ``sunspec``."""

    reg: Reg | None = None
    length: Annotated[int, Field(ge=1, le=REGISTERS_MAX)] | None = None
    type: Literal["string"] = "string"
    order: Order | None = None
    sunspec: str | None = None

    @model_validator(mode="after")
    def _is_somewhere(self) -> Self:
        if self.sunspec is not None and {"reg", "length", "order"} & self.model_fields_set:
            raise ValueError("the SunSpec model says where a text is; remove `reg`, `length` and `order`")
        if self.sunspec is None and (self.reg is None or self.length is None):
            raise ValueError("says not where the text is; give `reg` and its `length` in registers, or `sunspec`")
        if self.reg is not None and self.reg[0].is_bits:
            raise ValueError(f"a {self.reg[0]} is one bit and no text; write `holding` or `input` and the address")
        return self


def _protocol(value: Any) -> str:
    if isinstance(value, Mapping) and "sunspec" in value:
        return "by its model"  # no key of a file: a problem's place would be taken for that key's
    return "ua" if isinstance(value, Mapping) and "node" in value else "modbus"


AnyPoint = Annotated[
    Annotated[ModbusPointModel, Tag("modbus")] | Annotated[UaPointModel, Tag("ua")] | Annotated[SunspecPointModel, Tag("by its model")],
    Discriminator(_protocol),
]


class ClockModel(Strict):
    """Where a device keeps its own time."""

    reg: Reg
    type: DataType
    tick: DurationNs
    since: str = "1970-01-01T00:00:00Z"

    @property
    def since_ns(self) -> int:
        """The instant it counts from, UTC ns."""
        return instant_ns(self.since)

    def register(self, base: int, order: Order) -> ClockRegister:
        """Return the register, in a map that begins to count at ``base``."""
        kind, address = self.reg
        address -= base
        return ClockRegister(kind=kind, address=address, type=self.type, order=order, tick_ns=self.tick, since_ns=self.since_ns)

    @field_validator("type")
    @classmethod
    def _counts(cls, value: DataType) -> DataType:
        if value not in (DataType.UINT32, DataType.UINT64, DataType.INT64):
            raise ValueError(f"{value} cannot hold a time since 1970; use uint32, uint64 or int64")
        return value

    @field_validator("reg")
    @classmethod
    def _is_register(cls, value: tuple[Kind, int]) -> tuple[Kind, int]:
        if value[0].is_bits:
            raise ValueError(f"a {value[0]} is one bit and no clock; write `holding` or `input` and the address")
        return value

    @field_validator("since")
    @classmethod
    def _is_instant(cls, value: str) -> str:
        try:
            instant_ns(value)
        except UnitError as exc:
            raise ValueError(str(exc)) from None
        return value


class SunspecPlaceModel(Strict):
    """Where a device keeps a SunSpec model: the holding register of its ``ID``."""

    model: int
    at: int

    @field_validator("model")
    @classmethod
    def _is_known(cls, value: int) -> int:
        read_model(value)
        return value


def _several(value: object) -> object:
    return value if isinstance(value, list) else [value]


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
    needs: NeedsModel | None = None
    quality: QualityModel | None = None
    sunspec: Annotated[tuple[SunspecPlaceModel, ...], BeforeValidator(_several)] = ()
    attributes: Annotated[dict[Name, AttributeModel], Field(default_factory=dict)]

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
    heartbeat: str | list[str] | None = None
    id: Name | None = None
    tls: TlsModel | None = None
    engine: Engine = Engine.OWN

    _names_the_device = field_validator("register_")(staticmethod(check_register))
    _is_heartbeat = field_validator("heartbeat")(staticmethod(check_heartbeats))


class FileModel(Strict):
    """The whole file."""

    maps: dict[Name, MapModel]
    devices: Annotated[list[DeviceModel], Field(min_length=1)]
