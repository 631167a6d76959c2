"""What is cleared besides energy, how far ahead, and against which outages: the file behind ``clearing:`` in the settings.

Everything in it is optional; without the file intervals are cleared one at a time, for energy alone, in the intact grid::

    look_ahead: 24                       # periods cleared together, the interval itself among them; 1 to 24
    outages: all                         # or a list of branches: after the loss of any one of them the others keep their emergency limits
    emergency_factor: 1.3                # of the rating, for branches that have no emergency rating of their own
    penalties: {outage: 3, line: 5, section: 6, balance: 30}            # multiples of the price cap; also curtailment, group
    pricing: {limit: 2, balance: 10}     # the pricing run's own, where the rules have MS' and ML'
    sections:
      north-south: {members: {A1: 1.0, A7: -1.0}, high_mw: 900, low_mw: -700}
    reserves:
      products: {spin: {direction: up, minutes: 10}}
      requirements: {spin-1: {product: spin, area: "1", mw: 120, shortage: [[50, 300], [100, 1000]]}}
      offers: [{provider: all, product: spin}]                       # every unit that follows a base point, as far as its ramp goes
    storages:
      b1: {bus: "313", area: "3", charge_mw: 50, discharge_mw: 50, energy_max_mwh: 200, charge_efficiency: 0.93,
           discharge_efficiency: 0.93, offers: [[50, 280]], bids: [[50, 120]]}
    delivery_factors: {"101": 0.97, "313": 1.02}                     # losses, where the rules price them so
    groups: {outlet-7: {members: [u1, u2], high_mw: 300}}

The energy in a storage is measured by the point ``storage/<name>/mwh``, a tie-line's schedule by ``tie/<bus>/mw`` (positive into the grid).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Final, Literal, TypeVar

from pydantic import Field

from ingest.yamlfile import Located, Name, Strict, load_yaml
from market.engine import Outages
from market.errors import CaseError, ConfigError, Problem
from market.monitor import Section
from market.offers import Segment, Unit
from market.params import ClearingParams
from market.reserves import Direction, ReserveOffer, ReserveProduct, ReserveRequirement, ShortageStep, standing_offers
from market.resources import Resources, UnitGroup
from market.storage import Storage

__all__ = ["EVERYBODY", "LOOK_AHEAD_MAX", "ClearingSetup", "read_clearing"]

LOOK_AHEAD_MAX: Final = 24
"""Periods of one clearing: two hours of five minutes, six of fifteen."""

EVERYBODY: Final = "all"
"""Provider that stands for every unit that follows a base point."""

_T = TypeVar("_T")
_Number = Annotated[float, Field(allow_inf_nan=False)]
_Steps = list[tuple[_Number, _Number]]


class _Penalties(Strict):
    curtailment: Annotated[float, Field(ge=0)] | None = None
    outage: Annotated[float, Field(gt=0)] | None = None
    line: Annotated[float, Field(gt=0)] | None = None
    section: Annotated[float, Field(gt=0)] | None = None
    group: Annotated[float, Field(gt=0)] | None = None
    balance: Annotated[float, Field(gt=0)] | None = None


class _Pricing(Strict):
    limit: Annotated[float, Field(gt=0)] | None = None
    balance: Annotated[float, Field(gt=0)] | None = None


class _Section(Strict):
    members: dict[Name, _Number]
    low_mw: _Number | None = None
    high_mw: _Number | None = None


class _Product(Strict):
    direction: Literal["up", "down"]
    minutes: _Number
    counts_for: list[Name] = Field(default_factory=list)


class _Requirement(Strict):
    product: Name
    mw: _Number
    shortage: _Steps
    area: Name | None = None


class _ReserveOffer(Strict):
    provider: Name
    product: Name
    mw: _Number | None = None
    price: _Number = 0.0


class _Reserves(Strict):
    products: dict[Name, _Product] = Field(default_factory=dict)
    requirements: dict[Name, _Requirement] = Field(default_factory=dict)
    offers: list[_ReserveOffer] = Field(default_factory=list)


class _Storage(Strict):
    bus: Name
    area: Name
    charge_mw: _Number
    discharge_mw: _Number
    energy_max_mwh: _Number
    energy_min_mwh: _Number = 0.0
    charge_efficiency: _Number
    discharge_efficiency: _Number
    offers: _Steps = Field(default_factory=list)
    bids: _Steps = Field(default_factory=list)
    target_mwh: _Number | None = None
    target_penalty_per_mwh: _Number = 0.0


class _Group(Strict):
    members: list[Name]
    low_mw: _Number | None = None
    high_mw: _Number | None = None


class _FileModel(Strict):
    look_ahead: Annotated[int, Field(ge=1, le=LOOK_AHEAD_MAX)] = 1
    outages: Literal["all"] | list[Name] | None = None
    emergency_factor: Annotated[float, Field(ge=1, le=10)] | None = None
    lodf_least: Annotated[float, Field(ge=0, lt=1)] | None = None
    penalties: _Penalties = Field(default_factory=_Penalties)
    pricing: _Pricing = Field(default_factory=_Pricing)
    sections: dict[Name, _Section] = Field(default_factory=dict)
    reserves: _Reserves = Field(default_factory=_Reserves)
    storages: dict[Name, _Storage] = Field(default_factory=dict)
    groups: dict[Name, _Group] = Field(default_factory=dict)
    delivery_factors: dict[Name, Annotated[float, Field(gt=0, le=2)]] = Field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClearingSetup:
    """How intervals are cleared, besides what the rules and the network say.

    Attributes:
        look_ahead: periods cleared together, the interval itself among them.
        outages: single outages to be secured against.
        parameters: fields of :class:`market.params.ClearingParams` that differ.
        sections: interfaces with limits.
        resources: storages, reserves and groups; of the reserve offers those that name a provider.
        delivery: delivery factor by bus.
        everybody: products that every unit that follows a base point offers.
    """

    look_ahead: int = 1
    outages: Outages | None = None
    parameters: tuple[tuple[str, float], ...] = ()
    sections: tuple[Section, ...] = ()
    resources: Resources = Resources()
    delivery: tuple[tuple[str, float], ...] = ()
    everybody: tuple[str, ...] = ()

    def params(self, base: ClearingParams) -> ClearingParams:
        """Return the parameters of a rule set with what differs here."""
        return replace(base, **dict(self.parameters))  # type: ignore[arg-type]

    def resources_of(self, units: Sequence[Unit]) -> Resources:
        """Return the resources with the offers of everybody."""
        standing = [offer for p in self.resources.products if p.id in self.everybody for offer in standing_offers(units, p)]
        own = {(offer.provider, offer.product) for offer in self.resources.reserve_offers}
        more = tuple(offer for offer in standing if (offer.provider, offer.product) not in own)
        return replace(self.resources, reserve_offers=(*self.resources.reserve_offers, *more))


def read_clearing(path: Path) -> ClearingSetup:
    """Read the file.

    Raises:
        ConfigError: every problem of it, each with its line.
    """
    located = load_yaml(path)
    return _Reading(located, located.validate(_FileModel)).setup()


class _Reading:
    """The file while it is turned into declarations; what contradicts itself is collected, not raised one by one."""

    def __init__(self, located: Located, model: _FileModel) -> None:
        self._located, self._model = located, model
        self._problems: list[Problem] = []

    def setup(self) -> ClearingSetup:
        model, reserves = self._model, self._model.reserves
        made = self._made
        sections = [made(partial(_section, name, each), "sections", name) for name, each in model.sections.items()]
        storages = [made(partial(_storage, name, each), "storages", name) for name, each in model.storages.items()]
        groups = [made(partial(_group, name, each), "groups", name) for name, each in model.groups.items()]
        products = [made(partial(_product, name, each), "reserves", "products", name) for name, each in reserves.products.items()]
        requirements = [
            made(partial(_requirement, name, each), "reserves", "requirements", name) for name, each in reserves.requirements.items()
        ]
        offers = []
        for k, offer in enumerate(reserves.offers):
            if offer.product not in reserves.products:
                self._say(f"there is no product {offer.product}; declare it under products", "reserves", "offers", k)
            elif offer.provider == EVERYBODY and (offer.mw is not None or offer.price):
                self._say("`all` offers what its ramps allow, without a price; name the provider to give either", "reserves", "offers", k)
            elif offer.provider != EVERYBODY and offer.mw is None:
                self._say(f"{offer.provider} offers no mw; say how much it holds", "reserves", "offers", k)
            elif offer.provider != EVERYBODY:
                offers.append(made(partial(_offer, offer), "reserves", "offers", k))
        if self._problems:
            raise ConfigError(self._problems)
        return ClearingSetup(
            look_ahead=model.look_ahead,
            outages=tuple(model.outages) if isinstance(model.outages, list) else model.outages,
            parameters=tuple(_parameters(model)),
            sections=tuple(each for each in sections if each),
            resources=Resources(
                storages=tuple(each for each in storages if each),
                products=tuple(each for each in products if each),
                requirements=tuple(each for each in requirements if each),
                reserve_offers=tuple(each for each in offers if each),
                unit_groups=tuple(each for each in groups if each),
            ),
            delivery=tuple(sorted(model.delivery_factors.items())),
            everybody=tuple(sorted({offer.product for offer in reserves.offers if offer.provider == EVERYBODY})),
        )

    def _made(self, make: Callable[[], _T], *place: str | int) -> _T | None:
        try:
            return make()
        except CaseError as exc:
            self._say(str(exc), *place)
            return None

    def _say(self, what: str, *place: str | int) -> None:
        self._problems.append(self._located.problem(what, *place))


def _parameters(model: _FileModel) -> list[tuple[str, float]]:
    wanted = {
        "emergency_factor": model.emergency_factor,
        "lodf_least": model.lodf_least,
        "curtailment_multiple": model.penalties.curtailment,
        "outage_multiple": model.penalties.outage,
        "line_multiple": model.penalties.line,
        "section_multiple": model.penalties.section,
        "group_multiple": model.penalties.group,
        "balance_multiple": model.penalties.balance,
        "pricing_limit_multiple": model.pricing.limit,
        "pricing_balance_multiple": model.pricing.balance,
    }
    return [(name, value) for name, value in wanted.items() if value is not None]


def _limits(low_mw: float | None, high_mw: float | None) -> tuple[float, float]:
    return -float("inf") if low_mw is None else low_mw, float("inf") if high_mw is None else high_mw


def _segments(steps: _Steps) -> tuple[Segment, ...]:
    return tuple(Segment(mw, price) for mw, price in steps)


def _section(name: str, model: _Section) -> Section:
    low_mw, high_mw = _limits(model.low_mw, model.high_mw)
    return Section(id=name, members=tuple(model.members.items()), low_mw=low_mw, high_mw=high_mw)


def _group(name: str, model: _Group) -> UnitGroup:
    low_mw, high_mw = _limits(model.low_mw, model.high_mw)
    return UnitGroup(id=name, members=tuple(model.members), low_mw=low_mw, high_mw=high_mw)


def _product(name: str, model: _Product) -> ReserveProduct:
    return ReserveProduct(id=name, direction=Direction(model.direction), minutes=model.minutes, counts_for=tuple(model.counts_for))


def _requirement(name: str, model: _Requirement) -> ReserveRequirement:
    steps = tuple(ShortageStep(mw, price) for mw, price in model.shortage)
    return ReserveRequirement(id=name, product=model.product, mw=model.mw, shortage=steps, area=model.area)


def _offer(model: _ReserveOffer) -> ReserveOffer:
    return ReserveOffer(provider=model.provider, product=model.product, mw=model.mw or 0.0, price_per_mwh=model.price)


def _storage(name: str, model: _Storage) -> Storage:
    given = {key: getattr(model, key) for key in _Storage.model_fields if key not in {"offers", "bids"}}
    return Storage(id=name, offers=_segments(model.offers), bids=_segments(model.bids), **given)
