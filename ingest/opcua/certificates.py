"""Whose certificate is it, is it in force, and do we trust it?

A server's certificate is never trusted because the server sent it: it is the one that is pinned, or it is in a folder of trusted
certificates, or it is signed by an authority whose certificate is there. A pinned certificate is one that somebody compared by hand,
so what it says about its owner is not compared again; of any other, the application URI must be the one its server goes by.

Also how our own certificate is made: self-signed, RSA, with what OPC 10000-6 §6.2.2 asks for.

Absent: revocation lists, and chains longer than one authority.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ingest.devices import UaSecurity
from ingest.errors import DeviceSilent

__all__ = [
    "APPLICATION_URI",
    "ENDINGS",
    "application_uri",
    "fingerprint",
    "issue",
    "judge",
    "load_certificate",
    "load_key",
    "time_fault",
]

APPLICATION_URI: Final = "urn:gridfuse:ingest"
"""What we call ourselves where no certificate of ours says otherwise."""

ENDINGS: Final = (".der", ".pem", ".crt", ".cer")
"""How the names of certificate files end."""

_PRIVATE: Final = 0o600


def load_certificate(path: Path) -> x509.Certificate:
    """Read a certificate, PEM or DER.

    Raises:
        DeviceSilent: it cannot be read, or is none.
    """
    raw = _read(path, "certificate")
    try:
        return x509.load_pem_x509_certificate(raw) if b"-----BEGIN" in raw else x509.load_der_x509_certificate(raw)
    except ValueError:
        raise DeviceSilent(f"{path} is not a certificate; give a file in PEM or DER form") from None


def load_key(path: Path) -> rsa.RSAPrivateKey:
    """Read a private key, PEM or DER, without a password.

    Raises:
        DeviceSilent: it cannot be read, or is none that OPC UA can use.
    """
    raw = _read(path, "private key")
    try:
        load = serialization.load_pem_private_key if b"-----BEGIN" in raw else serialization.load_der_private_key
        key = load(raw, password=None)
    except (ValueError, TypeError):
        raise DeviceSilent(f"{path} is not a private key; give an RSA key in PEM or DER form, without a password") from None
    if not isinstance(key, rsa.RSAPrivateKey):
        raise DeviceSilent(f"{path} is no RSA key, and these policies need one; make a pair with `gridfuse ingest certs create`")
    return key


def fingerprint(certificate: x509.Certificate) -> str:
    """Return the SHA-1 thumbprint, as OPC UA servers name certificates, in hexadecimal digits."""
    return certificate.fingerprint(hashes.SHA1()).hex()  # noqa: S303 (OPC 10000-6 names certificates so; it guards nothing)


def application_uri(certificate: x509.Certificate) -> str | None:
    """Return the application URI a certificate is for; None where it says none."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return None
    uris: list[str] = names.get_values_for_type(x509.UniformResourceIdentifier)
    return uris[0] if uris else None


def time_fault(certificate: x509.Certificate, now: datetime) -> str | None:
    """Return why a certificate is not in force at an instant; None where it is."""
    if now > certificate.not_valid_after_utc:
        return f"expired on {certificate.not_valid_after_utc:%Y-%m-%d %H:%M} UTC"
    if now < certificate.not_valid_before_utc:
        return f"is not valid before {certificate.not_valid_before_utc:%Y-%m-%d %H:%M} UTC; compare the clocks"
    return None


def judge(sent: x509.Certificate, server_uri: str | None, security: UaSecurity, now: datetime) -> None:
    """Check that a server's certificate is in force and that we trust it.

    Args:
        server_uri: the application URI the server goes by.

    Raises:
        DeviceSilent: it is not, or we do not; the message says what to do.
    """
    fault = time_fault(sent, now)
    if fault is not None:
        raise DeviceSilent(f"the server's certificate {fault}")
    if security.pin is not None:
        if fingerprint(load_certificate(security.pin)) != fingerprint(sent):
            what = f"the server's certificate {fingerprint(sent)} is not the pinned one, {security.pin}"
            raise DeviceSilent(f"{what}; if its operator confirms a new one, put it there")
        return
    if security.trust is None:
        return
    if not _is_trusted(sent, _trusted(security.trust), now):
        what = f"the server's certificate {fingerprint(sent)} is not trusted: neither it nor its signer is in {security.trust}"
        raise DeviceSilent(f"{what}; if its operator confirms it, put it there")
    uri = application_uri(sent)
    if uri != server_uri:
        raise DeviceSilent(f"the server calls itself {server_uri}, and its certificate is for {uri}; have its operator issue one that fits")


def _is_trusted(sent: x509.Certificate, trusted: Sequence[x509.Certificate], now: datetime) -> bool:
    for other in trusted:
        if fingerprint(other) == fingerprint(sent):
            return True
        if _is_authority(other) and time_fault(other, now) is None:
            try:
                sent.verify_directly_issued_by(other)
            except (ValueError, TypeError, InvalidSignature):
                continue
            return True
    return False


def _is_authority(certificate: x509.Certificate) -> bool:
    """Whether it may sign others: an authority, and no application's own certificate, which signs itself alone."""
    try:
        if not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca:
            return False
    except x509.ExtensionNotFound:
        return False
    return application_uri(certificate) is None


def _trusted(folder: Path) -> list[x509.Certificate]:
    if not folder.is_dir():
        raise DeviceSilent(f"{folder} is not a folder; make it, and put the certificates there that are trusted")
    return [load_certificate(path) for path in sorted(folder.iterdir()) if path.suffix.lower() in ENDINGS]


def issue(certificate: Path, key: Path, *, uri: str, hosts: Sequence[str], days: int, bits: int, now: datetime) -> x509.Certificate:
    """Make a key and a self-signed certificate of it; the key is readable by its owner only.

    Args:
        certificate: DER file that is made; key: PEM file that is made. Neither is overwritten.
        uri: our application URI.
        hosts: host names and addresses we are reached at.
        days: how long it is valid.
        bits: length of the RSA key.

    Raises:
        FileExistsError: one of the files is there.
        OSError: one cannot be written.
    """
    private = rsa.generate_private_key(public_exponent=65_537, key_size=bits)
    name = x509.Name(
        [x509.NameAttribute(NameOID.COMMON_NAME, "Gridfuse ingest"), x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Gridfuse")]
    )
    usage = x509.KeyUsage(
        digital_signature=True,
        content_commitment=True,
        key_encipherment=True,
        data_encipherment=True,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        # A server whose clock is behind ours should take it today.
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri), *map(_host, hosts)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(private.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(private.public_key()), critical=False)
        .sign(private, hashes.SHA256())
    )
    form, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    _write_new(key, private.private_bytes(serialization.Encoding.PEM, form, plain), _PRIVATE)
    try:
        _write_new(certificate, made.public_bytes(serialization.Encoding.DER), 0o644)
    except OSError:
        key.unlink()
        raise
    return made


def _host(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)


def _write_new(path: Path, raw: bytes, mode: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(raw)


def _read(path: Path, what: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as exc:
        raise DeviceSilent(f"the {what} {path} cannot be read: {exc.strerror}") from None
