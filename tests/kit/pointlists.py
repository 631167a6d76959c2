"""Point lists as files, for tests."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

__all__ = ["point_list_file"]


def point_list_file(folder: Path, text: str) -> Path:
    """Write a point list, which may be indented, and return where it is."""
    path = folder / "points.yaml"
    path.write_text(dedent(text))
    return path
