"""How does a session prove who it is, how does its server, and in what words is it told when one of them is not believed?

Before a session is secured, the server is asked, unsecured, what it offers; of that answer only the certificate is used, and only once
it has been judged (:mod:`ingest.opcua.certificates`). The channel is then made for exactly that certificate, so that whoever answers
must hold its key. A password is read when it is needed and never sent in clear text.

Every refusal becomes one sentence that names the offender and the remedy: status codes of a handshake tell neither.
"""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from asyncua import Client, ua
from asyncua.crypto import security_policies
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from ingest.devices import UaDevice, UaSecurity
from ingest.errors import DeviceSilent
from ingest.opcua.certificates import APPLICATION_URI, application_uri, fingerprint, judge, load_certificate, load_key, time_fault

__all__ = ["SecureClient", "dressed", "refusal"]

_POLICIES: Final = {
    "None": security_policies.SecurityPolicyNone,
    "Basic256Sha256": security_policies.SecurityPolicyBasic256Sha256,
    "Aes128Sha256RsaOaep": security_policies.SecurityPolicyAes128Sha256RsaOaep,
    "Aes256Sha256RsaPss": security_policies.SecurityPolicyAes256Sha256RsaPss,
}
_MODES: Final = {
    "None": ua.MessageSecurityMode.None_,
    "Sign": ua.MessageSecurityMode.Sign,
    "SignAndEncrypt": ua.MessageSecurityMode.SignAndEncrypt,
}
_CODES: Final = ua.StatusCodes
_UNTRUSTED: Final = {_CODES.BadSecurityChecksFailed, _CODES.BadCertificateUntrusted, _CODES.BadCertificateChainIncomplete}
_INVALID: Final = {_CODES.BadCertificateInvalid, _CODES.BadCertificateUseNotAllowed, _CODES.BadCertificatePolicyCheckFailed}
_USER: Final = {_CODES.BadUserAccessDenied, _CODES.BadIdentityTokenInvalid, _CODES.BadIdentityTokenRejected}


class SecureClient(Client):  # type: ignore[misc]  # asyncua is untyped
    """A client that sends no password in clear text, signs as its channel does where the server does not say how, and hears a refusal.

    A server may refuse a channel by a plain service fault. asyncua expects nothing but a channel there and fails on an assertion, the
    status lost with the answer; here the answer is kept until it is read.
    """

    async def open_secure_channel(self, renew: bool = False) -> None:
        """Open or renew the channel.

        Raises:
            ua.UaStatusCodeError: the server refuses, and this is why.
            DeviceSilent: it answered something else.
        """
        protocol = self.uaclient.protocol
        if renew or protocol is None:
            await super().open_secure_channel(renew)
            return
        answers: list[Any] = []
        deliver = protocol._call_callback

        def keep(request_id: int, body: Any) -> None:
            answers.append(body)
            deliver(request_id, body)

        protocol._call_callback = keep
        try:
            await super().open_secure_channel(renew)
        except AssertionError:
            for answer in answers:
                protocol.check_answer(answer, "")
            raise DeviceSilent("the server answered the opening of a secure channel with something else") from None
        finally:
            protocol._call_callback = deliver

    def server_policy(self, token_type: ua.UserTokenType) -> ua.UserTokenPolicy:
        """Return how the server wants to be told of a user; its own choice, or else what the channel does (OPC 10000-4 §7.37)."""
        policy = super().server_policy(token_type)
        if not policy.SecurityPolicyUri:
            policy = replace(policy, SecurityPolicyUri=self.security_policy.URI)
        is_plain = policy.SecurityPolicyUri == security_policies.SecurityPolicyNone.URI
        if token_type is ua.UserTokenType.UserName and is_plain and self.security_policy.Mode is not _MODES["SignAndEncrypt"]:
            raise DeviceSilent("the server wants the password in clear text, and nothing here encrypts it; give a `policy` but None")
        return policy


async def dressed(client: SecureClient, device: UaDevice) -> None:
    """Give a client everything its device's security asks for, before it connects.

    Raises:
        DeviceSilent: a file is missing or wrong, or the server offers nothing that fits, or its certificate is not to be trusted.
        ua.UaError, OSError, TimeoutError: the server refuses, or is gone.
    """
    security = device.security
    client.application_uri = APPLICATION_URI
    if security is None:
        return
    _identify(client, security)
    if security.policy == "None" and security.pin is None and security.trust is None:
        return
    own_and_key = None if security.cert is None or security.key is None else _own(security.cert, security.key)
    endpoint = await _endpoint(device, security)
    sent = _first(endpoint)
    judge(sent, endpoint.Server.ApplicationUri, security, datetime.now(UTC))
    policy = _POLICIES[security.policy]
    if own_and_key is None:
        client.security_policy = policy(peer_cert=sent.public_bytes(Encoding.DER))
        client.uaclient.set_security(client.security_policy)
        return
    own, key = own_and_key
    client.application_uri = application_uri(own) or APPLICATION_URI
    client.security_policy = policy(sent, own, key, _MODES[security.mode])
    client.uaclient.set_security(client.security_policy)


