"""Builds the Faust app: settings, topics, agents. Wiring only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import faust

from streams.agents import Hooks, bind
from streams.marketmodel import MarketModel
from streams.runtime import Shell
from streams.settings import Settings
from streams.transport import faust_settings

__all__ = ["APP_ID", "build_app"]

APP_ID: Final = "gridfuse"
"""Consumer group and prefix of the changelogs: a new one would begin with nothing."""


def build_app(
    settings: Settings, model: MarketModel, now_ns: Callable[[], int], hooks: Hooks, instance_id: str = "gridfuse-1"
) -> tuple[faust.App, Shell]:
    """Return the app, ready to be started, and the shell that sends to its topics."""
    settings.data.mkdir(parents=True, exist_ok=True)
    app = faust.App(APP_ID, **faust_settings(settings.broker, settings.data, instance_id, settings.log))
    shell = Shell(app, now_ns)
    bind(app, shell, model, hooks)
    return app, shell
