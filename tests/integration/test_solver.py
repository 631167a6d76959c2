"""What the solver process leaves undone, in the whole app: it is noted before it is told, and a replay takes it as recorded."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from market.engine import ClearingEngine
from market.outcomes import Cleared, ClearingFailed, ClearingInputs, FailureReason, Outcome
from market.prices import Regime
from market.rules import rules_from
from market.units import NS_PER_MIN, NS_PER_S, instant_ns
from streams import topics
from streams.marketmodel import MarketModel
from streams.outcome import eased, solved
from streams.recordings import open_recording
from streams.replay import replay
from streams.solverprocess import SolverLimits, SolverProcess
from streams.transport.reader import LogReader
from tests.kit.eventually import eventually_async
from tests.kit.market_run import MarketRun, rts_model

pytestmark = pytest.mark.integration

RULES = rules_from({"rt_interval_min": 5})
NOON = instant_ns("2020-01-01T12:00:00+08:00")


class Late:
    """Gives no answer in time, and one that it must not be asked for again afterwards."""

    def __init__(self) -> None:
        self.asked = 0

    async def clear(self, inputs: ClearingInputs) -> Outcome:
        self.asked += 1
        assert self.asked == 1, "what was told once is not asked for again"
        return ClearingFailed(
            interval_start_ns=inputs.interval_start_ns,
            completed_at_ns=inputs.frozen_at_ns,
            reason=FailureReason.SOLVER_TIMEOUT,
            detail="try 1: process 7 gave no answer in 5.0 s and was killed",
        )


def outcomes(log: LogReader) -> list[bytes]:
    return [record.value or b"" for record in log.records(topics.OUTCOMES.name, 0)]


def test_a_clearing_that_was_given_up_stays_given_up_and_replays(tmp_path: Path) -> None:
    async def story() -> Outcome:
        run = MarketRun(f"embedded://{tmp_path}/log", tmp_path, RULES, NOON)
        run.hooks.solver = Late()
        async with run:
            await run.until(0.5)
            with LogReader(tmp_path / "log") as log:
                requests = [record.value or b"" for record in log.records(topics.INPUTS.name, 0)]
            run.clock.set(run.clock.now_ns() + 7 * NS_PER_S)
            for raw in requests:
                await (await run.shell.send(topics.INPUTS, b"market", raw))
            await eventually_async("the answers", lambda: run.shell.counters["taken clearing"] >= 2 * len(requests))
            await eventually_async("the outcome", lambda: NOON in run.seen.outcomes)
            return run.seen.outcomes[NOON]

    outcome = asyncio.run(story())
    assert isinstance(outcome, ClearingFailed)
    assert outcome.reason is FailureReason.SOLVER_TIMEOUT
    with LogReader(tmp_path / "log") as log:
        told = outcomes(log)
        assert len(told) == 2
        assert len(set(told)) == 1
    with open_recording(f"embedded://{tmp_path}/log") as recording:
        (report,) = replay(recording, rts_model(RULES), ["clearing"])
    assert (report.external, report.different) == (1, 0)


def test_a_process_of_its_own_clears_what_a_replay_clears_again(tmp_path: Path) -> None:
    async def story() -> dict[int, Cleared | ClearingFailed]:
        run = MarketRun(f"embedded://{tmp_path}/log", tmp_path, RULES, NOON)
        solver = SolverProcess(rts_model(RULES).make_engine, SolverLimits(interval_s=600.0, retry_after_s=30.0))
        run.hooks.solver = solver
        solver.start()
        try:
            async with run:
                await run.until(6)
                await eventually_async("the outcomes", lambda: NOON + 5 * NS_PER_MIN in run.seen.outcomes)
        finally:
            await solver.stop()
        assert (solver.health.starts, solver.health.ends) == (1, {})
        return run.seen.outcomes

    found = asyncio.run(story())
    assert all(isinstance(outcome, Cleared) for outcome in found.values())
    with open_recording(f"embedded://{tmp_path}/log") as recording:
        reports = {report.name: report for report in replay(recording, rts_model(RULES), ["grid", "clearing", "breaker"])}
    assert {name: report.different for name, report in reports.items()} == {"grid": 0, "clearing": 0, "breaker": 0}


def test_a_result_that_is_doubted_counts_for_now_and_replays(tmp_path: Path) -> None:
    """Any change of flow is a leap here; the request of the second interval comes twice, and its answer was held against the first."""
    wary = rules_from({"rt_interval_min": 5, "credibility": {"tie_step_pct": 0}})
    second = NOON + 5 * NS_PER_MIN

    async def story() -> MarketRun:
        async with MarketRun(f"embedded://{tmp_path}/log", tmp_path, wary, NOON) as run:
            await run.until(5.5)
            with LogReader(tmp_path / "log") as log:
                requests = [record.value or b"" for record in log.records(topics.INPUTS.name, 0)]
            await (await run.shell.send(topics.INPUTS, b"market", requests[-1]))
            await eventually_async("the answers", lambda: run.shell.counters["taken clearing"] > len(requests))
            await eventually_async("the price", lambda: (second, 0) in run.seen.prices)
            await eventually_async("the alert", lambda: any(alert.name == "price_under_review" for alert in run.seen.alerts.values()))
            return run

    seen = asyncio.run(story()).seen
    first, outcome = seen.outcomes[NOON], seen.outcomes[second]
    assert isinstance(first, Cleared)
    assert isinstance(outcome, Cleared)
    assert first.review == ()
    assert outcome.review[0].startswith("the flow between areas")
    assert (seen.prices[second, 0].regime, seen.prices[second, 0].provisional) == (Regime.MARKET, True)
    with LogReader(tmp_path / "log") as log:
        told = outcomes(log)
    assert (len(told), len(set(told))) == (3, 2)
    with open_recording(f"embedded://{tmp_path}/log") as recording:
        reports = {report.name: report for report in replay(recording, rts_model(wary), ["grid", "clearing", "breaker"])}
    assert {name: report.different for name, report in reports.items()} == {"grid": 0, "clearing": 0, "breaker": 0}


class Easing:
    """Clears without the outages, once."""

    def __init__(self, model: MarketModel) -> None:
        self._model = model

    async def clear(self, inputs: ClearingInputs) -> Outcome:
        return eased(solved(self._model.eased_engine, inputs))


def test_a_result_without_outages_is_told_again_and_replayed_without_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The two engines differ in a penalty here, which stands in the hash, so that one's answer cannot be taken for the other's."""
    plain = rts_model(RULES)
    dear = replace(plain.params, curtailment_multiple=0.5)
    other = partial(ClearingEngine, plain.grid.network, plain.engine.book.units, dear, load_buses=plain.engine.load_buses)
    model = replace(plain, make_eased=other)
    monkeypatch.setattr("tests.kit.market_run.rts_model", lambda *_: model)

    async def story() -> Outcome:
        run = MarketRun(f"embedded://{tmp_path}/log", tmp_path, RULES, NOON)
        run.hooks.solver = Easing(model)
        async with run:
            await run.until(0.5)
            with LogReader(tmp_path / "log") as log:
                requests = [record.value or b"" for record in log.records(topics.INPUTS.name, 0)]
            await (await run.shell.send(topics.INPUTS, b"market", requests[-1]))
            await eventually_async("the answers", lambda: run.shell.counters["taken clearing"] > len(requests))
            await eventually_async("the outcome", lambda: NOON in run.seen.outcomes)
            return run.seen.outcomes[NOON]

    outcome = asyncio.run(story())
    assert isinstance(outcome, Cleared)
    assert outcome.eased
    with LogReader(tmp_path / "log") as log:
        told = outcomes(log)
    assert (len(told), len(set(told))) == (2, 1)
    with open_recording(f"embedded://{tmp_path}/log") as recording:
        (report,) = replay(recording, model, ["clearing"])
    assert report.different == 0
