"""Grids with a meter at every end of every branch and at every bus, and what these show of a state of the grid."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from detectors.estimation import Estimate, Estimator, flow_sigma_mw
from detectors.leastsquares import Meters
from market.grid import BoolArray, FloatArray, Network, Topology
from market.rules import BadData

__all__ = ["Metered"]


@dataclass(frozen=True)
class Metered:
    """A grid that is metered everywhere; meters are called ``from/<branch>``, ``to/<branch>`` and ``bus/<bus>``."""

    network: Network
    in_service: BoolArray
    rules: BadData = BadData()

    @cached_property
    def sigma_mw(self) -> FloatArray:
        """(nl,) standard error of a meter of each branch, MW."""
        return flow_sigma_mw(self.network.rate_mw, self.network.base_mva, self.rules)

    @cached_property
    def meters(self) -> Meters:
        """All of them; what is fed into a bus is metered as well as its strongest branch."""
        net = self.network
        strongest = np.full(net.n_buses, self.rules.sigma_min_mw)
        np.maximum.at(strongest, net.from_bus, self.sigma_mw)
        np.maximum.at(strongest, net.to_bus, self.sigma_mw)
        branches = np.arange(net.n_branches)
        return Meters.of(
            net,
            (tuple(f"from/{branch}" for branch in net.branch_ids), branches),
            (tuple(f"to/{branch}" for branch in net.branch_ids), branches),
            (tuple(f"bus/{bus}" for bus in net.bus_ids), np.arange(net.n_buses), strongest),
            self.sigma_mw,
        )

    @cached_property
    def estimator(self) -> Estimator:
        """Shared, so that one topology is factored once."""
        return Estimator(self.meters, self.rules)

    @cached_property
    def _topologies(self) -> dict[bytes, Topology]:
        return {}

    def topology(self, *opened: str) -> Topology:
        """Return the wires in service when some branches are open besides."""
        closed = self.closed_but(*opened)
        return self._topologies.setdefault(closed.tobytes(), Topology(self.network, closed))

    def closed_but(self, *opened: str) -> BoolArray:
        """Return (nl,) the branches in service when some are open."""
        closed = self.in_service.copy()
        closed[[self.network.branch_index[branch] for branch in opened]] = False
        return closed

    def flows_mw(self, seed: int, *opened: str, size_mw: float = 120.0) -> FloatArray:
        """Return (nl,) the flows that random injections make, every island in balance."""
        topology = self.topology(*opened)
        injection_mw = np.random.default_rng(seed).standard_normal(self.network.n_buses) * size_mw
        island = topology.island_of_bus
        mean_mw = np.bincount(island, injection_mw) / np.bincount(island)
        return topology.flows_mw(injection_mw - mean_mw[island])

    def shown_mw(self, flow_mw: FloatArray, noise: int | None = None, **lies_in_sigma: float) -> FloatArray:
        """Return (m,) what the meters show, with errors of their own from a seed; lies are added, in standard errors.

        Args:
            lies_in_sigma: by meter, written ``from__L1``.
        """
        meters = self.meters
        z_mw: FloatArray = np.asarray(meters.sums @ flow_mw)
        if noise is not None:
            z_mw = z_mw + np.random.default_rng(noise).standard_normal(len(z_mw)) * meters.sigma_mw
        for name, size in lies_in_sigma.items():
            at = self.at(name.replace("__", "/"))
            z_mw[at] += size * meters.sigma_mw[at]
        return z_mw

    def at(self, meter: str) -> int:
        """Return the position of a meter."""
        return self.meters.name.index(meter)

    def but(self, *meters: str) -> NDArray[np.bool_]:
        """Return (m,) all meters but some."""
        used = np.ones(len(self.meters.name), dtype=np.bool_)
        used[[self.at(meter) for meter in meters]] = False
        return used

    def estimate(self, z_mw: FloatArray, *reported_open: str, used: NDArray[np.bool_] | None = None) -> Estimate:
        """Estimate from what the meters show and what is reported open."""
        return self.estimator.estimate(z_mw, self.but() if used is None else used, self.closed_but(*reported_open))
