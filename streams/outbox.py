"""Which alerts still have to be delivered, to whom, and what came of those that were?

One row per alert and channel, kept in SQL. A row is ``waiting`` until a dispatcher claims it, ``claimed`` while it is being sent, and
at last ``delivered`` or ``undeliverable``; a failed attempt makes it wait again until it is due. The row is committed before anything
is sent and changed after, so a process that dies in between sends again: at least once on the wire, where the alert's id tells the
receiver that it has it already, and exactly once in this record, because the pair of alert and channel is unique.

Deliberately absent: sending (:mod:`streams.notify`), and who is told what.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, TypeVar

import msgspec
import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from streams.alerts import Alert
from streams.ledger import insert_once, sink_errors

__all__ = ["Attempt", "Claim", "Delivery", "DeliveryState", "Outbox", "Turn"]

_REPLY_MAX: Final = 500

_log = logging.getLogger(__name__)

_meta = sa.MetaData()
_rows: Final = sa.Table(
    "outbox",
    _meta,
    # SQLite numbers rows by itself only where the column is exactly INTEGER.
    sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
    sa.Column("alert_id", sa.Text, nullable=False),
    sa.Column("channel", sa.Text, nullable=False),
    sa.Column("priority", sa.Text, nullable=False),
    sa.Column("alert", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("put_ns", sa.BigInteger, nullable=False),
    sa.Column("due_ns", sa.BigInteger, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("settled_ns", sa.BigInteger, nullable=True),
    sa.Column("latency_ms", sa.Double, nullable=True),
    sa.Column("reply", sa.Text, nullable=False),
    sa.UniqueConstraint("alert_id", "channel"),
    sa.Index("outbox_due", "channel", "state", "due_ns"),
)

_T = TypeVar("_T")


class DeliveryState(StrEnum):
    """Where an alert stands with one channel."""

    WAITING = "waiting"
    CLAIMED = "claimed"
    DELIVERED = "delivered"
    UNDELIVERABLE = "undeliverable"


@dataclass(frozen=True, slots=True)
class Claim:
    """One alert to send now; ``attempt`` counts from 1, ``put_ns`` is when it was put."""

    row: int
    alert: Alert
    attempt: int
    put_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """What came of one claim.

    Attributes:
        state: DELIVERED, UNDELIVERABLE, or WAITING for another attempt.
        at_ns: when it was over, UTC ns by the wall clock.
        latency_ms: how long the sending took.
        reply: what the channel answered, or why it failed.
        due_ns: when to try again, where it waits.
    """

    claim: Claim
    state: DeliveryState
    at_ns: int
    latency_ms: float
    reply: str
    due_ns: int = 0


@dataclass(frozen=True, slots=True)
class Turn:
    """What to send now, and when the next row is due, UTC ns; None where none waits."""

    claims: tuple[Claim, ...]
    next_due_ns: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One row, for people and for metrics."""

    alert_id: str
    channel: str
    state: DeliveryState
    attempts: int
    put_ns: int
    settled_ns: int | None
    latency_ms: float | None
    reply: str


