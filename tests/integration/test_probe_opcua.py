"""``gridfuse ingest probe`` of OPC UA servers: by node-opcua, which nobody here wrote, and by asyncua."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from console.ingest import ingest_group
from console.probe import register
from ingest.devices import UaDevice
from ingest.opcua.probelisting import listing
from ingest.opcua.probing import UaFindings, look_at_server
from ingest.pointlist import read_point_list
from tests.kit.field import free_port, ua_device
from tests.kit.node_opcua import node_opcua, value_node
from tests.kit.opcua_server import PLANT, opcua_server

pytestmark = pytest.mark.integration


def looked_at(port: int, nodes_max: int = 2000) -> UaFindings:
    return asyncio.run(look_at_server(ua_device(port, timeout_s=10.0), nodes_max=nodes_max))


def test_a_server_by_node_opcua_is_told_with_its_limits_and_listed(tmp_path: Path) -> None:
    port = free_port()
    limits = {"maxNodesPerRead": 3, "maxNodesPerBrowse": 2}
    with node_opcua(port, variables=5, limits=limits, historyMs=1000, policies=["None", "Basic256Sha256"], users={"ann": "x"}):
        findings = looked_at(port)
    assert (findings.unreachable, findings.refused) == ("", "")
    assert ("Basic256Sha256", "SignAndEncrypt") in {(each.policy, each.mode) for each in findings.endpoints}
    assert all({"Anonymous", "UserName"} <= set(each.tokens) for each in findings.endpoints)
    assert findings.uri == "urn:test:server"
    assert PLANT in findings.namespaces
    assert (findings.limits["MaxNodesPerRead"], findings.limits["MaxNodesPerBrowse"]) == (3, 2)
    ours = [variable for variable in findings.variables if variable.node == value_node(3)]
    assert [(v.path, v.is_number, v.has_history) for v in ours] == [(("Feeders", "F3", "P"), True, True)]
    path = tmp_path / "points.yaml"
    path.write_text(listing(findings, f"opc.tcp://127.0.0.1:{port}", name="ems", area="1", device={}))
    [device] = read_point_list(path).devices
    assert {"probe/ems/Feeders/F0/P", "probe/ems/Feeders/F4/P"} <= {point.name for point in device.points}


def test_a_large_server_is_browsed_up_to_the_cap() -> None:
    port = free_port()
    with node_opcua(port, variables=300):
        findings = looked_at(port, nodes_max=40)
    assert findings.cut_short
    assert findings.browsed == 40


def command(*given: str) -> tuple[int, str, str]:
    app = typer.Typer()
    register(ingest_group(app))
    result = CliRunner().invoke(app, ["ingest", "probe", *given])
    return result.exit_code, result.stdout, result.stderr


def test_a_server_that_lets_nobody_in_is_told_all_the_same(tmp_path: Path) -> None:
    port = free_port()
    saved = tmp_path / "server.der"
    with node_opcua(port, policies=["Basic256Sha256"], anonymous=False, users={"ann": "x"}):
        code, said, why = command(f"opc.tcp://127.0.0.1:{port}", "--timeout", "10s", "--save-cert", str(saved))
    assert code == 1
    assert "endpoint   policy Basic256Sha256, mode SignAndEncrypt, users" in said
    assert "no session: " in why
    assert saved.read_bytes()[0] == 0x30


def test_a_server_by_asyncua_is_listed_by_the_command(tmp_path: Path) -> None:
    port, out = free_port(), tmp_path / "points.yaml"
    with opcua_server(port):
        code, _, why = command(f"opc.tcp://127.0.0.1:{port}", "--out", str(out), "--timeout", "10s")
    assert code == 0, why
    [device] = read_point_list(out).devices
    assert isinstance(device, UaDevice)
    assert {point.node for point in device.points} >= {f"nsu={PLANT};s=count", f"nsu={PLANT};s=steady"}


def test_nobody_there_is_said_with_what_to_try() -> None:
    code, said, why = command(f"opc.tcp://127.0.0.1:{free_port()}")
    assert (code, said) == (1, "")
    assert "no endpoint at" in why
    assert json.dumps("whether the server runs")[1:-1] in why
