"""Clears intervals in a process that can be killed, so that no solver can hold up the service, whatever it does.

HiGHS runs for as long as it likes, its own time limit is no guarantee, and a fault in it takes its whole process along. So the engine
lives in a process of its own (:mod:`streams.solverchild`), begun once and kept warm. Inputs go to it and an outcome comes back; how
long that may take is :class:`SolverLimits`, the ladder of an interval::

    first try ── soft deadline ──▶ killed, a new process ── hard stop ──▶ killed: ClearingFailed(SOLVER_TIMEOUT)
       └── died ──▶ a new process ── died again ──▶ ClearingFailed(SOLVER_STATUS), with exit code or signal

Where the case has outages to be secured against, the try after a soft deadline is made without them, and its result says so
(``Cleared.eased``). Otherwise both tries are the same official run, and an answer is the same whichever gave it: what the second one
helps against then is a process that is stuck or was killed, not a program that is hard. Every failure that ends here names all that was
tried. It depends on the machine, so it is noted and recorded as a fact, and a replay takes it as recorded (:mod:`streams.replay`).

A process that dies while nobody asks is begun again at once, then after waiting times that double.

Deliberately absent: what an interval without a result costs (the breaker's), and results that are computed in-process where there is no
solver process: a service that cannot start one says so at ``/ready``.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import pickle
import random
import signal
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NoReturn

from market.engine import ClearingEngine
from market.outcomes import ClearingFailed, ClearingInputs, FailureReason, Outcome
from streams.backoff import backoff_s
from streams.solverframes import HEADER_BYTES, Answer, BadFrame, Request, WarmCheck, decode_answer, encode, framed, length_of

__all__ = ["SolverHealth", "SolverLimits", "SolverProcess"]

_log: Final = logging.getLogger(__name__)

_TRIES: Final = 2
_LAST_WORDS: Final = 16_384
"""Bytes of the process' standard error that are kept: a fault handler's traceback, and the modules it lists behind it."""
_SHOWN_CHARS: Final = 600
_CLOSED: Final = "closed its pipe and was killed"
_BURIED_S: Final = 5.0
"""How long the kernel may take to be done with a killed process; one in the midst of a disk operation is left to it."""
_BEGUN_S: Final = 60.0
"""How long a process may take until its engine is there; that of a shipped case takes a second."""
_WARM_GAP_MOST: Final = 1e-8
"""Objectives of two runs to one optimum may differ by so much of their size: the solver's own tolerance."""
_AGAIN_FIRST_S: Final = 0.5
_AGAIN_MAX_S: Final = 30.0

COMMAND: Final = (sys.executable, "-P", "-m", "streams.solverchild")


@dataclass(frozen=True, slots=True, kw_only=True)
class SolverLimits:
    """How long a clearing may take, and how much memory.

    Attributes:
        interval_s: length of an interval, s.
        retry_after_s: the soft deadline of the first try. Policy: a warm run may take 2 s, and the longest cold run measured (9,241
            buses with every outage) took 1.2 s on a quiet machine; a busy one is some times slower.
        hard_stop_pct: the hard stop, % of an interval, counted from when the inputs were handed over. Policy: nine tenths of the
            interval are left to those who must act on the failure.
        memory_mb: most data of the process.
    """

    interval_s: float
    retry_after_s: float = 5.0
    hard_stop_pct: float = 10.0
    memory_mb: int = 4096

    @property
    def hard_stop_s(self) -> float:
        """The hard stop, s."""
        return self.interval_s * self.hard_stop_pct / 100.0


