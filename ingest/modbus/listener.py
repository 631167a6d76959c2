"""Who dials in to us, and is it let in?

A device behind a mobile operator's network cannot be reached. It connects to an address of ours and says who it is: by a packet that it
sends first (:mod:`ingest.modbus.greeting`), by its network address, or by the name in its certificate. Then its station speaks with it:
one that it writes to (:mod:`ingest.modbus.pushing`), or one that polls it (:mod:`ingest.modbus.dialled`).

Who is not let in is counted, with the reason, against its station where it has one, else against the listener: an unknown id, a packet
that is none, a handshake that fails, a certificate for somebody else, a peer that is too slow or has too many sockets open that say
nothing. Unknown ids are kept, the latest hundred, with where they came from and how to let them in.

A stranger costs little: 256 bytes, ten seconds, one socket; and no station notices it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

from ingest.addresses import DialIn, Reception
from ingest.clock import Clock
from ingest.modbus.greeting import BY_ADDRESS, GREETING_BYTES_MAX, greeting_in
from ingest.modbus.reception import Arrival, Station
from ingest.modbus.tlsserver import ServerCertificates, TlsShell
from ingest.source import Source
from market.errors import ConfigError, Problem
from market.units import NS_PER_S

__all__ = ["Listener"]

_log: Final = logging.getLogger(__name__)

_REGISTRATION_S: Final = 10.0
"""Wall seconds a peer has to say who it is, its handshake included."""

_TICK_MIN_S: Final = 0.1
_RENEWAL_S: Final = 5.0
"""Wall seconds between two looks at the files of the certificates."""

_BACKLOG: Final = 1024
"""Connections that the system takes for us while we are busy; it may take fewer (net.core.somaxconn)."""

_NAMELESS_MAX: Final = 8192
_NAMELESS_PER_PEER_MAX: Final = 4096
"""Sockets that have not said who they are, some kibibytes each. Of one network address there may be thousands for a moment: a mobile
operator has a whole fleet behind one, and after an outage all of it dials at once."""

_STRANGERS_MAX: Final = 100
_ID_SHOWN: Final = 64


class Listener:
    """Listens at one address for the devices that dial in there.

    Args:
        at: host and port of ours.
        reception: how all devices are received there.
        stations: who may dial in; :meth:`admit` and :meth:`dismiss` change that.
        own: counts what reached no device.
    """

    def __init__(
        self,
        at: tuple[str, int],
        reception: Reception,
        stations: Sequence[Station],
        own: Source,
        clock: Clock,
    ) -> None:
        self._host, self._port = at
        self._url = f"modbus+listen://{self._host}:{self._port}"
        self._clock = clock
        self._stations: dict[str, Station] = {}
        self._lower: dict[str, Station] = {}
        self._step_ns = NS_PER_S
        self._server: asyncio.Server | None = None
        self._strangers: dict[str, int] = {}
        self._nameless: Counter[str] = Counter()
        self._guests: set[_Guest] = set()
        self._certificates: ServerCertificates | None = None
        self.own = own
        self._understand(reception)
        for station in stations:
            self.admit(station)

    def _understand(self, reception: Reception) -> None:
        self.reception = reception
        self.greeting = greeting_in(reception)
        self.by_address = reception.register == BY_ADDRESS

    def admit(self, station: Station) -> None:
        """Let somebody dial in from now on."""
        self._stations[station.dial_in.id] = station
        self._lower[station.dial_in.id.lower()] = station
        self._pace()

    def dismiss(self, dial_in: DialIn) -> None:
        """Let somebody dial in no more, and have its station close its socket."""
        station = self._stations.pop(dial_in.id)
        self._lower = {name.lower(): other for name, other in self._stations.items()}
        station.close()
        self._pace()

    def _pace(self) -> None:
        shortest_ns = min((look_ns for station in self._stations.values() if (look_ns := station.look_ns) is not None), default=NS_PER_S)
        self._step_ns = max(shortest_ns, int(_TICK_MIN_S * self._clock.speed * NS_PER_S))

    def prepared(self, reception: Reception) -> ServerCertificates | None:
        """Return what receiving in another way needs.

        Raises:
            ConfigError: our certificate cannot be used.
        """
        if reception.tls is None:
            return None
        try:
            return ServerCertificates(reception.tls)
        except OSError as exc:
            what = f"the certificates cannot be used ({exc}); give `cert`, its `key` and `ca` as PEM files that we may read"
            raise ConfigError([Problem(self._url, what)]) from None

    def receive(self, reception: Reception, certificates: ServerCertificates | None) -> None:
        """Receive in another way from now on; who has been received stays until dismissed."""
        self._certificates = certificates
        self._understand(reception)

    @property
    def port(self) -> int:
        """The port we listen at, once :meth:`open` has returned."""
        assert self._server is not None, "the listener is not open"
        return int(self._server.sockets[0].getsockname()[1])

    @property
    def nameless(self) -> int:
        """Sockets that have not said who they are."""
        return len(self._guests)

    @property
    def strangers(self) -> Mapping[str, int]:
        """The latest unknown ids, and how often each was turned away."""
        return self._strangers

    async def open(self) -> None:
        """Begin to listen.

        Raises:
            ConfigError: the address cannot be listened at, or our certificate cannot be used.
        """
        self._certificates = self.prepared(self.reception)
        try:
            self._server = await asyncio.get_running_loop().create_server(self._received, self._host, self._port, backlog=_BACKLOG)
        except OSError as exc:
            what = f"cannot be listened at ({exc.strerror or exc}); give an address of this machine and a free port"
            raise ConfigError([Problem(self._url, what)]) from None

    def _received(self) -> asyncio.Protocol:
        guest = _Guest(self)
        return guest if self._certificates is None else TlsShell(self._certificates.context, guest, guest.accepted, guest.turned_away)

    async def run(self) -> None:
        """Watch over silence and certificates until cancelled."""
        renewed_s = time.monotonic()
        while True:
            await self._clock.sleep_until(self._clock.now_ns() + self._step_ns)
            for station in tuple(self._stations.values()):
                station.look()
            if self._certificates is not None and time.monotonic() - renewed_s >= _RENEWAL_S:
                renewed_s = time.monotonic()
                self.renew()

    def renew(self) -> None:
        """Read the certificates again if their files changed; connections that are open keep theirs."""
        assert self._certificates is not None
        failed = self._certificates.renew()
        if failed == "":
            _log.info("%s: new certificates are used for new connections", self._url, extra={"listener": self.own.name})
        elif failed is not None:
            what = "%s: the files of the certificates changed and cannot be used (%s); the ones before stay in use"
            _log.warning(what, self._url, failed, extra={"listener": self.own.name, "reason": failed})

    def close(self) -> None:
        """Stop listening and close every connection."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for guest in tuple(self._guests):
            guest.abort()
        for station in self._stations.values():
            station.close()

    # ---- guests -------------------------------------------------------------------------------------------------------------

    def let_in(self, guest: _Guest, host: str) -> bool:
        """Note a socket that has not said who it is; False where there are too many."""
        if len(self._guests) >= _NAMELESS_MAX or self._nameless[host] >= _NAMELESS_PER_PEER_MAX:
            return False
        self._guests.add(guest)
        self._nameless[host] += 1
        return True

    def let_go(self, guest: _Guest, host: str) -> None:
        """Note that it is gone, or has said who it is."""
        if guest in self._guests:
            self._guests.remove(guest)
            self._nameless[host] -= 1
            if not self._nameless[host]:
                del self._nameless[host]

    def station(self, name: str, peer: str) -> Station | None:
        """Return the station of an id; None, counted and kept, where there is none."""
        station = self._stations.get(name) or self._lower.get(name.lower())
        if station is None:
            self._keep(name[:_ID_SHOWN], peer)
        return station

    def _keep(self, name: str, peer: str) -> None:
        self.own.refused["unknown_name"] += 1
        times = self._strangers.pop(name, 0) + 1
        self._strangers[name] = times
        if len(self._strangers) > _STRANGERS_MAX:
            oldest = next(iter(self._strangers))
            del self._strangers[oldest]
            self.own.attributes.pop(f"unknown {oldest!r}", None)
        self.own.attributes[f"unknown {name!r}"] = f"turned away {times} times, last from {peer}"
        if times == 1 and self.own.refused["unknown_name"] <= _STRANGERS_MAX:
            what = (
                "%s: %r dialled in from %s and is not in the point list; its socket is closed; if it is yours, add a device with `id: %s`"
            )
            where = {"listener": self.own.name, "device": name, "detail": peer}
            _log.warning(what, self.own.name, name, peer, name, extra=where)


