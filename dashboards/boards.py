"""Which boards are there?

Each is one module with a ``BOARD``; they are listed here, in the order they are documented, and nowhere else.
"""

from __future__ import annotations

from typing import Final

from dashboards import panels

__all__ = ["BOARDS"]

BOARDS: Final = (panels.BOARD,)
"""Every board, the wall first."""
