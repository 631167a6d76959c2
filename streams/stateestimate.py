"""What does the state estimate say of the process image, and is it sure enough to tell the breaker?

At every tick the image becomes measurements (flows at both ends of branches; what units, loads and ties feed into each bus, net; nothing
at all where nothing is connected) and positions, and :mod:`detectors.estimation` says what does not fit. Telling it needs care, because
meters are not read at one instant:

* After a position has moved, an estimate waits until every meter was read again, for a minute at most; then those that were not are left
  out. Else an old flow would contradict a new position.
* Samples much older than most of the image are left out: they show the grid as it was.
* What is found counts when two estimates in a row find it and what it is about was read again between them. It is over when two find it
  no more.
* It is told when it changes: who is suspect, whose position is doubted, how much of the grid can be seen.

An estimate is made at most every few seconds, and not while no sample is new. Everything is a function of the image and of what is
remembered in :class:`EstimateState`, so a replay tells the same.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from detectors.estimation import Estimate, Estimator, flow_sigma_mw
from detectors.leastsquares import Meters
from ingest.points import PointTable
from market.errors import CaseError
from market.facts import EstimateReported
from market.grid import FloatArray, Network
from market.offers import Unit
from market.rules import BadData
from market.units import NS_PER_S
from streams.image import GridImage

__all__ = ["EstimateState", "StateEstimate"]

_EVERY_NS: Final = 5 * NS_PER_S
"""Estimates are at least this far apart: twice this, and a finding is confirmed before the breaker's grace of 30 s is over."""

_PATIENCE_NS: Final = 60 * NS_PER_S
"""So long meters that were read before a position moved are waited for."""

_APART_NS: Final = 20 * NS_PER_S
"""So much older than the median sample one may be. In this time a fast plant moves by some three per cent of what it can give."""

