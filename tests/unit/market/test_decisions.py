"""The hash of a decision: the same however it is made, and recomputed from the record as it is read back."""

from __future__ import annotations

import hashlib
import json

from hypothesis import given, settings
from hypothesis import strategies as st

from market.decisions import GENESIS, CaseOpened, Decision, DecisionBody, DutySettled, FindingNoted, chained, first_broken
from market.facts import Segment
from market.handling import CaseNoted
from tests.kit.decided import EVERY_BODY, NOON, chain_of


def link(body: DecisionBody) -> Decision:
    return chained(body, seq=1, ts_event_ns=NOON, rule_set="gd-2023-draft/r1", prev_hash=GENESIS)


def by_the_book(made: Decision) -> str:
    """The hash as the documentation defines it: SHA-256 of the canonical JSON of every field but the hash."""
    record = (made.seq, made.ts_event_ns, made.rule_set, made.code, made.kind, made.body, made.prev_hash)
    return hashlib.sha256(json.dumps(record, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()).hexdigest()


def test_a_decision_of_every_kind_has_the_hash_of_its_canonical_form() -> None:
    assert [link(body).hash for body in EVERY_BODY] == [by_the_book(link(body)) for body in EVERY_BODY]
    assert first_broken(chain_of(EVERY_BODY)) is None


@settings(max_examples=60, deadline=None)
@given(st.text(), st.text(), st.integers(-(2**62), 2**62))
def test_whatever_people_write_is_hashed_by_the_book(first: str, second: str, number: int) -> None:
    written = first.encode("utf-8", "ignore").decode(), second.encode("utf-8", "ignore").decode()
    for body in (
        FindingNoted(finding=written[0], article="Art. 23", evidence=written),
        CaseNoted(case=written[1], entry="ACTION", text=written[0], by=written[1]),
        CaseOpened(case="c", segment=Segment.RT, anomaly="x", item="y", discovered_ns=number, subject=written[0]),
    ):
        assert link(body).hash == by_the_book(link(body))


@settings(max_examples=60, deadline=None)
@given(st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_that_are_not_whole_are_hashed_by_the_book(number: float) -> None:
    made = link(DutySettled(duty="explain", segment=None, outcome="late", margin_s=number))
    assert made.hash == by_the_book(made)
