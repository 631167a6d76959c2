"""What is worth telling a person on call, as data: one alert per thing that happened, named so that it is told once."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

__all__ = ["Alert", "AlertState", "Priority"]


class Priority(StrEnum):
    """Consequence times urgency (spec §5): P1 at once, P4 for the record."""

    P1 = "P1"
    P2 = "P2"
    P3 = "P3"
    P4 = "P4"


class AlertState(StrEnum):
    """Whether a condition began or ended; something that only happened is RAISED."""

    RAISED = "RAISED"
    CLEARED = "CLEARED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """One message to the people on call.

    Attributes:
        alert_id: identity: the same thing told again has the same id, and is delivered once.
        name: kind of alert, stable: market_tripped, clearing_failed, device_stale, …
        labels: what routes and groups it: segment, device, area.
    """

    alert_id: str
    ts_event_ns: int
    name: str
    priority: Priority
    state: AlertState
    text_en: str
    text_zh: str
    labels: dict[str, str] = field(default_factory=dict)
