"""Which record becomes which lines? Everything that is shown to sinks, in one place.

A :class:`RecordLines` remembers little: the results of recent intervals, by which amounts are reckoned when the price of an interval
comes, the minutes of :class:`streams.rollups.Rollups`, and what :class:`streams.breakerlines.BreakerLines` remembers. After a restart
they are told the newest records again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from ingest.bundle import FrameBundle, frames_of
from ingest.frame import TelemetryFrame
from ingest.points import PointTable
from market.decisions import Decision
from market.facts import Segment
from market.outcomes import Cleared, ClearingFailed
from market.prices import PriceInForce
from market.view import MarketView
from streams import gridlines, marketlines, servicelines
from streams.accounts import AreaAccounts
from streams.alerts import Alert
from streams.breakerlines import BreakerLines
from streams.gridpicture import GridPicture
from streams.indicative import Places, indicative
from streams.kpis import KpiFrame
from streams.marketmodel import MarketModel
from streams.processreport import ProcessReport, SolveTimed
from streams.rollups import Rollups
from streams.telemetrylines import TelemetryEncoder

__all__ = ["RecordLines"]

_RESULTS_KEPT: Final = 64
"""Intervals whose results wait for a price, or stand in for one: some five hours."""
_PRICES_KEPT: Final = 1_024
"""Intervals whose prices wait for a result: the two are on topics of their own, and where much is to be made up either comes first."""


class RecordLines:
    """Makes the lines of records.

    Args:
        telemetry: encodes frames.
        zone: the market's zone, for texts.
        area_of_bus: control area by bus.
        places: where units, storages and branches stand.
        interval_ns: length of an interval of the real-time market.
        rollups: rolls frames up, or None where nobody wants that.
    """

    def __init__(
        self,
        telemetry: TelemetryEncoder,
        zone: str,
        *,
        area_of_bus: Mapping[str, str] | None = None,
        places: Places | None = None,
        interval_ns: int = 0,
        rollups: Rollups | None = None,
    ) -> None:
        self._telemetry = telemetry
        self._breaker = BreakerLines(zone)
        self._area_of_bus = area_of_bus or {}
        self._places = places or Places(units={}, storages={}, branches={})
        self._interval_ns = interval_ns
        self._rollups = rollups
        self._results: dict[int, Cleared] = {}
        self._unsettled: dict[int, PriceInForce] = {}

    @classmethod
    def of(cls, model: MarketModel, rollups: Rollups | None = None) -> RecordLines:
        """Make the lines of one market."""
        grid = model.grid
        storages = {storage.id: storage.bus for storage in model.engine.participants.storages.storages}
        return cls(
            TelemetryEncoder(grid.table),
            grid.rules.zone,
            area_of_bus=model.area_of_bus,
            places=Places.of(grid.network, grid.units, storages),
            interval_ns=grid.rules.rt_interval_ns,
            rollups=rollups,
        )

    @property
    def left_out(self) -> int:
        """Good samples that are in no roll-up."""
        return 0 if self._rollups is None else self._rollups.left_out

    def relist(self, telemetry: TelemetryEncoder, table: PointTable) -> None:
        """Encode frames by other points from now on."""
        self._telemetry = telemetry
        if self._rollups is not None:
            self._rollups.relist(table)

    def recall(self, record: Any) -> None:
        """Remember what later records depend on, of one that was written before."""
        if isinstance(record, Cleared | MarketView | Decision | PriceInForce):
            self.of_record(record)

    def of_record(self, record: Any) -> bytes:
        """Return the lines of a record; none where nothing of it is written. Of telemetry these are the raw ones."""
        match record:
            case TelemetryFrame() | FrameBundle():
                return b"".join(self._telemetry.encode(frame).data for frame in frames_of(record))
            case KpiFrame():
                return gridlines.encode_kpis(record)
            case GridPicture():
                return gridlines.encode_picture(record)
            case AreaAccounts():
                return gridlines.encode_accounts(record)
            case MarketView():
                return self._breaker.market(record)
            case Cleared():
                self._remember(record)
                return marketlines.encode_outcome(record, area_of_bus=self._area_of_bus) + self._settled(record.interval_start_ns)
            case ClearingFailed():
                return marketlines.encode_outcome(record)
            case SolveTimed():
                return marketlines.encode_solve(record)
            case PriceInForce():
                return marketlines.encode_price(record) + self._amounts(record)
            case Decision():
                return self._breaker.decision(record)
            case Alert():
                return servicelines.encode_alert(record)
            case ProcessReport():
                return servicelines.encode_report(record)
            case _:
                return b""

    def rolled_up(self, record: TelemetryFrame | FrameBundle) -> bytes:
        """Return the roll-ups that a record of telemetry makes due, mostly none; each record is to be told once, if the log permits."""
        rollups = self._rollups
        return b"" if rollups is None else b"".join(map(rollups.take, frames_of(record)))

    def _remember(self, cleared: Cleared) -> None:
        known = self._results.get(cleared.interval_start_ns)
        if known is None or known.version <= cleared.version:
            self._results[cleared.interval_start_ns] = cleared
        while len(self._results) > _RESULTS_KEPT:
            del self._results[min(self._results)]

    def _amounts(self, price: PriceInForce) -> bytes:
        """Return what the interval comes to at this price; prices of day-ahead periods have no schedule of their own here."""
        if price.segment is not Segment.RT:
            return b""
        own = self._results.get(price.interval_start_ns)
        standing_in = None if price.clearing_start_ns is None else self._results.get(price.clearing_start_ns)
        self._unsettled.pop(price.interval_start_ns, None)
        if standing_in is None and (own is None or price.clearing_start_ns is not None):
            self._unsettled[price.interval_start_ns] = price
            while len(self._unsettled) > _PRICES_KEPT:
                del self._unsettled[min(self._unsettled)]
        return marketlines.encode_amounts(price, indicative(price, own, standing_in, self._places, self._interval_ns))

    def _settled(self, start_ns: int) -> bytes:
        """Return what intervals come to whose prices were shown before the result of this one, which they are of."""
        waiting = [price for price in self._unsettled.values() if start_ns in (price.interval_start_ns, price.clearing_start_ns)]
        return b"".join(map(self._amounts, waiting))
