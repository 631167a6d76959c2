"""Which node is each point of the list on this server, as it runs now?

Namespaces have an index only for as long as a server runs, and paths lead to whatever node stands there now, so a book of nodes is
opened anew with every session. A point whose node is not there is bad by configuration and named in the log, once; the others go on.
Paths that led nowhere are tried again, because servers accept clients before their nodes are there.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, Final

from asyncua import ua

from ingest.devices import UaDevice
from ingest.opcua.browsepath import BrowsePath, is_browse_path
from ingest.opcua.decode import node_id
from ingest.opcua.limits import Limits
from ingest.opcua.samples import Samples
from ingest.opcua.walk import find_nodes
from ingest.quality import BAD_CONFIGURATION_ERROR

__all__ = ["NodeBook"]

_log: Final = logging.getLogger(__name__)

_NAMED_MAX: Final = 20
"""Points without a node that are named in the log one by one; of more, the number is."""


class NodeBook:
    """The nodes of one device's points.

    Args:
        samples: takes that a point is bad.
    """

    def __init__(self, device: UaDevice, samples: Samples) -> None:
        self._device = device
        self._samples = samples
        self._paths = {row: BrowsePath.parsed(point.node) for row, point in enumerate(device.points) if is_browse_path(point.node)}
        self._nodes: list[ua.NodeId | None] = [None] * len(device.points)
        self._lost: dict[int, str] = {}
        self._named: set[int] = set()
        self._session: Any = None
        self._namespaces: Sequence[str] = ()
        self._limits = Limits()

    def __getitem__(self, row: int) -> ua.NodeId | None:
        """The node of a point; None where it has none."""
        return self._nodes[row]

    def known(self) -> list[int]:
        """Return the places of all points that have a node."""
        return [row for row, node in enumerate(self._nodes) if node is not None]

    async def open(self, session: Any, namespaces: Sequence[str], limits: Limits) -> None:
        """Look up every node on a new session.

        Raises:
            ua.UaError, OSError, TimeoutError: the server is gone.
        """
        self._session, self._namespaces, self._limits = session, namespaces, limits
        points = self._device.points
        self._nodes = [None if row in self._paths else node_id(point.node, namespaces) for row, point in enumerate(points)]
        self._lost = {
            row: "the server has no such namespace" for row, node in enumerate(self._nodes) if node is None and row not in self._paths
        }
        await self._walk(list(self._paths))
        if self._lost:
            self._samples.deny(list(self._lost), BAD_CONFIGURATION_ERROR)
            self._report()

    async def look_again(self) -> list[int]:
        """Follow the paths that led nowhere once more; return the places of the points that have a node now."""
        rows = [row for row in self._lost if row in self._paths]
        if rows:
            await self._walk(rows)
        return [row for row in rows if self._nodes[row] is not None]

    async def _walk(self, rows: Sequence[int]) -> None:
        if not rows:
            return
        found = await find_nodes(self._session, [self._paths[row] for row in rows], self._namespaces, self._limits.browses)
        for row, result in zip(rows, found, strict=True):
            if isinstance(result, str):
                self._lost[row] = result
            else:
                self._nodes[row] = result
                self._lost.pop(row, None)

    def _report(self) -> None:
        news = [row for row in self._lost if row not in self._named]
        self._named |= set(news)
        for row in news[:_NAMED_MAX]:
            point = self._device.points[row]
            where = {"device": self._device.name, "point": point.name, "reason": self._lost[row]}
            _log.warning("%s: %s has no node: %s: %s", self._device.name, point.name, point.node, self._lost[row], extra=where)
        if len(news) > _NAMED_MAX:
            more = {"device": self._device.name, "nodes": len(news)}
            _log.warning("%s: %d more points have no node", self._device.name, len(news) - _NAMED_MAX, extra=more)
