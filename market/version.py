"""Which code decides: stands in every decision beside the rule set, so that a replay knows what it is compared with."""

from __future__ import annotations

from typing import Final

__all__ = ["CODE"]

CODE: Final = "0.1.0"
"""The release; ``pyproject.toml`` has the same (a test holds it)."""
