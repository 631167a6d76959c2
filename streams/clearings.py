"""Answers what is asked of the market: clear this interval, clear that one again, make the result of a day.

Each answer is told with what cannot be computed again (when it was ready, what the solver's process failed to do, whether it is held back),
and that is noted before it is told: a record that is read again after a crash is answered with the same bytes.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final, Protocol

import msgspec

from market.credibility import Reference
from market.day_ahead import DayAhead
from market.facts import Fact
from market.outcomes import Cleared, ClearingFailed, ClearingInputs, FailureReason, Outcome
from market.reclear import ClearAgain
from streams import again
from streams.clearing import DayAheadWanted
from streams.dayaheadwatch import DayAheadWatch
from streams.followed import followed
from streams.identity import identity_of
from streams.marketmodel import MarketModel
from streams.notes import Notes
from streams.outcome import (
    clearing_records,
    day_ahead_records,
    day_ahead_result,
    eased,
    from_before,
    from_outside,
    held_against,
    marked,
    refused,
    solved,
    timed,
    told_before,
)
from streams.processreport import SolveTimed
from streams.runtime import Shell

__all__ = ["ClearingFault", "Clearings", "Solver"]

_log = logging.getLogger(__name__)

ClearingFault = Callable[[int], str | None]
"""Says what a simulated fault does to the clearing of an interval: ``error``, ``silent`` or nothing."""


class Solver(Protocol):
    """Clears intervals within a time limit of its own (:class:`streams.solverprocess.SolverProcess`)."""

    async def clear(self, inputs: ClearingInputs) -> Outcome:
        """Clear one interval; never raises for what the solver does."""
        ...


class _Answer(msgspec.Struct):
    """What cannot be computed again of an answer: when it was completed, what a fault did to it, and that the solver gave none."""

    completed_at_ns: int
    fault: str | None
    failed: ClearingFailed | None = None
    review: tuple[str, ...] = ()
    eased: bool = False


_ANSWERS_KEPT: Final = 16
_REFERENCE: Final = b"reference"
"""What the next result is held against."""


class Clearings:
    """The answers of one worker.

    Args:
        shell: tells them.
        model: the market.
        kept: the table of what must outlive a crash.
        fault: a simulated fault of the clearing engine.
        solver: gives what clears in a process of its own, or None; it comes after this is made.
    """

    def __init__(self, shell: Shell, model: MarketModel, kept: Any, fault: ClearingFault, solver: Callable[[], Solver | None]) -> None:
        self._shell, self._model, self._kept, self._fault, self._solver = shell, model, kept, fault, solver
        self._answers = Notes(shell, kept, _Answer, _ANSWERS_KEPT)
        self._frozen = again.FrozenInputs(kept)
        self._watch = DayAheadWatch(model.grid.rules.zone, time.monotonic, shell.now_ns)

    async def take(self, record: Any, event: Any) -> None:
        """Answer one record of the topic of inputs."""
        known = self._answers.get(identity_of(record))
        match record:
            case DayAheadWanted():
                await self._day_ahead(record, event, known)
            case ClearAgain():
                await self._clear_again(record, event, known)
            case _:
                await self._clear(record, event, known)

    async def _noted(self, request: Any, event: Any, fault: str | None = None, outcome: Outcome | None = None) -> _Answer:
        failed = outcome if isinstance(outcome, ClearingFailed) and (from_outside(outcome) or from_before(outcome)) else None
        review = outcome.review if isinstance(outcome, Cleared) else ()
        without = isinstance(outcome, Cleared) and outcome.eased
        answer = _Answer(completed_at_ns=self._shell.now_ns(), fault=fault, failed=failed, review=review, eased=without)
        return await self._answers.note(identity_of(request), answer, event)

    async def _computed(self, inputs: ClearingInputs, known: _Answer | None) -> Outcome:
        model, solver = self._model, self._solver()
        if (failed := refused(inputs, model.grid.rules)) is not None:
            return failed
        # An answer that was given once is there to be computed, whatever it takes: another one would contradict it.
        if known is not None and known.eased:
            return eased(await asyncio.to_thread(solved, model.eased_engine, inputs))
        if solver is None or known is not None:
            return await asyncio.to_thread(solved, model.engine, inputs)
        return await solver.clear(inputs)

    async def _clear(self, inputs: ClearingInputs, event: Any, known: _Answer | None) -> None:
        fault = known.fault if known else self._fault(inputs.interval_start_ns)
        if fault == "silent":
            self._frozen.keep_first(inputs, None)
            return
        began_s = time.perf_counter()
        if known is not None and known.failed is not None:
            outcome: Outcome = known.failed
        else:
            outcome = _failed_by_fault(inputs) if fault else await self._computed(inputs, known)
        solve_s = time.perf_counter() - began_s
        raw = self._kept.get(_REFERENCE)
        last = None if raw is None else msgspec.json.decode(raw, type=Reference)
        outcome, reference = held_against(marked(outcome, inputs, self._model.grid.rules), inputs, last, self._model)
        answer = known or await self._noted(inputs, event, fault, outcome)
        outcome = timed(told_before(outcome, answer.failed, answer.review), answer.completed_at_ns, inputs)
        await self._shell.emit([*clearing_records(outcome, inputs, self._model), *self._solve_time(outcome, solve_s, known)])
        if isinstance(outcome, Cleared) and reference is not None:
            self._kept[_REFERENCE] = msgspec.json.encode(reference)
        self._frozen.keep_first(inputs, outcome)

    def _solve_time(self, outcome: Outcome, solve_s: float, known: _Answer | None) -> list[SolveTimed]:
        """Return how long the engine took, where the answer is new: a record of its own, because no two runs agree on it."""
        timed = SolveTimed(
            ts_event_ns=outcome.completed_at_ns, interval_start_ns=outcome.interval_start_ns, version=outcome.version, solve_s=solve_s
        )
        return [timed] if known is None else []

    async def _clear_again(self, order: ClearAgain, event: Any, known: _Answer | None) -> None:
        rules = self._model.grid.rules
        of_interval = self._frozen.get(order.interval_start_ns)
        inputs = again.inputs_again(order, of_interval, rules.zone)
        if known is not None and known.failed is not None:
            outcome: Outcome = known.failed
        elif isinstance(inputs, ClearingFailed):
            outcome = inputs
        else:
            # People stand for it: it is held against no other result, and none is held against it.
            outcome = marked(await self._computed(inputs, known), inputs, rules)
        answer = known or await self._noted(order, event, None, outcome)
        outcome = replace(outcome if answer.failed is None else answer.failed, completed_at_ns=answer.completed_at_ns)
        records, after = again.answered(order, of_interval, outcome, self._model)
        await self._shell.emit(records)
        if after is not None and after is not of_interval:
            self._frozen.keep(after)

    async def _day_ahead(self, wanted: DayAheadWanted, event: Any, known: _Answer | None) -> None:
        # The search gives the interpreter's lock away, and it ends by counted work; see market.day_ahead.QUICK.
        def run(tell: Callable[[Fact], None]) -> DayAhead | ClearingFailed:
            # Of an answer that was given already nothing is expected any more.
            return day_ahead_result(wanted, self._model, self._watch.begin(wanted.day, None if known else tell))

        result = await followed(run, self._shell.emit)
        self._watch.ended()
        if isinstance(result, ClearingFailed):
            where = {"day": wanted.day, "reason": result.reason, "detail": result.detail}
            _log.error("day-ahead result of %s: %s: %s", wanted.day, result.reason, result.detail, extra=where)
        answer = known or await self._noted(wanted, event)
        await self._shell.emit(day_ahead_records(wanted, result, self._model, answer.completed_at_ns))


def _failed_by_fault(inputs: ClearingInputs) -> ClearingFailed:
    return ClearingFailed(
        interval_start_ns=inputs.interval_start_ns,
        completed_at_ns=inputs.frozen_at_ns,
        reason=FailureReason.SOLVER_STATUS,
        detail="no answer from the engine (simulated fault)",
    )
