"""How much is seen, who has fallen silent, and when that is told."""

from __future__ import annotations

from collections.abc import Iterable

from detectors.elements import ElementState
from detectors.findings import Noted
from detectors.sight import SightWatch, judged, next_ns
from market.rules import GUANGDONG_2023 as RULES
from market.topology import Element, Topology
from market.units import NS_PER_S
from tests.kit.table import at_ns

S = NS_PER_S
T = at_ns("14:00")
TEN = Topology.of({f"L{n}": Element(kv=500.0) for n in range(10)} | {"U": Element(kv=499.9)})


def look(watch: SightWatch, unseen: Iterable[str], at: int = T, grid: Topology = TEN) -> tuple[SightWatch, list[tuple[str, str]]]:
    """Look at a grid in which some are unseen; returns what is noted as (what, text)."""
    elements = {name: ElementState(unseen=("",)) for name in unseen} | {"L9": ElementState()}
    after, notes = judged(watch, elements, grid.count_from(500.0), at, RULES, grid)
    return after, [(note.what, line) for note in notes for line in note.evidence]


def test_where_all_is_seen_there_is_nothing_to_say_and_nothing_to_wait_for() -> None:
    watch, notes = look(SightWatch(), [])
    assert (watch, notes) == (SightWatch(low=False, unseen_ns={}, told=()), [])
    assert next_ns(watch, RULES) == []


def test_too_little_is_seen_below_nine_in_ten_and_that_is_told_once() -> None:
    enough, notes = look(SightWatch(), ["L0", "U"])
    assert (enough.low, notes) == (False, [])
    low, notes = look(enough, ["L0", "L1", "U"])
    assert low.low
    assert notes == [("OBSERVABILITY_LOW", "2 of 10 top-voltage elements unobserved (80.0 % seen): L0, L1")]
    still, notes = look(low, ["L0", "L1"], T + S)
    assert (still.low, notes) == (True, [])


def test_automation_may_act_again_once_enough_is_seen() -> None:
    low, _ = look(SightWatch(), ["L0", "L1"])
    assert look(low, ["L0"], T + S)[0].low is False
    assert look(SightWatch(low=True), [], T + S)[0].low is False


def test_a_grid_without_a_backbone_is_never_seen_too_little_of() -> None:
    low_voltage = Topology.of({"U": Element(kv=220.0)})
    watch, notes = look(SightWatch(), ["U"], grid=low_voltage)
    assert (watch.low, notes) == (False, [])


def test_silence_is_told_after_the_grace_with_its_stations_if_it_has_any() -> None:
    watch, _ = look(SightWatch(), ["L0"])
    assert next_ns(watch, RULES) == [T + 30 * S]
    watch, _ = look(watch, ["L0", "U"], T + 29 * S)
    assert next_ns(watch, RULES) == [T + 30 * S], "the first decides"
    watch, notes = look(watch, ["L0", "U"], T + 30 * S)
    assert notes == [("DATA_QUALITY", "positions of 2 elements not seen since 14:00, held as last told: L0, U")]
    assert (watch.told, next_ns(watch, RULES)) == (("L0", "U"), [])
    joined = Topology.of({"L0": Element(kv=500.0, from_bus="A", to_bus="B")})
    waiting = SightWatch(unseen_ns={"L0": T})
    _, notes = look(waiting, ["L0"], T + 30 * S, joined)
    assert notes[-1][1] == "positions of 1 elements at 2 stations (A, B) not seen since 14:00, held as last told: L0"


def test_silence_is_over_when_the_last_who_was_told_is_seen_again() -> None:
    told = SightWatch(told=("L0", "U"))
    one, notes = look(told, ["U"])
    assert (one.told, one.unseen_ns, notes) == (("U",), {}, [])
    none, notes = look(one, [], T + S)
    assert (none, [what for what, _ in notes]) == (SightWatch(), ["DATA_QUALITY_OVER"])
    assert look(none, [], T + 2 * S) == (SightWatch(), [])


def test_who_is_silent_for_a_moment_twice_has_not_been_silent_since_the_first() -> None:
    watch, _ = look(SightWatch(), ["L0"])
    watch, _ = look(watch, [], T + 29 * S)
    watch, notes = look(watch, ["L0"], T + 60 * S)
    assert (watch.unseen_ns, notes) == ({"L0": T + 60 * S}, [])


def test_the_end_of_one_silence_and_the_next_can_be_told_at_once() -> None:
    both = SightWatch(told=("L0",), unseen_ns={"L1": T})
    _, notes = judged(both, {"L1": ElementState(unseen=("",))}, 10, T + 30 * S, RULES, TEN)
    assert [note.what for note in notes if isinstance(note, Noted)] == ["DATA_QUALITY_OVER", "DATA_QUALITY"]
