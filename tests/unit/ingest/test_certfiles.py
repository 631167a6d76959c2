"""Certificates and keys that a list names: there, in force, and made for each other, or told with the line that names them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import typer
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from console.ingest import register
from ingest.certfiles import certificate_findings
from ingest.opcua.certificates import issue
from ingest.yamlfile import load_yaml
from tests.kit.certificates import Authority
from tests.kit.cli import CliRunner

NOW = datetime(2026, 6, 1, tzinfo=UTC)


class Folder:
    """A folder of certificates beside a list that names them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        (path / "trust").mkdir(parents=True)
        self.keys = [rsa.generate_private_key(public_exponent=65_537, key_size=2048) for _ in range(2)]
        for number, key in enumerate(self.keys):
            form = serialization.PrivateFormat.PKCS8
            raw = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
            (path / f"key{number}.pem").write_bytes(raw)

    def certificate(self, name: str, until: datetime, *, key: int = 0, uri: str | None = "urn:us", since: datetime = NOW) -> None:
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(self.keys[key].public_key())
        builder = builder.serial_number(7).not_valid_before(min(since, until - timedelta(days=1))).not_valid_after(until)
        if uri is not None:
            builder = builder.add_extension(x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri)]), critical=False)
        raw = builder.sign(self.keys[key], hashes.SHA256()).public_bytes(serialization.Encoding.DER)
        (self.path / name).write_bytes(raw)

    def findings(self, *devices: str) -> tuple[list[str], list[str]]:
        """What is wrong, and what will be soon, without the folder's path."""
        listed = self.path / "points.yaml"
        listed.write_text("devices:\n" + "".join(f"- {device}\n" for device in devices))
        wrong, soon = certificate_findings(load_yaml(listed), NOW)
        return ([str(each).replace(f"{self.path}/", "") for each in found] for found in (wrong, soon))  # type: ignore[return-value]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    folder = Folder(tmp_path_factory.mktemp("certs") / "list")
    year = NOW + timedelta(days=365)
    folder.certificate("ours.der", year)
    folder.certificate("old.der", NOW - timedelta(days=3))
    folder.certificate("young.der", year + timedelta(days=2), since=NOW + timedelta(days=2))
    folder.certificate("ends.der", NOW + timedelta(days=9))
    folder.certificate("plain.der", year, uri=None)
    folder.certificate("trust/server.der", year)
    (folder.path / "junk.der").write_bytes(b"junk")
    (folder.path / "empty").write_text("\n")
    (folder.path / "word").write_text("secret\n")
    return folder


def test_a_list_whose_files_are_in_order_has_no_finding(folder: Folder) -> None:
    security = "{policy: Basic256Sha256, cert: ours.der, key: key0.pem, trust: trust, user: a, password_file: word}"
    wrong, soon = folder.findings(f"{{name: a, security: {security}}}", "{name: b}", "{name: c, security: {policy: None}}")
    assert (wrong, soon) == ([], [])


@pytest.mark.parametrize(
    ("security", "said"),
    [
        ("cert: none.der", "the certificate none.der cannot be read: No such file or directory; make both with"),
        ("cert: junk.der", "junk.der is not a certificate; give a file in PEM or DER form; make both with"),
        ("cert: old.der", "old.der expired on 2026-05-29 00:00 UTC; make both with"),
        ("cert: young.der", "young.der is not valid before 2026-06-03 00:00 UTC; compare the clocks"),
        ("cert: plain.der", "plain.der is for no application URI"),
        ("cert: ours.der, key: key1.pem", "key1.pem is not the key of ours.der; give the two files that were made together"),
        ("key: none.pem", "the private key none.pem cannot be read"),
        ("key: ours.der", "ours.der is not a private key; give an RSA key"),
        ("pin: old.der", "old.der expired on 2026-05-29 00:00 UTC; get the server's present one"),
        ("trust: nowhere", "nowhere is not a folder; make it"),
        ("trust: .", "old.der expired"),
        ("user_cert: ours.der, user_key: key1.pem", "key1.pem is not the key of ours.der"),
        ("password_file: empty", "empty is empty; write the password into it"),
        ("password_file: none", "none cannot be read: No such file or directory; correct the path"),
    ],
)
def test_each_fault_is_told_with_its_line_and_a_remedy(folder: Folder, security: str, said: str) -> None:
    wrong, _ = folder.findings("{name: a}", f"{{name: b, security: {{{security}}}}}")
    assert any(said in each and each.startswith("points.yaml:3: devices[1].security.") for each in wrong), wrong


