"""The demo's story follows the market, whatever the market does."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from console.demo.director import FALLING_LINES, Director
from market.decisions import Decision
from market.rules import rules_from
from market.units import NS_PER_MIN, instant_ns

RULES = rules_from({"rt_interval_min": 5})
T0 = instant_ns("2020-01-01T14:00:00+08:00")


def at(minute: float) -> int:
    return T0 + int(minute * NS_PER_MIN)


class Story:
    """A director, told decisions by minute."""

    def __init__(self) -> None:
        self.director = Director(T0, RULES)
        self._told: list[Decision] = []

    def tell(self, minute: float, kind: str, **body: Any) -> Decision:
        seq = len(self._told) + 1
        blank = Decision(seq=seq, ts_event_ns=at(minute), kind=kind, body=body, rule_set=RULES.id, code="", prev_hash="", hash="")
        self._told.append(blank)
        self.director.observe(blank)
        return blank

    def move(self, minute: float, before: str, after: str, **body: Any) -> Decision:
        return self.tell(minute, "Transition", before=before, after=after, **body)

    def steps(self, *minutes: float) -> list[int]:
        return [self.director.line(at(minute)).step for minute in minutes]

    def tripped(self) -> None:
        self.move(25.5, "NORMAL", "DEGRADED", outage_start_ns=at(25))
        self.move(145.5, "DEGRADED", "TRIPPED", tripped_at_ns=at(145.5))


def test_from_a_normal_day_to_the_trip() -> None:
    story = Story()
    assert story.steps(0, 9, 10, 19, 21) == [1, 1, 2, 2, 2]
    story.move(25.5, "NORMAL", "DEGRADED", outage_start_ns=at(25))
    line = story.director.line(at(26))
    assert line.step == 3
    assert "14:25" in line.text_en
    assert "16:25:30" in line.text_zh
    story.move(145.5, "DEGRADED", "TRIPPED", tripped_at_ns=at(145.5))
    assert story.steps(146) == [4]
    assert story.director.recovery("x") is None
    assert story.director.line_falls() == ()


def test_recovery_is_offered_after_the_proposal_and_ordered_once() -> None:
    story = Story()
    story.tripped()
    proposed = story.tell(165.2, "RecoveryProposed", shadow_ok=4)
    assert story.steps(166) == [5]
    assert story.director.auto_recovery(at(166)) is None, "an operator takes a moment"
    order = story.director.auto_recovery(at(172.5))
    assert order is not None
    assert order.command_id == f"demo-recover-{proposed.seq}"
    assert (order.action, order.role) == ("CONFIRM_RECOVER", "DISPATCH")
    story.move(173, "TRIPPED", "RESUMING", effective_from_ns=at(205))
    assert not story.director.recovery_wanted
    assert story.steps(174) == [6]


def test_the_lines_fall_after_prices_are_back_and_the_story_ends_after_the_second_trip() -> None:
    story = Story()
    story.tripped()
    story.tell(165.2, "RecoveryProposed", shadow_ok=4)
    story.move(173, "TRIPPED", "RESUMING", effective_from_ns=at(205))
    falls = story.director.line_falls()
    assert tuple(fall.branch for fall in falls) == FALLING_LINES
    assert at(205) < falls[0].at_ns < falls[1].at_ns < falls[2].at_ns < at(205 + 15)
    story.move(205, "RESUMING", "NORMAL")
    assert story.steps(206, 216) == [7, 7]
    story.move(220, "NORMAL", "TRIPPED", tripped_at_ns=at(220))
    assert story.steps(221) == [8]
    assert not story.director.ended(at(221))
    assert story.director.ended(at(226))


def test_a_decision_that_comes_again_changes_nothing() -> None:
    story = Story()
    story.tripped()
    again = replace(story._told[-1])
    story.director.observe(again)
    assert not story.director.ended(at(1000)), "one trip is one trip"
