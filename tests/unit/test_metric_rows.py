"""Rows of revenue, models, cost and source_disagreement, with numbers computed by hand (R52)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
import pytest

from revenue_core.metric_rows import MetricRows
from revenue_core.row_ids import joined, parts_of
from schemas.registry import TOPICS
from streams.agents.journey import JourneyHandler
from streams.agents.totals import TotalsHandler, partial
from streams.compose import offline_service
from streams.effects import Output, Run
from streams.files import Line
from streams.memory.executor import MemoryTable
from streams.memory.log import MemoryRecord
from streams.score import Scorer
from streams.service import Timing
from streams.settings import Settings
from streams.topology import FUNNEL, JOURNAL, PARTIALS
from tests.builders import NOW_MS, Event, config, final_view, service
from tests.score_builders import DAY, START, lead, patch, touch

Rows = dict[str, Mapping[str, Any]]
SETTLED_IN_RUNS = Timing(tick_ms=0, idle_ms=0, replay_window=0, late_after_ms=None)
PAID, FAIR = {"channel": "Paid Search", "campaign": "spring"}, {"channel": "Events", "campaign": "fair"}
JOURNEY = [
    touch(0, **PAID, keyword="crm", content="b", contact_id="c1", team="marketing"),
    touch(5, **FAIR, contact_id="c2", rep_id="r7", team="sales"),
    touch(8, channel="Email", contact_id="c2", rep_id="r7", team="sales"),
]
"""Three touches: linear gives each a third, position-based 40, 20 and 40 percent."""


def rows(*events: Event) -> Rows:
    return final_view(events)[FUNNEL]


def spend(number: int, cost: str, day: float = 0, **fields: Any) -> Event:
    message = {"event_id": f"s{number}", "type": "spend", "occurred_at": START + int(day * DAY), "cost": cost}
    return "touchpoints", {**message, **PAID, **fields}


def revenue(found: Rows, kind: str, segment: str, column: str, currency: str = "EUR") -> int:
    return int(found[f"revenue|all|{kind}|{segment}|||{currency}"][column])


def kinds(found: Rows, kind: str) -> set[str]:
    return {row_id for row_id, row in found.items() if row["kind"] == kind}


def test_the_credit_of_a_won_deal_is_added_up_by_every_segment():
    found = rows(*JOURNEY, patch(6, stage="qualification", amount="1000.01"), patch(9, stage="closed"))
    thirds = {"Paid Search": 33_334, "Events": 33_334, "Email": 33_333}
    for channel, part in thirds.items():
        assert revenue(found, "channel", channel, "linear_won_minor") == part
    assert revenue(found, "campaign", "spring", "linear_won_minor") == 33_334
    assert revenue(found, "campaign", "", "linear_won_minor") == 33_333
    assert revenue(found, "keyword", "crm", "linear_won_minor") == 33_334
    assert revenue(found, "content", "b", "first_touch_won_minor") == 100_001
    assert revenue(found, "contact", "c2", "linear_won_minor") == 66_667
    assert revenue(found, "rep", "r7", "linear_won_minor") == 66_667
    assert revenue(found, "rep", "", "linear_won_minor") == 33_334
    assert revenue(found, "team", "marketing", "linear_won_minor") == 33_334
    assert revenue(found, "team", "marketing", "position_based_won_minor") == 40_001
    assert revenue(found, "all", "all", "linear_won_minor") == 100_001
    assert found["revenue|all|all|all|||EUR"]["credits"] == 3


def test_an_open_deal_counts_with_the_stage_it_is_in_and_once():
    found = rows(*JOURNEY, patch(6, stage="lead_capture", amount="900"), patch(9, stage="qualification"))
    assert revenue(found, "all", "all", "linear_open_minor") == 90_000
    assert revenue(found, "channel", "Email", "linear_open_minor") == 30_000
    assert revenue(found, "all", "all", "linear_won_minor") == 0


def test_a_reopened_deal_counts_as_open_with_the_stage_it_had_entered_last():
    found = rows(
        *JOURNEY,
        patch(6, stage="qualification", amount="900"),
        patch(9, stage="closed"),
        patch(10, status="open"),
    )
    assert revenue(found, "all", "all", "linear_won_minor") == 0
    assert revenue(found, "all", "all", "linear_open_minor") == 90_000
    assert kinds(found, "models") == set()


def test_loss_credit_stands_apart():
    found = rows(*JOURNEY, patch(6, stage="qualification", amount="900"), patch(9, status="lost"))
    assert revenue(found, "channel", "Events", "linear_lost_minor") == 30_000
    assert revenue(found, "all", "all", "linear_open_minor") == 0
    assert kinds(found, "revenue") & {"revenue|all|team|sales|default|qualification|EUR"} == set()


def test_recurring_revenue_stands_apart_and_may_be_negative():
    movement = {"type": "mrr_movement", "amount": "30", "movement": "churn", "event_id": "m1"}
    found = rows(*JOURNEY, patch(9, stage="closed", amount="900"), patch(10, **movement))
    assert revenue(found, "all", "all", "linear_won_minor") == 90_000
    assert revenue(found, "all", "all", "linear_recurring_minor") == -3_000
    assert revenue(found, "channel", "Email", "linear_recurring_minor") == -1_000


def test_a_refund_a_late_touch_and_a_deletion_correct_what_was_added():
    history = [*JOURNEY, patch(9, stage="closed", amount="900")]
    refund = patch(10, type="refund", amount="300", event_id="r1")
    found = rows(*history, refund)
    assert revenue(found, "channel", "Email", "linear_won_minor") == 20_000
    late = touch(1, channel="Referral", event_id="late")
    found = rows(*history, refund, late)
    assert revenue(found, "channel", "Email", "linear_won_minor") == 15_000
    assert revenue(found, "channel", "Referral", "linear_won_minor") == 15_000
    assert kinds(rows(*history, refund, late, patch(11, type="deal_deleted")), "revenue") == set()


def test_credit_moves_with_the_account_that_a_deal_belongs_to():
    other = touch(2, channel="Chat", account_id="globex", event_id="other")
    found = rows(*JOURNEY, other, patch(9, stage="closed", amount="900"), patch(10, account_id="globex"))
    assert revenue(found, "channel", "Chat", "linear_won_minor") == 90_000
    assert "revenue|all|channel|Email|||EUR" not in found


def test_currencies_are_never_added():
    yen = patch(9, deal_id="D2", stage="qualification", amount="500", currency="JPY", event_id="y")
    found = rows(*JOURNEY, patch(6, stage="qualification", amount="900"), yen)
    assert revenue(found, "all", "all", "linear_open_minor", "EUR") == 90_000
    assert revenue(found, "all", "all", "linear_open_minor", "JPY") == 500


def test_a_stage_is_shared_between_marketing_and_sales():
    found = rows(*JOURNEY, patch(9, stage="qualification", amount="900"))
    marketing = found["revenue|all|team|marketing|default|qualification|EUR"]
    sales = found["revenue|all|team|sales|default|qualification|EUR"]
    assert (marketing["linear_entered_minor"], sales["linear_entered_minor"]) == (30_000, 60_000)
    assert (marketing["linear_share"], sales["linear_share"]) == (1 / 3, 2 / 3)
    assert (marketing["credits"], sales["credits"]) == (1, 2)


def test_models_stand_side_by_side_with_conversions_in_parts():
    found = rows(*JOURNEY, patch(9, stage="closed", amount="900"))
    row = found["models|all|channel|Paid Search|||EUR"]
    assert row["won_conversions"] == 1
    assert (row["linear_won_minor"], row["position_based_won_minor"]) == (30_000, 36_000)
    assert (row["linear_conversions"], row["first_touch_conversions"]) == (0.333334, 1.0)
    channels = [found[row_id] for row_id in kinds(found, "models")]
    assert sum(row["linear_conversions"] for row in channels) == pytest.approx(1, abs=1e-12)


COSTLY = [
    *JOURNEY,
    lead(1, "L1"),
    patch(6, stage="qualification", amount="1000.01"),
    patch(9, stage="closed"),
    patch(7, deal_id="D2", stage="qualification", amount="5", event_id="second"),
    spend(1, "100.50"),
    spend(2, "49.50", day=3),
]


def test_costs_are_divided_by_what_came_of_them_by_first_touch():
    row = rows(*COSTLY)["cost|all|campaign|Paid Search%7Cspring|||EUR"]
    assert (row["spends"], row["cost_minor"]) == (2, 15_000)
    assert (row["leads"], row["opportunities"], row["wins"]) == (1, 2, 1)
    assert (row["cost_per_lead_minor"], row["cost_per_opportunity_minor"]) == (15_000, 7_500)
    assert row["cost_per_win_minor"] == 15_000
    assert (row["model"], row["revenue_minor"], row["roas"]) == ("linear", 33_334, 33_334 / 15_000)


def test_costs_of_a_channel_are_those_of_its_campaigns():
    found = rows(*COSTLY, spend(3, "50", campaign="autumn"), spend(4, "7", currency="USD"))
    assert kinds(found, "cost") == {
        "cost|all|channel|Paid Search|||EUR",
        "cost|all|channel|Paid Search|||USD",
        "cost|all|campaign|Paid Search%7Cspring|||EUR",
        "cost|all|campaign|Paid Search%7Cspring|||USD",
        "cost|all|campaign|Paid Search%7Cautumn|||EUR",
    }
    whole, dollars = (found[f"cost|all|channel|Paid Search|||{currency}"] for currency in ("EUR", "USD"))
    assert (whole["cost_minor"], whole["leads"], whole["cost_per_lead_minor"]) == (20_000, 1, 20_000)
    assert (dollars["cost_minor"], dollars["leads"], dollars["cost_per_lead_minor"]) == (700, 1, 700)
    assert dollars["revenue_minor"] == 0
    autumn = found["cost|all|campaign|Paid Search%7Cautumn|||EUR"]
    assert autumn["leads"] == 0
    assert "cost_per_lead_minor" not in autumn


def test_a_cost_that_comes_again_counts_once_and_a_correction_that_was_earlier_replaces_it():
    again, later = spend(1, "100.50"), spend(1, "300", day=0.5)
    row = rows(spend(1, "100.50"), again, later)["cost|all|channel|Paid Search|||EUR"]
    assert (row["spends"], row["cost_minor"]) == (1, 10_050)
    assert rows(later, spend(1, "100.50"), again)["cost|all|channel|Paid Search|||EUR"] == row
    another = rows(spend(1, "100.50"), spend(1, "100.50", day=2))["cost|all|channel|Paid Search|||EUR"]
    assert (another["spends"], another["cost_minor"]) == (2, 20_100)


def test_a_touch_at_the_instant_a_deal_without_a_stage_was_created_is_its_first():
    deal = patch(6, amount="5")
    found = rows(spend(1, "10"), deal, touch(6, **PAID, event_id="same"))
    assert found["cost|all|channel|Paid Search|||EUR"]["opportunities"] == 1


def test_what_the_crm_says_is_compared_with_the_first_touch():
    by_source = touch(0, channel="Paid Search", utm_source="Google", account_id="globex", event_id="g")
    said = lead(1, "L2", "globex")
    said[1]["crm_source"] = "  GOOGLE "
    untouched = patch(1, account_id="initech", deal_id="D3", crm_source="Trade  show", event_id="u")
    found = rows(
        *JOURNEY, patch(6, stage="qualification", crm_source="Trade Show"), by_source, said, untouched
    )
    row = found["source_disagreement|all|crm_source|trade show||"]
    assert (row["subjects"], row["deals_compared"], row["deals_disagreeing"]) == (2, 1, 1)
    assert (row["deals_without_touch"], row["deals_disagreement_rate"]) == (1, 1.0)
    assert "leads_disagreement_rate" not in row
    google = found["source_disagreement|all|crm_source|google||"]
    assert (google["leads_compared"], google["leads_disagreeing"]) == (1, 0)
    whole = found["source_disagreement|all|all|all||"]
    assert (whole["subjects"], whole["leads_disagreement_rate"]) == (3, 0.0)


def test_names_with_a_bar_or_a_percent_sign_stay_apart():
    names = ["50%|off", "50%25|off", "50%", "|off"]
    found = rows(*(spend(n, "1", channel="A|B", campaign=name) for n, name in enumerate(names)))
    assert len(kinds(found, "cost")) == 5
    assert {found[row_id]["campaign"] for row_id in kinds(found, "cost")} == {*names, ""}
    assert parts_of(joined("a|b", "", "%7C")) == ["a|b", "", "%7C"]


def test_every_row_is_one_of_its_topic():
    found = rows(*COSTLY, patch(12, deal_id="D4", crm_source="x", event_id="z"))
    for row in found.values():
        fits = 0
        for model in TOPICS[FUNNEL].rows:
            try:
                model.model_validate({**row, "version": 1})
            except ValueError:
                continue
            fits += 1
        assert fits == 1, row["row_id"]
    assert {row["kind"] for row in found.values()} == {
        "stage", "revenue", "models", "cost", "source_disagreement",
    }  # fmt: skip


def test_segment_kinds_that_are_off_have_no_rows_and_the_model_of_costs_can_be_chosen(tmp_path: Path):
    chosen = Settings.model_validate({"metrics": {"segment_kinds": ["channel"], "cost_model": "first_touch"}})
    scorer = Scorer(offline_service(chosen, NOW_MS), tmp_path, final=True)
    for number, (kind, message) in enumerate(COSTLY):
        scorer.feed(Line(kind, "events.ndjson", number, orjson.dumps(message)))
    scorer.finish(None)
    lines = (tmp_path / f"{FUNNEL}.ndjson").read_bytes().splitlines()
    found = {row["row_id"]: row for row in map(orjson.loads, lines)}
    shown = {row["segment_kind"] for row in found.values() if row["kind"] == "revenue" and not row["stage"]}
    assert shown == {"all", "channel"}
    row = found["cost|all|channel|Paid Search|||EUR"]
    assert (row["model"], row["revenue_minor"]) == ("first_touch", 100_001)


def totals(table: MemoryTable, *partials: Any) -> list[tuple[str, int]]:
    """(row_id, is_deleted) of the rows that partials in one run give."""
    records = [MemoryRecord(n, 0, each.key, each.value) for n, each in enumerate(partials)]
    handler = TotalsHandler(MetricRows(config()), lambda offset: offset)
    effects = handler.handle(Run(PARTIALS, 0, records, 0), table)
    table.apply(effects.state)
    values = [orjson.loads(output.value) for output in effects.outputs if output.value is not None]
    return [(row["row_id"], row["is_deleted"]) for row in values]


COST = joined("cost", "channel", "Email", "")
ROW = "cost|all|channel|Email|||EUR"


def test_counts_without_a_cost_make_no_row_and_a_cost_brings_them_in():
    table = MemoryTable()
    assert totals(table, partial(COST, 0, 1, [1, 0, 0])) == []
    assert totals(table, partial(COST, 1, 5, [1, 900, 0], "EUR")) == [(ROW, 0)]
    assert totals(table, partial(COST, 0, 2, [3, 0, 0])) == [(ROW, 0)]
    assert totals(table, partial(COST, 1, 6, [0, 0, 0], "EUR")) == [(ROW, 1)]
    assert totals(table, partial(COST, 0, 3, [4, 0, 0])) == []


def test_a_row_that_came_and_went_in_one_run_is_deleted_since_a_crash_may_have_shown_it():
    shown = totals(
        MemoryTable(), partial(COST, 1, 5, [1, 900, 0], "EUR"), partial(COST, 1, 6, [0, 0, 0], "EUR")
    )
    assert shown == [(ROW, 1)]


@pytest.mark.parametrize(
    "stray",
    [
        partial(COST, 0, 1, [1, 0]),
        partial("cost|channel", 0, 1, [1, 0, 0]),
        partial("stage|default|qualification", 0, 1, [1, 0, 0, 1], "EUR"),
        partial("visits|a", 0, 1, [1]),
    ],
)
def test_what_are_no_sums_of_a_metric_are_set_aside(stray: Output):
    handler = TotalsHandler(MetricRows(config()), lambda offset: offset)
    effects = handler.handle(Run(PARTIALS, 0, [MemoryRecord(0, 0, stray.key, stray.value)], 0), MemoryTable())
    assert [output.topic for output in effects.outputs] == ["dead-letters"]
    assert effects.state == []


def spent(handler: JourneyHandler) -> list[int]:
    """Facts of spending and their cost in the channel, as the partition has added them up."""
    return handler.slices[0].sums["cost", "channel", "Paid Search", "", "EUR"][1][:2]


@pytest.mark.parametrize("kept", range(5))
def test_a_run_with_costs_that_was_torn_anywhere_counts_each_once_when_it_is_repeated(kept: int):
    made, table = service(SETTLED_IN_RUNS), MemoryTable()
    sources = [spend(1, "10"), spend(2, "20"), spend(1, "10", day=0.5), spend(2, "5", day=-0.5)]
    records = [MemoryRecord(n, 0, b"", orjson.dumps(message)) for n, (_, message) in enumerate(sources)]
    journal = [
        MemoryRecord(n, 0, each.key, each.value)
        for n, each in enumerate(
            output
            for output in made.ingest.handle(Run("touchpoints", 0, records, NOW_MS), MemoryTable()).outputs
            if output.topic == JOURNAL
        )
    ]
    assert len({record.key for record in journal}) == 1
    made.journey.assigned(0, table)
    first = made.journey.handle(Run(JOURNAL, 0, journal, NOW_MS), table)
    assert spent(made.journey) == [2, 1_500]
    assert len(first.state) == 5  # the channel, the campaign, two identities, the partition
    table.apply(first.state[:kept])
    again = service(SETTLED_IN_RUNS)
    again.journey.assigned(0, table)
    effects = again.journey.handle(Run(JOURNAL, 0, journal, NOW_MS), table)
    assert spent(again.journey) == [2, 1_500]
    table.apply(effects.state)
    last = service(SETTLED_IN_RUNS)
    last.journey.assigned(0, table)
    last.journey.handle(
        Run(JOURNAL, 0, [MemoryRecord(9, 0, journal[0].key, journal[0].value)], NOW_MS), table
    )
    assert spent(last.journey) == [2, 1_500]
