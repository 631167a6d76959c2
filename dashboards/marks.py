"""What does each state look like, on whichever board it stands?

A state is a mark and a word, and only then a colour: whoever sees no colours reads the same. The marks grow with what is wrong: a ring is
normal, a triangle something to know, a lozenge something that waits for a person, a filled square something that has happened. Phases and
price rules have the words of the live board, which a test holds.
"""

from __future__ import annotations

from typing import Final

from dashboards.elements import GREY, P1, P2, P3, P4, Mark, Text

__all__ = ["CASES", "DELIVERIES", "HEALTH", "PASSED", "PHASES", "PRIORITIES", "REGIMES", "STATUSES"]

PHASES: Final = (
    Mark("NORMAL", Text("○ Normal", "○ 正常"), GREY),
    Mark("DEGRADED", Text("△ Clearing failing", "△ 出清异常"), P3),
    Mark("PROPOSED", Text("◇ Trip proposed", "◇ 建议熔断"), P2),
    Mark("TRIPPED", Text("■ BREAKER TRIPPED", "■ 市场熔断"), P1),
    Mark("OVERDUE", Text("■■ BREAKER OVERDUE", "■■ 熔断超时"), P1),
    Mark("SUSPENDED", Text("■ MARKET SUSPENDED", "■ 市场中止"), P1),
    Mark("SUSPENDED_LONG", Text("■■ SUSPENDED · ART. 28", "■■ 市场中止（第28条）"), P1),
    Mark("RESUMING", Text("▷ Resuming", "▷ 恢复中"), P4),
)
"""Of :class:`market.decisions.Phase`."""

STATUSES: Final = (
    Mark("OK", Text("○ ok", "○ 有效"), GREY),
    Mark("OK_VIOLATION", Text("△ violation", "△ 有越限"), P3),
    Mark("OK_DEGRADED", Text("◇ degraded", "◇ 降级"), P3),
    Mark("FAILED", Text("■ FAILED", "■ 失败"), P1),
)
"""Of an outcome."""

REGIMES: Final = (
    Mark("MARKET", Text("○ Market clearing", "○ 市场出清价"), GREY),
    Mark("GAP", Text("△ Last valid price", "△ 沿用最近有效价"), P3),
    Mark("ART27_1", Text("■ Art. 27(1): real-time price", "■ 第27条（1）：实时价"), P2),
    Mark("ART27_2", Text("■ Art. 27(2): day-ahead price", "■ 第27条（2）：日前价"), P2),
    Mark("ART27_3", Text("■ Art. 27(3): 30-day mean", "■ 第27条（3）：30日均价"), P2),
    Mark("ART28", Text("■■ Art. 28: emergency plan", "■■ 第28条：按应急方案结算"), P1),
)
"""Of :class:`market.prices.Regime`."""

HEALTH: Final = (
    Mark("ok", Text("○ ok", "○ 正常"), GREY),
    Mark("stale", Text("△ stale", "△ 无新数据"), P2),
    Mark("bad", Text("■ bad", "■ 质量坏"), P1),
)
"""Of a device."""

PRIORITIES: Final = (
    Mark("P1", Text("■ P1", "■ 一级"), P1),
    Mark("P2", Text("◆ P2", "◆ 二级"), P2),
    Mark("P3", Text("△ P3", "△ 三级"), P3),
    Mark("P4", Text("○ P4", "○ 四级"), P4),
)
"""Of an alert."""

DELIVERIES: Final = (
    Mark("delivered", Text("○ delivered", "○ 已送达"), GREY),
    Mark("failed", Text("△ failed, tried again", "△ 失败，重试中"), P3),
    Mark("undeliverable", Text("■ UNDELIVERABLE", "■ 无法送达"), P1),
)
"""Of an attempt to tell somebody."""

CASES: Final = (
    Mark("OPENED", Text("◆ opened", "◆ 立案"), P3),
    Mark("NOTED", Text("▷ noted", "▷ 记录"), GREY),
    Mark("CLOSED", Text("○ closed", "○ 结案"), GREY),
)
"""Of an entry of an anomaly case."""

PASSED: Final = (
    Mark("1", Text("○ passed", "○ 通过"), GREY),
    Mark("0", Text("■ FAILED", "■ 未通过"), P1),
)
"""Of a proof."""
