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

from ingest.addresses import Address, DialIn, Manners, Reception, ServerTls
from ingest.pointchecks import PointChecks
from ingest.quality import BAD, GOOD, UNCERTAIN
from market.errors import UnitError

__all__ = [
    "DATA_TYPES",
    "NAN_BITS",
    "ClockRegister",
    "DataType",
    "Deadband",
    "Device",
    "Kind",
    "Meaning",
    "ModbusAttribute",
    "ModbusDevice",
    "ModbusPoint",
    "Order",
    "Point",
    "PushDevice",
    "QualityWord",
    "Register",
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
    FLOAT16 = "float16"
    FLOAT32 = "float32"
    FLOAT64 = "float64"
    BCD16 = "bcd16"
    BCD32 = "bcd32"
    BCD64 = "bcd64"

    @property
    def registers(self) -> int:
        """Registers a value takes; one bit is read with the whole of its register."""
        return DATA_TYPES[self][2]

    @property
    def packing(self) -> str:
        """How :mod:`struct` packs a value, most significant byte first; of BCD, the bits its digits make."""
        return DATA_TYPES[self][1]

    @property
    def is_float(self) -> bool:
        """Whether it is an IEEE 754 number."""
        return self in (DataType.FLOAT16, DataType.FLOAT32, DataType.FLOAT64)

    @property
    def is_bcd(self) -> bool:
        """Whether it is decimal digits, four to a register, the most significant first."""
        return self in (DataType.BCD16, DataType.BCD32, DataType.BCD64)

    @property
    def is_signed(self) -> bool:
        """Whether it is a whole number in two's complement."""
        return self in (DataType.INT16, DataType.INT32, DataType.INT64)


DATA_TYPES: Final[dict[DataType, tuple[str, str, int]]] = {
    DataType.BOOL: ("?", "?", 1),
    DataType.INT16: (">i2", ">h", 1),
    DataType.UINT16: (">u2", ">H", 1),
    DataType.INT32: (">i4", ">i", 2),
    DataType.UINT32: (">u4", ">I", 2),
    DataType.INT64: (">i8", ">q", 4),
    DataType.UINT64: (">u8", ">Q", 4),
    DataType.FLOAT16: (">f2", ">e", 1),
    DataType.FLOAT32: (">f4", ">f", 2),
    DataType.FLOAT64: (">f8", ">d", 4),
    DataType.BCD16: (">u2", ">H", 1),
    DataType.BCD32: (">u4", ">I", 2),
    DataType.BCD64: (">u8", ">Q", 4),
}
"""numpy's and struct's name of each type, most significant byte first, and the registers it takes."""


NAN_BITS: Final = {DataType.FLOAT16: 0x7E00, DataType.FLOAT32: 0x7FC0_0000, DataType.FLOAT64: 0x7FF8 << 48}
"""The bits of each type's plainest NaN, which stands for all of them."""


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
        checks: what is judged of its samples besides the range; None where nothing is.
    """

    name: str
    unit: str
    scale: float
    offset: float
    low: float | None
    high: float | None
    period_ns: int
    writable: bool
    checks: PointChecks | None = None

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
class Register:
    """A companion: a register, or a bit of a table of bits, that says something about points and is none itself."""

    kind: Kind
    address: int
    type: DataType
    order: Order

    @property
    def size(self) -> int:
        """Registers or bits it takes."""
        return 1 if self.kind.is_bits else self.type.registers


@dataclass(frozen=True, slots=True, kw_only=True)
class QualityWord:
    """Where a device says itself how good some points are, as a whole number.

    Attributes:
        good: what it says when they are; empty where it is good to say nothing of the rest.
        uncertain: what it says when they are to be used with care; likewise ``bad``.
        uncertain_bits: bits of which any that is set says so; likewise ``bad_bits``.
    """

    register: Register
    good: tuple[int, ...] = ()
    uncertain: tuple[int, ...] = ()
    bad: tuple[int, ...] = ()
    uncertain_bits: int = 0
    bad_bits: int = 0

    def quality(self, number: int) -> int:
        """Return the status code that a number means: the worst of what it says; Bad where the list does not foresee it.

        >>> word = QualityWord(register=Register(kind=Kind.INPUT, address=0, type=DataType.UINT16, order=Order.ABCD), bad_bits=0x8001)
        >>> hex(word.quality(0x8000)), word.quality(0x0002)
        ('0x80000000', 0)
        """
        if number in self.bad or number & self.bad_bits:
            return BAD
        if number in self.uncertain or number & self.uncertain_bits:
            return UNCERTAIN
        return GOOD if not self.good or number in self.good else BAD


@dataclass(frozen=True, slots=True, kw_only=True)
class Meaning:
    """What the bits of a point mean beyond their type, before ``scale`` and ``offset``.

    Attributes:
        bits: lowest and highest bit of the field that is the value, 0 the least significant; None where all bits are.
        missing: fields, bit for bit, that mean that there is no value; :data:`NAN_BITS` of a type means every NaN.
        unimplemented: the same of all bits of the value, whichever of them the field is.
        values: raw number and value of each code the device may send, in the order of the list; empty where the number is the value.
        labels: value and name, for people.
        factor: where the device keeps the power of ten by which the value is multiplied before all else; None for no such register.
        word: where the device says how good the value is; None where it says nothing.
    """

    bits: tuple[int, int] | None = None
    missing: tuple[int, ...] = ()
    unimplemented: tuple[int, ...] = ()
    values: tuple[tuple[int, float], ...] = ()
    labels: tuple[tuple[float, str], ...] = ()
    factor: Register | None = None
    word: QualityWord | None = None

    def label(self, value: float) -> str:
        """Return what people call a value; empty where they call it nothing."""
        return dict(self.labels).get(value, "")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModbusPoint(Point):
    """A point in a Modbus table.

    Attributes:
        address: of its first register or bit, as on the wire, 0..65535.
        bit: which bit of a register a BOOL is, 0 the least significant; None in a table of bits and for every other type.
        meaning: what its bits mean beyond the type; None where the type says all.
    """

    kind: Kind
    address: int
    type: DataType
    bit: int | None
    order: Order
    meaning: Meaning | None = None

    def raw(self, value: float) -> float:
        """Return what the device has to be told so that the point has this value; of a point with codes, the code.

        Raises:
            UnitError: as :meth:`Point.raw`; no code has this value; or the device alone knows by how much it is scaled.
        """
        raw = Point.raw(self, value)
        if self.meaning is not None and self.meaning.factor is not None:
            raise UnitError(f"{self.name}: is scaled by a register of its device and cannot be written")
        if self.meaning is None or not self.meaning.values:
            return raw
        for code, meant in self.meaning.values:
            if meant == value:
                return code
        known = ", ".join(f"{meant:g}" for _, meant in self.meaning.values)
        raise UnitError(f"{self.name}: {value:g} has no code in its point list, which has codes for {known}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModbusAttribute:
    """A text that a device keeps about itself, such as its serial number: no telemetry, and no point.

    Attributes:
        name: unique on its device.
        length: registers, two characters each.
        order: whether the first character of a register is its low byte.
    """

    name: str
    kind: Kind
    address: int
    length: int
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
class ClockRegister:
    """Where a device keeps its own time, as a whole number of ticks.

    Attributes:
        tick_ns: length of one count, ns.
        since_ns: the instant it counts from, UTC ns; 0 of a device that dials in.
    """

    address: int
    type: DataType
    order: Order
    tick_ns: int
    since_ns: int = 0
    kind: Kind = Kind.HOLDING


@dataclass(frozen=True, slots=True, kw_only=True)
class ModbusDevice:
    """A device that is polled.

    Attributes:
        address: where it is.
        unit_id: which device behind that address, 0..255.
        timeout_s: wall seconds to wait for a reply.
        manners: what it needs that others do not.
        reorder_ns: how far its samples may overtake each other, ns; None for what its periods suggest. Likewise of the other devices.
        clock: where it keeps its own time; None where it has none that is read.
        attributes: texts it keeps about itself.
    """

    name: str
    area: str
    address: Address
    unit_id: int
    timeout_s: float
    points: tuple[ModbusPoint, ...]
    manners: Manners = Manners()
    reorder_ns: int | None = None
    clock: ClockRegister | None = None
    attributes: tuple[ModbusAttribute, ...] = ()

    @property
    def host(self) -> str:
        """Name or number of the host, or path of the serial line."""
        return self.address.host

    @property
    def port(self) -> int:
        """Port at the host; 0 for a serial line."""
        return self.address.port


@dataclass(frozen=True, slots=True, kw_only=True)
class PushDevice:
    """A device that dials in, says its name, and writes its registers to us.

    Attributes:
        host: address we listen at; devices with the same host and port share one listener.
        register, heartbeats, tls: how devices are received there (:class:`ingest.addresses.Reception`).
        id: what it calls itself; empty for its name.
        certificate: as in :class:`ingest.addresses.DialIn`.
    """

    name: str
    area: str
    host: str
    port: int
    unit_id: int
    register: str
    clock: ClockRegister | None
    points: tuple[ModbusPoint, ...]
    heartbeats: tuple[str, ...] = ()
    reorder_ns: int | None = None
    tls: ServerTls | None = None
    id: str = ""
    certificate: str | None = None

    @property
    def dial_in(self) -> DialIn:
        """Who dials in, and how it is received."""
        reception = Reception(register=self.register, heartbeats=self.heartbeats, tls=self.tls)
        return DialIn(id=self.id or self.name, reception=reception, certificate=self.certificate)


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
