"""How is a device reached that is polled, and what does it need? The part of a point list file that says so, and what can be wrong with it.

A device that is polled is at one of these addresses; those with the same address share one connection::

    modbus+tcp://10.0.0.7:502                           # 502 where no port is given
    modbus+tls://10.0.0.8                               # 802; the entry's `tls: {ca: ca.pem, cert: ours.pem, key: ours.key, name: rtu-8}`
    modbus+rtu+tcp://10.0.0.9:4001                      # RTU frames over TCP, as serial servers pass them on
    modbus+rtu:///dev/ttyUSB0?baud=9600&parity=N&stop=1

``ca`` is who vouches for the device (the machine's trusted authorities where not given), ``cert`` and ``key`` what we show, ``name`` the
name that must stand in its certificate: its host where not given, any name ``ca`` vouches for where empty. Paths are relative to the
file. A map may say what its make of device ``needs`` that others do not, all of it off by default::

    needs: {pause_after_connect: 2s, gap: 50ms, one_point_per_request: true, close_after_poll: true, transaction_zero: true,
            registers_max: 60, hole_max: 0, depth: 1}

``transaction_zero`` is for devices that answer every request with transaction number 0, ``hole_max`` bounds the registers that are read
though no point asked for them (found from round trips where not given), ``depth`` the requests on their way at a time (found out where
not given).

Devices that dial in to us stand in :mod:`ingest.listenfile`; see :mod:`ingest.pointlist` for the whole file.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final, Literal, Self
from urllib.parse import parse_qsl, urlsplit

from pydantic import Field, model_validator

from ingest.addresses import Address, Framing, Manners, SerialLine, Tls
from ingest.yamlfile import DurationNs, Strict
from market.units import NS_PER_S

__all__ = ["MODBUS_PORTS", "NeedsModel", "TlsModel", "UnusableAddressError", "polled_address"]

MODBUS_PORTS: Final[Mapping[str, int | None]] = {"modbus+tcp": 502, "modbus+tls": 802, "modbus+rtu+tcp": None, "modbus+rtu": 0}
"""Schemes of devices that are polled, and the port of each where none is given; 0 for a serial line."""

_PARITIES: Final = ("N", "E", "O")


class UnusableAddressError(ValueError):
    """An address that cannot be one; the message says what to write."""


class TlsModel(Strict):
    """Certificates of a connection; paths of PEM files."""

    ca: str | None = None
    cert: str | None = None
    key: str | None = None
    name: str | None = None
    clients: Literal["required", "optional"] | None = None

    @model_validator(mode="after")
    def _shows_a_pair(self) -> Self:
        if (self.cert is None) != (self.key is None):
            raise ValueError("`cert` and `key` belong together; give both or neither")
        return self

    def built(self, folder: Path) -> Tls:
        """Return the record; paths are relative to a folder."""
        ca, cert, key = (None if path is None else str(folder / path) for path in (self.ca, self.cert, self.key))
        return Tls(ca=ca, cert=cert, key=key, server_name=self.name)


class NeedsModel(Strict):
    """What a make of device needs that others do not."""

    pause_after_connect: DurationNs = 0
    gap: DurationNs = 0
    one_point_per_request: bool = False
    close_after_poll: bool = False
    transaction_zero: bool = False
    registers_max: Annotated[int, Field(ge=4, le=125)] = 125
    hole_max: Annotated[int, Field(ge=0, le=125)] | None = None
    depth: Annotated[int, Field(ge=1, le=64)] | None = None

    def built(self) -> Manners:
        """Return the record."""
        return Manners(
            pause_after_connect_s=self.pause_after_connect / NS_PER_S,
            gap_s=self.gap / NS_PER_S,
            one_point_per_request=self.one_point_per_request,
            close_after_poll=self.close_after_poll,
            transaction_zero=self.transaction_zero,
            registers_max=self.registers_max,
            hole_max=self.hole_max,
            depth=self.depth,
        )


def polled_address(text: str, tls: Tls | None) -> Address:
    """Return the address of a device that is polled.

    Args:
        text: URL of a scheme of :data:`MODBUS_PORTS`.
        tls: certificates, for ``modbus+tls``.

    Raises:
        UnusableAddressError: what is wrong with it, and what to write.
        ValueError: it is no URL.
    """
    url = urlsplit(text)
    if url.scheme == "modbus+rtu":
        if url.netloc or len(url.path) < 2:
            raise UnusableAddressError(f"{text!r} names no serial line; write modbus+rtu:///dev/ttyUSB0?baud=19200&parity=E&stop=1")
        if url.fragment:
            raise UnusableAddressError(f"{text!r} says {'#' + url.fragment!r}, which means nothing of a serial line; remove it")
        return Address(host=url.path, framing=Framing.RTU, line=_line(url.query))
    port = url.port if url.port is not None else MODBUS_PORTS[url.scheme]
    if url.hostname is None or port is None:
        raise UnusableAddressError(f"{text!r} has no port; write {url.scheme}://{url.hostname or 'host'}:port")
    _check_host(url.hostname)
    if "@" in url.netloc:  # nothing of it is repeated: a password may be among it
        host = f"[{url.hostname}]" if ":" in url.hostname else url.hostname
        raise UnusableAddressError(f"the address of {host} names a user, and Modbus knows none; write {url.scheme}://{host}:{port}")
    if url.path.strip("/") or url.query or url.fragment:
        more = url.path + (url.query and "?" + url.query) + (url.fragment and "#" + url.fragment)
        raise UnusableAddressError(f"{text!r} says more than host and port; remove {more.strip('/?')!r}")
    framing = Framing.RTU if url.scheme == "modbus+rtu+tcp" else Framing.MBAP
    return Address(host=url.hostname, port=port, framing=framing, tls=(tls or Tls()) if url.scheme == "modbus+tls" else None)


def _check_host(host: str) -> None:
    """Refuse what no name server could be asked for: it would fail at each connection, and not by saying so."""
    try:
        host.encode("idna")
    except UnicodeError as exc:
        raise UnusableAddressError(f"{host!r} is no name of a host: {exc}; write a name or a number") from exc
    if any(letter.isspace() for letter in host):
        raise UnusableAddressError(f"{host!r} is no name of a host: it has a space in it; write a name or a number")


def _line(query: str) -> SerialLine:
    said = dict(parse_qsl(query, keep_blank_values=True))
    if unknown := sorted(set(said) - {"baud", "parity", "stop"}):
        raise UnusableAddressError(f"a serial line has no {unknown[0]!r}; it has baud, parity (N, E, O) and stop (1, 2)")
    baud, parity, stop = said.get("baud", "19200"), said.get("parity", "E").upper(), said.get("stop", "1")
    if not (baud.isdecimal() and 0 < int(baud) <= 4_000_000):
        raise UnusableAddressError(f"{baud!r} is no speed of a line; write bits per second, as in baud=9600")
    if parity not in _PARITIES:
        raise UnusableAddressError(f"{parity!r} is no parity; write N, E or O")
    if stop not in ("1", "2"):
        raise UnusableAddressError(f"{stop!r} is no number of stop bits; write 1 or 2")
    return SerialLine(baud=int(baud), parity=parity, stop_bits=int(stop))
