"""Lines for people: in a terminal they are wrapped between words, with what goes on set in; in a file or a pipe a line stays a line."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Iterator
from typing import Final

import typer
from rich.cells import cell_len

__all__ = ["say", "wrapped"]

_SET_IN: Final = 4
_NARROWEST: Final = 20
"""A terminal that is narrower than this, beside what is set in, is left to wrap as it likes."""

_WIDE: Final = "\u2e80-\u9fff\uf900-\ufaff\uff00-\uffef"
"""Chinese text breaks between any two characters."""
_PARTS: Final = re.compile(rf"\s+|[{_WIDE}]|[^\s{_WIDE}]+")


def say(text: str, *, err: bool = False) -> None:
    """Print lines, wrapped where they go to a terminal.

    Args:
        text: one line or several.
        err: whether they go to the standard error.
    """
    stream = sys.stderr if err else sys.stdout
    for line in text.split("\n"):
        shown = wrapped(line, shutil.get_terminal_size().columns) if stream.isatty() else [line]
        for each in shown:
            typer.echo(each, err=err)


def wrapped(line: str, columns: int) -> list[str]:
    """Break a line so that each part is at most so many columns wide; a word that is wider, as the key of a duty, stays whole.

    Args:
        line: without a line break; what it begins with, set in by spaces, goes on set in further.
        columns: of the terminal; wide characters take two.

    >>> wrapped("refused (Art. 4): case 7 waits for an analysis of the cause", 32)
    ['refused (Art. 4): case 7 waits', '    for an analysis of the cause']
    """
    indent = " " * (len(line) - len(line.lstrip()) + _SET_IN)
    if cell_len(line) <= columns or columns - len(indent) < _NARROWEST:
        return [line]
    return list(_broken(line, columns, indent))


def _broken(line: str, columns: int, indent: str) -> Iterator[str]:
    row, filled = "", False
    for part in _PARTS.findall(line):
        if filled and not part.isspace() and cell_len(row + part) > columns:
            yield row.rstrip()
            row, filled = indent, False
        if filled or not part.isspace() or not row:
            row += part
        filled = filled or not part.isspace()
    yield row.rstrip()
