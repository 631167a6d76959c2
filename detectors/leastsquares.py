"""Which bus angles fit a set of power measurements best, and how far can each measurement be checked by the others?

Measurements are linear in the state of the DC model: z = H·x + h₀ + error, with bus angles for x (and the flow of every bus-bar branch,
whose angles say nothing of it; Monticelli 1985). Weighted least squares (Schweppe 1970; Abur and Expósito 2004, ch. 2)::

    G x = Hᵀ·W·(z − h₀)        G = Hᵀ·W·H        W = diag(1/σ²)

G is factored once for a topology and a set of meters; a new image costs one back-solve. One angle of every island is pinned, which
fits any measurement equally well. Where nothing is measured, pseudo-measurements with next to no weight keep G regular: *the flow is
zero*, on every branch. They carry a hundred-millionth of a meter's weight, so where meters say anything, they decide.

The residual of measurement i varies by Ω_ii = σ_i² − H_i·G⁻¹·H_iᵀ. It is 0 for a **critical** measurement: no other one says anything
about what it measures, it is fitted exactly, and no test can find it wrong. The inverse is taken where it is asked for only
(:mod:`detectors.inversesubset`).

A bus is **observable** when the measurements determine its angle against the rest of its island. Whether they do is asked of the
factor: measurements made of angles at random must give these angles back.

Absent on purpose: reactive power, voltages and losses; on a grid whose meters show losses, σ has to cover half of a branch's.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csc_array, csr_array, diags_array, hstack, vstack
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import splu

from detectors.inversesubset import inverse_subset
from market.errors import CaseError
from market.grid import BoolArray, FloatArray, IndexArray, Network, Topology

__all__ = ["LeastSquares", "Meters"]

_PSEUDO: Final = 1e-8
"""Weight of a pseudo-measurement, relative to a meter of the same branch."""

_FOUND_AGAIN: Final = 1e-3
"""Difference of angles, relative, to which an observable branch gives back what was put in."""

_CHECKED_LEAST: Final = 1e-5
"""A measurement whose residual varies by less than this share of its own variance is critical."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Meters:
    """What is metered in a grid.

    Attributes:
        network: the grid.
        name: (m,) what each is called.
        sums: (m, nl) which branch flows each shows the sum of: 1 at the ``from`` end of a branch, −1 at its ``to`` end, and what
            leaves the bus over all its branches for an injection.
        sigma_mw: (m,) standard errors, MW.
    """

    network: Network
    name: tuple[str, ...]
    sums: csr_array[np.float64]
    sigma_mw: FloatArray

    def __post_init__(self) -> None:
        if bad := [name for name, sigma in zip(self.name, self.sigma_mw.tolist(), strict=True) if not (np.isfinite(sigma) and sigma > 0)]:
            raise CaseError(f"meters without a positive standard error: {', '.join(bad[:5])}; give each one, in MW")

    @classmethod
    def of(
        cls,
        network: Network,
        from_end: tuple[tuple[str, ...], NDArray[np.int64]],
        to_end: tuple[tuple[str, ...], NDArray[np.int64]],
        injection: tuple[tuple[str, ...], NDArray[np.int64], FloatArray],
        flow_sigma_mw: FloatArray,
    ) -> Meters:
        """Put meters together, in this order.

        Args:
            from_end, to_end: names and branches of meters at the ends of branches, each showing what leaves its bus.
            injection: names and buses of meters of all that is fed into a bus, net, and their standard errors, MW.
            flow_sigma_mw: (nl,) standard error of a meter of each branch, MW.
        """
        nl, nb = network.n_branches, network.n_buses
        one, number = np.ones(nl), np.arange(nl)
        buses = np.concatenate([network.from_bus, network.to_bus])
        leaving = csr_array(coo_array((np.concatenate([one, -one]), (buses, np.tile(number, 2))), shape=(nb, nl)))
        ends = [
            csr_array((np.full(len(at), sign), (np.arange(len(at)), at)), shape=(len(at), nl))
            for sign, (_, at) in ((1.0, from_end), (-1.0, to_end))
        ]
        return cls(
            network=network,
            name=(*from_end[0], *to_end[0], *injection[0]),
            sums=csr_array(vstack([*ends, leaving[injection[1]]])),
            sigma_mw=np.concatenate([flow_sigma_mw[from_end[1]], flow_sigma_mw[to_end[1]], injection[2]]),
        )


