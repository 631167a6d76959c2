"""A body of every kind a decision can have, and a chain of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from market.decisions import (
    GENESIS,
    Announcement,
    AnomalyNoted,
    ClearingOrdered,
    CommandAccepted,
    Decision,
    DecisionBody,
    DutyOpened,
    DutySettled,
    FindingNoted,
    OutageEnded,
    Phase,
    RecoveryProposed,
    Refused,
    Reminded,
    ResultRevised,
    Transition,
    chained,
)
from market.facts import Segment
from market.handling import (
    ApprovalRecorded,
    ApprovalRequested,
    ApprovalVoided,
    CaseClosed,
    CaseNoted,
    CaseOpened,
    DutyReceived,
    DutyReminded,
    ProfilePublished,
    RegimeProposed,
)
from market.units import NS_PER_S, instant_ns

__all__ = ["EVERY_BODY", "NOON", "chain_of"]

NOON: Final = instant_ns("2026-06-10T12:00:00+08:00")

EVERY_BODY: Final[tuple[DecisionBody, ...]] = (
    Transition(segment=Segment.RT, before=Phase.DEGRADED, after=Phase.TRIPPED, basis="RT_120", article="Art. 23(1)", evidence=("120 min",)),
    Announcement(
        number="RT-2026-06-10-01",
        announcement_kind="TRIP",
        segment=Segment.RT,
        subject="trip",
        supersedes="",
        published_at_ns=NOON,
        text_zh="实时市场熔断",
        text_en="real-time market tripped",
    ),
    AnomalyNoted(segment=Segment.RT, interval_start_ns=NOON, how="FAILED", reason="INPUT_STALE"),
    OutageEnded(segment=Segment.RT, outage_start_ns=NOON, outage_end_ns=NOON, failed_intervals=2),
    Reminded(segment=Segment.RT, outage_start_ns=NOON, minutes=30, headroom_min=90),
    FindingNoted(finding="SCADA_DOWN", article="policy 1.5", evidence=("scada",)),
    RecoveryProposed(segment=Segment.RT, shadow_ok=4),
    DutyOpened(duty="explain", segment=Segment.RT, due_ns=NOON, article="Art. 24"),
    DutySettled(duty="explain", segment=Segment.RT, outcome="met", margin_s=12.0),
    ClearingOrdered(
        segment=Segment.RT,
        interval_start_ns=NOON,
        command_id="c2",
        by="op7",
        role="MO",
        reason="a load was wrong",
        approvals={"GOV": "1", "REG": "2"},
    ),
    ResultRevised(
        segment=Segment.RT,
        interval_start_ns=NOON,
        version=2,
        command_id="c2",
        by="op7",
        role="MO",
        reason="a load was wrong",
        approvals={"GOV": "1", "REG": "2"},
        corrected=("load_mw 101: 90, now 96.5 MW",),
        hashes={"result": "b"},
        hashes_before={"result": "a"},
        price_cny_per_mwh=301.0,
        price_before_cny_per_mwh=300.0,
        price_rev=1,
    ),
    Refused(command_id="c1", by="op7", role="TRADING", action="CONFIRM_TRIP", rule="Art. 23", why="only dispatch may"),
    DutyOpened(duty="assess", segment=Segment.RT, due_ns=None, article="Art. 25", owner="MO"),
    DutyOpened(duty="announce_anomaly", segment=None, due_ns=NOON, article="Art. 11", recipients=("PARTICIPANTS",), owner="TRADING"),
    DutySettled(duty="announce_anomaly", segment=None, outcome="late", margin_s=-3.0),
    DutyReminded(duty="explain", segment=Segment.RT, key="explain/RT/1", due_ns=NOON, hours=24, overdue=False, missing=("GOV", "REG")),
    DutyReminded(duty="explain", segment=Segment.RT, key="explain/RT/1", due_ns=NOON, hours=48, overdue=True, missing=("REG",)),
    DutyReceived(duty="explain", segment=Segment.RT, key="explain/RT/1", recipient="REG", delivered_at_ns=NOON, reference="R-7", by="op7"),
    ApprovalRequested(measure="RESUME/RT", article="Art. 30", digest="d" * 64, scope=("RT",), by="op7"),
    ApprovalRecorded(
        measure="RESUME/RT", body="GOV", verdict="APPROVED", form="oral", digest="d" * 64, scope=(), by="lin", reference="call 7"
    ),
    ApprovalVoided(measure="RESUME/RT", why="its content changed", digest="e" * 64),
    CaseOpened(
        case="2026-06-10-01",
        segment=Segment.RT,
        anomaly="RESULT",
        item="Art. 9(2)",
        discovered_ns=NOON,
        subject="real-time clearing out",
        major=True,
    ),
    CaseNoted(case="2026-06-10-01", entry="CAUSE", text="TECHNICAL", by="op7"),
    CaseNoted(case="2026-06-10-01", entry="LINKED", text="interval 12:15"),
    CaseClosed(case="2026-06-10-01", by="op7"),
    RegimeProposed(segment=Segment.RT, regime="ART28", from_ns=NOON, article="Art. 28", evidence=("suspended for 7 days",)),
    ProfilePublished(
        day="2026-06-10",
        window=("2026-05-11", "2026-06-09"),
        period_min=60,
        price_cny_per_mwh=(405.5, None),
        sample=(25, 3),
        left_out=("2026-05-20 11: Art. 27(1)",),
    ),
    CommandAccepted(command_id="c9", by="op7", role="DISPATCH", action="CONFIRM_TRIP", args={"segment": "DA"}, article="Art. 23"),
)


def chain_of(bodies: Iterable[DecisionBody], *, first_ns: int = NOON) -> list[Decision]:
    """Decide these bodies one after the other, a second apart."""
    chain: list[Decision] = []
    for seq, body in enumerate(bodies, start=1):
        prev_hash = chain[-1].hash if chain else GENESIS
        chain.append(chained(body, seq=seq, ts_event_ns=first_ns + seq * NS_PER_S, rule_set="gd/r1", prev_hash=prev_hash))
    return chain
