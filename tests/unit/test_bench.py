"""The pure parts of the benchmark: its input, its reference, its arithmetic and its tables."""

from __future__ import annotations

from itertools import islice
from typing import NamedTuple

import orjson
import pytest

from tests.bench import data, hop, job, latency, product, report
from tests.bench.figures import (
    BenchError,
    Latency,
    Sample,
    Throughput,
    bucket_quantile,
    quantile,
    second_half,
    spread,
)
from tests.bench.journey.state import Account
from tests.bench.setup import FULL


class Record(NamedTuple):
    """What a reader of account-journeys sees."""

    partition: int
    value: bytes | None


def touch(number: int, channel: str = "email", kind: str = "page_view", at: int = 0) -> dict[str, object]:
    return {
        "event_id": f"t{number}", "type": kind, "occurred_at": at, "account_id": "a", "channel": channel,
    }  # fmt: skip


def test_input_is_a_function_of_its_seed():
    first = list(data.touches(1, 500, 20))
    assert first == list(data.touches(1, 500, 20))
    assert first != list(data.touches(2, 500, 20))


def test_touches_of_the_journey_job_have_the_described_size_and_duplicates():
    touches = list(data.touches(3, 20_000, 1_000))
    sizes = [len(value) for _, value in touches]
    ids = {orjson.loads(value)["event_id"] for _, value in touches}
    assert 270 < sum(sizes) / len(sizes) < 310
    assert 0.005 < 1 - len(ids) / len(touches) < 0.015


def test_visits_come_in_order_and_once():
    events = [
        orjson.loads(value) for _, value in islice(data.visits(1, 50, data.spread_over_span(1_000)), 1_000)
    ]
    times = [event["occurred_at"] for event in events]
    assert times == sorted(times)
    assert times[0] >= data.END_MS - data.SPAN_MS
    assert times[-1] <= data.END_MS
    assert len({event["event_id"] for event in events}) == 1_000


def test_shares_are_two_fifths_for_the_first_and_the_last_touch():
    state = job.new_state()
    assert job.fold(state, touch(1, "email"))["shares"] == {"email": 1.0}
    assert job.fold(state, touch(2, "direct"))["shares"] == {"email": 0.5, "direct": 0.5}
    assert job.fold(state, touch(3, "webinar"))["shares"] == {"email": 0.4, "direct": 0.2, "webinar": 0.4}


def test_energy_halves_in_two_weeks_and_a_late_touch_has_lost_its_part():
    state = job.new_state()
    job.fold(state, touch(1, kind="meeting", at=job.HALF_LIFE_MS))
    assert job.fold(state, touch(2, kind="chat", at=2 * job.HALF_LIFE_MS))["energy"] == 9.0
    assert job.fold(state, touch(3, kind="chat", at=job.HALF_LIFE_MS))["energy"] == 10.5


def test_a_duplicate_changes_nothing_and_is_marked():
    state = job.new_state()
    row = job.fold(state, touch(1))
    assert job.fold(state, touch(1)) == row | {"duplicate": True}


def test_an_account_keeps_its_newest_touches():
    state = job.new_state()
    rows = [job.fold(state, touch(number)) for number in range(job.KEEP + 2)]
    assert (rows[-1]["kept"], rows[-1]["touches"], rows[-1]["first_touch_id"]) == (
        job.KEEP,
        job.KEEP + 2,
        "t2",
    )


def test_the_compact_state_of_the_engine_gives_the_rows_of_the_reference():
    states: dict[bytes, job.State] = {}
    accounts: dict[bytes, Account] = {}
    for key, value in data.touches(5, 4_000, 30):
        event = orjson.loads(value)
        wanted = job.fold(states.setdefault(key, job.new_state()), event)
        assert job.same(accounts.setdefault(key, Account()).apply(event), wanted)


def test_the_check_finds_a_missing_row_and_a_wrong_one():
    records = list(data.touches(7, 200, 5))
    wanted = job.reference(records)
    states: dict[bytes, job.State] = {}
    rows = [job.fold(states.setdefault(k, job.new_state()), orjson.loads(v)) for k, v in records]
    assert job.differences(rows, 200, wanted) == ""
    assert "199 rows for 200 events" in job.differences(rows[:-1], 200, wanted)
    wrong = [*rows[:-1], rows[-1] | {"energy": rows[-1]["energy"] + 1}]
    assert "1 of 5 accounts end wrong" in job.differences(wrong, 200, wanted)


