"""What is a device, and how is each of its points read from it?

Records only: what a point list says, after every template is filled in and every default is set. Whoever reads a device works from
these and never sees YAML. Addresses are as on the wire, counted from 0; periods are event time; timeouts are wall time, because a
network does not hurry for a simulated clock.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from market.errors import UnitError

__all__ = [
    "DATA_TYPES",
    "ClockRegister",
    "DataType",
    "Deadband",
    "Device",
    "Kind",
    "ModbusDevice",
    "ModbusPoint",
    "Order",
    "Point",
    "PushDevice",
    "UaDevice",
    "UaPoint",
    "UaSecurity",
]


class Kind(StrEnum):
    """The four tables of a Modbus device."""

    COIL = "coil"
    DISCRETE = "discrete"
    HOLDING = "holding"
    INPUT = "input"

    @property
    def is_bits(self) -> bool:
        """Whether the table holds single bits rather than 16-bit registers."""
        return self in (Kind.COIL, Kind.DISCRETE)

    @property
    def is_writable(self) -> bool:
        """Whether the protocol can write to the table."""
        return self in (Kind.COIL, Kind.HOLDING)


class Order(StrEnum):
    """In which order the bytes of a value arrive, A being the most significant of a 32-bit value.

    Each order is two yes-or-no questions: are the bytes within a register swapped, and are the registers swapped? 16-bit values
    know only the first; 64-bit values answer the second with all four registers reversed.
    """

    ABCD = "ABCD"
    DCBA = "DCBA"
    BADC = "BADC"
    CDAB = "CDAB"

    @property
    def swaps_bytes(self) -> bool:
        """Whether the low byte of a register comes first."""
        return self in (Order.DCBA, Order.BADC)

    @property
    def swaps_registers(self) -> bool:
        """Whether the least significant register comes first."""
        return self in (Order.DCBA, Order.CDAB)


class DataType(StrEnum):
    """What the bits of a point mean."""

    BOOL = "bool"
    INT16 = "int16"
    UINT16 = "uint16"
    INT32 = "int32"
    UINT32 = "uint32"
    INT64 = "int64"
    UINT64 = "uint64"
    FLOAT32 = "float32"
    FLOAT64 = "float64"

    @property
    def registers(self) -> int:
        """Registers a value takes; one bit is read with the whole of its register."""
        return DATA_TYPES[self][2]

    @property
    def packing(self) -> str:
        """How :mod:`struct` packs a value, most significant byte first."""
        return DATA_TYPES[self][1]

    @property
    def is_float(self) -> bool:
        """Whether it is an IEEE 754 number."""
        return self in (DataType.FLOAT32, DataType.FLOAT64)


DATA_TYPES: Final[dict[DataType, tuple[str, str, int]]] = {
    DataType.BOOL: ("?", "?", 1),
    DataType.INT16: (">i2", ">h", 1),
    DataType.UINT16: (">u2", ">H", 1),
    DataType.INT32: (">i4", ">i", 2),
    DataType.UINT32: (">u4", ">I", 2),
    DataType.INT64: (">i8", ">q", 4),
    DataType.UINT64: (">u8", ">Q", 4),
    DataType.FLOAT32: (">f4", ">f", 2),
    DataType.FLOAT64: (">f8", ">d", 4),
}
"""numpy's and struct's name of each type, most significant byte first, and the registers it takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """What every point has, whatever it is read with.

    Attributes:
        name: full name (:mod:`ingest.points`).
        unit: engineering unit, for people.
        scale: engineering value = raw value x scale + offset; not 0.
        low: least plausible value, or None.
        high: greatest plausible value, or None.
        period_ns: event time between two readings, ns, > 0.
        writable: whether it is a set-point.
    """

    name: str
    unit: str
    scale: float
    offset: float
    low: float | None
    high: float | None
    period_ns: int
    writable: bool

    def said(self, value: float) -> str:
        """Return a value with its unit, for people."""
        return f"{value:g} {self.unit}".rstrip()

    def raw(self, value: float) -> float:
        """Return what a device has to be told so that the point has this value, engineering units.

        Raises:
            UnitError: not a number, or outside the point's range: a set-point that is implausible is not passed on.
        """
        if not math.isfinite(value):
            raise UnitError(f"{self.name}: {value} is not a value that can be written")
        low, high = -math.inf if self.low is None else self.low, math.inf if self.high is None else self.high
        if not low <= value <= high:
            raise UnitError(f"{self.name}: {self.said(value)} is outside [{low:g}, {high:g}], which its point list allows")
        return (value - self.offset) / self.scale


