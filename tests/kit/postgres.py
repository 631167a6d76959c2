"""A real PostgreSQL of the tests' own: a cluster in a directory of its own, on a free port of this machine, stopped by its pid.

It refuses to run as root, so there it runs as the user that Debian's package makes.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa

from tests.kit.eventually import eventually
from tests.kit.ports import free_port
from tests.kit.require import require

__all__ = ["PASSWORD", "Postgres", "postgres"]

PASSWORD = "s3cret of the tests"
_USER = "postgres" if os.geteuid() == 0 else None
_QUICK = ("-c", "fsync=off", "-c", "shared_buffers=16MB", "-c", "max_connections=20")


class Postgres:
    """One cluster; it can be stopped and started again with its data."""

    def __init__(self, binaries: Path, home: Path) -> None:
        self._postgres = str(binaries / "postgres")
        self._home = home
        self.port = free_port()
        self._made = 0
        if _USER is not None:
            shutil.chown(home, _USER)
        secret = home / "password"
        secret.write_text(PASSWORD)
        secret.chmod(0o644)
        made = [str(binaries / "initdb"), "-D", str(home / "data"), "-U", "gridfuse", "-A", "scram-sha-256", "--pwfile", str(secret)]
        done = subprocess.run([*made, "-E", "UTF8", "--no-sync"], user=_USER, cwd=home, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start, and return once it answers."""
        command = [self._postgres, "-D", str(self._home / "data"), "-p", str(self.port), "-h", "127.0.0.1", "-k", str(self._home), *_QUICK]
        with (self._home / "log").open("ab") as log:
            self._process = subprocess.Popen(command, user=_USER, cwd=self._home, stdout=log, stderr=log)
        eventually("PostgreSQL answers", self._answers)

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self._home / "log").read_text()
        try:
            self.run("SELECT 1")
        except sa.exc.OperationalError:
            return False
        return True

    def stop(self) -> None:
        """Stop it at once; who is connected is cut off."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(30)
            self._process = None

    def url(self, database: str = "postgres", password: str = PASSWORD) -> sa.URL:
        """Return the address of a database."""
        return sa.URL.create("postgresql+psycopg", "gridfuse", password, "127.0.0.1", self.port, database)

    def run(self, statement: str) -> None:
        """Run a statement by itself."""
        engine = sa.create_engine(self.url(), isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
        with engine.connect() as connection:
            connection.execute(sa.text(statement))

    def fresh(self) -> sa.URL:
        """Make a database and return its address."""
        self._made += 1
        self.run(f"CREATE DATABASE t{self._made}")
        return self.url(f"t{self._made}")


def binaries() -> Path | None:
    """Return where the newest PostgreSQL's programs are; Debian keeps them off the path."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    on_path = shutil.which("initdb")
    return found[-1].parent if found else None if on_path is None else Path(on_path).resolve().parent


@contextmanager
def postgres() -> Iterator[Postgres]:
    """Run a cluster; without PostgreSQL, or without its driver, the test is skipped."""
    place = binaries()
    require("postgresql", "apt-get install -y postgresql", found=place is not None)
    assert place is not None
    # Not below pytest's directory, which every run closes to all but its own user.
    with tempfile.TemporaryDirectory(prefix="gridfuse-postgres-") as home:
        server = Postgres(place, Path(home))
        server.start()
        try:
            yield server
        finally:
            server.stop()
