"""Which messages of record exist, and can their chain be believed?

A SQL database (SQLite in a file by default, PostgreSQL by URL) holds each decision by its number, each announcement by its own number,
each price by interval and revision, and each clearing outcome by interval and version. Records arrive at least once; a record that is
there already is left alone. A record that is there with other content is refused, for then two histories exist and a person must look.

Every function blocks for the time of a commit. The event loop uses :class:`AsyncLedger`, which runs them one after the other in a
thread of its own.

Deliberately absent: deleting and updating, and the figures, which InfluxDB has.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError

from market.decisions import Announcement, BrokenChain, Decision, first_broken
from market.errors import ConfigError, Problem
from market.facts import Segment
from market.outcomes import Cleared, Outcome
from market.prices import PriceInForce, Regime
from streams.errors import SinkError, SinkRejected, SinkUnavailable

__all__ = ["AsyncLedger", "Ledger", "insert_once", "open_engine", "sink_errors", "sqlite_url"]

_meta = sa.MetaData()

_decisions: Final = sa.Table(
    "decisions",
    _meta,
    sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("ts_event_ns", sa.BigInteger, nullable=False),
    sa.Column("rule_set", sa.Text, nullable=False),
    sa.Column("code", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    # Text and not JSON: the chain is over these characters, and a database may write JSON its own way.
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("prev_hash", sa.Text, nullable=False),
    sa.Column("hash", sa.Text, nullable=False),
)
_announcements: Final = sa.Table(
    "announcements",
    _meta,
    sa.Column("number", sa.Text, primary_key=True),
    sa.Column("seq", sa.BigInteger, nullable=False, unique=True),
    sa.Column("announcement_kind", sa.Text, nullable=False),
    sa.Column("segment", sa.Text, nullable=False),
    sa.Column("subject", sa.Text, nullable=False),
    sa.Column("supersedes", sa.Text, nullable=False),
    sa.Column("published_at_ns", sa.BigInteger, nullable=False),
    sa.Column("text_zh", sa.Text, nullable=False),
    sa.Column("text_en", sa.Text, nullable=False),
    sa.Column("facts", sa.Text, nullable=False),
)
_prices: Final = sa.Table(
    "prices",
    _meta,
    sa.Column("segment", sa.Text, primary_key=True),
    sa.Column("interval_start_ns", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("rev", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("ts_event_ns", sa.BigInteger, nullable=False),
    sa.Column("regime", sa.Text, nullable=False),
    sa.Column("price_cny_per_mwh", sa.Double, nullable=True),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("provisional", sa.Boolean, nullable=False),
    sa.Column("rule_set", sa.Text, nullable=False),
    sa.Column("clearing_start_ns", sa.BigInteger, nullable=True),
    sa.Column("by_analogy", sa.Boolean, nullable=True),
)
_outcomes: Final = sa.Table(
    "outcomes",
    _meta,
    sa.Column("interval_start_ns", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("completed_at_ns", sa.BigInteger, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("detail", sa.Text, nullable=False),
    sa.Column("uniform_price_cny_per_mwh", sa.Double, nullable=True),
    sa.Column("objective_cny_per_h", sa.Double, nullable=True),
    sa.Column("certified", sa.Boolean, nullable=False),
    sa.Column("hashes", sa.Text, nullable=False),
)


def _with_new_columns(connection: sa.Connection) -> None:
    """Add to the tables of an older release the columns they lack; what is recorded there says nothing in them."""
    inspector = sa.inspect(connection)
    for table in _meta.sorted_tables:
        have = {column["name"] for column in inspector.get_columns(table.name)}
        for column in table.columns:
            if column.name not in have:
                kind = column.type.compile(connection.dialect)
                connection.execute(sa.text(f"ALTER TABLE {table.name} ADD COLUMN {column.name} {kind}"))


_Row = dict[str, Any]
_T = TypeVar("_T")


def _body_of(text: str) -> dict[str, Any]:
    """Read a body; one that cannot be read is kept as it is, so that the chain breaks at it and nowhere else."""
    try:
        body = json.loads(text)
    except ValueError:
        body = None
    return body if isinstance(body, dict) else {"unreadable": text}


def _text(data: Any) -> str:
    return json.dumps(data, ensure_ascii=False, sort_keys=True)


def open_engine(url: str | sa.URL) -> sa.Engine:
    """Connect to a database.

    Args:
        url: as SQLAlchemy writes it: ``sqlite:////var/lib/gridfuse/ledger.db``, ``postgresql+psycopg://user@host/db``; for a file
            whose path may hold any sign, :func:`sqlite_url`.

    Raises:
        ConfigError: not a URL, no driver for it, or a database that cannot leave a record alone that is already there.
    """
    try:
        engine = sa.create_engine(url)
    except (ArgumentError, NoSuchModuleError, ImportError, ValueError) as exc:
        # The rest of the URL may hold a password.
        how = "write sqlite:///path or postgresql+psycopg://user@host/db, whose driver is the extra [postgres]"
        what = f"'{str(url).partition(':')[0]}:…' cannot be used ({type(exc).__name__}); {how}"
        raise ConfigError([Problem("ledger URL", what)]) from exc
    if engine.dialect.name not in {"sqlite", "postgresql"}:
        raise ConfigError([Problem("ledger URL", f"{engine.dialect.name} is not supported; use sqlite or postgresql")])
    if engine.dialect.name == "sqlite":
        sa.event.listen(engine, "connect", _prepare_sqlite)
    return engine


def sqlite_url(path: Path, **query: str) -> sa.URL:
    """Return the URL of a database in a file, whatever signs its path has.

    >>> sqlite_url(Path("/a?b/100%.db")).database
    '/a?b/100%.db'
    """
    return sa.URL.create("sqlite", database=str(path), query=query)


def _prepare_sqlite(connection: Any, _: Any) -> None:
    cursor = connection.cursor()
    # WAL lets people read while the service writes; FULL brings every commit to the disk before it is called one.
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=5000"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _read_anything(connection: Any, _: Any) -> None:
    # Bytes that are no text any more are still to be looked at: the chain says which record they are in.
    connection.text_factory = lambda raw: raw.decode(errors="replace")


def insert_once(table: sa.Table, engine: sa.Engine) -> sa.Insert:
    """Return the statement that inserts a row unless one of its key is there; its ``rowcount`` says which, 1 or 0."""
    insert = (sqlite.insert if engine.dialect.name == "sqlite" else postgresql.insert)(table).on_conflict_do_nothing()
    # Otherwise SQLAlchemy tells -1 of PostgreSQL, which is as true as 1: what is there already would pass for new.
    return insert.execution_options(preserve_rowcount=True)


def sink_errors(exc: SQLAlchemyError, engine: sa.Engine) -> SinkError:
    """Say of a database's error whether it is worth trying again."""
    where = engine.url.render_as_string(hide_password=True)
    if isinstance(exc, sa.exc.OperationalError | sa.exc.InterfaceError):
        return SinkUnavailable(f"database {where}: {exc.orig}; it must be reachable, writable and not full")
    said = exc.orig if isinstance(exc, DBAPIError) else exc
    return SinkRejected(f"database {where} refuses: {said}")


