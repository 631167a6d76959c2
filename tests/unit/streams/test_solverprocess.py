"""A process that clears: whatever becomes of it, an interval ends in time with an outcome that says what was tried."""

from __future__ import annotations

import asyncio
import math
import os
import pickle
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from market.outcomes import Cleared, ClearingFailed, FailureReason, OutcomeStatus
from streams.outcome import eased, solved, warm_gap
from streams.solverchild import checked
from streams.solverframes import BadFrame, Request, decode_answer, length_of
from streams.solverprocess import SolverLimits, SolverProcess
from tests.kit import stubbornengines as engines
from tests.kit.eventually import eventually_async

LIMITS = SolverLimits(interval_s=600.0, retry_after_s=20.0, memory_mb=2048)
real = pytest.mark.slow  # begins interpreters that import the market, half a second each


def told(story: Callable[[SolverProcess], Awaitable[Any]], *args: Any, **more: Any) -> Any:
    """Run a story with a solver process, which is stopped at its end."""

    async def run() -> Any:
        solver = SolverProcess(*args, **more)
        try:
            return await story(solver)
        finally:
            await solver.stop()

    return asyncio.run(asyncio.wait_for(run(), 60))


def stand_in(script: str) -> tuple[str, ...]:
    """Return the command of a process that has nothing of the real one but the pipes: quick to begin, and as bad as a script makes it."""
    says = "import sys,time,os\nsays=lambda raw:(os.write(1,raw))\n"
    return (sys.executable, "-S", "-c", says + script)


HELLO = "says(b'GFs1'+(1 + 7 + 1).to_bytes(4,'little')+b'\\x81\\xa6number\\x00')\n"


def failed(outcome: object) -> ClearingFailed:
    assert isinstance(outcome, ClearingFailed), outcome
    return outcome


@real
def test_it_answers_what_the_engine_here_would_answer_byte_for_byte() -> None:
    async def story(solver: SolverProcess) -> None:
        here = engines.plain()
        for load_mw in (80.0, 10_000.0, -5.0):
            assert await solver.clear(engines.inputs(load_mw)) == solved(here, engines.inputs(load_mw))
        assert isinstance(await solver.clear(engines.inputs()), Cleared)
        assert (solver.health.starts, solver.health.ends, solver.missing()) == (1, {}, [])
        assert solver.health.peak_bytes >= solver.health.resident_bytes > 10 << 20

    told(story, engines.plain, LIMITS)


