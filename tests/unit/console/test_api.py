"""What the service says over HTTP, and what it refuses."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from console.api import CommandSink, build_api
from console.board.state import BoardState
from console.recordapi import DecisionRecord, LedgerRecord
from ingest.clock import SimulatedClock
from market.decisions import Refused
from market.errors import RuleRefusal
from market.facts import CommandGiven
from market.rules import GUANGDONG_2023
from streams.errors import SinkUnavailable
from streams.ledger import AsyncLedger, Ledger, sqlite_url
from tests.kit.board_feed import SCENES, view_at
from tests.kit.decided import EVERY_BODY, chain_of

T0 = SCENES["failing"]
ORDER = {"command_id": "c-1", "by": "d.wang", "role": "DISPATCH", "action": "CONFIRM_RECOVER", "args": {"reason": "fault lifted"}}


class Recovering:
    """Health of a service that still lacks something, or fails."""

    def __init__(self, *missing: str, failing: Sequence[str] = ()) -> None:
        self._missing = missing
        self._failing = failing

    def failing(self) -> Sequence[str]:
        return self._failing

    def missing(self) -> Sequence[str]:
        return self._missing


def asked(
    method: str,
    path: str,
    *,
    state: BoardState | None = None,
    commands: CommandSink | None = None,
    missing: Sequence[str] = (),
    failing: Sequence[str] = (),
    record: DecisionRecord | None = None,
    **request: Any,
) -> httpx.Response:
    """Ask the application once, in process."""

    async def ask() -> httpx.Response:
        board = state or BoardState(GUANGDONG_2023, simulated=True)
        app = build_api(board, commands, Recovering(*missing, failing=failing), clock=SimulatedClock(T0, 1e-9), record=record)
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8080") as client:
            return await client.request(method, path, **request)

    return asyncio.run(ask())


class Taken:
    """A command sink that keeps what it was given."""

    def __init__(self, error: Exception | None = None) -> None:
        self.orders: list[CommandGiven] = []
        self._error = error

    async def __call__(self, order: CommandGiven) -> None:
        if self._error is not None:
            raise self._error
        self.orders.append(order)


# ── commands ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_order_is_passed_on_with_the_instant_it_arrived():
    sink = Taken()
    answer = asked("POST", "/api/commands", commands=sink, json=ORDER)
    assert (answer.status_code, answer.json()) == (202, {"command_id": "c-1"})
    assert sink.orders == [
        CommandGiven(
            ts_event_ns=T0, command_id="c-1", by="d.wang", role="DISPATCH", action="CONFIRM_RECOVER", args={"reason": "fault lifted"}
        )
    ]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"command_id": "a b"}, "command_id"),
        ({"command_id": ""}, "command_id"),
        ({"by": ""}, "by"),
        ({"role": "dispatch"}, "role"),
        ({"action": 3}, "action"),
        ({"args": {"reason": 5}}, "args.reason"),
        ({"ts_event_ns": 1}, "ts_event_ns"),
    ],
)
def test_an_order_that_cannot_be_used_is_refused_by_the_name_of_the_field(change: dict[str, Any], field: str):
    sink = Taken()
    answer = asked("POST", "/api/commands", commands=sink, json={**ORDER, **change})
    assert answer.status_code == 422
    assert [one["field"] for one in answer.json()["fields"]] == [field]
    assert field in answer.json()["error"]
    assert sink.orders == []


def test_every_missing_field_is_named_at_once():
    answer = asked("POST", "/api/commands", commands=Taken(), json={"by": "d.wang"})
    assert [one["field"] for one in answer.json()["fields"]] == ["command_id", "role", "action"]


def test_a_body_that_is_not_json_is_refused():
    answer = asked("POST", "/api/commands", commands=Taken(), content=b"{", headers={"content-type": "application/json"})
    assert (answer.status_code, answer.json()["fields"][0]["field"]) == (422, "body")


def test_a_rule_that_forbids_an_order_is_named():
    answer = asked("POST", "/api/commands", commands=Taken(RuleRefusal("Art. 29", "only dispatch recovers")), json=ORDER)
    assert answer.status_code == 409
    assert answer.json() == {"error": "only dispatch recovers (Art. 29)", "rule": "Art. 29"}


def test_an_order_that_could_not_be_stored_may_be_sent_again():
    answer = asked("POST", "/api/commands", commands=Taken(SinkUnavailable("store is full")), json=ORDER)
    assert answer.status_code == 503
    assert "send it again with the same command_id" in answer.json()["error"]


def test_a_board_without_a_breaker_takes_no_orders():
    assert asked("POST", "/api/commands", commands=None, json=ORDER).status_code == 403


def test_what_became_of_an_order_is_asked_by_its_id():
    board = BoardState(GUANGDONG_2023, simulated=True)
    assert asked("GET", "/api/commands/c-1", state=board).status_code == 404
    asked("POST", "/api/commands", state=board, commands=Taken(), json=ORDER)
    assert asked("GET", "/api/commands/c-1", state=board).json()["state"] == "pending"
    refused = Refused(command_id="c-1", by="d.wang", role="DISPATCH", action="CONFIRM_RECOVER", rule="Art. 29", why="nothing is tripped")
    (decision,) = chain_of([refused])
    board.apply(decision)
    answer = asked("GET", "/api/commands/c-1", state=board).json()
    assert (answer["state"], answer["seq"], answer["rule"], answer["why"]) == ("refused", 1, "Art. 29", "nothing is tripped")


def test_older_orders_and_decisions_come_from_the_ledger(tmp_path: Path):
    ledger = Ledger(sqlite_url(tmp_path / "ledger.sqlite"))
    chain = chain_of(EVERY_BODY)
    ledger.record_decisions(chain)
    record = LedgerRecord(AsyncLedger(ledger))
    assert asked("GET", "/api/commands/c9", record=record).json()["state"] == "accepted"
    assert asked("GET", "/api/commands/c_", record=record).status_code == 404, "no wildcard of the database is one here"
    newest = asked("GET", "/api/decisions?kind=CaseNoted&kind=CaseClosed&last=2", record=record).json()["decisions"]
    assert [one["kind"] for one in newest] == ["CaseNoted", "CaseClosed"]
    after = asked("GET", f"/api/decisions?after={len(chain) - 1}", record=record).json()["decisions"]
    assert [one["seq"] for one in after] == [len(chain)]
    assert asked("GET", "/api/decisions?last=0", record=record).status_code == 422
    ledger.close()
    assert asked("GET", "/api/decisions").status_code == 404


# ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_breaker_for_the_command_line_keeps_its_nanoseconds():
    state = BoardState(GUANGDONG_2023, simulated=True)
    assert asked("GET", "/api/breaker", state=state).status_code == 404
    state.apply(view_at(T0))
    seen = asked("GET", "/api/breaker", state=state).json()
    assert seen["ts_event_ns"] == T0
    assert [(one["segment"], one["phase"]) for one in seen["segments"]] == [("RT", "DEGRADED"), ("DA", "NORMAL")]
    assert seen["segments"][0]["headroom_s"] == 37 * 60


def test_state_is_the_whole_board_with_the_time_now():
    state = asked("GET", "/api/state").json()
    assert state["full"] is True
    assert state["clock"]["now_ms"] == T0 // 1_000_000


def test_a_service_that_only_a_restart_can_mend_says_so():
    answer = asked("GET", "/health", failing=["log: the disk is full; free space"])
    assert (answer.status_code, answer.json()) == (503, {"status": "failing", "failing": ["log: the disk is full; free space"]})


def test_live_at_once_ready_when_recovered():
    assert asked("GET", "/health", missing=["market.decisions.v1"]).status_code == 200
    waiting = asked("GET", "/ready", missing=["market.decisions.v1"])
    assert (waiting.status_code, waiting.json()["missing"]) == (503, ["market.decisions.v1"])
    assert asked("GET", "/ready").status_code == 200


def test_the_page_and_its_files_are_served():
    page = asked("GET", "/")
    assert page.headers["content-type"].startswith("text/html")
    assert page.headers["cache-control"] == "no-cache"
    assert asked("GET", "/static/board.js").status_code == 200
    assert asked("GET", "/static/../state.py").status_code == 404
    assert asked("GET", "/api/messages").json()["zh"]["phase.TRIPPED"] == "市场熔断"


def test_no_page_that_loads_from_outside():
    assert asked("GET", "/docs").status_code == 404
    assert asked("GET", "/redoc").status_code == 404


# ── who is let in ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("host", ["127.0.0.1:8080", "localhost", "LOCALHOST:9", "[::1]:8080"])
def test_our_own_names_are_let_in(host: str):
    assert asked("GET", "/health", headers={"host": host}).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8080", "127.0.0.1.evil.example", "", "[::1", "127.0.0.1@evil.example"])
def test_a_foreign_name_for_this_machine_is_refused(host: str):
    """DNS rebinding: the browser believes the foreign name, and its Host header gives it away."""
    answer = asked("GET", "/api/state", headers={"host": host})
    assert answer.status_code == 421
    assert repr(host) in answer.json()["error"]


@pytest.mark.parametrize("origin", ["https://evil.example", "http://127.0.0.1:9", "null", "http://127.0.0.1:8080.evil.example"])
def test_another_sites_page_cannot_give_orders(origin: str):
    sink = Taken()
    answer = asked("POST", "/api/commands", commands=sink, json=ORDER, headers={"origin": origin})
    assert (answer.status_code, sink.orders) == (403, [])


def test_our_own_page_could_give_orders():
    assert asked("POST", "/api/commands", commands=Taken(), json=ORDER, headers={"origin": "http://127.0.0.1:8080"}).status_code == 202


def test_a_form_is_not_an_order():
    """A plain form needs no permission from the browser, so its content types are not taken."""
    answer = asked("POST", "/api/commands", commands=Taken(), content=b"{}", headers={"content-type": "text/plain"})
    assert answer.status_code == 415


def test_a_body_has_a_length_and_a_bound():
    big = asked("POST", "/api/commands", commands=Taken(), json={**ORDER, "args": {"reason": "x" * 70_000}})
    assert big.status_code == 413

    async def pieces() -> Any:
        yield b"{}"

    headers = {"content-type": "application/json"}
    assert asked("POST", "/api/commands", commands=Taken(), content=pieces(), headers=headers).status_code == 411


def test_no_answer_invites_other_sites():
    answer = asked("GET", "/api/state", headers={"origin": "https://evil.example"})
    assert "access-control-allow-origin" not in answer.headers
    assert answer.headers["content-security-policy"].startswith("default-src 'self'")
    assert answer.headers["x-content-type-options"] == "nosniff"
