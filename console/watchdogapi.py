"""What becomes of what the second watchdog finds? ``POST /api/watchdog`` takes Grafana's own webhook.

Grafana's rules (:mod:`dashboards.watchdog`) see only what reached InfluxDB. Where nothing else is set up, they call this address, and the
service passes on what they found to the people on call by its own channels. That covers what stops short of the service itself: a sink
that lags, a breaker or a clearing that stands still. A service that is down takes nothing here, and then Grafana's own page is what
is left; whoever cannot live with that gives the watchdog another contact point (GRIDFUSE_WATCHDOG_TO).

Each episode of a rule is one alert, and its end another, however often Grafana repeats itself.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Final, Literal

import msgspec
from fastapi import FastAPI, Response
from pydantic import BaseModel, ConfigDict, Field

from ingest.clock import Clock
from market.errors import UnitError
from market.units import instant_ns
from streams.alerts import Alert, AlertState, Priority
from streams.errors import SinkUnavailable

__all__ = ["Tell", "add_watchdog"]

Tell = Callable[[Alert], Awaitable[None]]
"""Takes an alert; when it returns, the alert will be delivered. Raises ``SinkUnavailable`` where it cannot be kept now."""

_NAME: Final = "watchdog"
_WORDS_MAX: Final = 2_000
_ALERTS_MAX: Final = 100


class _Found(BaseModel):
    """One instance of a rule, as far as it is read."""

    model_config = ConfigDict(extra="ignore")

    status: Literal["firing", "resolved"]
    fingerprint: Annotated[str, Field(min_length=1, max_length=100)]
    starts_at: Annotated[str, Field(alias="startsAt", max_length=60)]
    ends_at: Annotated[str, Field(alias="endsAt", max_length=60)] = ""
    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)


class _Webhook(BaseModel):
    model_config = ConfigDict(extra="ignore")

    alerts: Annotated[list[_Found], Field(max_length=_ALERTS_MAX)]


def add_watchdog(app: FastAPI, clock: Clock, tell: Tell | None) -> None:
    """Add the address.

    Args:
        clock: for what comes without a time that can be read.
        tell: None for an instance that tells nobody (404).
    """

    @app.post("/api/watchdog", status_code=202)
    async def found(webhook: _Webhook) -> Response:
        if tell is None:
            return _json({"error": "this instance tells nobody; ask the one that has the people on call"}, 404)
        try:
            for each in webhook.alerts:
                await tell(_alert(each, clock.now_ns()))
        except SinkUnavailable as exc:
            # Grafana tries again.
            return _json({"error": f"it could not be kept: {exc}"}, 503)
        return _json({"taken": len(webhook.alerts)}, 202)


def _alert(found: _Found, now_ns: int) -> Alert:
    over = found.status == "resolved"
    rule = found.labels.get("rule_uid") or found.labels.get("alertname", _NAME)
    labels = {"rule": rule} | {name: found.labels[name] for name in ("segment", "instance") if name in found.labels}
    return Alert(
        alert_id=f"{_NAME}/{rule}/{found.fingerprint}/{found.starts_at}/{found.status}",
        ts_event_ns=_instant(found.ends_at if over else found.starts_at, now_ns),
        name=_NAME,
        priority=_priority(found.labels.get("severity", "")),
        state=AlertState.CLEARED if over else AlertState.RAISED,
        text_en=_words(found, "en", "Watchdog", ": ", over),
        text_zh=_words(found, "zh", "监视", "：", over),
        labels=labels,
    )


def _words(found: _Found, language: str, who: str, colon: str, over: bool) -> str:
    """Return summary and description in a language; rules of somebody else have one for both."""
    notes = found.annotations
    said = [notes.get(f"{name}_{language}") or notes.get(name, "") for name in ("summary", "description")]
    # What has ended needs no description of what to expect.
    text = said[0] if over else colon.join(filter(None, said))
    ended = {"en": "over", "zh": "已恢复"}[language] if over else ""
    return colon.join(filter(None, (who, text or found.labels.get("alertname", ""), ended)))[:_WORDS_MAX]


def _priority(severity: str) -> Priority:
    return Priority(severity) if severity in set(Priority) else Priority.P3


def _instant(text: str, now_ns: int) -> int:
    try:
        at_ns = instant_ns(text)
    except UnitError:
        return now_ns
    # Grafana writes the year 1 for what has no end yet.
    return at_ns if at_ns > 0 else now_ns


def _json(content: object, status: int) -> Response:
    return Response(msgspec.json.encode(content), status, {"cache-control": "no-store"}, "application/json")
