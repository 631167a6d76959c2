"""The pages of the live board in a real browser: worked by keyboard alone, alike in both languages, and never live without data."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final

import msgspec
import pytest

from console.board.panels import PANELS_FILE
from tests.kit.board_server import serving
from tests.kit.chromium import Page, browser
from tests.kit.require import require

pytestmark = [pytest.mark.integration, pytest.mark.slow]  # slow: a browser is started for each test

MADE_BY_HAND: Final = ("wall", "overview")
BOARDS: Final = [
    name
    for board in msgspec.json.decode(PANELS_FILE.read_bytes())["boards"]
    if (name := board["uid"].removeprefix("gridfuse-")) not in MADE_BY_HAND
]
PAGES: Final = ["overview", *BOARDS, "points"]
KEYS: Final = "1234567890"

_THERE: Final = (
    "document.querySelector('#connection') && !document.body.classList.contains('waiting') && document.body.dataset.page === '{}'"
)

_FOCUSABLE: Final = """[...document.querySelectorAll('a[href], button, input, select, [tabindex="0"]')]
  .filter(node => node.offsetParent !== null && getComputedStyle(node).visibility !== 'hidden' && !node.disabled)
  .map(node => node.dataset.stop = node.dataset.stop ?? String(Math.random()))"""
"""Every control in sight, each given a name of its own."""

_FOCUS: Final = """(() => {
    const node = document.activeElement;
    if (!node || node === document.body) return null;
    const style = getComputedStyle(node);
    const box = node.getBoundingClientRect();
    const inSight = box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth;
    return {stop: node.dataset.stop ?? '', id: node.id || node.className || node.tagName, seen: inSight && style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2};
})()"""  # noqa: E501

_HEAD: Final = """['.top', '#pages', '#pulse', '#main'].map(name => {
    const box = document.querySelector(name).getBoundingClientRect();
    return [name, Math.round(box.x), Math.round(box.y), Math.round(box.width), Math.round(box.height)].join(' ');
})"""

_CUT: Final = """[...document.querySelectorAll(
    '#pages a span, #pulse .beat, .stat b, #points-states, .phead button, .gaugerow b, .prow .c-value')]
  .filter(node => node.offsetParent && node.scrollWidth > node.clientWidth + 1 && getComputedStyle(node).display !== 'inline')
  .map(node => `${node.id || node.className || node.tagName}: ${node.textContent}`)"""


_OVERLAPS: Final = """(boxes => boxes.flatMap((a, i) => boxes.slice(i + 1)
    .filter(b => a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 1 && b.top < a.bottom - 1)
    .map(b => `${a.name} / ${b.name}`)
  ))([...document.querySelectorAll('#panels .reg')].map(node => {
    const box = node.getBoundingClientRect();
    return {name: node.querySelector('.title').textContent, left: box.left, right: box.right, top: box.top, bottom: box.bottom};
  }))"""


@contextlib.asynccontextmanager
async def seen(scene: str = "second_trip", language: str = "en", name: str = "overview", **window: int) -> AsyncIterator[Page]:
    """Show a page of a scene, and check afterwards that it asked for nothing outside and complained of nothing."""
    async with browser(require("chromium", "apt-get install -y chromium")) as page, serving(scene) as url:
        await page.open(f"{url}?lang={language}#/{name}", **window)
        await page.until(_THERE.format(name))
        yield page
        assert page.complaints == []
        assert [address for address in page.requests if not address.startswith((url, "data:", "about:"))] == []


def looked_at(story: Callable[[], Awaitable[None]]) -> None:
    """Run a story with a bound on its time, so that a browser that hangs fails the test."""
    asyncio.run(asyncio.wait_for(story(), 240.0))


async def shown(page: Page, name: str) -> None:
    """Go to a page by its key, and wait until it is drawn."""
    await page.press(KEYS[PAGES.index(name)])
    await page.until(_THERE.format(name))
    drawn = {"overview": "#frequency .uplot", "points": ".prow"}.get(name, "#panels .reg")
    await page.until(f"document.querySelector('{drawn}')")


def text(selector: str) -> str:
    """Return the expression for an element's text."""
    return f"document.querySelector('{selector}').textContent"


def test_every_page_has_a_key():
    assert len(PAGES) <= len(KEYS)


def test_every_page_and_every_control_is_reached_without_a_mouse():
    """Tab comes to each control once, it can be seen where it stands, and it comes out again at the end: there is no trap."""

    async def story() -> None:
        async with seen() as page:
            for name in PAGES:
                await page.evaluate("document.activeElement.blur()")
                await shown(page, name)
                wanted: list[str] = await page.evaluate(_FOCUSABLE)
                await page.evaluate("document.querySelector('.skip').focus()")
                visited: list[dict[str, Any]] = [await page.evaluate(_FOCUS)]
                for _ in range(len(wanted) + 5):
                    await page.press("Tab")
                    stop = await page.evaluate(_FOCUS)
                    if stop is None or stop["stop"] == visited[0]["stop"]:
                        break
                    visited.append(stop)
                else:
                    raise AssertionError(f"{name}: Tab never came to the end")
                assert set(wanted) <= {one["stop"] for one in visited}, name
                assert [one["id"] for one in visited if not one["seen"]] == [], f"{name}: focus that cannot be seen"

    looked_at(story)


def test_the_skip_link_leads_past_the_head():
    async def story() -> None:
        async with seen(name="points") as page:
            await page.press("Tab")
            assert await page.evaluate("document.activeElement.className") == "skip"
            await page.press("Enter")
            assert await page.evaluate("document.activeElement.id") == "main"
            assert await page.evaluate("document.body.dataset.page") == "points", "a skip is no other page"

    looked_at(story)


