"""The live board in a real browser, fed by a real server: what a person sees in each state of the market.

Everything runs on loopback; a request to anywhere else, or a word on the browser's console, is a failure.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final

import pytest

from console.api import ApiServer, build_api
from console.board.messages import message_table
from console.board.state import BoardState
from ingest.clock import SimulatedClock
from market.rules import GUANGDONG_2023
from tests.kit.board_feed import SCENES
from tests.kit.board_server import AlwaysReady, serving
from tests.kit.chromium import Page, browser
from tests.kit.require import require

pytestmark = [pytest.mark.integration, pytest.mark.slow]  # slow: a browser is started for each test

_SHOWN: Final = "document.querySelector('#frequency .uplot') && !document.body.classList.contains('waiting')"
_TEXT: Final = "document.querySelector('{}').textContent"

_CUT: Final = """[...document.querySelectorAll(
    '.phase-name, .big b, #bar-elapsed, #bar-instants, #time, #date, #data-age, #price-regime, #rt-pairs dd, #figures dd, #areas td, '
    + '#lines b, #lines .flow, #sources .age, #sources .points, #duties .left, #strip-legend, h2 > :first-child, th, dt')]
  .filter(node => node.offsetParent && node.scrollWidth > node.clientWidth + 1 && getComputedStyle(node).display !== 'inline')
  .map(node => `${node.id || node.className || node.tagName}: ${node.textContent}`)"""
"""What does not fit its box, of the things that must never be cut off."""

_BOXES: Final = """[...document.querySelectorAll('.panel')].map(node => {
    const box = node.getBoundingClientRect();
    return [node.id || node.className, Math.round(box.x), Math.round(box.y), Math.round(box.width), Math.round(box.height)].join(' ');
})"""


def text(selector: str) -> str:
    """Return the expression for an element's text."""
    return _TEXT.format(selector)


@contextlib.asynccontextmanager
async def seen(scene: str, language: str, **window: int) -> AsyncIterator[tuple[Page, str]]:
    """Show a scene, and check afterwards that the page asked for nothing outside and complained of nothing."""
    async with browser(require("chromium", "apt-get install -y chromium")) as page, serving(scene) as url:
        await page.open(f"{url}?lang={language}", **window)
        await page.until(_SHOWN)
        yield page, url
        assert page.complaints == []
        assert [address for address in page.requests if not address.startswith((url, "data:", "about:"))] == []


def looked_at(story: Callable[[], Awaitable[None]]) -> None:
    """Run a story with a bound on its time, so that a browser that hangs fails the test."""
    asyncio.run(asyncio.wait_for(story(), 120.0))


@pytest.mark.parametrize(
    ("scene", "phase", "priority"),
    [
        ("normal", "NORMAL", "p0"),
        ("device_stale", "NORMAL", "p0"),
        ("failing", "DEGRADED", "p2"),
        ("tripped", "TRIPPED", "p1"),
        ("shadow", "TRIPPED", "p1"),
        ("resuming", "RESUMING", "p3"),
        ("resumed", "NORMAL", "p0"),
        ("second_trip", "TRIPPED", "p1"),
        ("suspended", "SUSPENDED", "p1"),
    ],
)
def test_each_state_in_both_languages(scene: str, phase: str, priority: str):
    """The state is said in words and by its priority, nothing is cut off, and the two languages take the same places."""

    async def story() -> None:
        boxes: list[list[str]] = []
        async with seen(scene, "en") as (page, url):
            for language in ("en", "zh"):
                await page.open(f"{url}?lang={language}")
                await page.until(f"{_SHOWN} && document.documentElement.lang.startsWith('{language}')")
                assert await page.evaluate(text("#rt .phase-name")) == message_table()[language][f"phase.{phase}"]
                assert await page.evaluate(f"document.querySelector('#rt').classList.contains('{priority}')")
                assert await page.evaluate(_CUT) == []
                assert await page.evaluate("document.documentElement.scrollHeight <= innerHeight"), "one screen, no scrolling"
                boxes.append(await page.evaluate(_BOXES))
        assert boxes[0] == boxes[1]

    looked_at(story)


