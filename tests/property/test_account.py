"""Whatever is made, sent, lost and left out, in whatever order: what was due is what came and what was lost, to the sample."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ingest.account import INTERVAL_NS, DeviceAccount, Ledger, LostReason
from market.units import NS_PER_MS, NS_PER_S, instant_ns

NOON = instant_ns("2026-06-10T12:00:00Z")
QUALITIES = (0, 0, 0, 0x40950000, 0x80310000)

PERIODS = st.lists(st.sampled_from([1, 4, 30, 60, 90, 600]), min_size=1, max_size=4)
STEPS = st.lists(
    st.tuples(
        st.sampled_from([1, 700, 4_000, 61_000, 400_000]),
        st.sampled_from(["make", "make", "make", "send", "send", "lose", "close"]),
        st.lists(st.integers(0, 3), min_size=1, max_size=5),
    ),
    max_size=60,
)


@given(PERIODS, STEPS, st.booleans(), st.integers(0, 59))
def test_the_account_balances(every_s: list[int], steps: list[tuple[int, str, list[int]]], polled: bool, began_s: int) -> None:
    ids = np.arange(len(every_s), dtype=np.uint64)
    ledger = Ledger("d", ids, np.array(every_s, dtype=np.int64) * NS_PER_S if polled else None, LostReason.NOT_POLLED)
    now_ns = began_ns = NOON + began_s * NS_PER_S
    ledger.begin(now_ns)
    waiting: list[tuple[int, int]] = []
    made = sent = lost = 0
    closed: list[tuple[int, int, DeviceAccount]] = []
    for passed_ms, what, rows in steps:
        now_ns += passed_ms * NS_PER_MS
        if what == "make":
            ledger.made(ids[[row % len(ids) for row in rows]], now_ns)
            waiting.append((now_ns, len(rows)))
            made += len(rows)
        elif what == "send" and waiting:
            made_ns, samples = waiting.pop(0)
            ledger.sent(made_ns, np.array([QUALITIES[row] for row in range(samples)], dtype=np.uint32))
            sent += samples
        elif what == "lose" and waiting:
            made_ns, samples = waiting.pop(0)
            ledger.dropped(made_ns, samples, LostReason.QUEUE_FULL)
            lost += samples
        elif what == "close":
            closed += ledger.close(now_ns)
    closed += ledger.close(now_ns + 1, final=True)
    assert [to_ns for _, to_ns, _ in closed[:-1]] == [from_ns for from_ns, _, _ in closed[1:]], "one after the other, without a hole"
    assert all(to_ns % INTERVAL_NS == 0 for _, to_ns, _ in closed[:-1])
    assert (closed[0][0], closed[-1][1]) == (began_ns, now_ns + 1)
    accounts = [account for _, _, account in closed]
    for account in accounts:
        assert account.expected == account.good + account.uncertain + account.bad + account.lost_in_all
    reasons = {reason: sum(account.lost.get(reason, 0) for account in accounts) for reason in LostReason}
    assert sum(account.good + account.uncertain + account.bad for account in accounts) == sent
    assert reasons[LostReason.QUEUE_FULL] == lost
    assert reasons[LostReason.STOPPED] == made - sent - lost
    assert {reason: count for reason, count in reasons.items() if count} == {r: c for r, c in ledger.lost.items() if c}
    assert sum(account.expected for account in accounts) == ledger.expected
    if not polled:
        assert reasons[LostReason.NOT_POLLED] == 0


@given(st.sampled_from([1, 4, 30, 90]), st.sets(st.integers(0, 80)), st.lists(st.floats(0.0, 0.45), min_size=81, max_size=81))
def test_what_was_skipped_is_missed_to_the_sample_however_polls_wander(every_s: int, skipped: set[int], late: list[float]) -> None:
    """Polls that come late by up to nearly half a period; of those left out each one is counted, and no other."""
    period_ns = every_s * NS_PER_S
    ledger = Ledger("d", np.array([5], dtype=np.uint64), np.array([period_ns]), LostReason.NOT_POLLED)
    ledger.begin(NOON)
    point = np.array([5], dtype=np.uint64)
    ledger.made(point, NOON)
    ledger.sent(NOON, np.zeros(1, dtype=np.uint32))
    for k in range(1, 81):
        if k not in skipped or k == 80:
            # A poll never comes early, and one after another that was late is nearer to it.
            at_ns = NOON + k * period_ns + int(late[k] * period_ns / 2)
            ledger.made(point, at_ns)
            ledger.sent(at_ns, np.zeros(1, dtype=np.uint32))
        ledger.close(NOON + k * period_ns + period_ns // 4)
    assert ledger.lost[LostReason.NOT_POLLED] == len(skipped - {0, 80})
    assert ledger.expected == 81


@given(
    st.lists(st.sampled_from([1, 4, 4, 4, 90]), min_size=1, max_size=3),
    st.lists(st.tuples(st.sampled_from([0, 900, 1_000, 3_900, 4_100, 6_100, 61_000, 400_000]), st.integers(0, 3)), max_size=40),
)
def test_columns_that_nobody_can_write_to_are_accounted_for_as_others_are(every_s: list[int], steps: list[tuple[int, int]]) -> None:
    """They are told by themselves, and a device whose points all come together keeps one time for them."""
    fixed = [np.arange(len(every_s), dtype=np.uint64), np.array([0], dtype=np.uint64), np.arange(len(every_s), dtype=np.uint64)]
    for column in fixed:
        column.flags.writeable = False
    period_ns = np.array(every_s, dtype=np.int64) * NS_PER_S
    one, other = (Ledger("d", fixed[0].copy(), period_ns, LostReason.NOT_POLLED) for _ in range(2))
    one.begin(NOON)
    other.begin(NOON)
    now_ns = NOON
    for passed_ms, what in steps:
        now_ns += passed_ms * NS_PER_MS
        if what == len(fixed):
            assert one.close(now_ns) == other.close(now_ns)
            continue
        one.made(fixed[what], now_ns)
        other.made(fixed[what].copy(), now_ns)
        for ledger in (one, other):
            ledger.sent(now_ns, np.zeros(len(fixed[what]), dtype=np.uint32))
        assert (one.expected, one.lost) == (other.expected, other.lost)
    assert one.close(now_ns + 1, final=True) == other.close(now_ns + 1, final=True)
