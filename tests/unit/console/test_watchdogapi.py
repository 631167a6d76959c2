"""What Grafana's rules found is told to the people on call by the service's own channels, each episode once."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest

from console.api import build_api
from console.board.state import BoardState
from console.watchdogapi import Tell
from dashboards.alerting import rule_group
from ingest.clock import SimulatedClock
from market.rules import GUANGDONG_2023
from market.units import instant_ns
from streams.alerts import Alert, AlertState, Priority
from streams.errors import SinkUnavailable
from tests.unit.console.test_api import Recovering

NOW = instant_ns("2026-06-10T12:00:00+08:00")
BEGAN = "2026-06-10T11:58:30.000000001+08:00"


class Told:
    """Keeps what it is told."""

    def __init__(self, error: Exception | None = None) -> None:
        self.alerts: list[Alert] = []
        self._error = error

    async def __call__(self, alert: Alert) -> None:
        if self._error is not None:
            raise self._error
        self.alerts.append(alert)


def posted(tell: Tell | None, body: Any, **headers: str) -> httpx.Response:
    async def post() -> httpx.Response:
        board = BoardState(GUANGDONG_2023, simulated=True)
        app = build_api(board, None, Recovering(), clock=SimulatedClock(NOW, 1e-9), allowed_hosts=("gridfuse",), tell=tell)
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://gridfuse:8080") as client:
            return await client.post("/api/watchdog", content=json.dumps(body), headers={"content-type": "application/json"} | headers)

    return asyncio.run(post())


def instance(number: int = 0, status: str = "firing", **changes: Any) -> dict[str, Any]:
    """An instance of a rule of ours as Grafana 12 posts it."""
    rule = rule_group()["rules"][number]
    return {
        "status": status,
        "labels": {**rule["labels"], "alertname": rule["title"], "grafana_folder": "监视 · Watchdog"},
        "annotations": rule["annotations"],
        "startsAt": BEGAN,
        "endsAt": "0001-01-01T00:00:00Z" if status == "firing" else "2026-06-10T11:59:00+08:00",
        "values": {"B": 0, "C": 1},
        "generatorURL": "http://grafana:3000/alerting/grafana/gridfuse-no-clearing/view",
        "fingerprint": "c6eadffa33fcdf37",
        "silenceURL": "http://grafana:3000/alerting/silence/new",
        **changes,
    }


def webhook(*instances: dict[str, Any]) -> dict[str, Any]:
    return {"receiver": "gridfuse-on-call", "status": "firing", "alerts": list(instances), "groupLabels": {}, "version": "1", "orgId": 1}


def test_a_rule_that_fires_is_an_alert_in_both_languages() -> None:
    told = Told()
    answer = posted(told, webhook(instance()))
    assert (answer.status_code, answer.json()) == (202, {"taken": 1})
    (alert,) = told.alerts
    assert (alert.name, alert.priority, alert.state) == ("watchdog", Priority.P1, AlertState.RAISED)
    assert alert.labels == {"rule": "gridfuse-no-clearing"}
    assert alert.ts_event_ns == instant_ns(BEGAN)
    assert alert.text_en.startswith("Watchdog: No clearing result for 3 intervals: No valid real-time clearing result")
    assert alert.text_zh.startswith("监视：连续 3 个时段无出清结果：最近 3 个时段")


def test_its_end_is_another_and_repetitions_are_the_same_ones() -> None:
    told = Told()
    for _ in range(2):
        posted(told, webhook(instance()))
        posted(told, webhook(instance(status="resolved")))
    raised, cleared, *again = told.alerts
    assert again == [raised, cleared], "the outbox knows them by their identity"
    assert raised.alert_id != cleared.alert_id
    assert cleared.state is AlertState.CLEARED
    assert cleared.ts_event_ns == instant_ns("2026-06-10T11:59:00+08:00")
    assert cleared.text_en == "Watchdog: No clearing result for 3 intervals: over"
    assert cleared.text_zh == "监视：连续 3 个时段无出清结果：已恢复"


def test_instances_of_one_rule_and_episodes_of_one_instance_are_told_apart() -> None:
    told = Told()
    later = "2026-06-10T13:00:00+08:00"
    rt, da = ({**instance(-1)["labels"], "segment": segment} for segment in ("RT", "DA"))
    body = webhook(
        instance(-1, labels=rt, fingerprint="a"), instance(-1, labels=da, fingerprint="b"), instance(-1, fingerprint="a", startsAt=later)
    )
    assert posted(told, body).json() == {"taken": 3}
    assert len({alert.alert_id for alert in told.alerts}) == 3
    assert [alert.labels.get("segment") for alert in told.alerts] == ["RT", "DA", None]


def test_a_rule_of_somebody_else_is_passed_on_as_far_as_it_says_anything() -> None:
    told = Told()
    posted(told, webhook(instance(labels={"alertname": "Disk"}, annotations={}, startsAt="soon", fingerprint="f")))
    (alert,) = told.alerts
    assert (alert.priority, alert.text_en, alert.text_zh) == (Priority.P3, "Watchdog: Disk", "监视：Disk")
    assert alert.ts_event_ns == NOW


def test_what_cannot_be_kept_is_asked_for_again() -> None:
    answer = posted(Told(SinkUnavailable("the disk is full")), webhook(instance()))
    assert answer.status_code == 503
    assert "the disk is full" in answer.json()["error"]


def test_an_instance_that_tells_nobody_says_so() -> None:
    assert posted(None, webhook()).status_code == 404


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"alerts": [{"status": "maybe", "fingerprint": "f", "startsAt": BEGAN}]},
        {"alerts": [{"status": "firing", "startsAt": BEGAN}]},
        {"alerts": [instance(fingerprint="")]},
        {"alerts": [instance()] * 101},
    ],
)
def test_what_is_no_webhook_of_grafana_is_refused_and_nothing_of_it_told(body: Any) -> None:
    told = Told()
    assert posted(told, body).status_code in {413, 422}
    assert told.alerts == []


def test_another_site_cannot_raise_an_alarm() -> None:
    told = Told()
    assert posted(told, webhook(instance()), origin="http://elsewhere.example").status_code == 403
    assert told.alerts == []