class Ledger:
    """Messages of record.

    Args:
        url: see :func:`open_engine`.

    Raises:
        ConfigError: the URL cannot be used.
        SinkUnavailable: the database cannot be reached or written.
    """

    def __init__(self, url: str | sa.URL) -> None:
        self.engine = open_engine(url)
        self._try(_meta.create_all)
        self._try(_with_new_columns)

    @classmethod
    def to_read(cls, at: Path | sa.URL) -> Ledger:
        """Open the ledger in an SQLite file, or in a database, for reading only, whether or not a service writes it."""
        ledger = cls.__new__(cls)
        if isinstance(at, sa.URL):
            ledger.engine = open_engine(at).execution_options(postgresql_readonly=True)
            return ledger
        ledger.engine = open_engine(
            sa.URL.create("sqlite", database=f"file:{quote(str(at.absolute()))}", query={"mode": "ro", "uri": "true"})
        )
        sa.event.listen(ledger.engine, "connect", _read_anything)
        return ledger

    def close(self) -> None:
        """Let go of the database."""
        self.engine.dispose()

    def record_decisions(self, decisions: Iterable[Decision]) -> int:
        """Record decisions, and the announcements among them, in one commit.

        Returns:
            How many were new.

        Raises:
            SinkRejected: a decision or announcement of that number is recorded with other content; nothing of this call is recorded.
            SinkUnavailable: the database did not answer; try again.
        """
        rows, notices = [], []
        for decision in decisions:
            rows.append(asdict(decision) | {"body": _text(decision.body)})
            if decision.kind == Announcement.__name__:
                body = decision.body
                # Empty for "none": the notice of an anomaly of a trading session is about no segment.
                about = {name: body[name] for name in _NOTICE} | {"segment": body["segment"] or ""}
                notices.append(about | {"seq": decision.seq, "facts": _text(body["facts"])})

        def write(connection: sa.Connection) -> int:
            new = self._add(connection, _decisions, rows)
            self._add(connection, _announcements, notices)
            return new

        return self._try(write)

    def record_prices(self, prices: Iterable[PriceInForce]) -> int:
        """Record prices in force; returns how many were new. Raises as :meth:`record_decisions`."""
        # Nothing for "no", as in records of releases that did not say.
        rows = [
            asdict(price) | {"segment": price.segment.value, "regime": price.regime.value, "by_analogy": price.by_analogy or None}
            for price in prices
        ]
        return self._try(lambda connection: self._add(connection, _prices, rows))

    def record_outcomes(self, outcomes: Iterable[Outcome]) -> int:
        """Record how intervals were cleared; returns how many were new. Raises as :meth:`record_decisions`."""
        rows = [_outcome_row(outcome) for outcome in outcomes]
        return self._try(lambda connection: self._add(connection, _outcomes, rows))

    def last_seq(self) -> int:
        """Return the number of the last decision recorded, 0 before the first."""
        return self._try(lambda connection: connection.execute(sa.select(sa.func.max(_decisions.c.seq))).scalar()) or 0

    def decisions(self, first_seq: int = 1) -> list[Decision]:
        """Return the decisions from ``first_seq`` on, in their order."""
        return self._decided(sa.select(_decisions).where(_decisions.c.seq >= first_seq).order_by(_decisions.c.seq))

    def newest_decisions(self, kinds: Sequence[str] = (), last: int = 100, after: int = 0, up_to: int = 2**62) -> list[Decision]:
        """Return the newest decisions of these kinds, or of all, with numbers above ``after`` and not above ``up_to``; oldest first."""
        query = sa.select(_decisions).where(_decisions.c.seq > after, _decisions.c.seq <= up_to)
        if kinds:
            query = query.where(_decisions.c.kind.in_(kinds))
        return self._decided(query.order_by(_decisions.c.seq.desc()).limit(last))[::-1]

    def answering(self, command_id: str) -> Decision | None:
        """Return the last decision that answers an order, or None; looks through all orders and is no thing to ask often."""
        kinds = _decisions.c.kind.in_(("CommandAccepted", "ClearingOrdered", "Refused"))
        named = _decisions.c.body.contains(f'"command_id": {json.dumps(command_id)}', autoescape=True)
        found = self._decided(sa.select(_decisions).where(kinds, named).order_by(_decisions.c.seq.desc()).limit(1))
        return found[0] if found else None

    def _decided(self, query: sa.Select[Any]) -> list[Decision]:
        return [Decision(**(row | {"body": _body_of(row["body"])})) for row in self._rows(query)]

    def broken_at(self) -> BrokenChain | None:
        """Verify the whole chain as it is stored; None where it holds."""
        return first_broken(self.decisions())

    def announcements(self, last: int = 20) -> list[Announcement]:
        """Return the last announcements, the newest first."""
        query = sa.select(*(_announcements.c[name] for name in (*_NOTICE, "facts"))).order_by(_announcements.c.seq.desc()).limit(last)
        rows = self._rows(query)
        return [
            Announcement(**(row | {"segment": Segment(row["segment"]) if row["segment"] else None, "facts": json.loads(row["facts"])}))
            for row in rows
        ]

    def prices(self, segment: Segment, from_ns: int, to_ns: int) -> list[PriceInForce]:
        """Return the last price of each interval that starts in ``[from_ns, to_ns)``, by interval."""
        mine = (_prices.c.segment == segment.value) & (_prices.c.interval_start_ns >= from_ns) & (_prices.c.interval_start_ns < to_ns)
        last = (
            sa.select(_prices.c.interval_start_ns, sa.func.max(_prices.c.rev).label("rev"))
            .where(mine)
            .group_by(_prices.c.interval_start_ns)
            .subquery()
        )
        joined = _prices.join(last, (_prices.c.interval_start_ns == last.c.interval_start_ns) & (_prices.c.rev == last.c.rev))
        query = sa.select(_prices).select_from(joined).where(mine).order_by(_prices.c.interval_start_ns)
        read = {"segment": Segment, "regime": Regime, "by_analogy": bool}
        return [PriceInForce(**(row | {name: kind(row[name]) for name, kind in read.items()})) for row in self._rows(query)]

    def outcome_counts(self, from_ns: int, to_ns: int) -> dict[str, int]:
        """Return, by status, how many outcomes are recorded for intervals that start in ``[from_ns, to_ns)``."""
        column = _outcomes.c.interval_start_ns
        query = sa.select(_outcomes.c.status, sa.func.count().label("n")).where(column >= from_ns, column < to_ns)
        return {row["status"]: row["n"] for row in self._rows(query.group_by(_outcomes.c.status))}

    def _add(self, connection: sa.Connection, table: sa.Table, rows: Sequence[_Row]) -> int:
        """Insert the rows that are not there yet; a row that is there must be the same."""
        if not rows:
            return 0
        new = 0
        insert = insert_once(table, self.engine)
        for row in rows:
            if connection.execute(insert, row).rowcount:
                new += 1
                continue
            key = sa.and_(*(column == row[column.name] for column in table.primary_key.columns))
            stored = connection.execute(sa.select(table).where(key)).mappings().first()
            if stored is None or dict(stored) != row:
                name = ", ".join(f"{column.name} {row[column.name]}" for column in table.primary_key.columns)
                raise SinkRejected(f"{table.name}: {name} is recorded already, with other content; two histories exist: compare them")
        return new

    def _rows(self, query: sa.Select[Any]) -> list[_Row]:
        return self._try(lambda connection: [dict(row) for row in connection.execute(query).mappings()])

    def _try(self, work: Callable[[sa.Connection], _T]) -> _T:
        try:
            with self.engine.begin() as connection:
                return work(connection)
        except SQLAlchemyError as exc:
            raise sink_errors(exc, self.engine) from exc


