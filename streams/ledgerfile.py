"""Where is the ledger? The section ``ledger`` of the settings.

Without it the ledger is an SQLite file of the data directory, which is enough for one machine. Elsewhere it may be a PostgreSQL that is
backed up and read by others, by SQLAlchemy's URL without the password, which stands in a file of its own::

    ledger: {url: "postgresql+psycopg://gridfuse@db.example.org/gridfuse", password_file: /run/secrets/postgres_password}

The outbox lies in the same database. The driver is the extra ``[postgres]``.
"""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError

from ingest.yamlfile import Strict
from market.errors import ConfigError, Problem

__all__ = ["LedgerModel", "ledger_url"]

_WHERE = "ledger"


class LedgerModel(Strict):
    """A database for the messages of record.

    Attributes:
        url: SQLAlchemy's, without a password.
        password_file: file with the password, relative to the settings.
    """

    url: str
    password_file: str | None = None


def ledger_url(model: LedgerModel, beside: Path) -> sa.URL:
    """Return the address with its password; nothing is connected to.

    Raises:
        ConfigError: no PostgreSQL URL, a password in it, or a password file that cannot be read.
    """
    try:
        url = sa.make_url(model.url)
    except ArgumentError:
        raise ConfigError([Problem(_WHERE, "not a URL; write postgresql+psycopg://user@host/database")]) from None
    if url.get_backend_name() != "postgresql" or not url.host:
        what = f"{url.get_backend_name()} is not taken here; write postgresql+psycopg://user@host/database, or leave it out for SQLite"
        raise ConfigError([Problem(_WHERE, what)])
    if url.password is not None:
        raise ConfigError([Problem(_WHERE, "a password in a URL ends up in logs; put it into a file, and name that in `password_file`")])
    if model.password_file is None:
        return url
    path = beside / model.password_file
    try:
        password = path.read_text(encoding="utf-8").strip()
    except OSError as exc:
        raise ConfigError([Problem(_WHERE, f"password_file {path} cannot be read ({exc.strerror})")]) from exc
    if not password:
        raise ConfigError([Problem(_WHERE, f"password_file {path} is empty")])
    return url.set(password=password)
