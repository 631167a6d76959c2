"""Keeps what devices have taught, a small file for each device.

What is lost or damaged is learned again, at the cost of some requests; so nothing here is an error, and nothing is synced.
"""

from __future__ import annotations

import contextlib
import logging
from pathlib import Path
from typing import Final
from urllib.parse import quote

from ingest.modbus.lessons import Lessons

__all__ = ["LessonBook"]

_log: Final = logging.getLogger(__name__)


class LessonBook:
    """The lessons of all devices.

    Args:
        directory: made where it is not there; None to keep nothing.
    """

    def __init__(self, directory: Path | None) -> None:
        self._directory = directory
        self._complained = False

    def read(self, device: str) -> Lessons:
        """Return what a device has taught, which is nothing where that is not known."""
        if self._directory is None:
            return Lessons()
        try:
            raw = self._path(device).read_bytes()
        except OSError:
            return Lessons()
        lessons = Lessons.decode(raw)
        if lessons is None:
            _log.warning("%s: what it taught cannot be read from %s; it is learned again", device, self._path(device))
        return lessons or Lessons()

    def write(self, device: str, lessons: Lessons) -> None:
        """Keep what a device has taught."""
        if self._directory is None:
            return
        path = self._path(device)
        try:
            if not lessons:
                with contextlib.suppress(FileNotFoundError):
                    path.unlink()
                return
            self._directory.mkdir(parents=True, exist_ok=True)
            fresh = path.with_suffix(".new")
            fresh.write_bytes(lessons.encode())
            fresh.replace(path)
        except OSError as exc:
            if not self._complained:
                _log.warning("%s: what it taught cannot be kept: %s; it is learned again after a restart", device, exc)
            self._complained = True

    def _path(self, device: str) -> Path:
        assert self._directory is not None
        return self._directory / f"{quote(device, safe='')}.json"
