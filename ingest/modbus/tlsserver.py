"""How does a device that dials in over TLS speak to a protocol that knows of none, and why was it not let in?

:class:`TlsShell` stands between a socket and the protocol it serves: what comes is decrypted and handed on, what is written encrypted and
sent. It works on buffers (:class:`ssl.MemoryBIO`) rather than through asyncio's own: that one keeps a quarter of a mebibyte for
each connection, which ten thousand devices feel, and tells nobody whom it did not let in.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from ingest.addresses import ServerTls

__all__ = ["ServerCertificates", "TlsShell", "names_in"]

_CHUNK: Final = 16 * 1024
"""Bytes of one TLS record, at most."""

_REASONS: Final = {
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": ("tls_no_certificate", "shows no certificate; give it one, or write `clients: optional`"),
    "HTTP_REQUEST": ("tls_not_spoken", "speaks HTTP and no TLS"),
    "WRONG_VERSION_NUMBER": ("tls_not_spoken", "speaks no TLS; have it encrypt, or receive it at a listener without `tls`"),
    "UNEXPECTED_EOF_WHILE_READING": ("tls_broken_off", "broke off in the middle of the handshake"),
    "UNSUPPORTED_PROTOCOL": ("tls_too_old", "speaks a TLS older than 1.2; renew its firmware"),
    "VERSION_TOO_LOW": ("tls_too_old", "speaks a TLS older than 1.2; renew its firmware"),
    "NO_SHARED_CIPHER": ("tls_no_cipher", "knows no cipher that we accept; renew its firmware"),
    "TLSV1_ALERT_UNKNOWN_CA": ("tls_not_trusted", "does not trust our certificate; give it the authority that signed ours"),
    "SSLV3_ALERT_BAD_CERTIFICATE": ("tls_not_trusted", "does not take our certificate; give it the authority that signed ours"),
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": ("tls_not_trusted", "does not take our certificate; give it the authority that signed ours"),
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": ("tls_not_trusted", "finds our certificate expired; renew it, or set the device's clock"),
}


def _why(exc: ssl.SSLError) -> tuple[str, str]:
    """Return the reason under which a failed handshake is counted, and what it means."""
    if isinstance(exc, ssl.SSLCertVerificationError):
        return "tls_certificate", f"shows a certificate that is not accepted ({exc.verify_message}); renew it, or add who signed it to `ca`"
    return _REASONS.get(exc.reason or "", ("tls_failed", f"could not agree on TLS ({exc.reason or exc})"))


class ServerCertificates:
    """The certificates of a listener, read again when their files change.

    Raises:
        OSError: a file cannot be read, or is none of what it should be.
    """

    def __init__(self, tls: ServerTls) -> None:
        self._tls = tls
        self._seen = self._stamps()
        self.context = self._built()

    def renew(self) -> str | None:
        """Read the files if they changed.

        Returns:
            None where they did not; an empty text where new connections have the new ones from now on; why they cannot be used
            otherwise, and the old ones stay.
        """
        stamps = self._stamps()
        if stamps == self._seen:
            return None
        try:
            context = self._built()
        except OSError as exc:  # of which an error of TLS is one
            self._seen = stamps
            return str(exc)
        self._seen, self.context = stamps, context
        return ""

    def _stamps(self) -> list[tuple[int, int, int]]:
        found = []
        for path in (self._tls.cert, self._tls.key, self._tls.ca):
            try:
                stat = Path(path).stat() if path is not None else None
            except OSError:
                stat = None
            found.append((stat.st_mtime_ns, stat.st_ino, stat.st_size) if stat is not None else (0, 0, 0))
        return found

    def _built(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.options |= ssl.OP_NO_RENEGOTIATION
        context.num_tickets = 0
        context.load_cert_chain(self._tls.cert, self._tls.key, password="")  # a key that needs one must not be asked for at a terminal
        if self._tls.ca is not None:
            context.load_verify_locations(self._tls.ca)
            context.verify_mode = ssl.CERT_REQUIRED if self._tls.clients_required else ssl.CERT_OPTIONAL
        return context


def names_in(certificate: dict[str, Any] | None) -> tuple[str, ...]:
    """Return the names that stand in a peer's certificate, as :meth:`ssl.SSLObject.getpeercert` gives it: common name first."""
    if not certificate:
        return ()
    common = [value for part in certificate.get("subject", ()) for key, value in part if key == "commonName"]
    return (*common, *(value for kind, value in certificate.get("subjectAltName", ()) if kind in ("DNS", "URI", "IP Address")))


