"""Devices that dial in over TLS: who is let in, who is not and why, and certificates that are renewed. The device's side is OpenSSL's."""

from __future__ import annotations

import asyncio
import os
import shutil
import ssl
from pathlib import Path

import pytest
from pymodbus.client import AsyncModbusTlsClient

from ingest.addresses import Address, DialIn, Framing, Reception, ServerTls
from ingest.devices import ModbusDevice, PushDevice
from ingest.gateway import Gateway
from ingest.source import DeviceHealth
from market.errors import ConfigError
from market.units import NS_PER_MS
from tests.kit.certificates import Authority
from tests.kit.dtu import Dtu, dialling, held
from tests.kit.field import Collector, free_port, modbus_device, modbus_point, push_device, running

pytestmark = pytest.mark.integration


class Keys:
    """Our certificate, the device's, and that of somebody whom nobody vouches for."""

    def __init__(self, folder: Path) -> None:
        self.authority, self.stranger = Authority("fleet", folder / "fleet"), Authority("stranger", folder / "stranger")
        self.cert, self.key = self.authority.issue("localhost")

    def tls(self, *, required: bool = True) -> ServerTls:
        return ServerTls(cert=str(self.cert), key=str(self.key), ca=str(self.authority.pem), clients_required=required)

    def context(self, name: str | None, authority: Authority | None = None) -> ssl.SSLContext:
        """What a device of that name connects with; None for one without a certificate."""
        context = ssl.create_default_context(cafile=str(self.authority.pem))
        context.check_hostname = False
        if name is not None:
            context.load_cert_chain(*(authority or self.authority).issue(name))
        return context


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return Keys(tmp_path)


def meter(port: int, tls: ServerTls, *, certificate: str | None = None, register: str = r"DTU {id:ascii}\r\n") -> ModbusDevice:
    reception = Reception(register=register, heartbeats=("ping",), tls=tls)
    dial_in = DialIn(id="dtu", reception=reception, certificate=certificate)
    address = Address(host="127.0.0.1", port=port, framing=Framing.RTU, dial_in=dial_in)
    return modbus_device(0, modbus_point("1/0", 0, period_ns=100 * NS_PER_MS), name="m1", address=address)


def health(gateway: Gateway, name: str) -> DeviceHealth:
    [found] = [each for each in gateway.health() if each.device == name]
    return found


async def turned_away(port: int, context: ssl.SSLContext | None, greeting: bytes = b"DTU dtu\r\n") -> None:
    """Dial in vain."""
    dtu = Dtu(Framing.RTU, lambda unit, plain: plain)
    try:
        await dtu.dial(port, greeting, context)
        await asyncio.wait_for(dtu.closed.wait(), 30)
    except (ssl.SSLError, ConnectionError):
        pass
    await dtu.hang_up()


async def until_read(out: Collector, port: int, context: ssl.SSLContext, greeting: bytes = b"DTU dtu\r\n") -> None:
    async with dialling(port, greeting=greeting, context=context) as dtu:
        dtu.say(b"ping")
        before = len(out.good("1/0"))
        await out.until(lambda: len(out.good("1/0")) > before + 3, "it is let in and read")
        assert set(out.good("1/0")) == {float(held(1, 0))}


