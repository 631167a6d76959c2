"""One row per alert and channel, whose states follow each other in one direction only."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from streams.alerts import Alert, AlertState, Priority
from streams.errors import SinkUnavailable
from streams.ledger import open_engine
from streams.outbox import Attempt, Claim, DeliveryState, Outbox


def alert(alert_id: str, priority: Priority = Priority.P2) -> Alert:
    return Alert(
        alert_id=alert_id,
        ts_event_ns=5,
        name="market_tripped",
        priority=priority,
        state=AlertState.RAISED,
        text_en="tripped",
        text_zh="熔断",
        labels={"segment": "RT"},
    )


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    engine = open_engine(f"sqlite:///{tmp_path / 'outbox.db'}")
    yield Outbox(engine)
    engine.dispose()


def over(claim: Claim, state: DeliveryState = DeliveryState.DELIVERED, due_ns: int = 0) -> Attempt:
    return Attempt(claim=claim, state=state, at_ns=50, latency_ms=1.5, reply="200 ok", due_ns=due_ns)


def claimed(outbox: Outbox, channel: str = "log", now_ns: int = 10, slots: int = 10) -> list[Claim]:
    return list(outbox.turn(channel, (), now_ns, slots).claims)


def test_an_alert_waits_once_for_each_channel(outbox: Outbox) -> None:
    assert outbox.put(alert("a"), ("log", "webhook"), 1) == 2
    assert outbox.put(alert("a"), ("log", "webhook"), 2) == 0
    assert outbox.put(alert("a"), ("log", "sms"), 3) == 1
    assert outbox.counts() == {(channel, DeliveryState.WAITING): 1 for channel in ("log", "webhook", "sms")}


def test_a_claim_carries_the_alert_as_it_was_put(outbox: Outbox) -> None:
    outbox.put(alert("a"), ("log",), 1)
    (claim,) = claimed(outbox)
    assert (claim.alert, claim.attempt, claim.put_ns) == (alert("a"), 1, 1)
    assert claimed(outbox) == []
    assert outbox.counts() == {("log", DeliveryState.CLAIMED): 1}


def test_the_most_urgent_are_claimed_first_then_the_oldest(outbox: Outbox) -> None:
    for alert_id, priority in (("a", Priority.P3), ("b", Priority.P1), ("c", Priority.P3), ("d", Priority.P1)):
        outbox.put(alert(alert_id, priority), ("log",), 1)
    assert [claim.alert.alert_id for claim in claimed(outbox, slots=3)] == ["b", "d", "a"]
    assert claimed(outbox, slots=0) == []


def test_a_delivery_is_recorded_once_with_its_reply(outbox: Outbox) -> None:
    outbox.put(alert("a"), ("log",), 1)
    (claim,) = claimed(outbox)
    outbox.turn("log", (over(claim),), 60, 10)
    late = Attempt(claim=claim, state=DeliveryState.UNDELIVERABLE, at_ns=99, latency_ms=9.0, reply="late", due_ns=0)
    outbox.turn("log", (late,), 70, 10)
    (delivery,) = outbox.deliveries("a")
    assert (delivery.state, delivery.attempts, delivery.settled_ns, delivery.latency_ms, delivery.reply) == (
        DeliveryState.DELIVERED,
        1,
        50,
        1.5,
        "200 ok",
    )


def test_a_failed_attempt_waits_until_it_is_due(outbox: Outbox) -> None:
    outbox.put(alert("a"), ("log",), 1)
    (claim,) = claimed(outbox)
    turn = outbox.turn("log", (over(claim, DeliveryState.WAITING, due_ns=1_000),), 60, 10)
    assert (turn.claims, turn.next_due_ns) == ((), 1_000)
    (again,) = claimed(outbox, now_ns=1_000)
    assert again.attempt == 2


def test_channels_do_not_take_each_others_rows(outbox: Outbox) -> None:
    outbox.put(alert("a"), ("log", "webhook"), 1)
    assert len(claimed(outbox, "webhook")) == 1
    assert len(claimed(outbox, "log")) == 1


def test_what_a_dead_dispatcher_had_claimed_or_put_off_is_due_at_once(outbox: Outbox) -> None:
    for alert_id in ("claimed", "put off", "settled", "waiting"):
        outbox.put(alert(alert_id), ("log",), 1)
    one, two, three = claimed(outbox, slots=3)
    outbox.turn("log", (over(two, DeliveryState.WAITING, due_ns=10**18), over(three)), 60, 0)
    assert outbox.reopen(100) == 3
    again = claimed(outbox, now_ns=100)
    assert [(claim.alert.alert_id, claim.attempt) for claim in again] == [("claimed", 2), ("put off", 2), ("waiting", 1)]
    assert one.row == again[0].row


def test_a_row_that_cannot_be_read_is_settled_and_kept(outbox: Outbox, tmp_path: Path) -> None:
    outbox.put(alert("a"), ("log",), 1)
    outbox.put(alert("b"), ("log",), 1)
    with sqlite3.connect(tmp_path / "outbox.db") as connection:
        connection.execute("""UPDATE outbox SET alert = '{"colour": "red"}' WHERE alert_id = 'a'""")
    connection.close()
    assert [claim.alert.alert_id for claim in claimed(outbox)] == ["b"]
    (delivery,) = outbox.deliveries("a")
    assert delivery.state is DeliveryState.UNDELIVERABLE
    assert delivery.reply.startswith("cannot be read: ")


def test_a_database_that_refuses_is_unavailable(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 'missing' / 'outbox.db'}")
    with pytest.raises(SinkUnavailable):
        Outbox(engine)
    engine.dispose()
