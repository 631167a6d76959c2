"""What a drill file may expect: the keys of an ``expect`` step. A key that is left out is not looked at."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from market.facts import Segment
from streams.drillsteps import Described, Instant

__all__ = ["AnnouncementExpect", "CaseExpect", "CommandExpect", "Expect", "NoticeExpect", "RecordExpect", "SegmentExpect"]

_Words = str | list[str]
_Count = Annotated[int, Field(ge=0)]


class SegmentExpect(Described):
    """What a segment must look like; `null` expects that there is none."""

    state: str | None = None
    outage_start: Instant | None = None
    condition_met_at: Instant | None = None
    tripped_at: Instant | None = None
    headroom_s: float | None = None
    """Left of the limit, s."""
    flags: list[str] | None = None
    """All flags, in any order: BLIND, CLOCK_SUSPECT."""
    basis: str | None = None
    """RT_120, DA_EXPECTED, DA_MISSED, TOPOLOGY_HARD, TOPOLOGY_SOFT, SWITCHOVER, OTHER."""
    cause: str | None = None
    """Of Art. 5."""
    operating_day: str | None = None
    """DA: first operating day that is out, or proposed to be."""
    effective_from: Instant | None = None
    suspended_from: Instant | None = None
    expected_end: Instant | None = None
    failed_intervals: _Count | None = None
    shadow_ok: _Count | None = None
    """Valid shadow clearings in a row."""


class AnnouncementExpect(Described):
    """An announcement that must exist."""

    kind: str | None = None
    segment: Segment | None = None
    active: bool | None = None
    """Whether it is in force now."""
    contains: str | None = None
    """Words of either language, or one of its facts."""


class NoticeExpect(Described):
    """A notice that must be in force."""

    kind: str | None = None
    segment: Segment | None = None
    subject: str | None = None
    next_update: Instant | None = None


class CaseExpect(Described):
    """An anomaly case that must be on the record."""

    case: str | None = None
    segment: Segment | None = None
    anomaly: str | None = None
    """Class of Art. 6: CANNOT_START, CANNOT_CONTINUE, RESULT, NOT_ENDED."""
    item: str | None = None
    """As `Art. 9(2)`."""
    major: bool | None = None
    open: bool | None = None
    discovered_at: Instant | None = None
    contains: str | None = None
    """Words of its subject or of an entry."""


class CommandExpect(Described):
    """How the last order ended: of a `command`, an `approval`, a `receipt` or a dispatcher's `da_eta`."""

    accepted: bool | None = None
    refused: bool | None = None
    rule: str | None = None
    """Part of the rule that refused it."""
    why: _Words | None = None
    """Parts of what the refusal says."""


class RecordExpect(Described):
    """A decision that must be on the record (the audit)."""

    kind: str
    """Refused, FindingNoted, Reminded, CaseOpened, …"""
    contains: _Words = ""
    """Parts of its content, as JSON writes them."""
    count: _Count | None = None
    """How many there are so far; at least one where it is not given."""


class Expect(Described):
    """What must hold at this instant."""

    RT: SegmentExpect | None = None
    DA: SegmentExpect | None = None
    announcements: _Count | list[AnnouncementExpect] | None = None
    """How many were published so far, or some of them."""
    notices: _Count | list[NoticeExpect] | None = None
    """How many are in force, or all of them."""
    cases: _Count | list[CaseExpect] | None = None
    """How many were opened so far, or some of them."""
    alarms: list[str] | None = None
    """Alarms that were raised, by name or identity."""
    no_alarms: list[str] | None = None
    """Alarms that were not."""
    last_command: CommandExpect | Literal["accepted", "refused"] | None = None
    duties: dict[str, Literal["open", "met", "late", "overdue", "lifted", "none"]] | None = None
    """By name (`explain`), name and segment (`explain/DA`), name and recipient (`explain/GOV`), or all three; `none`: never opened."""
    regime: dict[str, str] | None = None
    """By interval (its start), or by span (`start/end`, half-open, every interval in it), behind `DA ` for the day-ahead market: MARKET,
    GAP, ART27_1, ART27_2, ART27_3, ART28, `none`; `ART27_3+BY_ANALOGY` where the flag matters."""
    price: dict[str, float | None] | None = None
    """By interval or span likewise; CNY/MWh, `null` where the rule has no price to give."""
    record: list[RecordExpect] | None = None
    audit_ok: bool | None = None
    """Whether the hash chain of the decisions holds."""
