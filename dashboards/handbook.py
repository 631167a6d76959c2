"""What does the table of boards and panels say, which ``docs/dashboards.md`` is?

English, with the Chinese titles beside, because that is what a viewer of the Chinese boards looks for.

Deliberately absent: the words themselves, which are the registry's.
"""

from __future__ import annotations

import re
from typing import Final

from dashboards.board import FOLDERS, Board
from dashboards.elements import Panel, Text

__all__ = ["handbook"]

_HEAD: Final = """# Dashboards

Written by `gridfuse dashboards build` from the registry in `dashboards/`; what is changed here by hand is lost. Every board is there in
Chinese and in English, with the same panels under the same numbers: uid and language make its address, as `/d/gridfuse-wall-zh`.
On a wall, `/d/gridfuse-wall-zh?kiosk` fills a screen of 1920 × 1080. Grey is normal; colour is for what is abnormal, and a mark or a
word says the same. The time zone of every board is Asia/Shanghai.
"""


def handbook(boards: tuple[Board, ...]) -> str:
    """Return the page."""
    index = [_row("board", "标题", "level", "folder", "what it answers", "panels"), _row(*["---"] * 6)]
    index += [
        _row(
            f"[{board.title.en}](#{board.name})",
            board.title.zh,
            board.level,
            FOLDERS[board.level].en,
            board.question.en,
            str(len(board.panels)),
        )
        for board in boards
    ]
    return "\n".join([_HEAD, *index, *(line for board in boards for line in _chapter(board))]) + "\n"


def _chapter(board: Board) -> list[str]:
    chosen = ", ".join(f"`${variable.name}`" for variable in board.variables)
    facts = f"`{board.uid}-zh`, `{board.uid}-en`" + (f"; chosen by {chosen}" if chosen else "")
    head = ["", f'<a id="{board.name}"></a>', f"## {board.title.en} · {board.title.zh}", "", f"{board.question.en} ({facts})", ""]
    table = [_row("no.", "panel", "面板", "unit", "what it shows", "from"), _row(*["---"] * 6)]
    return [*head, *table, *(_of(panel) for panel in sorted(board.panels, key=lambda panel: (panel.at[1], panel.at[0])))]


def _of(panel: Panel) -> str:
    read = sorted({name for query in panel.queries for name in re.findall(r'FROM "(\w+)"', query.influxql)})
    tables = ", ".join(f"`{name}`" for name in read)
    return _row(str(panel.number), panel.title.en, panel.title.zh, _unit(panel), panel.description.en, tables)


_SAID: Final = {"text": Text("words", "文字"), "clock": Text("d hh:mm:ss", "时长"), "age": Text("ago", "距今"), "": Text("–", "–")}


def _unit(panel: Panel) -> str:
    return _SAID[panel.unit].en if panel.unit in _SAID else panel.unit


def _row(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
