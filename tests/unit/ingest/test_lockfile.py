"""One process at a time, and who it is."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ingest.lockfile import Held, holder, own


def test_a_second_owner_is_told_who_has_it(tmp_path: Path) -> None:
    fd = own(tmp_path / "lock")
    try:
        with pytest.raises(Held) as told:
            own(tmp_path / "lock")
        assert told.value.by == str(os.getpid())
        assert holder(tmp_path / "lock") == os.getpid()
    finally:
        os.close(fd)
    assert holder(tmp_path / "lock") is None
    os.close(own(tmp_path / "lock"))


def test_a_process_that_was_killed_holds_nothing_whatever_its_file_still_says(tmp_path: Path) -> None:
    script = "import os, sys; from pathlib import Path; from ingest.lockfile import own; own(Path(sys.argv[1])); os.kill(os.getpid(), 9)"
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path / "lock")], check=False, cwd=Path(__file__).parents[3])
    assert done.returncode == -9
    assert (tmp_path / "lock").read_text().strip().isdigit(), "it had it"
    assert holder(tmp_path / "lock") is None
    os.close(own(tmp_path / "lock"))


def test_nobody_holds_a_lock_that_was_never_made_and_a_file_that_does_not_say_who_is_said_so(tmp_path: Path) -> None:
    assert holder(tmp_path / "lock") is None
    assert not (tmp_path / "lock").exists(), "asking makes nothing"
    fd = own(tmp_path / "lock")
    try:
        os.ftruncate(fd, 0)
        assert holder(tmp_path / "lock") == 0
        with pytest.raises(Held, match="unknown"):
            own(tmp_path / "lock")
    finally:
        os.close(fd)
