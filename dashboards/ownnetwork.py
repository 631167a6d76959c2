"""How does a grid other than the demonstration's get its boards?

``python -m dashboards.ownnetwork PLAN DIR`` writes the boards of both languages below a directory, as Grafana's provider loads them, with
the one-line diagram of a grid plan. Beside them it keeps ``one-line.json``, from which the next build begins: stations stay where people
know them. To move a station, change its cell there and build again; to have all laid out anew, remove the file.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Final

from dashboards.board import FOLDERS, LANGUAGES, Board
from dashboards.boards import BOARDS
from dashboards.classic import render, said
from dashboards.diagram import Diagram, drawn_again, read_diagram, read_plan
from dashboards.gridplan import PlanError
from dashboards.topologyboard import TOPOLOGY_UID, topology_board

__all__ = ["KEPT", "boards_of", "main"]

KEPT: Final = "one-line.json"
"""What is kept of the diagram between two builds, in the directory of the boards."""

_UNUSABLE: Final = 2


def boards_of(diagram: Diagram) -> tuple[Board, ...]:
    """Return every board, with the one-line diagram of this grid."""
    return tuple(topology_board(diagram) if board.uid == TOPOLOGY_UID else board for board in BOARDS)


def _files(diagram: Diagram) -> dict[Path, str]:
    boards = boards_of(diagram)
    held = {Path(KEPT): diagram.written()}
    for language in LANGUAGES:
        for board in boards:
            rendered = json.dumps(render(board, language, boards), ensure_ascii=False, indent=2)
            held[Path(language, said(FOLDERS[board.level], language), f"{board.name}.json")] = rendered + "\n"
    return held


def main(arguments: list[str] | None = None) -> int:
    """Write the files, or with ``--check`` only compare them; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m dashboards.ownnetwork", description="Render the dashboards for a grid of your own.")
    parser.add_argument("plan", type=Path, help="grid plan, as `gridfuse dashboards build --network` makes it")
    parser.add_argument("directory", type=Path, help="where the boards go, one directory for each language")
    parser.add_argument("--check", action="store_true", help="write nothing; fail where a file is not current")
    given = parser.parse_args(arguments)
    try:
        kept = given.directory / KEPT
        diagram = drawn_again(read_plan(given.plan), read_diagram(kept) if kept.exists() else None)
    except PlanError as exc:
        sys.stderr.write(f"gridfuse: {exc}\n")
        return _UNUSABLE
    files = {given.directory / path: text for path, text in _files(diagram).items()}
    if given.check:
        stale = [path for path, text in files.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
        for path in stale:
            sys.stderr.write(f"{path} is not current; build again\n")
        return 1 if stale else 0
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        sys.stdout.write(f"{path}\n")
    if diagram.left_out:
        sys.stdout.write(f"{diagram.left_out} stations of lower voltage are not on the one-line diagram\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
