"""How do the watchdog's rules become files that Grafana reads at its start, and bodies that its API takes?

Three files under ``provisioning/alerting``: the rules, one contact point, one policy tree. And the page that each rule's ``runbook_url``
leads to, which the live board serves, because a control room has no other place that is sure to be there.

What Grafana 12 makes of such files, as far as it decides what is written here:

* ``$`` names an environment variable in contact points and policies, and is left alone in the queries and annotations of rules. So
  ``$timeFilter`` is written plainly.
* A policy file replaces the whole tree, also what somebody clicked. There is one, and it sends everything to one contact point.
* A contact point whose type is empty keeps Grafana from starting. Whoever starts it sets both variables (``docker/compose.yaml`` does).

Deliberately absent: templates of messages. A receiver gets labels and annotations as data, in both languages.
"""

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import Any, Final

import yaml

from dashboards.watchdog import RT_INTERVAL_MIN, Rule, rules

__all__ = [
    "BOARD_URL",
    "CONTACT_POINT",
    "DATASOURCE_UID",
    "EVERY_S",
    "FOLDER",
    "GROUP",
    "contact_point",
    "duration",
    "policy",
    "provisioning_files",
    "rule_group",
]

BOARD_URL: Final = "http://localhost:8080"
"""Where the people on call reach the live board; annotations know no variables."""

DATASOURCE_UID: Final = "gridfuse-influx"
"""As ``provisioning/datasources/gridfuse.yaml`` names it."""

CONTACT_POINT: Final = "gridfuse-on-call"
FOLDER: Final = "监视 · Watchdog"
GROUP: Final = "gridfuse-watchdog"

EVERY_S: Final = 30
"""How often the rules are looked at."""

_FILES: Final = Path("dashboards/grafana/provisioning/alerting")
_PAGE: Final = Path("console/board/static/watchdog.html")
_EXPRESSION: Final = "__expr__"
_Node = dict[str, Any]


def _both(zh: str, en: str) -> str:
    return f"{zh} / {en}"


def _text_of(rule: Rule) -> dict[str, str]:
    """Return the annotations: for people both languages in one, for machines each for itself."""
    return {
        "summary": _both(rule.title.zh, rule.title.en),
        "description": f"{rule.meaning.zh}\n{rule.meaning.en}",
        "summary_zh": rule.title.zh,
        "summary_en": rule.title.en,
        "description_zh": rule.meaning.zh,
        "description_en": rule.meaning.en,
        "runbook_url": f"{BOARD_URL}/static/{_PAGE.name}#{rule.uid}",
    }


def duration(seconds: int) -> str:
    """Write a length of time as Grafana gives it back, so that what it has can be compared.

    >>> [duration(seconds) for seconds in (0, 30, 90, 120)]
    ['0s', '30s', '1m30s', '2m']
    """
    minutes, rest = divmod(seconds, 60)
    return (f"{minutes}m" if minutes else "") + (f"{rest}s" if rest or not minutes else "")


def _steps(rule: Rule) -> list[_Node]:
    """Return A, B and C."""
    span = {"from": rule.window_s, "to": 0}
    ask = {"refId": "A", "rawQuery": True, "query": rule.query.influxql, "resultFormat": "time_series"}
    # Values that are no numbers are dropped: one of them would make the result none.
    reduce = {"refId": "B", "type": "reduce", "expression": "A", "reducer": rule.reducer.value, "settings": {"mode": "dropNN"}}
    evaluator = {"type": "lt", "params": [rule.below]} if rule.above is None else {"type": "gt", "params": [rule.above]}
    hold = {"refId": "C", "type": "threshold", "expression": "B", "conditions": [{"evaluator": evaluator}]}
    steps: tuple[tuple[str, _Node], ...] = ((DATASOURCE_UID, ask), (_EXPRESSION, reduce), (_EXPRESSION, hold))
    return [{"refId": model["refId"], "relativeTimeRange": dict(span), "datasourceUid": source, "model": model} for source, model in steps]


def _rule(rule: Rule) -> _Node:
    return {
        "uid": rule.uid,
        "title": _both(rule.title.zh, rule.title.en),
        "condition": "C",
        "data": _steps(rule),
        "dashboardUid": rule.link.dashboard,
        "panelId": rule.link.panel,
        "noDataState": rule.missing.value,
        "execErrState": rule.on_error.value,
        "for": duration(rule.for_s),
        "keepFiringFor": duration(rule.keep_s),
        "annotations": _text_of(rule),
        "labels": {"severity": rule.severity, "system": "gridfuse", "rule_uid": rule.uid},
        "isPaused": False,
    }


