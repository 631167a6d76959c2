"""``gridfuse ingest probe``: what is behind an address that nobody knows?

It asks, gently and up to a cap, and never writes; prints a point list that ``gridfuse ingest check`` takes as it stands, with what is
known and what is guessed beside each line; and says on the way what it does. 0 when something can be read, 1 when nothing can, 2 when the
address or an option cannot be used.
"""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import urlsplit

import typer

from console.complaints import FAILED, complaints
from console.probeua import UaProbe
from ingest.addresses import Address, Framing
from ingest.devices import Kind
from ingest.linkfile import MODBUS_PORTS, TlsModel, UnusableAddressError, polled_address
from ingest.modbus.probing.asks import Ask, Read
from ingest.modbus.probing.expected import parse_expectation
from ingest.modbus.probing.findings import Findings
from ingest.modbus.probing.listing import listing
from ingest.modbus.probing.run import probe
from ingest.modbus.probing.strategy import ProbePlan, described, usual_units
from ingest.yamlfile import duration_ns, duration_text
from market.errors import ConfigError, Problem
from market.units import NS_PER_S

__all__ = ["register"]

_SPAN: Final = re.compile(r"(\d+)(?:\.\.(\d+))?")
_TELL_EVERY: Final = 50
_OF_MODBUS: Final = "What to ask a Modbus device"
_OF_UA: Final = "How to be let in to an OPC UA server"


def register(group: typer.Typer) -> None:
    """Add ``probe`` to the group ``ingest``."""
    group.command("probe")(_probe)