@dataclass(slots=True)
class SolverHealth:
    """What the service says of its solver process.

    Attributes:
        pid: of the running process, None while there is none.
        starts: processes begun; ends: how the others ended, by ``killed`` (by us, at a deadline) and ``died``.
        deaths_in_row: how many ended without a single answer in between.
        last_end: how the last one ended, for people.
        solve_s: how long the last answer took, wall s.
        resident_bytes, peak_bytes: memory of the process at its last answer.
        warm_gap: how far the objective of the last warm check was from the official one, relative; None before the first.
        warm_s: how long that check took, wall s.
    """

    pid: int | None = None
    starts: int = 0
    ends: Counter[str] = field(default_factory=Counter)
    deaths_in_row: int = 0
    last_end: str = ""
    solve_s: float = 0.0
    resident_bytes: int = 0
    peak_bytes: int = 0
    warm_gap: float | None = None
    warm_s: float = 0.0


class _Ended(Exception):
    """The process ended, or what it says makes no sense; the message says how."""


class SolverProcess:
    """One process that clears, and whatever it takes to have one.

    Args:
        make_engine: builds the engine, in the process; must pickle (a function of a module with its arguments).
        limits: how long and how much.
        make_eased: builds one that knows of no outage, likewise; None where the case has none.
        command: what is run; the memory bound follows as an argument.

    Attributes:
        health: what became of it so far.
    """

    def __init__(
        self,
        make_engine: Callable[[], ClearingEngine],
        limits: SolverLimits,
        command: Sequence[str] = COMMAND,
        make_eased: Callable[[], ClearingEngine] | None = None,
    ) -> None:
        self._engine = framed(pickle.dumps((make_engine, make_eased), protocol=5))
        self._may_ease = make_eased is not None
        self._limits = limits
        self._command = (*command, str(limits.memory_mb))
        self.health = SolverHealth()
        self._process: asyncio.subprocess.Process | None = None
        self._words = bytearray()
        self._listener: asyncio.Task[None] | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._turn = asyncio.Lock()
        self._numbers = 0

    def start(self) -> None:
        """Begin to have a process, in the background, and go on having one until :meth:`stop`."""
        if self._keeper is None:
            self._keeper = asyncio.create_task(self._keep(), name="solver process")

    async def stop(self) -> None:
        """End it, whatever it is at."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
            self._keeper = None
        await self._end("stopped")

    def missing(self) -> list[str]:
        """Name what is not ready, with its remedy; empty while a process is there to clear."""
        if self.health.pid is not None:
            return []
        if not self.health.deaths_in_row:
            return ["solver: its process is being started; wait"]
        times = f"{self.health.deaths_in_row} times in a row" if self.health.deaths_in_row > 1 else "once"
        remedy = "it is begun again; where that does not end see the log, the machine's memory and solver.memory_mb in the settings"
        return [f"solver: its process ended {times}, last: {self.health.last_end}; {remedy}"]

    async def clear(self, inputs: ClearingInputs) -> Outcome:
        """Clear one interval within the limits; never raises for what a process does."""
        loop = asyncio.get_running_loop()
        hard_s = loop.time() + self._limits.hard_stop_s
        try:
            # Whoever has the turn is beginning a process, which has limits of its own.
            async with asyncio.timeout_at(hard_s):
                await self._turn.acquire()
        except TimeoutError:
            return self._failed(inputs, FailureReason.SOLVER_TIMEOUT, ["its process was still being started"])
        try:
            return await self._tried(inputs, hard_s)
        finally:
            self._turn.release()

    async def _tried(self, inputs: ClearingInputs, hard_s: float) -> Outcome:
        loop = asyncio.get_running_loop()
        tried: list[str] = []
        reason = FailureReason.SOLVER_TIMEOUT
        for each in range(1, _TRIES + 1):
            began_s = loop.time()
            until_s = hard_s if each == _TRIES else min(hard_s, began_s + self._limits.retry_after_s)
            try:
                async with asyncio.timeout_at(until_s):
                    late = bool(tried) and reason is FailureReason.SOLVER_TIMEOUT
                    outcome = await self._answered(inputs, eased=late and self._may_ease)
            except TimeoutError:
                who = "a process" if self._process is None else f"process {self._process.pid}"
                tried.append(f"try {each}: {who} gave no answer in {loop.time() - began_s:.1f} s and was killed")
                reason = FailureReason.SOLVER_TIMEOUT
                await self._end("killed")
            except _Ended as exc:
                tried.append(f"try {each}: {exc}")
                reason = FailureReason.SOLVER_STATUS
            except asyncio.CancelledError:
                # What it would answer is an answer to nobody; the next request must not find it.
                await asyncio.shield(self._end("stopped"))
                raise
            else:
                self.health.solve_s = loop.time() - began_s
                return outcome
            _log.error("clearing interval %d: %s", inputs.interval_start_ns, tried[-1])
            if loop.time() >= hard_s:
                break
        return self._failed(inputs, reason, tried)

    def _failed(self, inputs: ClearingInputs, reason: FailureReason, tried: Sequence[str]) -> ClearingFailed:
        return ClearingFailed(
            interval_start_ns=inputs.interval_start_ns,
            completed_at_ns=inputs.frozen_at_ns,
            reason=reason,
            detail=f"{'; '.join(tried)} (hard stop {self._limits.hard_stop_s:g} s)",
        )

    async def _answered(self, inputs: ClearingInputs, *, eased: bool) -> Outcome:
        """Ask the process, with a new one first where there is none.

        Raises:
            _Ended: it ended, or answered nonsense and was ended.
        """
        process = self._process or await self._begun()
        self._numbers += 1
        await self._say(process, encode(Request(number=self._numbers, inputs=inputs, eased=eased)))
        answer = await self._hear(process, self._numbers)
        if (outcome := answer.outcome) is None:
            return await self._gave_up("answered without an outcome")
        self.health.deaths_in_row = 0
        if answer.check is not None:
            self._note_check(answer.check)
        return outcome

    def _note_check(self, check: WarmCheck) -> None:
        self.health.warm_gap, self.health.warm_s = check.gap, check.seconds
        if check.gap > _WARM_GAP_MOST:
            why = check.failure or f"the objectives differ by {check.gap:.2e}"
            where = {"interval_start_ns": check.interval_start_ns, "gap": check.gap}
            _log.warning("interval %d: the warm run contradicts the official one: %s", check.interval_start_ns, why, extra=where)

    async def _begun(self) -> asyncio.subprocess.Process:
        """Begin a process and return it once its engine is there."""
        self._words = bytearray()
        env = os.environ | {"PYTHONPATH": os.pathsep.join(_roots()), "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
        try:
            process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env=env,
                # A terminal's Ctrl-C is for the service, which finishes what is in work.
                start_new_session=True,
            )
        except OSError as exc:
            self._noted_end("died", f"cannot be started: {exc.strerror or exc}: {self._command[0]}")
            raise _Ended(self.health.last_end) from exc
        self._process = process
        self.health.starts += 1
        self._listener = asyncio.create_task(self._listen(process, self._words))
        await self._say(process, self._engine)
        await self._hear(process, 0)
        self.health.pid = process.pid
        return process

    async def _say(self, process: asyncio.subprocess.Process, frame: bytes) -> None:
        assert process.stdin is not None
        try:
            process.stdin.write(frame)
            await process.stdin.drain()
        except (ConnectionError, RuntimeError):
            await self._gave_up(_CLOSED, within_s=_BURIED_S)

    async def _hear(self, process: asyncio.subprocess.Process, number: int) -> Answer:
        assert process.stdout is not None
        try:
            length = length_of(await process.stdout.readexactly(HEADER_BYTES))
            answer = decode_answer(await process.stdout.readexactly(length), number)
        except BadFrame as exc:
            return await self._gave_up(f"answered with {exc} and was killed")
        except (asyncio.IncompleteReadError, ConnectionError):
            return await self._gave_up(_CLOSED, within_s=_BURIED_S)
        self.health.resident_bytes, self.health.peak_bytes = answer.resident_bytes, answer.peak_bytes
        return answer

    async def _gave_up(self, what: str, within_s: float = 0.0) -> NoReturn:
        """End a process that is of no use any more, and say so.

        Args:
            what: what is wrong with it, unless it ends by itself.
            within_s: how long it may take to end by itself.

        Raises:
            _Ended: always.
        """
        process = self._process
        assert process is not None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await process.wait()
        await self._end("died", what if process.returncode is None else _how(process.returncode))
        raise _Ended(f"process {process.pid} {self.health.last_end}")

    async def _end(self, how: str, what: str = "") -> None:
        """Kill the process if it runs, and forget it."""
        process, listener = self._process, self._listener
        self._process = self._listener = None
        self.health.pid = None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        try:
            async with asyncio.timeout(_BURIED_S):
                await process.wait()
                # To their ends, so that the pipes are closed when this returns.
                while process.stdout is not None and await process.stdout.read(1 << 16):
                    pass
                if listener is not None:
                    await listener
        except TimeoutError:
            _log.error("solver process %d does not end; the kernel has it", process.pid)
        if listener is not None:
            listener.cancel()
        if process.stdin is not None:
            process.stdin.close()
        if how != "stopped":
            words = _told(self._words)
            self._noted_end(how, (what or "gave no answer and was killed") + (f": {words}" if words and how == "died" else ""))

    def _noted_end(self, how: str, what: str) -> None:
        self.health.ends[how] += 1
        self.health.deaths_in_row += 1
        self.health.last_end = what

    async def _listen(self, process: asyncio.subprocess.Process, words: bytearray) -> None:
        """Keep the last of what the process says on its standard error."""
        assert process.stderr is not None
        while chunk := await process.stderr.read(1 << 14):
            words += chunk
            del words[:-_LAST_WORDS]

    async def _keep(self) -> None:
        """Have a process while nobody asks: begin one, and another where one dies."""
        while True:
            if self._process is None and (again := self.health.deaths_in_row - 1) > 0:
                spread = random.random()  # noqa: S311 (spreads waiting times, decides nothing)
                await asyncio.sleep(backoff_s(again, _AGAIN_FIRST_S, _AGAIN_MAX_S, spread))
            async with self._turn:
                if self._process is None:
                    await self._begun_in_time()
                process = self._process
            if process is None:
                continue
            await process.wait()
            async with self._turn:
                if self._process is process:
                    await self._end("died", _how(process.returncode or 0))
                    _log.error("solver process %d ended while nobody asked: %s", process.pid, self.health.last_end)

    async def _begun_in_time(self) -> None:
        try:
            async with asyncio.timeout(_BEGUN_S):
                await self._begun()
        except _Ended:
            _log.error("the solver process cannot be started: %s", self.health.last_end)
        except TimeoutError:
            await self._end("killed", "was not there in time and was killed")


def _how(returncode: int) -> str:
    """Say how a process ended.

    >>> _how(-9), _how(3)
    ('was killed by SIGKILL (out of memory, or by hand)', 'ended with exit code 3')
    """
    if returncode >= 0:
        return f"ended with exit code {returncode}"
    name = signal.Signals(-returncode).name if -returncode in {each.value for each in signal.Signals} else f"signal {-returncode}"
    return f"was killed by {name}" + (" (out of memory, or by hand)" if name == "SIGKILL" else "")


def _told(words: bytearray) -> str:
    r"""Return what matters of last words, in one line: how a fault began, or how a traceback ended.

    >>> _told(bytearray(b"Fatal Python error: Aborted\n File x\nExtension modules: a, b"))
    'Fatal Python error: Aborted File x'
    """
    text = words.decode(errors="replace").partition("Extension modules")[0]
    before, fault, behind = text.rpartition("Fatal Python error")
    line = " ".join((fault + behind if fault else before + behind).split())
    return line[:_SHOWN_CHARS] if fault else line[-_SHOWN_CHARS:]


def _roots() -> list[str]:
    """Return where the process finds our rooms and whatever this one finds; its own working directory is none of its business."""
    root = str(Path(__file__).resolve().parents[1])
    return [root, *(path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path and path != root)]
