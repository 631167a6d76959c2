"""Which checks does a point ask for?

Records only, as its list gives them; :mod:`ingest.checks` carries them out, :mod:`ingest.checkfile` reads them. The plausible range of a
point is not among them: it also bounds what may be written (:class:`ingest.devices.Point`).
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["CounterCheck", "PointChecks"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CounterCheck:
    """A point that counts up, and begins at 0 again when it is full.

    Attributes:
        modulus: how many counts it has, 2..2**64: it goes from modulus - 1 to 0.
        max_per_h: most engineering units it can gain in an hour (MW, for one that counts MWh), > 0; None where nobody says.
        difference: name of the point that tells what it counted from one reading to the next; None for no such point.
    """

    modulus: int
    max_per_h: float | None = None
    difference: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PointChecks:
    """What is judged of every sample of a point.

    Attributes:
        rate_per_s: most engineering units it can move in a second of source time, > 0; None where it is not judged.
        frozen_ns: event time for which it never shows the same value, unless that is 0, ns, > 0; None where it is not judged.
        counter: how it counts; None where it is no counter.
    """

    rate_per_s: float | None = None
    frozen_ns: int | None = None
    counter: CounterCheck | None = None
