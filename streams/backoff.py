"""How long to wait before trying again.

Waiting times double from attempt to attempt up to a limit, and are spread over their upper half, so that many clients of a server that
comes back do not all arrive at once. What a server asks for with ``Retry-After`` goes before.

Deliberately absent: the clock, the random numbers and the waiting itself, which belong to whoever waits.
"""

from __future__ import annotations

from datetime import UTC
from email.utils import parsedate_to_datetime

__all__ = ["backoff_s", "retry_after_s"]


def backoff_s(attempt: int, first_s: float, max_s: float, spread: float) -> float:
    """Return how long to wait, s.

    Args:
        attempt: 1 after the first failure.
        first_s: longest wait after the first failure, s, > 0.
        max_s: longest wait ever, s.
        spread: a random number in [0, 1).

    >>> [backoff_s(n, 1.0, 60.0, 0.0) for n in (1, 2, 3, 100)]
    [0.5, 1.0, 2.0, 30.0]
    """
    return min(max_s, first_s * 2.0 ** min(attempt - 1, 60)) * (0.5 + spread / 2)


def retry_after_s(header: str | None, now_s: float) -> float | None:
    """Read a ``Retry-After`` header: a number of seconds or an HTTP date (RFC 9110 §10.2.3).

    Args:
        header: its text, or None where the answer had none.
        now_s: the wall clock, s since the epoch.

    Returns:
        Seconds to wait, >= 0; None where the header says nothing usable.

    >>> retry_after_s("120", 0.0), retry_after_s("Thu, 01 Jan 1970 00:01:00 GMT", 20.0), retry_after_s("soon", 0.0)
    (120.0, 40.0, None)
    """
    if header is None:
        return None
    text = header.strip()
    if text.isdecimal():
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, moment.timestamp() - now_s)
