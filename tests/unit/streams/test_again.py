"""What is kept of an interval to clear it again, and what is told of the new result."""

from __future__ import annotations

import os
from dataclasses import replace
from functools import cache

import msgspec

from market.decisions import Decision, first_broken
from market.facts import ClearedAgain, ClearingReported, CommandGiven
from market.outcomes import Certificate, Cleared, ClearingFailed, ClearingInputs, FailureReason, OutcomeStatus
from market.prices import PriceInForce
from market.reclear import ACTION, ClearAgain, Corrections
from market.rules import rules_from
from market.units import NS_PER_H, NS_PER_MIN
from streams import pieces, topics, wire
from streams.again import FrozenInputs, answered, inputs_again, kept_first
from streams.breaker import BreakerState, Effect, begin, step
from streams.clearing import IntervalPlan
from streams.identity import identity_of
from streams.marketmodel import MarketModel
from tests.kit.market_run import rts_model
from tests.kit.table import at_ns

RULES = rules_from({"rt_interval_min": 5, "top_voltage_kv": 230})
START = at_ns("10:00")
INPUTS = ClearingInputs(interval_start_ns=START, frozen_at_ns=START, load_mw={"101": 90.0}, output_mw={}, available_mw={})


@cache
def model() -> MarketModel:
    return rts_model(RULES)


def cleared(price: float = 300.0, result: str = "a", done_ns: int = START) -> Cleared:
    names = model().engine.book.ids
    return Cleared(
        interval_start_ns=START,
        completed_at_ns=done_ns,
        status=OutcomeStatus.OK,
        objective_per_h=1.0,
        penalty_per_h=0.0,
        dispatch_mw=dict.fromkeys(names, 1.0),
        lmp_per_mwh={"101": price},
        energy_per_mwh=price,
        congestion_per_mwh={},
        flow_mw={},
        uniform_price_per_mwh=price,
        certificate=Certificate(passed=True, residuals={}),
        hashes={"result": result},
    )


def order(command_id: str = "c1", **load_mw: float) -> ClearAgain:
    return ClearAgain(
        ts_event_ns=START + NS_PER_H,
        command_id=command_id,
        by="li",
        role="MO",
        interval_start_ns=START,
        reason="a meter was wrong",
        approvals={"GOV": "G", "REG": "R"},
        corrections=Corrections(load_mw={name.removeprefix("b"): mw for name, mw in load_mw.items()}),
    )


def test_inputs_are_kept_for_a_day_also_large_ones() -> None:
    table: dict[bytes, bytes] = {}
    frozen = FrozenInputs(table)
    noise = os.urandom(pieces.PIECE_BYTES).hex()  # nothing compresses it below one piece
    large = replace(INPUTS, notes=(noise, noise))
    frozen.keep(kept_first(large, cleared()))
    frozen.keep(kept_first(replace(INPUTS, interval_start_ns=START + 24 * NS_PER_H), None))
    found = FrozenInputs(table).get(START)
    assert found is not None
    assert found.inputs == large
    assert found.published[0].price_cny_per_mwh == 300.0
    assert frozen.get(START + NS_PER_H) is None
    frozen.keep(kept_first(replace(INPUTS, interval_start_ns=START + 25 * NS_PER_H), None))
    assert frozen.get(START) is None
    assert len(table) == 3, "two intervals and their list: the pieces went too"


def test_a_new_result_counts_up_names_its_order_and_the_one_it_replaces() -> None:
    kept = kept_first(INPUTS, cleared(300.0, "a"))
    for version, (command_id, result) in enumerate((("c1", "b"), ("c2", "c")), start=2):
        asked = order(command_id, b101=96.5)
        (outcome, fact), after = answered(asked, kept, cleared(310.0 + version, result, asked.ts_event_ns), model())
        assert after is not None
        assert isinstance(outcome, Cleared)
        assert isinstance(fact, ClearedAgain)
        assert outcome.version == fact.version == version
        assert outcome.revision is not None
        assert (outcome.revision.by, outcome.revision.reason) == ("li", "a meter was wrong")
        assert outcome.revision.corrected == fact.corrected == ("load_mw 101: 90, now 96.5 MW",)
        assert outcome.revision.replaces == fact.hashes_before == {"result": "ab"[version - 2]}
        assert fact.hashes == {"result": result}
        assert fact.price_cny_per_mwh == 310.0 + version
        for topic, record in ((topics.OUTCOMES, outcome), (topics.FACTS, fact), (topics.INPUTS, asked)):
            assert wire.decode(topic, wire.encode(record)) == record
            assert identity_of(record)
        assert answered(asked, after, cleared(310.0 + version, result, asked.ts_event_ns), model()) == ([outcome, fact], after)
        kept = after


