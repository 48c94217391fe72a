"""The pure parts of the benchmark: its input, its reference, its arithmetic and its tables."""

from __future__ import annotations

import asyncio
from itertools import islice
from typing import NamedTuple

import orjson
import pytest

from tests.bench import cost, data, flow, hop, job, product, profile, report
from tests.bench.cluster import Found
from tests.bench.figures import (
    BenchError,
    Sample,
    Throughput,
    bucket_quantile,
    quantile,
    rate_of,
    resumed,
    spread,
)
from tests.bench.journey.state import Account
from tests.bench.steps import Rounds, Steps

BEGIN_MS = data.END_MS - 30 * data.DAY_MS


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
        orjson.loads(value)
        for _, value in islice(data.visits(1, 50, data.evenly(1_000, BEGIN_MS, data.END_MS)), 1_000)
    ]
    times = [event["occurred_at"] for event in events]
    assert times == sorted(times)
    assert times[0] >= BEGIN_MS
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


def test_fewer_touches_are_kept_when_the_data_set_says_so():
    records = list(data.touches(7, 200, 5))
    assert max(row["kept"] for row in job.reference(records, 10).values()) == 10
    assert max(row["kept"] for row in job.reference(records, 1_000).values()) > 30


def test_the_rate_is_that_of_the_rate_of():
    samples = [
        Sample(0, (0, 0), 1),
        Sample(10, (30, 20), 2),
        Sample(12, (40, 30), 3),
        Sample(15, (50, 50), 4),
    ]
    found = rate_of("x", 100, samples, lambda ends: sum(ends) / 100)
    assert found == Throughput("x", 100, per_second=10.0, cpu_us=2 / 50 * 1e6)


def test_a_second_half_between_two_looks_begins_at_the_earlier_one():
    samples = [Sample(0, (0,), 1), Sample(4, (40,), 2), Sample(10, (100,), 5)]
    found = rate_of("x", 100, samples, lambda ends: sum(ends) / 100)
    assert found == Throughput("x", 100, per_second=10.0, cpu_us=3 / 60 * 1e6)


def test_the_share_that_is_warm_up_can_be_chosen():
    samples = [Sample(0, (0,), 1), Sample(1, (20,), 2), Sample(5, (100,), 4)]
    found = rate_of("x", 100, samples, lambda ends: sum(ends) / 100, after=0.1, rss_mb=7.0)
    assert found == Throughput("x", 100, per_second=20.0, cpu_us=2 / 80 * 1e6, rss_mb=7.0)


def test_no_rate_without_the_whole():
    samples = [Sample(0, (0,), 0), Sample(1, (60,), 1)]
    with pytest.raises(BenchError, match=r"60\.0%"):
        rate_of("x", 100, samples, lambda ends: sum(ends) / 100)


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
    answers = flow.match_answers(sent, seen)
    assert [answer.ms for answer in answers] == [5.0, 4.0, 7.0, 2.0]
    assert flow.waits(answers, 1_000_000, 2_000_000) == [4.0]
    with pytest.raises(BenchError, match="touch 2 of b"):
        flow.match_answers([(0, "b", 2)], seen)


def test_answered_touches_are_counted_by_the_rows_that_are_visible():
    def row(account: str, touches: int) -> bytes:
        return orjson.dumps({"account_id": account, "touches": touches})

    records = [Record(0, row("a", 1)), Record(0, row("a", 4)), Record(0, row("a", 4)), Record(1, row("b", 2))]
    answered = product.answered_touches([*records, Record(1, None)])
    assert [answered(ends) for ends in ((0, 0), (1, 0), (2, 1), (3, 2))] == [0, 1, 6, 6]


def test_a_spread_is_the_median_with_its_range():
    assert spread([30_000.4]) == "30,000"
    assert spread([3.0, 1.0, 2.0], 1) == "2.0 (1.0-3.0)"


def test_every_account_of_a_history_has_its_touches_one_after_another():
    touches = list(data.histories(1, 3, 4, data.evenly(12, 0, 120)))
    assert [touch.key for touch in touches] == [
        key for key in (b"acc-000000", b"acc-000001", b"acc-000002") for _ in range(4)
    ]
    assert [orjson.loads(touch.value)["occurred_at"] for touch in touches] == list(range(0, 120, 10))


