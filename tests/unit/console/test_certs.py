"""``gridfuse ingest certs``: what it makes, what it refuses, and what it lists."""

from __future__ import annotations

import json
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa

from console.certs import found_in
from console.cli import app
from ingest.opcua.certificates import application_uri, fingerprint, issue, load_certificate, load_key
from tests.kit.cli import CliRunner, Result


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["ingest", "certs", *map(str, arguments)])


def test_a_certificate_that_servers_take(tmp_path: Path) -> None:
    result = run("create", "--folder", tmp_path / "c", "--host", "edge-1", "--host", "10.0.0.7", "--days", 90)
    assert result.exit_code == 0, result.output
    certificate, key = tmp_path / "c" / "gridfuse.der", tmp_path / "c" / "gridfuse-key.pem"
    made = load_certificate(certificate)
    assert fingerprint(made) in result.output
    assert application_uri(made) == "urn:gridfuse:ingest"
    names = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["edge-1"]
    assert [str(address) for address in names.get_values_for_type(x509.IPAddress)] == ["10.0.0.7"]
    usage = made.extensions.get_extension_for_class(x509.KeyUsage).value
    assert usage.digital_signature
    assert usage.key_encipherment
    assert usage.data_encipherment
    public = made.public_key()
    assert isinstance(public, rsa.RSAPublicKey)
    assert (public.key_size, public) == (2048, load_key(key).public_key())
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    left = made.not_valid_after_utc - datetime.now(UTC)
    assert timedelta(days=89) < left <= timedelta(days=90)


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    assert run("create", "--folder", tmp_path).exit_code == 0
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    result = run("create", "--folder", tmp_path)
    assert result.exit_code == 2
    assert "gridfuse-key.pem is there already, and a key is never overwritten" in result.output
    (tmp_path / "gridfuse-key.pem").unlink()
    assert run("create", "--folder", tmp_path).exit_code == 2
    left = {path: path.read_bytes() for path in tmp_path.iterdir()}
    assert left == {path: raw for path, raw in before.items() if path.name == "gridfuse.der"}


def test_what_cannot_be_made(tmp_path: Path) -> None:
    assert "a key of 1024 bits is not what OPC UA's policies take" in run("create", "--folder", tmp_path, "--bits", 1024).output
    assert "'me' is not a URI" in run("create", "--folder", tmp_path, "--uri", "me").output
    assert list(tmp_path.iterdir()) == []


def test_the_list_names_what_is_there_and_what_is_wrong_with_it(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    assert run("create", "--folder", tmp_path).exit_code == 0
    assert run("list", "--folder", tmp_path).exit_code == 0
    issue(tmp_path / "old.der", tmp_path / "old-key.pem", uri="urn:old", hosts=[], days=10, bits=2048, now=now - timedelta(days=20))
    (tmp_path / "ems.crt").write_text("nonsense")
    result = run("list", "--folder", tmp_path, "--json")
    assert result.exit_code == 1
    found = {each["file"]: each for each in json.loads(result.output)}
    assert set(found) == {"gridfuse.der", "old.der", "ems.crt"}
    assert (found["gridfuse.der"]["fault"], found["gridfuse.der"]["has_key"], found["gridfuse.der"]["bits"]) == ("", True, 2048)
    assert found["old.der"]["fault"].startswith("expired on ")
    assert found["ems.crt"]["fault"].endswith("is not a certificate; give a file in PEM or DER form")
    assert [each.fault for each in found_in(tmp_path, now + timedelta(days=715, hours=12)) if each.file == "gridfuse.der"] == [
        "expires in 14 days"
    ]


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    result = run("list", "--folder", tmp_path / "none")
    assert result.exit_code == 2
    assert "is not a folder; make a certificate with `gridfuse ingest certs create`" in result.output
