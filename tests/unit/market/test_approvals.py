"""The register of approvals: two bodies, one measure, one content."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from market.approvals import MEASURES, Approvals, changed, digest_of, missing, ordered, references, requested, spent, view, withdrawn
from market.decisions import DecisionBody, Refused
from market.facts import CommandGiven
from market.handling import ApprovalRecorded, ApprovalRequested, ApprovalVoided
from market.rules import GUANGDONG_2023 as RULES
from tests.kit.table import at_ns

NOON = at_ns("12:00")
CONTENT = "resume the real-time market from 2026-06-20"
DIGEST = hashlib.sha256(CONTENT.encode()).hexdigest()
NEITHER = ("approval of GOV for RESUME/RT", "approval of REG for RESUME/RT")


class Register:
    """A register of approvals and everything it said."""

    def __init__(self) -> None:
        self.register = Approvals()
        self.said: list[DecisionBody] = []

    def keep(self, step: tuple[Approvals, tuple[DecisionBody, ...]]) -> Register:
        self.register, said = step
        self.said += said
        assert msgspec.json.decode(msgspec.json.encode(self.register), type=Approvals) == self.register
        return self

    def order(self, action: str, role: str, by: str, **args: str) -> Register:
        command = CommandGiven(ts_event_ns=NOON, command_id="c", by=by, role=role, action=action, args=args)
        return self.keep(ordered(self.register, command, NOON, RULES))

    def ask(self, measure: str = "RESUME/RT", content: str = CONTENT, **args: str) -> Register:
        return self.order("REQUEST_APPROVAL", "MO", "li", measure=measure, content=content, **args)

    def approve(self, body: str, measure: str = "RESUME/RT", **args: str) -> Register:
        return self.order("APPROVE", body, "zhao", measure=measure, **args)

    def missing(self, measure: str = "RESUME/RT", digest: str | None = DIGEST, scope: tuple[str, ...] = ()) -> tuple[str, ...]:
        return missing(self.register, measure, digest, scope)

    def of(self, kind: type) -> list[Any]:
        return [body for body in self.said if isinstance(body, kind)]

    @property
    def bodies(self) -> list[dict[str, str]]:
        return [each.bodies for each in view(self.register)]

    @property
    def refusal(self) -> Refused:
        refused = self.said[-1]
        assert isinstance(refused, Refused)
        return refused


def asked(**args: str) -> Register:
    return Register().ask(**args)


def urgent() -> Register:
    """A pause that cannot wait for a letter."""
    return asked(measure="PAUSE/S1", emergency="yes", reason="gateway down")


def test_a_measure_is_approved_by_both_bodies_and_by_neither_alone() -> None:
    register = asked()
    assert register.said == [ApprovalRequested(measure="RESUME/RT", article="Art. 30", digest=DIGEST, scope=(), by="li")]
    assert register.missing() == NEITHER
    assert register.approve("GOV", reference="g-12").missing() == NEITHER[1:]
    assert register.said[-1] == ApprovalRecorded(
        measure="RESUME/RT", body="GOV", verdict="APPROVED", form="written", digest=DIGEST, scope=(), by="zhao", reference="g-12"
    )
    assert register.approve("REG", verdict="APPROVED", form="written", digest=DIGEST).missing() == ()
    assert register.bodies == [{"GOV": "APPROVED", "REG": "APPROVED"}]


def test_what_was_not_asked_for_is_missing_from_both() -> None:
    assert Register().missing() == (
        "approval of GOV, which was not asked for RESUME/RT",
        "approval of REG, which was not asked for RESUME/RT",
    )
    assert len(asked().missing("RESUME/DA")) == 2


def test_a_body_that_refuses_is_named_and_may_think_again() -> None:
    register = asked().approve("GOV", verdict="REFUSED").approve("REG")
    assert register.missing() == ("approval of GOV, which refused RESUME/RT",)
    assert register.bodies == [{"GOV": "REFUSED", "REG": "APPROVED"}]
    assert register.approve("GOV").missing() == ()
    assert register.approve("REG", verdict="REFUSED").missing() == ("approval of REG, which refused RESUME/RT",)


def test_the_papers_of_consent_are_named_and_no_others() -> None:
    register = asked().approve("GOV", reference="g-12").approve("REG", verdict="REFUSED", reference="r-9")
    assert references(register.register, "RESUME/RT") == {"GOV": "g-12"}
    assert references(register.approve("REG").register, "RESUME/RT") == {"GOV": "g-12"}, "consent without a paper has none to name"
    assert references(urgent().approve("REG", "PAUSE", form="oral", contact="Wu").register, "PAUSE/S1") == {"REG": "Wu"}
    assert references(register.register, "RESUME/DA") == {}


# ── the content ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_digest_is_that_of_the_content_in_one_form() -> None:
    assert digest_of(CONTENT) == DIGEST
    assert digest_of({"b": 1, "a": "中"}) == hashlib.sha256('{"a":"中","b":1}'.encode()).hexdigest()
    assert digest_of({"b": 1}) != digest_of({"b": 2})


def test_another_content_voids_what_was_said_and_is_not_approved_by_it() -> None:
    register = asked().approve("GOV").approve("REG")
    register.keep(changed(register.register, "RESUME/RT", "other"))
    assert register.said[-1] == ApprovalVoided(measure="RESUME/RT", why="its content was changed", digest=DIGEST)
    assert register.bodies == [{"GOV": "VOID", "REG": "VOID"}]
    both = tuple(f"approval of {body} for RESUME/RT as it is now: its content was changed" for body in ("GOV", "REG"))
    assert register.missing() == register.missing(digest=None) == both
    assert "nothing to approve: RESUME/RT was not asked for; asked for: nothing" in register.approve("GOV").refusal.why
    before = len(register.said)
    register.keep(changed(register.register, "RESUME/RT", "third"))
    assert len(register.said) == before, "void once"


def test_the_same_content_voids_nothing_and_nothing_asked_for_has_nothing_to_void() -> None:
    register = asked().approve("GOV")
    assert changed(register.register, "RESUME/RT", DIGEST) == (register.register, ())
    assert changed(register.register, "RESUME/DA", "x") == (register.register, ())


def test_an_approval_does_not_cover_what_it_was_not_asked_for() -> None:
    register = asked().approve("GOV").approve("REG")
    assert len(register.missing(digest="other")) == 2
    assert register.missing(digest=None) == ()


def test_another_content_that_is_asked_for_takes_the_place_of_the_first() -> None:
    register = asked().approve("GOV").ask(content="another day")
    assert [type(body).__name__ for body in register.said[-2:]] == ["ApprovalVoided", "ApprovalRequested"]
    assert register.bodies == [{"GOV": "REQUESTED", "REG": "REQUESTED"}]
    assert register.missing(digest=digest_of("another day")) == NEITHER


def test_what_is_void_may_be_asked_for_again_with_the_content_it_had() -> None:
    register = asked().approve("GOV")
    register.keep(changed(register.register, "RESUME/RT", "other")).ask()
    assert register.bodies == [{"GOV": "REQUESTED", "REG": "REQUESTED"}]
    assert len(register.of(ApprovalVoided)) == 1


def test_the_same_is_asked_for_again_only_where_a_body_refused() -> None:
    register = asked()
    assert register.ask().refusal.why == f"RESUME/RT was asked for already with this content, digest {DIGEST[:12]}"
    register.approve("GOV", verdict="REFUSED").approve("REG").ask()
    assert register.bodies == [{"GOV": "REQUESTED", "REG": "REQUESTED"}], "and then of both"


def test_an_answer_names_the_content_it_is_about() -> None:
    register = asked()
    why = register.approve("GOV", digest="feed").refusal.why
    assert why == f"RESUME/RT was asked for with digest {DIGEST}, not feed; look at what is asked for now"
    assert register.approve("GOV", digest=f" {DIGEST} ").missing() == NEITHER[1:]


# ── measures ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_kind_is_enough_where_one_request_of_it_is_open() -> None:
    register = asked().ask("PUBLISH_RESULT/2026-06-11", "v2").approve("REG", "RESUME")
    assert register.missing() == NEITHER[:1]
    register.ask("RESUME/DA", "resume day-ahead")
    assert register.approve("GOV", "RESUME").refusal.why == "RESUME was asked for 2 times; give one of RESUME/RT, RESUME/DA"
    why = register.approve("GOV", "CANCEL").refusal.why
    assert why == "nothing to approve: CANCEL was not asked for; asked for: RESUME/RT, PUBLISH_RESULT/2026-06-11, RESUME/DA"
    assert register.approve("GOV", " RESUME/DA ").missing("RESUME/DA", None) == ("approval of REG for RESUME/DA",)


def test_a_void_request_does_not_stand_in_the_way_of_another_of_its_kind() -> None:
    register = asked().ask("RESUME/DA", "resume day-ahead")
    register.keep(changed(register.register, "RESUME/RT", "other"))
    assert register.approve("GOV", "RESUME").of(ApprovalRecorded)[-1].measure == "RESUME/DA"


@pytest.mark.parametrize("measure", ["RESUME", "RESUME/", "DANCE/RT", "/RT"])
def test_only_measures_that_are_approved_are_asked_for(measure: str) -> None:
    refusal = Register().ask(measure).refusal
    assert refusal.why.startswith(f"{measure} is no measure that is approved; write KIND/WHAT, as RESUME/RT; kinds: PAUSE, CORRECT")
    assert (refusal.rule, refusal.command_id, refusal.by) == ("Art. 18", "c", "li")


@pytest.mark.parametrize(("kind", "article"), sorted(MEASURES.items()))
def test_each_kind_names_the_article_that_asks_for_it(kind: str, article: str) -> None:
    assert Register().ask(f"{kind}/RT").of(ApprovalRequested)[0].article == article


@pytest.mark.parametrize("kind", ["SUSPEND", "RESUME"])
def test_what_is_about_a_segment_names_one(kind: str) -> None:
    assert Register().ask(f"{kind}/XX").refusal.why == f"{kind}/XX is about no segment; write {kind}/RT or {kind}/DA"


def test_a_measure_that_was_carried_out_is_forgotten_and_the_next_needs_its_own() -> None:
    register = asked().ask("RESUME/DA", "x").approve("GOV").approve("REG", "RESUME/RT")
    left = spent(register.register, "RESUME/RT")
    assert [each.measure for each in left.requests] == ["RESUME/DA"]
    assert len(missing(left, "RESUME/RT")) == 2


def test_a_measure_that_nobody_can_carry_out_any_more_is_asked_for_no_longer_and_that_is_said() -> None:
    register, _ = requested(Approvals(), "PUBLISH_RESULT/2026-06-11", {"version": "2"}, "gridfuse")
    register, _ = requested(register, "RESUME/RT", {"segment": "RT"}, "wang")
    left, said = withdrawn(register, "PUBLISH_RESULT/2026-06-11", "no result of the day waits any more")
    assert [request.measure for request in left.requests] == ["RESUME/RT"]
    why = "no result of the day waits any more"
    assert said == (ApprovalVoided(measure="PUBLISH_RESULT/2026-06-11", why=why, digest=digest_of({"version": "2"})),)
    assert withdrawn(left, "PUBLISH_RESULT/2026-06-11", "x") == (left, ()), "what was not asked for is not taken back"


def test_a_program_may_ask_as_a_person_does() -> None:
    register, said = requested(Approvals(), "RESUME/RT", {"from": "2026-06-20"}, "li", scope=("A1",))
    assert said == (
        ApprovalRequested(measure="RESUME/RT", article="Art. 30", digest=digest_of({"from": "2026-06-20"}), scope=("A1",), by="li"),
    )
    late = CommandGiven(
        ts_event_ns=NOON, command_id="c", by="z", role="GOV", action="APPROVE", args={"measure": "RESUME", "form": "oral", "contact": "x"}
    )
    assert isinstance(ordered(register, late, NOON, RULES)[1][0], Refused), "it is no emergency unless it says so"
    (shown,) = view(register)
    assert (shown.measure, shown.article, shown.digest, shown.scope) == ("RESUME/RT", "Art. 30", said[0].digest, ("A1",))


# ── scope ───────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_part_is_approved_and_no_more_than_it() -> None:
    register = asked(scope="A1, A2,A3").approve("GOV", scope="A1,A2").approve("REG", scope="A1,A2,A3")
    assert register.of(ApprovalRequested)[0].scope == ("A1", "A2", "A3")
    assert register.of(ApprovalRecorded)[0].scope == ("A1", "A2")
    assert register.missing(scope=("A1",)) == register.missing(scope=("A2", "A1")) == ()
    assert register.missing(scope=("A1", "A3")) == ("approval of GOV for A3: it covers A1, A2",)
    assert register.missing() == (
        "approval of GOV for the whole: it covers A1, A2",
        "approval of REG for the whole: it covers A1, A2, A3",
    )


def test_an_approval_without_a_scope_covers_what_was_asked_for_and_all_where_all_was() -> None:
    register = asked(scope="A1").approve("GOV").approve("REG")
    assert register.missing(scope=("A1",)) == ()
    assert register.missing(scope=("A2",))[0] == "approval of GOV for A2: it covers A1"
    assert asked().approve("GOV").approve("REG").missing(scope=("A9",)) == ()


def test_nobody_approves_what_was_not_asked_for() -> None:
    assert asked(scope="A1").approve("GOV", scope="A1,A2").refusal.why == "A2 was not asked for; RESUME/RT is about A1"
    assert asked().approve("GOV", scope="A2").missing(scope=("A2",)) == NEITHER[1:], "a part of all"


def test_a_body_may_widen_its_approval_and_says_nothing_twice() -> None:
    register = asked(scope="A1,A2").approve("GOV", scope="A1")
    assert register.approve("GOV", scope="A1").refusal.why == "GOV said so already of RESUME/RT"
    assert register.approve("GOV", scope="A1,A2").missing(scope=("A1", "A2")) == NEITHER[1:]


# ── in an emergency ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_in_an_emergency_what_both_say_on_the_telephone_counts_and_turns_written() -> None:
    register = urgent().approve("GOV", "PAUSE", form="oral", contact="Zhou, 8311")
    assert missing(register.register, "PAUSE/S1") == ("approval of REG for PAUSE/S1",)
    assert register.of(ApprovalRecorded)[0].reference == "Zhou, 8311"
    register.approve("REG", "PAUSE/S1", form="oral", contact="Wu, 8322", reference="log 7")
    assert missing(register.register, "PAUSE/S1") == ()
    assert register.of(ApprovalRecorded)[1].reference == "log 7"
    assert register.bodies == [{"GOV": "ORAL", "REG": "ORAL"}]
    register.approve("GOV", "PAUSE")
    assert register.bodies == [{"GOV": "APPROVED", "REG": "ORAL"}]
    why = register.approve("GOV", "PAUSE", form="oral", contact="Zhou", scope="A1").refusal.why
    assert why == "GOV approved PAUSE/S1 in writing; what is said on the telephone does not change that"


def test_outside_an_emergency_and_without_who_was_called_the_telephone_does_not_do() -> None:
    assert "is no emergency: it is approved in writing" in asked().approve("GOV", form="oral", contact="Zhou").refusal.why
    assert "is no emergency" in asked(emergency="no").approve("GOV", form="oral", contact="Zhou").refusal.why
    assert "give contact=…" in urgent().approve("GOV", "PAUSE", form="oral").refusal.why
    assert "give contact=…" in urgent().approve("GOV", "PAUSE", form="oral", contact=" ").refusal.why


def test_a_refusal_on_the_telephone_is_a_refusal() -> None:
    register = urgent().approve("GOV", "PAUSE", form="oral", contact="Zhou", verdict="REFUSED")
    assert register.bodies == [{"GOV": "REFUSED", "REG": "REQUESTED"}]


@pytest.mark.parametrize(
    ("args", "why"),
    [
        ({"emergency": "yes"}, "an emergency needs a reason"),
        ({"emergency": "yes", "reason": "  "}, "an emergency needs a reason"),
        ({"emergency": "maybe", "reason": "x"}, "emergency is yes or no, not 'maybe'"),
    ],
)
def test_an_emergency_is_said_with_its_reason(args: dict[str, str], why: str) -> None:
    register = Register().ask("PAUSE/S1", **args)
    assert why in register.refusal.why
    assert register.register == Approvals()


@pytest.mark.parametrize(
    ("args", "why"),
    [({"verdict": "YES"}, "verdict is APPROVED or REFUSED, not 'YES'"), ({"form": "fax"}, "form is written or oral, not 'fax'")],
)
def test_an_answer_that_cannot_be_read_is_refused_and_changes_nothing(args: dict[str, str], why: str) -> None:
    register = asked()
    before = register.register
    assert why in register.approve("GOV", **args).refusal.why
    assert (register.register, register.refusal.rule) == (before, "Art. 18")


ACTS = st.tuples(
    st.sampled_from(["ask", "change", "GOV", "REG"]), st.sampled_from(["a", "b"]), st.sampled_from(["APPROVED", "REFUSED"]), st.booleans()
)


@settings(max_examples=60, deadline=None)
@given(st.lists(ACTS, max_size=10))
def test_nothing_is_approved_but_by_both_bodies_since_its_content_was_asked_for(acts: list[tuple[str, str, str, bool]]) -> None:
    register, content = Register(), ""
    consent: dict[str, bool] = {}
    for who, text, verdict, oral in acts:
        if who == "ask":
            before = len(register.of(ApprovalRequested))
            register.ask("PAUSE/S1", text, emergency="yes", reason="x")
            if len(register.of(ApprovalRequested)) > before:
                content, consent = text, {}
        elif who == "change":
            register.keep(changed(register.register, "PAUSE/S1", digest_of(text)))
            if text != content:
                consent = {}
        else:
            before = len(register.of(ApprovalRecorded))
            register.approve(who, "PAUSE/S1", verdict=verdict, form="oral" if oral else "written", contact="Zhou")
            if len(register.of(ApprovalRecorded)) > before:
                consent[who] = verdict == "APPROVED"
        allowed = not missing(register.register, "PAUSE/S1", digest_of(content))
        assert allowed is (consent == {"GOV": True, "REG": True})