def test_what_is_open_is_grey_when_nothing_is_and_said_in_words_when_something_is():
    """Duties name whose receipt is missing, approvals who has not approved, a late update that it is late; by keyboard too."""

    async def story() -> None:
        async with seen("normal", "en") as (page, _):
            assert await page.evaluate("document.querySelectorAll('#incident .p1, #incident .p2, #incident .p3').length") == 0
            assert await page.evaluate(text("#incidents")) == "Nothing is open"
        async with seen("suspended", "en") as (page, _url):
            said = await page.evaluate(text("#incidents"))
            assert "Approval RESUME/RTgovernment department approved · regulator requested" in said
            assert "update promised by 18:00, OVERDUE" in said
            assert "missing: cause, analysis, rectification" in said
            assert await page.evaluate(text("#incident-count")) == "5 open"
            assert "no receipt yet: regulator, participants" in await page.evaluate(text("#duties"))
            assert "task, no clock" in await page.evaluate(text("#duties"))
            in_force = "[...document.querySelectorAll('#announcements .notice')].filter(row => row.querySelector('.force')).length"
            assert await page.evaluate(in_force) == 1
            await page.evaluate("document.querySelector('#incidents').focus()")
            assert await page.evaluate("document.activeElement.id") == "incidents"
            await page.press("l")
            await page.until("document.documentElement.lang.startsWith('zh')")
            assert "监管机构待批" in await page.evaluate(text("#incidents"))

    looked_at(story)


def test_a_trip_moves_nothing_on_the_screen():
    async def story() -> None:
        boxes = []
        for scene in ("normal", "second_trip"):
            async with seen(scene, "en") as (page, _):
                boxes.append(await page.evaluate(_BOXES))
        assert boxes[0] == boxes[1]

    looked_at(story)


def test_the_numbers_of_a_failing_market():
    """83 minutes out, 37 to go; a figure that cannot be computed is a dash, not a zero."""

    async def story() -> None:
        async with seen("failing", "en") as (page, _):
            assert await page.evaluate(text("#bar-elapsed")) == "83 min"
            assert await page.evaluate(text("#bar-headroom")) == "headroom 37 min"
            rows = await page.evaluate("[...document.querySelectorAll('#figures > div')].map(row => row.innerText.split('\\n'))")
            figures = dict(rows)
            assert figures["Uniform price"] == "—"
            assert figures["Telemetry availability"] == "100.00 %"
            cells = await page.evaluate("[...document.querySelectorAll('#strip .cell')].map(node => node.className)")
            assert len(cells) == 48
            assert sum("failed" in name for name in cells) == 6
            assert await page.evaluate("getComputedStyle(document.querySelector('#time')).fontVariantNumeric") == "lining-nums tabular-nums"

    looked_at(story)


def test_a_dead_wire_is_never_mistaken_for_a_quiet_market():
    async def story() -> None:
        async with browser(require("chromium", "apt-get install -y chromium")) as page:
            async with serving("failing") as url:
                await page.open(f"{url}?lang=en")
                await page.until(_SHOWN)
                assert not await page.evaluate("document.body.classList.contains('is-stale')")
            await page.until("document.body.classList.contains('is-stale')")
            banner = await page.evaluate(text("#stale"))
            assert banner.startswith("STALE · no contact with the service for ")
            assert "values are from 11:23" in banner
            assert await page.evaluate(text("#said")) == banner, "a person who does not look hears it"
            assert await page.evaluate(text("#connection")) == "broken"
            port = int(url.rsplit(":", 1)[1].rstrip("/"))
            async with serving("failing", port=port):
                await page.until("!document.body.classList.contains('is-stale')", within_s=20.0)

    looked_at(story)


