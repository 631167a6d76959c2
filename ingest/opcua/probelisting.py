"""What would the point list of a probed OPC UA server look like?

The text that :func:`listing` writes is read back by :func:`ingest.pointlist.read_point_list` as it stands. Points have the paths by which
they were found for names, to be replaced by what they measure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

from ingest.opcua.probing import UaFindings, Variable, certificate_text
from ingest.yamltext import comment, flow, quoted

__all__ = ["about", "listing"]

_POINTS_MAX: Final = 1000
_UNFIT: Final = re.compile(r"[\s{}]+")
_UNLISTABLE: Final = re.compile(r"[{}\n]")
"""What no node id of a point list has: braces mean placeholders there."""


def about(findings: UaFindings) -> Iterator[str]:
    """Yield what is known of the server itself, for people."""
    yield f"server     {findings.name}, {findings.uri}" + (f"; {findings.product}" if findings.product else "")
    for endpoint in findings.endpoints:
        yield f"endpoint   policy {endpoint.policy}, mode {endpoint.mode}, users {', '.join(endpoint.tokens) or 'of no kind'}"
    for raw in dict.fromkeys(endpoint.certificate for endpoint in findings.endpoints if endpoint.certificate is not None):
        yield f"certificate {certificate_text(raw)}"
    for index, uri in enumerate(findings.namespaces):
        yield f"namespace  {index} {uri}"
    for name, most in findings.limits.items():
        yield f"limit      {name} {most or 'none'}"
    if findings.browsed:
        more = "; there are more, which --nodes allows" if findings.cut_short else ""
        numbers = sum(variable.is_number for variable in findings.variables)
        yield f"browsed    {findings.browsed} nodes, {len(findings.variables)} of them variables, {numbers} of these numbers{more}"


def listing(findings: UaFindings, url: str, *, name: str, area: str, device: Mapping[str, object], every: str = "10s") -> str:
    """Return a point list of the numbers a server has, as YAML; empty where it has none.

    Args:
        device: what else the device's entry says, such as ``security``.
        every: period of the points.
    """
    numbers = [variable for variable in findings.variables if variable.is_number]
    written = list(_points(numbers))
    if not any(not line.startswith("#") for line in written):
        return ""
    lines = ["# Found by `gridfuse ingest probe`, which writes nothing to a server. Names and units are yours to give."]
    lines += [f"# {comment(line)}" for line in about(findings)]
    lines += ["maps:", f"  {name}:", f"    every: {every}  # yours to choose", "    points:"]
    lines += [f"      {line}" for line in written]
    said = {"name": name, "area": area, "url": url, "map": name, **device}
    lines += ["devices:", f"- {flow(said)}"]
    return "\n".join(lines) + "\n"


def _points(numbers: list[Variable]) -> Iterator[str]:
    taken: set[str] = set()
    for place, variable in enumerate(numbers):
        if place >= _POINTS_MAX:
            yield f"# and {len(numbers) - place} more"
            return
        wanted = "/".join(_UNFIT.sub("_", step) for step in variable.path)
        named, number = wanted, 2
        while named in taken:
            named, number = f"{wanted}_{number}", number + 1
        taken.add(named)
        remark = comment(", ".join([variable.type, variable.shown, *_rights(variable)]))
        if _UNLISTABLE.search(variable.node):
            yield f"# {comment(variable.node)} cannot stand in a list, where braces mean placeholders and lines end: {remark}"
            continue
        yield f"{quoted(f'probe/{{device}}/{named}')}: {flow({'node': variable.node})}  # {remark}"


def _rights(variable: Variable) -> Iterator[str]:
    if variable.may_write:
        yield "may be written"
    if variable.has_history:
        yield "has history"
