"""Where the ledger is said to be: a PostgreSQL whose password stands in a file, and in nothing that is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from market.errors import ConfigError
from streams.ledger import open_engine, sqlite_url
from streams.ledgerfile import LedgerModel, ledger_url
from tests.unit.streams.test_settings import WHOLE, complaints, read

URL = "postgresql+psycopg://gridfuse@db.example.org:5433/kept"


def test_an_address_gets_its_password_from_a_file_and_does_not_show_it(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("s3cret\n")
    url = ledger_url(LedgerModel(url=URL, password_file="password"), tmp_path)
    assert (url.host, url.port, url.database, url.username, url.password) == ("db.example.org", 5433, "kept", "gridfuse", "s3cret")
    assert "s3cret" not in f"{url} {url!r}"


def test_without_a_password_file_none_is_given(tmp_path: Path) -> None:
    assert ledger_url(LedgerModel(url=URL), tmp_path).password is None


def test_an_address_is_one_that_an_engine_takes(tmp_path: Path) -> None:
    engine = open_engine(ledger_url(LedgerModel(url=URL), tmp_path))
    assert engine.dialect.name == "postgresql"
    engine.dispose()


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("nonsense", "not a URL; write postgresql+psycopg://"),
        ("sqlite:///kept.db", "sqlite is not taken here"),
        ("mysql://u@h/d", "mysql is not taken here"),
        ("postgresql+psycopg:///d", "write postgresql+psycopg://user@host/database"),
        ("postgresql+psycopg://u:word@h/d", "a password in a URL ends up in logs"),
    ],
)
def test_an_address_that_cannot_be_used_is_refused(url: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as told:
        ledger_url(LedgerModel(url=url), tmp_path)
    assert says in str(told.value)
    assert "word@" not in str(told.value)


def test_a_password_file_must_be_there_and_hold_something(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("\n")
    for name, says in (("none", "cannot be read"), ("empty", "is empty")):
        with pytest.raises(ConfigError, match=f"{name} {says}"):
            ledger_url(LedgerModel(url=URL, password_file=name), tmp_path)


def test_the_settings_name_it_beside_themselves_or_keep_a_file(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("s3cret")
    assert read(tmp_path, WHOLE).ledger_url == sqlite_url(tmp_path / "kept" / "ledger.sqlite")
    named = read(tmp_path, WHOLE + f'ledger: {{url: "{URL}", password_file: password}}\n')
    assert named.ledger_url.password == "s3cret"
    assert complaints(tmp_path, WHOLE + f'ledger: {{url: "{URL}", password_file: gone}}\n')[0].startswith("gridfuse.yaml:4: ")
