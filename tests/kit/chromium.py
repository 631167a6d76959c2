"""A headless browser for tests and pictures, driven over its own debugging protocol.

Chromium's ``--screenshot`` waits for the page to fall silent, which a page with an open event stream never does; the protocol lets
the caller say what to wait for. Every address the page asked for and everything it complained about is kept.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import aiohttp

__all__ = ["Page", "browser"]

_FLAGS: Final = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-dev-shm-usage",
    "--disable-sync",
    "--force-color-profile=srgb",
    "--hide-scrollbars",
    "--no-first-run",
    "--remote-debugging-port=0",
)
_START_S: Final = 30.0
_KEY_CODES: Final = {
    "Tab": 9, "Enter": 13, "Escape": 27, " ": 32, "PageUp": 33, "PageDown": 34, "End": 35, "Home": 36,
    "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40,
}  # fmt: skip


class Page:
    """One tab.

    Attributes:
        requests: every address asked for, in order.
        complaints: uncaught errors and what was written to the console as an error.
    """

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self.requests: list[str] = []
        self.complaints: list[str] = []

    async def listen(self) -> None:
        """Take what the browser says until it goes away."""
        async for message in self._socket:
            self._take(message.json())

    def _take(self, said: dict[str, Any]) -> None:
        params = said.get("params", {})
        match said.get("method"):
            case None:
                future = self._waiting.pop(said["id"])
                if not future.done():
                    future.set_result(said)
            case "Network.requestWillBeSent":
                self.requests.append(params["request"]["url"])
            case "Runtime.exceptionThrown":
                details = params["exceptionDetails"]
                self.complaints.append(details.get("exception", {}).get("description", details["text"]))
            case "Log.entryAdded" if params["entry"]["level"] == "error":
                self.complaints.append(f"{params['entry']['text']} {params['entry'].get('url', '')}")

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Carry out one command of the protocol.

        Raises:
            RuntimeError: the browser refused it.
        """
        number = next(self._numbers)
        future = self._waiting[number] = asyncio.get_running_loop().create_future()
        await self._socket.send_json({"id": number, "method": method, "params": params})
        answer = await asyncio.wait_for(future, _START_S)
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']['message']}")
        result: dict[str, Any] = answer["result"]
        return result

    async def open(self, url: str, *, width: int = 1920, height: int = 1080, mobile: bool = False) -> None:
        """Show a page in a window of this size."""
        for domain in ("Page", "Network", "Runtime", "Log"):
            await self.call(f"{domain}.enable")
        await self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=2 if mobile else 1, mobile=mobile
        )
        await self.call("Page.navigate", url=url)

    async def evaluate(self, script: str) -> Any:
        """Return the value of an expression in the page.

        Raises:
            RuntimeError: the expression threw.
        """
        answer = await self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(f"{script}: {answer['exceptionDetails']['exception'].get('description')}")
        return answer["result"].get("value")

    async def until(self, script: str, *, within_s: float = 60.0) -> None:
        """Wait until an expression is true in the page.

        Raises:
            AssertionError: it did not become true in time.
        """
        deadline = asyncio.get_running_loop().time() + within_s
        # While a page is being loaded the document is replaced, and what the expression names may be missing: not yet, not an error.
        tolerant = f"(() => {{ try {{ return Boolean({script}); }} catch {{ return false; }} }})()"
        while not await self.evaluate(tolerant):
            complaints = "; ".join(self.complaints)
            assert asyncio.get_running_loop().time() < deadline, f"after {within_s} s this is still not true: {script}. {complaints}"
            await asyncio.sleep(0.05)

    async def press(self, key: str, *, shift: bool = False) -> None:
        """Press and release a key; what the browser itself does with it is done too."""
        text = "\r" if key == "Enter" else key if len(key) == 1 else ""
        what = {"key": key, "modifiers": 8 if shift else 0, "windowsVirtualKeyCode": _KEY_CODES.get(key, 0)}
        await self.call("Input.dispatchKeyEvent", type="keyDown", text=text, **what)
        await self.call("Input.dispatchKeyEvent", type="keyUp", **what)

    async def picture(self, *, whole: bool = False) -> bytes:
        """Return what the window shows, or the whole page, as PNG."""
        shot = await self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        return base64.b64decode(shot["data"])


@contextlib.asynccontextmanager
async def browser(executable: str) -> AsyncIterator[Page]:
    """Start the browser with a fresh profile and one tab; end it, and only it, afterwards."""
    with tempfile.TemporaryDirectory(prefix="board-", ignore_cleanup_errors=True) as profile:
        process = await asyncio.create_subprocess_exec(
            executable,
            *_FLAGS,
            f"--user-data-dir={profile}",
            "about:blank",
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            port = await _debugging_port(Path(profile))
            async with aiohttp.ClientSession() as session:
                async with session.get(f"http://127.0.0.1:{port}/json/list") as answer:
                    tab = next(one for one in await answer.json() if one["type"] == "page")
                async with session.ws_connect(tab["webSocketDebuggerUrl"], max_msg_size=0) as socket:
                    page = Page(socket)
                    listener = asyncio.create_task(page.listen())
                    try:
                        yield page
                    finally:
                        listener.cancel()
                        await asyncio.gather(listener, return_exceptions=True)
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            try:
                await asyncio.wait_for(process.wait(), 10.0)
            except TimeoutError:
                process.kill()
                await process.wait()


async def _debugging_port(profile: Path) -> int:
    """Wait for the file in which the browser says where it listens."""
    deadline = asyncio.get_running_loop().time() + _START_S
    said = profile / "DevToolsActivePort"
    while not (said.exists() and said.read_text().strip()):
        assert asyncio.get_running_loop().time() < deadline, f"the browser did not start within {_START_S} s"
        await asyncio.sleep(0.05)
    return int(said.read_text().split()[0])