class TlsShell(asyncio.Transport, asyncio.Protocol):
    """One connection over TLS: the protocol of its socket, and the transport of the protocol it serves.

    Args:
        context: our certificates.
        served: whom it serves; its connection is made when the handshake is done, and lost when the socket is, done or not.
        accepted: called when the socket is there.
        refused: called with a reason and its meaning where the peer is not let in; the socket is closed then.
    """

    def __init__(
        self,
        context: ssl.SSLContext,
        served: asyncio.Protocol,
        accepted: Callable[[asyncio.Transport], None],
        refused: Callable[[str, str], None],
    ) -> None:
        super().__init__()
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, server_side=True)
        self._served: asyncio.BaseProtocol = served
        self._accepted, self._refused = accepted, refused
        self._raw: asyncio.Transport | None = None
        self._agreed = False

    # ---- the socket's protocol ----------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin the handshake."""
        assert isinstance(transport, asyncio.Transport)
        self._raw = transport
        self._accepted(self)

    def data_received(self, data: bytes) -> None:
        """Decrypt what came and hand it on."""
        assert self._raw is not None
        if self._raw.is_closing():
            return
        self._in.write(data)
        try:
            if not self._agreed:
                self._tls.do_handshake()
                self._agreed = True
                self._flush()
                self._served.connection_made(self)
            while not self._raw.is_closing():
                plain = self._tls.read(_CHUNK)
                if not plain:
                    self.close()
                    return
                assert isinstance(self._served, asyncio.Protocol)
                self._served.data_received(plain)
        except ssl.SSLWantReadError:
            self._flush()
        except ssl.SSLZeroReturnError:
            self.close()
        except ssl.SSLError as exc:
            self._flush()  # the alert that tells the peer
            if self._agreed:
                self._refused("tls_broken", f"sent what is no TLS record of its connection ({exc.reason or exc})")
            else:
                self._refused(*_why(exc))
            self._raw.close()

    def eof_received(self) -> None:
        """Close too; a peer that sends no more has no answer to come."""

    def connection_lost(self, exc: Exception | None) -> None:
        """Pass on that it has ended."""
        self._served.connection_lost(exc)

    def pause_writing(self) -> None:
        """Pass on that the peer does not read."""
        self._served.pause_writing()

    def resume_writing(self) -> None:
        """Pass on that it reads again."""
        self._served.resume_writing()

    # ---- the served protocol's transport --------------------------------------------------------------------------------------

    def names(self) -> tuple[str, ...] | None:
        """Return the names in the peer's certificate; None where it showed none."""
        certificate = self._tls.getpeercert()
        return names_in(certificate) if certificate else None

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Encrypt and send."""
        assert self._raw is not None
        if not self._raw.is_closing():
            self._tls.write(data)
            self._flush()

    def close(self) -> None:
        """Say goodbye and close."""
        assert self._raw is not None
        if self._raw.is_closing():
            return
        with contextlib.suppress(ssl.SSLError):  # the peer's goodbye is not waited for
            self._tls.unwrap()
        self._flush()
        self._raw.close()

    def abort(self) -> None:
        """Close without ceremony."""
        if self._raw is not None:
            self._raw.abort()

    def is_closing(self) -> bool:
        """Whether it is closed, or about to be."""
        return self._raw is None or self._raw.is_closing()

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Serve another protocol from now on."""
        self._served = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        """Return whom it serves."""
        return self._served

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return what the socket knows."""
        return default if self._raw is None else self._raw.get_extra_info(name, default)

    def _flush(self) -> None:
        if self._raw is not None and self._out.pending and not self._raw.is_closing():
            self._raw.write(self._out.read())
