"""The error tree's root and the errors that market data can raise.

::

    GridfuseError                                   where it is caught            policy
    ├── ConfigError      a file or flag is wrong    before anything connects      exit, every problem listed at once
    ├── UnitError        an instant, day, number    at the edge that read it      refuse the input, name it
    ├── CaseError        grid data contradict       the caller of a clearing      fail this interval, keep the evidence
    ├── RuleRefusal      a command breaks a rule    the command's processor       recorded refusal, nothing changed
    ├── ingest.errors.DeviceError                   the device's own loop         back off; its points go stale
    ├── streams.errors.DecodeError                  the edge of an agent          dead letter and count, go on
    └── streams.errors.SinkError                    the sink's flusher            retry and spill, or dead letter

Values, not errors: ``ClearingFailed``, ``Finding``, a bad quality. A broken invariant is an ``AssertionError``: the worker dies
and replays.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["CaseError", "ConfigError", "GridfuseError", "Problem", "RuleRefusal", "UnitError"]


class GridfuseError(Exception):
    """Anything this service raises on purpose; the message names the offender and the remedy."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a file.

    Attributes:
        where: ``file:line`` where the line is known, else the file or flag.
        what: the offender and the remedy, in one sentence.
    """

    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


class ConfigError(GridfuseError):
    """A configuration that cannot be used; carries every problem found, not only the first."""

    def __init__(self, problems: list[Problem]) -> None:
        assert problems, "a configuration error without a problem helps nobody"
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in problems))


class UnitError(GridfuseError, ValueError):
    """Text or a number that is not the quantity it was given as."""


class CaseError(GridfuseError):
    """Grid or market data that contradict each other, so that no clearing of them would mean anything."""


class RuleRefusal(GridfuseError):
    """A command that a market rule forbids.

    Attributes:
        rule: the article or policy that forbids it, as it is shown to the operator.
    """

    def __init__(self, rule: str, why: str) -> None:
        self.rule = rule
        super().__init__(f"{why} ({rule})")