def test_hours_keep_their_order_and_lose_it_within():
    hours = [(number // 50, number) for number in range(200)]
    found = list(data.shuffled_within(hours, 1))
    assert found != sorted(found)
    assert [number // 50 for number in found] == [hour for hour, _ in hours]
    assert sorted(found) == list(range(200))
    assert found == list(data.shuffled_within(hours, 1))


def test_a_silence_ends_with_the_first_row_after_its_longest_gap():
    assert resumed([1, 2, 9, 10, 11], since=2, until=11) == 9
    assert resumed([1, 30, 31], since=20, until=40) == 30
    with pytest.raises(BenchError):
        resumed([1, 50], since=2, until=40)


def test_history_is_counted_before_the_measured_touches_and_after():
    def row(partition: int, account: str, touches: int) -> Found:
        value = orjson.dumps({"account_id": account, "touches": touches})
        return Found(partition, account.encode(), value)

    rows = [row(0, "warm-0", 9), row(0, "acc-0", 2), row(0, "acc-0", 3), row(1, "acc-1", 2)]
    touches = [data.Touch(b"acc-0", b"")]
    seen = cost.Burst(cost.Kind(2, 2, 2), touches, (2, 1, 0, 0), [], 0.0)
    assert cost.differences(rows, 2, 2, [seen]) == ""
    assert "1 of them not right" in cost.differences(rows, 2, 2, [seen._replace(touches=touches * 2)])
    assert "2 accounts before" in cost.differences(rows, 3, 2, [seen])


def test_stacks_are_shared_out_by_module_path():
    ingest = "main (app.py:1);handle (/x/streams/agents/ingest.py:80)"
    journey = "main (app.py:1);handle (/x/streams/agents/journey.py:80)"
    lines = [
        f"{ingest};decode (/x/schemas/inbound.py:3) 5",
        f"{ingest};encode_touch (/x/streams/journal.py:3) 4",
        f"{journey};decode (/x/streams/journal.py:3) 3",
        f"{journey};apply (/x/revenue_core/journey.py:3) 2",
        f"{journey};credit (/x/streams/agents/rows.py:3) 1",
        "run (/p/asyncio/base_events.py:3);send (/p/aiokafka/producer/sender.py:9) 7",
        "run (/p/asyncio/base_events.py:3) 6",
        "",
    ]
    parts, functions = profile.shares(lines)
    assert parts == {
        "decode and validate": 5,
        "classify, journal: encode": 4,
        "journal: decode": 3,
        "fold": 2,
        "rows": 1,
        "produce": 7,
        "event loop": 6,
    }
    assert functions["send (sender.py)"] == 7


def test_a_round_that_failed_is_left_out_of_the_ratios():
    figures: Rounds[float] = Rounds()
    for line, number, value in (
        ("a", 1, 10.0),
        ("a", 2, None),
        ("a", 3, 30.0),
        ("b", 2, 1.0),
        ("b", 3, 15.0),
    ):
        figures.add(line, number, value)
    assert figures.ratio("a", "b", float) == "2.00"
    assert figures.spread("a", float) == "20 (10-30)"
    assert figures.ratio("a", "c", float) == figures.spread("c", float) == "-"


def test_a_step_that_fails_or_hangs_is_noted_and_the_next_one_goes_on(capsys: pytest.CaptureFixture[str]):
    async def fails() -> int:
        raise BenchError("wrong answers")

    async def hangs() -> int:
        await asyncio.Event().wait()
        return 1

    async def works() -> int:
        return 7

    async def all_of_them() -> tuple[list[int | None], list[str]]:
        steps = Steps(limit_s=0.01)
        found = [
            await steps.take("x", fails()),
            await steps.take("y", hangs()),
            await steps.take("z", works()),
        ]
        return found, steps.failures

    assert asyncio.run(all_of_them()) == ([None, None, 7], ["x", "y"])
    assert "x: FAILED: wrong answers" in capsys.readouterr().err


def test_the_table_holds_medians_ranges_and_ratios_round_by_round():
    figures: Rounds[Throughput] = Rounds()
    for number, rates in ((1, (1_000.0, 20_000.0, 30_000.0)), (2, (2_000.0, 20_000.0, 40_000.0))):
        for line, rate in zip((hop.FAUST, hop.LOOP, hop.ENGINE), rates, strict=True):
            figures.add(line, number, Throughput(line, 200_000, rate, 25.0, 90.0))
    engine = (
        "| headwater engine | 200,000 | 35,000 (30,000-40,000) | 1.75 (1.50-2.00) | - | 25.00 (20.00-30.00) |"
    )
    page = hop.hop_table(figures)
    assert engine in page
    assert hop.CONFLUENT not in page.splitlines()[2:]


def test_a_run_replaces_the_parts_that_it_measured_and_keeps_the_others():
    order = ["one", "two", "three"]
    old = report.merged("# An older form of the page\n", {"three": "3\n", "one": "1\n"}, order)
    new = report.merged(old, {"two": "2\n", "three": "drei\n"}, order)
    assert "older form" not in new
    positions = [new.index(text) for text in ("\n1\n", "\n2\n", "\ndrei\n")]
    assert positions == sorted(positions)
    assert "\n3\n" not in new
    assert report.merged(new, {}, order) == new


def test_paragraphs_of_the_page_are_filled():
    text = report.part("Title", "facts " * 40, "| a |\n| --- |\n\n" + "word " * 60)
    assert text.startswith("## Title\n\nfacts")
    assert max(map(len, text.splitlines())) <= report.WIDTH
    assert "| a |\n| --- |\n" in text
