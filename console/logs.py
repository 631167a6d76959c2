"""What does one line of log look like, and what must it never cost?

Two forms of the same record: ``text`` for eyes, ``json`` for machines, one object per line with ``ts`` (UTC), ``level``, ``logger``,
``message``, ``exception`` where there is one, and whatever fields the code gave with ``extra=`` (topic, partition, offset, device, …).

A line never costs more than itself:

* a record that cannot be formatted is written as far as it can be; nothing is raised at whoever logged it;
* lines are written by a thread of their own. Standard error may be a pipe that nobody reads, and a file may be on a disk that hangs:
  what does not fit the queue meanwhile is lost and counted, and the event loop goes on;
* secrets are taken out: user and query of every URL, authorisation headers, and what :func:`secrets_of` names.
"""

from __future__ import annotations

import contextlib
import json
import logging
import math
import queue
import re
import sys
import threading
import time
import traceback
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from market.errors import ConfigError
from streams.settings import LogsModel, Settings

__all__ = ["JsonLines", "LogWriter", "Redactor", "TextLines", "log_to", "lost_lines", "secrets_of"]

_LIBRARIES: Final = ("asyncua", "pymodbus", "faust", "mode", "aiokafka", "uvicorn", "streams.transport")
"""And the transports, which speak with Faust's voice: they tell every connection and rebalance; what matters is counted and shown."""

_QUEUE_LINES_MAX: Final = 10_000
_FLUSH_S: Final = 2.0
"""Longest wait of an ending process for lines that are not written yet."""

_LOOK_S: Final = 0.005

_FILE_BYTES_MAX: Final = 10 << 20
_SECRET_CHARS_MIN: Final = 8
"""A shorter text is no secret, and would be found in half of all words."""

_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}
"""What every record carries; whatever else one has was given with ``extra=``."""

_HIDDEN: Final = "…"


class Redactor:
    """Takes secrets out of text.

    Args:
        secrets: texts that are replaced wherever they stand; those under eight characters are left alone.

    >>> Redactor(["hush-hush"])("POST https://u:p@host/x?token=1 with hush-hush")
    'POST https://…@host/x?… with …'
    """

    _URL_USER: Final = re.compile(r"(\b[a-z][a-z0-9+.-]*://)[^\s/@'\"<>]+@", re.IGNORECASE)
    _URL_QUERY: Final = re.compile(r"(\b[a-z][a-z0-9+.-]*://[^\s?'\"<>]*\?)[^\s'\"<>)]+", re.IGNORECASE)
    _AUTHORIZATION: Final = re.compile(r"(authorization['\"]?\s*[:=]\s*)(?:'[^']*'|\"[^\"]*\"|[^\n,;}]+)", re.IGNORECASE)

    def __init__(self, secrets: Collection[str] = ()) -> None:
        longest_first = sorted({one for one in secrets if len(one) >= _SECRET_CHARS_MIN}, key=len, reverse=True)
        self._secrets = re.compile("|".join(map(re.escape, longest_first))) if longest_first else None

    def __call__(self, text: str) -> str:
        """Return the text without secrets."""
        if self._secrets is not None:
            text = self._secrets.sub(_HIDDEN, text)
        if "://" in text:
            text = self._URL_QUERY.sub(rf"\1{_HIDDEN}", self._URL_USER.sub(rf"\1{_HIDDEN}@", text))
        return self._AUTHORIZATION.sub(rf"\1{_HIDDEN}", text)


def secrets_of(settings: Settings) -> list[str]:
    """Return what of the settings must stand in no log: InfluxDB's token, the ledger's password, and the path of a webhook."""
    secrets = []
    if settings.database is not None:
        secrets.append(settings.database.password or "")
    if settings.influx is not None:
        with contextlib.suppress(ConfigError):  # whoever needs it says so
            secrets.append(settings.influx.token())
    if settings.webhook is not None:
        parts = urlsplit(settings.webhook.url)
        secrets += [parts.path.strip("/"), parts.query, parts.password or ""]
    return secrets


class _Lines(logging.Formatter):
    """What both forms share: a message whatever was logged, and no secrets."""

    def __init__(self, redact: Redactor) -> None:
        super().__init__()
        self._redact = redact

    def _message(self, record: logging.LogRecord) -> str:
        try:
            return self._redact(record.getMessage())
        except Exception as exc:
            # A mistake in a call of the log must not hide what it wanted to say, nor reach who made it.
            return self._redact(f"{record.msg!s} (arguments {_text_of(record.args)} do not fit it: {type(exc).__name__})")

    def _traceback(self, record: logging.LogRecord) -> str:
        if record.exc_info and record.exc_info[0] is not None:
            return self._redact("".join(traceback.format_exception(*record.exc_info)).rstrip("\n"))
        return ""


