"""What a demo came to, as one JSON object: what ``gridfuse demo --json`` prints."""

from __future__ import annotations

import resource
import sys
import time
from typing import Any

from console.service import Service
from ingest.clock import SimulatedClock
from market.units import instant_text

__all__ = ["summary"]


def summary(service: Service, clock: SimulatedClock, begin_ns: int, wall_s: float, speed: float) -> dict[str, Any]:
    """Return the summary of the whole demo by its ledger, and of this run by its counters.

    ``samples`` balance: what was read from devices in this run is taken, repeated, late, unknown or lost; lost must be 0.
    """
    zone = service.settings.rules.zone
    assert service.people is not None, "a demo is a whole service"
    assert service.field is not None, "a demo is a whole service"
    ledger, field = service.people.ledger, service.field
    decisions = ledger.decisions()
    moves = [d.body for d in decisions if d.kind == "Transition"]

    def instant(ns: int | None) -> str | None:
        return None if ns is None else instant_text(ns, zone)

    counters = service.shell.counters
    usage = resource.getrusage(resource.RUSAGE_SELF)
    broken = ledger.broken_at()
    dropped = sum(sum(device.dropped.values()) for device in field.gateway.health())
    return {
        "from": instant(begin_ns),
        "to": instant(clock.now_ns()),
        "speed": speed,
        "intervals": ledger.outcome_counts(0, 2**62),
        "trips": [
            {
                "segment": body["segment"],
                "basis": body["basis"],
                "outage_start": instant(body["outage_start_ns"]),
                "condition_met_at": instant(body["condition_met_at_ns"]),
                "tripped_at": instant(body["tripped_at_ns"]),
            }
            for body in moves
            if body["after"] == "TRIPPED"
        ],
        "recoveries": [instant(body["effective_from_ns"]) for body in moves if body["after"] == "RESUMING"],
        "announcements": [d.body["number"] for d in decisions if d.kind == "Announcement"],
        "anomalies": sum(d.kind == "AnomalyNoted" for d in decisions),
        "decisions": len(decisions),
        "audit_ok": broken is None,
        "samples": {
            "in": field.samples_in,
            "taken_in": counters["samples intake"],
            "lost": field.samples_in - counters["samples intake"] + dropped,
        },
        "dead_letters": sum(count for name, count in counters.items() if name.startswith("dead ")),
        "process": {
            "wall_s": round(wall_s, 1),
            "cpu_s": round(time.process_time(), 1),
            "max_rss_mb": round(usage.ru_maxrss / (1024 if sys.platform != "darwin" else 1 << 20), 1),
            "clock_held_s": round(clock.held_s, 1),
        },
    }
