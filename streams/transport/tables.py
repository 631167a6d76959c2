"""Why does the app start in tens of milliseconds and not in a second?

Faust's table manager sleeps for a second when it starts, in case a module that is imported late still declares a table. This app
declares all of its tables before it starts, so there is nothing to wait for. The order that matters is kept without the sleep:
topics are subscribed to only after the agents have started and the tables are registered, and recovery picks up an assignment that
came before it.
"""

from __future__ import annotations

from faust.tables import TableManager

__all__ = ["PromptTableManager"]


class PromptTableManager(TableManager):  # type: ignore[misc]
    """Faust's table manager, for an app whose tables are all declared when it starts; a later one is refused by Faust."""

    async def on_start(self) -> None:
        """Faust: the last of its services to start."""
        await self._update_channels()
        await self.recovery.start()