def test_the_rate_is_that_of_the_second_half():
    samples = [
        Sample(0, (0, 0), 1),
        Sample(10, (30, 20), 2),
        Sample(12, (40, 30), 3),
        Sample(15, (50, 50), 4),
    ]
    found = second_half("x", 100, samples, lambda ends: sum(ends) / 100)
    assert found == Throughput("x", 100, per_second=10.0, cpu_us=2 / 50 * 1e6)


def test_a_second_half_between_two_looks_begins_at_the_earlier_one():
    samples = [Sample(0, (0,), 1), Sample(4, (40,), 2), Sample(10, (100,), 5)]
    found = second_half("x", 100, samples, lambda ends: sum(ends) / 100)
    assert found == Throughput("x", 100, per_second=10.0, cpu_us=3 / 60 * 1e6)


def test_no_rate_without_the_whole():
    samples = [Sample(0, (0,), 0), Sample(1, (60,), 1)]
    with pytest.raises(BenchError, match=r"60\.0%"):
        second_half("x", 100, samples, lambda ends: sum(ends) / 100)


def test_quantiles_of_values_and_of_buckets():
    assert quantile(range(100), 0.5) == 50
    assert quantile(range(100), 0.99) == 99
    buckets = {0.01: 0.0, 0.02: 50.0, 0.05: 100.0, float("inf"): 100.0}
    assert bucket_quantile(buckets, 0.25) == pytest.approx(0.015)
    assert bucket_quantile(buckets, 0.99) == pytest.approx(0.0494)
    with pytest.raises(BenchError):
        bucket_quantile({0.01: 0.0, float("inf"): 0.0}, 0.5)


def test_a_touch_is_answered_by_the_first_row_that_counts_it():
    sent = [(0, "a", 1), (1_000_000, "a", 2), (2_000_000, "a", 3), (2_000_000, "b", 1)]
    seen = [(5_000_000, "a", 2), (9_000_000, "a", 3), (4_000_000, "b", 1)]
    assert latency.match_answers(sent, seen) == [5.0, 4.0, 7.0, 2.0]
    with pytest.raises(BenchError, match="touch 2 of b"):
        latency.match_answers([(0, "b", 2)], seen)


def test_answered_touches_are_counted_by_the_rows_that_are_visible():
    def row(account: str, touches: int) -> bytes:
        return orjson.dumps({"account_id": account, "touches": touches})

    records = [Record(0, row("a", 1)), Record(0, row("a", 4)), Record(0, row("a", 4)), Record(1, row("b", 2))]
    answered = product.answered_touches([*records, Record(1, None)])
    assert [answered(ends) for ends in ((0, 0), (1, 0), (2, 1), (3, 2))] == [0, 1, 6, 6]


def test_a_spread_is_the_median_with_its_range():
    assert spread([30_000.4]) == "30,000"
    assert spread([3.0, 1.0, 2.0], 1) == "2.0 (1.0-3.0)"


def test_the_page_holds_medians_ranges_and_ratios_round_by_round():
    results = report.Results()
    for rates in ((1_000.0, 20_000.0, 30_000.0), (2_000.0, 20_000.0, 40_000.0)):
        for entry, rate in zip(hop.ENTRIES, rates, strict=True):
            results.add(Throughput(entry.line, FULL.events, rate, 25.0))
        results.add(Throughput(product.IN_ORDER, FULL.visits, rates[0], 80.0))
        results.add(Latency(latency.FLOOR, 2_000.0, 5.0, 10.0))
        results.add(Latency(latency.PRODUCT, 2_000.0, rates[0] / 100, 30.0, 9.0, 28.0))
    page = report.document(results, FULL, 2, "2 cores")
    engine = (
        "| headwater engine | 200,000 | 35,000 (30,000-40,000) | 1.75 (1.50-2.00) | 25.00 (20.00-30.00) |"
    )
    assert engine in page
    assert "| touches in order | 120,000 | 1,500 (1,000-2,000) | 80.0 (80.0-80.0) |" in page
    assert (
        "| two hops by hand (aiokafka) | 2,000 (2,000-2,000) | 5.0 (5.0-5.0) | 10.0 (10.0-10.0) | - | - |"
        in page
    )
    assert "| 15.0 (10.0-20.0) | 30.0 (30.0-30.0) | 9.0 (9.0-9.0) | 28.0 (28.0-28.0) |" in page
    assert product.CONVERSIONS + " |" not in page
    prose = [line for line in page.splitlines() if not line.startswith("|")]
    assert max(map(len, prose)) <= 125
