"""The second watchdog's files keep what Grafana asks of them, and say in both languages what to do."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from dashboards import build
from dashboards.alerting import CONTACT_POINT, DATASOURCE_UID, contact_point, policy, provisioning_files, rule_group
from dashboards.boards import BOARDS
from dashboards.elements import Text, select
from dashboards.watchdog import RT_INTERVAL_MIN, Link, Missing, OnError, Rule, rules
from market.rules import GUANGDONG_2023
from streams.measurements import MARKET, MEASUREMENTS

ROOT = Path(__file__).resolve().parents[3]
CHINESE = re.compile(r"[\u4e00-\u9fff]")
RULES = rules()


def rendered(name: str) -> dict[str, Any]:
    (text,) = (text for path, text in provisioning_files().items() if path.name == f"{name}.yaml")
    loaded: dict[str, Any] = yaml.safe_load(text)
    return loaded


def test_the_committed_files_are_what_the_rules_give() -> None:
    stale = [path for path, text in provisioning_files().items() if (ROOT / path).read_text(encoding="utf-8") != text]
    assert stale == [], "run: gridfuse dashboards build"


def test_the_watchdog_is_rendered_with_the_dashboards_and_held_by_the_same_check(tmp_path: Path) -> None:
    assert provisioning_files().items() <= build.files().items()
    assert build.main([], tmp_path) == 0
    edited = tmp_path / "dashboards/grafana/provisioning/alerting/rules.yaml"
    edited.write_text(edited.read_text(encoding="utf-8").replace("for: 1m\n", "for: 1h\n"), encoding="utf-8")
    assert build.check(tmp_path) == [edited]


def test_every_rule_leads_to_a_panel_that_shows_what_it_judges() -> None:
    panels = {(f"{board.uid}-zh", panel.number): panel for board in BOARDS for panel in board.panels}
    for rule in RULES:
        panel = panels[rule.link.dashboard, rule.link.panel]
        (mine,) = re.findall(r'FROM "(\w+)"', rule.query.influxql)
        shown = {name for query in panel.queries for name in re.findall(r'FROM "(\w+)"', query.influxql)}
        assert mine in shown, f"{rule.uid} leads to {panel.title.en}, which shows {sorted(shown)}"


def test_every_rule_is_written_as_three_steps_from_the_provisioned_source() -> None:
    sources = yaml.safe_load((ROOT / "dashboards/grafana/provisioning/datasources/gridfuse.yaml").read_text(encoding="utf-8"))
    assert sources["datasources"][0]["uid"] == DATASOURCE_UID
    (group,) = rendered("rules")["groups"]
    assert len(group["rules"]) == len(RULES) == 6
    for rule in group["rules"]:
        ask, reduce, threshold = rule["data"]
        assert [step["refId"] for step in rule["data"]] == ["A", "B", "C"]
        assert rule["condition"] == "C"
        assert (ask["datasourceUid"], reduce["datasourceUid"], threshold["datasourceUid"]) == (DATASOURCE_UID, "__expr__", "__expr__")
        assert (reduce["model"]["type"], threshold["model"]["type"]) == ("reduce", "threshold")
        assert (reduce["model"]["expression"], threshold["model"]["expression"]) == ("A", "B")
        assert all(step["relativeTimeRange"]["from"] > step["relativeTimeRange"]["to"] == 0 for step in rule["data"])


def test_the_time_filter_is_written_plainly_and_no_other_variable_is_used() -> None:
    """With two dollar signs Grafana keeps both, and the rule fails for want of a time."""
    for rule in RULES:
        assert re.findall(r"\$+\w+", rule.query.influxql) == ["$timeFilter"]


def test_what_a_rule_asks_for_is_in_the_schema() -> None:
    known = {m.name: {t.name for t in m.tags} | {f.name for f in m.fields} for m in MEASUREMENTS}
    for rule in RULES:
        (measurement,) = re.findall(r'FROM "(\w+)"', rule.query.influxql)
        assert set(re.findall(r'"(\w+)"', rule.query.influxql)) - {measurement} <= known[measurement], rule.uid


def test_silence_and_failure_mean_something_for_every_rule() -> None:
    meant = {rule.uid: (rule.missing, rule.on_error) for rule in RULES}
    assert {uid for uid, (missing, _) in meant.items() if missing is Missing.FIRE} == {
        "gridfuse-no-clearing",
        "gridfuse-heartbeat",
        "gridfuse-breaker-silent",
    }
    # An InfluxDB that does not answer is one call, not six.
    assert [uid for uid, (_, on_error) in meant.items() if on_error is OnError.FIRE] == ["gridfuse-heartbeat"]


def test_every_rule_has_a_severity_both_languages_and_a_place_to_read_on() -> None:
    page = next(text for path, text in provisioning_files().items() if path.suffix == ".html")
    for rule in rendered("rules")["groups"][0]["rules"]:
        assert rule["labels"]["severity"] in {"P1", "P2", "P3", "P4"}
        notes = rule["annotations"]
        assert notes["summary"] == f"{notes['summary_zh']} / {notes['summary_en']}"
        assert notes["description"] == f"{notes['description_zh']}\n{notes['description_en']}"
        for name in ("summary", "description"):
            assert CHINESE.search(notes[f"{name}_zh"])
            assert not CHINESE.search(notes[f"{name}_en"])
        address, _, anchor = notes["runbook_url"].partition("#")
        assert address.endswith("/static/watchdog.html")
        assert f'<section id="{anchor}">' in page


def test_the_page_names_every_step_in_both_languages_and_no_template() -> None:
    page = next(text for path, text in provisioning_files().items() if path.suffix == ".html")
    assert "{{" not in page
    assert page.count("<li>") == 2 * sum(len(rule.remedy) for rule in RULES)
    assert page.count("<code>") == page.count("</code>") > 0


def test_names_of_rules_last() -> None:
    """Silences and links of people hang on them."""
    assert [rule.uid for rule in RULES] == [
        "gridfuse-no-clearing",
        "gridfuse-sink-lag",
        "gridfuse-heartbeat",
        "gridfuse-process-gone",
        "gridfuse-breaker-silent",
        "gridfuse-tripped",
    ]


def test_three_intervals_are_as_long_as_the_market_has_them() -> None:
    assert GUANGDONG_2023.rt_interval_min == RT_INTERVAL_MIN
    spans = {minutes: rule_group(minutes)["rules"][0]["data"][0]["relativeTimeRange"]["from"] for minutes in (5, 15)}
    assert spans == {5: 15 * 60, 15: 45 * 60}
    assert "of 5 min" in rule_group(5)["rules"][0]["annotations"]["description_en"]


def test_files_are_written_for_the_intervals_of_ones_own_market(tmp_path: Path) -> None:
    assert build.main(["--rt-interval-min", "5"], tmp_path) == 0
    assert build.main(["--rt-interval-min", "5", "--check"], tmp_path) == 0
    differing = {"dashboards/grafana/provisioning/alerting/rules.yaml", "console/board/static/watchdog.html"}
    assert {str(path.relative_to(tmp_path)) for path in build.check(tmp_path)} == differing


def test_there_is_one_policy_tree_and_it_leads_to_the_one_contact_point() -> None:
    (tree,) = rendered("policies")["policies"]
    assert tree == policy()
    receivers = [tree["receiver"], *(route["receiver"] for route in tree["routes"])]
    (point,) = rendered("contact-points")["contactPoints"]
    assert set(receivers) == {point["name"]} == {CONTACT_POINT}
    # Nothing is muted at any hour.
    assert "mute_time_intervals" not in str(tree)
    assert set(rendered("policies")) == {"apiVersion", "policies"}


def test_the_environment_says_who_is_called() -> None:
    (receiver,) = rendered("contact-points")["contactPoints"][0]["receivers"]
    assert receiver["type"] == "$GRIDFUSE_WATCHDOG_VIA"
    assert set(receiver["settings"].values()) == {"$GRIDFUSE_WATCHDOG_TO"}
    # A webhook and Alertmanager read `url`, e-mail reads `addresses`.
    assert set(receiver["settings"]) == {"url", "addresses"}
    (told,) = contact_point("email", "a@example.org")["receivers"]
    assert (told["type"], told["settings"]["addresses"]) == ("email", "a@example.org")


@pytest.mark.parametrize("limits", [{}, {"above": 1.0, "below": 2.0}], ids=["none", "both"])
def test_a_rule_without_exactly_one_threshold_is_refused_by_name(limits: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="rule r: give exactly one of `above` and `below`"):
        Rule(
            uid="r",
            title=Text("", ""),
            meaning=Text("", ""),
            remedy=(),
            query=select('last("outage_s")', MARKET),
            window_s=60,
            for_s=0,
            keep_s=0,
            missing=Missing.FINE,
            on_error=OnError.KEEP,
            severity="P1",
            link=Link("d", 1),
            **limits,
        )
