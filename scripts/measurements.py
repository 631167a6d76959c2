"""Write docs/measurements.md from the schema: ``python scripts/measurements.py``, in the project's root."""

from __future__ import annotations

from pathlib import Path

from streams.schemadoc import document

(Path(__file__).parents[1] / "docs" / "measurements.md").write_text(document(), encoding="utf-8")
