"""Which measurements are written to InfluxDB, with which tags, fields and units: the one schema.

The encoder (:mod:`streams.lineprotocol`), the dashboards and the documentation read this table; a name that is not in it is not
written. Names are an interface: they change with a line in the changelog and a note on migration.

Rules the table keeps (a test holds them), so that the same lines are taken by InfluxDB 1.8+, 2.x and 3 Core:

* Names are letters, digits, ``_`` and ``-``; no tag and field of a measurement share a name; none is called ``time``.
* A tag is something that is grouped by and bounded: an area, a device, a bus. Ids, texts, prices and instants are fields. Every tag of
  a measurement is on every line of it, as ``none`` where it does not apply, because 3 Core fixes the set of tags at the first line.
* A field keeps its type for ever. A quantity is always a float, also where it happens to be whole.
* Nothing is overwritten. A later version of the same interval is appended one nanosecond later, so that ``last()`` is the correction
  and the first version stays to be seen; the same line sent twice is stored once.

Instants are nanoseconds on the wire, the precision every server assumes when none is named, so a spool segment is a file that any
tool can load. Their resolution is the millisecond; what lies below it tells apart records of the same millisecond.

Telemetry has one line per element and instant, with the element's quantities as fields (``mw``, ``kv``, ``from_mw``). A line per device
would be wider still, but its fields would be named after points: a new field for every bus, no ``GROUP BY "element"``, and more
columns than the 500 a table of 3 Core may have. A device whose point list names many quantities of one element gets one wide line.

The tables stand in :mod:`streams.gridmeasurements`, :mod:`streams.marketmeasurements` and :mod:`streams.servicemeasurements`; everybody
reads them from here. ``docs/measurements.md`` is drawn from them (:mod:`streams.schemadoc`).

Deliberately absent: where the data go (:mod:`streams.influx`), and anything a dashboard can compute itself.
"""

from __future__ import annotations

from typing import Final

from streams.gridmeasurements import (
    ACCOUNT,
    BRANCH,
    BUS,
    FUEL,
    KPI,
    KPI_AREA,
    LINE_LOADING,
    SOURCE,
    TELEMETRY,
    TELEMETRY_1M,
    TOPOLOGY,
)
from streams.marketmeasurements import (
    ANNOUNCEMENT,
    BINDING,
    CASE,
    CERTIFICATE,
    CLEARING,
    DUTY,
    FINDING,
    LMP,
    MARKET,
    PRICE,
    SETTLEMENT,
)
from streams.schema import NONE, QUALITY_SUFFIX, Field, FieldType, Measurement, Tag
from streams.servicemeasurements import ALERT, DELIVERY, EVENT, PIPELINE, STAGE

__all__ = [
    "ACCOUNT",
    "ALERT",
    "ANNOUNCEMENT",
    "BINDING",
    "BRANCH",
    "BUS",
    "CASE",
    "CERTIFICATE",
    "CLEARING",
    "DELIVERY",
    "DUTY",
    "EVENT",
    "FINDING",
    "FUEL",
    "KPI",
    "KPI_AREA",
    "LINE_LOADING",
    "LMP",
    "MARKET",
    "MEASUREMENTS",
    "NONE",
    "PIPELINE",
    "PRICE",
    "QUALITY_SUFFIX",
    "SETTLEMENT",
    "SOURCE",
    "STAGE",
    "TELEMETRY",
    "TELEMETRY_1M",
    "TOPOLOGY",
    "Field",
    "FieldType",
    "Measurement",
    "Tag",
]

MEASUREMENTS: Final = (
    *(TELEMETRY, TELEMETRY_1M, SOURCE, ACCOUNT),
    *(KPI, KPI_AREA, FUEL, LINE_LOADING, BRANCH, BUS, TOPOLOGY),
    *(CLEARING, CERTIFICATE, LMP, BINDING, PRICE, SETTLEMENT),
    *(MARKET, EVENT, FINDING, CASE, DUTY, ANNOUNCEMENT),
    *(ALERT, DELIVERY),
    *(PIPELINE, STAGE),
)
"""Every measurement, in the order it is documented."""
