"""What is a record about, and when? Of two records about the same thing, one is a repeat of the other or a contradiction to it."""

from __future__ import annotations

from typing import Any

from ingest.bundle import FrameBundle
from ingest.frame import TelemetryFrame
from market import facts
from market.decisions import Decision
from market.outcomes import Cleared, ClearingFailed, ClearingInputs
from market.prices import PriceInForce
from market.reclear import ClearAgain
from streams.accounts import AreaAccounts
from streams.alerts import Alert
from streams.clearing import DayAheadPlan, DayAheadWanted, IntervalPlan
from streams.findings import SourceClockJumped, SourceClockSteady, SourceFresh, SourceStale
from streams.image import AreaSnapshot
from streams.processreport import ProcessReport, SolveTimed

__all__ = ["identity_of", "instant_of"]


def instant_of(record: Any) -> int:
    """Return the event time of a record of any topic, UTC ns."""
    match record:
        case TelemetryFrame() | FrameBundle():
            return record.ts_ingest_ns
        case ClearingInputs():
            return record.frozen_at_ns
        case Cleared() | ClearingFailed():
            return record.completed_at_ns
        case _:
            return int(record.ts_event_ns)


def identity_of(record: Any) -> str:
    """Name what a record is about, for people and for comparing."""
    kind = type(record).__name__
    match record:
        case AreaSnapshot(parts=1):
            return f"{kind} area {record.area} {record.ts_event_ns}"
        case AreaSnapshot():
            return f"{kind} area {record.area} {record.ts_event_ns} part {record.part + 1} of {record.parts}"
        case ClearingInputs() | IntervalPlan():
            return f"{kind} interval {record.interval_start_ns}"
        case Cleared() | ClearingFailed():
            return f"outcome of interval {record.interval_start_ns} version {record.version}"
        case facts.ClearingReported(segment=facts.Segment.RT):
            return f"{kind} {record.segment} {record.interval_start_ns} version {record.version}"
        case facts.ClearingReported():
            # A day-ahead result that failed is made again, as often as it takes.
            return f"{kind} {record.segment} {record.interval_start_ns} completed {record.completed_at_ns}"
        case facts.DayAheadExpected():
            # The clock of a simulation stands still while a day is cleared.
            said = f"{record.phase or 'no phase'} {record.outlook or 'no outlook'}"
            return f"{kind} {record.interval_start_ns} {record.source} {said} {record.ts_event_ns}"
        case DayAheadWanted() | DayAheadPlan():
            return f"{kind} {record.day} {record.ts_event_ns}"
        case Decision():
            return f"decision {record.seq}"
        case PriceInForce():
            return f"price {record.segment} {record.interval_start_ns} revision {record.rev}"
        case Alert():
            return f"alert {record.alert_id} {record.state}"
        case AreaAccounts():
            first = record.devices[0].device if record.devices else ""
            # A demo that is started again goes back to its last tick: the minute its readers stopped in is begun by others anew.
            return f"{kind} area {record.area} {record.from_ns} to {record.ts_event_ns} from {first}"
        case ProcessReport():
            return f"{kind} {record.role} {record.instance} {record.ts_event_ns}"
        case SolveTimed():
            return f"{kind} {record.interval_start_ns} version {record.version}"
        case SourceStale() | SourceFresh() | SourceClockJumped() | SourceClockSteady():
            return f"{kind} {record.device} {record.ts_event_ns}"
        # One frame may tell of several instants of one point: what it was, and what it is.
        case facts.SwitchReported():
            return f"{kind} {record.element} {record.end} {record.ts_event_ns} of {record.ts_source_ns}"
        case facts.FlowReported():
            end = "from" if record.from_pct is not None else "to"
            return f"{kind} {record.element} {end} {record.ts_event_ns} of {record.ts_source_ns}"
        case facts.VoltageReported():
            return f"{kind} bus {record.bus} {record.ts_event_ns} of {record.ts_source_ns}"
        case facts.InfeedReported():
            return f"{kind} {record.infeed} {record.ts_event_ns} of {record.ts_source_ns}"
        case facts.TripSignalled():
            return f"{kind} {record.element} {record.ts_event_ns} of {record.ts_source_ns}"
        case facts.LoadReported():
            return f"{kind} area {record.area} {record.ts_event_ns}"
        case facts.CommandGiven() | facts.ClearedAgain() | ClearAgain():
            return f"{kind} {record.command_id}"
        case facts.ControlReported():
            return f"{kind} {record.site} {record.ts_event_ns} of {record.ts_source_ns}"
        case _:
            return f"{kind} {instant_of(record)}"
