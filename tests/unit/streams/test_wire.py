"""What may appear on a topic, and what happens to the rest."""

from __future__ import annotations

from enum import Enum
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from market.decisions import GENESIS, DecisionBody, chained, first_broken
from market.facts import CommandGiven, Fact, Ticked
from market.outcomes import ClearingInputs, PeriodAhead
from streams import topics, wire
from streams.errors import DecodeError
from streams.runtime import topic_of
from tests.kit.market_hour import START_NS, picture, report, solve_time
from tests.kit.rts_day import frames_at, values_at


def test_every_kind_of_fact_travels() -> None:
    kinds = {kind.__name__ for kind in Fact.__args__}
    assert kinds == set(wire._DECODERS[topics.FACTS.name])


PLAIN: dict[Any, st.SearchStrategy[Any]] = {
    int: st.integers(-(2**63), 2**63 - 1),
    float: st.floats(allow_nan=False, allow_infinity=False),
    str: st.text(max_size=8),
    bool: st.booleans(),
    NoneType: st.none(),
}


def anything_of(hint: Any) -> st.SearchStrategy[Any]:
    """Return every value a field of this type may have, as far as JSON has it."""
    if hint in PLAIN:
        return PLAIN[hint]
    parts = get_args(hint)
    if isinstance(hint, UnionType):
        return st.one_of(*map(anything_of, parts))
    if get_origin(hint) is tuple:
        if parts[-1] is Ellipsis:
            return st.lists(anything_of(parts[0]), max_size=3).map(tuple)
        return st.tuples(*map(anything_of, parts))
    if get_origin(hint) is dict:
        return st.dictionaries(*map(anything_of, parts), max_size=3)
    assert issubclass(hint, Enum)
    return st.sampled_from(hint)


def any_record(kind: type[Any]) -> st.SearchStrategy[Any]:
    """Return records of a kind with every field given, also those that have a default."""
    return st.builds(kind, **{name: anything_of(hint) for name, hint in get_type_hints(kind).items()})


@pytest.mark.parametrize("kind", get_args(Fact), ids=lambda kind: kind.__name__)
def test_a_fact_is_read_back_as_it_was_written(kind: type[Any]) -> None:
    @settings(max_examples=10, deadline=None)
    @given(any_record(kind))
    def travels(fact: Any) -> None:
        assert wire.decode(topics.FACTS, wire.encode(fact)) == fact

    travels()


@pytest.mark.parametrize("kind", get_args(DecisionBody), ids=lambda kind: kind.__name__)
def test_a_decision_of_any_kind_is_read_back_with_its_chain_intact(kind: type[Any]) -> None:
    @settings(max_examples=10, deadline=None)
    @given(any_record(kind))
    def travels(body: Any) -> None:
        decision = chained(body, seq=1, ts_event_ns=5, rule_set="r", prev_hash=GENESIS)
        again = wire.decode(topics.DECISIONS, wire.encode(decision))
        assert again == decision
        assert first_broken([again]) is None

    travels()


@pytest.mark.parametrize("record", [picture(START_NS), report(START_NS), solve_time(START_NS)], ids=lambda record: type(record).__name__)
def test_what_is_only_written_travels_with_the_key_figures(record: Any) -> None:
    assert topic_of(type(record)) is topics.KPI
    assert wire.decode(topics.KPI, wire.encode(record)) == record


def test_json_record_round_trips() -> None:
    record = CommandGiven(ts_event_ns=5, command_id="c", by="chen", role="DISPATCH", action="CONFIRM_RECOVER", args={"a": "b"})
    assert wire.decode(topics.COMMANDS, wire.encode(record)) == record


def test_inputs_travel_with_all_that_is_ahead_of_them() -> None:
    ahead = PeriodAhead(load_mw={"1": 5.0}, available_mw={"w": 1.0}, units_off=("a",), tie_mw={"1": -2.0}, reserve_mw={"spin": 3.0})
    inputs = ClearingInputs(
        interval_start_ns=1,
        frozen_at_ns=0,
        load_mw={"1": 4.0},
        output_mw={},
        available_mw={},
        tie_mw={"1": 2.0},
        test_mw={"t": 7.0},
        soc_mwh={"b": 8.0},
        ahead=(ahead, ahead),
    )
    assert wire.decode(topics.INPUTS, wire.encode(inputs)) == inputs


def test_inputs_of_releases_that_knew_no_storage_are_read() -> None:
    body = (
        b'{"interval_start_ns":1,"frozen_at_ns":0,"load_mw":{"1":4.0},"output_mw":{},"available_mw":{},"units_off":["a"],"used_points":3}'
    )
    inputs = wire.decode(topics.INPUTS, b'{"kind":"ClearingInputs","v":1,"body":' + body + b"}")
    assert (inputs.load_mw, inputs.units_off) == ({"1": 4.0}, ("a",))
    assert (inputs.soc_mwh, inputs.tie_mw, inputs.test_mw, inputs.reserve_mw, inputs.ahead) == ({}, {}, {}, {}, ())


def test_frame_round_trips() -> None:
    frame = frames_at(1_000, 3, values_at(0))[0]
    again = wire.decode(topics.FRAMES, wire.encode(frame))
    assert (again.source, again.seq, len(again)) == (frame.source, 3, len(frame))
    for column in ("point", "ts_event_ns", "value", "quality", "flags"):
        assert getattr(again, column).tolist() == getattr(frame, column).tolist()


@pytest.mark.parametrize(
    ("topic", "raw", "complaint"),
    [
        (topics.FACTS, b"", "market.facts.v1"),
        (topics.FACTS, b"\xff\xfe", "market.facts.v1"),
        (topics.FACTS, b'{"kind":"Nonsense","v":1,"body":{}}', "does not carry 'Nonsense'"),
        (topics.FACTS, b'{"kind":"Ticked","v":2,"body":{"ts_event_ns":1}}', "version 2"),
        (topics.FACTS, b'{"kind":"Ticked","v":1,"body":{"ts_event_ns":"soon"}}', "ts_event_ns"),
        (topics.FACTS, b"[" * 100_000, "market.facts.v1"),
        (topics.COMMANDS, wire.encode(Ticked(ts_event_ns=1)), "does not carry 'Ticked'"),
        (topics.FRAMES, b"\x81\xa1v\x01", "not a telemetry frame"),
        (topics.SNAPSHOTS, b"\x00", "not an area snapshot"),
    ],
)
def test_bad_bytes_are_refused_by_name(topic: topics.Topic, raw: bytes, complaint: str) -> None:
    with pytest.raises(DecodeError, match=complaint):
        wire.decode(topic, raw)


def test_topic_names_carry_their_version_and_are_distinct() -> None:
    names = [topic.name for topic in topics.TOPICS]
    assert len(set(names)) == len(names)
    assert all(name.endswith(".v1") for name in names)


def test_single_order_topics_have_one_partition() -> None:
    """What the market decides by must have one order."""
    assert {t.name for t in topics.TOPICS if t.partitions != 1} == {topics.FRAMES.name}
