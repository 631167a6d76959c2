"""Where do paths lead on a server?

All paths are followed together, a level at a time: the nodes that any of them has reached are browsed in calls as long as the server
takes, each node once, and a path then goes on to the children that its next element fits. A thousand points below one folder cost
one browse of that folder.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from asyncua import ua

from ingest.opcua.browsepath import BrowsePath, Element
from ingest.opcua.limits import parts

__all__ = ["find_nodes"]

_NODES_MAX: Final = 200_000
"""Most nodes that are browsed for one device: ``**`` near the root of a large server is a slip."""

_Children = dict[str, list[tuple[int, ua.NodeId, bool]]]
"""The children of a node by name: namespace index of the name, node, whether it is a variable."""


async def find_nodes(session: Any, paths: Sequence[BrowsePath], namespaces: Sequence[str], browses: int) -> list[ua.NodeId | str]:
    """Return, for each path, the one variable it leads to, or why there is none.

    Args:
        namespaces: URIs, by index, as the server runs now.
        browses: most nodes in one call.

    Raises:
        ua.UaError, OSError, TimeoutError: the server is gone.
    """
    walk = _Walk(session, namespaces, browses)
    travellers = [_Traveller(path.elements) for path in paths]
    while True:
        wanted = {key: node for each in travellers for key, node in each.here.items() if key not in walk.children}
        if len(walk.children) + len(wanted) > _NODES_MAX:
            return [f"the paths lead through more than {_NODES_MAX} nodes; name more of their elements"] * len(paths)
        if wanted:
            await walk.browse(wanted)
        for each in travellers:
            each.go_on(walk)
        if not any(each.here for each in travellers):
            return [each.result() for each in travellers]


class _Walk:
    def __init__(self, session: Any, namespaces: Sequence[str], browses: int) -> None:
        self._session = session
        self._index_of = {uri: index for index, uri in enumerate(namespaces)}
        self._browses = browses
        self.children: dict[str, _Children] = {}

    def index_of(self, element: Element) -> int | None:
        """Return the namespace index an element asks for, None for any, -1 for one that is not there."""
        return element.index if element.uri is None else self._index_of.get(element.uri, -1)

    async def browse(self, nodes: dict[str, ua.NodeId]) -> None:
        for keys in parts(list(nodes), self._browses):
            request = ua.BrowseParameters(
                View=ua.ViewDescription(), RequestedMaxReferencesPerNode=0, NodesToBrowse=[_described(nodes[key]) for key in keys]
            )
            results = await self._session.browse(request)
            for key, result in zip(keys, results, strict=True):
                children: _Children = {}
                self.children[key] = children
                while True:
                    for reference in result.References or ():
                        name, node = reference.BrowseName, reference.NodeId
                        here = ua.NodeId(node.Identifier, node.NamespaceIndex, node.NodeIdType)
                        is_variable = reference.NodeClass == ua.NodeClass.Variable
                        children.setdefault(name.Name or "", []).append((name.NamespaceIndex, here, is_variable))
                    if not result.ContinuationPoint:
                        break
                    following = ua.BrowseNextParameters(ReleaseContinuationPoints=False, ContinuationPoints=[result.ContinuationPoint])
                    [result] = await self._session.browse_next(following)


class _Traveller:
    """One path, and where it has come to."""

    def __init__(self, elements: tuple[Element, ...]) -> None:
        self._elements = elements
        root = ua.NodeId(ua.ObjectIds.RootFolder)
        self._states: set[tuple[str, int]] = {(root.to_string(), 0)}
        self._seen = set(self._states)
        self._found: dict[str, ua.NodeId] = {}
        self.here: dict[str, ua.NodeId] = {root.to_string(): root}

    def go_on(self, walk: _Walk) -> None:
        """Take one step; every node in ``here`` has been browsed."""
        states, self._states, self.here = self._states, set(), {}
        pending = list(states)
        while pending:
            key, at = pending.pop()
            element = self._elements[at]
            if element.is_any_depth:
                if (key, at + 1) not in self._seen:
                    self._seen.add((key, at + 1))
                    pending.append((key, at + 1))
                for named in walk.children[key].values():
                    self._reach(named, at)
                continue
            wanted = walk.index_of(element)
            for named in _fitting(walk.children[key], element):
                children = [child for child in named if wanted is None or child[0] == wanted]
                if at + 1 < len(self._elements):
                    self._reach(children, at + 1)
                else:
                    self._found |= {node.to_string(): node for _, node, is_variable in children if is_variable}

    def _reach(self, children: Sequence[tuple[int, ua.NodeId, bool]], at: int) -> None:
        for _, node, _ in children:
            state = (node.to_string(), at)
            if state not in self._seen:
                self._seen.add(state)
                self._states.add(state)
                self.here[state[0]] = node

    def result(self) -> ua.NodeId | str:
        if len(self._found) == 1:
            return next(iter(self._found.values()))
        if not self._found:
            return "the path leads to no variable"
        first, second, *_ = self._found
        return f"the path leads to {len(self._found)} variables, such as {first} and {second}; name more of its elements"


def _fitting(children: _Children, element: Element) -> list[list[tuple[int, ua.NodeId, bool]]]:
    if element.literal is not None:
        return [children[element.literal]] if element.literal in children else []
    return [named for name, named in children.items() if element.pattern.fullmatch(name)]


def _described(node: ua.NodeId) -> ua.BrowseDescription:
    return ua.BrowseDescription(
        NodeId=node,
        BrowseDirection=ua.BrowseDirection.Forward,
        ReferenceTypeId=ua.NodeId(ua.ObjectIds.HierarchicalReferences),
        IncludeSubtypes=True,
        NodeClassMask=ua.NodeClass.Object | ua.NodeClass.Variable,
        ResultMask=ua.BrowseResultMask.NodeClass | ua.BrowseResultMask.BrowseName,
    )
