"""Where messages go, and how loud the libraries are."""

from __future__ import annotations

import logging
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Final

__all__ = ["log_to"]

_LIBRARIES: Final = ("asyncua", "pymodbus", "faust", "mode", "aiokafka", "uvicorn", "streams.transport")
"""And the transports, which speak with Faust's voice: they tell every connection and rebalance; what matters is counted and shown."""


def log_to(path: Path | None) -> None:
    """Send messages to a rotating file, or to standard error where there is no path."""
    handler: logging.Handler = logging.StreamHandler()
    if path is not None:
        handler = RotatingFileHandler(path, maxBytes=10 << 20, backupCount=3, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.INFO)
    for name in _LIBRARIES:
        logging.getLogger(name).setLevel(logging.WARNING)