def refusal(exc: BaseException, device: UaDevice) -> str | None:
    """Say in words why a handshake failed; None where it was no refusal of that kind."""
    security = device.security
    code = getattr(exc, "code", None)
    if not isinstance(exc, ua.UaStatusCodeError) or code is None:
        return None
    own = "our certificate" if security is None or security.cert is None else f"our certificate {_named(security.cert)}"
    name = ua.StatusCode(code).name
    if code in _USER:
        who = "an anonymous session" if security is None or (security.user or security.user_cert) is None else _who(security)
        return f"the server refuses {who} ({name}); check user and password there, or what `security` says here"
    if code in (_CODES.BadSecurityPolicyRejected, _CODES.BadSecurityModeRejected):
        what = "a session without security" if security is None else f"policy {security.policy}, mode {security.mode}"
        return f"the server refuses {what} ({name}); give `security` with one that it offers"
    if security is None:
        return None
    if code in _UNTRUSTED:
        return f"the server does not trust {own} ({name}); have its operator move it to the trusted ones"
    if code in (_CODES.BadCertificateTimeInvalid, _CODES.BadCertificateIssuerTimeInvalid):
        return f"the server finds {own} expired or not yet valid ({name}); compare the clocks, or make a new one"
    if code == _CODES.BadCertificateUriInvalid:
        return f"the server finds another application URI in {own} than we go by ({name}); make a new one"
    if code in _INVALID:
        return f"the server finds {own} unfit ({name}); make a new one with `gridfuse ingest certs create`"
    return None


def _identify(client: Client, security: UaSecurity) -> None:
    if security.user is not None:
        client.set_user(security.user)
        client.set_password(_password(security))
    elif security.user_cert is not None and security.user_key is not None:
        client.user_certificate, client.user_private_key = _own(security.user_cert, security.user_key)


def _password(security: UaSecurity) -> str:
    if security.password_env is not None:
        if security.password_env not in os.environ:
            raise DeviceSilent(f"the environment variable {security.password_env}, which should hold a password, is not set; set it")
        return os.environ[security.password_env]
    assert security.password_file is not None, "checked when the point list was read"
    try:
        return security.password_file.read_text(encoding="utf-8").rstrip("\r\n")
    except OSError as exc:
        raise DeviceSilent(f"the password file {security.password_file} cannot be read: {exc.strerror}") from None


def _own(cert: Path, key: Path) -> tuple[x509.Certificate, Any]:
    """Read a certificate of ours and its key, and check that they can be used."""
    certificate, private = load_certificate(cert), load_key(key)
    fault = time_fault(certificate, datetime.now(UTC))
    if fault is not None:
        raise DeviceSilent(f"our certificate {cert} {fault}; make a new one with `gridfuse ingest certs create`")
    if certificate.public_key() != private.public_key():
        raise DeviceSilent(f"{key} is not the key of {cert}; give the two files that were made together")
    return certificate, private


async def _endpoint(device: UaDevice, security: UaSecurity) -> Any:
    """Ask the server what it offers, and return what fits."""
    asker = Client(device.url, timeout=device.timeout_s)
    endpoints = await asker.connect_and_get_server_endpoints()
    policy_uri, mode = _POLICIES[security.policy].URI, _MODES[security.mode]
    for endpoint in endpoints:
        if endpoint.SecurityPolicyUri == policy_uri and endpoint.SecurityMode == mode:
            if not endpoint.ServerCertificate:
                raise DeviceSilent(
                    "the server has no certificate, and `pin` or `trust` asks for one; remove it for a server without security"
                )
            return endpoint
    offered = {f"{endpoint.SecurityPolicyUri.rpartition('#')[2].replace('_', '')} {endpoint.SecurityMode.name}" for endpoint in endpoints}
    listed = ", ".join(sorted(offered)).replace("None None_", "None")
    raise DeviceSilent(f"the server does not offer policy {security.policy}, mode {security.mode}; it offers {listed}")


def _first(endpoint: Any) -> x509.Certificate:
    """Return the server's own certificate, which stands first in a chain of DER."""
    raw = endpoint.ServerCertificate
    try:
        return x509.load_der_x509_certificate(raw[: 4 + int.from_bytes(raw[2:4], "big")])
    except ValueError:
        raise DeviceSilent("the server sent something that is not a certificate; have its operator issue one") from None


def _named(path: Path) -> str:
    try:
        return f"{path} ({fingerprint(load_certificate(path))})"
    except DeviceSilent:
        return str(path)


def _who(security: UaSecurity) -> str:
    return f"user {security.user}" if security.user is not None else f"the user's certificate {security.user_cert}"
