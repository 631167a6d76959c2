"""A line of log: what stands in it, what never does, and that writing one costs nobody anything."""

from __future__ import annotations

import ast
import io
import json
import logging
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from sqlalchemy import make_url

from console.logs import JsonLines, LogWriter, Redactor, TextLines, log_to, lost_lines, secrets_of
from streams.settings import LogsModel, Settings, WebhookModel
from tests.kit.eventually import eventually

ROOT = Path(__file__).parents[3]


class Unprintable:
    def __repr__(self) -> str:
        raise ZeroDivisionError

    __str__ = __repr__


def record(message: str, *args: object, exc: BaseException | None = None, **extra: object) -> logging.LogRecord:
    made = logging.LogRecord("streams.x", logging.WARNING, __file__, 1, message, args, exc and (type(exc), exc, exc.__traceback__))
    made.created = 1577858400.0625
    vars(made).update(extra)
    return made


def said(made: logging.LogRecord, *secrets: str) -> dict[str, Any]:
    line = JsonLines(Redactor(secrets)).format(made)
    assert "\n" not in line
    found: dict[str, Any] = json.loads(line)
    return found


# ── the forms ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_json_line_has_its_instant_its_level_and_the_fields_that_were_given() -> None:
    assert said(record("%s at %d", "数据\nnext", 7, topic="t", offset=12, values=(1, float("nan")), path=Path("x"))) == {
        "ts": "2020-01-01T06:00:00.062Z",
        "level": "warning",
        "logger": "streams.x",
        "message": "数据\nnext at 7",
        "topic": "t",
        "offset": 12,
        "values": [1, "nan"],
        "path": "x",
    }


def test_an_exception_is_a_field() -> None:
    try:
        raise KeyError("area")
    except KeyError as exc:
        found = said(record("failed", exc=exc))["exception"]
    assert (found["type"], found["message"]) == ("KeyError", "'area'")
    assert found["traceback"].startswith("Traceback")


def test_a_text_line_is_one_line_whatever_the_field_sends() -> None:
    line = TextLines(Redactor()).format(record("device %s", "a\n2020-01-01 CRITICAL forged"))
    assert line == "2020-01-01T06:00:00.062Z WARNING streams.x: device a\\n2020-01-01 CRITICAL forged"


@pytest.mark.parametrize("form", [TextLines, JsonLines])
def test_a_call_that_is_wrong_is_written_as_far_as_it_can_be(form: type[logging.Formatter]) -> None:
    lines = form(Redactor())  # type: ignore[arg-type]
    assert "offset %d" in lines.format(record("offset %d", "seven"))
    assert "ZeroDivisionError" in lines.format(record("%s", Unprintable()))
    assert "cannot be shown" in JsonLines(Redactor()).format(record("x", strange=Unprintable(), more={Unprintable(): [Unprintable()]}))


def test_what_is_nested_without_end_is_cut() -> None:
    endless: list[Any] = []
    endless.append(endless)
    assert said(record("x", endless=endless))["endless"] == [[[["[[...]]"]]]]


# ── secrets ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "text",
    [
        "https://user:hush-hush@host/x",
        "kafka://hush-hush@h:9092 refuses",
        "GET http://h/x?token=hush-hush",
        "('https://h/x?a=1&token=hush-hush')",
        "{'Authorization': 'Token hush-hush', 'x': 1}",
        "Authorization: Bearer hush-hush",
        "the token is hush-hush.",
    ],
)
def test_secrets_stand_nowhere(text: str) -> None:
    try:
        raise OSError(text)
    except OSError as exc:
        made = record("%s", text, exc=exc, url=text, nested={"why": [text]}, error=exc)
    known = ("hush-hush",) if "the token is" in text else ()
    for form in (TextLines, JsonLines):
        line = form(Redactor(known)).format(made)
        assert "hush-hush" not in line
        assert "…" in line


def test_what_is_no_secret_is_left_alone() -> None:
    plain = "InfluxDB refuses org 'grid' at http://127.0.0.1:8086: check the token, the organisation and the bucket"
    assert Redactor(["", "grid"])(plain) == plain


def test_the_settings_say_what_is_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    influx = SimpleNamespace(token=lambda: "influx-token")
    webhook = WebhookModel(url="https://hooks.example/services/T00/B00/abcdef")
    database = make_url("postgresql+psycopg://u@h/d").set(password="word-of-the-ledger")
    secrets = secrets_of(cast("Settings", SimpleNamespace(influx=influx, webhook=webhook, database=database)))
    assert Redactor(secrets)(f"influx-token {webhook.url} word-of-the-ledger") == "… https://hooks.example/… …"


# ── the writing ──────────────────────────────────────────────────────────────────────────────────────────────────────


class Pipe(io.StringIO):
    """A standard error that takes nothing until it is read."""

    def __init__(self) -> None:
        super().__init__()
        self.read_on = threading.Event()

    def write(self, text: str) -> int:
        self.read_on.wait(10)
        return super().write(text)


