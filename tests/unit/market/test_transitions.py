"""The table of transitions: complete, reachable, and what the documentation shows."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from market.decisions import Phase
from market.facts import Segment
from market.transitions import PHASE_NAMES, TRANSITIONS, Event, diagram, document, moves, row_of

ROOT = Path(__file__).parents[3]

MOVES = {
    # The rules' own table (6.2), written out a second time: what may become what, and by what.
    "NORMAL": {"DEGRADED": "OUTAGE", "PROPOSED": "CONDITION_PROPOSED PROPOSE_TRIP", "TRIPPED": "CONDITION_TRIPPED"},
    "DEGRADED": {"NORMAL": "RESULT_OK", "PROPOSED": "CONDITION_PROPOSED PROPOSE_TRIP", "TRIPPED": "CONDITION_TRIPPED"},
    "PROPOSED": {
        "NORMAL": "REJECTED EVIDENCE_WITHDRAWN",
        "DEGRADED": "REJECTED EVIDENCE_WITHDRAWN",
        "RESUMING": "REJECTED EVIDENCE_WITHDRAWN",
        "PROPOSED": "CONDITION_PROPOSED EFFECTIVE",
        "TRIPPED": "CONDITION_TRIPPED CONFIRM_TRIP",
    },
    "TRIPPED": {"OVERDUE": "OVER_72_H", "RESUMING": "RECOVERED"},
    "OVERDUE": {"RESUMING": "RECOVERED", "OVERDUE": "SUSPENSION_DECIDED SUSPENSION_EXTENDED", "SUSPENDED": "SUSPENSION_BEGAN"},
    "SUSPENDED": {"SUSPENDED": "SUSPENSION_EXTENDED RESUME_APPLIED", "SUSPENDED_LONG": "REGIME28_CONFIRMED", "RESUMING": "RESUMED"},
    "SUSPENDED_LONG": {"SUSPENDED_LONG": "SUSPENSION_EXTENDED RESUME_APPLIED", "RESUMING": "RESUMED"},
    "RESUMING": {"NORMAL": "EFFECTIVE", "PROPOSED": "CONDITION_PROPOSED PROPOSE_TRIP", "TRIPPED": "CONDITION_TRIPPED"},
}


@pytest.mark.parametrize("event", Event)
def test_a_move_is_known_exactly_where_the_rules_have_it(event: Event) -> None:
    for before, after in itertools.product(Phase, Phase):
        if event in MOVES[before].get(after, "").split():
            assert row_of(Segment.RT, before, event, after).event is event
        else:
            with pytest.raises(AssertionError, match=f"no rule takes RT from {before} to {after} by {event}"):
                row_of(Segment.RT, before, event, after)


def test_the_day_ahead_market_has_no_outage_of_intervals() -> None:
    for event, before, after in (("OUTAGE", "NORMAL", "DEGRADED"), ("RESULT_OK", "DEGRADED", "NORMAL")):
        with pytest.raises(AssertionError, match="not known to DA"):
            row_of(Segment.DA, Phase(before), Event(event), Phase(after))
    assert row_of(Segment.DA, Phase.NORMAL, Event.CONDITION_TRIPPED, Phase.TRIPPED).who == "rule"


def test_no_recovery_and_no_suspension_without_a_person() -> None:
    for row in TRANSITIONS:
        for before, after in moves(row):
            decided = row.event in (Event.SUSPENSION_BEGAN, Event.REJECTED, Event.EVIDENCE_WITHDRAWN)
            if after in (Phase.RESUMING, Phase.SUSPENDED, Phase.SUSPENDED_LONG) and not decided:
                assert row.who in ("DISPATCH", "MO", "TRADING"), (before, row.event)


def test_every_row_says_on_what_guard_by_which_article_and_what_comes_of_it() -> None:
    for row in TRANSITIONS:
        assert row.guard
        assert row.outputs
        assert row.article.startswith("Art. ")
        assert row.stays is (row.before == row.after and len(row.before) > 1) or len(row.before) == 1


def test_every_state_is_reached_and_left() -> None:
    pairs = [pair for row in TRANSITIONS for pair in moves(row) if pair[0] is not pair[1]]
    assert {before for before, _ in pairs} == {after for _, after in pairs} == set(Phase) == set(PHASE_NAMES)


def test_the_diagram_draws_every_change_of_state_once() -> None:
    drawn = [line.strip().split(":")[0] for line in diagram().splitlines() if "-->" in line]
    wanted = {f"{before} --> {after}" for before in MOVES for after in MOVES[before] if before != after}
    assert sorted(drawn) == sorted(wanted | {"[*] --> NORMAL"})


def test_the_documentation_is_what_the_table_says() -> None:
    written = (ROOT / "docs" / "breaker_states.md").read_text(encoding="utf-8")
    assert written == document(), "docs/breaker_states.md is out of date: write it anew with python scripts/breaker_states.py"
    for phase, (zh, en, _) in PHASE_NAMES.items():
        assert f"| `{phase}` | {zh} | {en} |" in written
    assert all(f"`{event}`" in written for event in Event)
