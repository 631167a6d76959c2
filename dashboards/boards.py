"""Which boards are there?

Each is one module with a ``BOARD``; they are listed here, in the order they are documented, and nowhere else.
"""

from __future__ import annotations

from typing import Final

from dashboards import alertboard, clearing, incident, kpiboard, pipelineboard, prices, telemetry, topologyboard, wall

__all__ = ["BOARDS"]

BOARDS: Final = (
    wall.BOARD,
    clearing.BOARD,
    incident.BOARD,
    topologyboard.BOARD,
    kpiboard.BOARD,
    prices.BOARD,
    telemetry.BOARD,
    alertboard.BOARD,
    pipelineboard.BOARD,
)
"""Every board, the wall first."""
