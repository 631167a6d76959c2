"""``gridfuse audit show|verify``: what was decided, and whether the record of it is still what was written."""

from __future__ import annotations

import json as jsonlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Final

import typer
from sqlalchemy import URL

from console.complaints import UNUSABLE, complaints
from market.decisions import Announcement, Decision, first_broken
from market.errors import ConfigError, Problem
from market.units import instant_text
from streams.casebundle import Verdict, decisions_in, is_bundle, verify_bundle
from streams.ledger import Ledger
from streams.sentences import sentence
from streams.settings import read_settings

__all__ = ["Config", "Data", "ledger_at", "ledger_of", "register", "verify_ledger"]

_BROKEN: Final = 1
_ZONE: Final = "Asia/Shanghai"

Config = Annotated[Path | None, typer.Option("--config", help="The service's settings.")]
Data = Annotated[Path | None, typer.Option("--data", help="A data directory that holds the ledger, or a demo's directory.")]
_File = Annotated[Path | None, typer.Argument(help="A ledger database, or a bundle of `gridfuse case export`.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    audit = typer.Typer(help="The audit trail: show it, and verify that nothing of it was altered.", no_args_is_help=True)
    audit.command("show")(_show)
    audit.command("verify")(_verify)
    app.add_typer(audit, name="audit")


def _show(
    file: _File = None,
    data: Data = None,
    config: Config = None,
    last: Annotated[int, typer.Option("--last", help="Show this many of the newest.", min=1)] = 50,
    kind: Annotated[list[str] | None, typer.Option("--kind", help="Only decisions of this kind, as Refused; may be repeated.")] = None,
    lang: Annotated[str, typer.Option("--lang", envvar="GRIDFUSE_LANG", help="Language of the sentences: en or zh.")] = "en",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object per decision.")] = False,
) -> None:
    """Show the newest decisions of a ledger or a bundle, oldest first, each in one sentence; whether or not a service writes it."""
    with complaints(UNUSABLE):
        if file is not None and is_bundle(file):
            decisions = [one for one in decisions_in(file) if not kind or one.kind in kind][-last:]
        else:
            with ledger_of(file, data, config) as ledger:
                decisions = ledger.newest_decisions(kind or (), last)
    which = 1 if lang.startswith("zh") else 0
    for one in decisions:
        if as_json:
            typer.echo(jsonlib.dumps(asdict(one), ensure_ascii=False))
        else:
            typer.echo(f"{one.seq:>7}  {instant_text(one.ts_event_ns, _ZONE)}  {one.kind:<18} {_read(one, which)}")


def _read(decision: Decision, which: int) -> str:
    try:
        return sentence(decision, _ZONE)[which]
    except (KeyError, TypeError, ValueError, AttributeError):
        # A body that was altered may lack what its sentence needs; it is shown, and `verify` names it.
        return f"cannot be read: {decision.body}"


def _verify(
    file: _File = None,
    data: Data = None,
    config: Config = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Recompute every hash of the record and name the first record that is not what was written.

    A bundle is also compared with a ledger where one is named with --data or --config: its chain must end as the ledger has it.

    Exit code 0 when all of it holds, 1 when it does not, 2 when there is nothing to verify.
    """
    with complaints(UNUSABLE):
        if file is not None and is_bundle(file):
            verdict = verify_bundle(file)
            if data is not None or config is not None:
                with ledger_of(None, data, config) as ledger:
                    verdict = _against(verdict, ledger)
        else:
            with ledger_of(file, data, config) as ledger:
                verdict = verify_ledger(ledger)
    _tell(verdict, as_json=as_json)
    if verdict.problems:
        raise typer.Exit(_BROKEN)


def verify_ledger(ledger: Ledger) -> Verdict:
    """Verify the whole chain of a ledger, and that the notices beside it are those that were decided."""
    decisions = ledger.decisions()
    broken = first_broken(decisions)
    problems = [] if broken is None else [f"decision {broken.seq} {broken.why}"]
    decided = {one.body.get("number"): one for one in decisions if one.kind == Announcement.__name__}
    for notice in reversed(ledger.announcements(last=max(1, len(decided) + 1))):
        mine = decided.get(notice.number)
        if mine is None or jsonlib.loads(jsonlib.dumps(asdict(notice))) != mine.body:
            where = "no decision published it" if mine is None else f"it differs from decision {mine.seq}"
            problems.append(f"notice {notice.number} was altered: {where}")
    end = decisions[-1] if decisions else None
    return Verdict(
        records=len(decisions),
        first_seq=decisions[0].seq if decisions else 0,
        last_seq=end.seq if end else 0,
        last_hash=end.hash if end else "",
        bad_seq=None if broken is None else broken.seq,
        problems=tuple(problems),
    )


def _against(verdict: Verdict, ledger: Ledger) -> Verdict:
    """Compare the end of a bundle's chain with the ledger it is said to come from."""
    mine = next(iter(ledger.newest_decisions((), 1, verdict.last_seq - 1, verdict.last_seq)), None)
    if mine is not None and mine.hash == verdict.last_hash:
        return verdict
    why = "the ledger has no such decision" if mine is None else "the ledger has it with another hash"
    return Verdict(**(asdict(verdict) | {"problems": (*verdict.problems, f"decision {verdict.last_seq} is not the ledger's: {why}")}))


def _tell(verdict: Verdict, *, as_json: bool) -> None:
    if as_json:
        typer.echo(jsonlib.dumps({"ok": not verdict.problems, **asdict(verdict)}, ensure_ascii=False))
        return
    for problem in verdict.problems:
        typer.echo(problem, err=True)
    if not verdict.problems:
        if not verdict.records:
            typer.echo("nothing is recorded yet")
            return
        span = f"decisions {verdict.first_seq} to {verdict.last_seq}"
        typer.echo(f"{span} hold: {verdict.records} records, none altered, none missing; the chain ends with {verdict.last_hash}")


@contextmanager
def ledger_of(file: Path | None, data: Path | None, config: Path | None) -> Iterator[Ledger]:
    """Open a ledger for reading: a database, a directory that holds one, or the one that settings name.

    Raises:
        ConfigError: none is there, or nothing says which.
    """
    ledger = Ledger.to_read(file if file is not None else ledger_at(data, config))
    try:
        if file is not None and not file.is_file():
            raise ConfigError([Problem(str(file), "no such file; name a ledger database or a bundle")])
        yield ledger
    finally:
        ledger.close()


def ledger_at(data: Path | None, config: Path | None) -> Path | URL:
    """Return where the ledger is: a file, or a database that the settings name.

    Raises:
        ConfigError: it is not there, or nothing says where.
    """
    if data is None and config is None:
        raise ConfigError([Problem("ledger", "say which: a file, --data with a data directory, or --config gridfuse.yaml")])
    if data is not None and (data / "ledger.sqlite").is_file():
        return data / "ledger.sqlite"
    settings = config if config is not None else _settings_in(data)
    told = read_settings(settings)
    if told.database is not None:
        return told.database
    path = told.data / "ledger.sqlite"
    if not path.is_file():
        raise ConfigError([Problem(str(path), "no ledger is there yet; has the service run?")])
    return path


def _settings_in(data: Path | None) -> Path:
    assert data is not None
    if not (data / "gridfuse.yaml").is_file():
        raise ConfigError([Problem(str(data), "holds neither ledger.sqlite nor gridfuse.yaml; name a data directory")])
    return data / "gridfuse.yaml"
