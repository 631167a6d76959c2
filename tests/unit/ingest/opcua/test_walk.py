"""Paths followed on an address space: calls cut to the server's limit, answers in pieces, loops, and what is not one variable."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from asyncua import ua

from ingest.opcua.browsepath import BrowsePath
from ingest.opcua.limits import Limits, read_limits
from ingest.opcua.walk import find_nodes

NAMESPACES = ["http://opcfoundation.org/UA/", "urn:a", "urn:b"]
ROOT = 84

TREE = {
    # node: (name, namespace of the name, whether a variable, children)
    ROOT: ("Root", 0, False, [85]),
    85: ("Objects", 0, False, [1000, 1001, 1002]),
    1000: ("Feeders", 1, False, [*range(2000, 2010)]),
    1001: ("Twins", 1, False, [3000, 3001]),
    1002: ("Loop", 2, False, [85, 1002, 3002]),
    **{2000 + n: (f"F{n}", 1, False, [4000 + n]) for n in range(10)},
    **{4000 + n: ("P", 2, True, []) for n in range(10)},
    3000: ("P", 1, True, []),
    3001: ("P", 2, True, []),
    3002: ("a/b", 2, True, []),
}


class Server:
    """An address space that gives two references at a time and counts what it is asked."""

    def __init__(self) -> None:
        self.calls: list[int] = []
        self.browsed: list[int] = []

    async def browse(self, request: ua.BrowseParameters) -> list[Any]:
        self.calls.append(len(request.NodesToBrowse))
        self.browsed += [each.NodeId.Identifier for each in request.NodesToBrowse]
        return [self._piece(each.NodeId.Identifier, 0) for each in request.NodesToBrowse]

    async def browse_next(self, request: ua.BrowseNextParameters) -> list[Any]:
        [point] = request.ContinuationPoints
        number, place = (int(part) for part in point.split())
        return [self._piece(number, place)]

    def _piece(self, number: int, place: int) -> Any:
        children = TREE[number][3]
        references = [
            SimpleNamespace(
                NodeId=ua.NodeId(child, 1 if child > 99 else 0),
                BrowseName=ua.QualifiedName(TREE[child][0], TREE[child][1]),
                NodeClass=ua.NodeClass.Variable if TREE[child][2] else ua.NodeClass.Object,
            )
            for child in children[place : place + 2]
        ]
        more = f"{number} {place + 2}".encode() if place + 2 < len(children) else None
        return SimpleNamespace(References=references or None, ContinuationPoint=more)


def find(*paths: str, server: Server | None = None, browses: int = 1000) -> list[Any]:
    found = asyncio.run(find_nodes(server or Server(), [BrowsePath.parsed(f"browse:{path}") for path in paths], NAMESPACES, browses))
    return [each if isinstance(each, str) else each.Identifier for each in found]


@pytest.mark.parametrize(
    ("path", "node"),
    [
        ("/Objects/Feeders/F3/P", 4003),
        ("/Objects/nsu=urn:a;Feeders/F3/nsu=urn:b;P", 4003),
        ("/Objects/ns=1;Feeders/F9/ns=2;P", 4009),
        ("/Objects/*/F7/P", 4007),
        ("/**/F?/../P", "the path leads to no variable"),
        ("/**/F4/P", 4004),
        ("/Objects/**/F4/**/P", 4004),
        ("/Objects/Twins/nsu=urn:b;P", 3001),
        ("/Objects/Loop/Objects/Loop/a&/b", 3002),
        ("/Objects/nsu=urn:b;Feeders/F3/P", "the path leads to no variable"),
        ("/Objects/nsu=urn:gone;Feeders/F3/P", "the path leads to no variable"),
        ("/Objects/Feeders/F3", "the path leads to no variable"),
    ],
)
def test_where_a_path_leads(path: str, node: int | str) -> None:
    assert find(path) == [node]


def test_a_path_to_several_variables_names_two_of_them() -> None:
    [why] = find("/Objects/Twins/P")
    assert why.startswith("the path leads to 2 variables, such as ns=1;i=300")
    assert why.endswith("; name more of its elements")


def test_each_node_is_browsed_once_however_many_paths_lead_through_it_in_calls_the_server_takes() -> None:
    server = Server()
    assert find(*(f"/Objects/Feeders/F{n}/P" for n in range(10)), "/**/F1/P", server=server, browses=4) == [
        *range(4000, 4010),
        4001,
    ]
    assert len(server.browsed) == len(set(server.browsed))
    assert max(server.calls) == 4


def test_a_path_through_too_much_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingest.opcua.walk._NODES_MAX", 5)
    [why] = find("/**/F1/P")
    assert why == "the paths lead through more than 5 nodes; name more of their elements"


class Capabilities:
    """A server that states limits, and itself takes so many nodes in one reading."""

    def __init__(self, stated: list[Any], takes: int = 1000) -> None:
        numbers = (ua.ObjectIds.Server_ServerCapabilities_OperationLimits_MaxMonitoredItemsPerCall,)
        numbers += (ua.ObjectIds.Server_ServerCapabilities_OperationLimits_MaxNodesPerRead,)
        numbers += (ua.ObjectIds.Server_ServerCapabilities_OperationLimits_MaxNodesPerBrowse,)
        numbers += (ua.ObjectIds.Server_ServerCapabilities_OperationLimits_MaxNodesPerHistoryReadData,)
        self._stated = dict(zip(numbers, stated, strict=True))
        self._takes = takes

    async def read_attributes(self, nodes: list[ua.NodeId], _: ua.AttributeIds) -> list[ua.DataValue]:
        if len(nodes) > self._takes:
            raise ua.uaerrors.BadTooManyOperations
        return [ua.DataValue(Value=ua.Variant(self._stated[node.Identifier])) for node in nodes]


@pytest.mark.parametrize(
    ("stated", "limits"),
    [
        ([500, 40, 3, 7], Limits(items=500, reads=40, browses=3, history=7)),
        ([0, 0, 0, 0], Limits()),
        ([None, None, None, None], Limits()),
        ([100_000, 100_000, 100_000, 100_000], Limits()),
    ],
)
@pytest.mark.parametrize("takes", [1, 1000])
def test_limits_are_the_servers_or_ours_whichever_is_smaller(stated: list[Any], limits: Limits, takes: int) -> None:
    assert asyncio.run(read_limits(Capabilities(stated, takes))) == limits
