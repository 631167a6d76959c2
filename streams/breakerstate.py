"""What the market breaker remembers, as one record; what the table keeps across a restart."""

from __future__ import annotations

from typing import Final

import msgspec

from detectors import day_ahead, failed_clearing, situations, switchover, topology_change
from market import approvals, duties, notices, pricebook, segment, spot
from market.caserecord import CaseBook
from market.decisions import GENESIS
from market.facts import DayAheadExpected, Segment
from market.rulebook import RulesInForce

__all__ = ["BreakerState", "at_offset", "begin", "decode_state", "encode_state"]


class BreakerState(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the breaker remembers.

    A struct and no dataclass: it is replaced several times in every step, which costs a tenth that way.

    Attributes:
        v: schema version of this record.
        offset: offset of the last fact taken in, so that one delivered again is not taken in twice; -1 before the first.
        now_ns: latest event time seen.
        seq, prev_hash: the end of the audit chain.
        commands: ids of recent commands, so that one sent twice is carried out once.
        answered: ids of recent orders to clear again whose answer was taken in, likewise.
        expected: what a machine last said of the day-ahead run that goes on; shown, and moves nothing by itself.
        clock_suspect: the machine's clocks disagree; nothing acts by itself.
        warnings: active warnings of the grid, sorted.
        interrupted_from_ns: start of the interruption that runs (Art. 27(3)); None while both markets are in force.
    """

    v: int = 3
    offset: int = -1
    now_ns: int
    seq: int = 0
    prev_hash: str = GENESIS
    watch: failed_clearing.ClearingWatch
    days: day_ahead.DayAheadWatch
    topology: topology_change.TopologyWatch = msgspec.field(default_factory=topology_change.TopologyWatch)
    control: switchover.ControlWatch = msgspec.field(default_factory=switchover.ControlWatch)
    sessions: situations.SituationWatch = msgspec.field(default_factory=situations.SituationWatch)
    rt: segment.SegmentState = msgspec.field(default_factory=lambda: segment.SegmentState(segment=Segment.RT))
    da: segment.SegmentState = msgspec.field(default_factory=lambda: segment.SegmentState(segment=Segment.DA))
    book: pricebook.PriceBook
    duties: duties.DutyLedger = msgspec.field(default_factory=duties.DutyLedger)
    approvals: approvals.Approvals = msgspec.field(default_factory=approvals.Approvals)
    notices: notices.NoticeBoard = msgspec.field(default_factory=notices.NoticeBoard)
    cases: CaseBook = msgspec.field(default_factory=CaseBook)
    spot: spot.SpotBook = msgspec.field(default_factory=spot.SpotBook)
    commands: tuple[str, ...] = ()
    clock_suspect: bool = False
    answered: tuple[str, ...] = ()
    expected: DayAheadExpected | None = None
    warnings: tuple[str, ...] = ()
    interrupted_from_ns: int | None = None


_FOR_EVER_NS: Final = 2**62

_STATE: Final = msgspec.json.Decoder(BreakerState)


def encode_state(state: BreakerState) -> bytes:
    """Write the state for the table."""
    return msgspec.json.encode(state)


def decode_state(raw: bytes) -> BreakerState:
    """Read back what :func:`encode_state` wrote.

    Raises:
        msgspec.DecodeError: not a breaker state: an invariant is broken, and the worker must not go on.
    """
    return _STATE.decode(raw)


def at_offset(state: BreakerState, offset: int) -> BreakerState:
    """Return a state that has taken in the fact at an offset of the topic."""
    return msgspec.structs.replace(state, offset=offset)


def begin(ts_ns: int, rules: RulesInForce, *, day_ahead_runs: bool = True) -> BreakerState:
    """Return the state of a breaker that starts to watch at ``ts_ns``.

    Args:
        rules: which rules hold when.
        day_ahead_runs: whether there is a day-ahead market to expect results of.
    """
    first = rules.at(ts_ns)
    closed = () if day_ahead_runs else ((0, _FOR_EVER_NS),)
    return BreakerState(
        now_ns=ts_ns,
        watch=failed_clearing.watch_from(ts_ns, first),
        days=day_ahead.watch_from(ts_ns, first, closed=closed),
        book=pricebook.book_from(ts_ns, first),
    )