def _misfit(dial_in: DialIn, names: tuple[str, ...] | None) -> tuple[str, str] | None:
    """Return why a certificate's names do not fit who shows it; None where they do.

    Args:
        names: in the certificate; None where none was shown, which who asks for one sees to.
    """
    if names is None:
        if dial_in.certificate:
            return "tls_no_certificate", f"registers as {dial_in.id} and shows no certificate, which its `tls: {{name: ...}}` asks for"
        return None
    wanted = dial_in.id if dial_in.certificate is None else dial_in.certificate
    if not wanted or wanted.lower() in [name.lower() for name in names]:
        return None
    shown = ", ".join(names) or "nobody"
    return (
        "certificate_name",
        f"registers as {dial_in.id} with a certificate for {shown}; issue it one for {wanted}, or give `tls: {{name: ...}}`",
    )


class _Guest(asyncio.Protocol):
    """One socket, from accept until it is known who dialled in."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._transport: asyncio.Transport | None = None
        self._peer, self._host = "?", ""
        self._said = b""
        self._deadline: asyncio.TimerHandle | None = None
        self._is_in = False

    def accepted(self, transport: asyncio.Transport) -> None:
        """Take the socket; a handshake may follow."""
        self._transport = transport
        self._host, port = transport.get_extra_info("peername")[:2]
        self._peer = f"{self._host}:{port}"
        if not self._listener.let_in(self, self._host):
            self.refuse("too_many", "is one of too many sockets that have not said who they are")
            return
        self._deadline = asyncio.get_running_loop().call_later(_REGISTRATION_S, self.refuse, "no_name", "did not say in time who it is")

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        if self._transport is None:
            self.accepted(transport)
        if self._listener.greeting is not None or transport.is_closing():
            return
        if self._listener.by_address:
            self._register(self._host, 0)
        elif names := self._names():
            self._register(names[0], 0)
        else:
            self.refuse("tls_no_certificate", "shows no certificate with a name, and is known by nothing else")

    def connection_lost(self, exc: Exception | None) -> None:
        self._leave()

    def data_received(self, data: bytes) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        self._said += data
        assert self._listener.greeting is not None
        found = self._listener.greeting.match(self._said[:GREETING_BYTES_MAX])
        if found is not None and found[0]:
            self._register(found[1], found[0])
        elif found is None or len(self._said) >= GREETING_BYTES_MAX:
            self.refuse("no_name", f"does not say who it is, as `register` has it: {self._said[:32]!r}")

    def refuse(self, reason: str, detail: str) -> None:
        """Count why it is not let in, and close it."""
        self.turned_away(reason, detail)
        self.abort()

    def turned_away(self, reason: str, detail: str) -> None:
        """Count why it is not let in; who calls closes it."""
        self._leave()
        self._listener.own.refuse(reason, f"{self._peer} {detail}")

    def abort(self) -> None:
        """Close without ceremony."""
        self._leave()
        if self._transport is not None:
            self._transport.abort()

    def _leave(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        self._listener.let_go(self, self._host)

    def _names(self) -> tuple[str, ...] | None:
        return self._transport.names() if isinstance(self._transport, TlsShell) else None

    def _register(self, name: str, size: int) -> None:
        """Hand over to the station of who dialled in."""
        assert self._transport is not None
        said, rest = self._said[:size], self._said[size:]
        station = self._listener.station(name, self._peer)
        if station is None:
            self.abort()
            return
        misfit = _misfit(station.dial_in, self._names()) if isinstance(self._transport, TlsShell) else None
        if misfit is not None:
            station.refuse(misfit[0], f"{self._peer} {misfit[1]}")
            self.abort()
            return
        protocol = station.welcome(Arrival(id=name or station.dial_in.id, peer=self._peer, said=said))
        if protocol is None:
            self.abort()
            return
        self._leave()
        self._said = b""
        self._transport.set_protocol(protocol)
        protocol.connection_made(self._transport)
        if rest:
            protocol.data_received(rest)
        station.begin(protocol)