_NAMED_MAX: Final = 3
"""Points of one bus that its name names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EstimateState:
    """What is remembered from image to image.

    Attributes:
        opened: branches that were reported open in the last image, sorted; moved_ns: the tick at which that last changed.
        waiting_ns: since when meters that were read before it are waited for, 0 while none are.
        estimated_ns: the tick of the last estimate, 0 before the first; samples: a digest of what it was made of.
        seen: what the last estimate found suspect, worst first, name → text; doubted: the positions it doubted.
        read_ns: when what it found was measured, by meter or branch: of several points the oldest, where it was found the first time.
        observable_pct: what it could see, whole %.
        told_suspects, told_doubted, told_pct: what was last told.
    """

    opened: tuple[str, ...] = ()
    moved_ns: int = 0
    waiting_ns: int = 0
    estimated_ns: int = 0
    samples: str = ""
    seen: dict[str, str] = field(default_factory=dict)
    doubted: tuple[str, ...] = ()
    read_ns: dict[str, int] = field(default_factory=dict)
    observable_pct: float = 100.0
    told_suspects: dict[str, str] = field(default_factory=dict)
    told_doubted: tuple[str, ...] = ()
    told_pct: float = 100.0

    @property
    def figures(self) -> dict[str, float]:
        """Key figures; none before the first estimate."""
        if not self.estimated_ns:
            return {}
        return {
            "suspect_measurements": float(len(self.told_suspects) + len(self.told_doubted)),
            "observable_pct": self.observable_pct,
        }


class _Injections(NamedTuple):
    """What is fed into buses, net.

    Attributes:
        name: what each is called.
        bus: (i,) positions of the buses.
        sigma_mw: (i,) standard errors, MW.
        row: (p,) rows of the points that are summed.
        sums: (i, p) their signs.
    """

    name: tuple[str, ...]
    bus: NDArray[np.int64]
    sigma_mw: FloatArray
    row: NDArray[np.int64]
    sums: csr_array[np.float64]


class StateEstimate:
    """Estimates the state of one grid from process images.

    Args:
        network: the grid.
        units: its units by name.
        table: the points.
        rules: when a measurement lies.
        unmeasured: buses at which something feeds in or takes out that no point measures.
        branches_out: branches that are out of service whatever is reported.
    """

    def __init__(
        self,
        network: Network,
        units: Mapping[str, Unit],
        table: PointTable,
        rules: BadData,
        *,
        unmeasured: Iterable[str] = (),
        branches_out: Iterable[str] = (),
    ) -> None:
        self._network = network
        self._out = tuple(branches_out)
        sigma_mw = flow_sigma_mw(network.rate_mw, network.base_mva, rules)
        index = network.branch_index
        ends = []
        rows: list[int] = []
        for end in ("from", "to"):
            found = [(index[branch], row) for branch, row in table.named("branch", f"{end}_mw") if branch in index]
            names = tuple(f"branch/{network.branch_ids[branch]}/{end}_mw" for branch, _ in found)
            ends.append((names, np.array([branch for branch, _ in found], dtype=np.int64)))
            rows += [row for _, row in found]
        self._flow_row = np.array(rows, dtype=np.int64)
        self._injections = _injections(network, units, table, sigma_mw, rules, frozenset(unmeasured))
        injection = (self._injections.name, self._injections.bus, self._injections.sigma_mw)
        self._rows = np.concatenate([self._flow_row, self._injections.row])
        starts = self._injections.sums.indptr.tolist()
        self._rows_of = {name: self._flow_row[[k]] for k, name in enumerate((*ends[0][0], *ends[1][0]))}
        self._rows_of |= {name: self._injections.row[starts[k] : starts[k + 1]] for k, name in enumerate(self._injections.name)}
        at_ends = [dict(table.named("branch", f"{end}_mw")) for end in ("from", "to")]
        for branch in network.branch_ids:
            self._rows_of[branch] = np.array([rows[branch] for rows in at_ends if branch in rows], dtype=np.int64)
        self._estimator = Estimator(Meters.of(network, ends[0], ends[1], injection, sigma_mw), rules)

    def taken(self, image: GridImage, open_branches: Sequence[str], state: EstimateState) -> tuple[EstimateState, EstimateReported | None]:
        """Take in one image.

        Args:
            image: the process image of a tick.
            open_branches: those that it says are open, sorted.
            state: what earlier images left.

        Returns:
            What is remembered from now on, and what is to be told, if anything is.
        """
        now_ns = image.ts_event_ns
        if tuple(open_branches) != state.opened:
            state = replace(state, opened=tuple(open_branches), moved_ns=now_ns)
        good, old = image.good, image.age_s * NS_PER_S > now_ns - state.moved_ns
        if (good & old)[self._rows].any():
            if not state.waiting_ns:
                return replace(state, waiting_ns=now_ns), None
            if now_ns - state.waiting_ns < _PATIENCE_NS:
                return state, None
        if now_ns - state.estimated_ns < _EVERY_NS:
            return state, None
        z_mw, used = self._measured(image.value, good & ~old & self._recent(image))
        samples = blake2b(np.where(used, z_mw, np.nan).tobytes() + "\x1f".join(state.opened).encode(), digest_size=8).hexdigest()
        if samples == state.samples or not used.any():
            return replace(state, waiting_ns=0), None
        index = self._network.branch_index
        in_service = np.ones(self._network.n_branches, dtype=np.bool_)
        in_service[[index[branch] for branch in (*state.opened, *self._out) if branch in index]] = False
        try:
            estimate = self._estimator.estimate(z_mw, used, in_service)
        except CaseError:
            return replace(state, waiting_ns=0), None  # these positions make no grid that could be computed; clearing says why
        found = {*(each.meter for each in estimate.suspects), *estimate.doubted}
        read_ns = {name: now_ns - int(image.age_s[rows].max() * NS_PER_S) for name in found if len(rows := self._rows_of[name])}
        return _told(replace(state, waiting_ns=0, estimated_ns=now_ns, samples=samples), estimate, read_ns)

    def _recent(self, image: GridImage) -> NDArray[np.bool_]:
        """Return (n,) the points whose samples are about as old as most are."""
        age_s = image.age_s[self._rows]
        known = np.isfinite(age_s) & image.good[self._rows]
        if not known.any():
            return np.zeros(len(image.good), dtype=np.bool_)
        recent: NDArray[np.bool_] = image.age_s <= float(np.median(age_s[known])) + _APART_NS / NS_PER_S
        return recent

    def _measured(self, value: FloatArray, usable: NDArray[np.bool_]) -> tuple[FloatArray, NDArray[np.bool_]]:
        """Return the measurements, MW, and which of them there are."""
        summed = self._injections
        fed = usable[summed.row]
        missing = abs(summed.sums) @ (~fed).astype(np.float64)
        z_mw = np.concatenate([value[self._flow_row], summed.sums @ np.where(fed, value[summed.row], 0.0)])
        used = np.concatenate([usable[self._flow_row], missing == 0])
        return z_mw, used & np.isfinite(z_mw)


def _told(state: EstimateState, estimate: Estimate, read_ns: dict[str, int]) -> tuple[EstimateState, EstimateReported | None]:
    """Compare what an estimate found, and when that was measured, with the one before it and with what was told."""
    seen = {each.meter: str(each) for each in estimate.suspects}
    pct = float(np.floor(estimate.observable_pct))
    before = {*state.seen, *state.doubted}
    again = {name for name in before if name not in read_ns or read_ns[name] > state.read_ns.get(name, read_ns[name])}
    suspects = {name: text for name, text in seen.items() if name in again or name in state.told_suspects}
    suspects |= {name: text for name, text in state.told_suspects.items() if name in state.seen and name not in seen}
    doubted = {branch for branch in estimate.doubted if branch in again or branch in state.told_doubted}
    doubted |= {branch for branch in state.told_doubted if branch in state.doubted}
    first_ns = {name: state.read_ns.get(name, ns) for name, ns in read_ns.items()}
    told_pct = pct if pct == state.observable_pct else state.told_pct
    changed = suspects.keys() != state.told_suspects.keys() or doubted != set(state.told_doubted) or told_pct != state.told_pct
    state = replace(state, seen=seen, doubted=estimate.doubted, read_ns=first_ns, observable_pct=pct)
    if not changed:
        return state, None
    state = replace(state, told_suspects=suspects, told_doubted=tuple(sorted(doubted)), told_pct=told_pct)
    report = EstimateReported(
        ts_event_ns=state.estimated_ns,
        ts_snapshot_ns=state.estimated_ns,
        suspects=tuple(suspects.values()),
        doubted=state.told_doubted,
        chi_square=round(estimate.chi_square, 1),
        limit=round(estimate.limit, 1),
        observable_pct=told_pct,
    )
    return state, report


def _injections(
    network: Network, units: Mapping[str, Unit], table: PointTable, sigma_mw: FloatArray, rules: BadData, unmeasured: frozenset[str]
) -> _Injections:
    """Find what is fed into each bus; a bus of which something is not metered is left out, one with nothing feeds in nothing."""
    strongest = np.zeros(network.n_buses)
    np.maximum.at(strongest, network.from_bus, sigma_mw)
    np.maximum.at(strongest, network.to_bus, sigma_mw)
    of_bus: dict[int, list[tuple[int, float, float]]] = defaultdict(list)
    row_of_unit = dict(table.named("unit", "mw"))
    dark = {network.bus_index[bus] for bus in unmeasured if bus in network.bus_index}
    for unit in units.values():
        if (bus := network.bus_index.get(unit.bus)) is None:
            continue
        if unit.id in row_of_unit:
            of_bus[bus].append((row_of_unit[unit.id], 1.0, max(rules.sigma_pct / 100.0 * unit.p_max_mw, rules.sigma_min_mw)))
        else:
            dark.add(bus)
    for kind, sign in (("load", -1.0), ("tie", 1.0)):
        for name, row in table.named(kind, "mw"):
            if (bus := network.bus_index.get(name)) is not None:
                of_bus[bus].append((row, sign, float(max(strongest[bus], rules.sigma_min_mw))))
    chosen = [bus for bus in range(network.n_buses) if bus not in dark]
    names, sigmas, rows, signs, start = list[str](), list[float](), list[int](), list[float](), [0]
    for bus in chosen:
        summed = of_bus[bus]
        names.append(_name(network.bus_ids[bus], [table.specs[each].name for each, _, _ in summed]))
        sigmas.append(float(np.sqrt(sum(own**2 for _, _, own in summed))) if summed else rules.sigma_min_mw)
        rows += [each for each, _, _ in summed]
        signs += [each for _, each, _ in summed]
        start.append(len(rows))
    sums = csr_array((np.array(signs), np.arange(len(rows)), np.array(start)), shape=(len(chosen), len(rows)))
    return _Injections(tuple(names), np.array(chosen, dtype=np.int64), np.array(sigmas), np.array(rows, dtype=np.int64), sums)


def _name(bus: str, points: Sequence[str]) -> str:
    """Return what the sum of some points is called: the point where it is one, else the bus and its points."""
    if len(points) == 1:
        return points[0]
    if not points:
        return f"bus/{bus} (nothing is connected there)"
    more = f" and {len(points) - _NAMED_MAX} more" if len(points) > _NAMED_MAX else ""
    return f"bus/{bus} ({', '.join(points[:_NAMED_MAX])}{more})"