def test_the_help_lists_the_keys_and_lets_one_out_again():
    async def story() -> None:
        async with seen() as page:
            await page.evaluate("document.querySelector('#strip').focus()")
            await page.press("?")
            assert await page.evaluate("document.querySelector('#help').open")
            keys = await page.evaluate("[...document.querySelectorAll('#help kbd')].map(node => node.textContent).join(' ')")
            for key in ("1 … 9, 0", "L", "D", "/", "Tab", "Esc", "?", "Enter", "PgUp"):
                assert key in keys, key
            await page.press("2")
            assert await page.evaluate("document.body.dataset.page") == "overview", "keys behind the help do nothing"
            await page.press("Escape")
            assert not await page.evaluate("document.querySelector('#help').open")
            assert await page.evaluate("document.activeElement.id") == "strip"

    looked_at(story)


def test_the_points_are_filtered_and_walked_through_by_keyboard():
    async def story() -> None:
        async with seen() as page:
            await page.press("/")
            await page.until("document.activeElement.id === 'points-filter' && document.querySelectorAll('.prow').length > 10")
            for letter in "load rtu-0001":
                await page.press(letter)
            await page.until("document.querySelector('#points-count').textContent.startsWith('4 of')")
            assert await page.evaluate("document.documentElement.lang") == "en", "what is typed is no command"
            await page.press("Escape")
            await page.until("document.querySelector('#points-count').textContent.startsWith('500 of')")
            assert await page.evaluate("document.activeElement.id") == "points-grid"
            await page.press("ArrowDown")
            await page.press("ArrowDown")
            second = await page.evaluate("document.querySelector('.prow.active .c-name').textContent")
            assert (await page.evaluate(text("#points-detail"))).startswith(f"{second} = ")
            await page.press("End")
            await page.until("document.querySelector('.prow.active')?.getAttribute('aria-rowindex') === '500'")
            focused = "document.getElementById(document.querySelector('#points-grid').getAttribute('aria-activedescendant'))"
            box = await page.evaluate(f"(box => [box.top, box.bottom])({focused}.getBoundingClientRect())")
            grid = await page.evaluate("(box => [box.top, box.bottom])(document.querySelector('#points-grid').getBoundingClientRect())")
            assert grid[0] <= box[0] < box[1] <= grid[1] + 1, "what the keyboard stands on is in sight"
            assert await page.evaluate("document.querySelectorAll('.prow').length") < 100, "only rows in sight are in the document"
            await page.evaluate("document.querySelector('.phead .c-age button').focus()")
            await page.press("Enter")
            await page.until("document.querySelector('.phead .c-age').getAttribute('aria-sort') === 'ascending'")

    looked_at(story)


def test_a_point_that_fell_silent_is_pale_and_says_how_old_it_is():
    async def story() -> None:
        async with seen(name="points") as page:
            await page.until("document.querySelectorAll('.prow').length > 10")
            await page.evaluate(
                "(node => { node.value = 'stale'; node.dispatchEvent(new Event('input')); })(document.querySelector('#points-state'))"
            )
            await page.until("document.querySelectorAll('.prow.pale').length === 20")
            row = "document.querySelector('.prow.pale')"
            assert await page.evaluate(f"{row}.querySelector('.state').textContent") == "STALE"
            assert await page.evaluate(f"{row}.querySelector('.sign svg').getAttribute('class')") == "sign-p3"
            age = await page.evaluate(f"{row}.querySelector('.c-age').textContent")
            assert float(age.split()[0]) >= 95.0
            await page.until(f"{row}.querySelector('.c-age').textContent !== '{age}'", within_s=10.0)
            assert "line-through" in await page.evaluate(f"getComputedStyle({row}.querySelector('.c-value')).textDecorationLine")

    looked_at(story)


@pytest.mark.parametrize(("width", "height"), [(1920, 1080), (1366, 768)])
def test_the_same_things_stand_at_the_same_places_on_every_page_in_both_languages(width: int, height: int):
    async def story() -> None:
        async with seen(width=width, height=height) as page:
            heads = []
            for language in ("en", "zh"):
                await page.until(f"document.documentElement.lang.startsWith('{language}')")
                for name in PAGES:
                    await shown(page, name)
                    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth"), name
                    assert await page.evaluate("document.documentElement.scrollHeight <= innerHeight"), f"{name}: one screen"
                    if name != "overview":
                        heads.append(await page.evaluate(_HEAD))
                        assert await page.evaluate(_CUT) == [], name
                        assert await page.evaluate(_OVERLAPS) == [], name
                await page.press("l")
            assert all(head == heads[0] for head in heads)

    looked_at(story)


def test_panels_that_were_told_nothing_say_so_and_old_ones_say_how_old():
    async def story() -> None:
        async with seen(scene="tripped", name="market") as page:
            await page.until("document.querySelectorAll('#panels .reg:not(.empty)').length > 4")
            contents = "[...document.querySelectorAll('#panels .reg .content')]"
            bare = f"{contents}.filter(node => !node.textContent.trim() && !node.querySelector('canvas')).length"
            assert await page.evaluate(bare) == 0, "no panel is empty without a word"
            late = "[...document.querySelectorAll('#panels .reg.late .note')].map(node => node.textContent)"
            await page.until(f"{late}.length > 0")
            assert all(note.startswith("STALE · ") for note in await page.evaluate(late))

    looked_at(story)
