"""Dead units share a tenth of a line, in turn; one missed reply is forgiven, and a line that comes back is asked as a whole."""

from __future__ import annotations

from ingest.modbus.lineshare import LineShare
from market.units import NS_PER_S

S = NS_PER_S


def test_each_silence_buys_a_rest_ten_times_as_long_behind_the_rests_of_the_others() -> None:
    share = LineShare()
    share.heard("live", 0)
    for place, name in enumerate(("a", "b", "c")):
        share.missed(name, place * S, S, (place + 1) * S, answered_before=False)
    assert [share.left_ns(name, 3 * S) // S for name in ("a", "b", "c", "live")] == [8, 18, 28, 0]


def test_one_that_answered_before_may_miss_one_reply() -> None:
    share = LineShare()
    share.heard("live", 0)
    share.missed("a", 0, S, S, answered_before=True)
    share.missed("a", S - 1, S, 2 * S, answered_before=True)  # asked before that was known
    assert share.left_ns("a", 2 * S) == 0
    share.missed("a", 2 * S, S, 3 * S, answered_before=True)
    assert share.left_ns("a", 3 * S) == 10 * S


def test_where_nobody_else_answers_nobody_is_held_up() -> None:
    share = LineShare()
    share.heard("a", 0)
    for _ in range(3):
        share.missed("a", S, S, 2 * S, answered_before=False)
    assert share.left_ns("a", 2 * S) == 0
    share.heard("live", 3 * S)
    share.missed("a", 90 * S, S, 91 * S, answered_before=False)
    assert share.left_ns("a", 91 * S) == 0, "the other has said nothing for more than a minute"


def test_when_one_is_back_the_others_are_asked_at_once_but_not_each_time_one_comes_and_goes() -> None:
    share = LineShare()
    share.heard("live", 0)
    for place, name in enumerate(("a", "b", "c")):
        share.missed(name, place * S, S, (place + 1) * S, answered_before=False)
    share.heard("a", 4 * S)
    assert [share.left_ns(name, 4 * S) for name in ("a", "b", "c")] == [0, 0, 0]
    for name in ("a", "b", "c"):
        share.missed(name, 5 * S, S, 6 * S, answered_before=False)
    share.heard("a", 7 * S)
    assert share.left_ns("b", 7 * S) > 0