@dataclass(frozen=True, slots=True, kw_only=True)
class ModbusPoint(Point):
    """A point in a Modbus table.

    Attributes:
        address: of its first register or bit, as on the wire, 0..65535.
        bit: which bit of a register a BOOL is, 0 the least significant; None in a table of bits and for every other type.
    """

    kind: Kind
    address: int
    type: DataType
    bit: int | None
    order: Order


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadband:
    """How far a value may move before a server tells of it.

    Attributes:
        value: engineering units, or per cent of the range that the server knows its variable to have; > 0.
    """

    value: float
    is_percent: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class UaPoint(Point):
    """A point on an OPC UA server.

    Attributes:
        node: node id as text, with ``nsu=<namespace URI>;`` or ``ns=<index>;`` before the identifier, or neither for index 0; or
            ``browse:`` and the path to it (:mod:`ingest.opcua.browsepath`).
        sampling_ns: event time between two looks of the server at it, ns; 0 for every change it knows of, None for the period.
        queue: values the server keeps for one publish, >= 1; None for as many as are sampled between two.
        deadband: None where every change is told.
    """

    node: str
    sampling_ns: int | None = None
    queue: int | None = None
    deadband: Deadband | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModbusDevice:
    """A device that is polled.

    Attributes:
        host: devices with the same host and port share one connection.
        unit_id: which device behind that address, 0..255.
        timeout_s: wall seconds to wait for a reply.
        reorder_ns: how far its samples may overtake each other, ns; None for what its periods suggest. Likewise of the other devices.
    """

    name: str
    area: str
    host: str
    port: int
    unit_id: int
    timeout_s: float
    points: tuple[ModbusPoint, ...]
    reorder_ns: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockRegister:
    """Where a device that pushes writes its own time, as a whole number since the epoch.

    Attributes:
        tick_ns: length of one count, ns.
    """

    address: int
    type: DataType
    order: Order
    tick_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PushDevice:
    """A device that dials in, says its name, and writes its registers to us.

    Attributes:
        host: address we listen at; devices with the same host and port share one listener.
        register: regular expression of the registration line; its group ``name`` is the device's name.
        heartbeat: bytes the device may send between frames, or none.
    """

    name: str
    area: str
    host: str
    port: int
    unit_id: int
    register: str
    heartbeat: bytes
    clock: ClockRegister | None
    points: tuple[ModbusPoint, ...]
    reorder_ns: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UaSecurity:
    """How a server is told from an impostor, and we from a stranger. Files are paths, secrets are named and never held.

    Attributes:
        policy: None, Basic256Sha256, Aes128Sha256RsaOaep or Aes256Sha256RsaPss.
        mode: Sign or SignAndEncrypt; None with policy None.
        cert: our application certificate, PEM or DER; key: its private key. Both None with policy None.
        pin: the one certificate the server may have.
        trust: a folder of certificates that the server's may be, or be signed by.
        user: the user name, or None.
        password_env: environment variable that holds the user's password; password_file: file that does.
        user_cert: the user's certificate, or None; user_key: its private key.
    """

    policy: str
    mode: str
    cert: Path | None = None
    key: Path | None = None
    pin: Path | None = None
    trust: Path | None = None
    user: str | None = None
    password_env: str | None = None
    password_file: Path | None = None
    user_cert: Path | None = None
    user_key: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UaDevice:
    """An OPC UA server.

    Attributes:
        url: ``opc.tcp://host:port[/path]``.
        publish_ns: event time between two publishes, ns.
        timeout_s: wall seconds to wait for a reply.
        is_polled: whether its points are read at their periods; they are subscribed to otherwise.
        security: None for a session without any.
        backfill_ns: how far back a gap is filled from the server's history, event ns; None for not at all.
    """

    name: str
    area: str
    url: str
    publish_ns: int
    timeout_s: float
    points: tuple[UaPoint, ...]
    reorder_ns: int | None = None
    is_polled: bool = False
    security: UaSecurity | None = None
    backfill_ns: int | None = None


Device = ModbusDevice | PushDevice | UaDevice
