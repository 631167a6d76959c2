"""Take the board's picture: every scene of the test day, or a running service, in both languages.

    python scripts/screenshot.py OUT_DIR [SCENE …] [--size 1920x1080] [--page overview]
    python scripts/screenshot.py OUT_DIR --url http://127.0.0.1:8080/ [--page topology]

The names of the scenes stand in ``tests/kit/board_feed.py``. The README's picture is ``tripped-en.png``.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.kit.board_feed import SCENES
from tests.kit.board_server import serving
from tests.kit.chromium import browser

_READY = "document.body.dataset.page === '{page}' && !document.body.classList.contains('waiting')"


async def take(url: str, shown: str, language: str, width: int, height: int) -> bytes:
    """Return a page of the board at an address, as PNG."""
    async with browser("chromium") as page:
        await page.open(f"{url}?lang={language}#/{shown}", width=width, height=height, mobile=width < 600)
        await page.until(_READY.format(page=shown))
        # Two beats of the stream, so that every panel has drawn its second message as well.
        await page.evaluate("new Promise(resolve => setTimeout(resolve, 2200))")
        assert not page.complaints, page.complaints
        return await page.picture(whole=width < 600)


async def take_both(out: Path, name: str, url: str, shown: str, width: int, height: int) -> None:
    """Write one PNG per language of a page of the board at an address."""
    for language in ("en", "zh"):
        picture = await take(url, shown, language, width, height)
        (out / f"{name}-{language}.png").write_bytes(picture)
        print(out / f"{name}-{language}.png")


async def take_all(out: Path, scenes: list[str], shown: str, width: int, height: int) -> None:
    """Write one PNG per scene and language."""
    for scene in scenes:
        async with serving(scene) as url:
            await take_both(out, scene, url, shown, width, height)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("scenes", nargs="*", default=list(SCENES), metavar="SCENE")
    parser.add_argument("--size", default="1920x1080")
    parser.add_argument("--page", default="overview", help="overview, points, or a board of the dashboards' registry")
    parser.add_argument("--url", help="a running service, instead of the scenes")
    chosen = parser.parse_args()
    width, height = (int(part) for part in chosen.size.split("x"))
    chosen.out.mkdir(parents=True, exist_ok=True)
    if chosen.url:
        asyncio.run(take_both(chosen.out, chosen.page, chosen.url, chosen.page, width, height))
    else:
        asyncio.run(take_all(chosen.out, chosen.scenes, chosen.page, width, height))


if __name__ == "__main__":
    main()
