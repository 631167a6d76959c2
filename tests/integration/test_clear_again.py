"""Intervals are cleared again by order while the market runs: audit, outcomes and prices on the log, and a replay that gives the same."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from market.decisions import first_broken
from market.outcomes import Cleared
from market.prices import Regime
from market.reclear import ACTION
from market.rules import rules_from
from market.units import NS_PER_H, NS_PER_MIN, instant_ns
from streams import topics, wire
from streams.recordings import open_recording
from streams.replay import replay
from streams.transport.reader import LogReader
from tests.kit.eventually import eventually_async
from tests.kit.market_run import MarketRun, Seen, rts_model

pytestmark = pytest.mark.integration

RULES = rules_from({"rt_interval_min": 5, "top_voltage_kv": 230})
NOON = instant_ns("2020-01-01T12:00:00+08:00")
FIVE = NOON + 5 * NS_PER_MIN


async def order(run: MarketRun, command_id: str, start_ns: int, answer: str, role: str = "MO", **args: str) -> None:
    """Order an interval to be cleared again, and wait for the decision that answers it."""
    given = {"interval_start_ns": str(start_ns), "reason": "a meter was wrong", "approval_gov": "G-7", "approval_reg": "R-9"}
    await run.command(ACTION, command_id, role, **(given | args))

    def told() -> bool:
        return any((d.kind, d.body.get("command_id")) == (answer, command_id) for d in run.seen.decisions.values())

    await eventually_async(f"the answer to {command_id}", told)


async def story(data: Path) -> Seen:
    """One interval is cleared, two are not; the first two are cleared again, and some orders are refused."""
    async with MarketRun(f"embedded://{data}/log", data, RULES, NOON, fails=(5, 15)) as run:
        await run.until(7)
        await order(run, "c1", NOON, "ResultRevised", corrections=json.dumps({"load_mw": {"101": 150.0}, "units_off": []}))
        await order(run, "c2", FIVE, "ResultRevised")
        await run.until(9)
        await order(run, "c3", NOON, "ResultRevised", role="DISPATCH")
        await order(run, "c4", NOON, "Refused", role="VIEWER")
        await order(run, "c5", NOON - NS_PER_H, "Refused")
        await order(run, "c6", NOON, "Refused", corrections=json.dumps({"load_mw": {"nowhere": 1.0}}))
        await run.until(11)
        return run.seen


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Seen]:
    data = tmp_path_factory.mktemp("again")
    return data, asyncio.run(story(data))


def outcomes(data: Path) -> dict[tuple[int, int], object]:
    with LogReader(data / "log") as log:
        found = [wire.decode(topics.OUTCOMES, record.value or b"") for record in log.records(topics.OUTCOMES.name, 0)]
    return {(outcome.interval_start_ns, outcome.version): outcome for outcome in found}


def test_the_first_result_is_kept_and_the_new_ones_name_their_order(lived: tuple[Path, Seen]) -> None:
    found = outcomes(lived[0])
    assert sorted(version for start_ns, version in found if start_ns == NOON) == [1, 2, 3]
    first, second, third = (found[NOON, version] for version in (1, 2, 3))
    assert isinstance(first, Cleared)
    assert isinstance(second, Cleared)
    assert isinstance(third, Cleared)
    assert first.revision is None
    assert second.revision is not None
    assert third.revision is not None
    assert (second.revision.by, second.revision.role, second.revision.reason) == ("chen", "MO", "a meter was wrong")
    assert "load_mw 101" in second.revision.corrected[0]
    assert (second.revision.replaces, third.revision.replaces) == (first.hashes, second.hashes)
    assert second.hashes != first.hashes
    assert third.hashes == first.hashes, "cleared from what was frozen, it comes out as it did"


def test_the_prices_follow_the_result_published_last(lived: tuple[Path, Seen]) -> None:
    data, seen = lived
    found = outcomes(data)
    prices = [price for (start_ns, _), price in sorted(seen.prices.items()) if start_ns == NOON][-3:]
    assert [price.source for price in prices] == ["clearing:1", "clearing:2", "clearing:3"]
    assert prices[0].price_cny_per_mwh == prices[2].price_cny_per_mwh != prices[1].price_cny_per_mwh
    assert (seen.prices[FIVE, 0].regime, seen.prices[FIVE, 1].regime) == (Regime.GAP, Regime.MARKET)
    assert (FIVE, 2) not in seen.prices, "one result is one revision, however it is told"
    second = found[FIVE, 2]
    assert isinstance(second, Cleared)
    assert seen.prices[FIVE, 1].price_cny_per_mwh == pytest.approx(second.uniform_price_per_mwh, abs=0.005)


def test_every_order_is_in_the_audit_and_the_back_fill_ends_the_outage(lived: tuple[Path, Seen]) -> None:
    _, seen = lived
    decisions = [decision for _, decision in sorted(seen.decisions.items())]
    assert first_broken(decisions) is None
    bodies = {(decision.kind, decision.body.get("command_id")): decision.body for decision in decisions}
    assert {command_id for kind, command_id in bodies if kind == "ClearingOrdered"} == {"c1", "c2", "c3", "c5", "c6"}
    assert "acts as VIEWER" in bodies["Refused", "c4"]["why"]
    assert bodies["Refused", "c5"]["why"].startswith("INPUT_MISSING: the frozen inputs of")
    assert bodies["Refused", "c6"]["why"].startswith("INPUT_INVALID: loads at unknown buses: nowhere")
    assert bodies["ResultRevised", "c1"]["hashes"] != bodies["ResultRevised", "c1"]["hashes_before"]
    assert seen.phases()[:2] == ["DEGRADED", "NORMAL"], "the interval was still open when it was cleared"


def test_a_replay_gives_the_same_revisions(lived: tuple[Path, Seen]) -> None:
    with open_recording(f"embedded://{lived[0]}/log") as recording:
        reports = {report.name: report for report in replay(recording, rts_model(RULES))}
    assert {name: report.differences for name, report in reports.items()} == {name: [] for name in reports}
