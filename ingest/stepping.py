"""What does an entry of a point list stand for that has ranges?

All ranges of an entry run together: ``{01..12}`` makes twelve devices.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["RANGE", "span", "stepped"]

RANGE: Final = re.compile(r"\{(\d+)\.\.(\d+)\}")


def span(found: re.Match[str]) -> range:
    """Return the numbers of a range."""
    return range(int(found[1]), int(found[2]) + 1)


def stepped(text: str, step: int) -> str:
    """Put the ``step``-th entry of every range into a text, as wide as the range's first number is written.

    >>> stepped("f-{01..12}", 2)
    'f-03'
    """
    return RANGE.sub(lambda found: str(span(found)[step]).zfill(len(found[1])), text)
