"""What the demo shows in the terminal: where the story stands, the market, and where to look. Plain lines where there is no terminal."""

from __future__ import annotations

from typing import Final, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from console.demo.director import Line
from market.decisions import Decision
from market.units import clock_text, instant_text
from market.view import MarketView
from streams.kpis import KpiFrame

__all__ = ["Display"]

_BAR: Final = 48
_EVENTS: Final = 8
_STYLES: Final = {"TRIPPED": "bold white on red", "OVERDUE": "bold white on red", "PROPOSED": "bold red", "DEGRADED": "yellow"}


class Display:
    """Draws the demo's state; one instance a run.

    Args:
        console: where to.
        live: draw in place; else print a line for every change worth one.
        zone: the market's zone.
        where: lines saying where to look: the board, the data, the log.
    """

    def __init__(self, console: Console, *, live: bool, zone: str, where: tuple[tuple[str, str], ...]) -> None:
        self._console, self._zone, self._where = console, zone, where
        self._live = Live(console=console, refresh_per_second=4, transient=False) if live else None
        self._told = ""
        self._events: list[str] = []
        self._seen = 0

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        else:
            for name, text in self._where:
                self._console.print(f"{name}: {text}", highlight=False)
        return self

    def __exit__(self, *_exc: object) -> None:
        if self._live is not None:
            self._live.stop()

    def decided(self, decision: Decision) -> None:
        """Show a decision worth showing."""
        if decision.seq <= self._seen:
            return
        self._seen = decision.seq
        body, at = decision.body, clock_text(decision.ts_event_ns, self._zone)
        match decision.kind:
            case "Announcement":
                text = body["text_en"]
            case "Transition":
                text = f"{body['segment']} {body['before']} → {body['after']} ({body['basis']}, {body['article']})"
            case "Reminded":
                text = f"reminder: clearing out for {body['minutes']} min, headroom {body['headroom_min']} min"
            case "Refused":
                text = f"refused: {body['action']} by {body['by']}: {body['why']}"
            case "RecoveryProposed":
                text = f"recovery possible: {body['shadow_ok']} valid shadow clearings in a row"
            case _:
                return
        self._events = [*self._events, f"{at}  {text}"][-_EVENTS:]
        if self._live is None:
            self._console.print(f"{at}  {text}", highlight=False, soft_wrap=True)

    def show(self, now_ns: int, line: Line, view: MarketView | None, kpi: KpiFrame | None, prompt: str) -> None:
        """Show the state at ``now_ns``."""
        if self._live is not None:
            self._live.update(self._panel(now_ns, line, view, kpi, prompt))
        elif line.text_en != self._told:
            said = f"{clock_text(now_ns, self._zone)}  [{line.step}/{line.of}] {line.text_en}"
            self._console.print(said, highlight=False, soft_wrap=True)
        self._told = line.text_en

    def _panel(self, now_ns: int, line: Line, view: MarketView | None, kpi: KpiFrame | None, prompt: str) -> RenderableType:
        table = Table.grid(padding=(0, 2))
        table.add_column(style="dim", no_wrap=True)
        table.add_column()
        for name, text in self._where:
            table.add_row(name, text)
        if kpi is not None:
            table.add_row("grid", _grid_text(kpi))
        if view is not None:
            table.add_row("market", _market_text(view))
            table.add_row("breaker", _bar(view))
        story = Text(f"[{line.step}/{line.of}] ", style="bold") + Text(line.text_en)
        parts: list[RenderableType] = [story, Text(line.text_zh, style="dim"), Text(), table, Text()]
        parts += [Text(event, style="dim", no_wrap=True, overflow="ellipsis") for event in self._events]
        if prompt:
            parts += [Text(), Text(prompt, style="reverse")]
        return Panel(Group(*parts), title=f"Gridfuse demo · {instant_text(now_ns - now_ns % 10**9, self._zone)}", title_align="left")


def _grid_text(kpi: KpiFrame) -> str:
    def figure(name: str, form: str) -> str:
        return format(kpi.system[name], form) if name in kpi.system else "—"

    stale = sum(source.state != "ok" for source in kpi.sources)
    devices = f"{stale} of {len(kpi.sources)} devices not answering" if stale else f"{len(kpi.sources)} devices answering"
    grid = f"{figure('frequency_hz', '.3f')} Hz · load {figure('load_mw', ',.0f')} MW"
    return f"{grid} · renewables {figure('renewable_share_pct', '.0f')} % · {devices}"


def _market_text(view: MarketView) -> Text:
    rt = view.segments[0]
    price = "—" if view.price_cny_per_mwh is None else f"{view.price_cny_per_mwh:,.2f}"
    return Text(f"{rt.phase}", style=_STYLES.get(rt.phase, "")) + Text(f" · price in force {price} 元/MWh ({view.regime})")


def _bar(view: MarketView) -> Text:
    rt = view.segments[0]
    if rt.headroom_s is None:
        return Text("no clearing expected now")
    used = 1.0 - rt.headroom_s / view.rt_limit_s
    full = round(used * _BAR)
    style = "red" if used >= 1 else "yellow" if used > 0 else "dim"
    left = f" {rt.headroom_s / 60:.0f} of {view.rt_limit_s // 60} min left"
    return Text("█" * full, style=style) + Text("·" * (_BAR - full), style="dim") + Text(left)
