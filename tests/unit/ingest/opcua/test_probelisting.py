"""A point list of what a server has: whatever its nodes are called, it can be read."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.devices import UaDevice
from ingest.opcua.probelisting import about, listing
from ingest.opcua.probing import Endpoint, UaFindings, Variable
from ingest.pointlist import read_point_list

URL = "opc.tcp://10.0.2.1:4840"


def variable(*path: str, node: str = "nsu=urn:x;s=a", is_number: bool = True) -> Variable:
    return Variable(path=path, node=node, type="Double", is_number=is_number, shown="1.5 Good", may_write=False, has_history=True)


def devices_of(text: str) -> UaDevice:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "points.yaml"
        path.write_text(text, encoding="utf-8")
        [device] = read_point_list(path).devices
    assert isinstance(device, UaDevice)
    return device


def test_numbers_become_points_and_the_rest_does_not() -> None:
    found = UaFindings(variables=[variable("F 1", "P"), variable("F 1", "Q", is_number=False), variable("F_1", "P", node="ns=0;i=7")])
    device = devices_of(listing(found, URL, name="ems", area="2", device={}))
    assert [(point.name, point.node) for point in device.points] == [
        ("probe/ems/F_1/P", "nsu=urn:x;s=a"),
        ("probe/ems/F_1/P_2", "ns=0;i=7"),
    ]


def test_a_server_without_numbers_has_no_list() -> None:
    assert listing(UaFindings(variables=[variable("a", is_number=False)]), URL, name="ems", area="2", device={}) == ""


def test_what_the_server_offers_is_told() -> None:
    endpoint = Endpoint(url=URL, policy="Basic256Sha256", mode="Sign", tokens=("Anonymous", "UserName"), certificate=b"none")
    found = UaFindings(name="Ems", uri="urn:ems", endpoints=[endpoint], namespaces=["urn:a"], limits={"MaxNodesPerRead": 0})
    assert list(about(found)) == [
        "server     Ems, urn:ems",
        "endpoint   policy Basic256Sha256, mode Sign, users Anonymous, UserName",
        "certificate something that is no certificate",
        "namespace  0 urn:a",
        "limit      MaxNodesPerRead none",
    ]


@settings(max_examples=10, deadline=None)
@given(st.lists(st.tuples(st.text(min_size=1, max_size=8), st.text(min_size=1, max_size=8)), min_size=1, max_size=5, unique=True))
def test_whatever_nodes_are_called_the_list_can_be_read(names: list[tuple[str, str]]) -> None:
    nodes = [f"nsu=urn:x;s={a}{b}" for a, b in names]
    found = UaFindings(variables=[variable(*path, node=node) for path, node in zip(names, nodes, strict=True)])
    text = listing(found, URL, name="ems", area="2", device={})
    if text:
        assert 1 <= len(devices_of(text).points) <= len(names)
