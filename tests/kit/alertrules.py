"""What would Grafana make of an alert rule, given what a real InfluxDB answers?

Grafana's own evaluation as its documentation has it, for the three steps that our rules are made of: A is asked over its relative time
range, each series of the answer is reduced to a number after what is no number was dropped, and held against the threshold. No series
at all is "no data", and what that means the rule says. A series that is there is an instance of its own, named by its labels.
"""

from __future__ import annotations

import re
from typing import Any, Protocol

from market.units import NS_PER_S

__all__ = ["NO_DATA", "Asked", "firing", "holds", "seconds"]


class Asked(Protocol):
    """A server that answers InfluxQL."""

    def query(self, influxql: str, database: str) -> list[dict[str, Any]]:
        """Return the series of one statement."""
        ...


NO_DATA = "no data"
"""Stands for the instance of a rule whose query found nothing."""


def seconds(duration: str) -> int:
    """Read a duration as Grafana writes it: ``30s``, ``1m30s``, ``4h``."""
    parts = re.findall(r"(\d+)([hms])", duration)
    assert "".join(number + unit for number, unit in parts) == duration
    return sum(int(number) * {"s": 1, "m": 60, "h": 3600}[unit] for number, unit in parts)


def firing(server: Asked, rule: dict[str, Any], now_ns: int, database: str = "grid") -> dict[str, float | None]:
    """Return the instances for which the condition holds at an instant, by label, with the number that B gave."""
    ask, reduce, threshold = rule["data"]
    assert [step["refId"] for step in rule["data"]] == ["A", "B", rule["condition"]]
    span = ask["relativeTimeRange"]
    shown = f"time >= {now_ns - span['from'] * NS_PER_S}ns AND time <= {now_ns - span['to'] * NS_PER_S}ns"
    series = server.query(ask["model"]["query"].replace("$timeFilter", shown), database)
    if not series:
        return {NO_DATA: None} if rule["noDataState"] == "Alerting" else {}
    found: dict[str, float | None] = {}
    for each in series:
        numbers = [row[1] for row in each["values"] if row[1] is not None]
        assert reduce["model"]["expression"] == "A"
        assert reduce["model"]["settings"] == {"mode": "dropNN"}
        value = float({"last": lambda n: n[-1], "max": max, "sum": sum}[reduce["model"]["reducer"]](numbers))
        (condition,) = threshold["model"]["conditions"]
        (limit,) = condition["evaluator"]["params"]
        if {"gt": value > limit, "lt": value < limit}[condition["evaluator"]["type"]]:
            found[",".join(each.get("tags", {}).values())] = value
    return found


def holds(server: Asked, rule: dict[str, Any], now_ns: int, database: str = "grid", every_s: int = 30) -> bool:
    """Whether the rule fires at an instant: its condition has held at every look since as long as it must."""
    looks = range(0, seconds(rule["for"]) + 1, every_s)
    return all(firing(server, rule, now_ns - back * NS_PER_S, database) for back in looks)
