"""The running service writes everything that the schema names; its roll-ups are what raw telemetry says, also across a power cut."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from market.units import NS_PER_MIN, NS_PER_S, instant_ns
from streams.measurements import MEASUREMENTS, QUALITY_SUFFIX, TELEMETRY, TELEMETRY_1M
from tests.kit.demo import DemoProcess
from tests.kit.influx import influxd
from tests.kit.lineparser import parsed

pytestmark = pytest.mark.integration

START = instant_ns("2020-01-01T14:00:00+08:00")

NOT_IN_THE_DEMO = {
    "account": {"lost_not_pushed", "lost_queue_full", "lost_not_taken", "lost_stopped", "lost_spool_full", "lost_spool_too_old"},
    "lmp": {"loss_cny_per_mwh"},
    "market": {"expected_p50_s", "expected_p90_s"},
    "binding": {"flow_mw", "limit_mw", "shadow_price_cny_per_mwh"},
}
"""Samples are lost there for two reasons only; its rules know no delivery factors; no day-ahead run lasts long enough to be estimated
before the trip; and its grid has room enough on the afternoon. :mod:`tests.unit.streams.test_recordlines` has a line of each."""


def spooled(data: Path) -> Iterator[dict[str, Any]]:
    """Yield every line of a demo's spool; headers of blocks are comments."""
    for segment in sorted((data / "spool").glob("*.lp")):
        lines = [line for line in segment.read_bytes().split(b"\n") if line and not line.startswith(b"#")]
        yield from parsed(b"\n".join(lines))


@pytest.mark.slow  # two and a half event hours, until the breaker has tripped
def test_the_demo_writes_every_measurement_and_every_field(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INFLUX_TOKEN", "anyone:anything")
    with influxd(tmp_path / "influx") as server:
        server.create("grid")
        with DemoProcess(tmp_path / "demo", "--speed", "200", "--until", "16:28", "--influx", server.url) as demo:
            summary = demo.finish()
    assert [trip["basis"] for trip in summary["trips"]] == ["RT_120"]
    seen: dict[str, set[str]] = defaultdict(set)
    for line in spooled(tmp_path / "demo"):
        seen[line["measurement"]] |= line.keys()
    unseen = {m.name: {field.name for field in m.fields} - seen[m.name] - NOT_IN_THE_DEMO.get(m.name, set()) for m in MEASUREMENTS}
    assert {name: fields for name, fields in unseen.items() if fields} == {}


@pytest.mark.slow  # five event minutes, so that some are whole before and after the cut
def test_roll_ups_are_what_raw_telemetry_says_also_of_the_minute_of_a_power_cut(tmp_path: Path) -> None:
    cut_ns = START + 150 * NS_PER_S
    with DemoProcess(tmp_path, "--speed", "30") as demo:
        assert demo.reaches(cut_ns)
        demo.kill()
    with DemoProcess(tmp_path, "--speed", "30", "--until", "14:05") as again:
        again.finish()
    raw: defaultdict[tuple[Any, ...], dict[int, float]] = defaultdict(dict)
    rolled: dict[tuple[Any, ...], dict[str, Any]] = {}
    tags = {tag.name for tag in TELEMETRY.tags} | {"measurement", "time"}
    for line in spooled(tmp_path):
        series, minute = (
            (line["dev"], line["kind"], line["element"]) if "dev" in line and "kind" in line else (),
            line["time"] // NS_PER_MIN,
        )
        if line["measurement"] == TELEMETRY.name:
            for name in line.keys() - tags:
                # Uncertain values have their status code beside them.
                if not name.endswith(QUALITY_SUFFIX) and name + QUALITY_SUFFIX not in line:
                    raw[*series, name, minute][line["time"]] = line[name]
        elif line["measurement"] == TELEMETRY_1M.name:
            for name in (name.removesuffix("_n") for name in line if name.endswith("_n")):
                key = (*series, name, minute)
                # Written later, or of more samples: the last line is the correction.
                if key not in rolled or line["time"] >= rolled[key]["time"]:
                    rolled[key] = {"time": line["time"], **{part: line[name + part] for part in ("", "_min", "_max", "_last", "_n")}}
    whole = range(START // NS_PER_MIN, START // NS_PER_MIN + 4)
    told = {key: samples for key, samples in raw.items() if key[-1] in whole}
    assert {key[-1] for key in told} == set(whole)
    assert told.keys() - rolled.keys() == set(), "no minute is missing, that of the cut included"
    wrong = {}
    for key, samples in told.items():
        values, found = list(samples.values()), rolled[key]
        if found["_n"] != len(values):
            # Two samples of one instant are one point of the database, and two samples of the minute.
            assert found["_n"] > len(values), (key, found, samples)
            continue
        expected = {"_min": min(values), "_max": max(values), "_last": samples[max(samples)], "_n": len(values)}
        if {part: found[part] for part in expected} != expected or found[""] != pytest.approx(sum(values) / len(values)):
            wrong[key] = found, samples
    assert wrong == {}
    assert sum(rolled[key]["_n"] != len(samples) for key, samples in told.items()) < 0.01 * len(told)
