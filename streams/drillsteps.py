"""The steps of a drill file: one model for each kind of thing that can happen.

Docstrings and the sentences under the fields are the documentation of the format: ``gridfuse drill --schema`` prints them, and
``docs/drills.md`` shows each kind with an example.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator

from ingest.yamlfile import Name, Strict
from market.errors import UnitError
from market.facts import ClearingStatus, EstimateSource, PointQuality, RunType, Segment, SwitchStatus
from market.sessionfacts import LoginResult, OrderResult, SessionEvent
from market.units import instant_ns

__all__ = [
    "ApprovalStep",
    "CalendarStep",
    "ClearingStep",
    "ClockStep",
    "CommandStep",
    "ControlStep",
    "Described",
    "EstimateStep",
    "EtaStep",
    "FlowStep",
    "InfeedStep",
    "Instant",
    "InterfaceLimitStep",
    "LoadStep",
    "LoginStep",
    "OrderStep",
    "PermitStep",
    "ReceiptStep",
    "SessionStep",
    "SourceStep",
    "SpanStep",
    "SwitchStep",
    "TripSignalStep",
    "VoltageStep",
    "WarningStep",
]


class Described(Strict):
    """Base of the models of a drill file: the text under a field describes it, in the schema too."""

    model_config = ConfigDict(use_attribute_docstrings=True)


def _instant(value: object) -> int:
    if not isinstance(value, str):
        raise ValueError(f'{value!r} is not an instant; write it in quotes, as in "2026-06-10T12:00:00+08:00"')
    try:
        return instant_ns(value)
    except UnitError as exc:
        raise ValueError(str(exc)) from None


Instant = Annotated[int, BeforeValidator(_instant), WithJsonSchema({"type": "string", "format": "date-time"})]
"""ISO 8601 with an offset, in quotes; UTC ns inside."""

_Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
_Not_negative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
_Finite = Annotated[float, Field(allow_inf_nan=False)]


class ClearingStep(Described):
    """A clearing run reports how it ended."""

    segment: Segment
    outcome: ClearingStatus
    interval: Instant | None = None
    """Start of the real-time interval; RT only."""
    operating_day: str | None = None
    """The operating day, YYYY-MM-DD; DA only."""
    run_type: RunType = RunType.PRODUCTION
    version: Annotated[int, Field(ge=1)] = 1
    completed_at: Instant | None = None
    """When the run finished by its own clock; without it, when it is heard of."""
    reason: str = ""
    """Why it failed."""
    review: list[str] = Field(default_factory=list)
    """Why a result that counts must be looked at before it is settled."""
    price: float | list[float] | None = None
    """One number, or one per settlement period for a day-ahead result; CNY/MWh."""
    through: str | None = None
    """Last interval (an instant) or last operating day of a row of such results: the same is reported for each, one interval or day
    after the other, beginning at `at`. Steps that come in between stand below and are played at their instants."""

    @model_validator(mode="after")
    def _keyed_by_its_segment(self) -> ClearingStep:
        wanted, other = ("interval", "operating_day") if self.segment is Segment.RT else ("operating_day", "interval")
        if getattr(self, wanted) is None or getattr(self, other) is not None:
            raise ValueError(f"a result of {self.segment} is keyed by `{wanted}`, and has no `{other}`")
        return self


class EtaStep(Described):
    """Somebody says when the day-ahead result is expected: the dispatcher (an order), or the statistics of earlier runs."""

    operating_day: str
    eta: Instant
    """When it is expected; of a statistical estimate the instant that is as likely to be missed as not (P50)."""
    source: EstimateSource = EstimateSource.DISPATCHER
    p90: Instant | None = None
    """Statistical only: the instant that one run in ten misses; `eta` where it is not given."""
    by: str = "dispatcher"


class SwitchStep(Described):
    """A switch of a branch reports its position."""

    element: Name
    status: SwitchStatus
    quality: PointQuality = PointQuality.GOOD
    end: Literal["", "from", "to"] = ""
    """The end whose switch it is; both where empty."""
    source_at: Instant | None = None
    """When it held at the device; without it, `at`."""
    initial: bool = False
    """Told for the first time: how things stand, not that they changed."""
    history: bool = False
    """Overtaken on its way by a later report."""


class FlowStep(Described):
    """The flow on a branch is measured, % of rating at each end."""

    element: Name
    from_pct: float | None = None
    """`null` where this report does not speak of that end."""
    to_pct: float | None = None
    quality: PointQuality = PointQuality.GOOD
    source_at: Instant | None = None
    history: bool = False


class VoltageStep(Described):
    """The voltage of a bus is measured, per unit of nominal."""

    bus: Name
    pu: _Not_negative
    quality: PointQuality = PointQuality.GOOD


class TripSignalStep(Described):
    """Protection trips a branch."""

    element: Name


class LoadStep(Described):
    """The load of an area is measured."""

    area: Name
    mw: float


class InfeedStep(Described):
    """The power of a DC link or of a neighbour is measured, MW, positive into the grid."""

    infeed: Name
    mw: _Finite
    quality: PointQuality = PointQuality.GOOD


class InterfaceLimitStep(Described):
    """The transfer limit of a section changes, as the coming clearing will use it."""

    interface: Name
    mw: _Positive


class EstimateStep(Described):
    """The state estimate says what it thinks of the measurements."""

    suspects: list[str] = Field(default_factory=list)
    """Measurements that lie, worst first."""
    doubted: list[Name] = Field(default_factory=list)
    """Branches whose reported position contradicts the flows; a doubted position trips nothing."""
    chi_square: _Not_negative = 0.0
    limit: _Not_negative = 0.0
    observable_pct: Annotated[float, Field(ge=0, le=100)] = 100.0


class SpanStep(Described):
    """A span of time: a planned switchover exercise, or a closed calendar."""

    from_: Annotated[Instant, Field(alias="from")]
    to: Instant

    @model_validator(mode="after")
    def _forward(self) -> SpanStep:
        if self.from_ >= self.to:
            raise ValueError("`from` must lie before `to`")
        return self


class PermitStep(SpanStep):
    """An outage permit: the element may be open in between."""

    element: Name


class CalendarStep(Described):
    """A segment is not expected to clear in ``closed`` (or directly: from … to)."""

    closed: SpanStep
    segment: Segment = Segment.RT

    @model_validator(mode="before")
    @classmethod
    def _from_to(cls, data: Any) -> Any:
        if isinstance(data, dict) and "closed" not in data and {"from", "to"} <= set(data):
            return {"closed": {"from": data["from"], "to": data["to"]}, **{k: v for k, v in data.items() if k not in ("from", "to")}}
        return data


class ControlStep(Described):
    """A control site claims or gives up authority."""

    site: Literal["MAIN", "BACKUP"]
    asserted: bool
    source_at: Instant | None = None
    initial: bool = False


class SourceStep(Described):
    """Sight of a source is lost or regained."""

    name: Literal["clearing", "scada"]
    up: bool


class ClockStep(Described):
    """Seconds passed on the wall clock and on the monotonic clock."""

    wall_s: float
    monotonic_s: float


class WarningStep(Described):
    """A warning about the grid or its supply is raised or lifted."""

    id: Name
    active: bool
    text: str = ""


class CommandStep(Described):
    """A person orders something."""

    by: str
    role: str
    """DISPATCH, TRADING, MO, GOV, REG, VIEWER or ADMIN."""
    action: str
    """One of the orders of `gridfuse breaker --help`; what is unknown is refused on the record, as it would be live."""
    args: dict[str, Name] = Field(default_factory=dict)


class ApprovalStep(Described):
    """The government department or the regulator says what it thinks of a measure: the order APPROVE, in that body's role."""

    body: Literal["GOV", "REG"]
    measure: str
    """As `RESUME/RT`; the kind alone where one request of it is open."""
    verdict: Literal["APPROVED", "REFUSED"] = "APPROVED"
    form: Literal["written", "oral"] = "written"
    scope: str = ""
    """What of the measure is meant; all of it where empty."""
    by: str = ""
    """Who signed; the body where empty."""
    reference: str = ""
    digest: str = ""
    """Of the content that was approved, where the letter names it."""
    contact: str = ""
    """Of an oral approval: who said it, and by what telephone."""


