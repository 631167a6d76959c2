"""INV-1, looked at after every fact: at most one notice in force for each segment and subject, and it is what the segment is."""

from __future__ import annotations

from market.decisions import out_of_force
from market.rules import MarketRules
from streams import breaker

__all__ = ["NoticeLaw"]


class NoticeLaw:
    """Looks at every state of a drill.

    Attributes:
        broken: where the notices in force were not what the segments were.
        in_force: how often a notice of the breaker was in force, so that a drill without any can be told.
    """

    def __init__(self) -> None:
        self.broken: list[str] = []
        self.in_force = 0

    def look(self, state: breaker.BreakerState, rules: MarketRules) -> breaker.BreakerState:
        """Hold a state against the law, and give it back as it is."""
        seen = breaker.view(state, rules)
        subjects = [(notice.segment, notice.subject) for notice in seen.notices]
        for segment in seen.segments:
            told = subjects.count((segment.segment, "breaker"))
            self.in_force += told
            if told != out_of_force(segment.phase, segment.effective_from_ns):
                self.broken.append(f"{segment.segment} is {segment.phase}, {told} notices in force")
        if len(set(subjects)) != len(subjects):
            self.broken.append(f"two notices of one subject: {subjects}")
        return state