_NOTICE: Final = ("number", "announcement_kind", "segment", "subject", "supersedes", "published_at_ns", "text_zh", "text_en")


def _outcome_row(outcome: Outcome) -> _Row:
    row: _Row = {
        "interval_start_ns": outcome.interval_start_ns,
        "version": outcome.version,
        "completed_at_ns": outcome.completed_at_ns,
    }
    if isinstance(outcome, Cleared):
        return row | {
            "status": outcome.status.value,
            "reason": "",
            "detail": "",
            "uniform_price_cny_per_mwh": outcome.uniform_price_per_mwh,
            "objective_cny_per_h": outcome.objective_per_h,
            "certified": outcome.certificate.passed,
            "hashes": _text(outcome.hashes),
        }
    return row | {
        "status": "FAILED",
        "reason": outcome.reason.value,
        "detail": outcome.detail,
        "uniform_price_cny_per_mwh": None,
        "objective_cny_per_h": None,
        "certified": False,
        "hashes": "{}",
    }


class AsyncLedger:
    """The ledger for the event loop: the same functions, awaited, run one after the other in one thread."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="ledger")

    async def do(self, work: Callable[[Ledger], _T]) -> _T:
        """Run ``work`` with the ledger, as ``await ledger.do(lambda book: book.announcements(5))``."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, self._ledger)

    async def record_decisions(self, decisions: Sequence[Decision]) -> int:
        """See :meth:`Ledger.record_decisions`."""
        return await self.do(lambda book: book.record_decisions(decisions))

    async def record_prices(self, prices: Sequence[PriceInForce]) -> int:
        """See :meth:`Ledger.record_prices`."""
        return await self.do(lambda book: book.record_prices(prices))

    async def record_outcomes(self, outcomes: Sequence[Outcome]) -> int:
        """See :meth:`Ledger.record_outcomes`."""
        return await self.do(lambda book: book.record_outcomes(outcomes))

    async def close(self) -> None:
        """Finish what was begun and let go of the database."""
        await self.do(Ledger.close)
        self._thread.shutdown()
