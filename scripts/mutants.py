"""Is every comparator, constant and guard of the machines held by a test?

Changes one of them at a time, runs the tests that ought to notice, and reports which changes nobody noticed::

    python scripts/mutants.py                         # all machines, two processes
    python scripts/mutants.py market/segment.py -j 4  # one file
    python scripts/mutants.py --list                  # what would be changed

A mutant is *killed* when a test fails, the module cannot be imported, or the tests do not come to an end in time. Mutants that change
nothing a test could see stand in ``tests/mutants.yaml`` with the reason; any other survivor makes the exit code 1.

Each mutant runs in a process forked from one that has the heavy libraries imported and none of our modules, so that a mutant costs the
time of its tests.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import importlib.abc
import importlib.machinery
import io
import os
import resource
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
SURVIVORS: Final = ROOT / "tests" / "mutants.yaml"
_TIMEOUT_S: Final = 120
_MEMORY_BYTES: Final = 6 << 30

MACHINES: Final[dict[str, tuple[str, ...]]] = {
    **dict.fromkeys(
        (
            "market/segment.py",
            "market/segmentorders.py",
            "market/segmentstate.py",
            "market/tripping.py",
            "market/recovery.py",
            "market/suspension.py",
        ),
        ("tests/unit/market/test_segment*.py", "tests/unit/market/test_transitions*.py"),
    ),
    "market/operatingdays.py": ("tests/unit/market/test_operatingdays*.py", "tests/unit/market/test_segment*.py"),
    "market/duties.py": ("tests/unit/market/test_duties*.py",),
    "market/dutyledger.py": ("tests/unit/market/test_duties*.py",),
    "market/approvals.py": ("tests/unit/market/test_approvals*.py",),
    "market/notices.py": ("tests/unit/market/test_notices*.py", "tests/unit/market/test_anomalynotices*.py"),
    "market/anomalynotices.py": ("tests/unit/market/test_anomalynotices*.py",),
    "market/announcements.py": ("tests/unit/market/test_announcements*.py", "tests/unit/market/test_notices*.py"),
    "market/casebook.py": ("tests/unit/market/test_casebook*.py",),
    "market/caseorders.py": ("tests/unit/market/test_casebook*.py",),
    "market/caserecord.py": ("tests/unit/market/test_casebook*.py",),
    "market/spot.py": ("tests/unit/market/test_spot*.py",),
    "market/commands.py": ("tests/unit/market/test_commands*.py",),
    "market/rulebook.py": ("tests/unit/market/test_rulebook*.py",),
    "market/rules.py": ("tests/unit/market/test_rules*.py",),
    "market/regimes.py": ("tests/unit/market/test_regimes*.py",),
    "market/prices.py": ("tests/unit/market/test_prices*.py", "tests/unit/market/test_pricebook*.py"),
    "market/pricebook.py": ("tests/unit/market/test_pricebook*.py", "tests/unit/market/test_publishing*.py"),
    "market/publishing.py": ("tests/unit/market/test_publishing*.py",),
    "market/reference.py": ("tests/unit/market/test_reference*.py", "tests/unit/market/test_publishing*.py"),
    "market/dayaheadprices.py": (
        *("tests/unit/market/test_dayaheadrecords*.py", "tests/unit/market/test_pricebook*.py", "tests/unit/market/test_publishing*.py"),
    ),
    "market/dayaheadrecords.py": ("tests/unit/market/test_dayaheadrecords*.py",),
    "market/settlement.py": ("tests/unit/market/test_settlement*.py",),
    "detectors/failed_clearing.py": ("tests/unit/detectors/test_failed_clearing*.py",),
    "detectors/day_ahead.py": ("tests/unit/detectors/test_day_ahead*.py",),
    "detectors/dayaheadresult.py": ("tests/unit/detectors/test_day_ahead*.py",),
    "detectors/switchover.py": ("tests/unit/detectors/test_switchover*.py",),
    "detectors/situations.py": ("tests/unit/detectors/test_situations*.py",),
    "detectors/fieldorders.py": ("tests/unit/detectors/test_fieldorders*.py",),
    **{
        f"detectors/{name}.py": (f"tests/unit/detectors/test_{name}*.py", "tests/unit/detectors/test_topology*.py")
        for name in (
            *("topology_change", "elements", "positions", "losses", "stations", "islands", "loadlost", "infeeds"),
            *("voltages", "sight", "permits", "evidence", "topologywatch"),
        )
    },
}
"""Module → the tests that know it best; whatever survives them meets :data:`_WHOLE`."""

_WHOLE: Final = ("tests/unit/streams/test_breaker*.py", "tests/unit/streams/test_drills*.py", "tests/property/test_breaker*.py")

_QUIET: Final = ("-W", "ignore::pytest.PytestAssertRewriteWarning")
"""The libraries are imported already when pytest starts, on purpose."""

_FLIPPED: Final[dict[type[ast.cmpop], tuple[str, str]]] = {
    ast.Lt: ("<", "<="),
    ast.LtE: ("<=", "<"),
    ast.Gt: (">", ">="),
    ast.GtE: (">=", ">"),
    ast.Eq: ("==", "!="),
    ast.NotEq: ("!=", "=="),
    ast.Is: ("is", "is not"),
    ast.IsNot: ("is not", "is"),
    ast.In: ("in", "not in"),
    ast.NotIn: ("not in", "in"),
}


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change of one module: the text from ``start`` to ``end`` becomes ``text``."""

    path: str
    line: int
    what: str
    start: int
    end: int
    text: str

    def source(self, original: str) -> str:
        """Return the module with the change made."""
        return original[: self.start] + self.text + original[self.end :]


