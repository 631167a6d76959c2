"""What the breaker is told of trading sessions: windows, logins, orders (Art. 7, 8 and 10).

Facts like those of :mod:`market.facts`, which has the union of all of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["LoginReported", "LoginResult", "OrderReported", "OrderResult", "ParticipantsEntitled", "SessionEvent", "SessionReported"]


class SessionEvent(StrEnum):
    """What became of a trading session's window."""

    PLANNED = "PLANNED"
    OPENED = "OPENED"
    CLOSE_ORDERED = "CLOSE_ORDERED"
    CLOSED = "CLOSED"


class LoginResult(StrEnum):
    """How one attempt to log in ended; only SERVER_ERROR is a reason of the system."""

    OK = "OK"
    SERVER_ERROR = "SERVER_ERROR"
    BAD_CREDENTIALS = "BAD_CREDENTIALS"


class OrderResult(StrEnum):
    """What became of an order, or of its withdrawal, at the gateway; REJECTED and TIMED_OUT are reasons of the system, REFUSED is not."""

    ACCEPTED = "ACCEPTED"
    REFUSED = "REFUSED"
    REJECTED = "REJECTED"
    TIMED_OUT = "TIMED_OUT"


@dataclass(frozen=True, slots=True, kw_only=True)
class ParticipantsEntitled:
    """How many participants may take part in a session: the denominator of Art. 7(5) and 8(2)."""

    ts_event_ns: int
    session: str
    participants: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionReported:
    """The window of a trading session was planned, opened, told to close, or closed.

    Attributes:
        opens_ns, closes_ns: the window as planned; given with PLANNED.
        product: medium- and long-term, green power, demand response, spot declaration: the duties are the same (Art. 19).
    """

    ts_event_ns: int
    session: str
    event: SessionEvent
    opens_ns: int | None = None
    closes_ns: int | None = None
    product: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginReported:
    """A participant tried to log in for a session."""

    ts_event_ns: int
    session: str
    participant: str
    result: LoginResult


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderReported:
    """A participant sent an order, or withdrew one.

    Attributes:
        order: the participant's own id of it.
        withdrawal: whether it takes an order back.
    """

    ts_event_ns: int
    session: str
    participant: str
    order: str
    result: OrderResult
    withdrawal: bool = False
