"""Are the certificates and keys that a point list names there, in force, and made for each other?

A list that reads well can still fail at three in the morning: a path with a slip, a key of another certificate, a certificate that ran
out. Each file is looked at where the list names it, without connecting to anything; what is wrong with it is told with that line. A
certificate that ends within thirty days is no problem yet, and told apart.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from ingest.errors import DeviceSilent
from ingest.opcua.certificates import ENDINGS, application_uri, load_certificate, load_key, time_fault
from ingest.yamlfile import Located
from market.errors import Problem

__all__ = ["SOON", "certificate_findings"]

SOON: Final = timedelta(days=30)
_MAKE: Final = "make both with `gridfuse ingest certs create`"
_REACH: Final = "correct the path, or let the user that runs Gridfuse read it"
_Complain = Callable[[str, str], None]
"""Takes a key of the entry, and what is wrong with what it names."""


def certificate_findings(located: Located, now: datetime) -> tuple[list[Problem], list[Problem]]:
    """Look at every certificate, key and trust folder that a point list names.

    Args:
        located: the list's data; what has another shape than a list should is passed over, as others complain of it.
        now: the instant at which certificates should be in force, with its zone.

    Returns:
        What is wrong, and what will be within :data:`SOON`; both in the order of the file.
    """
    wrong: list[Problem] = []
    soon: list[Problem] = []
    entries = located.data.get("devices") if isinstance(located.data, Mapping) else None
    for index, entry in enumerate(entries if isinstance(entries, list) else ()):
        for section, look in (("security", _look_at_security), ("tls", _look_at_tls)):
            said = entry.get(section) if isinstance(entry, Mapping) else None
            if not isinstance(said, Mapping):
                continue
            files = {str(key): located.path.parent / value for key, value in said.items() if isinstance(value, str)}
            place = ("devices", index, section)

            def complain(key: str, what: str, place: tuple[str | int, ...] = place) -> None:
                wrong.append(located.problem(what, *place, key))

            def warn(key: str, what: str, place: tuple[str | int, ...] = place) -> None:
                soon.append(located.problem(what, *place, key))

            look(files, _Judge(now, complain, warn))
    return wrong, soon


class _Judge:
    """Looks at files, and says what is wrong with them."""

    def __init__(self, now: datetime, complain: _Complain, warn: _Complain) -> None:
        self._now = now
        self.complain = complain
        self._warn = warn

    def certificate(self, key: str, path: Path, remedy: str) -> x509.Certificate | None:
        """Return a certificate that can be read; None where it cannot."""
        try:
            found = load_certificate(path)
        except DeviceSilent as exc:
            self.complain(key, f"{exc}; {remedy}")
            return None
        self.time(key, path, found, remedy)
        return found

    def time(self, key: str, path: Path, certificate: x509.Certificate, remedy: str) -> None:
        """Say whether a certificate is in force, and for how long."""
        fault = time_fault(certificate, self._now)
        left = certificate.not_valid_after_utc - self._now
        if fault is not None:
            self.complain(key, f"{path} {fault}; {remedy}")
        elif left < SOON:
            self._warn(key, f"{path} expires in {left.days} days, on {certificate.not_valid_after_utc:%Y-%m-%d}; {remedy}")

    def belong(self, key: str, certificate: x509.Certificate | None, private: Any, cert_path: Path, key_path: Path) -> None:
        """Say whether a key is that of a certificate."""
        if certificate is not None and private is not None and certificate.public_key() != private.public_key():
            self.complain(key, f"{key_path} is not the key of {cert_path}; give the two files that were made together")


def _look_at_security(files: Mapping[str, Path], judge: _Judge) -> None:
    """Look at what an OPC UA server is known by, and we to it."""
    for cert, key in (("cert", "key"), ("user_cert", "user_key")):
        certificate = private = None
        if cert in files:
            certificate = judge.certificate(cert, files[cert], _MAKE if cert == "cert" else "give the certificate that the server knows")
            if certificate is not None and cert == "cert" and application_uri(certificate) is None:
                judge.complain(cert, f"{files[cert]} is for no application URI, which servers ask for; {_MAKE}")
        if key in files:
            try:
                private = load_key(files[key])
            except DeviceSilent as exc:
                judge.complain(key, f"{exc}; correct the path, or {_MAKE}" if "cannot be read" in str(exc) else str(exc))
        if cert in files and key in files:
            judge.belong(key, certificate, private, files[cert], files[key])
    if "pin" in files:
        judge.certificate("pin", files["pin"], "get the server's present one with `gridfuse ingest probe --save-cert`, and compare it")
    if "trust" in files:
        _look_at_folder(files["trust"], judge)
    if "password_file" in files:
        _look_at_password(files["password_file"], judge)


def _look_at_folder(folder: Path, judge: _Judge) -> None:
    if not folder.is_dir():
        judge.complain("trust", f"{folder} is not a folder; make it, and put the certificates there that are trusted")
        return
    try:
        paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in ENDINGS)
    except OSError as exc:
        judge.complain("trust", f"{folder} cannot be read: {exc.strerror}; let the user that runs Gridfuse read it")
        return
    if not paths:
        judge.complain(
            "trust", f"{folder} holds no certificate ({', '.join(ENDINGS)}), so that no server is trusted; put the server's there"
        )
    for path in paths:
        judge.certificate("trust", path, "take it out of the folder, or put the present one there")


def _look_at_password(path: Path, judge: _Judge) -> None:
    try:
        if not path.read_bytes().strip():
            judge.complain("password_file", f"{path} is empty; write the password into it")
    except OSError as exc:
        judge.complain(
            "password_file", f"{path} cannot be read: {exc.strerror}; correct the path, or let the user that runs Gridfuse read it"
        )


def _look_at_tls(files: Mapping[str, Path], judge: _Judge) -> None:
    """Look at what a Modbus device is known by, and we to it: PEM files, in which several certificates may stand."""
    if "ca" in files:
        for certificate in _chain("ca", files["ca"], judge):
            judge.time("ca", files["ca"], certificate, "ask for the present one")
    if "cert" not in files or "key" not in files:
        return
    chain = _chain("cert", files["cert"], judge)
    for certificate in chain[:1]:
        judge.time("cert", files["cert"], certificate, "have a new one issued")
    private = _private(files["key"], judge)
    judge.belong("key", chain[0] if chain else None, private, files["cert"], files["key"])


def _chain(key: str, path: Path, judge: _Judge) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(path.read_bytes())
    except OSError as exc:
        judge.complain(key, f"{path} cannot be read: {exc.strerror}; {_REACH}")
    except ValueError:
        judge.complain(key, f"{path} holds no certificate; give a file in PEM form")
    return []


def _private(path: Path, judge: _Judge) -> Any:
    try:
        return serialization.load_pem_private_key(path.read_bytes(), password=None)
    except OSError as exc:
        judge.complain("key", f"{path} cannot be read: {exc.strerror}; {_REACH}")
    except (ValueError, TypeError):
        judge.complain("key", f"{path} is no private key without a password; give one in PEM form")
    return None