class _Finder(ast.NodeVisitor):
    """Collects the changes of one module."""

    def __init__(self, path: str, source: str) -> None:
        self._path, self._source = path, source
        self._lines = [0]
        for line in source.splitlines(keepends=True):
            self._lines.append(self._lines[-1] + len(line))
        self.mutants: list[Mutant] = []

    def _at(self, line: int, column: int) -> int:
        # Columns count bytes of UTF-8, places in the text count characters.
        start = self._lines[line - 1]
        text = self._source[start : self._lines[line]]
        return start + len(text.encode()[:column].decode())

    def _span(self, node: ast.expr) -> tuple[int, int]:
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        return self._at(node.lineno, node.col_offset), self._at(node.end_lineno, node.end_col_offset)

    def _add(self, node: ast.expr, what: str, start: int, end: int, text: str) -> None:
        self.mutants.append(Mutant(self._path, node.lineno, " ".join(what.split()), start, end, text))

    def _text(self, node: ast.expr) -> str:
        start, end = self._span(node)
        return self._source[start:end]

    def _guard(self, node: ast.expr) -> None:
        start, end = self._span(node)
        for value in ("True", "False"):
            self._add(node, f"guard {self._text(node)} -> {value}", start, end, f"({value})")

    def visit_Compare(self, node: ast.Compare) -> None:
        """Flip each comparator."""
        left = node.left
        for operator, right in zip(node.ops, node.comparators, strict=True):
            start, end = self._span(left)[1], self._span(right)[0]
            between = self._source[start:end]
            sign, flipped = _FLIPPED[type(operator)]
            place = start + between.index(sign)
            self._add(node, f"{self._text(node)}: {sign} -> {flipped}", place, place + len(sign), flipped)
            left = right
        self.generic_visit(node)

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        """Drop each part of a condition of several."""
        neutral = "True" if isinstance(node.op, ast.And) else "False"
        for part in node.values:
            start, end = self._span(part)
            self._add(part, f"without {self._text(part)}", start, end, f"({neutral})")
        self.generic_visit(node)

    def visit_If(self, node: ast.If) -> None:
        """Have the guard always hold, and never."""
        self._guard(node.test)
        self.generic_visit(node)

    def visit_IfExp(self, node: ast.IfExp) -> None:
        """Likewise for a conditional expression."""
        self._guard(node.test)
        self.generic_visit(node)

    def visit_match_case(self, node: ast.match_case) -> None:
        """Likewise for the guard of a case."""
        if node.guard is not None:
            self._guard(node.guard)
        self.generic_visit(node)

    def visit_comprehension(self, node: ast.comprehension) -> None:
        """Take everything where only some is wanted."""
        for test in node.ifs:
            start, end = self._span(test)
            self._add(test, f"filter {self._text(test)} -> True", start, end, "(True)")
        self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        """Change each number and each truth value."""
        if isinstance(node.value, bool):
            self._add(node, f"{node.value} -> {not node.value}", *self._span(node), str(not node.value))
        elif isinstance(node.value, int | float):
            text = self._text(node)
            self._add(node, f"{text} -> {text} + 1", *self._span(node), f"({text} + 1)")

    def visit_BinOp(self, node: ast.BinOp) -> None:
        """Turn plus into minus, and back."""
        if isinstance(node.op, ast.Add | ast.Sub) and not isinstance(node.left, ast.JoinedStr | ast.Tuple):
            start, end = self._span(node.left)[1], self._span(node.right)[0]
            between = self._source[start:end]
            sign, other = ("+", "-") if isinstance(node.op, ast.Add) else ("-", "+")
            if between.count(sign) == 1:
                self._add(node, f"{self._text(node)}: {sign} -> {other}", start, end, between.replace(sign, other))
        self.generic_visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        """Look at what is done, not at annotations."""
        for default in (*node.args.defaults, *(d for d in node.args.kw_defaults if d is not None)):
            self.visit(default)
        for statement in node.body:
            self.visit(statement)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        """Look at the value, not at the annotation."""
        if node.value is not None:
            self.visit(node.value)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        """Look into the body, not at the decorator's arguments."""
        for statement in node.body:
            self.visit(statement)

    def visit_Assert(self, node: ast.Assert) -> None:
        """An assertion is a test itself."""

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        """Words are for people."""


