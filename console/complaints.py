"""What went wrong, as sentences and an exit code."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import typer

from market.errors import ConfigError, GridfuseError

__all__ = ["FAILED", "UNUSABLE", "complaints"]

FAILED: Final = 1
UNUSABLE: Final = 2
"""Exit codes: something went wrong; what was given cannot be used."""


@contextmanager
def complaints(failed: int = FAILED) -> Iterator[None]:
    """End the command with every problem of what it was given, or with the one thing that went wrong.

    Args:
        failed: exit code of the latter.
    """
    try:
        yield
    except ConfigError as exc:
        for problem in exc.problems:
            typer.echo(str(problem), err=True)
        raise typer.Exit(UNUSABLE) from exc
    except GridfuseError as exc:
        typer.echo(f"gridfuse: {exc}", err=True)
        raise typer.Exit(failed) from exc
