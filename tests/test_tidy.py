"""The source tree keeps its own rules; what a tool can check is not left to memory.

The ratchets may only be tightened: a limit that a file needs raised is a file that needs splitting.
"""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterator
from functools import lru_cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("market", "detectors", "ingest", "streams", "console", "dashboards")
SOURCES = sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))

FILE_LINES_MAX = 500
FUNCTION_LINES_MAX = 70

PURE = (
    "market",
    "detectors",
    *(f"ingest/{name}.py" for name in ("frame", "quality", "points")),
    *(f"ingest/{name}.py" for name in ("account", "checks", "counting", "movement", "pointchecks", "qualitymap")),
    *(
        f"streams/{name}.py"
        for name in (
            *("alertrecord", "alerts", "breaker", "clearing", "drill", "edges", "findings", "grid"),
            *("handlingalerts", "image", "intake", "kpis"),
            *("lastvalues", "past", "sentences", "sourceclock", "topics", "wire", "words"),
        )
    ),
)
"""Where nothing may read a clock, draw a random number or wait."""

IMPURE_CALLS = re.compile(
    r"\b(datetime\.(now|utcnow|today)|date\.today|time\.(time|time_ns|monotonic|sleep)|asyncio\.|random\.|os\.(environ|urandom))"
)


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


HEAD = re.compile(r"( *)(?:async def|def|class) ")


def may_be_long(path: Path) -> bool:
    """Whether a function of this file could be too long: from one head to the next that stands no deeper, or to the end of the file."""
    lines = path.read_text(encoding="utf-8").splitlines()
    heads = [(number, len(found[1])) for number, line in enumerate(lines) if (found := HEAD.match(line))]
    for place, (number, depth) in enumerate(heads):
        end = next((later for later, its_depth in heads[place + 1 :] if its_depth <= depth), len(lines))
        if end - number > FUNCTION_LINES_MAX and lines[number].lstrip()[0] != "c":
            return True
    return False


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def test_files_can_be_held_in_the_head() -> None:
    long = {name(p): lines for p in SOURCES if (lines := len(p.read_text(encoding="utf-8").splitlines())) > FILE_LINES_MAX}
    assert long == {}


def test_functions_fit_on_a_screen() -> None:
    long = {
        f"{name(path)}:{node.name}": length
        for path in SOURCES
        if may_be_long(path)
        for node in functions(path)
        if (length := (node.end_lineno or node.lineno) - node.lineno + 1) > FUNCTION_LINES_MAX
    }
    assert long == {}


def test_what_decides_reads_no_clock() -> None:
    pure = [path for path in SOURCES if name(path).startswith(PURE)]
    assert len(pure) > 30
    found = [f"{name(p)}: {m.group()}" for p in pure for m in [IMPURE_CALLS.search(p.read_text(encoding="utf-8"))] if m]
    assert found == []


@lru_cache(maxsize=1)
def kept() -> dict[str, str]:
    """Every text of the project by its name, read once; what is installed beside it is not walked through."""
    texts: dict[str, str] = {}
    for folder, folders, files in os.walk(ROOT):
        folders[:] = [each for each in folders if each not in {".venv", ".servers", ".git", "node_modules", "vendor"}]
        for path in (Path(folder) / file for file in files):
            if path.suffix in {".py", ".md", ".toml", ".yaml", ".sh", ".js", ".css", ".html"}:
                texts[name(path)] = path.read_text(encoding="utf-8", errors="ignore")
    return texts


@pytest.mark.parametrize("word", ["TODO", "FIXME", "XXX", "/work/", "/tmp/", "host.internal"])
def test_nothing_left_lying_about(word: str) -> None:
    found = [where for where, text in kept().items() if where != name(Path(__file__)) and word in text]
    assert found == []


def test_no_drawer_for_odds_and_ends() -> None:
    assert [name(p) for p in SOURCES if p.stem in {"utils", "util", "common", "helpers", "misc"}] == []


def test_every_room_is_typed_and_docker_is_none() -> None:
    assert [room for room in ROOMS if not (ROOT / room / "py.typed").exists()] == []
    assert not (ROOT / "docker" / "__init__.py").exists(), "it would shadow the docker package"


def test_no_other_distribution_owns_our_names() -> None:
    """The rooms are top-level packages; a dependency with the same name would be imported instead of ours, or we instead of it."""
    owners = packages_distributions()
    taken = {room: owners[room] for room in ROOMS if room in owners and set(owners[room]) != {"gridfuse"}}
    assert taken == {}


def test_every_topic_is_in_the_table() -> None:
    from streams import topics

    declared = {topic.name for topic in topics.TOPICS}
    written = {
        found
        for path in SOURCES
        if path.name != "topics.py"
        for found in re.findall(r'"((?:telemetry|grid|market|kpi|alerts|dead_letters)[a-z_.]*\.v\d+)"', path.read_text(encoding="utf-8"))
    }
    assert written - declared == set()


def test_exactly_once_is_never_asked_for() -> None:
    """Faust's exactly_once loses table updates in a crash on Kafka."""
    from streams.transport import faust_settings

    assert faust_settings("embedded:///x", Path("/x"), "i")["processing_guarantee"] == "at_least_once"
