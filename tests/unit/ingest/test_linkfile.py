"""How a device is reached: addresses, certificates, needs; and what is said of those that cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest

from ingest.addresses import Address, Engine, Framing, Manners, SerialLine, Tls
from ingest.devices import ModbusDevice
from ingest.linkfile import UnusableAddressError, polled_address
from ingest.pointlist import read_point_list
from market.errors import ConfigError
from tests.kit.pointlists import point_list_file

MAP = 'maps:\n  m:\n    every: 1s\n{more}    points: {{"p/{{device}}": {{reg: holding 0}}}}\n'
DEVICE = 'devices:\n  - {{name: d, area: 1, map: m, url: "{url}"{more}}}\n'


def written(folder: Path, url: str, *, in_map: str = "", in_device: str = "") -> ModbusDevice:
    path = folder / "points.yaml"
    path.write_text(MAP.format(more=in_map) + DEVICE.format(url=url, more=in_device))
    [device] = read_point_list(path).devices
    assert isinstance(device, ModbusDevice)
    return device


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("modbus+tcp://h", Address(host="h", port=502)),
        ("modbus+tcp://[::1]:15", Address(host="::1", port=15)),
        ("modbus+tls://h", Address(host="h", port=802, tls=Tls())),
        ("modbus+rtu+tcp://h:4001", Address(host="h", port=4001, framing=Framing.RTU)),
        ("modbus+rtu:///dev/ttyS0", Address(host="/dev/ttyS0", framing=Framing.RTU, line=SerialLine())),
        ("modbus+tcp://zähler.example", Address(host="zähler.example", port=502)),
        ("modbus+tcp://[fe80::1%25eth0]", Address(host="fe80::1%25eth0", port=502)),
        (
            "modbus+rtu:///dev/ttyS0?baud=9600&parity=n&stop=2",
            Address(host="/dev/ttyS0", framing=Framing.RTU, line=SerialLine(baud=9600, parity="N", stop_bits=2)),
        ),
    ],
)
def test_where_devices_are(text: str, address: Address) -> None:
    assert polled_address(text, None) == address


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("modbus+rtu+tcp://h", "has no port; write modbus\\+rtu\\+tcp://h:port"),
        ("modbus+rtu://ttyS0", "names no serial line; write modbus\\+rtu:///dev/"),
        ("modbus+rtu:///dev/ttyS0?speed=3", "no 'speed'; it has baud, parity"),
        ("modbus+rtu:///dev/ttyS0?baud=fast", "'fast' is no speed of a line"),
        ("modbus+rtu:///dev/ttyS0?9600", "no '9600'; it has baud, parity"),
        ("modbus+rtu:///dev/ttyS0?baud=", "is no speed of a line"),
        ("modbus+rtu:///dev/ttyS0?parity=X", "'X' is no parity; write N, E or O"),
        ("modbus+rtu:///dev/ttyS0?stop=3", "'3' is no number of stop bits"),
        ("modbus+tcp://h:1/unit?x=1", "says more than host and port; remove 'unit\\?x=1'"),
        ("modbus+tcp://h:1#3", "says more than host and port; remove '#3'"),
        ("modbus+tcp://operator:secret@h:1", r"names a user, and Modbus knows none; write modbus\+tcp://h:1$"),
        ("modbus+tls://operator@h", r"names a user, and Modbus knows none; write modbus\+tls://h:802$"),
        ("modbus+rtu:///dev/ttyS0#2?baud=9600", "says '#2\\?baud=9600', which means nothing of a serial line; remove it"),
        ("modbus+tcp://meter..plant:502", "'meter..plant' is no name of a host: .*; write a name or a number"),
        (f"modbus+tcp://{'m' * 64}.plant", "is no name of a host: .*; write a name or a number"),
        ("modbus+tcp://meter 7:502", "'meter 7' is no name of a host: .*; write a name or a number"),
    ],
)
def test_what_cannot_be_an_address_is_named_with_its_remedy(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(UnusableAddressError, match=said):
        polled_address(text, None)
    with pytest.raises(ConfigError, match=said):
        written(tmp_path, text)


def test_certificates_lie_beside_the_list(tmp_path: Path) -> None:
    device = written(tmp_path, "modbus+tls://h", in_device=", tls: {ca: ca.pem, cert: /etc/ours.pem, key: ours.key, name: rtu-8}")
    tls = Tls(ca=str(tmp_path / "ca.pem"), cert="/etc/ours.pem", key=str(tmp_path / "ours.key"), server_name="rtu-8")
    assert device.address == Address(host="h", port=802, tls=tls)
    with pytest.raises(ConfigError, match="`cert` and `key` belong together"):
        written(tmp_path, "modbus+tls://h", in_device=", tls: {cert: ours.pem}")
    with pytest.raises(ConfigError, match=r"tls: means nothing for modbus\+tcp; remove it"):
        written(tmp_path, "modbus+tcp://h", in_device=", tls: {ca: ca.pem}")


def test_what_a_make_of_device_needs(tmp_path: Path) -> None:
    assert written(tmp_path, "modbus+tcp://h").manners == Manners()
    said = "    needs: {pause_after_connect: 2s, gap: 50ms, one_point_per_request: true, close_after_poll: true,\n"
    said += "            transaction_zero: true, registers_max: 60, hole_max: 0, depth: 1}\n"
    assert written(tmp_path, "modbus+tcp://h", in_map=said).manners == Manners(
        pause_after_connect_s=2.0,
        gap_s=0.05,
        one_point_per_request=True,
        close_after_poll=True,
        transaction_zero=True,
        registers_max=60,
        hole_max=0,
        depth=1,
    )
    with pytest.raises(ConfigError, match="registers_max"):
        written(tmp_path, "modbus+tcp://h", in_map="    needs: {registers_max: 126}\n")


def test_a_device_may_be_read_by_another_engine(tmp_path: Path) -> None:
    text = """
        maps:
          m: {every: 1s, points: {"{device}/a": {reg: holding 1}}}
          u: {every: 1s, points: {"{device}/a": {node: "i=1"}}}
        devices:
        - {name: own, area: 1, url: "modbus+tcp://10.0.0.1", map: m}
        - {name: ref, area: 1, url: "modbus+tcp://10.0.0.1", map: m, engine: pymodbus}
    """
    own, ref = read_point_list(point_list_file(tmp_path, text)).devices
    assert isinstance(own, ModbusDevice)
    assert isinstance(ref, ModbusDevice)
    assert (own.address.engine, ref.address.engine) == (Engine.OWN, Engine.PYMODBUS)
    assert own.address != ref.address, "they do not share a connection"
    more = """
        - {name: tls, area: 1, url: "modbus+tls://10.0.0.1", map: m, engine: pymodbus}
        - {name: ua, area: 1, url: "opc.tcp://10.0.0.1:1", map: u, engine: pymodbus}
        - {name: odd, area: 1, url: "modbus+tcp://10.0.0.1", map: m, engine: libmodbus}
    """
    with pytest.raises(ConfigError, match="libmodbus"):
        read_point_list(point_list_file(tmp_path, text.rstrip() + more))
    with pytest.raises(ConfigError) as found:
        read_point_list(point_list_file(tmp_path, text.rstrip() + "\n".join(more.splitlines()[:-2])))
    assert [problem.what.partition(";")[0] for problem in found.value.problems] == [
        "devices[2].engine: pymodbus takes each record of TLS for a whole reply",
        "devices[3].engine: means nothing for opc.tcp",
    ]
