"""How much does a server take in one call?

A server states its limits as variables of its own (OPC 10000-5 §6.3.11) and refuses a longer call whole, so every call that names
nodes is cut to them. A limit of 0, or none at all, means that the server states none; then, and where it states more, our own limit
holds: a call of ten thousand nodes holds up a server's other clients.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from asyncua import ua

__all__ = ["Limits", "parts", "read_limits"]

_T = TypeVar("_T")

_NODES_MAX: Final = 1000
"""Nodes in one call where the server states no smaller limit; several makes of server refuse more."""

_HISTORY_MAX: Final = 100
"""Nodes in one reading of history where the server states no smaller limit: each may bring a thousand values."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Most nodes in one call of each kind, all >= 1."""

    items: int = _NODES_MAX
    reads: int = _NODES_MAX
    browses: int = _NODES_MAX
    history: int = _HISTORY_MAX


async def read_limits(session: Any) -> Limits:
    """Ask a server for its limits.

    Raises:
        ua.UaError, OSError, TimeoutError: the server is gone.
    """
    prefix = "Server_ServerCapabilities_OperationLimits_Max"
    names = ("MonitoredItemsPerCall", "NodesPerRead", "NodesPerBrowse", "NodesPerHistoryReadData")
    nodes = [ua.NodeId(getattr(ua.ObjectIds, prefix + name)) for name in names]
    try:
        values = await session.read_attributes(nodes, ua.AttributeIds.Value)
    except ua.uaerrors.BadTooManyOperations:
        values = [(await session.read_attributes([node], ua.AttributeIds.Value))[0] for node in nodes]
    items, reads, browses, history = (_stated(value) for value in values)
    return Limits(
        items=min(items, _NODES_MAX),
        reads=min(reads, _NODES_MAX),
        browses=min(browses, _NODES_MAX),
        history=min(history, _HISTORY_MAX),
    )


def parts(items: Sequence[_T], size: int) -> Iterator[Sequence[_T]]:
    """Cut a sequence into parts of ``size`` and a rest.

    >>> list(parts("abcde", 2))
    ['ab', 'cd', 'e']
    """
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _stated(value: Any) -> int:
    stated = value.Value.Value if value.Value is not None else None
    return stated if isinstance(stated, int) and stated > 0 else _NODES_MAX
