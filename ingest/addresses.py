"""Where is a device that is polled over Modbus, and what does it need that others do not? Records only, as in :mod:`ingest.devices`."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Address", "DialIn", "Engine", "Framing", "Manners", "Reception", "SerialLine", "ServerTls", "Tls"]


class Framing(StrEnum):
    """How requests and replies stand in a stream of bytes."""

    MBAP = "mbap"
    """Modbus/TCP: a header with a transaction number and a length."""
    RTU = "rtu"
    """As on a serial line: a unit, a PDU and a checksum."""


class Engine(StrEnum):
    """Who speaks the protocol to a device that is polled."""

    OWN = "gridfuse"
    PYMODBUS = "pymodbus"
    """pymodbus's client: slow, and to cross-check our own with (:mod:`ingest.modbus.reference`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """Certificates of a connection; all are paths of PEM files.

    Attributes:
        ca: whom we trust to vouch for the peer; None for whom the machine trusts.
        cert, key: what we show, where the peer asks for it.
        server_name: name that must stand in the peer's certificate; None for its address, empty for any name ``ca`` vouches for.
    """

    ca: str | None = None
    cert: str | None = None
    key: str | None = None
    server_name: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SerialLine:
    """How a serial line is set; eight data bits, as RTU has it.

    Attributes:
        parity: N, E or O.
    """

    baud: int = 19_200
    parity: str = "E"
    stop_bits: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerTls:
    """Certificates of an address of ours at which devices dial in; paths of PEM files.

    Attributes:
        cert, key: what we show.
        ca: whom we trust to vouch for devices; None where they are not asked for a certificate.
        clients_required: whether a device without a certificate is turned away; else it may show none, but no wrong one.
    """

    cert: str
    key: str
    ca: str | None = None
    clients_required: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Reception:
    """How devices are received that dial in at an address of ours; all of them alike.

    Attributes:
        register: what a device says first (:func:`ingest.modbus.greeting.greeting_of`); ``address`` where it says nothing and is known by
            its network address, ``certificate`` where it is known by the name in its certificate.
        heartbeats: what it says when it has nothing to say (:class:`ingest.modbus.greeting.Template`).
        tls: None where it speaks in the clear.
    """

    register: str
    heartbeats: tuple[str, ...] = ()
    tls: ServerTls | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DialIn:
    """Who dials in.

    Attributes:
        id: what it calls itself.
        certificate: name that must stand in its certificate; None for its id where it shows a certificate, empty for any name that the
            authority vouches for.
    """

    id: str
    reception: Reception
    certificate: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where devices are, and who reads them there; those with the same address share one connection.

    Attributes:
        host: name or number of a host; path of a serial line; where it dials in, an address of ours.
        port: 0 for a serial line.
        dial_in: who dials in, and is asked over that connection; None where we make the connection.
    """

    host: str
    port: int = 0
    framing: Framing = Framing.MBAP
    tls: Tls | None = None
    line: SerialLine | None = None
    dial_in: DialIn | None = None
    engine: Engine = Engine.OWN

    @property
    def is_serial(self) -> bool:
        """Whether it is a serial line."""
        return self.line is not None

    def __str__(self) -> str:
        at = self.host if self.is_serial else f"{self.host}:{self.port}"
        return at if self.dial_in is None else f"{self.dial_in.id} at {at}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Manners:
    """What a device needs that others do not; by default nothing.

    Attributes:
        pause_after_connect_s: wall seconds it is left alone after a connection was made.
        gap_s: wall seconds between a reply and the next request.
        one_point_per_request: it answers only for one quantity at a time.
        close_after_poll: it has few connections to give, or forgets one that is idle.
        transaction_zero: it answers with transaction number 0, whatever it was asked; replies are told by their order then.
        registers_max: most registers it gives in one reply, 1..125.
        hole_max: most unasked registers read to join two points; None for what round trips suggest.
        depth: requests that may be on their way; None for what is found out.
    """

    pause_after_connect_s: float = 0.0
    gap_s: float = 0.0
    one_point_per_request: bool = False
    close_after_poll: bool = False
    transaction_zero: bool = False
    registers_max: int = 125
    hole_max: int | None = None
    depth: int | None = None