def _probe(
    address: Annotated[str, typer.Argument(help="As in a point list: modbus+tcp://HOST[:PORT], modbus+rtu:///dev/ttyUSB0, opc.tcp://..")],
    unit: Annotated[str, typer.Option(help="Unit ids to try, as in 1,3,10..20.", rich_help_panel=_OF_MODBUS)] = "",
    tables: Annotated[str, typer.Option(help="Tables to look at.", rich_help_panel=_OF_MODBUS)] = "holding,input,coil,discrete",
    scan: Annotated[str, typer.Option(help="Addresses to look at, FROM..TO, as on the wire.", rich_help_panel=_OF_MODBUS)] = "",
    expect: Annotated[
        list[str] | None,
        typer.Option(help="What a register shows, as in 30=230.1 or `input 30=230.1`; may be given again.", rich_help_panel=_OF_MODBUS),
    ] = None,
    requests: Annotated[int, typer.Option(help="Most requests.", min=1, max=100_000)] = 1000,
    gap: Annotated[str, typer.Option(help="Left between a reply and the next request.", rich_help_panel=_OF_MODBUS)] = "20ms",
    timeout: Annotated[str, typer.Option(help="How long to wait for a reply; 1s, or 4s for OPC UA.")] = "",
    ca: Annotated[str | None, typer.Option(help="Who vouches for a device over TLS, PEM.", rich_help_panel=_OF_MODBUS)] = None,
    tls_name: Annotated[str | None, typer.Option(help="Name in the device's certificate.", rich_help_panel=_OF_MODBUS)] = None,
    cert: Annotated[str | None, typer.Option(help="Our certificate.")] = None,
    key: Annotated[str | None, typer.Option(help="Its key.")] = None,
    nodes: Annotated[int, typer.Option(help="Most nodes that are browsed.", min=1, max=200_000, rich_help_panel=_OF_UA)] = 2000,
    policy: Annotated[str | None, typer.Option(help="Security policy, such as Basic256Sha256.", rich_help_panel=_OF_UA)] = None,
    mode: Annotated[str | None, typer.Option(help="Sign or SignAndEncrypt.", rich_help_panel=_OF_UA)] = None,
    pin: Annotated[str | None, typer.Option(help="The server's certificate.", rich_help_panel=_OF_UA)] = None,
    trust: Annotated[str | None, typer.Option(help="Folder of certificates it may have.", rich_help_panel=_OF_UA)] = None,
    user: Annotated[str | None, typer.Option(help="User name.", rich_help_panel=_OF_UA)] = None,
    password_env: Annotated[str | None, typer.Option(help="Environment variable that holds the password.", rich_help_panel=_OF_UA)] = None,
    save_cert: Annotated[
        Path | None, typer.Option(help="Write the server's certificate there, to be compared and pinned.", rich_help_panel=_OF_UA)
    ] = None,
    name: Annotated[str, typer.Option(help="What to call the device in the list.")] = "probed",
    area: Annotated[str, typer.Option(help="Its area in the list.")] = "1",
    out: Annotated[Path | None, typer.Option(help="Write the list there instead; nothing is overwritten.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be asked; connect to nothing.")] = False,
) -> None:
    """Find out what is behind an address, and print a point list of it. Nothing is ever written to a device."""
    with complaints():
        for option, file in (("--out", out), ("--save-cert", save_cert)):
            if file is not None and file.exists():
                raise ConfigError([Problem(option, f"{file} is there already; give another one")])
        if address.startswith("opc.tcp:"):
            given = {"policy": policy, "mode": mode, "cert": cert, "key": key, "pin": pin, "trust": trust, "user": user}
            ua = UaProbe(address, {**given, "password_env": password_env}, nodes_max=nodes, timeout=timeout or "4s", save_cert=save_cert)
            _deliver(ua.listed(name=name, area=area, dry_run=dry_run), out)
            return
        timeout_s = _seconds("--timeout", timeout or "1s")
        tls = _tls(address, ca=ca, cert=cert, key=key, name=tls_name)
        at = _address(address, tls)
        plan = _plan(at, unit=unit, tables=tables, scan=scan, expect=expect or [], requests=requests)
        gap_s = _seconds("--gap", gap)
    if dry_run:
        typer.echo(f"{address}: connect, and then, one request at a time and {gap} apart:")
        for number, step in enumerate(described(plan), start=1):
            typer.echo(f"{number}. {step}")
        return
    findings = Findings()
    try:
        asyncio.run(probe(at, plan, findings, timeout_s=timeout_s, gap_s=gap_s, progress=_Teller().tell))
    except KeyboardInterrupt:
        typer.echo("interrupted; what was found until now:", err=True)
    said: dict[str, object] = {"timeout": duration_text(round(timeout_s * NS_PER_S))}
    if tls is not None:
        said["tls"] = tls.model_dump(exclude_none=True)
    text = listing(findings, address, name=name, area=area, device=said)
    if not text:
        for line in _remedies(at, findings):
            typer.echo(f"gridfuse: {line}", err=True)
        raise typer.Exit(FAILED)
    _deliver(text, out)
    typer.echo(f"{findings.asked} requests, nothing written", err=True)


def _deliver(text: str, out: Path | None) -> None:
    if out is None or not text:
        typer.echo(text, nl=False)
        return
    with complaints():
        try:
            out.write_text(text, encoding="utf-8")
        except OSError as exc:
            raise ConfigError([Problem("--out", f"{out} cannot be written: {exc.strerror}")]) from exc
    typer.echo(f"{out}: written; look it over, and try it with `gridfuse ingest read --config {out}`", err=True)


class _Teller:
    """Says now and then what is being asked."""

    def __init__(self) -> None:
        self._asked = 0

    def tell(self, ask: Ask, findings: Findings) -> None:
        self._asked += 1
        if isinstance(ask, Read) and self._asked % _TELL_EVERY == 0:
            what = f"... unit {ask.unit}, {ask.kind} {ask.address}; {len(findings.found.answering)} units answer so far"
            typer.echo(what, err=True)


