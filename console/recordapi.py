"""What does the service say of its own record? The answer to an order, and the decisions themselves.

========================  ==========================================================================================
``/api/commands/{id}``    accepted, refused with the rule and the remedy, or pending; 404 for an order nobody knows
``/api/decisions``        the newest decisions, oldest first; ``?kind=CaseOpened&kind=CaseClosed&last=100&after=17``
========================  ==========================================================================================
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Final, Protocol

import msgspec
from fastapi import FastAPI, Query, Response

from console.answers import Answers, answer_of
from market.decisions import Decision
from streams.errors import SinkError
from streams.ledger import AsyncLedger

__all__ = ["DecisionRecord", "LedgerRecord", "add_record"]

_LAST_MAX: Final = 5_000


class DecisionRecord(Protocol):
    """Where decisions are kept."""

    async def newest(self, kinds: Sequence[str], last: int, after: int) -> list[Decision]:
        """Return the newest decisions of these kinds (all where empty) with numbers above ``after``, oldest first."""
        ...

    async def answering(self, command_id: str) -> Decision | None:
        """Return the decision that answered an order; None where there is none."""
        ...


class LedgerRecord:
    """The decisions of the ledger."""

    def __init__(self, ledger: AsyncLedger) -> None:
        self._ledger = ledger

    async def newest(self, kinds: Sequence[str], last: int, after: int) -> list[Decision]:
        """See :class:`DecisionRecord`."""
        return await self._ledger.do(lambda book: book.newest_decisions(kinds, last, after))

    async def answering(self, command_id: str) -> Decision | None:
        """See :class:`DecisionRecord`."""
        return await self._ledger.do(lambda book: book.answering(command_id))


def add_record(app: FastAPI, answers: Answers, record: DecisionRecord | None) -> None:
    """Add what is asked of the record.

    Args:
        answers: to recent orders, as they were seen.
        record: older ones; None for an instance that keeps none.
    """

    @app.get("/api/commands/{command_id}")
    async def answered(command_id: str) -> Response:
        if (answer := answers.of(command_id)) is not None:
            return _json(answer)
        try:
            decision = None if record is None else await record.answering(command_id)
        except SinkError as exc:
            return _json({"error": f"the ledger does not answer: {exc}"}, 503)
        if decision is None:
            return _json({"error": f"no order {command_id} is known here; send it, or ask the service that took it"}, 404)
        return _json(answer_of(decision))

    @app.get("/api/decisions")
    async def decisions(
        kind: Annotated[list[str] | None, Query()] = None,
        last: Annotated[int, Query(ge=1, le=_LAST_MAX)] = 100,
        after: Annotated[int, Query(ge=0)] = 0,
    ) -> Response:
        if record is None:
            return _json({"error": "this instance keeps no record; ask the one that has the ledger"}, 404)
        try:
            return _json({"decisions": await record.newest(kind or (), last, after)})
        except SinkError as exc:
            return _json({"error": f"the ledger does not answer: {exc}"}, 503)


def _json(content: Any, status: int = 200) -> Response:
    return Response(msgspec.json.encode(content), status, {"cache-control": "no-store"}, "application/json")