class Outbox:
    """The rows. Every function blocks for the time of a commit.

    Args:
        engine: from :func:`streams.ledger.open_engine`; the ledger's own, or another.

    Raises:
        SinkUnavailable: the database cannot be reached or written; so may every function.
    """

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._try(_meta.create_all)

    def put(self, alert: Alert, channels: Sequence[str], now_ns: int) -> int:
        """Note that an alert is to be delivered; returns how many channels had not been told to deliver it before."""
        insert = insert_once(_rows, self._engine)
        common = {
            "alert_id": alert.alert_id,
            "priority": alert.priority.value,
            "alert": msgspec.json.encode(alert).decode(),
            "state": DeliveryState.WAITING.value,
            "put_ns": now_ns,
            "due_ns": now_ns,
            "attempts": 0,
            "reply": "",
        }
        rows = [common | {"channel": channel} for channel in channels]
        return self._try(lambda connection: sum(connection.execute(insert, row).rowcount for row in rows))

    def reopen(self, now_ns: int) -> int:
        """Take back what a dispatcher that died had claimed, and make everything that waits due; returns how many wait."""
        unsettled = _rows.c.state.in_([DeliveryState.CLAIMED.value, DeliveryState.WAITING.value])
        update = sa.update(_rows).where(unsettled).values(state=DeliveryState.WAITING.value, due_ns=now_ns)
        return self._try(lambda connection: connection.execute(update).rowcount)

    def turn(self, channel: str, attempts: Sequence[Attempt], now_ns: int, slots: int) -> Turn:
        """Record what came of earlier claims and claim what is due, in one commit.

        Args:
            attempts: of this channel; recording one twice changes nothing.
            slots: most rows to claim; the most urgent first, then the oldest.
        """

        def work(connection: sa.Connection) -> Turn:
            for attempt in attempts:
                connection.execute(_settled(attempt))
            waiting = (_rows.c.channel == channel) & (_rows.c.state == DeliveryState.WAITING.value)
            query = sa.select(_rows).where(waiting & (_rows.c.due_ns <= now_ns)).order_by(_rows.c.priority, _rows.c.id)
            due = connection.execute(query.limit(slots).with_for_update(skip_locked=True)).mappings().all() if slots else []
            claims = []
            for row in due:
                try:
                    claims.append(Claim(row["id"], msgspec.json.decode(row["alert"], type=Alert), row["attempts"] + 1, row["put_ns"]))
                except msgspec.DecodeError as exc:
                    connection.execute(_unreadable(row["id"], str(exc), now_ns))
            if claims:
                update = sa.update(_rows).where(_rows.c.id.in_([claim.row for claim in claims]))
                connection.execute(update.values(state=DeliveryState.CLAIMED.value, attempts=_rows.c.attempts + 1))
            next_due_ns = connection.execute(sa.select(sa.func.min(_rows.c.due_ns)).where(waiting)).scalar()
            return Turn(tuple(claims), next_due_ns)

        return self._try(work)

    def deliveries(self, alert_id: str | None = None) -> list[Delivery]:
        """Return the rows, or those of one alert, in the order they were put."""
        columns = [_rows.c[name] for name in Delivery.__dataclass_fields__]
        query = sa.select(*columns).order_by(_rows.c.id)
        if alert_id is not None:
            query = query.where(_rows.c.alert_id == alert_id)
        found = self._try(lambda connection: [dict(row) for row in connection.execute(query).mappings()])
        return [Delivery(**(row | {"state": DeliveryState(row["state"])})) for row in found]

    def counts(self) -> dict[tuple[str, DeliveryState], int]:
        """Return how many rows there are by channel and state."""
        query = sa.select(_rows.c.channel, _rows.c.state, sa.func.count()).group_by(_rows.c.channel, _rows.c.state)
        return self._try(lambda connection: {(row[0], DeliveryState(row[1])): row[2] for row in connection.execute(query)})

    def _try(self, work: Callable[[sa.Connection], _T]) -> _T:
        try:
            with self._engine.begin() as connection:
                return work(connection)
        except SQLAlchemyError as exc:
            raise sink_errors(exc, self._engine) from exc


def _unreadable(row: int, why: str, now_ns: int) -> sa.Update:
    """Settle a row that another release wrote and this one cannot read, rather than meet it again at every turn."""
    _log.error("outbox row %d cannot be read, and is undeliverable: %s", row, why, extra={"sink": "outbox", "row": row, "reason": why})
    values = {"state": DeliveryState.UNDELIVERABLE.value, "settled_ns": now_ns, "reply": f"cannot be read: {why}"[:_REPLY_MAX]}
    return sa.update(_rows).where(_rows.c.id == row).values(values)


def _settled(attempt: Attempt) -> sa.Update:
    values: dict[str, Any] = {"state": attempt.state.value, "latency_ms": attempt.latency_ms, "reply": attempt.reply[:_REPLY_MAX]}
    if attempt.state is DeliveryState.WAITING:
        values["due_ns"] = attempt.due_ns
    else:
        values["settled_ns"] = attempt.at_ns
    # Only a claim can be settled, so a record that is made again after its commit was lost on the way back changes nothing.
    return sa.update(_rows).where((_rows.c.id == attempt.claim.row) & (_rows.c.state == DeliveryState.CLAIMED.value)).values(values)