def test_a_service_without_measurements_is_stale_too():
    """The connection stands and the clock runs, but nothing is measured any more."""

    async def story() -> None:
        async with browser(require("chromium", "apt-get install -y chromium")) as page, serving("normal", feed=False) as url:
            await page.open(f"{url}?lang=en")
            await page.until(_SHOWN)
            await page.until("document.body.classList.contains('is-stale')", within_s=30.0)
            assert (await page.evaluate(text("#stale"))).startswith("STALE · no measurements for ")
            assert await page.evaluate(text("#connection")) == "connected"

    looked_at(story)


def test_before_the_first_measurement_there_are_dashes_and_no_word_of_live():
    async def story() -> None:
        state = BoardState(GUANGDONG_2023, simulated=False)
        server = ApiServer(build_api(state, None, AlwaysReady(), clock=SimulatedClock(SCENES["normal"], 1.0)), port=0)
        port = await server.start()
        try:
            async with browser(require("chromium", "apt-get install -y chromium")) as page:
                await page.open(f"http://127.0.0.1:{port}/?lang=en")
                await page.until("document.querySelector('#connection').textContent === 'connected'")
                assert await page.evaluate(text("#rt .phase-name")) == "Not reported yet"
                for selector in ("#price-value", "#frequency-value", "#load-value", "#bar-elapsed", "#mode"):
                    assert await page.evaluate(text(selector)) == "—", selector
                assert page.complaints == []
        finally:
            await server.stop()

    looked_at(story)


def test_language_and_intervals_by_keyboard():
    async def story() -> None:
        async with seen("tripped", "en") as (page, _):
            await page.press("l")
            await page.until("document.documentElement.lang === 'zh-CN'")
            assert await page.evaluate(text("#rt .phase-name")) == "市场熔断"
            assert "电力现货实时市场熔断公告" in await page.evaluate(text("#announcements"))
            await page.evaluate("document.querySelector('#strip').focus()")
            await page.press("ArrowLeft")
            await page.until(f"{text('#strip-detail')}.startsWith('11:45–12:00')")
            await page.press("End")
            await page.until(f"{text('#strip-detail')}.startsWith('12:00–12:15')")
            order = await page.evaluate(
                "[...document.querySelectorAll('a, button, [tabindex=\"0\"]')].filter(node => node.offsetParent !== null).length"
            )
            assert order >= 8

    looked_at(story)


@pytest.mark.parametrize(("width", "height"), [(1366, 768), (1024, 768), (390, 844), (3840, 2160)])
def test_other_windows(width: int, height: int):
    """Nothing sticks out at the side, and nothing that matters is cut off, from a telephone to a wall."""

    async def story() -> None:
        for language in ("en", "zh"):
            async with seen("second_trip", language, width=width, height=height) as (page, _):
                assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
                assert await page.evaluate(_CUT) == []

    looked_at(story)


# ── the server under the page ────────────────────────────────────────────────────────────────────────────────────────


def test_the_server_stops_although_somebody_watches():
    async def story() -> None:
        state = BoardState(GUANGDONG_2023, simulated=True)
        server = ApiServer(build_api(state, None, AlwaysReady(), clock=SimulatedClock(SCENES["normal"], 1.0)), port=0)
        port = await server.start()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"GET /api/stream HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        await asyncio.wait_for(server.stop(), 30.0)
        assert b"data: " in await reader.read()
        writer.close()

    looked_at(story)


def test_a_port_that_is_taken_is_an_error_at_once():
    async def story() -> None:
        state = BoardState(GUANGDONG_2023, simulated=True)
        with socket.create_server(("127.0.0.1", 0)) as taken:
            app: Any = build_api(state, None, AlwaysReady(), clock=SimulatedClock(SCENES["normal"], 1.0))
            with pytest.raises(OSError, match="in use"):
                await ApiServer(app, port=taken.getsockname()[1]).start()

    looked_at(story)
