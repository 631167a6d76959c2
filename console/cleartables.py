"""What ``gridfuse clear`` shows to a person: the outcome, why a price or a unit is as it is, and what cannot be kept together."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from market.diagnosis import Diagnosis
from market.explain import BusExplanation, Explanation, UnitExplanation
from market.matpower import Case
from market.merit import OutOfMerit, Reason
from market.outages import Contingencies
from market.outcomes import Cleared

__all__ = ["show_diagnosis", "show_explanation", "show_merit", "show_outages", "show_outcome"]

_ROWS_SHOWN = 20
_NAMES_SHOWN = 12
_MOVED_MW = 1e-6


def show_outcome(console: Console, outcome: Cleared, case: Case) -> None:
    """Show status, cost, violations, binding limits, units and bus prices."""
    style = "green" if outcome.status.value == "OK" else "yellow"
    console.print(
        f"[bold]{case.name}[/]: [{style}]{outcome.status.value}[/], certificate {'passed' if outcome.certificate.passed else 'FAILED'}"
    )
    if outcome.flags:
        console.print(f"flags: {', '.join(outcome.flags)}", highlight=False)
    console.print(f"cost {outcome.objective_per_h:,.2f} /h, penalties {outcome.penalty_per_h:,.2f} /h")
    console.print(f"uniform price {outcome.uniform_price_per_mwh:.4f} /MWh, energy {outcome.energy_per_mwh:.4f} /MWh")
    violated = [(v.kind, v.id, v.outage or "", f"{v.mw:,.3f}") for v in outcome.violations]
    _table(console, "violated limits", ("kind", "id", "after outage of", "MW"), violated, numbers=1)
    binding = [
        (b.kind, b.id, b.outage or "", f"{b.flow_mw:,.2f}", f"{b.limit_mw:,.2f}", f"{b.shadow_price:,.4f}")
        for b in sorted(outcome.binding, key=lambda b: -b.shadow_price)
    ]
    heading = ("kind", "id", "after outage of", "flow MW", "limit MW", "shadow price /MWh")
    _table(console, "binding limits, dearest first", heading, binding, numbers=3)
    running = [(unit.id, unit.bus, outcome.dispatch_mw[unit.id], unit.p_max_mw) for unit in case.units if outcome.dispatch_mw[unit.id]]
    running.sort(key=lambda row: -row[2])
    price = {bus: f"{value:,.4f}" for bus, value in outcome.lmp_per_mwh.items()}
    units = [(name, bus, f"{mw:,.2f}", f"{p_max:,.2f}", price.get(bus, "dead")) for name, bus, mw, p_max in running]
    _table(console, "units, largest first", ("unit", "bus", "MW", "of MW", "LMP /MWh"), units, numbers=3)
    lmp = sorted(outcome.lmp_per_mwh.items(), key=lambda item: -abs(outcome.congestion_per_mwh[item[0]]))
    buses = [(bus, f"{value:,.4f}", f"{outcome.congestion_per_mwh[bus]:+,.4f}") for bus, value in lmp]
    _table(console, "bus prices, most congested first", ("bus", "LMP /MWh", "of it congestion"), buses, numbers=2)


def show_outages(console: Console, outages: Contingencies) -> None:
    """Say which outages were screened, and name those that could not be."""
    console.print(f"\n{len(outages.outages)} single outages screened")
    for names, what in (
        (outages.islanding, "would cut the grid in two and are not screened"),
        (outages.couplers, "are bus-bars whose outage would split a node and are not screened"),
        (outages.out_already, "are open already"),
    ):
        if names:
            more = f" and {len(names) - _NAMES_SHOWN} more; --json has all" if len(names) > _NAMES_SHOWN else ""
            console.print(f"{len(names)} {what}: {', '.join(names[:_NAMES_SHOWN])}{more}", highlight=False)


def show_explanation(console: Console, explanation: Explanation) -> None:
    """Show why a bus has its price, or a unit its output."""
    console.print(f"\n[bold]{explanation.what} {escape(explanation.id)}[/]")
    if isinstance(explanation, BusExplanation):
        _bus(console, explanation)
    else:
        _unit(console, explanation)


def _bus(console: Console, bus: BusExplanation) -> None:
    if bus.lmp_per_mwh is None:
        console.print(f"{bus.detail}; its load of {bus.load_mw:,.2f} MW is lost" if bus.load_mw > 0 else bus.detail)
        return
    parts = [("energy, the same at every bus", "", "", f"{bus.energy_per_mwh:,.4f}")]
    for share in bus.shares:
        price = "" if share.shadow_price is None else f"{share.shadow_price:,.4f}"
        factor = "" if share.load_factor is None else f"{share.load_factor:+.4f}"
        parts.append((_LABELS.get(share.kind, share.label), price, factor, f"{share.per_mwh:+,.4f}"))
    if len(parts) > _ROWS_SHOWN:
        rest = sum(share.per_mwh for share in bus.shares[_ROWS_SHOWN - 1 :])
        parts = [*parts[:_ROWS_SHOWN], (f"{len(parts) - _ROWS_SHOWN} smaller ones", "", "", f"{rest:+,.4f}")]
    if bus.loss_per_mwh:
        parts.append(("loss, by the delivery factor of the bus", "", "", f"{bus.loss_per_mwh:+,.4f}"))
    parts.append(("price", "", "", f"{bus.lmp_per_mwh:,.4f}"))
    note = "load factor: MW on the limit per MW more of load at this bus" if bus.shares else ""
    _table(console, "the price and its parts", ("part", "shadow price", "load factor", "/MWh"), parts, numbers=3, whole=True, note=note)
    if bus.capped_by is not None:
        console.print(f"the {bus.capped_by} moved it from {bus.raw_per_mwh:,.4f}")
    _setters(console, bus)
    if bus.several:
        console.print("other prices would support this dispatch as well; these are the least of them")


def _setters(console: Console, bus: BusExplanation) -> None:
    """Show what the next MW comes from; where the amounts are known, only what moves, and that they make the price."""
    if not bus.setters:
        console.print("no offer is partly used: the price lies between the last that is taken and the next that is not")
        return
    title = "where the next MW of load at this bus comes from"
    if any(one.per_mw_of_load is None for one in bus.setters):
        rows = [(one.kind, one.id, one.bus or "", f"{one.mw:,.2f}", f"{one.per_mwh:,.4f}") for one in bus.setters]
        _table(console, title, ("kind", "id", "bus", "MW now", "at /MWh"), rows, numbers=2)
        return
    moving = [(one, one.per_mw_of_load) for one in bus.setters if one.per_mw_of_load and abs(one.per_mw_of_load) > _MOVED_MW]
    moved = [
        (one.kind, one.id, one.bus or "", f"{one.mw:,.2f}", f"{change:+.4f}", f"{one.per_mwh:,.4f}", f"{one.per_mwh * change:+,.4f}")
        for one, change in sorted(moving, key=lambda pair: -abs(pair[1]))
    ]
    total = sum(one.per_mwh * change for one, change in moving)
    if len(moved) > _ROWS_SHOWN:
        moved = [*moved[:_ROWS_SHOWN], (f"{len(moved) - _ROWS_SHOWN} smaller ones", "", "", "", "", "", "")]
    moved.append(("price", "", "", "", "", "", f"{total:,.4f}"))
    _table(console, title, ("kind", "id", "bus", "MW now", "change", "at /MWh", "/MWh"), moved, numbers=4, whole=True)


_LABELS = {"island": "mean price of its island, less the main one's", "capped": "cap and floor"}


def _unit(console: Console, unit: UnitExplanation) -> None:
    metered = "" if unit.metered_mw is None else f", metered at {unit.metered_mw:,.2f}"
    console.print(f"gives {unit.dispatch_mw:,.2f} MW at bus {escape(unit.bus)}{metered}")
    console.print(
        f"could be put from {unit.low_mw:,.2f} ({_WORDS[unit.low_by]}) to {unit.high_mw:,.2f} MW ({_WORDS[unit.high_by]}), "
        f"offers up to {unit.offered_mw:,.2f}"
    )
    for product, mw in unit.reserve_mw.items():
        console.print(f"holds {mw:,.2f} MW of {escape(product)}")
    price = "dead" if unit.lmp_per_mwh is None else f"{unit.lmp_per_mwh:,.4f}"
    rows = [
        (what, f"{offer:,.4f}", price, "" if reduced is None else f"{reduced:+,.4f}")
        for what, offer, reduced in (
            ("last MW it gives", unit.last_offer_per_mwh, unit.last_reduced_cost),
            ("next MW it would give", unit.next_offer_per_mwh, unit.next_reduced_cost),
        )
        if offer is not None
    ]
    _table(console, "its offer and the price at its bus", ("", "offer /MWh", "price /MWh", "offer less price"), rows, numbers=3)
    verdict = "[green]in merit[/]" if unit.in_merit else "[yellow]out of merit[/]"
    console.print(f"{verdict}: {escape(unit.detail)}", highlight=False)


_WORDS = {
    Reason.OFF: "not committed",
    Reason.STOPPING: "stopping, by its ramp",
    Reason.OUT_OF_RANGE: "towards its range, by its ramp",
    Reason.TEST: "test schedule",
    Reason.FIXED: "fixed",
    Reason.DEAD: "dead island",
    Reason.MUST_RUN: "must run",
    Reason.P_MIN: "least output",
    Reason.P_MAX: "largest output",
    Reason.AVAILABILITY: "what is available",
    Reason.RAMP: "ramp from its metered output",
    Reason.RAMP_AHEAD: "ramp towards a period ahead",
    Reason.RESERVE: "reserve",
    Reason.GROUP: "group of units",
    Reason.CURTAILMENT: "curtailment penalty",
    Reason.CONGESTION: "congestion",
    Reason.CAPPED: "cap or floor",
    Reason.PRICING_RUN: "pricing run",
}


def show_merit(console: Console, found: Sequence[OutOfMerit]) -> None:
    """Show the units that do not run as their offers and the prices would have it, the largest first."""
    if not found:
        console.print("\nevery unit runs as its offer and the price would have it")
        return
    rows = [
        (
            one.unit,
            {"up": "runs", "down": "not taken"}[one.direction],
            f"{one.mw:,.2f}",
            f"{one.offer_per_mwh:,.2f}",
            f"{one.price_per_mwh:,.2f}",
            ", ".join((_WORDS[one.reason], *(share.label for share in one.limits))),
        )
        for one in sorted(found, key=lambda one: -one.mw)
    ]
    heading = ("unit", "", "MW", "offered at", "price", "because of")
    console.print()
    _table(console, "units out of merit, largest first", heading, rows, numbers=(2, 3, 4))


def show_diagnosis(console: Console, diagnosis: Diagnosis) -> None:
    """Show whether every limit can be kept, and which cannot be kept together."""
    console.print(f"\n{escape(diagnosis.detail)}", highlight=False)
    rows = [(limit.kind, limit.id, limit.outage or "", limit.side, f"{limit.mw:,.2f}") for limit in diagnosis.limits]
    _table(console, "cannot be kept together", ("kind", "id", "after outage of", "must be", "MW"), rows, numbers=1)


def _table(
    console: Console,
    title: str,
    heading: tuple[str, ...],
    rows: Sequence[tuple[str, ...]],
    *,
    numbers: int | tuple[int, ...],
    whole: bool = False,
    note: str = "",
) -> None:
    """Print a table; ``numbers`` are the columns that hold numbers, or how many of the last ones do. An outage column is shown if used."""
    if not rows:
        return
    last = range(len(heading) - numbers, len(heading)) if isinstance(numbers, int) else numbers
    shown = rows if whole else rows[:_ROWS_SHOWN]
    hidden = len(rows) - len(shown)
    caption = f"and {hidden} more; --json has all" if hidden > 0 else note
    table = Table(title=title, title_justify="left", caption=caption or None, caption_justify="left")
    kept = [k for k, name in enumerate(heading) if name != "after outage of" or any(row[k] for row in rows)]
    for k in kept:
        table.add_column(heading[k], justify="right" if k in last else "left")
    for row in shown:
        table.add_row(*(escape(row[k]) for k in kept))
    console.print(table)
