"""What can the wires carry: how does power injected at the buses spread over the branches that are in service?

The model is DC: lossless, voltages at 1 p.u., flow proportional to the angle difference. For branch l from f to t::

    flow_l = b_l · (θ_f − θ_t − φ_l)         b_l in MW/rad, φ_l the phase shift
    B' θ = injection − Aᵀ(−b·φ)              B' = Aᵀ·diag(b)·A, one reference angle of 0 per island

:class:`Network` is what was built: buses, branches, ratings. :class:`Topology` is what is switched on now: islands and one sparse
LU factor of B' with a reference bus taken out of every island, so the factor is block-diagonal, one block per island. Everything
else is a back-solve on it: angles, flows, PTDF rows (sensitivity of a branch flow to an injection, withdrawn at the island's
reference bus), and the bus prices that belong to given branch prices. It costs well under 2 ms for a hundred buses, so it is
rebuilt whenever a switch moves.

Two susceptance conventions are in use and both are wanted: the one in which PGLib's DC objectives are published (PowerModels'
``DCPPowerModel``) and MATPOWER's own. See :class:`Convention`.

Buses joined by a branch in service with x = 0 are one node; :mod:`market.busbars` says how power runs inside it. All arrays stay
per bus and per branch.

Absent on purpose: losses and reactive power; outage factors (:mod:`market.outages`). Which island is dead depends on the units and
is the engine's to say.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from functools import cached_property
from hashlib import sha256
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csc_array, csr_array
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import SuperLU, splu

from market.busbars import Busbars
from market.errors import CaseError

__all__ = ["X_LEAST_PU", "BoolArray", "Convention", "FloatArray", "IndexArray", "Network", "Topology", "sum_by"]

FloatArray = NDArray[np.float64]
IndexArray = NDArray[np.int32]
BoolArray = NDArray[np.bool_]

X_LEAST_PU = 1e-9
"""A reactance below this is a bus-bar: angles say nothing of the flow through it, see :mod:`market.busbars`."""

_WIDTH = 8
"""Right-hand sides of a back-solve whose result is kept, always: for another number of them the solver rounds the last bit differently."""

_ROWS_BYTES_MAX = 1 << 27
_ROWS_LEAST = 256
"""At most this much memory for the PTDF rows that are kept, but never fewer rows than this."""


def sum_by(index: NDArray[np.integer[Any]], values: FloatArray, n: int) -> FloatArray:
    """Return (n,) the sum of the values that carry each index.

    >>> sum_by(np.array([0, 2, 0]), np.array([1.0, 2.0, 3.0]), 3)
    array([4., 0., 2.])
    """
    return np.asarray(np.bincount(index, weights=values, minlength=n), dtype=np.float64)


class Convention(StrEnum):
    """How a branch's susceptance and limits follow from its data."""

    POWERMODELS = "powermodels"
    """b = x/(r² + x²); tap ratio and phase shift ignored."""
    MATPOWER = "matpower"
    """b = 1/(x·tap); phase shifts act."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Network:
    """Buses and branches as built, in a fixed order; arrays are read-only.

    Attributes:
        bus_ids: (nb,) names of the buses, unique.
        bus_area: (nb,) the control area of each bus.
        base_kv: (nb,) nominal voltage, kV.
        branch_ids: (nl,) names of the branches, unique.
        from_bus: (nl,) position of the bus at which positive flow enters.
        to_bus: (nl,) position of the bus at the other end.
        r_pu: (nl,) series resistance, p.u. on ``base_mva``.
        x_pu: (nl,) series reactance, p.u. on ``base_mva``.
        tap: (nl,) turns ratio at the from end, 1 for a line.
        shift_rad: (nl,) phase shift, rad.
        rate_mw: (nl,) continuous limit, MW, ``inf`` where there is none.
        rate_emergency_mw: (nl,) limit after a contingency, MW, ``inf`` where there is none.
        angle_min_rad: (nl,) least θ_from − θ_to, rad, ``-inf`` where there is none.
        angle_max_rad: (nl,) largest θ_from − θ_to, rad, ``inf`` where there is none.
        base_mva: power base of the per-unit values, MVA.

    Raises:
        CaseError: columns of different lengths, names used twice, ends that are no bus, values that are no numbers.
    """

    bus_ids: tuple[str, ...]
    bus_area: tuple[str, ...]
    base_kv: FloatArray
    branch_ids: tuple[str, ...]
    from_bus: IndexArray
    to_bus: IndexArray
    r_pu: FloatArray
    x_pu: FloatArray
    tap: FloatArray
    shift_rad: FloatArray
    rate_mw: FloatArray
    rate_emergency_mw: FloatArray
    angle_min_rad: FloatArray
    angle_max_rad: FloatArray
    base_mva: float

    def __post_init__(self) -> None:
        for spec in fields(self):
            column: Any = getattr(self, spec.name)
            if isinstance(column, np.ndarray):
                frozen = np.array(column, dtype=np.int32 if spec.name in {"from_bus", "to_bus"} else np.float64)
                frozen.flags.writeable = False
                object.__setattr__(self, spec.name, frozen)
            if spec.name != "base_mva":
                want = self.n_buses if spec.name in {"bus_ids", "bus_area", "base_kv"} else self.n_branches
                if len(column) != want:
                    raise CaseError(f"network: {spec.name} has {len(column)} entries, expected {want}")
        _unique("bus", self.bus_ids)
        _unique("branch", self.branch_ids)
        self._check_branches()

    def _check_branches(self) -> None:
        if not self.base_mva > 0:
            raise CaseError(f"network: base_mva is {self.base_mva}, expected a positive number")
        ends = np.stack([self.from_bus, self.to_bus])
        bad = {
            "an end that is no bus": ((ends < 0) | (ends >= self.n_buses)).any(axis=0),
            "both ends at one bus": self.from_bus == self.to_bus,
            "an impedance, tap or shift that is no number": ~np.isfinite(self.r_pu + self.x_pu + self.tap + self.shift_rad),
            "a tap ratio that is not positive": ~(self.tap > 0),
            "a rating that is negative or no number": ~((self.rate_mw >= 0) & (self.rate_emergency_mw >= 0)),
            "angle limits that contradict each other": ~(self.angle_min_rad <= self.angle_max_rad),
        }
        for what, where in bad.items():
            if where.any():
                named = ", ".join(self.branch_ids[i] for i in np.flatnonzero(where)[:5])
                raise CaseError(f"network: {int(where.sum())} branches with {what}: {named}; correct the case")

    @property
    def n_buses(self) -> int:
        """Number of buses."""
        return len(self.bus_ids)

    @property
    def n_branches(self) -> int:
        """Number of branches, in service or not."""
        return len(self.branch_ids)

    @cached_property
    def branch_kv(self) -> FloatArray:
        """(nl,) voltage class of each branch, kV: a line's voltage, the higher of a transformer's two."""
        return np.maximum(self.base_kv[self.from_bus], self.base_kv[self.to_bus])

    @cached_property
    def bus_index(self) -> Mapping[str, int]:
        """Position of each bus by name."""
        return {name: i for i, name in enumerate(self.bus_ids)}

    @cached_property
    def branch_index(self) -> Mapping[str, int]:
        """Position of each branch by name."""
        return {name: i for i, name in enumerate(self.branch_ids)}

    @cached_property
    def branch_rank(self) -> IndexArray:
        """(nl,) place of each branch in the order of the names: breaks ties in a way that does not hang on positions."""
        rank = np.empty(self.n_branches, dtype=np.int32)
        rank[sorted(range(self.n_branches), key=self.branch_ids.__getitem__)] = np.arange(self.n_branches, dtype=np.int32)
        return rank

    @cached_property
    def digest(self) -> str:
        """SHA-256 over every attribute, hex; the same network always has the same digest."""
        mark = sha256(f"network/{self.base_mva!r}".encode())
        for spec in fields(self):
            column: Any = getattr(self, spec.name)
            if isinstance(column, np.ndarray):
                mark.update(np.ascontiguousarray(column).astype(column.dtype.newbyteorder("<")).tobytes())
            elif isinstance(column, tuple):
                mark.update("\x1f".join(column).encode())
            mark.update(spec.name.encode())
        return mark.hexdigest()


def _unique(kind: str, names: tuple[str, ...]) -> None:
    if len(set(names)) != len(names):
        seen: set[str] = set()
        twice = sorted({name for name in names if name in seen or seen.add(name)})  # type: ignore[func-returns-value]
        raise CaseError(f"network: {kind} names used twice: {', '.join(twice[:5])}; give each its own")


class Topology:
    """The network with the branches that are in service now.

    Attributes:
        network: what was built.
        in_service: (nl,) whether each branch is closed.
        convention: how susceptances were formed.
        b_mw_per_rad: (nl,) susceptance, MW/rad; 0 where open and where there is no reactance.
        busbars: the branches in service without reactance, None where there are none.
        limit_low_mw: (nl,) least flow allowed, MW (the rating, and the angle limits folded in); ``-inf`` where open.
        limit_high_mw: (nl,) largest flow allowed, MW.
        n_islands: number of islands, single buses included.
        island_of_bus: (nb,) island of each bus, numbered by their first bus.
        reference_bus: (n_islands,) the bus of each island whose angle is 0: its first.
        hash: SHA-256 of network, convention and open branches, hex.

    Raises:
        CaseError: a branch in service with limits that exclude each other, or with x = 0 and a phase shift or angle limits that
            exclude 0, or susceptances that cancel so that B' is singular.
    """

    def __init__(self, network: Network, in_service: BoolArray, convention: Convention = Convention.MATPOWER) -> None:
        self.network = network
        self.convention = convention
        self.in_service: BoolArray = np.array(in_service, dtype=np.bool_)
        if self.in_service.shape != (network.n_branches,):
            raise CaseError(f"topology: in_service has {self.in_service.shape} entries for {network.n_branches} branches")
        self.busbars = _busbars(network, self.in_service)
        self.b_mw_per_rad = _susceptance(network, self.in_service, convention)
        self._shift_rad = network.shift_rad if convention is Convention.MATPOWER else np.zeros(network.n_branches)
        self.shift_flow_mw: FloatArray = -self.b_mw_per_rad * self._shift_rad
        self.limit_low_mw, self.limit_high_mw = self._limits()
        self._find_islands()
        self._factorise()
        self._ptdf_rows: dict[int, FloatArray] = {}

    @cached_property
    def hash(self) -> str:
        """SHA-256 of the network, the convention and the open branches, hex."""
        open_ids = sorted(self.network.branch_ids[i] for i in np.flatnonzero(~self.in_service))
        return sha256("\x1f".join([self.network.digest, self.convention.value, *open_ids]).encode()).hexdigest()

    def _limits(self) -> tuple[FloatArray, FloatArray]:
        net, b = self.network, self.b_mw_per_rad
        low, high = np.full(net.n_branches, -np.inf), np.full(net.n_branches, np.inf)
        on = b != 0
        # A negative susceptance (series capacitor) turns the angle limits round.
        ends = b[on] * (np.stack([net.angle_min_rad[on], net.angle_max_rad[on]]) - self._shift_rad[on])
        low[on] = np.maximum(-net.rate_mw[on], ends.min(axis=0))
        high[on] = np.minimum(net.rate_mw[on], ends.max(axis=0))
        if (low > high).any():
            named = ", ".join(net.branch_ids[i] for i in np.flatnonzero(low > high)[:5])
            raise CaseError(f"topology: no flow within both the rating and the angle limits: {named}; correct one of them")
        if self.busbars is not None:
            flat = self.busbars.branches
            bent = (self._shift_rad[flat] != 0) | (net.angle_min_rad[flat] > 0) | (net.angle_max_rad[flat] < 0)
            if bent.any():
                named = ", ".join(net.branch_ids[i] for i in flat[bent][:5])
                raise CaseError(f"topology: x = 0, and an angle between the ends all the same: {named}; give them a reactance or no angle")
            low[flat], high[flat] = -net.rate_mw[flat], net.rate_mw[flat]
        return low, high

    def _find_islands(self) -> None:
        net, on = self.network, np.flatnonzero(self.in_service)
        graph = coo_array((np.ones(len(on)), (net.from_bus[on], net.to_bus[on])), shape=(net.n_buses, net.n_buses))
        n_islands, label = connected_components(graph, directed=False)
        self.n_islands = int(n_islands)
        self.island_of_bus: IndexArray = label.astype(np.int32)
        _, first = np.unique(label, return_index=True)
        self.reference_bus: IndexArray = first.astype(np.int32)

    def _factorise(self) -> None:
        net, on = self.network, np.flatnonzero(self.in_service)
        f, t, b = net.from_bus[on], net.to_bus[on], self.b_mw_per_rad[on]
        rows, columns = np.concatenate([f, t, f, t]), np.concatenate([f, t, t, f])
        matrix = coo_array((np.concatenate([b, b, -b, -b]), (rows, columns)), shape=(net.n_buses, net.n_buses)).tocsr()
        self.b_bus_mw_per_rad: csr_array[np.float64] = matrix
        keep = np.ones(net.n_buses, dtype=np.bool_)
        keep[self.reference_bus] = False
        if self.busbars is not None:
            keep &= self.busbars.first_bus == np.arange(net.n_buses)
        self._free: NDArray[np.intp] = np.flatnonzero(keep)
        self._gather = _gather(self._free, self.busbars)
        self._lu: SuperLU | None = None
        if len(self._free):
            if self._gather is None:
                reduced = csc_array(matrix[self._free][:, self._free])
            else:
                reduced = csc_array(self._gather @ matrix @ self._gather.T)
            try:
                self._lu = splu(reduced, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.1, options={"SymmetricMode": True})
            except RuntimeError as exc:
                raise CaseError(
                    "topology: the susceptance matrix is singular; negative reactances cancel positive ones: "
                    + ", ".join(net.branch_ids[i] for i in on if self.b_mw_per_rad[i] < 0)[:200]
                ) from exc

    def solve(self, right: FloatArray) -> FloatArray:
        """Return θ of B' θ = right with θ = 0 at the reference buses; (nb,) or (nb, k), MW in, rad out."""
        out = np.zeros_like(right)
        if self._lu is not None:
            gathered = right[self._free] if self._gather is None else np.asarray(self._gather @ right, dtype=np.float64)
            out[self._free] = self._lu.solve(gathered)
        return out if self.busbars is None else out[self.busbars.first_bus]

    def angles_rad(self, injection_mw: FloatArray) -> FloatArray:
        """Return the bus angles (nb,), rad, for net injections (nb,), MW; what an island lacks is taken at its reference bus."""
        shifted = injection_mw - self._incidence_t(self.shift_flow_mw)
        return self.solve(shifted)

    def flows_mw(self, injection_mw: FloatArray) -> FloatArray:
        """Return the branch flows (nl,), MW, positive from ``from`` to ``to``, 0 on open branches.

        Args:
            injection_mw: (nb,) net injections; each island should sum to 0, or its reference bus makes up the difference.
        """
        theta = self.angles_rad(injection_mw)
        flow_mw: FloatArray = self.b_mw_per_rad * (theta[self.network.from_bus] - theta[self.network.to_bus]) + self.shift_flow_mw
        if self.busbars is not None:
            flow_mw[self.busbars.branches] = self.busbars.flows_mw(injection_mw - self._incidence_t(flow_mw))
        return flow_mw

    def ptdf(self, rows: NDArray[np.integer[Any]]) -> FloatArray:
        """Return (k, nb): what one MW more at each bus, withdrawn at its island's reference bus, adds to the flow on each of ``rows``."""
        net, k = self.network, len(rows)
        right = np.zeros((net.n_buses, k))
        right[net.from_bus[rows], np.arange(k)] += self.b_mw_per_rad[rows]
        right[net.to_bus[rows], np.arange(k)] -= self.b_mw_per_rad[rows]
        found = self.solve(right)
        if self.busbars is not None:
            inside = self.busbars.spread((self.busbars.branches[:, None] == np.asarray(rows)[None, :]).astype(np.float64))
            found += inside - self.solve(np.asarray(self.b_bus_mw_per_rad @ inside))
        return np.ascontiguousarray(found.T)

    def ptdf_of(self, coefficients: csr_array[np.float64]) -> FloatArray:
        """Return (k, nb): what one MW more at each bus, withdrawn at its island's reference bus, adds to weighted sums of flows.

        The rows of single branches are kept, since the same limits come back in every clearing. A row is the same to the last bit
        whatever was asked before or beside it, so a replay gives the same answer as a long day did.

        Args:
            coefficients: (k, nl) weight of each branch flow in each sum; an open branch carries nothing whatever its weight.
        """
        branches, place = np.unique(coefficients.indices, return_inverse=True)
        single = csr_array((coefficients.data, place, coefficients.indptr), shape=(coefficients.shape[0], len(branches)))
        if not len(branches):
            return np.zeros((coefficients.shape[0], self.network.n_buses))
        return np.asarray(single @ np.stack(self._single_rows(branches.tolist())), dtype=np.float64)

    def _single_rows(self, branches: list[int]) -> list[FloatArray]:
        """Return the PTDF row of each branch, kept or computed."""
        missing = [branch for branch in branches if branch not in self._ptdf_rows]
        for at in range(0, len(missing), _WIDTH):
            block = missing[at : at + _WIDTH]
            # Repeated to the full width, see there.
            rows = self.ptdf(np.resize(np.array(block, dtype=np.int32), _WIDTH))
            self._ptdf_rows.update(zip(block, rows, strict=False))
        found = [self._ptdf_rows[branch] for branch in branches]
        most = max(_ROWS_LEAST, _ROWS_BYTES_MAX // (8 * self.network.n_buses))
        while len(self._ptdf_rows) > most:
            del self._ptdf_rows[next(iter(self._ptdf_rows))]
        return found

    def priced_flows(self, price_per_mwh: FloatArray) -> FloatArray:
        """Return (nb,) the sum over branches of PTDF times branch price: what congestion adds to each bus price.

        One back-solve in place of a row per branch.

        Args:
            price_per_mwh: (nl,) dual of each branch flow; 0 where nothing binds.
        """
        right = self._incidence_t(self.b_mw_per_rad * price_per_mwh)
        if self.busbars is None:
            return self.solve(right)
        inside = self.busbars.spread(price_per_mwh[self.busbars.branches])
        return inside + self.solve(right - self.b_bus_mw_per_rad @ inside)

    def price_gap_per_mwh(self, lmp_per_mwh: FloatArray, price_per_mwh: FloatArray) -> FloatArray:
        """Return (nb,) by how much each bus price departs from what its neighbours' prices and the branch prices ask for.

        0 everywhere exactly when the bus prices are one price per island plus :meth:`priced_flows`. No factor is used: the condition
        is B'·LMP = Aᵀ·diag(b)·price at every node, each row divided by its diagonal, and within a node that prices differ only by
        what the price of a branch without reactance makes of them.

        Args:
            lmp_per_mwh: (nb,) bus prices; a number in dead islands too.
            price_per_mwh: (nl,) dual of each branch flow.
        """
        gap = self.b_bus_mw_per_rad @ lmp_per_mwh - self._incidence_t(self.b_mw_per_rad * price_per_mwh)
        weight = np.abs(self.b_bus_mw_per_rad.diagonal())
        if self.busbars is not None:
            first = self.busbars.first_bus
            gap, weight = sum_by(first, gap, len(gap)), sum_by(first, weight, len(gap))
        out: FloatArray = np.where(weight > 0, np.abs(gap) / np.where(weight > 0, weight, 1.0), 0.0)
        if self.busbars is not None:
            out += np.abs(self.busbars.price_gap(lmp_per_mwh, price_per_mwh[self.busbars.branches]))
        return out

    def _incidence_t(self, per_branch: FloatArray) -> FloatArray:
        """Sum a branch quantity onto the buses: + at the from bus, − at the to bus."""
        net = self.network
        return sum_by(net.from_bus, per_branch, net.n_buses) - sum_by(net.to_bus, per_branch, net.n_buses)

    def outflow_mw(self, flow_mw: FloatArray) -> FloatArray:
        """Return (nb,) what leaves each bus over its branches, MW: Kirchhoff's sum of given flows (nl,)."""
        return self._incidence_t(flow_mw)


def _busbars(network: Network, in_service: BoolArray) -> Busbars | None:
    flat = np.flatnonzero(in_service & (np.abs(network.x_pu) < X_LEAST_PU))
    if not len(flat):
        return None
    return Busbars(network.n_buses, flat, network.from_bus[flat], network.to_bus[flat])


def _gather(free: NDArray[np.intp], busbars: Busbars | None) -> csr_array[np.float64] | None:
    """Return (free nodes, nb) ones that sum buses into nodes, None where every bus is a node."""
    if busbars is None:
        return None
    n = len(busbars.first_bus)
    whole = csr_array((np.ones(n), (busbars.first_bus, np.arange(n))), shape=(n, n))
    return csr_array(whole[free])


def _susceptance(network: Network, in_service: BoolArray, convention: Convention) -> FloatArray:
    """Return (nl,) MW/rad, 0 where open and where there is no reactance."""
    b = np.zeros(network.n_branches)
    on = in_service & (np.abs(network.x_pu) >= X_LEAST_PU)
    x, r = network.x_pu[on], network.r_pu[on]
    if convention is Convention.POWERMODELS:
        b[on] = network.base_mva * x / (r * r + x * x)
    else:
        b[on] = network.base_mva / (x * network.tap[on])
    return b