class ReceiptStep(Described):
    """A recipient has what a duty owes it: the order RECEIPT, by a market operator."""

    duty: str
    recipient: str
    """GOV, REG, PARTICIPANTS, …"""
    segment: Segment | None = None
    reference: str = ""
    delivered_at: Instant | None = None
    """When it was delivered; without it, now."""
    by: str = "operator"


class SessionStep(Described):
    """Something becomes of a trading session: who is entitled to it, or what happens to its window. At least one of the two."""

    name: Name
    event: SessionEvent | None = None
    entitled: Annotated[int, Field(ge=0)] | None = None
    """Participants that may take part."""
    opens: Instant | None = None
    closes: Instant | None = None
    product: str = ""

    @model_validator(mode="after")
    def _says_something(self) -> SessionStep:
        if self.event is None and self.entitled is None:
            raise ValueError("a session step says `event`, `entitled`, or both")
        return self


class _ByParticipants(Described):
    """What one participant does, or many at once."""

    session: Name
    participant: Name | None = None
    """One participant, by name."""
    participants: Annotated[int, Field(ge=1)] | tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]] | None = None
    """Many: `123` stands for p1 to p123, `[124, 130]` for p124 to p130."""

    @model_validator(mode="after")
    def _somebody(self) -> _ByParticipants:
        if (self.participant is None) == (self.participants is None):
            raise ValueError("give `participant` (one, by name) or `participants` (how many, or first and last)")
        if isinstance(self.participants, tuple) and self.participants[0] > self.participants[1]:
            raise ValueError(f"participants: {list(self.participants)} runs backwards; give the first and the last")
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """Everybody who does it, in order."""
        if self.participant is not None:
            return (self.participant,)
        assert self.participants is not None, "either is given"
        first, last = self.participants if isinstance(self.participants, tuple) else (1, self.participants)
        return tuple(f"p{number}" for number in range(first, last + 1))


class LoginStep(_ByParticipants):
    """One participant, or many at once, try to log in for a session."""

    result: LoginResult


class OrderStep(_ByParticipants):
    """One participant, or many at once, send an order, or withdraw one."""

    order: Name = "1"
    """The participant's own id of it."""
    result: OrderResult
    withdrawal: bool = False
