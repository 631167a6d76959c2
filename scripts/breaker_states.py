"""Write docs/breaker_states.md from the table of transitions: ``python scripts/breaker_states.py``, in the project's root."""

from __future__ import annotations

from pathlib import Path

from market.transitions import document

(Path(__file__).parents[1] / "docs" / "breaker_states.md").write_text(document(), encoding="utf-8")
