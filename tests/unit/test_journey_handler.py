"""The journey agent's handler, record by record."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson
import pytest

from streams import chunks, codec
from streams.agents.slice import ConfigChanged
from streams.effects import Effects, Run
from streams.journal import WrittenByNewer, encode_tick
from streams.memory.executor import MemoryTable
from streams.memory.log import MemoryRecord
from streams.service import Service, Timing
from streams.topology import ALERTS, CREDITS, DEAD_LETTERS, JOURNAL, JOURNEYS, PARTIALS, PROBABILITIES
from tests.builders import service

DAY = 86_400_000
START = 1_790_000_000_000
RUNS = Timing(tick_ms=0, idle_ms=0, replay_window=0, late_after_ms=None)


def journal_of(*messages: tuple[str, dict[str, Any]]) -> list[MemoryRecord]:
    """Journal records of source messages, at offsets 0, 1, ...; bytes stand for themselves."""
    made = service(RUNS)
    records = []
    for kind, message in messages:
        if kind == JOURNAL:
            key, value = None, encode_tick(message["w"])
        else:
            source = MemoryRecord(0, 0, None, orjson.dumps({"account_id": "acme", **message}))
            effects = made.ingest.handle(Run(kind, 0, [source], START), MemoryTable())
            (output,) = [o for o in (*effects.outputs, *effects.after) if o.topic == JOURNAL]
            key, value = output.key, output.value
        records.append(MemoryRecord(len(records), START, key, value))
    return records


def touch(number: int, day: int, **fields: Any) -> tuple[str, dict[str, Any]]:
    message = {
        "event_id": f"t{number}",
        "type": "page_view",
        "occurred_at": START + day * DAY,
        "channel": "Email",
    }
    return "touchpoints", {**message, **fields}


def patch(number: int, day: int, **fields: Any) -> tuple[str, dict[str, Any]]:
    return "deals", {
        "event_id": f"d{number}", "type": "deal_updated", "occurred_at": START + day * DAY, "deal_id": "D", **fields,
    }  # fmt: skip


def test_a_run_with_many_answers_ends_early_and_goes_on_with_the_rest() -> None:
    records = journal_of(
        touch(1, 0), touch(2, 1), patch(1, 2, stage="qualification"), patch(2, 3, status="won")
    )
    table, rows, sizes = MemoryTable(), [], []
    owner = Owner(table, replay_window=1_000)
    owner.service.journey.most_outputs = 3
    left = records
    while left:
        effects = owner.handle(left)
        taken = effects.taken or len(left)
        left = left[taken:]
        sizes.append(taken)
        rows += effects.outputs
    whole = Owner(MemoryTable(), replay_window=1_000).handle(records)
    assert whole.taken is None
    assert sizes == [3, 1]
    answers = [output for output in rows if output.topic != PARTIALS]
    assert answers == [output for output in whole.outputs if output.topic != PARTIALS]
    assert orjson.loads(table.data[b"\0P"])[0] == records[-1].offset


def tick(day: int) -> tuple[str, dict[str, Any]]:
    return JOURNAL, {"w": START + day * DAY}


class Owner:
    """One process that owns the partition; the table outlives it."""

    def __init__(self, table: MemoryTable, replay_window: int = 0) -> None:
        self.service: Service = service(with_window(replay_window))
        self.table = table
        self.service.journey.assigned(0, table)
        self.shift = 0

    def handle(self, records: list[MemoryRecord], *, state: bool = True) -> Effects:
        """Handle a run; without ``state`` it dies before its state is written."""
        effects = self.service.journey.handle(Run(JOURNAL, 0, records, START), self.table)
        if state:
            self.table.apply(effects.state)
        return effects

    def follow(self, records: list[MemoryRecord]) -> Effects:
        """Handle a run and what the partition tells itself then; later offsets given are shifted by its records."""
        run = [record._replace(offset=record.offset + self.shift) for record in records]
        found = Effects()
        while run:
            offset, effects = run[-1].offset + 1, self.handle(run)
            found.outputs += [output for output in effects.outputs if output.topic != JOURNAL]
            told = [output for output in effects.outputs if output.topic == JOURNAL]
            self.shift += len(told)
            run = [MemoryRecord(offset + n, START, None, output.value) for n, output in enumerate(told)]
        return found


def with_window(replay_window: int) -> Timing:
    return replace(RUNS, replay_window=replay_window)


def rows(effects: Effects, topic: str) -> list[dict[str, Any]]:
    return [orjson.loads(o.value) for o in effects.outputs if o.topic == topic and o.value]


AMOUNTS = journal_of(
    touch(1, 0),
    patch(1, 1, stage="qualification", amount="100"),
    patch(2, 2, amount="200"),
    patch(3, 3, amount="100"),
)


@pytest.mark.parametrize(("window", "overtaken"), [(10, True), (0, False)])
def test_within_the_replay_window_a_row_of_an_interrupted_run_is_overtaken(window: int, overtaken: bool):
    """Without the window (negative control) the sink would keep the amount that was taken back."""
    table = MemoryTable()
    first = Owner(table)
    first.handle(AMOUNTS[:2])
    sent = rows(first.handle(AMOUNTS[2:3], state=False), CREDITS)
    assert [row["amount_minor"] for row in sent] == [20_000]
    again = rows(Owner(table, window).handle(AMOUNTS[2:]), CREDITS)
    newest = max([*sent, *again], key=lambda row: row["version"])
    assert (newest["amount_minor"] == 10_000) is overtaken


def test_a_record_at_or_below_the_applied_offset_changes_nothing():
    table = MemoryTable()
    Owner(table).handle(AMOUNTS)
    repeated = Owner(table, 10).handle(AMOUNTS)
    assert not repeated.outputs


def test_facts_of_a_run_are_answered_once_with_the_version_of_the_last():
    effects = Owner(MemoryTable()).handle(AMOUNTS)
    (row,) = rows(effects, CREDITS)
    assert row["version"] == 3
    assert row["amount_minor"] == 10_000
    assert row["cause"] == "deals:native:d3"


def test_partial_sums_come_before_the_accounts_and_the_partition_comes_last():
    keys = [key for key, _ in Owner(MemoryTable()).handle(AMOUNTS).state]
    kinds = ["sums" if k.startswith(b"\0M") else "partition" if k == b"\0P" else "account" for k in keys]
    assert kinds == sorted(kinds, key=["sums", "account", "partition"].index)
    assert kinds[-1] == "partition"


def test_a_sum_that_a_torn_write_already_holds_is_not_raised_again():
    table = MemoryTable()
    effects = Owner(table).handle(AMOUNTS)
    sums = [write for write in effects.state if write[0].startswith(b"\0M")]
    table.apply(sums)  # the crash comes before the account is written
    second = Owner(table, 10)
    second.handle(AMOUNTS)
    open_deals = second.service.journey.gauges()["open_deals", "default", "qualification"]
    assert open_deals == [1]


def test_a_tick_fires_the_timers_due_and_no_others():
    records = journal_of(
        touch(1, 0, type="demo_request"), touch(2, 1), touch(3, 2, type="meeting"), tick(20), tick(60), tick(90),
    )  # fmt: skip
    owner = Owner(MemoryTable())
    owner.handle(records[:3])
    early = rows(owner.follow(records[3:4]), ALERTS)
    assert [row["kind"] for row in early] == []
    due = rows(owner.follow(records[4:5]), ALERTS)
    assert [row["kind"] for row in due] == ["cooled"]
    assert not rows(owner.follow(records[5:]), ALERTS)


def test_a_visitor_nobody_knows_is_remembered_without_answers():
    records = journal_of(("touchpoints", {
        "event_id": "t", "type": "page_view", "occurred_at": START, "account_id": None, "anonymous_id": "v1",
    }))  # fmt: skip
    effects = Owner(MemoryTable()).handle(records)
    assert not effects.outputs
    assert b"a:v1" in dict(effects.state)


def test_the_trace_of_a_fact_goes_on_to_its_rows():
    (record,) = journal_of(touch(1, 0))
    traced = record._replace(headers=(("traceparent", b"00-trace"),))
    effects = Owner(MemoryTable()).handle([traced])
    (output,) = [o for o in effects.outputs if o.topic == JOURNEYS]
    assert dict(output.headers)["traceparent"] == b"00-trace"


def test_live_accounts_are_forgotten_beyond_the_limit_and_read_back_when_needed():
    owner = Owner(MemoryTable())
    owner.service.journey.live_touches = 6
    records = journal_of(touch(1, 0), touch(2, 1, account_id="globex"), touch(3, 2))
    for record in records:
        owner.handle([record])
    assert list(owner.service.journey.slices[0].live) == [b"A:acme"]
    (last,) = rows(owner.handle(journal_of(*[touch(n, n) for n in range(5)])[4:]), JOURNEYS)
    assert last["touches"] == 3


class Explosive(dict[str, float]):
    """Weights of touch types, of which one makes the computation fail."""

    def get(self, key: str, default: Any = None) -> Any:
        if key == "webinar":
            raise ArithmeticError("no weight for a webinar")
        return super().get(key, default)


def fragile(table: MemoryTable) -> Owner:
    """An owner whose computation fails for accounts with a webinar."""
    owner = Owner(table)
    config = owner.service.journey.config
    weights = Explosive(config.temperature.weights)
    owner.service.journey.config = replace(config, temperature=replace(config.temperature, weights=weights))
    return owner


POISONED = journal_of(
    touch(1, 1), touch(1, 2, account_id="globex"), touch(2, 3, type="webinar"), touch(3, 4),
    touch(2, 5, account_id="globex"),
)  # fmt: skip


def codes(effects: Effects) -> list[str]:
    return [
        dict(o.headers)["headwater.error.code"].decode() for o in effects.outputs if o.topic == DEAD_LETTERS
    ]


@pytest.mark.parametrize("sizes", [(5,), (2, 3), (1, 1, 1, 1, 1)])
def test_an_account_that_makes_the_computation_fail_is_set_aside_and_its_neighbours_go_on(
    sizes: tuple[int, ...],
):
    owner, records = fragile(MemoryTable()), list(POISONED)
    effects = []
    for size in sizes:
        effects.append(owner.handle(records[:size]))
        del records[:size]
    letters = [code for part in effects for code in codes(part)]
    assert set(letters) == {"quarantined"}
    assert len(letters) >= 2
    assert owner.service.journey.slices[0].quarantined == {b"A:acme"}
    last = [row for part in effects for row in rows(part, JOURNEYS) if row["account_id"] == "globex"][-1]
    assert last["touches"] == 2


def test_a_new_owner_knows_the_quarantined_accounts_and_keeps_their_facts_as_dead_letters():
    table = MemoryTable()
    fragile(table).handle(POISONED)
    successor = Owner(table)
    assert successor.service.journey.slices[0].quarantined == {b"A:acme"}
    (record,) = journal_of(touch(9, 9))
    later = successor.handle([record._replace(offset=9)])
    assert codes(later) == ["quarantined"]
    assert [o.value for o in later.outputs] == [record.value]


def test_facts_that_were_answered_stay_when_their_account_is_quarantined():
    """In the replay window each fact is answered by itself: what the sink and the sums have, the state keeps."""
    owner = fragile(MemoryTable())
    owner.service.journey.replay_window = 10
    effects = owner.handle(POISONED)
    table = dict(effects.state)
    state = codec.read("A:acme", "acme", table[b"A:acme"], table.get)
    assert [touch.touch_id for touch in state.account.touches] == ["native:t1"]
    assert codes(effects) == ["quarantined", "quarantined"]
    assert owner.service.journey.gauges()["accounts", "new"] == [2]


def test_an_account_whose_state_is_damaged_is_quarantined_and_its_neighbours_go_on():
    table = MemoryTable()
    Owner(table).handle(journal_of(*[touch(n, n) for n in range(20)], touch(20, 20, account_id="globex")))
    del table.data[chunks.key_of(chunks.TOUCHES, 0, 0, b"A:acme")]
    successor = Owner(table)
    late, well = journal_of(touch(30, 2), touch(31, 31, account_id="globex"))
    effects = successor.handle([late._replace(offset=30), well._replace(offset=31)])
    assert codes(effects) == ["quarantined"]
    assert successor.service.journey.slices[0].quarantined == {b"A:acme"}
    assert [row["account_id"] for row in rows(effects, JOURNEYS)] == ["globex"]


@pytest.mark.parametrize("kind", [chunks.FACTS, chunks.TOUCHES])
def test_an_account_of_which_records_are_missing_is_set_aside_whatever_is_missing(kind: bytes):
    table = MemoryTable()
    events = [patch(n, n % 4 + 1, name=f"n{n}") for n in range(1, 40)]
    Owner(table).handle(journal_of(*events, *[touch(n, n) for n in range(40)]))
    for key in [key for key in table.data if key[1:2] == kind and key[:1] == b"\0"]:
        del table.data[key]
    late, waits, later = journal_of(touch(80, 2), tick(300), touch(81, 3))
    for offset, record in ((100, late), (101, waits), (103, later)):
        owner = Owner(table)
        owner.shift = offset - record.offset
        effects = owner.follow([record])
        assert codes(effects) == ([] if record is waits else ["quarantined"])
        assert owner.service.journey.slices[0].quarantined == {b"A:acme"}


def test_facts_before_the_one_that_makes_the_computation_fail_are_answered_also_in_one_run():
    messages = (patch(1, 1, stage="qualification", amount="5"), touch(2, 3, type="webinar"), touch(3, 4))
    together, alone = fragile(MemoryTable()), fragile(MemoryTable())
    one_run = together.handle(journal_of(*messages))
    one_by_one = [alone.handle([record]) for record in journal_of(*messages)]
    assert codes(one_run) == ["quarantined", "quarantined"] == [c for e in one_by_one for c in codes(e)]
    assert together.table.data.keys() == alone.table.data.keys()
    assert together.service.journey.gauges() == alone.service.journey.gauges()
    assert rows(one_run, JOURNEYS) == [row for e in one_by_one for row in rows(e, JOURNEYS)]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (b"A:acme", b"not JSON"), (b"A:acme", b"[]"), (b"A:acme", b'{"k":"t","a":1}'), (b"A:acme", b"17"),
        (b"A:acme", b'{"k":["t"]}'), (b"A:acme", b'{"k":"w","w":"x"}'), (None, POISONED[0].value),
        (b"\0P", POISONED[0].value), (b"\0:x", POISONED[0].value), (b"x", POISONED[0].value),
        (b"A:\xff", POISONED[0].value),
    ],
)  # fmt: skip
def test_what_nobody_of_ours_wrote_into_the_journal_is_a_dead_letter_and_the_next_record_is_handled(
    key, value
):
    strange = MemoryRecord(0, START, key, value)
    (well,) = journal_of(touch(1, 1))
    effects = Owner(MemoryTable()).handle([strange, well._replace(offset=1)])
    assert codes(effects) == ["decode_error"]
    assert [row["account_id"] for row in rows(effects, JOURNEYS)] == ["acme"]


def test_a_record_of_a_kind_that_a_newer_version_writes_is_not_passed_over():
    record = MemoryRecord(0, START, b"A:acme", b'{"k":"route"}')
    with pytest.raises(WrittenByNewer, match="run the version that wrote it"):
        Owner(MemoryTable()).handle([record])


HOUR = 3_600_000


def catching_up(table: MemoryTable) -> Owner:
    """An owner for which everything of the tests is a backlog: the journal takes it a year later."""
    owner = Owner(table)
    owner.service.journey.catch_up_ms = HOUR
    return owner


def old(*messages: tuple[str, dict[str, Any]]) -> list[MemoryRecord]:
    return [record._replace(timestamp=START + 365 * DAY) for record in journal_of(*messages)]


BACKLOG = old(
    patch(1, 1, stage="qualification", amount="100"), touch(1, 0), patch(2, 2, amount="200"), tick(1), tick(2),
    tick(3),
)  # fmt: skip


def test_facts_of_a_backlog_are_answered_once_when_time_has_passed_them():
    owner = catching_up(MemoryTable())
    assert not owner.follow(BACKLOG[:3]).outputs
    assert not owner.follow(BACKLOG[3:4]).outputs, "a fact of the second day has not been passed"
    (row,) = rows(owner.follow(BACKLOG[4:5]), CREDITS)
    assert (row["amount_minor"], row["touch_id"], row["cause"], row["version"]) == (
        20_000,
        "native:t1",
        "timer",
        6,
    )
    assert not owner.follow(BACKLOG[5:]).outputs


@pytest.mark.parametrize("restart_after", [1, 2, 3, 4])
def test_a_backlog_is_answered_the_same_by_a_new_owner(restart_after: int):
    table = MemoryTable()
    first = catching_up(table)
    sent = [first.follow([record]) for record in BACKLOG[:restart_after]]
    second = catching_up(table)
    second.shift = first.shift
    sent += [second.follow([record]) for record in BACKLOG[restart_after:]]
    undisturbed = catching_up(MemoryTable())
    wanted = [undisturbed.follow([record]) for record in BACKLOG]
    assert [effects.outputs for effects in sent] == [effects.outputs for effects in wanted]


def test_what_a_backlog_changes_of_earlier_answers_is_corrected_also_by_a_new_owner():
    table = MemoryTable()
    Owner(table).handle(AMOUNTS)
    late = old(patch(4, 9, amount="300"), patch(5, 9, name="renamed"), tick(10))
    records = [record._replace(offset=10 + record.offset) for record in late]
    catching_up(table).handle(records[:1])
    (row,) = rows(catching_up(table).follow(records[1:]), CREDITS)
    assert (row["amount_minor"], row["version"]) == (30_000, 13)


def test_a_fact_that_is_fresh_answers_what_waited_for_time_to_pass():
    owner = catching_up(MemoryTable())
    owner.handle(BACKLOG[:2])
    (fresh,) = journal_of(touch(7, 100))
    fresh = fresh._replace(offset=7, timestamp=START + 100 * DAY)
    assert {row["touch_id"] for row in rows(owner.handle([fresh]), CREDITS)} == {"native:t1"}


def test_a_fact_that_is_fresh_is_answered_before_one_of_a_backlog_that_comes_in_the_same_run():
    owner = catching_up(MemoryTable())
    fresh, waits = journal_of(patch(1, 1, stage="qualification", amount="100"), patch(2, 2, amount="200"))
    effects = owner.handle([fresh, waits._replace(timestamp=START + 365 * DAY)])
    assert [(row["amount_minor"], row["version"]) for row in rows(effects, CREDITS)] == [(10_000, 0)]


def test_timers_of_an_account_that_waits_for_time_wait_with_it():
    owner = catching_up(MemoryTable())
    owner.handle(journal_of(touch(1, 0, type="demo_request"), touch(2, 1), touch(3, 2, type="meeting")))
    waits, middle, passed = (
        record._replace(offset=3 + record.offset) for record in old(touch(4, 90), tick(60), tick(91))
    )
    assert not owner.follow([waits, middle]).outputs
    assert [row["kind"] for row in rows(owner.follow([passed]), ALERTS)] == ["cooled"]


def test_rows_that_stay_as_they_were_are_not_sent_again():
    owner = Owner(MemoryTable())
    records = journal_of(
        touch(1, 5), patch(1, 6, stage="qualification", amount="100"), touch(2, 1), patch(2, 6, name="renamed"),
    )  # fmt: skip
    owner.handle(records[:3])
    effects = owner.handle(records[3:])
    assert {output.topic for output in effects.outputs} <= {PROBABILITIES}


LEAP = journal_of(
    *[
        touch(n, n % 3, type=["demo_request", "page_view", "meeting"][n % 3], account_id=f"a{n // 3}")
        for n in range(15)
    ],
    tick(200),
)


def log_of(records: list[MemoryRecord], told: list[Effects]) -> list[MemoryRecord]:
    """The journal: the records, then what the partition told itself, in the order it was written."""
    log = list(records)
    for effects in told:
        log += [
            MemoryRecord(len(log) + n, START, None, o.value)
            for n, o in enumerate(o for o in effects.outputs if o.topic == JOURNAL)
        ]
    return log


def test_a_leap_in_time_fires_its_timers_in_bounded_steps_that_the_journal_carries_on(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr("streams.agents.journey_run.TIMERS_PER_STEP", 2)
    owner, log, at, cooled = Owner(MemoryTable()), list(LEAP), 0, []
    while at < len(log):
        effects = owner.handle(log[at : at + 15])
        at = min(at + 15, len(log))
        found = [row["account_id"] for row in rows(effects, ALERTS) if row["kind"] == "cooled"]
        assert len(found) <= 2
        cooled += found
        log = log_of(log, [effects])
    assert sorted(cooled) == ["a0", "a1", "a2", "a3", "a4"]
    assert owner.service.journey.slices[0].watermark == START + 200 * DAY


@pytest.mark.parametrize("torn", range(1, 14))
def test_a_step_that_was_written_in_part_is_taken_again_with_the_same_accounts(
    monkeypatch: pytest.MonkeyPatch, torn: int
):
    """Which accounts fire stands in the journal, not in what a crash has left of their state."""
    monkeypatch.setattr("streams.agents.journey_run.TIMERS_PER_STEP", 2)
    owner, table = Owner(MemoryTable()), MemoryTable()
    log = log_of(list(LEAP), [owner.handle(LEAP)])
    table.data = dict(owner.table.data)
    effects = owner.handle(log[16:])
    table.apply(effects.state[:torn])
    second, log, at = Owner(table, 100), log_of(log, [effects]), 16
    while at < len(log):
        effects = second.handle(log[at : at + 1])
        at, log = at + 1, log_of(log, [effects])
    sums = second.service.journey.gauges()
    assert {name: sums["accounts", name] for name in ("warm", "cooled")} == {"warm": [0], "cooled": [5]}


def test_of_two_steps_with_one_number_the_first_counts():
    owner = Owner(MemoryTable())
    owner.handle(LEAP[:15])
    (step,) = [o for o in owner.handle(LEAP[15:]).outputs if o.topic == JOURNAL]
    first, again = (MemoryRecord(offset, START, None, step.value) for offset in (16, 17))
    assert owner.handle([first]).outputs
    assert not owner.handle([again]).outputs


def test_state_of_another_configuration_is_refused_with_the_way_out():
    table = MemoryTable()
    Owner(table).handle(AMOUNTS)
    other = service(RUNS)
    other.journey.config = replace(other.journey.config, config_version="another")
    with pytest.raises(ConfigChanged, match=r"new worker.app_id and a higher state.generation"):
        other.journey.assigned(0, table)


def test_a_retry_with_a_new_timestamp_is_counted_as_a_duplicate_and_remembered():
    hour = 3_600_000
    records = journal_of(
        touch(1, 0), touch(1, 0, occurred_at=START + 20 * hour), touch(1, 0, occurred_at=START + 40 * hour),
    )  # fmt: skip
    table = MemoryTable()
    first = Owner(table)
    assert len(first.handle(records[:1]).outputs) == 1
    assert not first.handle(records[1:2]).outputs
    second = Owner(table)
    assert not second.handle(records[2:]).outputs, (
        "the retries are a chain, also after reading the account back"
    )
    assert second.service.journey.counts["events_total", "touchpoints", "page_view", "duplicate"] == 1


def test_of_two_table_records_the_one_with_the_later_offset_is_newer():
    handler = service(RUNS).journey
    early, late = MemoryTable(), MemoryTable()
    Owner(early).handle(AMOUNTS[:2])
    Owner(late).handle(AMOUNTS)
    for key in early.data.keys() & late.data.keys():
        assert handler.newer(key, early.data[key], late.data[key])
        assert not handler.newer(key, late.data[key], early.data[key])


def test_the_last_row_of_a_closed_deal_is_the_same_before_and_after_a_restart():
    records = journal_of(
        touch(1, 0), patch(1, 1, stage="qualification", amount="100"), touch(2, 3), patch(2, 4, status="lost"),
    )  # fmt: skip
    closing = []
    for restart in (False, True):
        table = MemoryTable()
        owner = Owner(table)
        owner.handle(records[:2])
        owner.handle(records[2:3])
        owner = Owner(table) if restart else owner
        closing.append([o.value for o in owner.handle(records[3:]).outputs if o.topic == PROBABILITIES])
    assert closing[0] == closing[1]
    assert orjson.loads(closing[0][0])["age_in_stage_days"] == 2.0
