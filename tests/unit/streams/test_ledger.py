"""Records are kept once, whatever is delivered again, and two histories are never kept side by side."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from market.decisions import GENESIS, Announcement, Decision, DecisionBody, DutySettled, FindingNoted, chained
from market.errors import ConfigError
from market.facts import Segment
from market.outcomes import Certificate, Cleared, ClearingFailed, FailureReason, OutcomeStatus
from market.prices import PriceInForce, Regime
from market.units import NS_PER_MIN, instant_ns
from streams.errors import SinkRejected, SinkUnavailable
from streams.ledger import AsyncLedger, Ledger, sqlite_url

NOON = instant_ns("2026-06-10T12:00:00+08:00")
QUARTER = 15 * NS_PER_MIN


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    book = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    yield book
    book.close()


def notice(number: int) -> Announcement:
    return Announcement(
        number=f"RT-2026-06-10-{number:02d}",
        announcement_kind="TRIP",
        segment=Segment.RT,
        subject="trip",
        supersedes="",
        published_at_ns=NOON,
        text_zh="实时市场熔断",
        text_en="tripped",
        facts={"cause": "RT_120", "至": "另行通知"},
    )


def chain(*bodies: DecisionBody) -> list[Decision]:
    links: list[Decision] = []
    for seq, body in enumerate(bodies, start=1):
        prev_hash = links[-1].hash if links else GENESIS
        links.append(chained(body, seq=seq, ts_event_ns=NOON + seq, rule_set="gd/r1", prev_hash=prev_hash))
    return links


CHAIN = chain(
    FindingNoted(finding="SOURCE_DOWN", article="policy", evidence=("scada", "since 11:58")),
    notice(1),
    DutySettled(duty="explain", segment=Segment.RT, outcome="met", margin_s=0.1 + 0.2),
    notice(2),
)


def price(rev: int = 0, value: float | None = 388.1, start_ns: int = NOON, segment: Segment = Segment.RT) -> PriceInForce:
    return PriceInForce(
        ts_event_ns=NOON,
        segment=segment,
        interval_start_ns=start_ns,
        regime=Regime.MARKET,
        price_cny_per_mwh=value,
        rev=rev,
        source="clearing:1",
        provisional=False,
        rule_set="gd/r1",
    )


def test_decisions_come_back_as_they_were_and_their_chain_holds(ledger: Ledger) -> None:
    assert ledger.record_decisions(CHAIN) == 4
    assert ledger.decisions() == CHAIN
    assert ledger.decisions(3) == CHAIN[2:]
    assert ledger.last_seq() == 4
    assert ledger.broken_at() is None


def test_an_empty_ledger(ledger: Ledger) -> None:
    assert (ledger.last_seq(), ledger.decisions(), ledger.announcements(), ledger.broken_at()) == (0, [], [], None)
    assert ledger.record_decisions([]) == 0


def test_decisions_delivered_again_are_recorded_once(ledger: Ledger) -> None:
    ledger.record_decisions(CHAIN[:3])
    assert ledger.record_decisions(CHAIN) == 1
    assert ledger.decisions() == CHAIN


def test_another_decision_of_the_same_number_is_refused_and_nothing_of_the_call_is_kept(ledger: Ledger) -> None:
    ledger.record_decisions(CHAIN[:2])
    other = chained(FindingNoted(finding="OTHER", article="", evidence=()), seq=2, ts_event_ns=NOON, rule_set="r", prev_hash=CHAIN[0].hash)
    with pytest.raises(SinkRejected, match="decisions: seq 2 is recorded already, with other content"):
        ledger.record_decisions([CHAIN[2], other])
    assert ledger.decisions() == CHAIN[:2]


def test_another_decision_that_announces_under_a_used_number_is_refused(ledger: Ledger) -> None:
    ledger.record_decisions(CHAIN[:2])
    again = chained(notice(1), seq=3, ts_event_ns=NOON, rule_set="r", prev_hash=CHAIN[1].hash)
    with pytest.raises(SinkRejected, match="announcements: number RT-2026-06-10-01 is recorded already"):
        ledger.record_decisions([again])
    assert ledger.last_seq() == 2


def test_a_record_that_was_altered_in_the_database_breaks_the_chain(ledger: Ledger, tmp_path: Path) -> None:
    ledger.record_decisions(CHAIN)
    with sqlite3.connect(tmp_path / "ledger.db") as connection:
        connection.execute("UPDATE decisions SET body = replace(body, 'explain', 'announce') WHERE seq = 3")
    connection.close()
    broken = ledger.broken_at()
    assert broken is not None
    assert broken.seq == 3


def test_the_notice_of_a_trading_session_is_about_no_segment_and_comes_back_so(ledger: Ledger) -> None:
    told = replace(notice(1), number="AN-2026-06-10-01", announcement_kind="ANOMALY", segment=None)
    ledger.record_decisions([chained(told, seq=1, ts_event_ns=NOON, rule_set="x", prev_hash=GENESIS)])
    assert ledger.announcements() == [told]
    assert ledger.broken_at() is None


def test_announcements_are_listed_newest_first(ledger: Ledger) -> None:
    ledger.record_decisions(CHAIN)
    assert ledger.announcements() == [notice(2), notice(1)]
    assert ledger.announcements(last=1) == [notice(2)]


def test_the_last_revision_is_the_price(ledger: Ledger) -> None:
    later = NOON + QUARTER
    prices = [price(0), price(1, 390.0), price(2, None), price(0, 401.5, later), price(0, 77.0, NOON, Segment.DA)]
    assert ledger.record_prices(prices) == 5
    assert ledger.record_prices(reversed(prices)) == 0
    assert ledger.prices(Segment.RT, NOON, later + 1) == [price(2, None), price(0, 401.5, later)]
    assert ledger.prices(Segment.RT, NOON, later) == [price(2, None)]
    assert ledger.prices(Segment.DA, NOON, later) == [price(0, 77.0, NOON, Segment.DA)]


def test_another_price_of_the_same_revision_is_refused(ledger: Ledger) -> None:
    ledger.record_prices([price(0)])
    with pytest.raises(SinkRejected, match="prices: segment RT, interval_start_ns 1781064000000000000, rev 0"):
        ledger.record_prices([replace(price(0), price_cny_per_mwh=388.2)])


def test_outcomes_are_counted_by_status(ledger: Ledger) -> None:
    cleared = Cleared(
        interval_start_ns=NOON,
        completed_at_ns=NOON,
        status=OutcomeStatus.OK,
        objective_per_h=1.0,
        penalty_per_h=0.0,
        dispatch_mw={},
        lmp_per_mwh={},
        energy_per_mwh=388.0,
        congestion_per_mwh={},
        flow_mw={},
        uniform_price_per_mwh=388.0,
        certificate=Certificate(passed=True, residuals={}),
    )
    failed = ClearingFailed(interval_start_ns=NOON + QUARTER, completed_at_ns=NOON, reason=FailureReason.INPUT_STALE, detail="rtu1")
    assert ledger.record_outcomes([cleared, failed, replace(cleared, version=2)]) == 3
    assert ledger.record_outcomes([cleared, failed]) == 0
    assert ledger.outcome_counts(NOON, NOON + 2 * QUARTER) == {"OK": 2, "FAILED": 1}
    assert ledger.outcome_counts(NOON + QUARTER, NOON + 2 * QUARTER) == {"FAILED": 1}


def test_the_ledger_survives_being_closed(ledger: Ledger, tmp_path: Path) -> None:
    ledger.record_decisions(CHAIN)
    ledger.close()
    again = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    assert again.decisions() == CHAIN
    again.close()


def test_the_async_ledger_does_the_same(ledger: Ledger) -> None:
    async def story() -> int:
        book = AsyncLedger(ledger)
        assert await book.record_decisions(CHAIN) == 4
        assert await book.record_prices([price()]) == 1
        assert await book.record_outcomes([]) == 0
        seq = await book.do(lambda inner: inner.last_seq())
        await book.close()
        return seq

    assert asyncio.run(story()) == 4


@pytest.mark.parametrize(
    ("url", "why"), [("nonsense", "cannot be used"), ("nodb://x/y", "cannot be used"), ("oracle+oracledb://x/y", "cannot be used")]
)
def test_a_url_that_cannot_be_used_is_a_configuration_error(url: str, why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        Ledger(url)


def test_a_database_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    with pytest.raises(SinkUnavailable, match="unable to open database file"):
        Ledger(f"sqlite:///{tmp_path / 'no' / 'such' / 'directory' / 'ledger.db'}")


@pytest.mark.parametrize("name", ["100%", "a?b", "a#b", "a b", "数据", "file:x"])
def test_a_path_may_hold_any_sign(tmp_path: Path, name: str) -> None:
    path = tmp_path / name / "ledger.sqlite"
    path.parent.mkdir()
    written = Ledger(sqlite_url(path))
    assert written.last_seq() == 0
    written.close()
    assert path.exists()
    assert [found.name for found in tmp_path.iterdir()] == [name], "and nothing beside it"
    read = Ledger.to_read(path)
    assert read.last_seq() == 0
    read.close()


def test_a_password_is_not_told() -> None:
    with pytest.raises(ConfigError) as caught:
        Ledger("nodb://user:s3cret@host/db")
    assert "s3cret" not in str(caught.value)


def test_a_ledger_of_an_older_release_gets_the_columns_it_lacks(tmp_path: Path) -> None:
    path, old = tmp_path / "old.db", price()
    first = Ledger(f"sqlite:///{path}")
    first.record_prices([old])
    first.close()
    with sqlite3.connect(path) as connection:
        connection.execute("ALTER TABLE prices DROP COLUMN clearing_start_ns")
        connection.execute("ALTER TABLE prices DROP COLUMN by_analogy")
    connection.close()
    again = Ledger(f"sqlite:///{path}")
    assert again.record_prices([old]) == 0, "what was recorded then is the same record now"
    later = replace(price(rev=1), clearing_start_ns=NOON - QUARTER, by_analogy=True)
    assert again.record_prices([later]) == 1
    assert again.prices(Segment.RT, NOON, NOON + 1) == [later]
    again.close()
