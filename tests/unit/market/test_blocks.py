"""All blocks in one program, against a second one that was written down from the rules without them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from market.formulation import Builder, Formulation
from market.offers import OfferBook, Unit
from market.reserveblock import ReserveBook, add_reserves
from market.resources import Resources
from market.storageblock import StorageBook, add_storages
from market.unitblock import add_groups, add_ramps, add_units
from tests.kit.grids import network, unit
from tests.kit.markets import MW, PARAMS, PRICE, Market, markets
from tests.kit.monolith import BALANCE_PENALTY, periods, solve

NET = network(("1", "2"), [("1", "2", 0.1, 1e6)])
H, GROUP_PENALTY = 0.5, 900.0


def formulated(market: Market) -> Formulation:
    resources, spans = market.resources, market.spans
    book, stored = OfferBook(market.units, NET.bus_index), StorageBook(resources.storages, NET.bus_index)
    resources.check(NET.bus_index, market.units)
    builder = Builder(periods(NET, np.array([[0.0, load] for load in market.loads_mw]), book, spans.low_mw))
    units = add_units(builder, book, low_mw=spans.low_mw, high_mw=spans.high_mw)
    add_ramps(builder, units, interval_min=PARAMS.interval_min, follows=spans.follows)
    add_groups(builder, units, resources.unit_groups, penalty_per_mwh=GROUP_PENALTY)
    storages = add_storages(builder, stored, initial_mwh=np.full(len(stored.ids), market.soc_mwh), interval_h=H)
    offers = ReserveBook(resources, book, stored)
    required = offers.requirements_mw([{}] * len(market.loads_mw))
    add_reserves(builder, offers, units, storages, horizon=spans, required_mw=required)
    return builder.build()


class Written:
    """A linear program written row by row, with names for its columns."""

    def __init__(self) -> None:
        self.index: dict[object, int] = {}
        self.cost: list[float] = []
        self.bounds: list[tuple[float, float]] = []
        self.equal: list[tuple[dict[object, float], float]] = []
        self.at_most: list[tuple[dict[object, float], float]] = []

    def column(self, name: object, cost: float = 0.0, low: float = 0.0, high: float = np.inf) -> object:
        self.index[name] = len(self.cost)
        self.cost.append(cost)
        self.bounds.append((low, high))
        return name

    def least_cost(self) -> float:
        def matrix(rows: list[tuple[dict[object, float], float]]) -> tuple[np.ndarray | None, list[float] | None]:
            a = np.zeros((len(rows), len(self.cost)))
            for i, (row, _) in enumerate(rows):
                for name, value in row.items():
                    a[i, self.index[name]] += value
            return (a, [bound for _, bound in rows]) if rows else (None, None)

        (a, b), (c, d) = matrix(self.at_most), matrix(self.equal)
        found = linprog(self.cost, A_ub=a, b_ub=b, A_eq=c, b_eq=d, bounds=self.bounds, method="highs")
        assert found.status == 0, found.message
        return float(found.fun)


def written_down(market: Market) -> float:
    """Write the market down in outputs p, not in what lies above a least output, and return its least cost per hour."""
    lp, spans, ordered = Written(), market.spans, sorted(market.units, key=lambda each: each.id)
    for t, load in enumerate(market.loads_mw):
        power = {lp.column(("shed", t), BALANCE_PENALTY): 1.0, lp.column(("spill", t), BALANCE_PENALTY): -1.0}
        for u, each in enumerate(ordered):
            low, high = spans.low_mw[t, u], spans.high_mw[t, u]
            p = lp.column(("p", u, t), 0.0, low, high)
            power[p] = 1.0
            parts = {lp.column(("x", u, k, t), part.price_per_mwh, 0.0, part.mw): -1.0 for k, part in enumerate(each.segments)}
            if low >= each.p_min_mw and high <= each.p_max_mw:
                lp.equal.append((parts | {p: 1.0}, each.p_min_mw))
            if t and spans.follows[t - 1 : t + 1, u].all():
                step = each.ramp_mw_per_min * PARAMS.interval_min
                lp.at_most.append(({p: 1.0, ("p", u, t - 1): -1.0}, step))
                lp.at_most.append(({p: -1.0, ("p", u, t - 1): 1.0}, step))
        power |= _write_storage(lp, market, t)
        lp.equal.append((power, load))
        for group in market.resources.unit_groups:
            row = {("p", u, t): 1.0 for u, each in enumerate(ordered) if each.id in group.members}
            lp.at_most.append((row | {lp.column(("group", t), GROUP_PENALTY): -1.0}, group.high_mw))
        _write_reserve(lp, market, ordered, t)
    return lp.least_cost()


def _write_storage(lp: Written, market: Market, t: int) -> dict[object, float]:
    (storage,) = market.resources.storages
    charge = [lp.column(("charge", k, t), -part.price_per_mwh, 0.0, part.mw) for k, part in enumerate(storage.bids)]
    give = [lp.column(("give", k, t), part.price_per_mwh, 0.0, part.mw) for k, part in enumerate(storage.offers)]
    lp.at_most.append((dict.fromkeys(charge, 1.0), storage.charge_mw))
    lp.at_most.append((dict.fromkeys(give, 1.0), storage.discharge_mw))
    held = lp.column(("held", t), 0.0, storage.energy_min_mwh, storage.energy_max_mwh)
    change = dict.fromkeys(charge, -H * storage.charge_efficiency) | dict.fromkeys(give, H / storage.discharge_efficiency)
    before = {("held", t - 1): -1.0} if t else {}
    lp.equal.append((change | before | {held: 1.0}, 0.0 if t else market.soc_mwh))
    if storage.target_mwh is not None and t == len(market.loads_mw) - 1:
        missing = lp.column("missing", storage.target_penalty_per_mwh / H)
        lp.at_most.append(({held: -1.0, missing: -1.0}, -storage.target_mwh))
    return dict.fromkeys(charge, -1.0) | dict.fromkeys(give, 1.0)


def _write_reserve(lp: Written, market: Market, ordered: list[Unit], t: int) -> None:
    (storage,), spans = market.resources.storages, market.spans
    for product, way in zip(market.resources.products, (1.0, -1.0), strict=True):
        held: dict[object, float] = {}
        for offer in (offer for offer in market.resources.reserve_offers if offer.product == product.id):
            award = lp.column(("r", offer.provider, product.id, t), offer.price_per_mwh, 0.0, offer.mw)
            held[award] = 1.0
            if offer.provider == "s":
                power = {("give", k, t): way for k in range(2)} | {("charge", k, t): -way for k in range(2)}
                lp.at_most.append((power | {award: 1.0}, storage.discharge_mw if way > 0 else storage.charge_mw))
                hours = product.minutes / 60
                if way > 0:
                    lp.at_most.append(({award: hours / storage.discharge_efficiency, ("held", t): -1.0}, -storage.energy_min_mwh))
                else:
                    lp.at_most.append(({award: hours * storage.charge_efficiency, ("held", t): 1.0}, storage.energy_max_mwh))
                continue
            u = next(u for u, each in enumerate(ordered) if each.id == offer.provider)
            lp.at_most.append(({award: 1.0}, ordered[u].ramp_mw_per_min * product.minutes))
            if not ordered[u].p_min_mw <= spans.low_mw[t, u] <= spans.high_mw[t, u] <= ordered[u].p_max_mw:
                lp.at_most.append(({award: 1.0}, 0.0))
            elif way > 0:
                lp.at_most.append(({("p", u, t): 1.0, award: 1.0}, ordered[u].p_max_mw))
            else:
                lp.at_most.append(({("p", u, t): -1.0, award: 1.0}, -ordered[u].p_min_mw))
        wanted = next(each for each in market.resources.requirements if each.product == product.id)
        short = {lp.column(("short", product.id, 0, t), 40.0, 0.0, 5.0): -1.0, lp.column(("short", product.id, 1, t), 90.0): -1.0}
        lp.at_most.append((short | dict.fromkeys(held, -1.0), -wanted.mw))


@settings(max_examples=12, deadline=None)
@given(markets())
def test_the_blocks_cost_what_the_rules_written_down_otherwise_cost(market):
    book, spans = OfferBook(market.units, NET.bus_index), market.spans
    within = (spans.low_mw >= book.p_min_mw) & (spans.high_mw <= book.p_max_mw)
    on_the_way = np.where(within, spans.low_mw, book.p_min_mw)
    paid_anyway = sum(book.cost_per_h(low, np.ones(len(book.ids), dtype=np.bool_)) for low in on_the_way)
    assert solve(formulated(market)).cost_per_h + paid_anyway == pytest.approx(written_down(market), rel=1e-7, abs=1e-5)


@settings(max_examples=8, deadline=None)
@given(markets(), st.randoms(use_true_random=False))
def test_the_order_in_which_things_are_declared_changes_nothing(market, shuffle):
    def mixed(things: tuple[object, ...]) -> tuple[object, ...]:
        return tuple(shuffle.sample(things, len(things)))

    resources = market.resources
    other = Resources(**{name: mixed(getattr(resources, name)) for name in Resources.__dataclass_fields__})
    one, two = formulated(market), formulated(replace(market, units=mixed(market.units), resources=other))
    for name in ("cost", "upper", "period", "bus", "gain", "weight", "low", "high", "lazy"):
        assert np.array_equal(getattr(one, name), getattr(two, name)), name
    assert (one.rows != two.rows).nnz == 0


@settings(max_examples=8, deadline=None)
@given(markets(), st.lists(MW, min_size=3, max_size=3))
def test_the_next_interval_has_the_same_columns_and_rows(market, loads):
    """Only costs, bounds and injections move, so a program that was solved can be updated in place."""
    later = replace(
        market,
        loads_mw=tuple(loads[: len(market.loads_mw)]),
        output_mw={name: mw / 2 for name, mw in market.output_mw.items()},
        soc_mwh=5.0,
    )
    one, two = formulated(market), formulated(later)
    assert (one.rows != two.rows).nnz == 0
    for name in ("period", "bus", "gain", "spread", "weight", "lazy"):
        assert np.array_equal(getattr(one, name), getattr(two, name)), name


@settings(max_examples=8, deadline=None)
@given(markets(), PRICE, MW)
def test_a_unit_more_that_may_stand_still_never_makes_it_dearer(market, price, mw):
    more = replace(market, units=(*market.units, unit("z", "2", (mw + 1.0, price))), output_mw=market.output_mw | {"z": 0.0})
    assert solve(formulated(more)).cost_per_h <= solve(formulated(market)).cost_per_h + 1e-6


@settings(max_examples=8, deadline=None)
@given(markets())
def test_money_in_is_money_out(market):
    """What load and reserve requirements pay is what units, storages and the rows that tie them earn: duality, period by period or not."""
    program = formulated(market)
    answer = solve(program)
    paid = sum(price * load for price, load in zip(answer.price_per_mwh[:, 0], market.loads_mw, strict=True))
    fixed = sum(price * period.fixed_mw.sum() for price, period in zip(answer.price_per_mwh[:, 0], program.periods, strict=True))
    bound = np.where(answer.row_dual > 0, program.low, program.high)
    rows = float(np.where(answer.row_dual != 0, answer.row_dual * np.where(np.isfinite(bound), bound, 0.0), 0.0).sum())
    value = program.cost - program.gain * answer.price_per_mwh[program.period, 0] - program.rows.T @ answer.row_dual
    kept = float((np.where(np.isfinite(program.upper), program.upper, 0.0) * np.minimum(value, 0.0)).sum())
    assert paid - fixed + rows + kept == pytest.approx(answer.cost_per_h, rel=1e-7, abs=1e-4)
