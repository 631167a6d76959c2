"""What a written explanation is made of: headings, paragraphs, tables and figures, whatever they are written as."""

from __future__ import annotations

from dataclasses import dataclass

from market.explanationwords import Language

__all__ = ["Block", "Figure", "Heading", "Page", "Quote", "Table", "Text", "Tile", "Tiles"]


@dataclass(frozen=True, slots=True)
class Heading:
    """The beginning of a section."""

    text: str


@dataclass(frozen=True, slots=True)
class Text:
    """A paragraph; ``quiet`` for what is said in passing, ``warning`` for what is missing."""

    text: str
    quiet: bool = False
    warning: bool = False


@dataclass(frozen=True, slots=True)
class Quote:
    """Something published, word for word, under what identifies it."""

    title: str
    text: str


@dataclass(frozen=True, slots=True)
class Tile:
    """One figure to see first."""

    label: str
    value: str
    note: str = ""
    warning: bool = False


@dataclass(frozen=True, slots=True)
class Tiles:
    """The figures to see first."""

    tiles: tuple[Tile, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under a head.

    Attributes:
        head: of the columns; empty for names and what they are.
        numeric: columns of numbers, which align to the right; whole: columns that are not broken into lines.
        small: a long list for reference.
        rows: of as many cells as the head, or of one cell that stands over the rows below it.
        tones: of each row, a word for its weight: ``trip``, ``back``, ``late`` or empty.
    """

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numeric: tuple[int, ...] = ()
    whole: tuple[int, ...] = (0,)
    small: bool = False
    tones: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Figure:
    """A picture of the explanation: ``phases`` or ``prices``; a text has none."""

    kind: str
    caption: str


Block = Heading | Text | Quote | Tiles | Table | Figure


@dataclass(frozen=True, slots=True)
class Page:
    """A whole document."""

    language: Language
    title: str
    subtitle: str
    blocks: tuple[Block, ...]
