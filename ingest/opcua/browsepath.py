"""What does ``browse:/Objects/nsu=urn:x;Feeders/*/P`` mean?

A path leads from the root of a server's address space, by the browse names of nodes, forward along hierarchical references. An
element is a name, after ``nsu=<namespace URI>;`` or ``ns=<index>;`` where its namespace matters; without either, a name of any
namespace fits. In a name ``*`` stands for any characters and ``?`` for one; an element ``**`` stands for any number of levels, none
included. ``&`` takes the meaning from the character behind it, as in OPC 10000-4 A.2: ``&/`` is a slash in a name.

A path names one point's node, so it must lead to one variable: to none, or to several, is an error of configuration.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

__all__ = ["BrowsePath", "Element", "is_browse_path"]

_PREFIX: Final = "browse:"
_ELEMENT: Final = re.compile(r"/(?:nsu=(?P<uri>[^;]+);|ns=(?P<index>\d+);)?(?P<name>(?:&.|[^/&])+)", re.DOTALL)
_ESCAPED: Final = re.compile(r"&(.)", re.DOTALL)


def is_browse_path(text: str) -> bool:
    """Return whether a point's node is given by a path."""
    return text.startswith(_PREFIX)


@dataclass(frozen=True, slots=True)
class Element:
    """One step of a path.

    Attributes:
        uri: URI of the name's namespace; index: its index. Both None where any fits.
        literal: the name, where it has no wildcards; None where it has.
        pattern: what a name must match.
    """

    uri: str | None
    index: int | None
    literal: str | None
    pattern: re.Pattern[str]

    @property
    def is_any_depth(self) -> bool:
        """Whether it stands for any number of levels."""
        return self.pattern is _ANY_DEPTH


_ANY_DEPTH: Final = re.compile(".*", re.DOTALL)


@dataclass(frozen=True, slots=True)
class BrowsePath:
    """A path from the root.

    >>> [element.literal for element in BrowsePath.parsed("browse:/Objects/nsu=urn:x;Feeders/*/P").elements]
    ['Objects', 'Feeders', None, 'P']
    """

    elements: tuple[Element, ...]

    @classmethod
    def parsed(cls, text: str) -> BrowsePath:
        """Read a path.

        Raises:
            ValueError: it is none; the message says what is wrong.
        """
        path, place = text.removeprefix(_PREFIX), 0
        elements = []
        while place < len(path):
            found = _ELEMENT.match(path, place)
            if found is None:
                raise ValueError(f"{text!r} is not a path; write browse:/Objects/nsu=<namespace URI>;<name>/<name>")
            elements.append(_element(found["uri"], found["index"], found["name"]))
            place = found.end()
        if not elements or elements[-1].is_any_depth:
            raise ValueError(f"{text!r} does not say which variable it leads to; end it with a name")
        return cls(tuple(elements))


def _element(uri: str | None, index: str | None, name: str) -> Element:
    number = None if index is None else int(index)
    if name == "**":
        return Element(uri, number, None, _ANY_DEPTH)
    if not re.search(r"(?<!&)(?:&&)*[*?]", name):
        literal = _ESCAPED.sub(r"\1", name)
        return Element(uri, number, literal, re.compile(re.escape(literal)))
    pattern, place = "", 0
    while place < len(name):
        letter = name[place]
        place += 1
        if letter == "&":
            pattern += re.escape(name[place])
            place += 1
        else:
            pattern += {"*": ".*", "?": "."}.get(letter) or re.escape(letter)
    return Element(uri, number, None, re.compile(pattern, re.DOTALL))
