"""The parts of the demo that need no broker: what it counts, what it prints, how it ends."""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple

import orjson
import pytest
from prometheus_client.parser import text_string_to_metric_families
from rich.console import Console

from streams.cli.demo import _finish
from streams.cli.demo_layout import Screen, shown
from streams.cli.exits import Failure
from streams.demo import WEEK_MS, Demo, Tally, end_of_world, outcomes
from streams.score import conserved
from streams.topology import ALERTS, CREDITS, DEAD_LETTERS, JOURNEYS, PROBABILITIES

SUMMARY: dict[str, Any] = {
    "events": 1500,
    "processed": 1500,
    "processed_ok": True,
    "credits": 3070,
    "credit_rows": 8274,
    "probability_rows": 576,
    "alerts": 45,
    "alerts_by_kind": {"cooled_raised": 38, "rewarmed_raised": 7},
    "dead_letters": 1,
    "dead_letters_by_code": {"unknown_stage": 1},
    "conversions": 196,
    "conservation_ok": True,
    "broken": [],
    "seconds": 8.4,
}
CREDIT = {
    "credit_id": "deal:D-1:won|native:t-1",
    "conversion_id": "deal:D-1:won",
    "conversion": "won",
    "deal_id": "D-1",
    "channel": "Organic Shopping",
    "amount_minor": 12_345_678,
    "position_based_amount_minor": 4_938_271,
    "currency": "EUR",
    "is_deleted": 0,
    "version": 7,
}
ALERT = {
    "kind": "follow_up_missed",
    "status": "raised",
    "account_id": "jessamine-components",
    "reason": "",
    "deal_id": "",
    "last_touch_id": "native:evt-1-001115",
}
CHANCE = {
    "subject_kind": "deal",
    "subject_id": "deal:D-1",
    "p_win": 0.05,
    "expected_value_minor": 105_250,
    "currency": "EUR",
    "is_deleted": 0,
}


class Arrived(NamedTuple):
    """What a consumer hands out."""

    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()


def credit(**changes: Any) -> Arrived:
    return Arrived(orjson.dumps({**CREDIT, **changes}))


@pytest.mark.parametrize("versions", [(7, 8, 9), (9, 8, 7), (8, 9, 7)])
def test_the_tally_keeps_the_newest_version_whatever_order_they_come_in(versions: tuple[int, ...]):
    tally = Tally()
    for version in versions:
        tally.take(CREDITS, credit(version=version, amount_minor=version))
    assert [row["amount_minor"] for row in tally.live_credits()] == [9]
    assert tally.rows[CREDITS] == 3


def test_a_deleted_credit_stands_no_more_and_an_older_version_does_not_bring_it_back():
    tally = Tally()
    tally.take(CREDITS, credit(version=8, is_deleted=1))
    tally.take(CREDITS, credit(version=7))
    assert list(tally.live_credits()) == []


def test_an_endless_demo_counts_rows_and_keeps_none():
    tally = Tally(keep=False)
    tally.take(CREDITS, credit())
    assert tally.rows[CREDITS] == 1 and tally.credits == {}


def test_dead_letters_are_counted_by_code_and_tombstones_not_at_all():
    tally = Tally()
    headers = (("headwater.error.code", b"unknown_stage"),)
    assert tally.take(DEAD_LETTERS, Arrived(b"{", headers)) is None
    assert tally.take(CREDITS, Arrived(None)) is None
    assert (dict(tally.dead_letters), dict(tally.rows)) == ({"unknown_stage": 1}, {})


def test_alerts_are_counted_by_kind_and_status():
    tally = Tally()
    for status in ("raised", "raised", "retracted"):
        tally.take(ALERTS, Arrived(orjson.dumps({"kind": "cooled", "status": status})))
    assert dict(tally.alerts) == {("cooled", "raised"): 2, ("cooled", "retracted"): 1}


def test_a_source_event_is_counted_once_whatever_the_journey_agent_adds_to_it():
    text = "# TYPE headwater_events counter\n" + "".join(
        f'headwater_events_total{{topic="deals",type="x",outcome="{outcome}"}} {count}\n'
        for outcome, count in {
            "ok": 10,
            "invalid": 2,
            "future": 1,
            "bot": 3,
            "null": 1,
            "duplicate": 4,
            "late": 5,
            "too_late": 6,
            "quarantined": 7,
        }.items()
    )
    samples = [s for family in text_string_to_metric_families(text) for s in family.samples]
    assert outcomes(samples) == {"ok": 10, "invalid": 2, "future": 1, "bot": 3, "null": 1}


def row(conversion_id: str, whole: int, linear: int, last_touch: int) -> dict[str, Any]:
    return {
        "conversion_id": conversion_id,
        "amount_minor": whole,
        "linear_amount_minor": linear,
        "last_touch_amount_minor": last_touch,
    }


def test_sums_that_are_whole_are_not_reported():
    rows = [row("a", 101, 51, 0), row("a", 101, 50, 101), row("b", -7, -7, -7), row("c", 0, 0, 0)]
    assert conserved(rows, ["linear", "last_touch"]) == []


