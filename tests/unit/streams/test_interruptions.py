"""When the markets are out, as prices ask for it: in which ranges, and from when on an interruption counts."""

from __future__ import annotations

from msgspec.structs import replace

from market.decisions import Phase
from market.facts import Segment
from market.regimes import Interruptions
from market.segment import SegmentState
from streams.interruptions import interrupted_from_ns, interruptions

RT, DA = SegmentState(segment=Segment.RT), SegmentState(segment=Segment.DA)


def out(state: SegmentState, from_ns: int) -> SegmentState:
    return replace(state, phase=Phase.TRIPPED, tripped_at_ns=from_ns, substituted_from_ns=from_ns)


def test_an_interruption_begins_with_the_market_that_is_out_first_and_lasts_until_both_are_back() -> None:
    seen, known = list[int | None](), None
    for rt, da in ((RT, DA), (RT, out(DA, 10)), (out(RT, 20), out(DA, 10)), (out(RT, 20), DA), (out(RT, 20), out(DA, 30)), (RT, DA)):
        known = interrupted_from_ns(known, rt, da)
        seen.append(known)
    assert seen == [None, 10, 10, 10, 10, None]


def test_a_market_that_is_out_from_a_day_to_come_does_not_hide_one_that_goes_out_before_it() -> None:
    assert interrupted_from_ns(100, out(RT, 60), out(DA, 100)) == 60


def test_the_step_that_ends_an_interruption_still_says_when_it_began() -> None:
    ending = replace(out(RT, 20), phase=Phase.RESUMING, effective_from_ns=40)
    told = interruptions((ending, DA), (RT, DA), 10)
    assert told == Interruptions(rt=((20, 40),), began_ns=None, ended_from_ns=10)
    assert interruptions((ending, DA), (ending, DA), 10) == Interruptions(rt=((20, 40),), began_ns=10)
    assert interruptions((RT, DA), (RT, DA), None) == Interruptions()
