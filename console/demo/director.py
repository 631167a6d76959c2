"""What happens next in the demo, and what the narrator says about it: a fold over the market's decisions, without a clock of its own.

The faults that do not depend on anything stand in ``script.yaml``. What does depend on the market is decided here: when a person
recovers it, and when the three lines fall. A demo that was killed and started again reads the decisions back and goes on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

from market.decisions import Decision
from market.facts import CommandGiven
from market.rules import MarketRules
from market.units import NS_PER_MIN, NS_PER_S, clock_text, floor_ns

__all__ = ["FALLING_LINES", "Director", "Line", "LineFall"]

FALLING_LINES: Final = ("B33-1", "B33-2", "B34")
"""Three 230 kV lines of area 2 whose loss leaves the grid whole and no line overloaded."""

_SILENT_FROM_MIN, _SILENT_TO_MIN = 10, 20
_FAILS_FROM_MIN: Final = 25
_FALL_AFTER_MIN: Final = 10
_BETWEEN_FALLS_MIN: Final = 2
_END_AFTER_MIN: Final = 5


class Line(NamedTuple):
    """Where the story stands: step ``step`` of ``of``, and what is said."""

    step: int
    of: int
    text_en: str
    text_zh: str


class LineFall(NamedTuple):
    """A line to trip, at an instant."""

    at_ns: int
    branch: str


@dataclass(slots=True)
class _Trip:
    at_ns: int
    recovery_proposed_ns: int | None = None
    recovery_seq: int = 0
    effective_ns: int | None = None


class Director:
    """Follows the market and says what to do.

    Args:
        origin_ns: event time at which the demo began.
        rules: the rule set in force.
    """

    STEPS: Final = 8

    def __init__(self, origin_ns: int, rules: MarketRules) -> None:
        self._origin_ns = origin_ns
        self._rules = rules
        self._trips: list[_Trip] = []
        self._resumed_ns: int | None = None
        self._outage_start_ns: int | None = None
        self._seen = 0

    def observe(self, decision: Decision) -> None:
        """Take in one decision; repeats are passed over."""
        if decision.seq <= self._seen:
            return
        self._seen = decision.seq
        body = decision.body
        if decision.kind == "RecoveryProposed" and self._trips:
            self._trips[-1].recovery_proposed_ns = decision.ts_event_ns
            self._trips[-1].recovery_seq = decision.seq
        if decision.kind != "Transition":
            return
        match body["after"]:
            case "DEGRADED":
                self._outage_start_ns = body["outage_start_ns"]
            case "TRIPPED":
                self._trips.append(_Trip(at_ns=body["tripped_at_ns"]))
            case "RESUMING" if self._trips:
                self._trips[-1].effective_ns = body["effective_from_ns"]
            case "NORMAL":
                self._outage_start_ns = None
                if body["before"] == "RESUMING":
                    self._resumed_ns = decision.ts_event_ns

    @property
    def recovery_wanted(self) -> bool:
        """Whether the market is out and could be recovered now by a person."""
        return bool(self._trips) and self._trips[-1].recovery_proposed_ns is not None and self._trips[-1].effective_ns is None

    def recovery(self, by: str) -> CommandGiven | None:
        """Return the order that recovers the market, or None while there is nothing to recover."""
        if not self.recovery_wanted:
            return None
        trip = self._trips[-1]
        # Named after the proposal it answers: however often it is sent, it is carried out once.
        command_id = f"demo-recover-{trip.recovery_seq}"
        return CommandGiven(ts_event_ns=0, command_id=command_id, by=by, role="DISPATCH", action="CONFIRM_RECOVER")

    def auto_recovery(self, now_ns: int) -> CommandGiven | None:
        """Return the order when a deliberate operator would give it: in the middle of the interval after the proposal."""
        if not self.recovery_wanted:
            return None
        proposed_ns = self._trips[-1].recovery_proposed_ns
        assert proposed_ns is not None, "wanted means proposed"
        step = self._rules.rt_interval_ns
        at_ns = floor_ns(proposed_ns + step - 1, step) + step // 2
        return self.recovery("demo operator") if now_ns >= at_ns else None

    def line_falls(self) -> tuple[LineFall, ...]:
        """Return the lines to trip after the first recovery took effect, with their instants; empty before it is announced."""
        if not self._trips or self._trips[0].effective_ns is None:
            return ()
        first_ns = self._trips[0].effective_ns + _FALL_AFTER_MIN * NS_PER_MIN
        return tuple(LineFall(first_ns + i * _BETWEEN_FALLS_MIN * NS_PER_MIN, branch) for i, branch in enumerate(FALLING_LINES))

    def ended(self, now_ns: int) -> bool:
        """Whether the story has been told to its end."""
        return len(self._trips) > 1 and now_ns >= self._trips[1].at_ns + _END_AFTER_MIN * NS_PER_MIN

    def line(self, now_ns: int) -> Line:
        """Return what is to be said now."""
        step, text_en, text_zh = self._told(now_ns)
        return Line(step, self.STEPS, text_en, text_zh)

    def _told(self, now_ns: int) -> tuple[int, str, str]:
        minute = (now_ns - self._origin_ns) / NS_PER_MIN
        zone = self._rules.zone
        if len(self._trips) > 1:
            return (
                8,
                "Three 230 kV lines fell within minutes: a major topology change trips the market again, corroborated by their flows",
                "三条 230 kV 线路数分钟内相继跳闸，潮流佐证：重大拓扑变化再次触发熔断",
            )
        if self._trips and self._resumed_ns is not None and now_ns >= self._resumed_ns:
            falls = self.line_falls()
            if falls and now_ns >= falls[0].at_ns:
                return 7, "Lines of area 2 are tripping, one after the other", "区域 2 的线路正相继跳闸"
            return 7, "Prices are back in the market; watch the lines of area 2", "市场价格已恢复；请留意区域 2 的线路"
        if self._trips:
            return self._told_out(self._trips[0], zone)
        if self._outage_start_ns is not None and minute >= _FAILS_FROM_MIN:
            since = clock_text(self._outage_start_ns, zone)
            trip = clock_text(self._outage_start_ns + self._rules.rt_limit_ns + self._rules.grace_ns, zone)
            return (
                3,
                f"The clearing engine fails since {since}; reminders at 15, 30, 60, 90 and 105 min; the breaker trips at {trip}",
                f"出清引擎自 {since} 起失败；将在 15、30、60、90、105 分钟提醒；{trip} 触发熔断",
            )
        if _SILENT_FROM_MIN <= minute < _SILENT_TO_MIN:
            return (
                2,
                "The controller of plant-116 answers nothing: its values turn stale, clearing goes on with the last ones, nothing trips",
                "plant-116 控制器无应答：数据转为陈旧，出清沿用最后可用值，不会触发熔断",
            )
        if minute < _SILENT_FROM_MIN:
            return 1, "A normal day: devices answer, the market clears every five minutes", "正常运行：设备应答，市场每五分钟出清"
        return 2, "plant-116 answers again; next the clearing engine will fail", "plant-116 已恢复应答；接下来出清引擎将失败"

    def _told_out(self, trip: _Trip, zone: str) -> tuple[int, str, str]:
        if trip.effective_ns is not None:
            at = clock_text(trip.effective_ns, zone)
            return 6, f"Recovered by dispatch; prices return to the market at {at}", f"调度机构已决定恢复；{at} 起恢复市场价格"
        if trip.recovery_proposed_ns is not None:
            return (
                5,
                "Four shadow clearings in a row were valid: a person may recover the market now (press Enter)",
                "影子出清已连续四次有效：可由人工决定恢复市场（按回车键）",
            )
        at = clock_text(trip.at_ns // NS_PER_S * NS_PER_S, zone)
        return (
            4,
            f"Tripped at {at}: announced once, the day-ahead price is in force, clearing goes on in the shadow",
            f"{at} 熔断：已发布公告，采用日前价格，出清转入影子运行",
        )
