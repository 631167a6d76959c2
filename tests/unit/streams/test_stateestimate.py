"""What is told of a state estimate: only what two images say, and never an old meter against a new position."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec
import numpy as np

from ingest.points import PointSpec, PointTable
from market.facts import EstimateReported
from market.grid import Topology
from market.rules import BadData
from market.units import NS_PER_S
from streams import topics, wire
from streams.figures import GridModel
from streams.grid import GridProcessor, decode_state, encode_state
from streams.image import GridImage
from streams.kpis import ControlParams, KpiFrame
from streams.stateestimate import EstimateState, StateEstimate
from tests.kit.grids import network, unit
from tests.kit.three_areas import RULES, snapshot

LINES = [("A", "B", 0.1, 100.0), ("B", "C", 0.1, 100.0), ("A", "C", 0.1, 100.0), ("C", "D", 0.1, 100.0), ("A", "D", 0.1, 100.0)]
NET = network(("A", "B", "C", "D"), LINES)
UNITS = {each.id: each for each in (unit("G1", "A", (200.0, 1.0)), unit("G2", "A", (100.0, 1.0)), unit("G3", "B", (100.0, 1.0)))}
POINTS = (
    *(f"branch/{branch}/{end}_mw" for branch in NET.branch_ids for end in ("from", "to")),
    *(f"switch/{branch}/{end}" for branch in NET.branch_ids for end in ("from", "to")),
    *("unit/G1/mw", "unit/G2/mw", "unit/G3/mw", "load/B/mw", "load/C/mw"),
)
TABLE = PointTable(PointSpec(name=name, area="1", device="scada", period_ns=10 * NS_PER_S) for name in POINTS)
OUTPUT = {"G1": 60.0, "G2": 40.0, "G3": 10.0}
LOAD = {"B": 50.0, "C": 60.0}


def shown(*opened: str) -> dict[str, float]:
    """What every point shows when some branches are really open."""
    closed = np.array([branch not in opened for branch in NET.branch_ids])
    flow = Topology(NET, closed).flows_mw(np.array([100.0, -40.0, -60.0, 0.0]))
    values = {f"branch/{b}/from_mw": f for b, f in zip(NET.branch_ids, flow.tolist(), strict=True)}
    values |= {f"branch/{b}/to_mw": -f for b, f in zip(NET.branch_ids, flow.tolist(), strict=True)}
    values |= {f"switch/{b}/{end}": 1.0 if b in opened else 2.0 for b in NET.branch_ids for end in ("from", "to")}
    return values | {f"unit/{u}/mw": mw for u, mw in OUTPUT.items()} | {f"load/{b}/mw": mw for b, mw in LOAD.items()}


def image(at_s: float, values: dict[str, float], old_s: dict[str, float] | None = None, bad: tuple[str, ...] = ()) -> GridImage:
    """The image of a tick; samples are a second old where nothing else is said, and drift a little, as meters do."""
    names = [spec.name for spec in TABLE.specs]
    value = np.array([values[name] for name in names])
    value = np.where([name.startswith("switch") for name in names], value, value + 1e-3 * np.sin(at_s + np.arange(len(names))))
    age_s = np.array([(old_s or {}).get(name, 1.0) for name in names])
    good = np.array([name not in bad for name in names])
    return GridImage(ts_event_ns=int(at_s * NS_PER_S), value=value, age_s=age_s, good=good, usable=np.ones(len(names), bool), sources=())


@dataclass
class Watch:
    """An estimate fed image by image; keeps what was told."""

    state: EstimateState = field(default_factory=EstimateState)
    told: list[EstimateReported] = field(default_factory=list)
    estimate: StateEstimate = field(default_factory=lambda: StateEstimate(NET, UNITS, TABLE, BadData()))

    def see(self, image: GridImage, *opened: str) -> EstimateReported | None:
        # Through bytes, as across a restart.
        self.state = msgspec.json.decode(msgspec.json.encode(self.state), type=EstimateState)
        self.state, report = self.estimate.taken(image, tuple(sorted(opened)), self.state)
        self.told += [] if report is None else [report]
        return report

    def tick(self, at_s: float, *opened: str, **lies: float) -> EstimateReported | None:
        return self.see(image(at_s, shown(*opened) | {name.replace("__", "/"): mw for name, mw in lies.items()}), *opened)


def test_nothing_is_told_of_a_grid_in_which_everything_fits() -> None:
    watch = Watch()
    for second in range(10, 100, 10):
        assert watch.tick(second) is None
    assert watch.state.figures == {"suspect_measurements": 0.0, "observable_pct": 100.0}


def test_a_lying_meter_is_told_when_two_images_say_so_and_taken_back_when_two_say_otherwise() -> None:
    watch = Watch()
    lie = {"branch__L1__from_mw": 90.0}
    watch.tick(10)
    assert [watch.tick(20, **lie), watch.tick(30), watch.tick(40)] == [None, None, None], "once is nothing"
    assert watch.tick(50, **lie) is None
    report = watch.tick(60, **lie)
    assert report is not None
    assert report.suspects[0].startswith("branch/L1/from_mw: 90.0 MW measured, 40.0 MW estimated, normalised residual ")
    assert (len(report.suspects), report.doubted, report.ts_snapshot_ns) == (1, (), 60 * NS_PER_S)
    assert report.chi_square > report.limit > 0.0
    assert watch.state.figures["suspect_measurements"] == 1.0
    assert wire.decode(topics.FACTS, wire.encode(report)) == report
    assert [watch.tick(70, **lie), watch.tick(80)] == [None, None]
    over = watch.tick(90)
    assert over is not None
    assert over.suspects == ()


def test_a_wrong_position_is_doubted_before_it_can_trip_anything() -> None:
    """The breaker holds an opening for 10 s and reports it after 30 s more."""
    watch = Watch()
    watch.tick(10)
    for second in (20, 30, 40, 50):
        values = shown() | {"switch/L3/from": 1.0, "switch/L3/to": 1.0}
        watch.see(image(second, values), "L3")
    assert [(report.doubted, report.suspects) for report in watch.told] == [(("L3",), ())]
    assert watch.told[0].ts_event_ns - 20 * NS_PER_S < 40 * NS_PER_S


def test_an_old_flow_does_not_contradict_a_new_position() -> None:
    watch = Watch()
    watch.tick(10)
    before, after = shown(), shown("L2")
    switched = before | {name: value for name, value in after.items() if name.startswith("switch")}
    for second in (20, 30, 40):  # the position came by exception; the flows were read before
        age_s = {name: second - 19.0 for name in POINTS if not name.startswith("switch")}
        assert watch.see(image(second, switched, age_s), "L2") is None
    assert watch.state.seen == {}
    assert watch.state.doubted == ()
    for second in (50, 60, 70):
        assert watch.tick(second, "L2") is None


def test_meters_that_are_not_read_again_are_left_out_after_a_minute() -> None:
    watch = Watch()
    watch.tick(10)
    after = shown("L2") | {"load/C/mw": 10.0}  # frozen, and no longer true
    for second in range(20, 140, 10):
        assert watch.see(image(second, after, {"load/C/mw": second - 15.0}), "L2") is None
    assert watch.state.estimated_ns == 130 * NS_PER_S
    assert watch.state.seen == {}


def test_a_sample_much_older_than_the_others_is_left_out() -> None:
    watch = Watch()
    for second in range(10, 60, 10):
        assert watch.see(image(second, shown() | {"unit/G3/mw": 60.0}, {"unit/G3/mw": 30.0})) is None
    assert watch.state.seen == {}
    assert watch.tick(60, unit__G3__mw=60.0) is None
    assert watch.tick(70, unit__G3__mw=60.0) is not None, "read again, it lies"


def test_one_sample_that_two_images_show_is_one_finding() -> None:
    watch = Watch()
    lie = shown() | {"branch/L3/to_mw": 40.0}
    assert watch.see(image(10, lie, {"branch/L3/to_mw": 1.0})) is None
    assert watch.see(image(20, lie, {"branch/L3/to_mw": 11.0})) is None
    assert list(watch.state.seen) == ["branch/L3/to_mw"]
    assert watch.see(image(30, lie, {"branch/L3/to_mw": 2.0})) is not None


def test_an_image_of_the_same_samples_is_no_second_estimate() -> None:
    watch = Watch()
    same = image(10, shown() | {"branch/L3/to_mw": 40.0})
    watch.see(same)
    later = GridImage(ts_event_ns=20 * NS_PER_S, value=same.value, age_s=same.age_s, good=same.good, usable=same.usable, sources=())
    assert watch.see(later) is None
    assert watch.state.estimated_ns == 10 * NS_PER_S


def test_images_closer_than_five_seconds_are_not_all_estimated() -> None:
    watch = Watch()
    made = []
    for second in range(10, 22):
        watch.tick(second)
        made.append(watch.state.estimated_ns // NS_PER_S)
    assert sorted(set(made)) == [10, 15, 20]


def test_what_is_fed_into_a_bus_is_named_by_its_points() -> None:
    watch = Watch()
    for second in (10, 20):
        watch.tick(second, unit__G2__mw=90.0)
    assert watch.told[0].suspects[0].startswith("bus/A (unit/G1/mw, unit/G2/mw): 150.0 MW measured, 100.0 MW estimated")
    watch = Watch()
    for second in (10, 20):
        watch.tick(second, load__C__mw=120.0)
    assert watch.told[0].suspects[0].startswith("load/C/mw: -120.0 MW measured, -60.0 MW estimated")
    watch = Watch()
    drawn = Topology(NET, np.ones(5, dtype=bool)).flows_mw(np.array([150.0, -40.0, -60.0, -50.0]))
    flows = {f"branch__{b}__{end}_mw": s * f for b, f in zip(NET.branch_ids, drawn, strict=True) for end, s in (("from", 1), ("to", -1))}
    for second in (10, 20):
        watch.tick(second, unit__G1__mw=110.0, **flows)
    assert watch.told[0].suspects[0].startswith("bus/D (nothing is connected there): 0.0 MW measured, -50.0 MW estimated")


def test_buses_of_which_something_is_not_metered_are_not_counted_on() -> None:
    quiet = StateEstimate(NET, UNITS | {"dark": unit("dark", "C", (50.0, 1.0))}, TABLE, BadData(), unmeasured=("D",))
    watch = Watch(estimate=quiet)
    drawn = Topology(NET, np.ones(5, dtype=bool)).flows_mw(np.array([100.0, -40.0, -20.0, -40.0]))
    flows = {f"branch__{b}__{end}_mw": s * f for b, f in zip(NET.branch_ids, drawn, strict=True) for end, s in (("from", 1), ("to", -1))}
    assert [watch.tick(second, **flows) for second in (10, 20, 30)] == [None, None, None]
    assert watch.state.seen == {}


def test_how_much_can_be_seen_is_told_when_it_changes() -> None:
    watch = Watch()
    watch.tick(10)
    ends = tuple(f"branch/{branch}/{end}_mw" for branch in ("L4", "L5") for end in ("from", "to"))
    bad = (*ends, "load/C/mw", "unit/G1/mw")
    estimate = StateEstimate(NET, UNITS, TABLE, BadData(), unmeasured=("D",))
    watch.estimate = estimate
    for second in (20, 30, 40):
        watch.see(image(second, shown(), bad=bad))
    assert [report.observable_pct for report in watch.told] == [75.0]


def test_positions_that_make_no_grid_are_passed_over() -> None:
    """Two reactances that cancel each other: the wires have no answer, and nobody falls over."""
    cancel = network(("A", "B"), [("A", "B", 0.1, 100.0), ("A", "B", -0.1, 100.0)])
    table = PointTable([PointSpec(name="branch/L1/from_mw", area="1", device="scada", period_ns=10 * NS_PER_S)])
    estimate = StateEstimate(cancel, {}, table, BadData())
    one = np.ones(1)
    seen = GridImage(ts_event_ns=10 * NS_PER_S, value=one, age_s=one, good=one > 0, usable=one > 0, sources=())
    state, report = estimate.taken(seen, (), EstimateState())
    assert (report, state.estimated_ns) == (None, 0)


def test_the_grid_processor_tells_it_and_remembers_across_a_restart() -> None:
    model = GridModel(
        network=NET, units=UNITS, table=TABLE, rules=RULES, control=ControlParams(bias_mw_per_0p1hz={"1": -25.0}), day_ahead=False
    )
    processor = GridProcessor(model)
    effects = []
    for second in (10, 20):
        values = shown() | {"branch/L1/from_mw": 90.0, "load/B/mw": 50.0 + second / 1000}
        for record in (snapshot(model, "1", second * NS_PER_S, values),):
            effects += processor.take(record)
        processor = GridProcessor(model, decode_state(encode_state(processor.state)), processor.held("1"))
    (report,) = [effect for effect in effects if isinstance(effect, EstimateReported)]
    assert report.suspects[0].startswith("branch/L1/from_mw")
    frames = [effect for effect in effects if isinstance(effect, KpiFrame)]
    assert [frame.system["suspect_measurements"] for frame in frames] == [0.0, 1.0]
    assert [frame.system["observable_pct"] for frame in frames] == [100.0, 100.0]
