"""What Grafana sends to the database for a panel: the registry's query with the time shown, the step and the variables filled in."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from dashboards.board import Board
from dashboards.elements import Panel
from market.units import NS_PER_MS, NS_PER_S

__all__ = ["Shown"]

_UNITS_S: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_STEPS_S: Final = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1_800, 3_600)
_POINTS: Final = 720
"""Points that a course of half a screen's width shows."""


def _length_s(text: str) -> int:
    """Read a length as Grafana writes it, ``6h``."""
    return int(text[:-1]) * _UNITS_S[text[-1]]


@dataclass(frozen=True)
class Shown:
    """A panel of a board that is opened at an instant, with everything chosen that its variables offer.

    Attributes:
        end_ns: now.
        chosen: value of each variable of which only one is chosen, by its name.
        span: the time shown, as ``6h``; empty for the board's own.
    """

    board: Board
    panel: Panel
    end_ns: int
    span: str = ""
    chosen: tuple[tuple[str, str], ...] = (("element", "101"),)

    @property
    def start_ns(self) -> int:
        """Beginning of the time shown."""
        return self.end_ns - _length_s(self.panel.span or self.span or self.board.shown.removeprefix("now-")) * NS_PER_S

    @property
    def step_s(self) -> int:
        """Step of courses."""
        least_s = max(_length_s(self.panel.least_step) if self.panel.least_step else 1, (self.end_ns - self.start_ns) / NS_PER_S / _POINTS)
        return next((step_s for step_s in _STEPS_S if step_s >= least_s), _STEPS_S[-1])

    def sent(self, influxql: str) -> str:
        """Return a query as it is sent."""
        filled = influxql.replace("$timeFilter", f"time >= {self.start_ns}ns AND time < {self.end_ns}ns")
        filled = (
            filled.replace("$__interval_ms", str(1_000 * self.step_s))
            .replace("$__interval", f"{self.step_s}s")
            .replace("${__to}", str(self.end_ns // NS_PER_MS))
        )
        for name, value in self.chosen:
            filled = filled.replace(f"/^${name}$/", f"/^{value}$/")
        filled = re.sub(r"/\^\$\w+\$/", "/^.*$/", filled)
        assert not re.search(r"\$[\w{]", filled), filled
        return filled
