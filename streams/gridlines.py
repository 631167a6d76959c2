"""How do records of the grid become lines: key figures, accounts of samples, pictures of branches and buses?"""

from __future__ import annotations

from typing import Final

from ingest.account import LostReason
from streams import measurements as m
from streams.accounts import AreaAccounts
from streams.gridpicture import GridPicture
from streams.kpis import KpiFrame
from streams.lineprotocol import line, ms

__all__ = ["encode_accounts", "encode_kpis", "encode_picture"]

_LOST_REASONS: Final = frozenset(LostReason)


def encode_kpis(frame: KpiFrame) -> bytes:
    """Encode key figures: system, areas, fuels, the most loaded branches and the health of the sources."""
    ts_ns = ms(frame.ts_event_ns)
    lines = [line(m.KPI, ts_ns, {}, {**frame.system, "lines_open": len(frame.lines_open)})]
    lines += [line(m.KPI_AREA, ts_ns, {"area": area}, figures) for area, figures in frame.areas.items()]
    lines += [line(m.FUEL, ts_ns, {"fuel": fuel}, {"generation_mw": mw}) for fuel, mw in frame.generation_mw_by_fuel.items()]
    lines += [
        line(m.LINE_LOADING, ts_ns, {"branch": worst.branch}, {"flow_mw": worst.flow_mw, "loading_pct": worst.loading_pct})
        for worst in frame.worst_lines
    ]
    lines += [
        line(
            m.SOURCE,
            ts_ns,
            {"area": source.area, "dev": source.source},
            {
                "state": source.state,
                "age_s": source.age_s,
                "age_p95_s": frame.freshness_s_by_source.get(source.source),
                "points": source.points,
                "good": source.good,
            },
        )
        for source in frame.sources
    ]
    return b"".join(lines)


def encode_accounts(accounts: AreaAccounts) -> bytes:
    """Encode what became of the samples of an area's devices in one interval."""
    ts_ns = ms(accounts.from_ns)
    lines = []
    for device in accounts.devices:
        values: dict[str, float | int | str | None] = {
            "expected": device.expected,
            "good": device.good,
            "uncertain": device.uncertain,
            "bad": device.bad,
            "late": device.late,
            "lost": device.lost_in_all,
        }
        # Only reasons of this release have a field; the sum has all of them.
        values |= {f"lost_{reason}": samples for reason, samples in device.lost.items() if reason in _LOST_REASONS}
        lines.append(line(m.ACCOUNT, ts_ns, {"area": accounts.area, "dev": device.device}, values))
    return b"".join(lines)


def encode_picture(picture: GridPicture) -> bytes:
    """Encode how the grid stands: its branches, its buses, and how it hangs together."""
    ts_ns, branches, buses = ms(picture.ts_event_ns), picture.branches, picture.buses
    columns = zip(branches.branch, branches.flow_mw, branches.loading_pct, branches.closed, strict=True)
    lines = [
        line(m.BRANCH, ts_ns, {"branch": name}, {"flow_mw": mw, "loading_pct": pct, "closed": closed}) for name, mw, pct, closed in columns
    ]
    lines += [
        line(m.BUS, ts_ns, {"area": area, "bus": bus}, {"energised": island > 0, "island": island, "kv_pu": kv_pu})
        for bus, area, island, kv_pu in zip(buses.bus, buses.area, buses.island, buses.kv_pu, strict=True)
    ]
    whole: dict[str, float | int | None] = {
        "islands": picture.islands,
        "branches_open": picture.branches_open,
        "buses_dead": picture.buses_dead,
        "load_lost_mw": picture.load_lost_mw,
        "observability_pct": picture.observability_pct,
    }
    lines.append(line(m.TOPOLOGY, ts_ns, {"segment": m.NONE}, whole))
    return b"".join(lines)