def test_a_sum_that_is_a_cent_off_is_reported_with_conversion_and_model():
    rows = [row("a", 101, 51, 0), row("a", 101, 51, 101), row("b", 7, 7, 7)]
    assert conserved(rows, ["linear", "last_touch"]) == ["a: linear sums to 102, the whole is 101"]


@pytest.mark.parametrize("json_output", [True, False])
def test_a_good_run_ends_without_failure(json_output: bool, capsys: pytest.CaptureFixture[str]):
    _finish(SUMMARY, json_output)
    said = capsys.readouterr().out
    assert json.loads(said) == SUMMARY if json_output else "1,500 processed" in said


@pytest.mark.parametrize("json_output", [True, False])
@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"conservation_ok": False, "broken": ["a: linear sums to 102, the whole is 101"]},
            "credit does not sum to the whole: a: linear sums to 102, the whole is 101",
        ),
        ({"processed_ok": False, "processed": 1499}, "1500 events were sent, 1499 were processed"),
    ],
)
def test_a_check_that_fails_is_a_failure_that_says_what_and_the_summary_is_printed_all_the_same(
    changes: dict[str, Any], said: str, json_output: bool, capsys: pytest.CaptureFixture[str]
):
    with pytest.raises(Failure, match=f"^{re.escape(said)}$"):
        _finish({**SUMMARY, **changes}, json_output)
    assert "1500" in capsys.readouterr().out.replace(",", "")


@pytest.mark.parametrize(
    ("topic", "given", "label", "rare", "words"),
    [
        (CREDITS, CREDIT, "credit", True, ["49,382.71", "of", "123,456.78", "EUR", "D-1", "won"]),
        (
            CREDITS,
            {**CREDIT, "conversion": "stage_entered:contract_sent"},
            "credit",
            False,
            ["49,382.71", "of", "123,456.78", "EUR", "D-1", "contract_sent"],
        ),
        (ALERTS, ALERT, "alert", True, ["follow_up_missed", "jessamine-components", "native:evt-1-001115"]),
        (PROBABILITIES, CHANCE, "chance", False, ["5%", "expected", "1,052.50", "EUR", "D-1"]),
    ],
)
def test_a_telling_row_is_one_line_of_80_columns(
    topic: str, given: dict[str, Any], label: str, rare: bool, words: list[str]
):
    line = shown(topic, given)
    assert line is not None and (line.label, line.rare) == (label, rare)
    assert line.text.split()[-len(words) :] == words
    assert len(f"{line.label:<7}{line.text}") <= 80


@pytest.mark.parametrize(
    ("topic", "given"),
    [
        (CREDITS, {**CREDIT, "is_deleted": 1}),
        (CREDITS, {**CREDIT, "position_based_amount_minor": 0}),
        (CREDITS, {**CREDIT, "deal_id": ""}),
        (ALERTS, {**ALERT, "status": "retracted"}),
        (PROBABILITIES, {**CHANCE, "is_deleted": 1}),
        (PROBABILITIES, {**CHANCE, "subject_kind": "lead"}),
        (JOURNEYS, {"account_id": "acme"}),
    ],
)
def test_a_row_that_says_little_is_no_line(topic: str, given: dict[str, Any]):
    assert shown(topic, given) is None


def screen(tmp_path: Any, *, terminal: bool) -> Screen:
    made = Screen(Demo(1, 1, 0.0, tmp_path), quiet=False)
    made.console = Console(width=80, force_terminal=terminal, color_system=None, highlight=False)
    made.next_status = float("inf")
    return made


@pytest.mark.parametrize("terminal", [True, False])
def test_a_terminal_gets_one_line_however_long_a_row_is_and_a_pipe_all_of_it(
    terminal: bool, tmp_path: Any, capsys: pytest.CaptureFixture[str]
):
    long = {**ALERT, "account_id": "[bold]" + "a" * 90}
    screen(tmp_path, terminal=terminal).show(ALERTS, long)
    (line,) = capsys.readouterr().out.splitlines()
    assert len(line) == 80 if terminal else line.endswith("native:evt-1-001115")
    assert "[bold]aaa" in line


def test_lines_are_a_few_a_second_and_the_first_credit_comes_at_once(
    tmp_path: Any, capsys: pytest.CaptureFixture[str]
):
    watching = screen(tmp_path, terminal=False)
    for _ in range(3):
        watching.show(CREDITS, CREDIT)
    assert len(capsys.readouterr().out.splitlines()) == 1


def test_the_count_now_and_then_is_one_line_of_80_columns(tmp_path: Any):
    watching = screen(tmp_path, terminal=True)
    demo = watching.demo
    demo.sent = 1_000_000
    demo.tally.rows.update({CREDITS: 2_000_000, ALERTS: 99_999})
    demo.tally.dead_letters["invalid_json"] = 9_999
    text = watching.status(watching.began + 3600)
    assert " ".join(text.split()) == (
        "3600 s 1,000,000 events in 2,000,000 credits 99,999 alerts 9,999 dead letters"
    )
    assert len(text) <= 80


def test_the_world_of_a_seed_is_the_same_at_every_hour_of_a_week_and_near_to_now() -> None:
    start = 2_910 * WEEK_MS
    ends = {end_of_world(start + hour * 3_600_000) for hour in range(7 * 24)}
    assert ends == {start}
    assert end_of_world(start + WEEK_MS) == start + WEEK_MS