def test_a_device_with_the_right_certificate_is_read_and_the_others_are_told_why_not(keys: Keys, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        port = free_port()
        async with running(meter(port, keys.tls())) as (gateway, out):
            await until_read(out, port, keys.context("dtu"))
            for context in (keys.context(None), keys.context("dtu", keys.stranger), None):
                await turned_away(port, context)
            await turned_away(port, None, b"GET / HTTP/1.1\r\n\r\n")
            await turned_away(port, keys.context("other"))
            await until_read(out, port, keys.context("dtu"))
            own = health(gateway, f"modbus+listen://127.0.0.1:{port}").refused
            assert own == {"tls_no_certificate": 1, "tls_certificate": 1, "tls_not_spoken": 2}
            assert health(gateway, "m1").refused == {"certificate_name": 1}
            [listener] = gateway._stations.listeners
            assert listener.nameless == 0

    asyncio.run(main())
    for said in (
        "shows no certificate; give it one, or write `clients: optional`",
        "shows a certificate that is not accepted (unable to get local issuer certificate); renew it, or add who signed it to `ca`",
        "speaks no TLS; have it encrypt, or receive it at a listener without `tls`",
        "registers as dtu with a certificate for other, other; issue it one for dtu, or give `tls: {name: ...}`",
    ):
        assert said in caplog.text


@pytest.mark.parametrize(
    ("certificate", "shown", "let_in"),
    [
        (None, None, True),
        (None, "dtu", True),
        (None, "other", False),
        ("", "other", True),
        ("other", "other", True),
        ("other", None, False),
    ],
)
def test_where_certificates_are_optional_a_wrong_one_is_not(keys: Keys, certificate: str | None, shown: str | None, let_in: bool) -> None:
    async def main() -> None:
        port = free_port()
        async with running(meter(port, keys.tls(required=False), certificate=certificate)) as (gateway, out):
            if let_in:
                await until_read(out, port, keys.context(shown))
            else:
                await turned_away(port, keys.context(shown))
                assert sum(health(gateway, "m1").refused.values()) == 1

    asyncio.run(main())


def test_a_device_may_be_known_by_its_certificate_alone(keys: Keys) -> None:
    async def main() -> None:
        port = free_port()
        async with running(meter(port, keys.tls(), register="certificate")) as (_, out):
            await until_read(out, port, keys.context("dtu"), b"")

    asyncio.run(main())


def test_renewed_certificates_are_used_without_a_restart(keys: Keys) -> None:
    async def main() -> None:
        port = free_port()
        async with running(meter(port, keys.tls())) as (gateway, out), dialling(port, context=keys.context("dtu")) as first:
            first.say(b"ping")
            await out.until(lambda: out.is_good("1/0"), "it is read")
            [listener] = gateway._stations.listeners
            good = keys.cert.read_bytes()
            keys.cert.write_text("no certificate")
            listener.renew()
            await turned_away(port, keys.context("other"))
            assert health(gateway, "m1").refused == {"certificate_name": 1}, "the one before stays in use"
            renewed, key = keys.authority.issue("renewed")
            shutil.copy(renewed, keys.cert)
            shutil.copy(key, keys.key)
            os.utime(keys.cert)
            listener.renew()
            checking = keys.context("dtu")
            _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=checking)
            shown = writer.get_extra_info("peercert")
            assert ("DNS", "renewed") in shown["subjectAltName"]
            writer.close()
            before = len(out.good("1/0"))
            await out.until(lambda: len(out.good("1/0")) > before + 3, "the open connection goes on")
            assert good != keys.cert.read_bytes()

    asyncio.run(main())


def test_certificates_that_cannot_be_used_are_a_problem_of_the_list(keys: Keys) -> None:
    keys.key.write_text("no key")

    async def main() -> None:
        device = meter(free_port(), keys.tls())
        with pytest.raises(ConfigError, match="the certificates cannot be used"):
            async with running(device):
                pass

    asyncio.run(main())


def test_pymodbus_pushes_over_tls(keys: Keys) -> None:
    async def main() -> None:
        port = free_port()
        point = modbus_point("1/0", 4)
        device: PushDevice = push_device(port, point, name="dtu", register="certificate", tls=keys.tls())
        async with running(device) as (gateway, out):
            client = AsyncModbusTlsClient("localhost", port=port, sslctx=keys.context("dtu"), retries=0, timeout=2)
            assert await client.connect()
            for number in range(3):
                assert not (await client.write_registers(4, [number], device_id=1)).isError()
            client.close()
            await out.until(lambda: out.good("1/0") == [0.0, 1.0, 2.0], "three writes")
            assert health(gateway, "dtu").refused == {}

    asyncio.run(main())