@real
def test_what_was_told_is_cleared_again_warm_in_a_pause_and_the_next_answer_says_how_far_apart_they_are(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def story(solver: SolverProcess) -> float | None:
        official = await solver.clear(engines.inputs(80.0))
        assert solver.health.warm_gap is None, "an answer waits for no check"
        for _ in range(20):  # as long as it takes on a machine that is busy
            await asyncio.sleep(2.0)
            assert await solver.clear(engines.inputs(80.0)) == official == solved(engines.plain(), engines.inputs(80.0))
            if solver.health.warm_gap is not None:
                break
        return solver.health.warm_gap

    gap = told(story, engines.plain, LIMITS)
    assert gap is not None
    assert gap <= 1e-8
    assert not caplog.records
    assert told(story, engines.wavering, LIMITS) == pytest.approx(0.5)
    (warning,) = caplog.records
    assert (warning.levelname, warning.__dict__["interval_start_ns"]) == ("WARNING", 900_000_000_000)
    assert "the objectives differ by 5.00e-01" in warning.getMessage()


def test_a_warm_run_that_breaks_or_finds_nothing_is_what_the_check_says() -> None:
    engine, asked = engines.wavering(), engines.inputs(90.0)
    official = solved(engine, asked)
    assert isinstance(official, Cleared)
    check = checked(engine, Request(number=1, inputs=asked), official)
    assert (check.interval_start_ns, check.gap) == (900_000_000_000, math.inf)
    assert "a pivot of zero" in check.failure
    gap, why = warm_gap(engine, engines.inputs(-5.0), official)
    assert gap == math.inf
    assert why.startswith("INPUT_INVALID")


def test_a_warm_run_changes_nothing_of_the_official_one_after_it() -> None:
    engine = engines.plain()
    for load_mw in (80.0, 120.0, 80.0, 300.0):
        official = solved(engine, engines.inputs(load_mw))
        assert official == solved(engines.plain(), engines.inputs(load_mw))
        assert isinstance(official, Cleared)
        assert warm_gap(engine, engines.inputs(load_mw), official)[0] <= 1e-8


@real
def test_killed_in_the_midst_of_a_solve_it_is_begun_again_and_the_interval_has_its_result() -> None:
    async def story(solver: SolverProcess) -> None:
        solver.start()
        await eventually_async("a process", lambda: solver.health.pid is not None)
        pid = solver.health.pid
        assert pid is not None
        clearing = asyncio.create_task(solver.clear(engines.inputs(1.0)))
        await asyncio.sleep(0)
        os.kill(pid, signal.SIGKILL)
        await eventually_async("another process", lambda: solver.health.pid not in (None, pid))
        second = solver.health.pid
        assert second is not None
        os.kill(second, signal.SIGKILL)
        outcome = failed(await clearing)
        assert outcome.reason is FailureReason.SOLVER_STATUS
        for tried, each in enumerate((pid, second), start=1):
            assert f"try {tried}: process {each} was killed by SIGKILL" in outcome.detail
        assert isinstance(await solver.clear(engines.inputs(80.0)), Cleared), "the next interval has a process again"
        assert solver.health.ends == {"died": 2}

    told(story, engines.stubborn, LIMITS)


@real
def test_a_fault_of_the_solver_is_named_with_its_signal_and_its_traceback() -> None:
    async def story(solver: SolverProcess) -> None:
        outcome = failed(await solver.clear(engines.inputs(2.0)))
        assert outcome.reason is FailureReason.SOLVER_STATUS
        assert "was killed by SIGSEGV" in outcome.detail
        assert "stubbornengines.py" in outcome.detail

    told(story, engines.stubborn, LIMITS)


@real
def test_memory_has_a_bound_and_the_process_survives_it() -> None:
    async def story(solver: SolverProcess) -> None:
        outcome = failed(await solver.clear(engines.inputs(3.0)))
        assert outcome.reason is FailureReason.SOLVER_STATUS
        assert "may have 2048 MB" in outcome.detail
        assert isinstance(await solver.clear(engines.inputs(80.0)), Cleared)
        assert solver.health.starts == 1

    told(story, engines.stubborn, LIMITS)


@real
def test_a_process_that_stands_still_is_killed_at_the_hard_stop() -> None:
    async def story(solver: SolverProcess) -> None:
        solver.start()
        await eventually_async("a process", lambda: solver.health.pid is not None)
        pid = solver.health.pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        outcome = failed(await solver.clear(engines.inputs(80.0)))
        assert outcome.reason is FailureReason.SOLVER_TIMEOUT
        assert f"try 1: process {pid} gave no answer" in outcome.detail
        assert "hard stop 0.2 s" in outcome.detail
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)

    told(story, engines.plain, SolverLimits(interval_s=2.0, retry_after_s=0.2))


@real
def test_an_engine_that_cannot_be_made_is_a_failure_with_the_cause() -> None:
    async def story(solver: SolverProcess) -> None:
        outcome = failed(await solver.clear(engines.inputs()))
        assert outcome.reason is FailureReason.SOLVER_STATUS
        assert "ended with exit code 1" in outcome.detail
        assert "the case has a hole" in outcome.detail
        assert "the case has a hole" in solver.missing()[0]

    told(story, engines.refused, LIMITS)


@real
def test_what_takes_too_long_with_outages_is_cleared_without_them_and_says_so() -> None:
    async def story(solver: SolverProcess) -> None:
        outcome = await solver.clear(engines.inputs(1.0))
        assert outcome == eased(solved(engines.plain(), engines.inputs(1.0)))
        assert isinstance(outcome, Cleared)
        assert (outcome.eased, outcome.status) == (True, OutcomeStatus.OK_DEGRADED)
        assert solver.health.ends == {"killed": 1}
        ordinary = await solver.clear(engines.inputs(80.0))
        assert isinstance(ordinary, Cleared)
        assert not ordinary.eased

    told(story, engines.stubborn, SolverLimits(interval_s=600.0, retry_after_s=3.0), make_eased=engines.plain)


