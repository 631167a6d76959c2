"""What does the board show? The records of the stream, folded into what a person sees at one instant.

:meth:`BoardState.apply` takes every record of the topics the board listens to; :meth:`BoardState.snapshot` gives the whole state to
a new client and :meth:`BoardState.delta` what changed since a version. Each section of the state carries the version at which it
last changed, so a delta is the sections that are newer. Trends and intervals are finer: only their changed buckets and cells go.

Records may be delivered twice. Decisions are recognised by their number, alerts by their id, prices by interval and revision,
clearings by interval and version, trend samples by their bucket; a repeat changes nothing and is not sent again.

In what leaves here instants are milliseconds (``*_ms``), because a browser cannot hold nanoseconds exactly; a figure that is not
known is absent or null, never 0. Deliberately absent: any judgement (what is abnormal follows from the records and the rule set),
any clock of its own, and any input or output.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import asdict
from math import isfinite
from typing import Any, Final

from console.answers import Answers
from console.board.intervals import IntervalBook
from console.board.trends import Trend
from market.decisions import Decision
from market.outcomes import Cleared, ClearingFailed
from market.prices import PriceInForce
from market.rules import MarketRules
from market.units import NS_PER_DAY, NS_PER_MS, NS_PER_S
from market.view import MarketView, SegmentView
from streams.alerts import Alert, AlertState
from streams.kpis import KpiFrame

__all__ = ["EVERYTHING", "BoardRecord", "BoardState"]

BoardRecord = KpiFrame | MarketView | Cleared | ClearingFailed | Decision | PriceInForce | Alert

EVERYTHING: Final = -1
"""The version before the first: a delta since then is the whole state."""

_DAY_S: Final = NS_PER_DAY // NS_PER_S
_ALERTS_KEPT: Final = 500
_ALERTS_SENT: Final = 60
_DECISIONS_SENT: Final = 80
_ANNOUNCEMENTS_SENT: Final = 20
_DUTIES_SENT: Final = 64
_AUDIT_LABELS: Final = frozenset({"decision", "rule_set"})
"""Labels that say where an alert came from, not what it is about."""


class BoardState:
    """The board's memory. Not safe to use from two threads.

    Args:
        rules: the rule set in force; gives the zone, the marks and the limit.
        simulated: whether the records come from a simulated field; the page says so all the time.
    """

    def __init__(self, rules: MarketRules, *, simulated: bool) -> None:
        self._version = 0
        self.before_snapshot: Callable[[], None] = lambda: None
        """Called before the whole state is shown to somebody: whoever has something newer applies it then."""
        self._stamps: dict[str, int] = {"site": 0}
        self._site = {
            "zone": rules.zone,
            "rule_set": rules.id,
            "simulated": simulated,
            "limit_min": rules.rt_limit_min,
            "interval_min": rules.rt_interval_min,
            "marks_min": list(rules.reminders_min),
            "shadow_ok": rules.shadow_ok,
        }
        self._now_ns = 0
        self._speed = 1.0
        self._story: dict[str, Any] | None = None
        self._kpi: KpiFrame | None = None
        self._view: MarketView | None = None
        self._entered: dict[str, dict[str, Any]] = {}
        self._last_seq = 0
        self._decisions: deque[dict[str, Any]] = deque(maxlen=_DECISIONS_SENT)
        self.answers = Answers(rules.zone)
        """What became of recent orders."""
        self._announcements: deque[dict[str, Any]] = deque(maxlen=_ANNOUNCEMENTS_SENT)
        self._duties: deque[dict[str, Any]] = deque(maxlen=_DUTIES_SENT)
        self._alerts: dict[tuple[str, AlertState], Alert] = {}
        self._intervals = IntervalBook(span_ns=NS_PER_DAY)
        self._trends: dict[str, Trend] = {
            "frequency_hz": Trend(bucket_s=10, span_s=_DAY_S, decimals=4, nominal=50.0),
            "load_mw": Trend(bucket_s=60, span_s=_DAY_S, decimals=1),
            "generation_mw": Trend(bucket_s=60, span_s=_DAY_S, decimals=1),
        }

    @property
    def version(self) -> int:
        """Counts up with every change that a client would see; time passing is not one."""
        return self._version

    @property
    def view(self) -> MarketView | None:
        """The market as last reported, or None before the first report."""
        return self._view

    def set_clock(self, now_ns: int, speed: float) -> None:
        """Tell the board the event time, and how many event seconds pass in a second of the wall."""
        self._now_ns, self._speed = now_ns, speed

    def set_story(self, text_en: str, text_zh: str, step: int, of: int) -> None:
        """Show the demo's narration: one sentence in both languages, and that it is step ``step`` of ``of``."""
        story = {"en": text_en, "zh": text_zh, "step": step, "of": of}
        if story != self._story:
            self._story = story
            self._touch("story")

    def apply(self, record: BoardRecord) -> None:
        """Fold one record into the state; a record that was applied before changes nothing.

        Raises:
            TypeError: not a record the board shows.
        """
        match record:
            case KpiFrame():
                self._apply_kpi(record)
            case MarketView():
                if record != self._view and (self._view is None or record.ts_event_ns >= self._view.ts_event_ns):
                    if self._view is None or record.duties != self._view.duties:
                        self._touch("duties")
                    self._view = record
                    self._touch("market")
            case Cleared():
                if self._intervals.cleared(record, self._version + 1):
                    self._touch("intervals")
            case ClearingFailed():
                if self._intervals.failed(record, self._version + 1):
                    self._touch("intervals")
            case PriceInForce():
                if self._intervals.priced(record, self._version + 1):
                    self._touch("intervals")
            case Decision():
                if record.seq > self._last_seq:
                    self._last_seq = record.seq
                    self._apply_decision(record)
            case Alert():
                self._apply_alert(record)
            case _:
                raise TypeError(f"{type(record).__name__} is not a record the board shows")

    def clock(self) -> dict[str, Any]:
        """Return event time, speed and the instant of the newest measurements; goes with every message."""
        data_ms = None if self._kpi is None else self._kpi.ts_event_ns // NS_PER_MS
        return {"now_ms": self._now_ns // NS_PER_MS, "speed": self._speed, "data_ms": data_ms}

    def snapshot(self) -> dict[str, Any]:
        """Return the whole state, for a new client."""
        self.before_snapshot()
        return {"version": self._version, "full": True, "clock": self.clock(), **self._sections(EVERYTHING)}

    def delta(self, since: int) -> dict[str, Any] | None:
        """Return the sections that changed after version ``since``, or None where none did."""
        if since >= self._version:
            return None
        return {"version": self._version, "clock": self.clock(), **self._sections(since)}

    def _touch(self, section: str) -> None:
        self._version += 1
        self._stamps[section] = self._version

    def _apply_kpi(self, frame: KpiFrame) -> None:
        version = self._version + 1
        samples = [(name, frame.system.get(name)) for name in ("frequency_hz", "load_mw", "generation_mw")]
        samples += [(f"ace_mw/{area}", figures.get("ace_mw")) for area, figures in frame.areas.items()]
        fresh = [self._trend(name).add(frame.ts_event_ns, value, version) for name, value in samples if value is not None]
        if any(fresh):
            self._touch("trends")
        if self._kpi is None or (frame.ts_event_ns >= self._kpi.ts_event_ns and frame != self._kpi):
            self._kpi = frame
            self._touch("kpi")

    def _trend(self, name: str) -> Trend:
        return self._trends.setdefault(name, Trend(bucket_s=60, span_s=_DAY_S, decimals=1))

    def _apply_decision(self, decision: Decision) -> None:
        self.answers.see(decision)
        body = _in_ms(decision.body)
        self._decisions.append(
            {
                "seq": decision.seq,
                "at_ms": decision.ts_event_ns // NS_PER_MS,
                "kind": decision.kind,
                "body": {name: value for name, value in body.items() if name not in {"text_en", "text_zh", "facts"}},
            }
        )
        self._touch("decisions")
        match decision.kind:
            case "Transition":
                at_ms = decision.ts_event_ns // NS_PER_MS
                self._entered[body["segment"]] = {"at_ms": at_ms, "basis": body["basis"], "article": body["article"], "by": body["by"]}
                self._touch("market")
            case "Announcement":
                self._announce(body)
            case "DutyOpened":
                self._duties.append(_duty_row(body, decision.ts_event_ns // NS_PER_MS))
                self._touch("duties")
            case "DutySettled":
                self._settle(body)
            case "DutyReceived" | "DutyReminded":
                self._told_of_duty(body)
            case "AnomalyNoted":
                if self._intervals.anomaly(body["interval_start_ms"] * NS_PER_MS, body["how"], body["reason"], self._version + 1):
                    self._touch("intervals")

    def _announce(self, body: dict[str, Any]) -> None:
        """Add a notice; what it replaces, by number or by its segment and subject, is no longer in force."""
        for older in self._announcements:
            same_subject = (older["segment"], older["subject"]) == (body["segment"], body["subject"])
            if older["number"] == body["supersedes"] or same_subject:
                older["superseded"] = True
        self._announcements.append(
            {
                "number": body["number"],
                "kind": body["announcement_kind"],
                "segment": body["segment"],
                "subject": body["subject"],
                "at_ms": body["published_at_ms"],
                "en": body["text_en"],
                "zh": body["text_zh"],
                "superseded": False,
            }
        )
        self._touch("announcements")

    def _running(self, body: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return the newest open duty that a decision is about: by its key, else by its name and segment."""
        key = body.get("key")
        duty: dict[str, Any]
        for duty in reversed(self._duties):
            same = duty["key"] == key if key else (duty["duty"], duty["segment"]) == (body["duty"], body["segment"])
            if same and duty["outcome"] is None:
                found: dict[str, Any] = duty
                return found
        return None

    def _settle(self, body: dict[str, Any]) -> None:
        if (duty := self._running(body)) is not None:
            duty["outcome"], duty["margin_s"] = body["outcome"], body["margin_s"]
            self._touch("duties")

    def _told_of_duty(self, body: dict[str, Any]) -> None:
        """Take in a receipt, or a reminder that says whose receipt is missing."""
        if (duty := self._running(body)) is not None:
            duty["overdue"] = duty["overdue"] or body.get("overdue", False)
            duty["missing"] = body.get("missing") or [one for one in duty["missing"] if one != body.get("recipient")]
            self._touch("duties")

    def _duties_section(self) -> list[dict[str, Any]]:
        """Every duty the decisions told of, newest first; what the breaker says of an open one now stands over what was told."""
        now = {duty.key: duty for duty in (self._view.duties if self._view else ())}
        rows = []
        for duty in reversed(self._duties):
            current = now.pop(duty["key"], None)
            if current is None or duty["outcome"] is not None:
                rows.append(duty)
            else:
                rows.append(duty | {"missing": list(current.missing), "overdue": current.overdue, "owner": current.owner})
        # Those that began before the decisions the board has heard of.
        older = [{**_in_ms(asdict(duty)), "outcome": None, "margin_s": None} for duty in now.values()]
        return older + rows

    def _apply_alert(self, alert: Alert) -> None:
        key = (alert.alert_id, alert.state)
        if key in self._alerts:
            return
        self._alerts[key] = alert
        if len(self._alerts) > _ALERTS_KEPT:
            del self._alerts[next(iter(self._alerts))]
        self._touch("alerts")

    def _sections(self, since: int) -> dict[str, Any]:
        """Render each section that changed after version ``since``."""
        renderers: dict[str, Callable[[], Any]] = {
            "site": lambda: self._site,
            "story": lambda: self._story,
            "market": self._market_section,
            "kpi": self._kpi_section,
            "announcements": lambda: list(reversed(self._announcements)),
            "duties": self._duties_section,
            "decisions": lambda: list(reversed(self._decisions)),
            "alerts": self._alerts_section,
            "intervals": lambda: self._intervals.since(since),
            "trends": lambda: {name: part for name, trend in self._trends.items() if (part := trend.since(since)) is not None},
        }
        return {name: render() for name, render in renderers.items() if self._stamps.get(name, EVERYTHING) > since}

    def _market_section(self) -> dict[str, Any] | None:
        if self._view is None:
            return None
        view = _in_ms(asdict(self._view))
        del view["duties"]
        view["segments"] = [self._segment_section(segment) for segment in self._view.segments]
        return view

    def _segment_section(self, segment: SegmentView) -> dict[str, Any]:
        """A segment with how it came into its state, null where that was before the board's time."""
        return {**_in_ms(asdict(segment)), "entered": self._entered.get(segment.segment)}

    def _kpi_section(self) -> dict[str, Any] | None:
        if self._kpi is None:
            return None
        frame = self._kpi
        return {
            "at_ms": frame.ts_event_ns // NS_PER_MS,
            "system": _known(frame.system),
            "areas": {area: _known(figures) for area, figures in frame.areas.items()},
            "fuel_mw": _known(frame.generation_mw_by_fuel),
            "lines": [
                {"branch": line.branch, "flow_mw": round(line.flow_mw, 1), "loading_pct": round(line.loading_pct, 1)}
                for line in frame.worst_lines
            ],
            "open": list(frame.lines_open),
            "sources": [{**asdict(source), "age_s": round(source.age_s, 1)} for source in frame.sources],
        }

    def _alerts_section(self) -> list[dict[str, Any]]:
        """The newest alerts, newest first and of one instant the gravest first.

        ``over`` marks one that a newer alert of the same kind and subject has replaced.
        """
        replaced: set[tuple[str, str]] = set()
        rows: list[dict[str, Any]] = []
        for alert in sorted(self._alerts.values(), key=lambda one: (-one.ts_event_ns, one.priority)):
            subject = (alert.name, repr(sorted((name, value) for name, value in alert.labels.items() if name not in _AUDIT_LABELS)))
            rows.append(
                {
                    "id": alert.alert_id,
                    "at_ms": alert.ts_event_ns // NS_PER_MS,
                    "name": alert.name,
                    "priority": alert.priority,
                    "state": alert.state,
                    "en": alert.text_en,
                    "zh": alert.text_zh,
                    "over": subject in replaced,
                }
            )
            replaced.add(subject)
        return rows[:_ALERTS_SENT]


def _duty_row(body: Mapping[str, Any], opened_ms: int) -> dict[str, Any]:
    """Return a duty that begins, as the page reads it."""
    return {
        "key": body.get("key", ""),
        "duty": body["duty"],
        "segment": body["segment"],
        "article": body["article"],
        "owner": body.get("owner", ""),
        "opened_ms": opened_ms,
        "due_ms": body["due_ms"],
        "overdue": False,
        "missing": list(body.get("recipients") or ()),
        "outcome": None,
        "margin_s": None,
    }


def _in_ms(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Rename every ``*_ns`` field to ``*_ms`` and scale it, also in the rows of a list."""
    return {(f"{name[:-3]}_ms" if name.endswith("_ns") else name): _scaled(name, value) for name, value in fields.items()}


def _scaled(name: str, value: Any) -> Any:
    if name.endswith("_ns") and isinstance(value, int):
        return value // NS_PER_MS
    if isinstance(value, list | tuple):
        return [_in_ms(one) if isinstance(one, Mapping) else one for one in value]
    return value


def _known(figures: Mapping[str, float]) -> dict[str, float]:
    """Keep the figures that exist, to four decimals: what is not finite is not known."""
    return {name: round(value, 4) for name, value in figures.items() if isfinite(value)}
