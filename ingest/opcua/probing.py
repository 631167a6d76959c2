"""What does an OPC UA server offer, and which of its variables are numbers?

A server tells its endpoints to whoever asks: by which policies it can be reached, which kinds of user it takes, and its certificate.
Everything else needs a session: its namespaces, how much it takes in one call, and its address space, which is browsed from Objects
downwards, level by level and up to a cap, each node once. Of every variable its value is read once. Nothing is ever written.

A session that is refused leaves what was told before it, and the reason in words.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from asyncua import Client, ua
from cryptography import x509

from ingest.devices import UaDevice
from ingest.errors import DeviceSilent
from ingest.opcua.certificates import fingerprint
from ingest.opcua.limits import Limits, parts, read_limits
from ingest.opcua.security import SecureClient, dressed, refusal

__all__ = ["Endpoint", "UaFindings", "Variable", "certificate_text", "look_at_server"]

_LOST: Final = (OSError, TimeoutError, ua.UaError, DeviceSilent)
_SERVER_OBJECT: Final = ua.NodeId(ua.ObjectIds.Server)
_ANSWERS: Final = ("MonitoredItemsPerCall", "NodesPerRead", "NodesPerWrite", "NodesPerBrowse", "NodesPerHistoryReadData")
_LIMITS_AT: Final = "Server_ServerCapabilities_OperationLimits_Max"
_NUMERIC: Final = frozenset(
    getattr(ua.VariantType, name)
    for name in ("Boolean", "SByte", "Byte", "Int16", "UInt16", "Int32", "UInt32", "Int64", "UInt64", "Float", "Double")
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One way to be let in.

    Attributes:
        policy: as a point list writes it; mode: None, Sign or SignAndEncrypt.
        tokens: what kinds of user are taken: Anonymous, UserName, Certificate, IssuedToken.
        certificate: DER; None where the server has none.
    """

    url: str
    policy: str
    mode: str
    tokens: tuple[str, ...]
    certificate: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Variable:
    """One variable that was found.

    Attributes:
        path: browse names from below Objects, without their namespaces.
        node: as a point list writes it.
        type: of its value; empty where it has none.
        is_number: whether a point can be made of it.
        shown: its value and status, for people.
        may_write, has_history: what the server lets us do with it.
    """

    path: tuple[str, ...]
    node: str
    type: str
    is_number: bool
    shown: str
    may_write: bool
    has_history: bool


@dataclass(slots=True)
class UaFindings:
    """What was found.

    Attributes:
        unreachable: why no endpoint could be had; empty where one was. ``refused``: why there is no session; likewise.
        limits: most nodes in one call, by OPC UA's name, as far as stated; 0 is no limit.
        browsed: nodes that were browsed; cut_short: whether there was more than is allowed.
    """

    name: str = ""
    uri: str = ""
    endpoints: list[Endpoint] = field(default_factory=list)
    unreachable: str = ""
    refused: str = ""
    product: str = ""
    namespaces: list[str] = field(default_factory=list)
    limits: dict[str, int] = field(default_factory=dict)
    variables: list[Variable] = field(default_factory=list)
    browsed: int = 0
    cut_short: bool = False


async def look_at_server(device: UaDevice, *, nodes_max: int) -> UaFindings:
    """Look at a server.

    Args:
        device: where it is, and how we are let in; its points are not looked at.
        nodes_max: most nodes that are browsed.
    """
    findings = UaFindings()
    try:
        offered = await Client(device.url, timeout=device.timeout_s).connect_and_get_server_endpoints()
    except _LOST as exc:
        findings.unreachable = str(exc) or f"no answer within {device.timeout_s:g} s"
        return findings
    for each in offered:
        findings.name, findings.uri = each.Server.ApplicationName.Text or "", each.Server.ApplicationUri or ""
        findings.endpoints.append(_endpoint(each))
    client = SecureClient(device.url, timeout=device.timeout_s)
    client.name = client.description = "Gridfuse probe"
    try:
        await dressed(client, device)
        async with client:
            await _Look(client, findings, nodes_max).look()
    except _LOST as exc:
        findings.refused = refusal(exc, device) or str(exc) or type(exc).__name__
    return findings


def _endpoint(offered: Any) -> Endpoint:
    policy = (offered.SecurityPolicyUri or "").rpartition("#")[2].replace("_", "")
    mode = offered.SecurityMode.name.rstrip("_")
    tokens = dict.fromkeys(token.TokenType.name for token in offered.UserIdentityTokens or ())
    return Endpoint(
        url=offered.EndpointUrl or "", policy=policy, mode=mode, tokens=tuple(tokens), certificate=offered.ServerCertificate or None
    )


def certificate_text(raw: bytes) -> str:
    """Return fingerprint and end of a server's certificate, for people."""
    try:
        certificate = x509.load_der_x509_certificate(raw[: 4 + int.from_bytes(raw[2:4], "big")])
    except ValueError:
        return "something that is no certificate"
    return f"{fingerprint(certificate)}, valid until {certificate.not_valid_after_utc:%Y-%m-%d}"


