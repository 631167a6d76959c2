"""A ledger and an outbox in PostgreSQL keep what those in SQLite keep: the same tests, on a real server."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest
import sqlalchemy as sa

from console.checks.check import Level
from console.checks.stores import check_ledger
from streams.errors import SinkRejected, SinkUnavailable
from streams.ledger import Ledger, open_engine
from streams.outbox import Outbox
from tests.kit.postgres import PASSWORD, Postgres, postgres
from tests.unit.streams import test_ledger, test_outbox
from tests.unit.streams.test_ledger import CHAIN, price

pytestmark = pytest.mark.integration

Test = Callable[[Any], None]


def _of(module: ModuleType, fixture: str) -> list[Any]:
    """The tests of a module that need nothing but a store."""
    found = [
        each for name, each in vars(module).items() if name.startswith("test_") and list(inspect.signature(each).parameters) == [fixture]
    ]
    assert len(found) > 5
    return [pytest.param(each, id=each.__name__) for each in found]


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with postgres() as running:
        yield running


@pytest.fixture
def ledger(server: Postgres) -> Iterator[Ledger]:
    book = Ledger(server.fresh())
    yield book
    book.close()


@pytest.mark.parametrize("holds", _of(test_ledger, "ledger"))
def test_what_holds_of_a_ledger_in_a_file_holds_of_one_in_postgresql(ledger: Ledger, holds: Test) -> None:
    holds(ledger)


@pytest.mark.parametrize("holds", _of(test_outbox, "outbox"))
def test_what_holds_of_an_outbox_in_a_file_holds_of_one_in_postgresql(server: Postgres, holds: Test) -> None:
    engine = open_engine(server.fresh())
    holds(Outbox(engine))
    engine.dispose()


def test_a_ledger_that_is_read_can_be_neither_made_nor_changed(server: Postgres) -> None:
    at = server.fresh()
    empty = Ledger.to_read(at)
    with pytest.raises(SinkRejected, match="does not exist"):
        empty.last_seq()
    empty.close()
    written = Ledger(at)
    written.record_decisions(CHAIN)
    read = Ledger.to_read(at)
    assert read.decisions() == CHAIN
    with pytest.raises(SinkRejected, match="read-only transaction"):
        read.record_prices([price()])
    read.close()
    written.close()


def test_doctor_looks_at_it_and_tells_no_password(server: Postgres) -> None:
    at = server.fresh()
    book = Ledger(at)
    book.record_decisions(CHAIN)
    (sound,) = check_ledger(at)
    assert (sound.level, sound.facts["decisions"]) == (Level.OK, len(CHAIN))
    with book.engine.begin() as connection:
        connection.execute(sa.text("UPDATE decisions SET body = '{}' WHERE seq = 2"))
    (broken,) = check_ledger(at)
    assert (broken.level, broken.facts["seq"]) == (Level.FAIL, 2)
    assert PASSWORD not in sound.what + broken.what
    book.close()


def test_a_server_that_restarts_is_away_for_a_while_and_then_goes_on(server: Postgres) -> None:
    book = Ledger(server.fresh())
    book.record_decisions(CHAIN[:2])
    server.stop()
    try:
        with pytest.raises(SinkUnavailable) as told:
            book.record_decisions(CHAIN)
        assert PASSWORD not in str(told.value)
        with pytest.raises(SinkUnavailable):
            Ledger(book.engine.url)
    finally:
        server.start()
    assert book.record_decisions(CHAIN) == 2
    assert book.decisions() == CHAIN
    book.close()


def test_a_wrong_password_is_told_without_telling_it(server: Postgres) -> None:
    with pytest.raises(SinkUnavailable, match="password authentication failed") as told:
        Ledger(server.url(password="guessed at"))
    assert "guessed at" not in str(told.value)
