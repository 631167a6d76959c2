"""Builds the Faust app: settings, topics, agents. Wiring only."""

from __future__ import annotations

from collections.abc import Callable

import faust

from streams.agents import Hooks, bind
from streams.marketmodel import MarketModel
from streams.roles import Role
from streams.runtime import Shell
from streams.settings import Settings
from streams.transport import faust_settings

__all__ = ["build_app"]


def build_app(
    settings: Settings, model: MarketModel, now_ns: Callable[[], int], hooks: Hooks, role: Role = Role.ALL, instance: str = "gridfuse-1"
) -> tuple[faust.App, Shell]:
    """Return the app, ready to be started, and the shell that sends to its topics.

    Args:
        now_ns: event time, for what is stamped here.
        role: which of the agents it runs, and in which consumer group.
        instance: names this process; unique within its group, and the same after a restart.
    """
    settings.data.mkdir(parents=True, exist_ok=True)
    # Old results are no business of a process that carries results out; everybody else begins at the beginning.
    begin = {"consumer_auto_offset_reset": "latest" if role is Role.INGEST else "earliest"}
    app = faust.App(role.group(instance), **faust_settings(settings.broker, settings.data, instance, settings.log), **begin)
    shell = Shell(app, now_ns)
    bind(app, shell, model, hooks, role.parts)
    return app, shell