def _remedies(at: Address, findings: Findings) -> list[str]:
    """Say why nothing can be read, and what to try."""
    found = findings.found
    if found.unreachable:
        if at.is_serial:
            return [found.unreachable, "give the path of a line that is there, with baud, parity and stop of the device"]
        what = "look whether host and port are right, whether a firewall is between, and whether the device has a connection to spare"
        return [found.unreachable, f"{what}: many serve one or two"]
    if found.answering:
        return [
            f"{at}: unit {', '.join(map(str, found.answering))} answers, and refused every address it was asked for",
            "say where its registers are, with --scan FROM..TO; its manual's number, or one less",
        ]
    lines = [f"{at}: the connection stands, and no unit of {len(found.silent) + len(found.absent) + len(found.failing)} answered"]
    if found.absent:
        lines.append("a gateway answers that it cannot reach them: look at its other side, and give --unit the ids that are there")
    elif found.failing:
        lines.append("they answer with failures only: give --unit the id that the device has")
    else:
        lines.append(f"give --unit the id that the device has; a longer --timeout than now ({found.why})")
        if at.is_serial:
            lines.append("or another baud, parity or stop in the address; A and B of the line may be swapped")
        elif at.framing is Framing.MBAP:
            lines.append("or modbus+rtu+tcp:// in the address, if it is a serial server that passes RTU frames on as they are")
        else:
            lines.append("or modbus+tcp:// in the address, if it is a gateway that speaks Modbus/TCP")
    return lines


def _address(text: str, tls: TlsModel | None) -> Address:
    scheme = urlsplit(text).scheme
    if scheme not in MODBUS_PORTS:
        known = ", ".join(f"{each}://" for each in MODBUS_PORTS)
        raise ConfigError([Problem(text, f"is no address that can be probed; write one of {known}, opc.tcp://")])
    try:
        return polled_address(text, None if tls is None else tls.built(Path()))
    except UnusableAddressError as exc:
        raise ConfigError([Problem(text, str(exc))]) from exc
    except ValueError as exc:
        raise ConfigError([Problem(text, f"is not an address ({exc}); write modbus+tcp://host:port")]) from exc


def _tls(address: str, **given: str | None) -> TlsModel | None:
    said = {name: value for name, value in given.items() if value is not None}
    is_tls = address.startswith("modbus+tls:")
    if said and not is_tls:
        option = "--tls-name" if "name" in said else f"--{next(iter(said))}"
        raise ConfigError([Problem(option, "is for modbus+tls:// addresses; remove it, or write one")])
    if ("cert" in said) != ("key" in said):
        raise ConfigError([Problem("--cert", "and --key belong together; give both or neither")])
    return TlsModel.model_validate(said) if said else None


def _plan(at: Address, *, unit: str, tables: str, scan: str, expect: list[str], requests: int) -> ProbePlan:
    problems: list[Problem] = []
    units = [number for part in unit.split(",") for number in _span("--unit", part, 255, problems)] if unit else []
    kinds = tuple(dict.fromkeys(part.strip() for part in tables.split(",")))
    problems += [Problem("--tables", f"{kind!r} is no table; write some of {', '.join(Kind)}") for kind in kinds if kind not in list(Kind)]
    span = _span("--scan", scan, 65_535, problems) if scan else None
    expectations = []
    for text in expect:
        try:
            expectations.append(parse_expectation(text))
        except ValueError as exc:
            problems.append(Problem("--expect", str(exc)))
    if problems:
        raise ConfigError(problems)
    return ProbePlan(
        units=tuple(dict.fromkeys(units)) or usual_units(is_serial=at.is_serial or at.framing is Framing.RTU),
        tables=tuple(Kind(kind) for kind in kinds),
        scan=span,
        expectations=tuple(expectations),
        requests_max=requests,
        pipelines=at.framing is Framing.MBAP,
    )


def _span(option: str, text: str, most: int, problems: list[Problem]) -> range:
    found = _SPAN.fullmatch(text.strip())
    first, last = (int(found[1]), int(found[2] or found[1])) if found is not None else (0, -1)
    if not first <= last <= most:
        problems.append(Problem(option, f"{text!r} is no number up to {most} and no run of them; write 7 or 1..7"))
        return range(0)
    return range(first, last + 1)


def _seconds(option: str, text: str) -> float:
    try:
        return duration_ns(text) / NS_PER_S
    except ValueError as exc:
        raise ConfigError([Problem(option, str(exc))]) from exc