class TextLines(_Lines):
    """``2020-01-01T06:00:00.000Z WARNING ingest.source: rtu-1: unavailable: …``, exceptions on lines of their own."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        message = self._message(record).replace("\n", "\\n")
        trace = self._traceback(record)
        return f"{_instant(record)} {record.levelname} {record.name}: {message}" + (f"\n{trace}" if trace else "")


class JsonLines(_Lines):
    """One JSON object on one line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        said: dict[str, Any] = {
            "ts": _instant(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": self._message(record),
        }
        given = {name: value for name, value in vars(record).items() if name not in _STANDARD and name not in said}
        said |= {name: self._plain(value) for name, value in given.items()}
        if record.exc_info and (kind := record.exc_info[0]) is not None:
            cause = self._redact(_text_of(record.exc_info[1], str))
            said["exception"] = {"type": kind.__qualname__, "message": cause, "traceback": self._traceback(record)}
        return json.dumps(said, ensure_ascii=False)

    def _plain(self, value: object, depth: int = 4) -> Any:
        """Return what JSON can carry of a value, without secrets."""
        if value is None or isinstance(value, bool | int):
            return value
        if isinstance(value, float):
            return value if math.isfinite(value) else str(value)
        if isinstance(value, str):
            return self._redact(str(value))
        if depth and isinstance(value, Mapping):
            return {_text_of(name, str): self._plain(one, depth - 1) for name, one in value.items()}
        if depth and isinstance(value, list | tuple | set | frozenset):
            return [self._plain(one, depth - 1) for one in value]
        return self._redact(_text_of(value, str))


def _instant(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _text_of(value: object, how: Any = repr) -> str:
    """Return a value as text, whatever its own methods do."""
    try:
        return str(how(value))
    except Exception as exc:
        return f"<{type(value).__name__} that cannot be shown: {type(exc).__name__}>"


class LogWriter(logging.Handler):
    """Formats a record where it is logged, and writes it in a thread of its own.

    Args:
        target: writes the lines.
        lines_max: lines that may wait.

    Attributes:
        lost: lines that found no room, or that could not be written.
    """

    def __init__(self, target: logging.Handler, lines_max: int = _QUEUE_LINES_MAX) -> None:
        super().__init__()
        target.setFormatter(logging.Formatter("%(message)s"))
        # Instead of a traceback on standard error, which may be what is broken.
        target.handleError = self._not_written  # type: ignore[method-assign]
        self._target = target
        self._lines_max = lines_max
        # Not queue.Queue: a finalizer may log in the midst of a put on the same thread, and its lock cannot be taken twice.
        self._lines: queue.SimpleQueue[logging.LogRecord | None] = queue.SimpleQueue()
        self._queued = 0
        self._written = 0
        self.lost = 0
        self._lost_told = 0
        self._thread = threading.Thread(target=self._write, name="log-lines", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Lines that are not written yet."""
        return self._queued - self._written

    def emit(self, record: logging.LogRecord) -> None:
        """Queue a record's line; one that finds no room is counted."""
        try:
            line = self.format(record)
        except Exception:
            self.handleError(record)
            return
        if self._put(line) and self.lost > self._lost_told:
            lost, self._lost_told = self.lost - self._lost_told, self.lost
            about = logging.LogRecord(__name__, logging.WARNING, __file__, 0, "%d lines of log were lost: nobody took them", (lost,), None)
            about.lines = lost
            self._put(self.format(about))

    def _put(self, line: str) -> bool:
        if self.waiting >= self._lines_max:
            self.lost += 1
            return False
        self._queued += 1
        self._lines.put(logging.makeLogRecord({"msg": line}))
        return True

    def _write(self) -> None:
        while (line := self._lines.get()) is not None:
            self._target.handle(line)
            self._written += 1

    def _not_written(self, record: logging.LogRecord) -> None:
        self.lost += 1

    def flush(self) -> None:
        """Wait until what was logged is written, two seconds at most."""
        end_s = time.monotonic() + _FLUSH_S
        while self.waiting > 0 and time.monotonic() < end_s:
            time.sleep(_LOOK_S)

    def close(self) -> None:
        """Write what waits, as :meth:`flush`, and end the thread."""
        self.flush()
        self._lines.put(None)
        self._thread.join(0 if self.waiting else _FLUSH_S)
        if not self._thread.is_alive():
            self._target.close()
        super().close()


def log_to(path: Path | None, logs: LogsModel | None = None, secrets: Collection[str] = ()) -> None:
    """Send messages to a rotating file, or to standard error where there is no path.

    Args:
        logs: form and level; by default text at ``info``. Without a form, a terminal and a file get text, everything else JSON.
        secrets: texts that must not be written.
    """
    logs = logs or LogsModel()
    if path is None:
        target: logging.Handler = logging.StreamHandler()
    else:
        target = RotatingFileHandler(path, maxBytes=_FILE_BYTES_MAX, backupCount=3, encoding="utf-8", errors="backslashreplace")
    form: Literal["text", "json"] = logs.format or ("text" if path is not None or sys.stderr.isatty() else "json")
    handler = LogWriter(target)
    handler.setFormatter((JsonLines if form == "json" else TextLines)(Redactor(secrets)))
    root = logging.getLogger()
    before, root.handlers = root.handlers, [handler]
    for old in before:
        if isinstance(old, LogWriter):
            old.close()
    level = logging.getLevelNamesMapping()[logs.level.upper()]
    root.setLevel(level)
    for name in _LIBRARIES:
        logging.getLogger(name).setLevel(max(level, logging.WARNING))


def lost_lines() -> int:
    """Return how many lines of log this process has lost because nobody took them."""
    return sum(handler.lost for handler in logging.getLogger().handlers if isinstance(handler, LogWriter))