@pytest.fixture
def logged() -> Iterator[logging.Logger]:
    root = logging.getLogger()
    before, level = root.handlers, root.level
    root.handlers = []
    yield root
    for handler in root.handlers:
        handler.close()
    root.handlers = before
    root.setLevel(level)


def test_a_pipe_that_nobody_reads_holds_nobody_up_and_what_is_lost_is_told(logged: logging.Logger) -> None:
    pipe = Pipe()
    writer = LogWriter(logging.StreamHandler(pipe), lines_max=5)
    writer.setFormatter(JsonLines(Redactor()))
    logged.handlers = [writer]
    for number in range(20):
        logged.warning("line %d", number)
    assert (writer.waiting, lost_lines()) == (5, 15)
    pipe.read_on.set()
    eventually("the queue is written", lambda: writer.waiting == 0)
    logged.warning("again")
    writer.flush()
    lines = [json.loads(line) for line in pipe.getvalue().splitlines()]
    assert [line["message"] for line in lines[:5]] == [f"line {number}" for number in range(5)]
    assert [line["message"] for line in lines[5:]] == ["again", "15 lines of log were lost: nobody took them"]
    assert lines[-1]["lines"] == 15


def test_a_disk_that_is_full_or_an_error_output_that_is_closed_costs_the_line_and_nothing_else(logged: logging.Logger) -> None:
    out = io.StringIO()
    writer = LogWriter(logging.StreamHandler(out))
    writer.setFormatter(TextLines(Redactor()))
    logged.handlers = [writer]
    out.close()
    logged.warning("in vain")
    eventually("it is counted", lambda: (writer.lost, writer.waiting) == (1, 0))
    assert writer._thread.is_alive()


@pytest.mark.parametrize(("form", "terminal", "json_lines"), [(None, True, False), (None, False, True), ("text", False, False)])
def test_a_terminal_gets_text_and_what_is_collected_gets_json(
    form: Any, terminal: bool, json_lines: bool, logged: logging.Logger, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = io.StringIO()
    monkeypatch.setattr(out, "isatty", lambda: terminal)
    monkeypatch.setattr(sys, "stderr", out)
    log_to(None, LogsModel(format=form))
    logging.getLogger("streams.x").info("hello")
    logging.getLogger("streams.x").debug("not this")
    logging.getLogger("faust").info("nor this")
    logged.handlers[0].flush()
    assert out.getvalue().startswith("{") is json_lines
    assert len(out.getvalue().splitlines()) == 1


def test_a_file_is_text_and_ends_whole(logged: logging.Logger, tmp_path: Path) -> None:
    log_to(tmp_path / "log", LogsModel(level="debug"), ["a-long-secret"])
    for number in range(100):
        logging.getLogger("x").debug("%d a-long-secret \udcff", number)
    logged.handlers[0].close()
    lines = (tmp_path / "log").read_text(encoding="utf-8").splitlines()
    assert [line.split(": ")[1] for line in lines] == [f"{number} … \\udcff" for number in range(100)]


# ── the calls ────────────────────────────────────────────────────────────────────────────────────────────────────────

FIELDS = {
    *("topic", "partition", "offset", "processor", "stage", "reason", "detail", "size_bytes", "exit_code", "day"),
    *("device", "area", "listener", "away_s", "seq", "nodes", "point", "unit", "mw"),
    *("sink", "state", "url", "segment", "place", "kept_as", "lines", "records", "row", "attempt", "attempts", "wait_s"),
    *("channel", "alert_id", "alert", "priority"),
    *("outcome", "problems", "interval_start_ns", "gap"),
}
"""The words of the log; a collector indexes by them, so one thing has one name."""


def fields_of(tree: ast.AST) -> Iterator[str]:
    """Names of the fields that calls of a log give: written in the call, or in a dictionary called ``where`` before it."""
    for node in ast.walk(tree):
        given = [key.value for key in node.keywords if key.arg == "extra"] if isinstance(node, ast.Call) else []
        if isinstance(node, ast.Assign) and any(isinstance(target, ast.Name) and target.id == "where" for target in node.targets):
            given.append(node.value)
        for dictionary in given:
            if isinstance(dictionary, ast.Dict):
                yield from (key.value for key in dictionary.keys if isinstance(key, ast.Constant) and isinstance(key.value, str))


def test_every_field_is_a_known_word_and_none_is_taken() -> None:
    """``logging`` raises at whoever gives ``name`` or ``args`` as a field."""
    sources = [path for room in ("ingest", "streams", "console") for path in (ROOT / room).rglob("*.py")]
    texts = [path.read_text(encoding="utf-8") for path in sources]
    used = {field for text in texts if "extra=" in text or "where = " in text for field in fields_of(ast.parse(text))}
    assert used <= FIELDS, used - FIELDS
    assert len(used) > 25
    assert not FIELDS & {*vars(logging.makeLogRecord({})), "message", "asctime", "ts", "level", "logger", "exception"}
