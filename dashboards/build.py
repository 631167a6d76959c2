"""How does the registry become the files that others read?

Grafana's dashboards, one directory per language and level; what the live board draws; and the table in the documentation. None is ever
edited by hand: ``python -m dashboards.build --check`` fails where a file is not what the registry gives, or is of no board. A board with
a fault (:mod:`dashboards.lint`) is not written.

Deliberately absent: what a dashboard looks like in JSON (:mod:`dashboards.classic`).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from dashboards.alerting import provisioning_files
from dashboards.board import FOLDERS, LANGUAGES
from dashboards.boards import BOARDS
from dashboards.classic import render, said
from dashboards.handbook import handbook
from dashboards.lint import board_faults, link_faults, pair_faults
from dashboards.liveboard import panels_of
from dashboards.watchdog import RT_INTERVAL_MIN

__all__ = ["check", "faults", "files", "main", "rendered"]

_ROOT: Final = Path(__file__).resolve().parents[1]
_GRAFANA: Final = Path("dashboards/grafana/json")


def rendered(language: str) -> dict[str, dict[str, Any]]:
    """Return every board in ``zh`` or ``en`` as Grafana takes it, by its place below the directory of the language."""
    return {f"{said(FOLDERS[board.level], language)}/{board.name}.json": render(board, language, BOARDS) for board in BOARDS}


def faults() -> list[str]:
    """Return what is wrong with the boards themselves, by the rules of :mod:`dashboards.lint`."""
    of_language = {language: list(rendered(language).values()) for language in LANGUAGES}
    every = [board for boards in of_language.values() for board in boards]
    found = [fault for board in every for fault in board_faults(board)]
    found += link_faults({board["uid"]: board for board in every})
    return found + [fault for pair in zip(*of_language.values(), strict=True) for fault in pair_faults(*pair)]


def files(rt_interval_min: int = RT_INTERVAL_MIN) -> dict[Path, str]:
    """Return what every file should hold, by its path from the root; the watchdog counts intervals of this length, minutes."""
    boards = {_GRAFANA / language / place: board for language in LANGUAGES for place, board in rendered(language).items()}
    held = {path: _json(board) for path, board in boards.items()}
    held[Path("console/board/static/panels.json")] = _json(panels_of(BOARDS))
    held[Path("docs/dashboards.md")] = handbook(BOARDS)
    held |= provisioning_files(rt_interval_min)
    return held


def _json(content: dict[str, Any]) -> str:
    return json.dumps(content, ensure_ascii=False, indent=2) + "\n"


def _of_no_board(root: Path, held: Iterable[Path]) -> list[Path]:
    """Return dashboards that are left of boards that are no more."""
    return sorted(set((root / _GRAFANA).rglob("*.json")) - {root / path for path in held})


def check(root: Path = _ROOT, rt_interval_min: int = RT_INTERVAL_MIN) -> list[Path]:
    """Return the files that are not what the registry gives."""
    held = files(rt_interval_min)
    stale = [root / path for path, text in held.items() if not _holds(root / path, text)]
    return stale + _of_no_board(root, held)


def _holds(path: Path, text: str) -> bool:
    return path.exists() and path.read_text(encoding="utf-8") == text


def main(arguments: list[str] | None = None, root: Path = _ROOT) -> int:
    """Write the files, or with ``--check`` only compare them; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m dashboards.build", description="Render the Grafana dashboards.")
    parser.add_argument("--check", action="store_true", help="write nothing; fail where a file is not current")
    parser.add_argument("--rt-interval-min", type=int, default=RT_INTERVAL_MIN, help="length of a real-time interval, for the watchdog")
    told = parser.parse_args(arguments)
    if wrong := faults():
        sys.stderr.write("\n".join(wrong) + "\n")
        return 1
    if told.check:
        stale = check(root, told.rt_interval_min)
        for path in stale:
            sys.stderr.write(f"{path} is not current; run: gridfuse dashboards build\n")
        return 1 if stale else 0
    held = files(told.rt_interval_min)
    for path in _of_no_board(root, held):
        path.unlink()
    for path, text in held.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, encoding="utf-8")
        sys.stdout.write(f"{path}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
