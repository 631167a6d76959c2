"""The API of a service whose breaker only looks at what an order says: it refuses what the table of orders refuses, and takes the rest.

It runs on an event loop of its own thread, so that a test can run the command line against it.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence

from console.api import ApiServer, build_api
from console.board.state import BoardState
from ingest.clock import SimulatedClock
from market.commands import ORDERS, refusal
from market.decisions import GENESIS, CommandAccepted, Decision, DecisionBody, chained
from market.facts import CommandGiven
from market.rules import GUANGDONG_2023
from market.view import MarketView
from tests.kit.board_server import AlwaysReady

__all__ = ["Decider"]


class Decider:
    """A service that shows one view.

    Args:
        view: of the market.
        then: what comes of every order that is taken.

    Attributes:
        orders: those it was given.
        chain: what was decided.
        silent: whether it keeps its decisions to itself.
    """

    def __init__(self, view: MarketView, then: Sequence[DecisionBody] = ()) -> None:
        self.orders: list[CommandGiven] = []
        self.chain: list[Decision] = []
        self.silent = False
        self._then = then
        self._now_ns = view.ts_event_ns
        self._board = BoardState(GUANGDONG_2023, simulated=True)
        self._board.apply(view)
        clock = SimulatedClock(view.ts_event_ns, 1e-9)
        self._api = ApiServer(build_api(self._board, self._take, AlwaysReady(), clock=clock, record=self), host="127.0.0.1", port=0)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)

    async def _take(self, order: CommandGiven) -> None:
        self.orders.append(order)
        if self.silent:
            return
        forbidden = refusal(order)
        if forbidden is not None:
            self.decide(forbidden)
            return
        accepted = CommandAccepted(
            command_id=order.command_id,
            by=order.by,
            role=order.role,
            action=order.action,
            args=order.args,
            article=ORDERS[order.action].article,
        )
        self.decide(accepted, *self._then)

    def decide(self, *bodies: DecisionBody) -> None:
        """Record decisions and show them."""
        for body in bodies:
            prev_hash = self.chain[-1].hash if self.chain else GENESIS
            self.chain.append(chained(body, seq=len(self.chain) + 1, ts_event_ns=self._now_ns, rule_set="gd/r1", prev_hash=prev_hash))
            self._board.apply(self.chain[-1])

    async def newest(self, kinds: Sequence[str], last: int, after: int) -> list[Decision]:
        """See :class:`console.recordapi.DecisionRecord`."""
        return [one for one in self.chain if one.seq > after and (not kinds or one.kind in kinds)][-last:]

    async def answering(self, command_id: str) -> Decision | None:
        """See :class:`console.recordapi.DecisionRecord`."""
        return next((one for one in reversed(self.chain) if one.body.get("command_id") == command_id), None)

    def start(self) -> str:
        """Serve on a free port of loopback; returns the address."""
        self._thread.start()
        return f"http://127.0.0.1:{asyncio.run_coroutine_threadsafe(self._api.start(), self._loop).result(10)}"

    def stop(self) -> None:
        """End it."""
        asyncio.run_coroutine_threadsafe(self._api.stop(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
