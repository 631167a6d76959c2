"""``gridfuse replay`` and ``gridfuse export``: did every decision follow from its inputs, here and on another machine?"""

from __future__ import annotations

import json as jsonlib
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Final

import typer
import yaml

from console.complaints import UNUSABLE, complaints
from market.errors import ConfigError, Problem, UnitError
from market.units import instant_ns, instant_text
from streams.archive import Archive, write_archive
from streams.model import model_of
from streams.recordings import open_recording
from streams.replay import STAGES, Base, RecordSource, Span, StageReport, replay
from streams.settings import Settings, read_settings

__all__ = ["register"]

_DIFFERENT: Final = 1
_KEPT: Final = ("network", "rules", "market", "control", "day_ahead", "tick")
"""Settings a replay needs; addresses and secrets stay behind."""

_From = Annotated[str, typer.Option("--from", help="Event time to begin at: ISO instant.")]
_To = Annotated[str, typer.Option("--to", help="Event time to end before: ISO instant.")]
_Config = Annotated[Path | None, typer.Option("--config", help="The service's settings.")]
_Data = Annotated[Path | None, typer.Option("--data", help="A demo's data directory, which holds its settings.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.command("replay")(_replay)
    app.command("export")(_export)


def _replay(
    archive: Annotated[Path | None, typer.Argument(help="File written by `gridfuse export`; without it what the service recorded.")] = None,
    config: _Config = None,
    data: _Data = None,
    from_: _From = "",
    to: _To = "",
    stage: Annotated[list[str] | None, typer.Option(help=f"Only these stages: {', '.join(STAGES)}.")] = None,
    jobs: Annotated[int, typer.Option(help="Processes to share the stages among.", min=1, max=len(STAGES))] = 2,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Compute what was recorded again, stage by stage, and compare it byte for byte.

    Exit code 0 when everything came out as recorded, 1 when something did not, 2 when the recording cannot be used.
    """
    with complaints(UNUSABLE):
        names = _stages(stage)
        span = Span(from_ns=_instant(from_, "--from", 0), to_ns=_instant(to, "--to", 2**63 - 1))
        place = str(archive) if archive is not None else ""
        settings = "" if archive is not None else str(_settings_path(config, data))
        began_s = time.monotonic()
        if jobs == 1 or len(names) == 1:
            reports = [_run_stage(place, settings, name, span) for name in names]
        else:
            with ProcessPoolExecutor(min(jobs, len(names))) as pool:
                reports = list(pool.map(_run_stage, *zip(*((place, settings, name, span) for name in names), strict=True)))
        _tell(reports, time.monotonic() - began_s, as_json=as_json)
    if any(report.different for report in reports):
        raise typer.Exit(_DIFFERENT)


def _export(
    file: Annotated[Path, typer.Argument(help="File to write, such as incident.zip.")],
    from_: Annotated[str, typer.Option("--from", help="Event time to begin at: ISO instant.")],
    to: Annotated[str, typer.Option("--to", help="Event time to end before: ISO instant.")],
    config: _Config = None,
    data: _Data = None,
) -> None:
    """Write a span of the service's log into one file, with all a replay on another machine needs. It holds no addresses and no secrets."""
    with complaints(UNUSABLE):
        path = _settings_path(config, data)
        settings = read_settings(path)
        span = Span(from_ns=_instant(from_, "--from", 0), to_ns=_instant(to, "--to", 0))
        with open_recording(settings.broker) as source:
            manifest = write_archive(file, source, model_of(settings), span, _portable(path, settings))
    counts = {name: sum(cut["records"] for cut in cuts.values()) for name, cuts in manifest["topics"].items()}
    told = ", ".join(f"{count} of {name}" for name, count in sorted(counts.items()) if count)
    typer.echo(f"{file}: {file.stat().st_size / 1e6:.1f} MB; {told}. Replay it with: gridfuse replay {file}")


def _run_stage(archive: str, settings_path: str, name: str, span: Span) -> StageReport:
    """Replay one stage; runs in a process of its own."""
    if not archive:
        settings = read_settings(settings_path)
        with open_recording(settings.broker) as source:
            return _replayed(source, settings, name, Base(), span)
    with Archive(Path(archive)) as opened, tempfile.TemporaryDirectory() as directory:
        settings = read_settings(opened.settings(Path(directory)))
        cut = Span(from_ns=max(span.from_ns, opened.span.from_ns), to_ns=min(span.to_ns, opened.span.to_ns))
        return _replayed(opened, settings, name, opened.base(), cut)


def _replayed(source: RecordSource, settings: Settings, name: str, base: Base, span: Span) -> StageReport:
    (report,) = replay(source, model_of(settings), [name], base, span)
    return report


def _settings_path(config: Path | None, data: Path | None) -> Path:
    if config is not None:
        return config
    if data is not None:
        return data / "gridfuse.yaml"
    raise ConfigError([Problem("recording", "say which: an archive, --config gridfuse.yaml, or --data with a demo's directory")])


def _portable(path: Path, settings: Settings) -> dict[str, bytes]:
    """Return the files of a service that a replay reads, with every path inside them made relative."""
    loaded: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    kept: dict[str, Any] = {name: loaded[name] for name in _KEPT if name in loaded}
    files = {"points.yaml": (path.absolute().parent / loaded["points"]).read_bytes()}
    rules = path.absolute().parent / str(kept.get("rules", ""))
    if rules.is_file():
        files["rules.yaml"] = rules.read_bytes()
        kept["rules"] = "rules.yaml"
    network = settings.network
    if network.matpower is not None:
        name = "network" + "".join(Path(network.matpower).suffixes[-2:])
        files[name] = Path(network.matpower).read_bytes()
        kept["network"] = {"matpower": name}
    elif network.rts_gmlc != "shipped":
        folder = Path(str(network.rts_gmlc))
        for file in sorted(folder.rglob("*.csv*")):
            files[f"network/{file.relative_to(folder)}"] = file.read_bytes()
        kept["network"] = {"rts_gmlc": "network"}
    if network.stations:
        kept["network"] = {"rts_gmlc": "shipped", **kept.get("network", {}), "stations": network.stations}
    files["gridfuse.yaml"] = yaml.safe_dump({"data": ".", "points": "points.yaml", **kept}, allow_unicode=True).encode()
    return files


def _stages(names: list[str] | None) -> list[str]:
    if unknown := sorted(set(names or ()) - set(STAGES)):
        raise ConfigError([Problem("--stage", f"there is no stage {name!r}; there are {', '.join(STAGES)}") for name in unknown])
    return names or list(STAGES)


def _instant(text: str, flag: str, default: int) -> int:
    if not text:
        return default
    try:
        return instant_ns(text)
    except UnitError as exc:
        raise ConfigError([Problem(flag, str(exc))]) from exc


def _tell(reports: list[StageReport], wall_s: float, *, as_json: bool) -> None:
    if as_json:
        told: dict[str, Any] = {"stages": [asdict(report) for report in reports], "wall_s": round(wall_s, 2)}
        told["same"] = not any(report.different for report in reports)
        typer.echo(jsonlib.dumps(told, ensure_ascii=False))
        return
    for report in reports:
        more = [f"{count} {what}" for what, count in (("repeated", report.repeats), ("not yet dealt with", report.pending)) if count]
        more += [f"{report.external} failed from outside, taken as recorded"] if report.external else []
        more += [f"{report.unreadable} unreadable"] if report.unreadable else []
        verdict = "as recorded" if not report.different else f"{report.different} DIFFERENT"
        aside = f" ({', '.join(more)})" if more else ""
        typer.echo(f"{report.name:9} {report.taken:8} records taken, {report.same:7} came out as recorded: {verdict}{aside}")
        for difference in report.differences:
            typer.echo(f"  {instant_text(difference.ts_ns, 'Asia/Shanghai')}  {difference.identity}: {difference.what}")
            for line in difference.lines:
                typer.echo(f"      {line}")
    typer.echo(f"{wall_s:.1f} s")
