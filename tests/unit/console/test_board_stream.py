"""The board's stream as an ASGI application: what goes out first, what follows, and who is dropped."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from console.board import stream as module
from console.board.state import BoardState
from console.board.stream import BoardStream
from market.rules import GUANGDONG_2023
from tests.kit.board_feed import SCENES, kpi_at
from tests.kit.eventually import eventually_async

T0 = SCENES["normal"]


class StandingClock:
    """Event time that stands still."""

    speed = 60.0

    def now_ns(self) -> int:
        return T0

    async def sleep_until(self, ts_ns: int) -> None:
        raise AssertionError("the stream does not wait for event time")


class Client:
    """The other end of the wire: takes messages while ``reading``, and leaves when told."""

    def __init__(self) -> None:
        self.said: list[dict[str, Any]] = []
        self.reading = asyncio.Event()
        self.reading.set()
        self.left = asyncio.Event()

    async def send(self, message: Any) -> None:
        await self.reading.wait()
        self.said.append(dict(message))

    async def receive(self) -> dict[str, Any]:
        await self.left.wait()
        return {"type": "http.disconnect"}

    @property
    def events(self) -> list[dict[str, Any]]:
        """What was said, decoded."""
        text = b"".join(one.get("body", b"") for one in self.said).decode()
        return [msgspec.json.decode(line[6:]) for line in text.split("\n") if line.startswith("data: ")]


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PUSH_S", 0.001)
    monkeypatch.setattr(module, "_BEAT_S", 0.005)


def streamed(story: Callable[[BoardState, BoardStream, Client, asyncio.Task[None]], Any]) -> None:
    """Play a story with one client on the stream, and end the stream after it."""

    async def play() -> None:
        state = BoardState(GUANGDONG_2023, simulated=True)
        stream, client = BoardStream(state, StandingClock()), Client()
        serving = asyncio.create_task(stream({"type": "http"}, client.receive, client.send))
        await eventually_async("a first message", lambda: len(client.said) >= 2)
        try:
            await story(state, stream, client, serving)
        finally:
            client.reading.set()
            stream.close()
            await asyncio.wait_for(serving, 5.0)

    asyncio.run(play())


def test_a_snapshot_first_then_what_changed():
    async def story(state: BoardState, _stream: BoardStream, client: Client, _serving: asyncio.Task[None]) -> None:
        start, *_ = client.said
        assert (start["status"], dict(start["headers"])[b"content-type"]) == (200, b"text/event-stream; charset=utf-8")
        assert client.events[0]["full"]
        state.apply(kpi_at(T0))
        await eventually_async("the figures", lambda: any("kpi" in event for event in client.events[1:]))
        delta = next(event for event in client.events[1:] if "kpi" in event)
        assert "site" not in delta
        assert delta["version"] == state.version

    streamed(story)


def test_a_quiet_stream_still_says_the_time():
    async def story(_state: BoardState, _stream: BoardStream, client: Client, _serving: asyncio.Task[None]) -> None:
        await eventually_async("three beats", lambda: len(client.events) >= 4)
        assert client.events[-1] == {"version": 0, "clock": {"now_ms": T0 // 1_000_000, "speed": 60.0, "data_ms": None}}

    streamed(story)


def test_nobody_watching_costs_nothing():
    async def story(_state: BoardState, stream: BoardStream, client: Client, serving: asyncio.Task[None]) -> None:
        assert stream.clients == 1
        client.left.set()
        await asyncio.wait_for(serving, 5.0)
        assert stream.clients == 0
        pushing = [task for task in asyncio.all_tasks() if task.get_name() == "board-stream"]
        await asyncio.wait_for(asyncio.gather(*pushing), 5.0)

    streamed(story)


def test_a_client_that_does_not_read_is_dropped_and_the_others_are_not():
    async def story(state: BoardState, stream: BoardStream, client: Client, _serving: asyncio.Task[None]) -> None:
        slow = Client()
        slow_serving = asyncio.create_task(stream({"type": "http"}, slow.receive, slow.send))
        await eventually_async("both watching", lambda: stream.clients == 2 and len(slow.events) >= 1)
        slow.reading.clear()
        for second in range(200):
            state.apply(kpi_at(T0 + second * 1_000_000_000))
            await asyncio.sleep(0.002)
            if stream.dropped:
                break
        await asyncio.wait_for(slow_serving, 5.0)
        assert (stream.clients, stream.dropped) == (1, 1)
        seen = len(client.events)
        await eventually_async("the other client goes on", lambda: len(client.events) > seen)

    streamed(story)


def test_a_fault_in_the_state_ends_the_stream(monkeypatch: pytest.MonkeyPatch):
    """A page that kept its connection would go on showing the last values as if they were live."""

    async def play() -> None:
        state = BoardState(GUANGDONG_2023, simulated=True)
        client = Client()
        serving = asyncio.create_task(BoardStream(state, StandingClock())({"type": "http"}, client.receive, client.send))
        await eventually_async("a first message", lambda: len(client.said) >= 2)
        monkeypatch.setattr(state, "delta", lambda _since: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            await asyncio.wait_for(serving, 5.0)

    asyncio.run(play())


def test_after_the_end_a_new_client_is_sent_away():
    async def play() -> None:
        stream, client = BoardStream(BoardState(GUANGDONG_2023, simulated=True), StandingClock()), Client()
        stream.close()
        await asyncio.wait_for(stream({"type": "http"}, client.receive, client.send), 5.0)
        assert client.said[-1] == {"type": "http.response.body", "body": b"", "more_body": False}

    asyncio.run(play())


def test_what_waits_for_a_client_that_does_not_read_is_bounded():
    """Its queue holds 32 messages, the same bytes that everybody gets."""

    async def story(state: BoardState, stream: BoardStream, client: Client, _serving: asyncio.Task[None]) -> None:
        (queue,) = (one.queue for one in stream._clients)
        client.reading.clear()
        longest = 0
        for second in range(500):
            state.apply(kpi_at(T0 + second * 1_000_000_000))
            await asyncio.sleep(0.002)
            longest = max(longest, queue.qsize())
            if stream.dropped:
                break
        assert (longest, stream.dropped, stream.clients) == (32, 1, 0)

    streamed(story)


def test_more_clients_than_there_is_room_for_are_sent_away(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "_CLIENTS_MAX", 1)

    async def story(_state: BoardState, stream: BoardStream, _client: Client, _serving: asyncio.Task[None]) -> None:
        second = Client()
        await asyncio.wait_for(stream({"type": "http"}, second.receive, second.send), 5.0)
        assert (second.said[0]["status"], stream.clients, stream.refused) == (503, 1, 1)
        assert b"try again" in second.said[1]["body"]

    streamed(story)


class CountedPage:
    """A page whose content is a number."""

    def __init__(self) -> None:
        self.version = 0

    def snapshot(self) -> dict[str, Any]:
        return {"full": True, "n": self.version}

    def delta(self, since: int) -> dict[str, Any] | None:
        return None if since == self.version else {"n": self.version}


def test_what_a_page_shows_goes_to_those_who_watch_it_and_to_nobody_else(monkeypatch: pytest.MonkeyPatch):
    async def play() -> None:
        monkeypatch.setattr(module, "_PAGE_S", 0.002)
        page = CountedPage()
        stream = BoardStream(BoardState(GUANGDONG_2023, simulated=True), StandingClock(), {"points": page})
        clients = [Client() for _ in range(3)]
        asked = [b"page=points", b"page=points", b"page=overview"]
        scopes = [{"type": "http", "query_string": query} for query in asked]
        serving = [asyncio.create_task(stream(scope, c.receive, c.send)) for scope, c in zip(scopes, clients, strict=True)]
        await eventually_async("the first messages", lambda: all(len(client.said) >= 2 for client in clients))
        page.version = 7

        def heard(client: Client) -> bool:
            return any(event.get("n") == 7 for event in client.events)

        await eventually_async("the number", lambda: heard(clients[0]) and heard(clients[1]))
        stream.close()
        await asyncio.gather(*serving)
        assert [event["n"] for event in clients[0].events if event.get("page") == "points"] == [0, 7]
        assert [event["n"] for event in clients[1].events if event.get("page") == "points"] == [0, 7]
        assert not any("page" in event for event in clients[2].events)

    asyncio.run(play())
