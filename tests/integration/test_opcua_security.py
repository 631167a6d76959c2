"""Secured sessions with node-opcua: three policies, users by password and by certificate, and each way a handshake is refused."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from ingest.devices import UaDevice, UaSecurity
from ingest.opcua.certificates import fingerprint, issue
from ingest.opcua.security import SecureClient
from tests.kit.field import free_port, running, ua_device, ua_point
from tests.kit.node_opcua import node_opcua, value_node

pytestmark = pytest.mark.integration

SERVER = "urn:test:server"
POLICIES = {
    "Basic256Sha256": "Basic256Sha256",
    "Aes128Sha256RsaOaep": "Aes128_Sha256_RsaOaep",
    "Aes256Sha256RsaPss": "Aes256_Sha256_RsaPss",
}
DAY = timedelta(days=1)


@dataclass(frozen=True)
class Pair:
    """A certificate (DER, and PEM beside it) and its key."""

    cert: Path
    key: Path

    @property
    def pem(self) -> Path:
        return self.cert.with_suffix(".crt")

    @property
    def fingerprint(self) -> str:
        return fingerprint(x509.load_der_x509_certificate(self.cert.read_bytes()))


def pair(folder: Path, name: str, uri: str = "urn:gridfuse:ingest", *, made: datetime | None = None) -> Pair:
    it = Pair(folder / f"{name}.der", folder / f"{name}.key")
    certificate = issue(it.cert, it.key, uri=uri, hosts=["127.0.0.1"], days=30, bits=2048, now=made or datetime.now(UTC))
    it.pem.write_bytes(certificate.public_bytes(Encoding.PEM))
    return it


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Pair]:
    folder, now = tmp_path_factory.mktemp("certs"), datetime.now(UTC)
    return {
        "ours": pair(folder, "ours"),
        "other": pair(folder, "other"),
        "user": pair(folder, "user"),
        "server": pair(folder, "server", SERVER),
        "our old": pair(folder, "our-old", made=now - 40 * DAY),
        "our early": pair(folder, "our-early", made=now + 2 * DAY),
        "server's old": pair(folder, "server-old", SERVER, made=now - 40 * DAY),
        "server's early": pair(folder, "server-early", SERVER, made=now + 2 * DAY),
        "server's wrong": pair(folder, "server-wrong", "urn:test:somebody"),
    }


def serving(folder: Path, files: dict[str, Pair], server: str = "server", **options: Any) -> dict[str, Any]:
    """Options of a server that has one of these certificates, and folders of its own."""
    it = files[server]
    given = {"pki": str(folder / "pki"), "userPki": str(folder / "users"), "certificate": str(it.pem), "key": str(it.key)}
    return given | {"policies": list(POLICIES.values()), "uri": SERVER} | options


def secured(files: dict[str, Pair], policy: str = "Basic256Sha256", **changes: Any) -> UaSecurity:
    ours = files["ours"]
    given = {"policy": policy, "mode": "SignAndEncrypt", "cert": ours.cert, "key": ours.key, "pin": files["server"].cert}
    return UaSecurity(**(given | changes))


def device(port: int, security: UaSecurity | None) -> UaDevice:
    return ua_device(port, ua_point("v0", value_node(0)), security=security)


def told(port: int, security: UaSecurity | None, afterwards: Callable[[], None] | None = None) -> str:
    """Return why the session is refused; with ``afterwards`` done, it must come about."""

    async def main() -> str:
        async with running(device(port, security)) as (gateway, out):
            await out.until(lambda: gateway.health()[0].available is False and out.is_bad("v0"), "it is refused")
            why = gateway.health()[0].why
            assert not out.good("v0")
            if afterwards is not None:
                afterwards()
                await out.until(lambda: out.is_good("v0"), "it is let in")
            return why

    return asyncio.run(main())


def assert_good(port: int, security: UaSecurity | None) -> None:
    async def main() -> None:
        async with running(device(port, security)) as (_, out):
            await out.until(lambda: len(out.good("v0")) > 3, "it counts")

    asyncio.run(main())


def test_each_policy_with_a_password_and_with_a_certificate_of_the_user(
    tmp_path: Path, files: dict[str, Pair], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EMS_PASSWORD", "geheim 密码")
    (tmp_path / "password").write_text("geheim 密码\n")
    trusted = tmp_path / "users" / "trusted" / "certs"
    trusted.mkdir(parents=True)
    shutil.copy(files["user"].cert, trusted / "user.der")
    by_password = {"user": "gridfuse", "password_env": "EMS_PASSWORD"}
    by_certificate = {"user_cert": files["user"].cert, "user_key": files["user"].key}
    port = free_port()
    options = {"users": {"gridfuse": "geheim 密码"}, "anonymous": False, "policies": ["None", *POLICIES.values()]}
    with node_opcua(port, **serving(tmp_path, files, **options)):
        for policy in POLICIES:
            assert_good(port, secured(files, policy, **by_password))
            assert_good(port, secured(files, policy, **by_certificate))
        assert_good(port, secured(files, mode="Sign", user="gridfuse", password_file=tmp_path / "password"))
        bare = UaSecurity(policy="None", mode="None")
        assert_good(port, replace(bare, **by_password))
        assert_good(port, replace(bare, **by_certificate))
        # The password is encrypted for the pinned certificate, though nothing else is.
        assert_good(port, replace(bare, pin=files["server"].cert, **by_password))

        why = told(port, secured(files))
        assert "the server refuses an anonymous session" in why or "anonymous" in why.lower()
        monkeypatch.setenv("EMS_PASSWORD", "wrong")
        assert told(port, secured(files, **by_password)).startswith("the server refuses user gridfuse (Bad")
        stranger = secured(files, user_cert=files["other"].cert, user_key=files["other"].key)
        assert told(port, stranger).startswith(f"the server refuses the user's certificate {files['other'].cert} (Bad")
        monkeypatch.delenv("EMS_PASSWORD")
        assert "EMS_PASSWORD, which should hold a password, is not set" in told(port, secured(files, **by_password))


def test_a_server_is_trusted_by_its_pin_or_by_a_folder_and_never_for_having_sent_its_certificate(
    tmp_path: Path, files: dict[str, Pair]
) -> None:
    port, folder = free_port(), tmp_path / "trust"
    with node_opcua(port, **serving(tmp_path, files)):
        sent = files["server"].fingerprint
        why = told(port, secured(files, pin=files["other"].cert))
        assert why.startswith(f"the server's certificate {sent} is not the pinned one, {files['other'].cert}")
        trust = secured(files, pin=None, trust=folder)
        assert told(port, trust).startswith(f"{folder} is not a folder; make it")
        folder.mkdir()
        shutil.copy(files["other"].cert, folder)
        why = told(port, trust, lambda: str(shutil.copy(files["server"].cert, folder)) and None)
        assert why.startswith(f"the server's certificate {sent} is not trusted: neither it nor its signer is in {folder}")


def test_a_policy_or_mode_that_is_not_offered(tmp_path: Path, files: dict[str, Pair]) -> None:
    port = free_port()
    with node_opcua(port, **serving(tmp_path, files, policies=["Basic256Sha256"], modes=["Sign"])):
        assert_good(port, secured(files, mode="Sign"))
        why = told(port, secured(files, "Aes256Sha256RsaPss"))
        assert why == "the server does not offer policy Aes256Sha256RsaPss, mode SignAndEncrypt; it offers Basic256Sha256 Sign"
        assert told(port, None).startswith("the server refuses a session without security (Bad")


def test_our_certificate_must_be_trusted_by_the_server(tmp_path: Path, files: dict[str, Pair]) -> None:
    port = free_port()
    with node_opcua(port, **serving(tmp_path, files, accept=False)):
        trusted = tmp_path / "pki" / "trusted" / "certs"
        why = told(port, secured(files))
        ours = files["ours"]
        assert why.startswith(f"the server does not trust our certificate {ours.cert} ({ours.fingerprint}) (Bad")
        assert trusted.is_dir()


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ("our old", "our certificate {cert} expired on"),
        ("our early", "our certificate {cert} is not valid before"),
    ],
)
def test_our_certificate_must_be_in_force(tmp_path: Path, files: dict[str, Pair], changes: str, what: str) -> None:
    port, ours = free_port(), files[changes]
    # Nobody listens: what can be known here is said without asking.
    why = told(port, secured(files, cert=ours.cert, key=ours.key))
    assert why.startswith(what.format(cert=ours.cert))


@pytest.mark.parametrize(
    ("server", "what"),
    [
        ("server's old", "the server's certificate expired on"),
        ("server's early", "the server's certificate is not valid before"),
        ("server's wrong", "the server calls itself urn:test:server, and its certificate is for urn:test:somebody"),
    ],
)
def test_the_servers_certificate_must_be_in_force_and_its_own(tmp_path: Path, files: dict[str, Pair], server: str, what: str) -> None:
    port, folder = free_port(), tmp_path / "trust"
    folder.mkdir()
    shutil.copy(files[server].cert, folder)
    with node_opcua(port, **serving(tmp_path, files, server)):
        assert told(port, secured(files, pin=None, trust=folder)).startswith(what)


def test_files_that_do_not_fit(tmp_path: Path, files: dict[str, Pair]) -> None:
    port = free_port()
    with node_opcua(port, **serving(tmp_path, files)):
        ours, other = files["ours"], files["other"]
        assert told(port, secured(files, key=other.key)).startswith(f"{other.key} is not the key of {ours.cert}")
        assert told(port, secured(files, cert=tmp_path / "none.der")).startswith(f"the certificate {tmp_path / 'none.der'} cannot be read")
        assert told(port, secured(files, cert=ours.key)).startswith(f"{ours.key} is not a certificate")
        assert told(port, secured(files, key=ours.cert)).startswith(f"{ours.cert} is not a private key")


def test_what_the_server_finds_wrong_with_our_certificate(tmp_path: Path, files: dict[str, Pair], monkeypatch: pytest.MonkeyPatch) -> None:
    """What we would find ourselves first: a clock of ours that is wrong, an application URI that is not the certificate's."""
    port, old, trusted = free_port(), files["our old"], tmp_path / "pki" / "trusted" / "certs"
    trusted.mkdir(parents=True)
    for known in (old, files["ours"]):
        shutil.copy(known.cert, trusted)
    with node_opcua(port, **serving(tmp_path, files, accept=False)):
        assert_good(port, secured(files))
        monkeypatch.setattr("ingest.opcua.security.time_fault", lambda *_: None)
        why = told(port, secured(files, cert=old.cert, key=old.key))
        assert why.startswith(f"the server finds our certificate {old.cert}")
        assert "expired or not yet valid" in why
        monkeypatch.setattr("ingest.opcua.security.application_uri", lambda _: "urn:not:ours")
        why = told(port, secured(files))
        assert why.startswith(f"the server finds another application URI in our certificate {files['ours'].cert}")


def test_a_password_is_never_sent_in_clear_text() -> None:
    from asyncua import ua

    from ingest.errors import DeviceSilent

    client = SecureClient("opc.tcp://127.0.0.1:1")
    client._policy_ids = [ua.UserTokenPolicy(PolicyId="plain", TokenType=ua.UserTokenType.UserName, SecurityPolicyUri=None)]
    with pytest.raises(DeviceSilent, match="wants the password in clear text"):
        client.server_policy(ua.UserTokenType.UserName)
