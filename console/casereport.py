"""``gridfuse case report``: the explanation of a case that Art. 24 asks for within 48 hours, written from the record."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from console.audit import Config, Data, ledger_at
from console.complaints import UNUSABLE, complaints
from market.decisions import Decision
from market.errors import ConfigError, Problem
from market.explanation import UnknownCase, explain
from market.explanationtext import html, markdown
from market.explanationwords import Language
from market.facts import Segment
from market.prices import PriceInForce
from market.rules import GUANGDONG_2023, MarketRules
from market.units import NS_PER_DAY
from streams.ledger import Ledger
from streams.settings import read_settings

__all__ = ["report_case", "reports"]

_WRITERS: Final = {"html": html, "md": markdown}


def report_case(
    case: Annotated[str, typer.Argument(help="Number of the case, as 2026-06-10-01.")],
    out: Annotated[Path, typer.Option("--out", help="File to write; its ending says the form: .html or .md.")],
    lang: Annotated[str, typer.Option("--lang", envvar="GRIDFUSE_LANG", help="Language of the explanation: en or zh.")] = "zh",
    data: Data = None,
    config: Config = None,
) -> None:
    """Write the explanation of a case: cause, evidence, timeline, measures, prices by rule, duties with their receipts.

    It reads the ledger, whether or not the service runs; what it says is as of the last decision there, so that the same record gives
    the same bytes. Exit code 0 when it is written, 2 when there is no such case.
    """
    with complaints(UNUSABLE):
        form = out.suffix.removeprefix(".")
        if form not in _WRITERS:
            raise ConfigError([Problem(str(out), f"is no form of an explanation; end it in .{' or .'.join(_WRITERS)}")])
        if lang not in tuple(Language):
            raise ConfigError([Problem("--lang", f"{lang!r} is not a language; use {' or '.join(Language)}")])
        ledger = Ledger.to_read(ledger_at(data, config))
        try:
            decisions = ledger.decisions()
            first_ns = decisions[0].ts_event_ns if decisions else 0
            last_ns = decisions[-1].ts_event_ns if decisions else 0
            prices = [price for segment in Segment for price in ledger.prices(segment, first_ns - NS_PER_DAY, last_ns + NS_PER_DAY)]
        finally:
            ledger.close()
        written = reports(case, decisions, prices, _rules(data, config))
        out.write_bytes(written[f"report-{lang}.{form}"])
    typer.echo(f"{out}: explanation of case {case}")


def _rules(data: Path | None, config: Path | None) -> MarketRules:
    """Return the service's rules, for the zone and the intervals; the shipped ones where its settings are not at hand."""
    path = config if config is not None else (data or Path()) / "gridfuse.yaml"
    return read_settings(path).rules if path.is_file() else GUANGDONG_2023


def reports(case: str, decisions: list[Decision], prices: list[PriceInForce], rules: MarketRules) -> dict[str, bytes]:
    """Return the explanation of a case in each language and form, by file name.

    Raises:
        ConfigError: the decisions hold no such case.
    """
    try:
        told = explain(decisions, prices, case, rules, decisions[-1].ts_event_ns if decisions else 0)
    except UnknownCase as exc:
        raise ConfigError([Problem("case", str(exc))]) from None
    return {f"report-{language}.{form}": write(told, language).encode() for language in Language for form, write in _WRITERS.items()}
