"""Stories of switches, flows, voltages and loads, told as tables and fed to the detector of topology changes."""

from __future__ import annotations

from dataclasses import dataclass, field

from detectors.findings import Basis, ConditionMet, Finding
from detectors.topology_change import TopologyWatch, next_deadline_ns, observe
from market.facts import (
    ClearingReported,
    ClearingStatus,
    EstimateReported,
    Fact,
    FlowReported,
    InfeedReported,
    InterfaceLimitReported,
    LoadReported,
    PermitGranted,
    PointQuality,
    RunType,
    Segment,
    SourceReported,
    SwitchReported,
    SwitchStatus,
    Ticked,
    TripSignalled,
    VoltageReported,
)
from market.rules import GUANGDONG_2023, MarketRules
from market.topology import Element, Topology
from tests.kit.table import at_ns, rows

__all__ = ["GRID", "RULES", "conditions", "fact_of", "of", "played", "run"]

RULES = GUANGDONG_2023
GRID = Topology.of({f"L{i}": Element(kv=500.0) for i in range(1, 11)} | {"S1": Element(kv=220.0)})


def fact_of(ts_ns: int, words: list[str]) -> Fact:
    """Read one line.

    ``open|close|stale|between ELEMENT [END]`` | ``dead|alive|unmetered ELEMENT [END]`` | ``load A MW`` | ``permit E FROM TO`` |
    ``volt|badvolt BUS PU`` | ``trip ELEMENT`` | ``infeed|badinfeed NAME MW`` | ``limit INTERFACE MW`` | ``doubt [ELEMENT …]`` |
    ``cleared|failed|studied|dayahead`` | ``scada up|down`` | ``tick``; what is measured may end in ``@HH:MM:SS``, its source time,
    and positions and flows in ``initial`` or ``history``.
    """
    source_ns, initial, history = ts_ns, "initial" in words, "history" in words
    words = [word for word in words if word not in ("initial", "history")]
    if words[-1].startswith("@"):
        source_ns, words = at_ns(words[-1][1:]), words[:-1]
    match words:
        case ["tick"]:
            return Ticked(ts_event_ns=ts_ns)
        case ["volt" | "badvolt" as word, bus, pu]:
            quality = PointQuality.GOOD if word == "volt" else PointQuality.BAD
            return VoltageReported(ts_event_ns=ts_ns, bus=bus, pu=float(pu), quality=quality, ts_source_ns=source_ns)
        case ["trip", element]:
            return TripSignalled(ts_event_ns=ts_ns, element=element, ts_source_ns=source_ns)
        case ["infeed" | "badinfeed" as word, name, mw]:
            quality = PointQuality.GOOD if word == "infeed" else PointQuality.STALE
            return InfeedReported(ts_event_ns=ts_ns, infeed=name, mw=float(mw), quality=quality, ts_source_ns=source_ns)
        case ["limit", name, mw]:
            return InterfaceLimitReported(ts_event_ns=ts_ns, interface=name, limit_mw=float(mw))
        case ["doubt", *names]:
            return EstimateReported(ts_event_ns=ts_ns, ts_snapshot_ns=ts_ns, doubted=tuple(names))
        case ["cleared" | "failed" | "studied" | "dayahead" as word]:
            return ClearingReported(
                ts_event_ns=ts_ns,
                segment=Segment.DA if word == "dayahead" else Segment.RT,
                interval_start_ns=ts_ns,
                status=ClearingStatus.FAILED if word == "failed" else ClearingStatus.OK,
                completed_at_ns=ts_ns,
                run_type=RunType.STUDY if word == "studied" else RunType.PRODUCTION,
            )
        case ["load", area, mw]:
            return LoadReported(ts_event_ns=ts_ns, area=area, load_mw=float(mw))
        case ["permit", element, from_, to]:
            return PermitGranted(ts_event_ns=ts_ns, element=element, from_ns=at_ns(from_), to_ns=at_ns(to))
        case ["scada", word]:
            return SourceReported(ts_event_ns=ts_ns, name="scada", up=word == "up")
        case ["dead" | "alive" | "unmetered" as word, element, *end]:
            pct = 40.0 if word == "alive" else 0.4
            ends = end or ["from", "to"]
            return FlowReported(
                ts_event_ns=ts_ns,
                element=element,
                from_pct=pct if "from" in ends else None,
                to_pct=pct if "to" in ends else None,
                quality=PointQuality.STALE if word == "unmetered" else PointQuality.GOOD,
                ts_source_ns=source_ns,
                history=history,
            )
        case [word, element, *end]:
            status = {"open": SwitchStatus.OPEN, "between": SwitchStatus.INTERMEDIATE}.get(word, SwitchStatus.CLOSED)
            quality = PointQuality.STALE if word == "stale" else PointQuality.GOOD
            return SwitchReported(
                ts_event_ns=ts_ns,
                element=element,
                end="".join(end),
                status=status,
                quality=quality,
                ts_source_ns=source_ns,
                initial=initial,
                history=history,
            )
    raise AssertionError(words)


@dataclass
class Played:
    """What a story came to: the last state, and all that was found."""

    watch: TopologyWatch = field(default_factory=TopologyWatch)
    found: list[Finding] = field(default_factory=list)
    at: list[tuple[int, Finding]] = field(default_factory=list)


def played(table: str, rules: MarketRules = RULES, grid: Topology = GRID, *, held: bool = False) -> Played:
    """Feed a table, with a tick at every deadline on the way."""
    story, now_ns = Played(), 0

    def take(fact: Fact) -> None:
        story.watch, more = observe(story.watch, fact, rules, grid, held=held)
        story.found += more
        story.at += [(fact.ts_event_ns, each) for each in more]

    for ts_ns, words, _ in rows(table):
        while (deadline := next_deadline_ns(story.watch, now_ns, rules)) is not None and deadline < ts_ns:
            now_ns = deadline
            take(Ticked(ts_event_ns=deadline))
        now_ns = max(now_ns, ts_ns)
        take(fact_of(ts_ns, words))
    return story


def run(table: str, rules: MarketRules = RULES, grid: Topology = GRID, *, held: bool = False) -> list[Finding]:
    """Feed a table, with a tick at every deadline on the way, and return everything found."""
    return played(table, rules, grid, held=held).found


def of(found: list[Finding], basis: Basis = Basis.TOPOLOGY_HARD, segment: Segment = Segment.RT) -> list[ConditionMet]:
    """Return the conditions of one basis and segment."""
    return [each for each in found if isinstance(each, ConditionMet) and (each.basis, each.segment) == (basis, segment)]


def conditions(found: list[Finding], basis: Basis = Basis.TOPOLOGY_HARD) -> list[int]:
    """Return when the conditions of one basis were met."""
    return [finding.met_at_ns for finding in of(found, basis)]
