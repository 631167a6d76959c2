"""Orders as people type them: every one can be given, is sent as meant, and ends with what was decided."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import typer

from console import asking, orders
from console.cli import app
from console.handling import permits_of
from console.orders import GROUPS, VERBS
from market.commands import ORDERS
from market.decisions import CommandAccepted, Phase, Transition
from market.facts import Segment
from market.units import NS_PER_H, NS_PER_MIN
from market.view import ApprovalView, CaseView, DutyView, NoticeView
from tests.kit.board_feed import SCENES, view_at
from tests.kit.cli import CliRunner, Result
from tests.kit.decided import EVERY_BODY, chain_of
from tests.kit.decider import Decider

T0 = SCENES["tripped"]
MOVED = Transition(segment=Segment.RT, before=Phase.TRIPPED, after=Phase.RESUMING, basis="RECOVERED", article="Art. 29")
VIEW = replace(
    view_at(T0),
    duties=(
        DutyView(
            key="explain/RT/1",
            duty="explain",
            segment=Segment.RT,
            article="Art. 24",
            owner="DISPATCH",
            opened_ns=T0,
            due_ns=T0 + 3 * NS_PER_H,
            overdue=False,
            missing=("GOV", "REG"),
        ),
        DutyView(
            key="assess/RT/1",
            duty="assess",
            segment=None,
            article="Art. 25",
            owner="MO",
            opened_ns=T0,
            due_ns=T0 - 5 * NS_PER_MIN,
            overdue=True,
        ),
    ),
    approvals=(
        ApprovalView(measure="RESUME/RT", article="Art. 30", digest="d" * 64, scope=(), bodies={"GOV": "APPROVED", "REG": "REQUESTED"}),
    ),
    cases=(
        CaseView(
            case="2020-07-10-01",
            version=7,
            segment=Segment.RT,
            anomaly="RESULT",
            item="Art. 9(2)",
            subject="real-time clearing out",
            status="OPEN",
            cause="TECHNICAL",
            discovered_ns=T0,
            major=True,
            missing=("analysis",),
        ),
    ),
    notices=(NoticeView(number="RT-2020-07-10-01", kind="TRIP", segment=Segment.RT, subject="breaker", next_update_ns=T0 + NS_PER_H),),
    warnings=("typhoon-red",),
    guidance="Art. 27",
)


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "_SETTLE_S", 0.0)


@pytest.fixture(scope="module")
def decider() -> Iterator[tuple[Decider, str]]:
    made = Decider(VIEW, then=(MOVED,))
    url = made.start()
    yield made, url
    made.stop()


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


# ── the table ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_every_order_can_be_typed() -> None:
    assert {verb.action for verb in VERBS} | {"CLEAR_AGAIN"} == set(ORDERS)
    assert {verb.group for verb in VERBS} == set(GROUPS)
    assert len({(verb.group, verb.name) for verb in VERBS}) == len(VERBS)
    assert [verb.action for verb in VERBS if verb.role and verb.role not in ORDERS[verb.action].roles] == []


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: f"{verb.group}-{verb.name}")
def test_every_argument_of_an_order_is_offered_and_explained(verb: orders.Verb) -> None:
    shown = re.sub(r"[\s│]+", "", run(verb.group, verb.name, "--help").stdout)
    order = ORDERS[verb.action]
    for name in {*order.needs, *order.takes} - {"version", *verb.preset}:
        assert name in verb.bare or f"--{name.replace('_', '-')}" in shown
        assert re.sub(r"\s+", "", orders._MEANING[name]) in shown, f"{name} is not explained"
    assert order.article.replace(" ", "") in shown
    assert "Exitcode0" in shown


def test_what_an_order_needs_is_asked_for_before_anything_is_sent(decider: tuple[Decider, str]) -> None:
    made, url = decider
    sent = len(made.orders)
    assert run("breaker", "reject", "--url", url).exit_code == 2
    assert run("breaker", "propose", "--cause", "BOREDOM", "--reason", "r", "--url", url).exit_code == 2
    told = run("breaker", "suspend", "--reason", "r", "--expected-end", "until further notice", "--url", url)
    assert (told.exit_code, "is no instant" in told.output) == (2, True)
    assert run("approve", "give", "RESUME/RT", "--url", url).exit_code == 2, "nobody is taken to be GOV or REG"
    assert len(made.orders) == sent


# ── what is sent ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("typed", "action", "role", "args"),
    [
        (
            "duty receipt explain reg --reference R-7 --delivered-at 12:01",
            "RECEIPT",
            "DISPATCH",
            {"duty": "explain", "recipient": "REG", "reference": "R-7", "delivered_at": "2020-07-10T12:01:00+08:00"},
        ),
        ("breaker eta 2020-07-11 21:40:30", "DA_ETA", "DISPATCH", {"operating_day": "2020-07-11", "eta": "2020-07-10T21:40:30+08:00"}),
        (
            "breaker confirm --segment da --cause technical",
            "CONFIRM_TRIP",
            "DISPATCH",
            {"segment": "DA", "cause": "TECHNICAL", "version": "0"},
        ),
        ("breaker confirm --version 1", "CONFIRM_TRIP", "DISPATCH", {"version": "1"}),
        ("breaker apply --segment rt,da", "APPLY_RESUME", "MO", {"segment": "RT,DA"}),
        ("case close 2020-07-10-01", "CLOSE_CASE", "MO", {"case": "2020-07-10-01", "version": "7"}),
        ("case action 2020-07-10-01 called", "NOTE_ACTION", "MO", {"case": "2020-07-10-01", "text": "called"}),
        ("case action 2020-07-10-01 called --version 6", "NOTE_ACTION", "MO", {"case": "2020-07-10-01", "text": "called", "version": "6"}),
        ("case close 2020-07-10-99", "CLOSE_CASE", "MO", {"case": "2020-07-10-99"}),
        (
            "case open --class cannot_start --item 7(1) --subject x",
            "OPEN_CASE",
            "MO",
            {"class": "CANNOT_START", "item": "7(1)", "subject": "x"},
        ),
        (
            "permit grant B33 2020-07-11T08:00:00+08:00 2020-07-11T17:00:00+08:00",
            "GRANT_PERMIT",
            "DISPATCH",
            {"element": "B33", "from": "2020-07-11T08:00:00+08:00", "to": "2020-07-11T17:00:00+08:00"},
        ),
        (
            "notice anomaly 2020-07-10-01 --text-zh 抢修中 --text-en mending",
            "ANNOUNCE_ANOMALY",
            "TRADING",
            {"case": "2020-07-10-01", "text_zh": "抢修中", "text_en": "mending"},
        ),
        ("warning set typhoon --text red", "SET_WARNING", "DISPATCH", {"warning": "typhoon", "active": "yes", "text": "red"}),
        ("warning lift typhoon", "SET_WARNING", "DISPATCH", {"warning": "typhoon", "active": "no"}),
        ("approve give RESUME --role gov --form oral", "APPROVE", "GOV", {"measure": "RESUME", "form": "oral"}),
    ],
)
def test_an_order_is_sent_as_it_was_meant(decider: tuple[Decider, str], typed: str, action: str, role: str, args: dict[str, str]) -> None:
    made, url = decider
    told = run(*typed.split(), "--by", "chen", "--url", url)
    assert told.exit_code == 0, told.output
    order = made.orders[-1]
    assert (order.action, order.by, order.role, order.args) == (action, "chen", role, args)


def test_a_long_text_may_come_from_a_file(decider: tuple[Decider, str], tmp_path: Path) -> None:
    made, url = decider
    (tmp_path / "plan.md").write_text("恢复方案\n", encoding="utf-8")
    assert run("approve", "request", "RESUME/RT", "--content", f"@{tmp_path / 'plan.md'}", "--url", url).exit_code == 0
    assert made.orders[-1].args["content"] == "恢复方案\n"
    missing = run("approve", "request", "RESUME/RT", "--content", f"@{tmp_path / 'none.md'}", "--url", url)
    assert (missing.exit_code, "cannot be read" in missing.output) == (2, True)


# ── what comes of it ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_order_that_was_carried_out_ends_well_and_says_what_came_of_it(decider: tuple[Decider, str]) -> None:
    _, url = decider
    told = run("breaker", "recover", "--by", "chen", "--url", url)
    assert told.exit_code == 0
    assert "carried out: CONFIRM_RECOVER (Art. 29), decision " in told.stdout
    assert "RT TRIPPED → RESUMING: RECOVERED (Art. 29)" in told.stdout
    answer = json.loads(run("breaker", "recover", "--by", "chen", "--url", url, "--json").stdout)
    assert (answer["state"], answer["then"][0]["kind"]) == ("accepted", "Transition")


def test_a_refusal_names_the_rule_and_the_remedy_and_ends_with_1(decider: tuple[Decider, str]) -> None:
    _, url = decider
    told = run("breaker", "recover", "--role", "trading", "--by", "li", "--url", url)
    assert told.exit_code == 1
    assert "refused (Art. 29): CONFIRM_RECOVER belongs to DISPATCH; li acts as TRADING" in told.output
    machine = run("breaker", "recover", "--role", "trading", "--by", "li", "--url", url, "--json")
    assert (machine.exit_code, json.loads(machine.stdout)["state"]) == (1, "refused")


def test_an_order_nobody_decided_on_is_neither_done_nor_refused(decider: tuple[Decider, str]) -> None:
    made, url = decider
    made.silent = True
    try:
        told = run("breaker", "recover", "--wait", "0.1", "--url", url)
    finally:
        made.silent = False
    assert told.exit_code == 3
    assert "not decided yet" in told.output


@pytest.mark.parametrize(
    ("path", "code", "says"), [("/api/nothing", 2, "cannot be done now (404)"), ("/api/decisions?last=0", 1, "refused (422)")]
)
def test_what_is_not_there_is_no_refusal(
    decider: tuple[Decider, str], capsys: pytest.CaptureFixture[str], path: str, code: int, says: str
) -> None:
    with pytest.raises(typer.Exit) as ended:
        asking.ask(f"{decider[1]}{path}")
    assert (ended.value.exit_code, says in capsys.readouterr().err) == (code, True)


# ── what is shown ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        (
            "breaker show",
            ["dispatch follows Art. 27", "missing GOV, REG", "RESUME/RT", "MAJOR", "RT-2020-07-10-01", "typhoon-red", "version"],
        ),
        (
            "duty list",
            ["explain: Explain in writing (48 h)  due 2020-07-10T15:03:20+08:00 (3 h 00 min left)", "OVERDUE  assess", "5 min late"],
        ),
        ("duty list --lang zh", ["书面说明（48 小时）"]),
        ("case list", ["2020-07-10-01  MAJOR  RT Art. 9(2): real-time clearing out", "a technical cause, version 7", "missing: analysis"]),
        ("approve list", ["RESUME/RT: GOV approved, REG requested", "d" * 64]),
        ("warning list", ["typhoon-red"]),
    ],
)
def test_what_is_open_is_listed(decider: tuple[Decider, str], typed: str, says: list[str]) -> None:
    _, url = decider
    told = run(*typed.split(), "--url", url)
    assert told.exit_code == 0
    assert [one for one in says if one not in told.stdout] == []


@pytest.mark.parametrize("typed", ["breaker show", "duty list", "case list", "approve list", "notice list", "permit list", "warning list"])
def test_every_list_is_for_machines_too(decider: tuple[Decider, str], typed: str) -> None:
    _, url = decider
    assert json.loads(run(*typed.split(), "--json", "--url", url).stdout)["ts_event_ns"] == T0


def test_a_case_is_shown_with_all_its_entries_also_after_it_was_closed() -> None:
    made = Decider(view_at(T0))
    made.decide(*EVERY_BODY)
    url = made.start()
    try:
        told = run("case", "show", "2026-06-10-01", "--url", url)
        notices = run("notice", "list", "--last", "5", "--url", url)
        unknown = run("case", "show", "2026-06-10-77", "--url", url)
    finally:
        made.stop()
    assert told.stdout.startswith("2026-06-10-01  closed")
    assert "case 2026-06-10-01, cause: TECHNICAL (by op7)" in told.stdout
    assert "RT-2026-06-10-01  superseded or over" in notices.stdout
    assert (unknown.exit_code, "gridfuse case list" in unknown.output) == (2, True)


def granted(action: str, element: str, to: str) -> CommandAccepted:
    args = {"element": element, "from": "2026-06-10T08:00:00+08:00", "to": to}
    return CommandAccepted(command_id=f"{action}{element}", by="li", role="DISPATCH", action=action, args=args, article="policy 1.5")


def test_a_permit_holds_until_it_ends_or_is_revoked() -> None:
    late, early = "2026-06-10T18:00:00+08:00", "2026-06-10T09:00:00+08:00"
    chain = chain_of([granted("GRANT_PERMIT", "A", late), granted("GRANT_PERMIT", "B", early), granted("GRANT_PERMIT", "C", late)])
    now_ns = chain[0].ts_event_ns
    assert [permit["element"] for permit in permits_of(chain, now_ns)] == ["A", "C"]
    revoked = chain_of([granted("GRANT_PERMIT", "A", late), granted("REVOKE_PERMIT", "A", late)])
    assert permits_of(revoked, now_ns) == []
