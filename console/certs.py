"""``gridfuse ingest certs create`` and ``list``: the certificates by which OPC UA servers know us, and by which we know them.

``create`` makes a key and a self-signed certificate of it; its operator gives the certificate to every server that should let us in.
``list`` shows the certificates of a folder, ours and those of servers alike: whose each is, how long it is in force, and the
fingerprint to compare on the telephone. It ends with 1 where one is not in force, or ends within thirty days.
"""

from __future__ import annotations

import json
import socket
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Final, NoReturn

import typer
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from rich.console import Console
from rich.table import Table

from console.complaints import FAILED, UNUSABLE
from ingest.errors import DeviceSilent
from ingest.opcua.certificates import APPLICATION_URI, application_uri, fingerprint, issue, load_certificate, time_fault

__all__ = ["CertificateFound", "found_in", "register"]

_ENDINGS: Final = (".der", ".pem", ".crt", ".cer")
_SOON: Final = timedelta(days=30)

_Folder = Annotated[Path, typer.Option("--folder", help="Where certificates and keys are.")]


def register(group: typer.Typer) -> None:
    """Add ``certs create`` and ``certs list`` to the group ``ingest``."""
    certs = typer.Typer(help="Certificates for OPC UA: ours, and those of servers.", no_args_is_help=True)
    certs.command("create")(_create)
    certs.command("list")(_list)
    group.add_typer(certs, name="certs")


def _create(
    folder: _Folder = Path("certs"),
    name: Annotated[str, typer.Option(help="What the files are called.")] = "gridfuse",
    uri: Annotated[str, typer.Option(help="Our application URI; servers may allow by it.")] = APPLICATION_URI,
    host: Annotated[list[str] | None, typer.Option(help="A name or address of this machine; may be given again.")] = None,
    days: Annotated[int, typer.Option(help="How long it is valid.", min=1, max=7300)] = 730,
    bits: Annotated[int, typer.Option(help="Length of the RSA key: 2048, 3072 or 4096.")] = 2048,
) -> None:
    """Make a key (readable by you alone) and a self-signed certificate of it; nothing is overwritten."""
    if bits not in (2048, 3072, 4096):
        _refuse(f"a key of {bits} bits is not what OPC UA's policies take; give 2048, 3072 or 4096")
    if ":" not in uri:
        _refuse(f"{uri!r} is not a URI; give one such as {APPLICATION_URI}")
    certificate, key = folder / f"{name}.der", folder / f"{name}-key.pem"
    now = datetime.now(UTC)
    try:
        made = issue(certificate, key, uri=uri, hosts=host or [socket.gethostname()], days=days, bits=bits, now=now)
    except FileExistsError as exc:
        _refuse(f"{exc.filename} is there already, and a key is never overwritten; give another `--name`, or move it away")
    except OSError as exc:
        _refuse(f"{exc.filename or folder} cannot be written: {exc.strerror}")
    typer.echo(f"{certificate}: our certificate {fingerprint(made)}, for {uri}, valid until {made.not_valid_after_utc:%Y-%m-%d}")
    typer.echo(f"{key}: its key; keep it here")
    typer.echo("Give the certificate to the server's operator to trust, and name both files under `security` in the point list.")


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateFound:
    """One certificate of a folder.

    Attributes:
        uri: the application it is for; None where it says none.
        until: end of its validity, ISO 8601 UTC.
        bits: length of its RSA key; None for another kind of key.
        has_key: whether its private key lies beside it.
        fault: why it is not in force, or that it ends soon; empty where neither.
    """

    file: str
    subject: str
    uri: str | None
    since: str
    until: str
    bits: int | None
    fingerprint: str
    has_key: bool
    fault: str


def found_in(folder: Path, now: datetime) -> list[CertificateFound]:
    """Return every certificate of a folder, by file name; a file that is none has that as its fault."""
    found = []
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in _ENDINGS or path.stem.endswith("-key"):
            continue
        try:
            certificate = load_certificate(path)
        except DeviceSilent as exc:
            nothing = CertificateFound(
                file=path.name, subject="", uri=None, since="", until="", bits=None, fingerprint="", has_key=False, fault=str(exc)
            )
            found.append(nothing)
            continue
        found.append(_described(path, certificate, now))
    return found


def _described(path: Path, certificate: x509.Certificate, now: datetime) -> CertificateFound:
    fault = time_fault(certificate, now) or ""
    left = certificate.not_valid_after_utc - now
    if not fault and left < _SOON:
        fault = f"expires in {left.days} days"
    key = certificate.public_key()
    return CertificateFound(
        file=path.name,
        subject=certificate.subject.rfc4514_string(),
        uri=application_uri(certificate),
        since=certificate.not_valid_before_utc.strftime("%Y-%m-%dT%H:%M:%SZ"),
        until=certificate.not_valid_after_utc.strftime("%Y-%m-%dT%H:%M:%SZ"),
        bits=key.key_size if isinstance(key, rsa.RSAPublicKey) else None,
        fingerprint=fingerprint(certificate),
        has_key=path.with_name(f"{path.stem}-key.pem").is_file(),
        fault=fault,
    )


def _list(folder: _Folder = Path("certs"), as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Show the certificates of a folder: whose, until when, and their fingerprints."""
    if not folder.is_dir():
        _refuse(f"{folder} is not a folder; make a certificate with `gridfuse ingest certs create`, or name the folder")
    found = found_in(folder, datetime.now(UTC))
    if as_json:
        typer.echo(json.dumps([asdict(each) for each in found], ensure_ascii=False))
    else:
        table = Table("file", "application URI", "until", "bits", "key", "fingerprint", "", box=None)
        for each in found:
            bits = "-" if each.bits is None else str(each.bits)
            table.add_row(
                each.file,
                each.uri or each.subject or "-",
                each.until[:10],
                bits,
                "yes" if each.has_key else "-",
                each.fingerprint,
                each.fault,
            )
        Console().print(table)
    if any(each.fault for each in found):
        raise typer.Exit(FAILED)


def _refuse(what: str) -> NoReturn:
    typer.echo(f"gridfuse: {what}", err=True)
    raise typer.Exit(UNUSABLE)
