"""``gridfuse case export``: a case in one file, as evidence that stands on its own."""

from __future__ import annotations

import contextlib
import json as jsonlib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from console.asking import Json
from console.audit import Config, Data, ledger_at, verify_ledger
from console.casereport import reports
from console.complaints import UNUSABLE, complaints
from market.errors import ConfigError, Problem
from market.facts import Fact, Segment
from market.units import NS_PER_MIN
from streams import topics, wire
from streams.casebundle import CaseSpan, span_of, write_bundle
from streams.errors import DecodeError
from streams.ledger import Ledger
from streams.recordings import open_recording
from streams.settings import read_settings

__all__ = ["export_case"]

_CROSSWISE_NS = 5 * NS_PER_MIN
"""How much later than its neighbours a fact may stand."""


def export_case(
    case: Annotated[str, typer.Argument(help="Number of the case, as 2026-06-10-01.")],
    out: Annotated[Path, typer.Option("--out", help="File to write, such as bundle.zip.")],
    data: Data = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Write a case into one file: facts, decisions, users, notices, receipts, prices and the explanation, each with its checksum.

    It reads the ledger and the log, whether or not the service runs. Verify the file with `gridfuse audit verify`. Exit code 0 when it is
    written, 1 when the record is broken (the file is not written then), 2 when there is no such case.
    """
    with complaints(UNUSABLE):
        ledger = Ledger.to_read(ledger_at(data, config))
        try:
            verdict = verify_ledger(ledger)
            decisions = ledger.decisions()
            span = span_of(case, decisions)
            prices = [price for segment in Segment for price in ledger.prices(segment, span.from_ns, span.to_ns)]
        finally:
            ledger.close()
        if verdict.problems:
            typer.echo("\n".join(("the record is broken, and is no evidence:", *verdict.problems)), err=True)
            raise typer.Exit(1)
        report = reports(case, decisions, prices, read_settings(_settings(data, config)).rules)
        manifest = write_bundle(out, span, decisions, _facts(span, data, config), prices, report)
    told = {name: manifest[name] for name in ("case", "first_seq", "last_seq", "last_hash", "facts")}
    if as_json:
        typer.echo(jsonlib.dumps({**told, "file": str(out)}, ensure_ascii=False))
        return
    typer.echo(
        f"{out}: case {case}, decisions {told['first_seq']} to {told['last_seq']}, {told['facts']} facts, {len(prices)} prices. "
        f"Its chain ends with {told['last_hash']}. Verify it with: gridfuse audit verify {out}"
    )


def _settings(data: Path | None, config: Path | None) -> Path:
    """Return where the settings are, which say where the log is."""
    path = config if config is not None else (data or Path()) / "gridfuse.yaml"
    if not path.is_file():
        raise ConfigError([Problem(str(path), "the settings say where the log is; name them with --config")])
    return path


def _facts(span: CaseSpan, data: Path | None, config: Path | None) -> Iterator[Fact]:
    """Yield what the breaker was told about the time of the case, as far as the log still has it."""
    with open_recording(read_settings(_settings(data, config)).broker) as recording:
        if not recording.partitions(topics.FACTS.name):
            return
        for record in recording.records(topics.FACTS.name, 0):
            with contextlib.suppress(DecodeError):
                fact: Fact = wire.decode(topics.FACTS, record.value or b"")
                if fact.ts_event_ns > span.to_ns + _CROSSWISE_NS:
                    return
                yield fact