def test_what_ends_soon_is_no_problem_yet_and_told_apart(folder: Folder) -> None:
    wrong, soon = folder.findings("{name: a, security: {cert: ends.der}}")
    assert wrong == []
    assert soon == [
        "points.yaml:2: devices[0].security.cert: ends.der expires in 9 days, on 2026-06-10; make both with `gridfuse ingest certs create`"
    ]


def test_every_problem_is_found_at_once(folder: Folder) -> None:
    wrong, _ = folder.findings("{security: {cert: none.der, key: none.pem, pin: old.der}}", "{security: {trust: none}}")
    assert [each.split(": ")[0] for each in wrong] == ["points.yaml:2"] * 3 + ["points.yaml:3"]


def test_files_of_modbus_over_tls(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "list")
    authority = Authority("ca", folder.path / "pki")
    authority.issue("us")
    authority.issue("them")
    now = datetime.now(UTC)
    located = folder.path / "points.yaml"

    def said(tls: str) -> list[str]:
        located.write_text(f"devices:\n- {{name: a, tls: {{{tls}}}}}\n")
        return [each.what for each in certificate_findings(load_yaml(located), now)[0]]

    assert said("ca: pki/ca.pem, cert: pki/us.pem, key: pki/us.key, name: us") == []
    assert said("ca: pki/none.pem")[0].startswith(f"devices[0].tls.ca: {folder.path}/pki/none.pem cannot be read")
    assert "is not the key of" in said("cert: pki/us.pem, key: pki/them.key")[0]
    assert "holds no certificate; give a file in PEM form" in said("ca: pki/us.key")[0]
    assert "is no private key without a password" in said("cert: pki/us.pem, key: pki/us.pem")[0]


def test_a_list_of_another_shape_is_left_to_others(folder: Folder) -> None:
    listed = folder.path / "points.yaml"
    for text in ("devices: 7\n", "devices: [7, {security: yes}]\n", "maps: {}\n"):
        listed.write_text(text)
        assert certificate_findings(load_yaml(listed), NOW) == ([], [])


def test_check_tells_problems_of_the_list_and_of_its_files_together(tmp_path: Path) -> None:
    listed = tmp_path / "points.yaml"
    listed.write_text(
        "maps:\n  m: {every: 1s, points: {a: {node: 'i=1', unit: MW, sort: 1}}}\n"
        "devices:\n- {name: a, area: 1, url: 'opc.tcp://h:1', map: m,\n"
        "   security: {policy: Basic256Sha256, cert: us.der, key: us.pem, pin: it.der}}\n"
    )
    app = typer.Typer()
    register(app)
    result = CliRunner().invoke(app, ["ingest", "check", "--config", str(listed)])
    assert result.exit_code == 2
    assert [line.split(": ")[0] for line in result.stderr.splitlines()] == [f"{listed}:2", *[f"{listed}:5"] * 3]


def test_check_ends_with_1_where_a_certificate_ends_soon(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    issue(tmp_path / "us.der", tmp_path / "us.pem", uri="urn:us", hosts=["h"], days=9, bits=2048, now=now)
    issue(tmp_path / "it.der", tmp_path / "it.pem", uri="urn:it", hosts=["h"], days=90, bits=2048, now=now)
    listed = tmp_path / "points.yaml"
    listed.write_text(
        "maps:\n  m: {every: 1s, points: {a: {node: 'i=1'}}}\n"
        "devices:\n- {name: a, area: 1, url: 'opc.tcp://h:1', map: m,\n"
        "   security: {policy: Basic256Sha256, cert: us.der, key: us.pem, pin: it.der}}\n"
    )
    app = typer.Typer()
    register(app)
    result = CliRunner().invoke(app, ["ingest", "check", "--config", str(listed)])
    assert (result.exit_code, result.stdout) == (1, "")
    assert "us.der expires in" in result.stderr
    told = json.loads(CliRunner().invoke(app, ["ingest", "check", "--json", "--config", str(listed)]).stdout)
    assert (told["ok"], told["problems"], len(told["soon"])) == (True, [], 1)
