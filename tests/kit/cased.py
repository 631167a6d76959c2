"""A chain of decisions as it is recorded with the cases that follow from it."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from market import casebook, decisions
from market.caserecord import CaseBook
from market.decisions import GENESIS, Decision, DecisionBody, chained
from market.facts import CommandGiven
from market.rules import MarketRules
from market.units import instant_ns

__all__ = ["Chained", "with_cases"]


class Chained:
    """Records bodies one after the other, each followed by what becomes of its case."""

    def __init__(self, rules: MarketRules) -> None:
        self._rules = rules
        self._open: casebook.OpenDuties = lambda segment, since_ns, until_ns, case: ()
        self.book = CaseBook()
        self.chain: list[Decision] = []

    def add(self, at: int | str, *bodies: DecisionBody) -> None:
        """Record bodies at an instant."""
        at_ns = at if isinstance(at, int) else instant_ns(at)
        for body in bodies:
            self._link(at_ns, body)
            self.book, more = casebook.followed(self.book, body, at_ns, self._rules)
            for following in more:
                self._link(at_ns, following)

    def order(self, at: str, action: str, by: str = "chen", role: str = "DISPATCH", **args: str) -> None:
        """Carry out an order for a case."""
        at_ns = instant_ns(at)
        command = CommandGiven(ts_event_ns=at_ns, command_id=f"c{len(self.chain)}", by=by, role=role, action=action, args=args)
        self.book, bodies = casebook.ordered(self.book, command, at_ns, self._rules, self._open)
        for body in bodies:
            self._link(at_ns, body)

    def _link(self, at_ns: int, body: DecisionBody) -> None:
        prev_hash = self.chain[-1].hash if self.chain else GENESIS
        self.chain.append(chained(body, seq=len(self.chain) + 1, ts_event_ns=at_ns, rule_set=self._rules.id, prev_hash=prev_hash))


def with_cases(chain: Iterable[Decision], rules: MarketRules) -> Chained:
    """Return a chain that was recorded without cases as it is recorded with them."""
    recorded = Chained(rules)
    for d in chain:
        if not d.kind.startswith("Case"):
            recorded.add(d.ts_event_ns, msgspec.convert(d.body, getattr(decisions, d.kind)))
    return recorded
