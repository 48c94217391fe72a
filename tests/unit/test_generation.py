"""What a worker must not start with: rows that outrank its own, a journal made anew, state ahead of its journal."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence

import orjson
import pytest

from streams.agents.rows import version
from streams.agents.slice import PARTITION_KEY
from streams.generation import TAIL, Seen, judge, look
from streams.reading import Received
from streams.topology import ALERTS, CREDITS, FUNNEL, JOURNAL, PARTIALS

STATE = "headwater-journey-changelog"


def seen(
    *,
    rows: Mapping[str, int] | None = None,
    journal: Sequence[int] = (0, 0),
    partials: Sequence[int] = (0, 0),
    applied: Mapping[int, int] | None = None,
    summed: Mapping[int, int] | None = None,
) -> Seen:
    ends = {JOURNAL: dict(enumerate(journal)), PARTIALS: dict(enumerate(partials))}
    return Seen(dict(rows or {}), dict(applied or {}), dict(summed or {}), bool(applied), ends)


def refusal(found: Seen, configured: int) -> str:
    return "\n".join(judge(found, configured, "headwater"))


def test_a_new_installation_may_start() -> None:
    assert judge(seen(), 0, "headwater") == []


@pytest.mark.parametrize("configured", [1, 2])
def test_rows_of_this_or_an_earlier_generation_are_no_obstacle(configured: int) -> None:
    assert judge(seen(rows={CREDITS: version(1, 0, 41)}, journal=[3, 42]), configured, "headwater") == []


def test_a_generation_below_that_of_the_rows_is_refused_with_both_ways_on() -> None:
    text = refusal(seen(rows={CREDITS: version(1, 0, 5), ALERTS: version(2, 0, 5)}, journal=[6]), 0)
    assert text.startswith("account-alerts holds rows of generation 2, and state.generation is 0: ")
    assert "set state.generation to 2; to build anew, set state.generation to 3" in text


def test_moves_within_a_generation_do_not_count_as_one() -> None:
    assert judge(seen(rows={CREDITS: version(0, 1023, 5)}, journal=[6]), 0, "headwater") == []


def test_a_journal_made_anew_under_the_generation_of_the_rows_is_refused() -> None:
    text = refusal(seen(rows={CREDITS: version(3, 0, 41)}, journal=[0, 12]), 3)
    assert text.startswith(
        "attribution-credits holds rows of generation 3 up to offset 41 of journal, which ends at 12"
    )
    assert "set state.generation to 4" in text


def test_a_journal_made_anew_under_a_higher_generation_may_start() -> None:
    assert judge(seen(rows={CREDITS: version(3, 0, 41)}, journal=[0, 0]), 4, "headwater") == []


def test_a_row_of_the_last_record_of_the_longest_partition_is_in_order() -> None:
    assert judge(seen(rows={CREDITS: version(0, 0, 41)}, journal=[3, 42]), 0, "headwater") == []


def test_funnel_rows_are_measured_by_the_partial_sums_they_count() -> None:
    assert judge(seen(rows={FUNNEL: version(0, 0, 90)}, journal=[5], partials=[91]), 0, "headwater") == []
    assert "offset 90 of partials, which ends at 7" in refusal(
        seen(rows={FUNNEL: version(0, 0, 90)}, journal=[100], partials=[7]), 0
    )


def test_state_ahead_of_its_journal_is_refused_under_any_generation() -> None:
    found = seen(rows={CREDITS: version(0, 0, 41)}, journal=[50, 12], applied={0: 49, 1: 41})
    for configured in (0, 1):
        text = refusal(found, configured)
        assert text.startswith(
            "the state of worker.app_id headwater includes partition 1 of journal up to offset 41, but that ends at "
        )
        assert "Take a new worker.app_id" in text
        assert ("set state.generation to 1" in text) == (configured == 0)


def test_state_that_includes_the_whole_journal_is_in_order() -> None:
    assert judge(seen(journal=[50, 12], applied={0: 49, 1: 11}), 0, "headwater") == []


def test_partial_sums_of_a_journal_that_is_gone_are_refused() -> None:
    text = refusal(seen(rows={CREDITS: version(0, 0, 41)}, journal=[0, 0], summed={1: 41}), 1)
    assert text.startswith("partials holds sums up to offset 41 of journal partition 1, which ends at 0")
    assert "topics create" in text


def test_behind_the_last_generation_only_another_prefix_helps() -> None:
    text = refusal(seen(rows={CREDITS: version(127, 0, 41)}, journal=[0]), 127)
    assert "take another topic_prefix" in text and "128" not in text


class Topics:
    """Topics in memory: (topic, partition) -> (key, value) records, in the order of their offsets."""

    def __init__(self, records: Mapping[tuple[str, int], Sequence[tuple[bytes, bytes | None]]]) -> None:
        self.records = records
        self.asked: list[int | None] = []

    async def existing(self, last: int | None = None) -> AsyncIterator[Received]:
        self.asked.append(last)
        for (topic, partition), records in self.records.items():
            begin = 0 if last is None else max(0, len(records) - last)
            for offset, (key, value) in enumerate(records[begin:], begin):
                yield Received(topic, partition, offset, 0, key, value, ())

    async def ends(self, topic: str) -> Mapping[int, int]:
        return {number: len(records) for (name, number), records in self.records.items() if name == topic}


def row(number: int) -> tuple[bytes, bytes]:
    return b"k", orjson.dumps({"version": number})


async def test_the_ends_are_read_behind_tombstones_and_foreign_records_and_no_further() -> None:
    foreign = [(b"k", None), (b"k", b"not JSON"), (b"k", b"[1]"), (b"k", b'{"version": "9"}')]
    topics = Topics({
        ("p-" + CREDITS, 0): [row(version(9, 0, 0)), *[row(1)] * (TAIL - 4), *foreign],
        ("p-" + CREDITS, 1): [row(version(1, 2, 3)), row(version(1, 0, 4))],
        ("p-" + PARTIALS, 0): [(b"m", orjson.dumps({"p": 1, "o": 30, "v": [1]}))],
        ("p-" + STATE, 1): [(b"A:acme", b"\x01"), (PARTITION_KEY, orjson.dumps([30, 0, "version"]))],
        ("p-" + JOURNAL, 0): [(b"k", b"{}")] * 2,
        ("p-" + JOURNAL, 1): [],
    })  # fmt: skip
    found = await look(topics, "p-", STATE)
    assert topics.asked == [TAIL]
    assert found.versions == {CREDITS: version(1, 2, 3)}
    assert (found.applied, found.summed, found.has_state) == ({1: 30}, {1: 30}, True)
    assert found.ends == {JOURNAL: {0: 2, 1: 0}, PARTIALS: {0: 1}}


async def test_empty_and_missing_topics_say_nothing() -> None:
    found = await look(Topics({(CREDITS, 0): [], (JOURNAL, 0): []}), "", STATE)
    assert (found.versions, found.applied, found.has_state) == ({}, {}, False)
    assert judge(found, 0, "headwater") == []
