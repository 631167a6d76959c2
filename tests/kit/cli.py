"""The command line in a test: the tree of commands is built once for all tests, and not once a call, which takes longer than most calls."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import click
import typer
from click.testing import CliRunner as _CliRunner
from click.testing import Result
from typer.main import get_command

__all__ = ["CliRunner", "Result"]


@lru_cache(maxsize=4)
def _built(app: typer.Typer) -> click.Command:
    return get_command(app)


class CliRunner(_CliRunner):
    """As :class:`typer.testing.CliRunner`."""

    def invoke(self, app: typer.Typer, args: str | Sequence[str] | None = None, **how: Any) -> Result:  # type: ignore[override]
        """Run a command; its exit code and what it printed are in the result."""
        return super().invoke(_built(app), args, **how)
