"""Who may have an interval cleared again, from what, and what becomes of its price."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from market.decisions import Refused
from market.facts import CommandGiven
from market.outcomes import ClearingInputs, InputQuality
from market.pricebook import PriceBook, book_from, cleared_again, priced, with_day_ahead, with_result
from market.prices import Regime
from market.reclear import ACTION, ClearAgain, Corrections, corrected, corrections_of, judged
from market.regimes import Interruptions
from market.rules import rules_from
from market.units import NS_PER_H, NS_PER_MIN
from tests.kit.table import DAY_NS, at_ns

RULES = rules_from({"rt_interval_min": 5})
EVE_NS = DAY_NS - 12 * NS_PER_H
ARGS = {"interval_start_ns": str(at_ns("10:00")), "reason": "a meter was wrong", "approval_gov": "G-7", "approval_reg": "R-9"}


def order(role: str = "MO", clock: str = "10:20", **changed: str) -> ClearAgain | Refused:
    command = CommandGiven(ts_event_ns=0, command_id="c1", by="li", role=role, action=ACTION, args=ARGS | changed)
    return judged(command, at_ns(clock), RULES)


@pytest.mark.parametrize("role", ["MO", "TRADING", "DISPATCH"])
def test_a_market_operator_with_both_approvals_may_order_it(role: str) -> None:
    asked = order(role, corrections='{"load_mw": {"101": 96.5}, "units_off": ["b", "a"]}')
    assert isinstance(asked, ClearAgain)
    assert (asked.interval_start_ns, asked.ts_event_ns) == (at_ns("10:00"), at_ns("10:20"))
    assert asked.approvals == {"GOV": "G-7", "REG": "R-9"}
    assert asked.corrections == Corrections(load_mw={"101": 96.5}, units_off=("a", "b"))


@pytest.mark.parametrize(
    ("role", "clock", "changed", "rule", "why"),
    [
        ("REG", "10:20", {}, "Art. 22", "acts as REG"),
        ("VIEWER", "10:20", {}, "Art. 22", "acts as VIEWER"),
        ("MO", "10:20", {"approval_reg": " "}, "Art. 22", "approval of REG"),
        ("MO", "10:20", {"approval_gov": "", "approval_reg": ""}, "Art. 22", "approval of GOV and REG"),
        ("MO", "10:20", {"reason": " "}, "policy", "needs a reason"),
        ("MO", "09:59", {}, "policy", "not begun"),
        ("MO", "10:20", {"interval_start_ns": str(at_ns("10:20") - 24 * NS_PER_H)}, "policy", "more than 24 h ago"),
        ("MO", "10:20", {"interval_start_ns": str(at_ns("10:01"))}, "policy", "not the start of a 5-minute interval"),
        ("MO", "10:20", {"interval_start_ns": "noon"}, "policy", "'noon' is no instant"),
        ("MO", "10:20", {"interval_start_ns": "9" * 30}, "policy", "is no instant"),
        ("MO", "10:20", {"corrections": "{"}, "policy", "no JSON"),
        ("MO", "10:20", {"corrections": '{"load": {}}'}, "policy", "unknown: load; known: load_mw"),
        ("MO", "10:20", {"corrections": '{"load_mw": {"101": NaN}}'}, "policy", "load_mw 101: nan is no number of MW"),
        ("MO", "10:20", {"corrections": '{"output_mw": {"g": true}}'}, "policy", "output_mw g: True"),
        ("MO", "10:20", {"corrections": '{"units_off": "g"}'}, "policy", "units_off: a list of names"),
    ],
)
def test_what_is_missing_or_wrong_is_a_refusal_that_names_it(role: str, clock: str, changed: dict[str, str], rule: str, why: str) -> None:
    refusal = order(role, clock, **changed)
    assert isinstance(refusal, Refused)
    assert refusal.rule == rule
    assert why in refusal.why


def frozen(quality: InputQuality | None = None) -> ClearingInputs:
    return ClearingInputs(
        interval_start_ns=at_ns("10:00"),
        frozen_at_ns=at_ns("09:59"),
        load_mw={"101": 90.0, "102": 40.0},
        output_mw={"g": 100.0, "h": 30.0},
        available_mw={"w": 20.0},
        out_of_service=("B1",),
        stale_points=2,
        used_points=10,
        quality=quality,
    )


def test_corrections_take_the_place_of_what_was_frozen_and_each_is_told() -> None:
    given_ = corrections_of('{"load_mw": {"101": 96.5, "102": 40}, "available_mw": {"v": 5}, "out_of_service": ["B2"]}')
    inputs, told = corrected(frozen(), given_)
    assert inputs.load_mw == {"101": 96.5, "102": 40.0}
    assert inputs.available_mw == {"w": 20.0, "v": 5.0}
    assert inputs.out_of_service == ("B2",)
    assert told == (
        "load_mw 101: 90, now 96.5 MW",
        "available_mw v: not known, now 5 MW",
        "out_of_service: B2 added",
        "out_of_service: B1 removed",
    )


def test_an_order_without_corrections_clears_what_was_frozen() -> None:
    assert corrected(frozen(), Corrections()) == (frozen(), ())


def test_a_unit_whose_output_people_gave_is_not_stale_any_more() -> None:
    quality = InputQuality(
        output_mw=130.0, stale_output_mw=130.0, stale_units=("g", "h"), generation_mw=130.0, load_mw=130.0, import_mw=0.0
    )
    inputs, _ = corrected(frozen(quality), Corrections(output_mw={"g": 110.0}, load_mw={"101": 100.0}))
    assert inputs.quality is not None
    assert (inputs.quality.stale_units, inputs.quality.stale_output_mw, inputs.stale_points) == (("h",), 30.0, 1)
    assert (inputs.quality.output_mw, inputs.quality.generation_mw, inputs.quality.load_mw) == (140.0, 140.0, 140.0)


@settings(max_examples=30)
@given(st.dictionaries(st.sampled_from(["101", "102", "103"]), st.floats(-1e4, 1e4)))
def test_corrections_made_twice_are_those_made_once(load_mw: dict[str, float]) -> None:
    once, _ = corrected(frozen(), Corrections(load_mw=load_mw))
    again, told = corrected(once, Corrections(load_mw=load_mw))
    assert again == once
    assert told == ()


def served(until: str, *, but: str = "") -> PriceBook:
    """A book of five-minute intervals since 09:00, each cleared at 300, except one."""
    book = book_from(at_ns("09:00"), RULES)
    for start_ns in range(at_ns("09:00"), at_ns(until), 5 * NS_PER_MIN):
        if not but or start_ns != at_ns(but):
            book = with_result(book, start_ns, 300.0, 1)
        book, _ = priced(book, start_ns + NS_PER_MIN, RULES, Interruptions())
    return book


def test_the_price_of_a_cleared_interval_is_revised_and_counts_up() -> None:
    book = served("10:00")
    for rev, price in ((1, 310.0), (2, 320.0)):
        book, (record,) = cleared_again(book, at_ns("10:01"), at_ns("09:30"), price, rev + 1, RULES)
        assert (record.regime, record.price_cny_per_mwh, record.rev, record.provisional) == (Regime.MARKET, price, rev, False)
        assert record.source == f"clearing:{rev + 1}"
        assert record.clearing_start_ns == at_ns("09:30")
    assert book.current is not None
    assert book.current.interval_start_ns == at_ns("09:55"), "what is in force now is not touched"
    assert at_ns("09:30") not in {record.interval_start_ns for record in priced(book, at_ns("10:01"), RULES, Interruptions())[1]}


def test_the_price_of_a_gap_becomes_that_of_the_market() -> None:
    book = served("10:00", but="09:30")
    book, (record,) = cleared_again(book, at_ns("10:01"), at_ns("09:30"), 310.0, 2, RULES)
    assert (record.regime, record.price_cny_per_mwh, record.rev) == (Regime.MARKET, 310.0, 1)
    _, (second,) = cleared_again(book, at_ns("10:02"), at_ns("09:30"), 311.0, 3, RULES)
    assert second.rev == 2


@pytest.mark.parametrize("day_ahead", [True, False])
def test_a_price_that_the_breaker_set_stands(day_ahead: bool) -> None:
    book = book_from(at_ns("09:00"), RULES)
    if day_ahead:
        book = with_day_ahead(book, DAY_NS, (400.0,) * 24, 1, RULES, EVE_NS)
    book, records = priced(book, at_ns("09:06"), RULES, Interruptions(rt=((at_ns("09:00"), None),)))
    assert {record.regime for record in records} == {Regime.ART27_2 if day_ahead else Regime.ART27_3}
    assert cleared_again(book, at_ns("09:07"), at_ns("09:00"), 310.0, 2, RULES) == (book, ())


@pytest.mark.parametrize("start", ["08:55", "10:00"])
def test_an_interval_without_a_price_of_ours_gets_none(start: str) -> None:
    book = served("10:00")
    assert cleared_again(book, at_ns("10:01"), at_ns(start), 310.0, 2, RULES) == (book, ())


def test_what_an_older_release_did_not_remember_is_not_revised() -> None:
    book, _ = priced(PriceBook(next_start_ns=at_ns("10:00")), at_ns("10:01"), RULES, Interruptions())
    assert book.whole_from_ns == at_ns("10:00")
    assert cleared_again(book, at_ns("10:01"), at_ns("09:55"), 310.0, 2, RULES)[1] == ()


def test_revisions_are_forgotten_with_their_day() -> None:
    book, _ = cleared_again(served("10:00"), at_ns("10:01"), at_ns("09:30"), 310.0, 2, RULES)
    assert book.settled
    later, _ = priced(book, at_ns("09:30") + 24 * NS_PER_H, RULES, Interruptions())
    assert not [entry for entry in later.settled if entry[0] == at_ns("09:30")]