def test_an_interval_that_nobody_answered_gets_its_second_result() -> None:
    (outcome, fact), _ = answered(order(), kept_first(INPUTS, None), cleared(done_ns=START + NS_PER_H), model())
    assert (outcome.version, fact.hashes_before, fact.price_before_cny_per_mwh) == (2, {}, None)


def test_a_failure_replaces_nothing_and_says_why() -> None:
    kept = kept_first(INPUTS, cleared())
    failed = ClearingFailed(interval_start_ns=START, completed_at_ns=1, reason=FailureReason.INPUT_INVALID, detail="bus 7")
    (fact,), after = answered(order(), kept, failed, model())
    assert (fact.failure, fact.detail, fact.version) == ("INPUT_INVALID", "bus 7", 0)
    assert after == kept


def test_inputs_that_are_not_at_hand_are_a_named_refusal() -> None:
    missing = inputs_again(order(), None, RULES.zone)
    assert isinstance(missing, ClearingFailed)
    assert missing.reason is FailureReason.INPUT_MISSING
    assert "not at hand" in missing.detail


def test_an_open_interval_is_told_as_a_back_fill_with_its_schedule_where_there_was_none() -> None:
    in_time = START + 4 * NS_PER_MIN
    records, _ = answered(order(), kept_first(INPUTS, None), cleared(done_ns=in_time), model())
    assert [type(record) for record in records] == [Cleared, ClearedAgain, ClearingReported, IntervalPlan]
    records, _ = answered(order(), kept_first(INPUTS, cleared()), cleared(result="b", done_ns=in_time), model())
    assert [type(record) for record in records] == [Cleared, ClearedAgain, ClearingReported]
    records, _ = answered(order(), kept_first(INPUTS, None), cleared(done_ns=START + 5 * NS_PER_MIN), model())
    assert [type(record) for record in records] == [Cleared, ClearedAgain]


def told(price: float | None = 310.0, command_id: str = "c1") -> ClearedAgain:
    return ClearedAgain(
        ts_event_ns=START + 2 * NS_PER_H,
        command_id=command_id,
        by="li",
        role="MO",
        why="a meter was wrong",
        interval_start_ns=START,
        version=2 if price else 0,
        price_cny_per_mwh=price,
        failure="" if price else "INPUT_INVALID",
        detail="" if price else "bus 7",
    )


def ordered(role: str = "MO") -> CommandGiven:
    args = {"interval_start_ns": str(START), "reason": "a meter was wrong", "approval_gov": "G", "approval_reg": "R"}
    return CommandGiven(ts_event_ns=START + NS_PER_H, command_id="c1", by="li", role=role, action=ACTION, args=args)


def taken(state: BreakerState, *facts: CommandGiven | ClearedAgain) -> tuple[BreakerState, list[Effect]]:
    effects: list[Effect] = []
    for fact in facts:
        state, more = step(state, fact, RULES, {})
        effects += more
    return state, effects


def test_the_breaker_writes_order_and_result_into_the_audit_and_stays_where_it_is() -> None:
    before = begin(START - NS_PER_H, RULES)
    after, effects = taken(before, ordered(), ordered(), told(), told())
    decisions = [effect for effect in effects if isinstance(effect, Decision)]
    assert [decision.kind for decision in decisions] == ["CommandAccepted", "ClearingOrdered", "ResultRevised"]
    assert first_broken(decisions) is None
    assert [effect for effect in effects if isinstance(effect, ClearAgain)] == [order_as_given()]
    (price,) = [effect for effect in effects if isinstance(effect, PriceInForce) and effect.interval_start_ns == START][1:]
    assert decisions[2].body["price_rev"] == price.rev == 1
    assert (after.rt, after.watch) == (before.rt, before.watch)


def order_as_given() -> ClearAgain:
    return replace(order(), corrections=Corrections())


def test_a_refused_order_asks_nobody_and_a_failed_one_is_a_refusal() -> None:
    state = begin(START - NS_PER_H, RULES)
    _, effects = taken(state, ordered("VIEWER"))
    assert [effect.kind for effect in effects if isinstance(effect, Decision)] == ["Refused"]
    assert not [effect for effect in effects if isinstance(effect, ClearAgain)]
    _, effects = taken(state, ordered(), told(None))
    refusal = [effect for effect in effects if isinstance(effect, Decision)][-1]
    assert (refusal.kind, refusal.body["why"]) == ("Refused", "INPUT_INVALID: bus 7")


def test_states_of_before_are_read() -> None:
    raw = msgspec.to_builtins(begin(START, RULES))
    del raw["answered"], raw["book"]["settled"], raw["book"]["whole_from_ns"]
    assert msgspec.convert(raw, BreakerState).answered == ()
