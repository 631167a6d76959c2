"""What may an app never ask of a transport?

Faust's ``exactly_once``: on Kafka it commits offsets before the table changes that belong to them, and a crash in between loses
updates. Both transports refuse it, so that an app cannot come to depend on it. Effects carry identities instead.
"""

from __future__ import annotations

from typing import Any

from faust.types.enums import ProcessingGuarantee

from market.errors import ConfigError, Problem

__all__ = ["refuse_exactly_once"]


def refuse_exactly_once(app: Any) -> None:
    """Raise if a Faust app is set to ``exactly_once``.

    Raises:
        ConfigError: it is.
    """
    if app.conf.processing_guarantee == ProcessingGuarantee.EXACTLY_ONCE:
        raise ConfigError(
            [Problem("processing_guarantee", "exactly_once loses table updates in a crash on Kafka; leave it at at_least_once")]
        )