class LeastSquares:
    """The normal equations of one topology and one set of meters, factored.

    Args:
        topology: the branches in service.
        meters: what is metered.
        used: (m,) the meters that take part; those of open branches too: they should show nothing.
        flow_sigma_mw: (nl,) standard error of a meter of each branch, MW, whether it has one or not.

    Attributes:
        at: (k,) positions of the meters that take part; arrays of length k are in this order.
        sigma_mw: (k,) their standard errors.
        sums: (k, nl) their rows of :attr:`Meters.sums`.
        h: (k, n) measurements by state, MW/rad (MW/MW for the flow of a bus-bar branch).
        flow: (nl, n) branch flows by state.
    """

    def __init__(self, topology: Topology, meters: Meters, used: BoolArray, flow_sigma_mw: FloatArray) -> None:
        self.topology, self.meters = topology, meters
        self.at: NDArray[np.int64] = np.flatnonzero(used).astype(np.int64)
        self.sigma_mw: FloatArray = meters.sigma_mw[self.at]
        self.weight: FloatArray = self.sigma_mw**-2.0
        self.sums: csr_array[np.float64] = csr_array(meters.sums[self.at])
        self._node, self.flow = _flows_by_state(topology)
        self.h: csr_array[np.float64] = csr_array(self.sums @ self.flow)
        self._fixed_mw: FloatArray = np.asarray(self.sums @ topology.shift_flow_mw)
        self._wh: csr_array[np.float64] = csr_array(diags_array(self.weight) @ self.h)
        self._wh_t: csr_array[np.float64] = csr_array(self._wh.T)
        pseudo = diags_array(_PSEUDO * flow_sigma_mw**-2.0) @ self.flow
        gain = csr_array(self._wh.T @ self.h + pseudo.T @ self.flow)
        pinned = self._node[topology.reference_bus]
        own = gain.diagonal()[pinned]
        pin = np.zeros(self.flow.shape[1])
        pin[pinned] = np.where(own > 0, own, 1.0)
        self._gain: csc_array[np.float64] = csc_array(gain + diags_array(pin))
        self._lu = splu(self._gain, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True})

    def fitted(self, z_mw: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the state (n,) that fits (k,) measurements best, and their residuals (k,), MW, measured less fitted."""
        over = z_mw - self._fixed_mw
        state = self._lu.solve(np.asarray(self._wh_t @ over))
        return state, over - self.h @ state

    def flows_mw(self, state: FloatArray) -> FloatArray:
        """Return (nl,) branch flows, MW; 0 on open branches."""
        out: FloatArray = self.flow @ state + self.topology.shift_flow_mw
        return out

    def response(self, errors: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return how errors (k, c) of the measurements move the state (n, c), and W times what they leave in the residuals (k, c)."""
        state = self._lu.solve(np.asarray(self._wh_t @ errors))
        return state, self.weight[:, None] * errors - self._wh @ state

    def variance(self, rows: FloatArray) -> FloatArray:
        """Return (c,) the variance of quantities that are rows (c, n) of the state."""
        out: FloatArray = np.einsum("cn,nc->c", rows, self._lu.solve(np.ascontiguousarray(rows.T)))
        return out

    def node(self, bus: IndexArray) -> IndexArray:
        """Return the state's position of the angle of each bus."""
        return self._node[bus]

    @cached_property
    def residual_variance(self) -> FloatArray:
        """(k,) Ω_ii, MW²: how far the residual of each measurement varies, 0 where it is critical."""
        inverse = inverse_subset(self._gain, self._lu)
        fitted: FloatArray = np.asarray((self.h @ inverse).multiply(self.h).sum(axis=1), dtype=np.float64)
        omega = self.sigma_mw**2 - fitted
        return np.where(omega > _CHECKED_LEAST * self.sigma_mw**2, omega, 0.0)

    @property
    def critical(self) -> BoolArray:
        """(k,) measurements that nothing else checks."""
        out: BoolArray = self.residual_variance == 0.0
        return out

    @cached_property
    def redundancy(self) -> int:
        """Measurements beyond those that determine the state: degrees of freedom of the sum of squared residuals."""
        return round(float((self.residual_variance * self.weight).sum()))

    @cached_property
    def observable(self) -> BoolArray:
        """(nb,) buses whose angle against the rest of their island is determined; the largest part of an island is what it is."""
        topology, net = self.topology, self.topology.network
        truth = np.random.default_rng(1).standard_normal(self.flow.shape[1])
        shown: FloatArray = np.asarray(self.h @ truth)
        found = self._lu.solve(np.asarray(self._wh_t @ shown))
        # Once more, and the pseudo-measurements weigh nothing at all.
        found += self._lu.solve(np.asarray(self._wh_t @ (shown - self.h @ found)))
        size: FloatArray = np.asarray(abs(self.flow).sum(axis=1), dtype=np.float64)
        same = np.abs(np.asarray(self.flow @ (found - truth))) <= _FOUND_AGAIN * size
        joined = topology.in_service & (same | (topology.b_mw_per_rad == 0))
        f, t = net.from_bus[joined], net.to_bus[joined]
        _, part = connected_components(coo_array((np.ones(len(f)), (f, t)), shape=(net.n_buses, net.n_buses)), directed=False)
        size_of = np.bincount(part)
        largest = np.zeros(topology.n_islands, dtype=np.int64)
        np.maximum.at(largest, topology.island_of_bus, size_of[part])
        # Of two parts of one size the one that is named first.
        chosen = np.full(topology.n_islands, len(size_of), dtype=np.int64)
        fits = size_of[part] == largest[topology.island_of_bus]
        np.minimum.at(chosen, topology.island_of_bus[fits], part[fits])
        out: BoolArray = part == chosen[topology.island_of_bus]
        return out


def _flows_by_state(topology: Topology) -> tuple[IndexArray, csr_array[np.float64]]:
    """Return (nb,) the position of each bus's angle in the state, and (nl, n) the branch flows by state."""
    net, busbars = topology.network, topology.busbars
    first = np.arange(net.n_buses) if busbars is None else busbars.first_bus
    _, node = np.unique(first, return_inverse=True)
    n, nl = int(node.max()) + 1, net.n_branches
    on = np.flatnonzero(topology.b_mw_per_rad)
    b = topology.b_mw_per_rad[on]
    ends = np.concatenate([node[net.from_bus[on]], node[net.to_bus[on]]])
    flow = csr_array(coo_array((np.concatenate([b, -b]), (np.tile(on, 2), ends)), shape=(nl, n)))
    if busbars is not None:
        k = len(busbars.branches)
        flow = csr_array(hstack([flow, coo_array((np.ones(k), (busbars.branches, np.arange(k))), shape=(nl, k))]))
    return node.astype(np.int32), flow