class _Look:
    """A look over a session."""

    def __init__(self, client: Client, findings: UaFindings, nodes_max: int) -> None:
        self._client = client
        self._session = client.uaclient.session
        self._findings = findings
        self._nodes_max = nodes_max
        self._limits = Limits()

    async def look(self) -> None:
        findings = self._findings
        findings.namespaces = [str(uri) for uri in await self._client.get_namespace_array()]
        self._limits = await read_limits(self._session)
        nodes = [ua.NodeId(getattr(ua.ObjectIds, _LIMITS_AT + name)) for name in _ANSWERS]
        for name, node in zip(_ANSWERS, nodes, strict=True):
            stated = (await self._session.read_attributes([node], ua.AttributeIds.Value))[0].Value
            if stated is not None and isinstance(stated.Value, int):
                findings.limits[f"Max{name}"] = stated.Value
        build = (await self._session.read_attributes([ua.NodeId(ua.ObjectIds.Server_ServerStatus_BuildInfo)], ua.AttributeIds.Value))[0]
        if build.Value is not None and build.Value.Value is not None:
            info = build.Value.Value
            findings.product = " ".join(str(part) for part in (info.ManufacturerName, info.ProductName, info.SoftwareVersion) if part)
        await self._describe(await self._browse())

    async def _browse(self) -> list[tuple[tuple[str, ...], ua.NodeId]]:
        """Return path and node of every variable, as far as the cap goes."""
        variables: list[tuple[tuple[str, ...], ua.NodeId]] = []
        level: list[tuple[tuple[str, ...], ua.NodeId]] = [((), ua.NodeId(ua.ObjectIds.ObjectsFolder))]
        seen = {level[0][1], _SERVER_OBJECT}
        while level:
            room = self._nodes_max - self._findings.browsed
            self._findings.cut_short = len(level) > room
            following: list[tuple[tuple[str, ...], ua.NodeId]] = []
            for some in parts(level[: max(room, 0)], self._limits.browses):
                self._findings.browsed += len(some)
                for (path, _), references in zip(some, await self._children([node for _, node in some]), strict=True):
                    for reference in references:
                        node = ua.NodeId(reference.NodeId.Identifier, reference.NodeId.NamespaceIndex, reference.NodeId.NodeIdType)
                        if node in seen:
                            continue
                        seen.add(node)
                        here = (*path, reference.BrowseName.Name or "")
                        if reference.NodeClass == ua.NodeClass.Variable:
                            variables.append((here, node))
                        following.append((here, node))
            level = [] if self._findings.cut_short else following
        return variables

    async def _children(self, nodes: Sequence[ua.NodeId]) -> list[list[Any]]:
        described = [
            ua.BrowseDescription(
                NodeId=node,
                BrowseDirection=ua.BrowseDirection.Forward,
                ReferenceTypeId=ua.NodeId(ua.ObjectIds.HierarchicalReferences),
                IncludeSubtypes=True,
                NodeClassMask=ua.NodeClass.Object | ua.NodeClass.Variable,
                ResultMask=ua.BrowseResultMask.NodeClass | ua.BrowseResultMask.BrowseName,
            )
            for node in nodes
        ]
        request = ua.BrowseParameters(View=ua.ViewDescription(), RequestedMaxReferencesPerNode=0, NodesToBrowse=described)
        found = []
        for result in await self._session.browse(request):
            references = list(result.References or ())
            while result.ContinuationPoint:
                following = ua.BrowseNextParameters(ReleaseContinuationPoints=False, ContinuationPoints=[result.ContinuationPoint])
                [result] = await self._session.browse_next(following)
                references += result.References or ()
            found.append(references)
        return found

    async def _describe(self, variables: Sequence[tuple[tuple[str, ...], ua.NodeId]]) -> None:
        for some in parts(variables, self._limits.reads):
            nodes = [node for _, node in some]
            values = await self._session.read_attributes(nodes, ua.AttributeIds.Value)
            access = await self._session.read_attributes(nodes, ua.AttributeIds.UserAccessLevel)
            for (path, node), value, level in zip(some, values, access, strict=True):
                bits = level.Value.Value if level.Value is not None and isinstance(level.Value.Value, int) else 0
                self._findings.variables.append(_variable(path, self._named(node), value, bits))

    def _named(self, node: ua.NodeId) -> str:
        """Return a node id with the URI of its namespace, which outlives a restart of the server."""
        text = node.to_string()
        if node.NamespaceIndex == 0 or node.NamespaceIndex >= len(self._findings.namespaces):
            return str(text)
        uri = self._findings.namespaces[node.NamespaceIndex]
        return str(text) if ";" in uri else f"nsu={uri};{text.partition(';')[2]}"


def _variable(path: tuple[str, ...], node: str, value: Any, access: int) -> Variable:
    variant = value.Value
    kind = None if variant is None or variant.Value is None else variant.VariantType
    is_number = kind in _NUMERIC and not isinstance(variant.Value, list)
    status = "Good" if value.StatusCode is None else value.StatusCode.name
    shown = f"{variant.Value}" if is_number else ""
    return Variable(
        path=path,
        node=node,
        type="" if kind is None else f"{kind.name}{'[]' if isinstance(variant.Value, list) else ''}",
        is_number=is_number,
        shown=f"{shown} {status}".strip(),
        may_write=bool(access & ua.AccessLevel.CurrentWrite.mask),
        has_history=bool(access & ua.AccessLevel.HistoryRead.mask),
    )
