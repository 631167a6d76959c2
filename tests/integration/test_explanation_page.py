"""The written explanation in a real browser: nothing is asked of anybody, nothing sticks out, it prints."""

from __future__ import annotations

import asyncio
import base64
import re
from pathlib import Path

import pytest

from market.explanationtext import html
from market.explanationwords import Language
from tests.kit.chromium import browser
from tests.kit.require import require
from tests.unit.market.test_explanationtext import explained

pytestmark = [pytest.mark.integration, pytest.mark.slow]  # slow: a browser is started for each test


@pytest.mark.parametrize("language", [Language.ZH, Language.EN])
def test_an_explanation_is_read_and_printed_as_it_is(tmp_path: Path, language: Language) -> None:
    path = tmp_path / "explanation.html"
    path.write_text(html(explained(), language), encoding="utf-8")

    async def shown() -> bytes:
        async with browser(require("chromium", "apt-get install -y chromium")) as page:
            for width in (1200, 400):
                await page.open(path.as_uri(), width=width, height=900)
                await page.until("document.readyState === 'complete' && document.querySelectorAll('svg').length === 2")
                assert await page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), width
            assert set(page.requests) == {path.as_uri()}
            assert page.complaints == []
            printed = await page.call("Page.printToPDF", preferCSSPageSize=True)
        return base64.b64decode(printed["data"])

    pdf = asyncio.run(shown())
    assert pdf.startswith(b"%PDF")
    pages = len(re.findall(rb"/Type /Page\b", pdf))
    assert 2 <= pages <= 12, pages