def test_a_solve_without_end_is_killed_at_the_soft_deadline_and_then_at_the_hard_stop() -> None:
    async def story(solver: SolverProcess) -> None:
        loop = asyncio.get_running_loop()
        turns = 0

        async def count() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0.01)

        counting = loop.create_task(count())
        outcome = failed(await solver.clear(engines.inputs()))
        counting.cancel()
        assert outcome.reason is FailureReason.SOLVER_TIMEOUT
        assert outcome.detail.count("gave no answer") == 2
        assert solver.health.ends["killed"] >= 1, "the second may not stand yet on a machine that is busy"
        assert turns > 5, "the loop went on meanwhile"

    told(story, engines.plain, SolverLimits(interval_s=4.0, retry_after_s=0.2), stand_in(HELLO + "time.sleep(600)"))


@pytest.mark.parametrize(
    ("script", "why"),
    [
        (HELLO + "says(b'Running HiGHS 1.11')\ntime.sleep(600)", "bytes that begin no frame"),
        (HELLO + "says(b'GFs1\\x04\\0\\0\\0????')\ntime.sleep(600)", "no answer"),
        (HELLO + "sys.stdin.buffer.read(100)\n" + HELLO + "time.sleep(600)", "an answer to request 0, not to"),
        (HELLO + "says(b'GFs1\\xff\\0\\0\\0half')", "ended with exit code 0"),
        ("sys.exit(3)", "ended with exit code 3"),
        ("print('no such case', file=sys.stderr)\nsys.exit(4)", "no such case"),
    ],
)
def test_garbage_on_the_pipe_ends_the_process_and_not_the_service(script: str, why: str) -> None:
    async def story(solver: SolverProcess) -> None:
        outcome = failed(await solver.clear(engines.inputs()))
        assert outcome.reason is FailureReason.SOLVER_STATUS
        assert why in outcome.detail
        assert solver.health.pid is None
        assert why in solver.missing()[0]

    told(story, engines.plain, LIMITS, stand_in(script))


def test_a_program_that_is_not_there_is_a_failure_too() -> None:
    async def story(solver: SolverProcess) -> None:
        outcome = failed(await solver.clear(engines.inputs()))
        assert outcome.reason is FailureReason.SOLVER_STATUS
        assert "cannot be started: No such file or directory: /no/such/python" in outcome.detail

    told(story, engines.plain, LIMITS, ("/no/such/python",))


def test_one_that_dies_while_nobody_asks_is_begun_again() -> None:
    async def story(solver: SolverProcess) -> None:
        solver.start()
        assert solver.missing() == ["solver: its process is being started; wait"]
        await eventually_async("a process", lambda: solver.health.pid is not None)
        pid = solver.health.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        await eventually_async("another process", lambda: solver.health.pid not in (None, pid))
        assert solver.health.ends == {"died": 1}
        assert solver.missing() == []

    told(story, engines.plain, LIMITS, stand_in(HELLO + "time.sleep(600)"))


def test_a_clearing_that_nobody_waits_for_any_more_leaves_no_answer_for_the_next() -> None:
    async def story(solver: SolverProcess) -> None:
        clearing = asyncio.create_task(solver.clear(engines.inputs()))
        await eventually_async("a process", lambda: solver.health.pid is not None)
        pid = solver.health.pid
        clearing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await clearing
        assert pid is not None
        assert solver.health.pid is None
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)

    told(story, engines.plain, LIMITS, stand_in(HELLO + "time.sleep(600)"))


def test_frames_tell_garbage_at_once() -> None:
    for header in (b"HTTP/1.1", b"GFs1\xff\xff\xff\xff"):
        with pytest.raises(BadFrame, match="begin no frame"):
            length_of(header)
    with pytest.raises(BadFrame, match="no answer"):
        decode_answer(b"\xc1", 1)


def test_what_makes_the_engine_pickles() -> None:
    made = pickle.loads(pickle.dumps(engines.plain))()
    assert solved(made, engines.inputs()) == solved(engines.plain(), engines.inputs())