def rule_group(rt_interval_min: int = RT_INTERVAL_MIN) -> _Node:
    """Return the one group of rules, as a provisioning file has it."""
    rendered = [_rule(rule) for rule in rules(rt_interval_min)]
    return {"orgId": 1, "name": GROUP, "folder": FOLDER, "interval": duration(EVERY_S), "rules": rendered}


def contact_point(kind: str = "$GRIDFUSE_WATCHDOG_VIA", to: str = "$GRIDFUSE_WATCHDOG_TO") -> _Node:
    """Return the one contact point; by default the environment of Grafana says what it is.

    Args:
        kind: ``webhook``, ``prometheus-alertmanager`` or ``email``.
        to: its URL, or the addresses.
    """
    # Each kind reads the setting it knows.
    receiver = {"uid": CONTACT_POINT, "type": kind, "settings": {"url": to, "addresses": to}, "disableResolveMessage": False}
    return {"orgId": 1, "name": CONTACT_POINT, "receivers": [receiver]}


def policy() -> _Node:
    """Return the one policy tree: everything to one contact point, what is urgent again after a quarter of an hour."""
    urgent = {"receiver": CONTACT_POINT, "object_matchers": [["severity", "=", "P1"]], "group_wait": "0s", "repeat_interval": "15m"}
    return {
        "orgId": 1,
        "receiver": CONTACT_POINT,
        "group_by": ["grafana_folder", "alertname"],
        "group_wait": "10s",
        "group_interval": "1m",
        "repeat_interval": "4h",
        "routes": [urgent],
    }


_HEADS: Final = {
    "rules": "The second watchdog. Rendered from dashboards/watchdog.py by `gridfuse dashboards build`; not edited by hand.",
    "contact-points": (
        "Who is called: GRIDFUSE_WATCHDOG_VIA is webhook, prometheus-alertmanager or email, GRIDFUSE_WATCHDOG_TO the URL or the\n"
        "# addresses; without them Grafana does not start. Rendered by `gridfuse dashboards build`."
    ),
    "policies": "This replaces Grafana's whole policy tree, also routes that were made by hand. Rendered by `gridfuse dashboards build`.",
}


def provisioning_files(rt_interval_min: int = RT_INTERVAL_MIN) -> dict[Path, str]:
    """Return what every file of the watchdog should hold, by its path from the root.

    Args:
        rt_interval_min: length of the market's real-time intervals, minutes.
    """
    contents: dict[str, _Node] = {
        "rules": {"groups": [rule_group(rt_interval_min)]},
        "contact-points": {"contactPoints": [contact_point()]},
        "policies": {"policies": [policy()]},
    }
    written = {_FILES / f"{name}.yaml": _yaml(_HEADS[name], {"apiVersion": 1, **content}) for name, content in contents.items()}
    return {**written, _PAGE: _page(rules(rt_interval_min))}


def _yaml(head: str, content: _Node) -> str:
    return f"# {head}\n" + yaml.safe_dump(content, allow_unicode=True, sort_keys=False, width=140)


def _page(all_rules: tuple[Rule, ...]) -> str:
    """Return the page with what each rule means and what to do; a rule's uid is its anchor."""

    def code(text: str) -> str:
        parts = html.escape(text, quote=False).split("`")
        return "".join(f"<code>{part}</code>" if place % 2 else part for place, part in enumerate(parts))

    def section(rule: Rule) -> str:
        lines = [f'<section id="{rule.uid}">', f"<h2>{rule.severity} · {code(rule.title.zh)} / {code(rule.title.en)}</h2>"]
        for language, pick in (("zh-CN", "zh"), ("en", "en")):
            steps = "".join(f"<li>{code(getattr(step, pick))}</li>" for step in rule.remedy)
            lines.append(f'<div lang="{language}"><p>{code(_plain(getattr(rule.meaning, pick)))}</p><ol>{steps}</ol></div>')
        return "\n".join([*lines, "</section>"])

    title = "值班手册 / Runbook of the watchdog"
    head = f'<!doctype html>\n<html lang="zh-CN">\n<head>\n<meta charset="utf-8">\n<title>{title}</title>\n</head>\n<body>'
    return "\n".join([head, f"<h1>{title}</h1>", *map(section, all_rules), "</body>\n</html>\n"])


def _plain(text: str) -> str:
    """Return a meaning without the values that only an alert has."""
    return re.sub(r"\{\{ \$\w+\.\w+ \}\}", "…", text)