def mutants_of(path: str) -> list[Mutant]:
    """Return every change of a module, in the order of its lines."""
    source = (ROOT / path).read_text()
    finder = _Finder(path, source)
    finder.visit(ast.parse(source))
    found = {(m.start, m.end, m.text): m for m in finder.mutants}
    return sorted(found.values(), key=lambda m: (m.line, m.start))


class _Mutated(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports one module from changed source."""

    def __init__(self, name: str, path: Path, source: str) -> None:
        self._name, self._path, self._changed = name, path, source

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Claim the module that was changed."""
        if fullname != self._name:
            return None
        return importlib.machinery.ModuleSpec(fullname, self, origin=str(self._path))

    def exec_module(self, module: ModuleType) -> None:
        """Run the changed source as the module."""
        module.__file__ = str(self._path)
        exec(compile(self._changed, str(self._path), "exec"), module.__dict__)  # noqa: S102 - our own source with one change


def _tests(patterns: Sequence[str]) -> list[str]:
    return sorted({str(path) for pattern in patterns for path in ROOT.glob(pattern)})


def _run(mutant: Mutant | None, path: str, *, own_only: bool) -> int:
    """Run, in this process, what ought to notice a change: 1 where it was noticed, 0 where not."""
    import pytest

    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    signal.alarm(_TIMEOUT_S)
    sys.path.insert(0, str(ROOT))
    os.chdir(ROOT)
    if mutant is not None:
        name = path.removesuffix(".py").replace("/", ".")
        sys.meta_path.insert(0, _Mutated(name, ROOT / path, mutant.source((ROOT / path).read_text())))
    own = _tests(MACHINES[path])
    for tests in (own, [] if own_only else [test for test in _tests(_WHOLE) if test not in own]):
        if not tests:
            continue
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            code = pytest.main(["-x", "-q", "--no-header", "-p", "no:cacheprovider", "-p", "no:xdist", "-m", "not slow", *_QUIET, *tests])
        if code:
            return 1
    return 0


def _forked(mutant: Mutant | None, path: str, *, own_only: bool) -> int:
    """Start a process that runs the tests; its exit code is what :func:`_run` says."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        devnull = os.open(os.devnull, os.O_WRONLY)
        os.dup2(devnull, 1)
        os.dup2(devnull, 2)
        code = _run(mutant, path, own_only=own_only)
    finally:
        os._exit(code)


def _noticed(status: int) -> bool:
    return os.waitstatus_to_exitcode(status) != 0


def _judged(todo: Sequence[Mutant], jobs: int, *, own_only: bool) -> Iterator[tuple[Mutant, bool]]:
    """Run mutants, so many at once; yields each with whether it was noticed."""
    running: dict[int, Mutant] = {}
    waiting = list(reversed(todo))
    while waiting or running:
        while waiting and len(running) < jobs:
            mutant = waiting.pop()
            running[_forked(mutant, mutant.path, own_only=own_only)] = mutant
        pid, status = os.wait()
        yield running.pop(pid), _noticed(status)


def _explained() -> dict[tuple[str, str, str], str]:
    """Return why a survivor is none, by module, line of text and change."""
    import yaml

    if not SURVIVORS.exists():
        return {}
    listed = yaml.safe_load(SURVIVORS.read_text()) or []
    return {(entry["module"], entry["line"].strip(), entry["change"]): entry["why"] for entry in listed}


def _name(mutant: Mutant) -> tuple[str, str, str]:
    line = (ROOT / mutant.path).read_text().splitlines()[mutant.line - 1].strip()
    return mutant.path, line, mutant.what


def main() -> int:
    """Run the mutants of the modules that are named, or of all machines."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("modules", nargs="*", help="files, as market/segment.py; all machines by default")
    parser.add_argument("-j", "--jobs", type=int, default=2)
    parser.add_argument("--own", action="store_true", help="only the tests that know the module best: faster, and more survive")
    parser.add_argument("--list", action="store_true", help="say what would be changed, and run nothing")
    chosen = parser.parse_args()
    if strangers := [path for path in chosen.modules if path not in MACHINES]:
        parser.error(f"{', '.join(strangers)}: not a machine; known: {', '.join(MACHINES)}")
    modules = [path for path in (chosen.modules or MACHINES) if (ROOT / path).exists()]
    todo = [mutant for path in modules for mutant in mutants_of(path)]
    if chosen.list:
        for mutant in todo:
            print(f"{mutant.path}:{mutant.line}: {mutant.what}")
        return 0
    # Heavy, and none of it ours: a fork has it for nothing.
    import hypothesis  # noqa: F401
    import msgspec  # noqa: F401
    import numpy as np  # noqa: F401
    import pydantic  # noqa: F401
    import pytest  # noqa: F401
    import scipy.sparse.linalg  # noqa: F401

    for path in modules:
        _, status = os.waitpid(_forked(None, path, own_only=chosen.own), 0)
        if _noticed(status):
            print(f"{path}: its tests fail, or take longer than {_TIMEOUT_S} s, without any change; nothing can be said of it")
            return 2
    explained = _explained()
    began, counts, survivors = time.monotonic(), dict.fromkeys(modules, 0), list[Mutant]()
    for mutant, noticed in _judged(todo, chosen.jobs, own_only=chosen.own):
        counts[mutant.path] += noticed
        if not noticed:
            survivors.append(mutant)
            why = explained.get(_name(mutant))
            print(
                f"{'equivalent' if why else 'SURVIVED'}  {mutant.path}:{mutant.line}: {mutant.what}{f'  ({why})' if why else ''}",
                flush=True,
            )
    for path in modules:
        print(f"{path}: {counts[path]} of {sum(m.path == path for m in todo)} killed")
    unexplained = [mutant for mutant in survivors if _name(mutant) not in explained]
    killed = len(todo) - len(survivors)
    print(
        f"{killed} of {len(todo)} mutants killed ({100 * killed / max(len(todo), 1):.1f} %), "
        f"{len(survivors) - len(unexplained)} explained, {len(unexplained)} unexplained, in {time.monotonic() - began:.0f} s"
    )
    return 1 if unexplained else 0


if __name__ == "__main__":
    sys.exit(main())
