"""One message to the people on call: the record, and how one is made of a decision."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from market.decisions import Decision

__all__ = ["Alert", "AlertState", "Priority", "alert_of"]


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


def alert_of(
    decision: Decision,
    name: str,
    priority: Priority,
    identity: str,
    text_en: str,
    text_zh: str,
    *,
    state: AlertState = AlertState.RAISED,
    about: dict[str, str] | None = None,
) -> tuple[Alert, ...]:
    """Return the one alert that a decision is worth.

    Args:
        identity: the same for the same thing told again.
        about: labels beside the segment and the decision.
    """
    labels = {"rule_set": decision.rule_set, "decision": str(decision.seq), **(about or {})}
    if decision.body.get("segment"):
        labels["segment"] = decision.body["segment"]
    alert = Alert(
        alert_id=identity,
        ts_event_ns=decision.ts_event_ns,
        name=name,
        priority=priority,
        state=state,
        text_en=text_en,
        text_zh=text_zh,
        labels=labels,
    )
    return (alert,)
