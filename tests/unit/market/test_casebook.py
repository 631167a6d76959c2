"""One case for one anomaly: what opens it, what is entered in it, what makes it major, and what keeps it from closing."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from market import casebook
from market.casebook import followed, found, ordered
from market.caserecord import Case, CaseBook, Situation, Standing, item_of
from market.causes import CAUSE_OF_BASIS, AnomalyClass
from market.commands import ORDERS, refusal
from market.decisions import AnomalyNoted, DecisionBody, FindingNoted, OutageEnded, Phase, Refused, Reminded, Transition
from market.facts import CommandGiven, Segment
from market.handling import CaseClosed, CaseNoted, CaseOpened
from market.rules import GUANGDONG_2023
from market.units import NS_PER_DAY, NS_PER_MIN
from tests.kit.table import at_ns

RULES = GUANGDONG_2023
NOW = at_ns("12:00")


def no_duties(segment: Segment | None, since_ns: int, until_ns: int | None, case: str) -> tuple[str, ...]:
    return ()


def moved(before: Phase, after: Phase, basis: str = "RT_120", segment: Segment = Segment.RT, **more: Any) -> Transition:
    # As the machine writes it: with what its condition is taken to be caused by, where nobody said another cause.
    said = {"cause": CAUSE_OF_BASIS.get(basis, ""), **more}
    return Transition(segment=segment, before=before, after=after, basis=basis, article="Art. 23(1)", **said)


def missed(clock: str = "10:00", segment: Segment = Segment.RT) -> AnomalyNoted:
    return AnomalyNoted(segment=segment, interval_start_ns=at_ns(clock), how="MISSED", reason="no result and no message")


DEGRADED = moved(Phase.NORMAL, Phase.DEGRADED, "OUTAGE")
TRIPPED = moved(Phase.DEGRADED, Phase.TRIPPED, cause="TECHNICAL")
RESUMING = moved(Phase.TRIPPED, Phase.RESUMING, "RECOVERED", by="chen")
EFFECTIVE = moved(Phase.RESUMING, Phase.NORMAL, "EFFECTIVE")
ENDED = OutageEnded(segment=Segment.RT, outage_start_ns=at_ns("10:00"), outage_end_ns=at_ns("10:20"), failed_intervals=2)


def follow(*bodies: DecisionBody, book: CaseBook | None = None, now_ns: int = NOW) -> tuple[CaseBook, list[DecisionBody]]:
    book, made = book or CaseBook(), list[DecisionBody]()
    for body in bodies:
        book, more = followed(book, body, now_ns, RULES)
        made += more
        assert msgspec.json.decode(msgspec.json.encode(book), type=CaseBook) == book
    return book, made


def entries(made: list[DecisionBody]) -> list[str]:
    return [body.entry if isinstance(body, CaseNoted) else type(body).__name__ for body in made]


def order(action: str, role: str = "DISPATCH", **args: str) -> CommandGiven:
    args = {{"kind": "class"}.get(name, name): value for name, value in args.items()}
    command = CommandGiven(ts_event_ns=NOW, command_id="c", by="chen", role=role, action=action, args=args)
    assert refusal(command) is None
    return command


def give(
    book: CaseBook, action: str, role: str = "DISPATCH", duties: casebook.OpenDuties = no_duties, **args: str
) -> tuple[CaseBook, list[DecisionBody]]:
    after, made = ordered(book, order(action, role, **args), NOW, RULES, duties)
    if any(isinstance(body, Refused) for body in made):
        assert after is book, "a refusal changes nothing"
        assert len(made) == 1
    return after, list(made)


def why(made: list[DecisionBody]) -> str:
    assert isinstance(made[0], Refused), made
    return f"{made[0].rule}: {made[0].why}"


def test_an_outage_opens_one_case_for_all_its_intervals() -> None:
    book, made = follow(DEGRADED, missed("10:00"), missed("10:15"))
    assert made[0] == CaseOpened(
        case="2026-06-10-01",
        segment=Segment.RT,
        anomaly="RESULT",
        item="Art. 9(2)",
        discovered_ns=NOW,
        subject="real-time market: no valid result",
    )
    assert entries(made) == ["CaseOpened"], "the anomalies themselves are the record; the case does not repeat them"
    assert book.cases[0].version == 1


def test_an_anomaly_without_a_change_of_phase_opens_a_case_too() -> None:
    book, made = follow(missed("17:30", Segment.DA))
    assert entries(made) == ["CaseOpened"]
    ended = OutageEnded(segment=Segment.DA, outage_start_ns=0, outage_end_ns=at_ns("18:00"), failed_intervals=1)
    book, made = follow(ended, book=book)
    assert entries(made) == ["STATUS", "CaseClosed"]
    assert book.cases == ()


def test_segments_have_cases_of_their_own() -> None:
    book, _ = follow(DEGRADED, moved(Phase.NORMAL, Phase.PROPOSED, "DA_EXPECTED", Segment.DA, operating_day="2026-06-11"))
    assert [case.case for case in book.cases] == ["2026-06-10-01", "2026-06-10-02"]
    assert book.cases[1].subject == "day-ahead market of 2026-06-11: no result expected in time"


def test_a_minor_case_closes_by_itself_when_the_outage_ends() -> None:
    book, made = follow(DEGRADED, missed(), ENDED)
    assert entries(made)[1:] == ["STATUS", "CaseClosed"]
    assert isinstance(made[1], CaseNoted)
    assert made[1].text == (
        "over: a valid result ended the outage at 2026-06-10T10:20:00+08:00; minor, so it closes by itself (policy); "
        "cause TECHNICAL (Art. 5(3)), presumed"
    )
    assert made[2] == CaseClosed(case="2026-06-10-01", by="")
    book, made = follow(moved(Phase.DEGRADED, Phase.NORMAL, "RESULT_OK"), book=book)
    assert made == []
    assert [over.case for over in book.closed] == ["2026-06-10-01"]


def test_the_calendar_may_end_an_outage() -> None:
    calendar = OutageEnded(segment=Segment.RT, outage_start_ns=0, outage_end_ns=NOW, failed_intervals=1, by_calendar=True)
    _, made = follow(DEGRADED, calendar)
    assert isinstance(made[1], CaseNoted)
    assert "the market closed by its calendar" in made[1].text


def test_a_proposal_outlives_the_outage_and_its_withdrawal_ends_the_case() -> None:
    book, made = follow(DEGRADED, moved(Phase.DEGRADED, Phase.PROPOSED, "TOPOLOGY_SOFT"), ENDED)
    assert entries(made) == ["CaseOpened", "LINKED"]
    book, made = follow(moved(Phase.PROPOSED, Phase.NORMAL, "EVIDENCE_WITHDRAWN"), book=book)
    assert entries(made) == ["STATUS", "CaseClosed"]


@pytest.mark.parametrize(
    ("basis", "anomaly", "item", "cause"),
    [
        ("RT_120", "RESULT", "Art. 9(2)", "TECHNICAL"),
        ("DA_MISSED", "RESULT", "Art. 9(2)", "TECHNICAL"),
        ("DA_EXPECTED", "RESULT", "Art. 9(2)", "TECHNICAL"),
        ("TOPOLOGY_HARD", "CANNOT_CONTINUE", "Art. 8(3)", "TECHNICAL"),
        ("TOPOLOGY_SOFT", "CANNOT_CONTINUE", "Art. 8(3)", "TECHNICAL"),
        ("SWITCHOVER", "CANNOT_CONTINUE", "Art. 8(3)", "SITE_ACCIDENT"),
        ("OTHER", "CANNOT_CONTINUE", "Art. 8(3)", ""),
    ],
)
def test_class_and_presumed_cause_follow_from_the_basis(basis: str, anomaly: str, item: str, cause: str) -> None:
    book, made = follow(moved(Phase.NORMAL, Phase.TRIPPED, basis))
    assert isinstance(made[0], CaseOpened)
    assert (made[0].anomaly, made[0].item, made[0].major) == (anomaly, item, True)
    assert (book.cases[0].cause, book.cases[0].presumed) == (cause, True)
    assert entries(made)[1:] == (["CAUSE"] if cause else [])


@pytest.mark.parametrize("phase", [Phase.TRIPPED, Phase.OVERDUE, Phase.SUSPENDED, Phase.SUSPENDED_LONG])
def test_a_breaker_and_a_suspension_are_major(phase: Phase) -> None:
    book, made = follow(DEGRADED, moved(Phase.DEGRADED, phase))
    assert book.cases[0].major
    assert "MAJOR" in entries(made)


@pytest.mark.parametrize("phase", [Phase.DEGRADED, Phase.PROPOSED, Phase.RESUMING])
def test_less_than_a_breaker_is_minor(phase: Phase) -> None:
    assert not follow(moved(Phase.NORMAL, phase))[0].cases[0].major


def test_the_life_of_a_breaker_is_one_case_that_stays_open_after_the_recovery() -> None:
    overdue = moved(Phase.TRIPPED, Phase.OVERDUE, "OVER_72_H")
    book, made = follow(DEGRADED, missed(), TRIPPED, overdue, RESUMING, EFFECTIVE)
    assert entries(made) == ["CaseOpened", "MAJOR", "CAUSE", "STATUS", "STATUS", "STATUS"]
    assert isinstance(made[1], CaseNoted)
    assert made[1].text == "DEGRADED → TRIPPED: RT_120 (Art. 23(1))"
    case = book.cases[0]
    assert (case.over, case.major, case.phase) == (True, True, Phase.NORMAL)
    book, made = follow(DEGRADED, book=book)  # the next anomaly is another case
    assert [case.case for case in book.cases] == ["2026-06-10-01", "2026-06-10-02"]


def test_a_trip_out_of_the_resuming_market_is_the_same_case() -> None:
    again = moved(Phase.RESUMING, Phase.TRIPPED, "TOPOLOGY_HARD", evidence=("three lines lost",))
    _, made = follow(TRIPPED, RESUMING, again)
    assert entries(made) == ["CaseOpened", "CAUSE", "STATUS", "LINKED", "CAUSE"]
    assert isinstance(made[3], CaseNoted)
    assert made[3].text.endswith("three lines lost")


def test_a_recovery_that_takes_effect_while_another_trip_is_proposed_ends_no_case() -> None:
    book, _ = follow(TRIPPED, RESUMING, moved(Phase.RESUMING, Phase.PROPOSED), moved(Phase.PROPOSED, Phase.PROPOSED, "EFFECTIVE"))
    assert not book.cases[0].over


def test_a_person_who_trips_says_the_cause_and_a_machine_does_not_take_it_back() -> None:
    by_chen = moved(Phase.PROPOSED, Phase.TRIPPED, by="chen", cause="FORCE_MAJEURE", reference="W-1")
    book, made = follow(moved(Phase.NORMAL, Phase.PROPOSED), by_chen)
    assert made[-1] == CaseNoted(case="2026-06-10-01", entry="CAUSE", text="FORCE_MAJEURE (Art. 5(1)), W-1", by="chen")
    book, made = follow(RESUMING, moved(Phase.RESUMING, Phase.TRIPPED, cause="TECHNICAL"), book=book)
    assert "CAUSE" not in entries(made)
    assert (book.cases[0].cause, book.cases[0].presumed, book.cases[0].reference) == ("FORCE_MAJEURE", False, "W-1")


def test_a_cause_that_is_proposed_is_said_and_not_said_twice() -> None:
    proposed = moved(Phase.NORMAL, Phase.PROPOSED, "OTHER", by="li", cause="TECHNICAL")
    book, made = follow(proposed)
    assert entries(made) == ["CaseOpened", "CAUSE"]
    book, made = follow(moved(Phase.PROPOSED, Phase.DEGRADED, "REJECTED", by="li", cause="TECHNICAL"), proposed, book=book)
    assert entries(made) == ["LINKED", "LINKED"]


def test_findings_of_the_breaker_are_entered_where_a_case_runs() -> None:
    noted = FindingNoted(finding="SWITCHED_BACK", article="Art. 23(2)", evidence=("control back at MAIN",))
    assert follow(noted)[1] == []
    _, made = follow(DEGRADED, noted)
    assert isinstance(made[1], CaseNoted)
    assert (made[1].entry, made[1].text) == ("LINKED", "SWITCHED_BACK: control back at MAIN")
    _, made = follow(moved(Phase.NORMAL, Phase.TRIPPED, "DA_MISSED", Segment.DA), noted)
    assert entries(made)[-1] == "LINKED"
    other = FindingNoted(finding="CHATTERING", article="policy 1.5", evidence=())
    assert follow(DEGRADED, other, Reminded(segment=Segment.RT, outage_start_ns=0, minutes=15, headroom_min=105))[1][1:] == []


def test_results_under_review_share_one_case_that_a_person_closes() -> None:
    noted = FindingNoted(finding="PRICE_UNDER_REVIEW", article="Art. 9(1)", evidence=("interval 10:00", "price 900"))
    book, made = follow(DEGRADED, noted, noted)
    assert entries(made) == ["CaseOpened", "CaseOpened", "LINKED"]
    assert isinstance(made[1], CaseOpened)
    assert (made[1].item, made[1].anomaly) == ("Art. 9(1)", "RESULT")
    book, _ = follow(moved(Phase.DEGRADED, Phase.NORMAL, "RESULT_OK"), book=book)
    assert [case.case for case in book.cases] == ["2026-06-10-02"]
    assert "a cause of Art. 5 (SET_CAUSE)" in why(give(book, "CLOSE_CASE", case="2026-06-10-02")[1])
    book, _ = give(book, "SET_CAUSE", case="2026-06-10-02", cause="HUMAN_ERROR")
    book, made = give(book, "CLOSE_CASE", case="2026-06-10-02")
    assert made == [CaseClosed(case="2026-06-10-02", by="chen")]


def test_numbers_count_by_civil_day_of_the_market() -> None:
    book, _ = follow(DEGRADED, moved(Phase.NORMAL, Phase.DEGRADED, "OUTAGE", Segment.DA))
    late = at_ns("23:59:59.999")
    book, made = follow(moved(Phase.DEGRADED, Phase.NORMAL, "RESULT_OK"), DEGRADED, book=book, now_ns=late)
    assert isinstance(made[-1], CaseOpened)
    assert made[-1].case == "2026-06-10-03"
    book, made = follow(moved(Phase.DEGRADED, Phase.NORMAL, "RESULT_OK"), DEGRADED, book=book, now_ns=at_ns("00:00") + NS_PER_DAY)
    assert isinstance(made[-1], CaseOpened)
    assert made[-1].case == "2026-06-11-01"


# ---- situations of trading sessions


def situation(standing: Standing = Standing.FOUND, subject: str = "session S", at: int = NOW) -> Situation:
    return Situation(
        finding="LOGINS_FAIL",
        standing=standing,
        anomaly=AnomalyClass.CANNOT_START,
        item="Art. 7(5)",
        subject=subject,
        discovered_ns=at,
        evidence=("123 of 1230",),
    )


def test_a_situation_opens_a_case_and_more_of_it_is_entered() -> None:
    book, made = found(CaseBook(), situation(), NOW, RULES)
    assert entries(list(made)) == ["FindingNoted", "CaseOpened", "CAUSE"]
    assert isinstance(made[2], CaseNoted)
    assert made[2].text == "TECHNICAL (Art. 5(3)), presumed"
    assert made[0] == FindingNoted(finding="LOGINS_FAIL", article="Art. 7(5)", evidence=("123 of 1230",))
    assert isinstance(made[1], CaseOpened)
    assert (made[1].segment, made[1].anomaly, made[1].discovered_ns) == (None, "CANNOT_START", NOW)
    assert (book.cases[0].cause, book.cases[0].presumed) == ("TECHNICAL", True)
    book, made = found(book, situation(Standing.MORE), NOW, RULES)
    assert entries(list(made)) == ["FindingNoted", "LINKED"]
    book, made = found(book, situation(subject="session T"), NOW, RULES)
    assert entries(list(made)) == ["FindingNoted", "CaseOpened", "CAUSE"]


@pytest.mark.parametrize("standing", [Standing.WARNING, Standing.MORE, Standing.OVER])
def test_nothing_but_what_is_found_opens_a_case(standing: Standing) -> None:
    book, made = found(CaseBook(), situation(standing), NOW, RULES)
    assert book == CaseBook()
    assert entries(list(made)) == ["FindingNoted"]


def test_a_case_of_a_session_never_closes_by_itself_nor_before_the_situation_is_over() -> None:
    book, _ = found(CaseBook(), situation(), NOW, RULES)
    assert why(give(book, "CLOSE_CASE", case="2026-06-10-01")[1]).endswith("waits for the end of the anomaly")
    book, made = found(book, situation(Standing.OVER), NOW, RULES)
    assert entries(list(made)) == ["FindingNoted", "STATUS"]
    book, made_ = give(book, "CLOSE_CASE", case="2026-06-10-01", text="mended")
    assert entries(made_) == ["STATUS", "CaseClosed"]


def test_what_staff_record_of_a_situation_is_linked_and_the_discovery_is_the_earliest() -> None:  # GD-11-3
    book, _ = found(CaseBook(), situation(at=at_ns("09:00")), at_ns("09:00"), RULES)
    record = {"kind": "CANNOT_START", "item": "7(5)", "subject": "Session s"}
    book, made = give(book, "OPEN_CASE", **record, discovered_at="2026-06-10T09:12:00+08:00", text="phones ring")
    assert made == [
        CaseNoted(
            case="2026-06-10-01",
            entry="LINKED",
            text="Art. 7(5), Session s, found 2026-06-10T09:12:00+08:00: phones ring",
            by="chen",
        )
    ]
    assert book.cases[0].discovered_ns == at_ns("09:00")
    book, made = give(book, "OPEN_CASE", **record, discovered_at="2026-06-10T09:00:00+08:00")
    assert entries(made) == ["LINKED"]
    book, made = give(book, "OPEN_CASE", **record, discovered_at="2026-06-10T08:55:00+08:00", cause="HUMAN_ERROR")
    assert entries(made) == ["LINKED", "DISCOVERED", "CAUSE"]
    assert isinstance(made[1], CaseNoted)
    assert made[1].text == "2026-06-10T08:55:00+08:00"
    assert (book.cases[0].discovered_ns, book.cases[0].cause, book.cases[0].presumed) == (at_ns("08:55"), "HUMAN_ERROR", False)


def test_what_a_machine_finds_of_a_case_that_staff_opened_is_linked() -> None:
    book, _ = give(CaseBook(), "OPEN_CASE", kind="CANNOT_START", item="Art. 7(5)", subject="session S")
    book, made = found(book, situation(), NOW, RULES)
    assert entries(list(made)) == ["FindingNoted", "LINKED"]
    assert book.cases[0].watched  # from now on the machine knows when it is over
    assert not found(CaseBook(cases=(_unwatched(),)), situation(Standing.WARNING), NOW, RULES)[0].cases[0].watched


def _unwatched() -> Case:
    return give(CaseBook(), "OPEN_CASE", kind="CANNOT_START", item="Art. 7(5)", subject="session S")[0].cases[0]


# ---- orders


def test_staff_open_a_case_with_its_cause() -> None:
    book, made = give(
        CaseBook(),
        "OPEN_CASE",
        role="TRADING",
        kind="RESULT",
        item="9(3)",
        subject="wrong price in S",
        discovered_at="2026-06-10T12:00:00+08:00",
        cause="HUMAN_ERROR",
        text="typing error",
    )
    assert entries(made) == ["CaseOpened", "CAUSE", "STATUS"]
    case = book.cases[0]
    assert (case.item, case.cause, case.presumed, case.by_person, case.segment) == ("Art. 9(3)", "HUMAN_ERROR", False, True, None)


@pytest.mark.parametrize(
    ("args", "complaint"),
    [
        ({"kind": "WRONG"}, "Art. 6: 'WRONG' is no class of Art. 6; use CANNOT_START or CANNOT_CONTINUE or RESULT or NOT_ENDED"),
        ({"item": "7(5)"}, "Art. 6: '7(5)' is no item of RESULT; use Art. 9(1) or Art. 9(2) or Art. 9(3)"),
        ({"item": "9"}, "'9' is no item of RESULT"),
        ({"segment": "RT,DA"}, "policy: 'RT,DA' is no segment"),
        ({"discovered_at": "09:00"}, "policy: discovered_at: '09:00' is not an ISO 8601 instant"),
        ({"discovered_at": "2026-06-10T12:00:00.001+08:00"}, "Art. 11: discovered_at 2026-06-10T12:00:00.001+08:00 lies ahead"),
        ({"cause": "BAD_LUCK"}, "Art. 5: 'BAD_LUCK' is no cause of Art. 5; use FORCE_MAJEURE or"),
        ({"cause": "FORCE_MAJEURE"}, "Art. 5: FORCE_MAJEURE needs the document that shows it; give reference="),
        ({"cause": "DETERMINED"}, "Art. 5: DETERMINED needs the document"),
    ],
)
def test_a_record_that_is_not_in_order_is_refused(args: dict[str, str], complaint: str) -> None:
    _, made = give(CaseBook(), "OPEN_CASE", **({"kind": "RESULT", "item": "9(1)", "subject": "x"} | args))
    assert complaint in why(made)


def test_staff_records_of_a_segment_join_its_case_and_those_of_a_wrong_result_do_not() -> None:
    book, _ = follow(DEGRADED)
    book, made = give(book, "OPEN_CASE", kind="RESULT", item="9(2)", subject="no prices", segment="RT")
    assert entries(made) == ["LINKED"]
    book, made = give(book, "OPEN_CASE", kind="RESULT", item="9(1)", subject="odd price", segment="RT")
    assert entries(made) == ["CaseOpened"]


def test_a_case_that_staff_opened_does_not_close_by_itself() -> None:
    book, _ = give(CaseBook(), "OPEN_CASE", kind="CANNOT_CONTINUE", item="8(1)", subject="telephones", segment="RT")
    assert follow(moved(Phase.PROPOSED, Phase.NORMAL), book=book)[1] == []  # nobody linked it to this
    book, made = follow(missed(), book=book)
    assert "waits for the end of the anomaly" in why(give(book, "CLOSE_CASE", case="2026-06-10-01")[1])
    book, made = follow(ENDED, book=book)
    assert entries(made) == ["STATUS"]
    assert len(book.cases) == 1


def test_a_segment_that_moves_tells_when_a_case_of_a_person_is_over() -> None:
    book, _ = give(CaseBook(), "OPEN_CASE", kind="CANNOT_CONTINUE", item="8(1)", subject="telephones", segment="RT")
    book, made = follow(DEGRADED, book=book)
    assert (entries(made), book.cases[0].watched) == (["LINKED"], True)
    book, made = follow(moved(Phase.DEGRADED, Phase.NORMAL, "RESULT_OK"), book=book)
    assert (entries(made), book.cases[0].over) == (["STATUS"], True)


def test_work_on_a_minor_case_keeps_it_open() -> None:
    book, _ = follow(DEGRADED)
    book, _ = give(book, "RECTIFY", case="2026-06-10-01", item="disk", text="replace it")
    book, made = follow(ENDED, book=book)
    assert entries(made) == ["STATUS"]
    assert len(book.cases) == 1


def test_typhoon_needs_its_warning() -> None:  # GD-05-1
    book, _ = follow(TRIPPED)
    refused = give(book, "SET_CAUSE", case="2026-06-10-01", cause="FORCE_MAJEURE")[1]
    assert "Art. 5: FORCE_MAJEURE needs" in why(refused)
    book, made = give(book, "SET_CAUSE", case="2026-06-10-01", cause="FORCE_MAJEURE", reference="typhoon-red", text="landfall")
    assert made == [CaseNoted(case="2026-06-10-01", entry="CAUSE", text="FORCE_MAJEURE (Art. 5(1)), typhoon-red: landfall", by="chen")]


@pytest.mark.parametrize("body", ["GOV", "REG"])
def test_the_authorities_determine_and_nothing_else(body: str) -> None:
    book, _ = follow(TRIPPED)
    assert "operators say the others" in why(give(book, "SET_CAUSE", role=body, case="2026-06-10-01", cause="TECHNICAL")[1])
    book, made = give(book, "SET_CAUSE", role=body, case="2026-06-10-01", cause="DETERMINED", reference="Doc 7")
    assert entries(made) == ["CAUSE"]


def test_actions_are_entered_in_the_words_of_who_gave_them() -> None:
    book, _ = follow(TRIPPED)
    _, made = give(book, "NOTE_ACTION", case=" 2026-06-10-01 ", text=" restarted the solver ")
    assert made == [CaseNoted(case="2026-06-10-01", entry="ACTION", text="restarted the solver", by="chen")]


def test_a_case_waits_for_the_duties_of_its_own_breaker_and_of_no_later_one() -> None:
    book, _ = follow(TRIPPED, RESUMING, EFFECTIVE)
    book, _ = follow(TRIPPED, book=book, now_ns=NOW + NS_PER_DAY)
    book, _ = follow(
        FindingNoted(finding="PRICE_UNDER_REVIEW", article="Art. 9(1)", evidence=("x",)), book=book, now_ns=NOW + 2 * NS_PER_DAY
    )
    asked: list[tuple[Segment | None, int, int | None, str]] = []

    def nothing(segment: Segment | None, since_ns: int, until_ns: int | None, case: str) -> tuple[str, ...]:
        asked.append((segment, since_ns, until_ns, case))
        return ()

    casebook.view(book, nothing)
    assert asked == [
        (Segment.RT, NOW, NOW + NS_PER_DAY, "2026-06-10-01"),
        (Segment.RT, NOW + NS_PER_DAY, None, "2026-06-11-01"),
        (None, NOW + 2 * NS_PER_DAY, None, "2026-06-12-01"),
    ]


def test_a_major_case_closes_once_nothing_of_it_is_open() -> None:  # GD-04-1
    number = "2026-06-10-01"
    book, _ = follow(TRIPPED)
    gaps = why(give(book, "CLOSE_CASE", case=number)[1])
    assert gaps == (
        f"Art. 4: case {number} waits for the end of the anomaly: the segment is TRIPPED; "
        "an analysis of the cause (ANALYSE_CASE); items that are to be rectified (RECTIFY)"
    )
    book, _ = follow(RESUMING, EFFECTIVE, book=book)
    book, _ = give(book, "ANALYSE_CASE", case=number, text="a full disk")
    assert why(give(book, "CLOSE_CASE", case=number)[1]).endswith("waits for items that are to be rectified (RECTIFY)")
    book, made = give(book, "RECTIFY", case=number, item="disk", text="watch it", due="2026-06-10", owner="IT")
    assert isinstance(made[0], CaseNoted)
    assert made[0].text == "disk: watch it; due 2026-06-10; owner IT"
    assert "waits for item 'disk' to be rectified" in why(give(book, "CLOSE_CASE", case=number)[1])
    book, made = give(book, "RECTIFIED", case=number, item="disk", text="alarm at 80 %")
    assert isinstance(made[0], CaseNoted)
    assert made[0].text == "disk: alarm at 80 %"
    asked: list[tuple[Segment | None, int, int | None, str]] = []

    def explain_is_open(segment: Segment | None, since_ns: int, until_ns: int | None, case: str) -> tuple[str, ...]:
        asked.append((segment, since_ns, until_ns, case))
        return ("explain: REG has no receipt",)

    assert why(give(book, "CLOSE_CASE", case=number, duties=explain_is_open)[1]).endswith("waits for duty explain: REG has no receipt")
    assert asked == [(Segment.RT, NOW, None, number)]
    book, made = give(book, "CLOSE_CASE", case=number)
    assert made == [CaseClosed(case=number, by="chen")]
    assert book.cases == ()
    assert "was closed at 2026-06-10T12:00:00+08:00; open another" in why(give(book, "NOTE_ACTION", case=number, text="x")[1])


def test_people_see_what_keeps_a_case_open() -> None:
    book, _ = follow(TRIPPED)
    book, _ = give(book, "OPEN_CASE", kind="CANNOT_START", item="7(1)", subject="session S")
    breaker, session = casebook.view(book, no_duties)
    assert (breaker.case, breaker.version, breaker.status, breaker.cause, breaker.major) == (
        "2026-06-10-01",
        2,
        "TRIPPED",
        "TECHNICAL",
        True,
    )
    assert len(breaker.missing) == 3
    assert (session.status, session.missing, session.segment) == ("open", ("a cause of Art. 5 (SET_CAUSE)",), None)
    book, _ = follow(RESUMING, EFFECTIVE, book=book)
    assert casebook.view(book, lambda *_: ("explain",))[0].missing[-1] == "duty explain"
    assert casebook.view(book, no_duties)[0].status == "over"


def test_an_unknown_case_is_named_with_those_that_are_open() -> None:
    assert why(give(CaseBook(), "NOTE_ACTION", case="7", text="x")[1]) == "policy: no case '7' is open; open: none"
    assert "open: 2026-06-10-01" in why(give(follow(TRIPPED)[0], "NOTE_ACTION", case="7", text="x")[1])


def test_a_stale_screen_cannot_close() -> None:
    book, _ = follow(TRIPPED)
    assert give(book, "NOTE_ACTION", case="2026-06-10-01", text="x", version="2")[1] != []
    refused = give(book, "NOTE_ACTION", case="2026-06-10-01", text="x", version="1")[1]
    assert why(refused) == "policy: the screen showed version 1, case 2026-06-10-01 is at 2; look again"


@pytest.mark.parametrize(
    ("args", "complaint"),
    [
        ({"item": "disk"}, "has an item 'disk' already"),
        ({"item": "fan"}, "has an item 'fan' already"),
        ({"item": "x", "due": "soon"}, "due 'soon' is not a day"),
        ({"item": "x", "due": "2026-06-09"}, "due 2026-06-09 is over; today is 2026-06-10"),
    ],
)
def test_items_to_rectify_have_names_of_their_own_and_a_day_ahead(args: dict[str, str], complaint: str) -> None:
    number = "2026-06-10-01"
    book, _ = follow(TRIPPED)
    for item in ("disk", "fan"):
        book, _ = give(book, "RECTIFY", case=number, item=item, text="x")
    book, _ = give(book, "RECTIFIED", case=number, item="fan")
    assert complaint in why(give(book, "RECTIFY", case=number, text="x", **args)[1])


def test_what_is_done_or_unknown_cannot_be_rectified() -> None:
    number = "2026-06-10-01"
    book, _ = follow(TRIPPED)
    assert "item 'disk' of case 2026-06-10-01 is none of it; open: none" in why(give(book, "RECTIFIED", case=number, item="disk")[1])
    for item in ("disk", "fan"):
        book, _ = give(book, "RECTIFY", case=number, item=item, text="x")
    book, _ = give(book, "RECTIFIED", case=number, item="disk")
    assert "'disk' of case 2026-06-10-01 is done already; open: fan" in why(give(book, "RECTIFIED", case=number, item="disk")[1])


def test_the_last_sixteen_closed_cases_are_known() -> None:
    book = CaseBook()
    for _ in range(17):
        book, _ = follow(DEGRADED, ENDED, book=book)
    assert [over.case for over in book.closed] == [f"2026-06-10-{count:02d}" for count in range(2, 18)]


@pytest.mark.parametrize(
    ("text", "item"),
    [
        ("7(6)", "Art. 7(6)"),
        ("7(7)", ""),
        ("7(0)", ""),
        ("art 8 (3)", "Art. 8(3)"),
        ("8(4)", ""),
        ("Art. 9(3)", "Art. 9(3)"),
        ("9(4)", ""),
        ("10", "Art. 10"),
        ("10(1)", ""),
        ("6(1)", ""),
        ("late", ""),
    ],
)
def test_items_are_those_of_the_measure(text: str, item: str) -> None:
    assert item_of(text) == item


def test_every_order_for_a_case_has_an_answer() -> None:
    actions = [name for name, order_ in ORDERS.items() if order_.owner == "cases" and name != "OPEN_CASE"]
    book, _ = follow(TRIPPED)
    for action in actions:
        args = dict.fromkeys(ORDERS[action].needs, "x") | {"case": "2026-06-10-01"}
        assert give(book, action, **args)[1]


PHASES = st.sampled_from(Phase)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.one_of(st.tuples(PHASES, PHASES, st.sampled_from(Segment)), st.sampled_from(["missed", "ended", "review"])), max_size=25)
)
def test_whatever_happens_a_segment_has_at_most_one_case_that_runs(story: list[Any]) -> None:
    book = CaseBook()
    for number, event in enumerate(story):
        match event:
            case "missed":
                body: DecisionBody = missed()
            case "ended":
                body = ENDED
            case "review":
                body = FindingNoted(finding="PRICE_UNDER_REVIEW", article="Art. 9(1)", evidence=())
            case (before, after, segment):
                body = moved(before, after, segment=segment)
        before_, (book, made) = book, followed(book, body, NOW + number * NS_PER_MIN, RULES)
        keys = [case.key for case in book.cases if not case.over]
        assert len(keys) == len(set(keys))
        assert all(case.major is False or case.case in {kept.case for kept in book.cases} for case in before_.cases), (
            "no major case is lost"
        )
        assert len(made) <= 3
        if isinstance(body, Transition) and body.after is Phase.NORMAL:
            assert body.segment not in keys


# ---- who says what of a cause, and what is said of the end


def test_an_outage_that_ends_while_its_breaker_is_out_says_nothing_of_the_breakers_case() -> None:
    book, _ = follow(DEGRADED, TRIPPED)
    assert follow(ENDED, book=book) == (book, [])


def test_a_major_case_is_not_said_to_close_by_itself() -> None:
    _, made = follow(TRIPPED, RESUMING, EFFECTIVE)
    assert isinstance(made[-1], CaseNoted)
    assert made[-1].text == "over: RESUMING → NORMAL: EFFECTIVE (Art. 23(1))"


def test_a_minor_case_whose_cause_nobody_knows_closes_and_says_so() -> None:
    book, made = follow(moved(Phase.NORMAL, Phase.PROPOSED, "OTHER"), moved(Phase.PROPOSED, Phase.NORMAL, "REJECTED", by="li"))
    assert book.cases == ()
    assert isinstance(made[-2], CaseNoted)
    assert made[-2].text.endswith("minor, so it closes by itself (policy); cause not known")


def test_a_person_who_recovers_a_market_says_nothing_of_the_cause_that_was_determined() -> None:
    book, _ = follow(TRIPPED)
    book, _ = give(book, "SET_CAUSE", case="2026-06-10-01", cause="HUMAN_ERROR")
    book, made = follow(moved(Phase.TRIPPED, Phase.RESUMING, "RECOVERED", by="chen", cause="TECHNICAL"), book=book)
    assert (entries(made), book.cases[0].cause) == (["STATUS"], "HUMAN_ERROR")


def test_a_person_who_trips_may_say_another_cause_than_was_said_before() -> None:
    book, _ = follow(moved(Phase.NORMAL, Phase.PROPOSED))
    book, _ = give(book, "SET_CAUSE", case="2026-06-10-01", cause="HUMAN_ERROR")
    book, made = follow(moved(Phase.PROPOSED, Phase.TRIPPED, by="li", cause="SITE_ACCIDENT"), book=book)
    assert entries(made) == ["MAJOR", "CAUSE"]
    assert (book.cases[0].cause, book.cases[0].presumed) == ("SITE_ACCIDENT", False)


def test_what_a_breaker_rests_on_is_presumed_of_a_case_whose_cause_no_person_said() -> None:
    book, _ = give(CaseBook(), "OPEN_CASE", kind="CANNOT_CONTINUE", item="8(1)", subject="telephones", segment="RT", reference="M-7")
    assert (book.cases[0].segment, book.cases[0].cause, book.cases[0].reference) == (Segment.RT, "", ""), "a paper shows a cause or nothing"
    book, made = follow(TRIPPED, book=book)
    assert entries(made) == ["MAJOR", "CAUSE"]
    assert (book.cases[0].cause, book.cases[0].presumed) == ("TECHNICAL", True)


def test_a_cause_that_is_said_as_a_case_is_opened_keeps_its_paper() -> None:
    said = {"kind": "CANNOT_START", "item": "7(1)", "subject": "x", "cause": "FORCE_MAJEURE", "reference": "W-1"}
    book, made = give(CaseBook(), "OPEN_CASE", **said)
    assert book.cases[0].reference == "W-1"
    assert isinstance(made[1], CaseNoted)
    assert made[1].text == "FORCE_MAJEURE (Art. 5(1)), W-1"


def test_what_is_more_of_a_situation_does_not_end_the_watch_over_it() -> None:
    book, _ = found(CaseBook(), situation(), NOW, RULES)
    book, _ = found(book, situation(Standing.MORE), NOW, RULES)
    assert why(give(book, "CLOSE_CASE", case="2026-06-10-01")[1]).endswith("waits for the end of the anomaly")


def test_of_several_closed_cases_the_one_that_was_asked_for_is_named() -> None:
    book, _ = follow(DEGRADED, ENDED, now_ns=at_ns("10:00"))
    book, _ = follow(moved(Phase.DEGRADED, Phase.NORMAL, "RESULT_OK"), DEGRADED, ENDED, book=book, now_ns=at_ns("11:00"))
    told = why(give(book, "NOTE_ACTION", case="2026-06-10-02", text="x")[1])
    assert "case 2026-06-10-02 was closed at 2026-06-10T11:00:00+08:00" in told
    assert "no case '2026-06-10-09' is open; open: none" in why(give(book, "NOTE_ACTION", case="2026-06-10-09", text="x")[1])


@pytest.mark.parametrize(
    ("args", "text"),
    [
        ({}, "disk: replace it"),
        ({"due": "2026-06-20"}, "disk: replace it; due 2026-06-20"),
        ({"owner": "IT"}, "disk: replace it; owner IT"),
        ({"due": "2026-06-20", "owner": "IT"}, "disk: replace it; due 2026-06-20; owner IT"),
    ],
)
def test_an_item_to_rectify_says_by_when_and_by_whom_where_that_is_known(args: dict[str, str], text: str) -> None:
    book, _ = follow(TRIPPED)
    _, made = give(book, "RECTIFY", case="2026-06-10-01", item="disk", text="replace it", **args)
    assert made == [CaseNoted(case="2026-06-10-01", entry="RECTIFICATION", text=text, by="chen")]


def test_a_record_from_before_a_field_was_kept_reads_as_if_nothing_had_been_said() -> None:
    known = {"case": "c", "key": "RT", "segment": "RT", "anomaly": "RESULT", "item": "Art. 9(2)", "subject": "x", "discovered_ns": 7}
    case = msgspec.convert(known, Case)
    assert {name: value for name, value in msgspec.to_builtins(case).items() if value} == {**known, "version": 1, "watched": True}
    assert case.opened_ns == 0
    assert CaseBook().numbered == 0
