"""What ``gridfuse ingest probe`` does with an OPC UA address."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import typer
from pydantic import ValidationError

from console.complaints import FAILED
from ingest.devices import UaDevice
from ingest.opcua.entry import SecurityModel
from ingest.opcua.probelisting import about, listing
from ingest.opcua.probing import UaFindings, look_at_server
from ingest.yamlfile import duration_ns
from market.errors import ConfigError, Problem
from market.units import NS_PER_S

__all__ = ["UaProbe"]

_PORT: Final = 4840


class UaProbe:
    """A look at one server.

    Args:
        security: what a point list would say under ``security``; None of each that was not given.
        save_cert: where the server's certificate is written, or None.

    Raises:
        ConfigError: what was given cannot be used.
    """

    def __init__(self, url: str, security: Mapping[str, str | None], *, nodes_max: int, timeout: str, save_cert: Path | None) -> None:
        self._url = url
        self._nodes_max = nodes_max
        self._save_cert = save_cert
        self._security = {key: value for key, value in security.items() if value is not None}
        if self._security:
            self._security.setdefault("policy", "None")
        try:
            self._timeout_s = duration_ns(timeout) / NS_PER_S
            if not urlsplit(url).hostname or urlsplit(url).port is None:
                raise ValueError(f"{url!r} has no port; write opc.tcp://host:{_PORT}, which is the usual one")
            self._model = SecurityModel.model_validate(self._security) if self._security else None
        except ValidationError as exc:
            what = (str(detail["msg"]).removeprefix("Value error, ") for detail in exc.errors(include_url=False))
            raise ConfigError([Problem("security", each) for each in what]) from exc
        except ValueError as exc:
            raise ConfigError([Problem(url, str(exc))]) from exc

    def listed(self, *, name: str, area: str, dry_run: bool) -> str:
        """Return the point list of what was found, or only say what would be asked.

        Raises:
            typer.Exit: there is none, and it was said why.
        """
        if dry_run:
            self._tell_plan()
            return ""
        logging.getLogger("asyncua").setLevel(logging.CRITICAL)
        security = None if self._model is None else self._model.record(Path())
        device = UaDevice(name=name, area=area, url=self._url, publish_ns=NS_PER_S, timeout_s=self._timeout_s, points=(), security=security)
        findings = asyncio.run(look_at_server(device, nodes_max=self._nodes_max))
        self._keep_certificate(findings)
        text = listing(findings, self._url, name=name, area=area, device={"security": self._security} if self._security else {})
        if not text:
            self._explain(findings)
            raise typer.Exit(FAILED)
        return text

    def _tell_plan(self) -> None:
        steps = (
            "ask for its endpoints: policies, kinds of user, its certificate",
            f"open a session {'as given' if self._security else 'without security, as nobody'}",
            "read its namespaces, its operation limits and what it is called",
            f"browse at most {self._nodes_max} nodes from Objects downwards, and read each variable once",
        )
        typer.echo(f"{self._url}: connect, and then:")
        for number, step in enumerate(steps, start=1):
            typer.echo(f"{number}. {step}")
        typer.echo("nothing is ever written")

    def _keep_certificate(self, findings: UaFindings) -> None:
        raw = next((endpoint.certificate for endpoint in findings.endpoints if endpoint.certificate is not None), None)
        if self._save_cert is None or findings.unreachable:
            return
        if raw is None:
            typer.echo("gridfuse: the server sent no certificate", err=True)
            return
        try:
            self._save_cert.write_bytes(raw[: 4 + int.from_bytes(raw[2:4], "big")])
        except OSError as exc:
            raise ConfigError([Problem("--save-cert", f"{self._save_cert} cannot be written: {exc.strerror}")]) from exc
        typer.echo(f"{self._save_cert}: the server's certificate; compare its fingerprint with its operator before you pin it", err=True)

    def _explain(self, findings: UaFindings) -> None:
        """Say why there is no list, and what to try."""
        if findings.unreachable:
            typer.echo(f"gridfuse: no endpoint at {self._url}: {findings.unreachable}", err=True)
            typer.echo(
                "gridfuse: look whether host and port are right, whether a firewall is between, and whether the server runs", err=True
            )
            return
        for line in about(findings):
            typer.echo(line)
        if findings.refused:
            typer.echo(f"gridfuse: no session: {findings.refused}", err=True)
            typer.echo("gridfuse: what it offers stands above; give --policy, --cert, --key, --pin or --user to fit", err=True)
        else:
            typer.echo(
                "gridfuse: none of what was browsed is a number; allow more with --nodes, or ask for a user who may see more", err=True
            )
