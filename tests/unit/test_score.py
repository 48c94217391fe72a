"""Files in, files out: what ``score`` reads, when it stops, and what it writes (R08 to R13, R15, R60, R63)."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings

from streams.score import KEY_COLUMNS
from streams.topology import ALERTS, ANSWERS, CREDITS, DEAD_LETTERS, FUNNEL, JOURNEYS, PROBABILITIES
from tests.builders import NOW_MS
from tests.reference import histories as rich
from tests.score_builders import BOT, DAY, START, contents, lead, line, patch, rows, score, stable, touch

WARM = [touch(0), touch(0.5), touch(1, event_id="last")]
"""Warm with its last touch, so it cools exactly two half-lives later."""
COOLS = 29
WON = [
    touch(0),
    lead(0, "L1"),
    touch(1),
    patch(2, stage="qualification", amount="100"),
    patch(3, status="won"),
    patch(4, deal_id="D2", stage="contract_sent", amount=50),
]


class TestTime:
    def test_facts_after_as_of_are_counted_and_change_nothing(self, tmp_path: Path) -> None:
        events = [*WON, touch(9, event_id="later"), patch(8, deal_id="D2", status="lost")]
        summary = score(tmp_path, {"a.ndjson": events}, as_of=START + 5 * DAY, final=True)
        score(tmp_path, {"b.ndjson": WON}, as_of=START + 5 * DAY, final=True, out="without")
        assert (summary.after_as_of, summary.facts, summary.dead_letters) == (2, len(WON), 0)
        assert stable(tmp_path, "out") == stable(tmp_path, "without")

    @pytest.mark.parametrize(("ms", "kinds"), [(-1, []), (0, ["cooled"])])
    def test_a_timer_due_at_the_instant_fires_and_one_a_millisecond_later_does_not(self, tmp_path, ms, kinds):
        burst = [
            touch(0),
            touch(1, event_id="x"),
            *(touch(1, event_id=f"y{n}", type="chat") for n in range(3)),
        ]
        score(tmp_path, {"a.ndjson": burst}, as_of=START + COOLS * DAY + ms)
        assert [row["kind"] for row in rows(tmp_path, ALERTS)] == kinds

    def test_every_open_subject_is_scored_at_the_instant_by_the_clock(self, tmp_path: Path) -> None:
        as_of = START + 20 * DAY + 1
        score(tmp_path, {"a.ndjson": [*WON, lead(0, "L2", "b")]}, as_of=as_of)
        last = {row["subject_id"]: row for row in rows(tmp_path, PROBABILITIES) if "is_tombstone" not in row}
        scored = {key: (row["as_of_ms"], row["cause"]) for key, row in last.items() if not row["is_deleted"]}
        assert scored == dict.fromkeys(["deal:D2", "lead:L1", "lead:L2"], (as_of, "timer"))

    def test_without_as_of_it_is_the_latest_valid_fact_and_bots_and_dead_letters_are_none(
        self, tmp_path: Path
    ):
        bot = touch(8, event_id="bot", user_agent=BOT)
        wrong = touch(9, event_id="wrong", type="nonsense")
        summary = score(tmp_path, {"a.ndjson": [touch(7), bot, wrong, touch(3)]})
        assert (summary.as_of_ms, summary.bots, summary.dead_letters) == (START + 7 * DAY, 1, 1)

    @pytest.mark.parametrize("final", [False, True])
    def test_the_wall_clock_shows_in_no_byte_of_the_files(self, tmp_path: Path, final: bool) -> None:
        score(tmp_path, {"a.ndjson": WON}, final=final, now_ms=START + 90 * DAY)
        score(tmp_path, {"a.ndjson": WON}, final=final, now_ms=START + 9_000 * DAY, out="again")
        assert contents(tmp_path / "out") == contents(tmp_path / "again")

    def test_the_wall_clock_refuses_what_lies_more_than_five_minutes_ahead(self, tmp_path: Path) -> None:
        at_the_limit = touch(0, occurred_at=NOW_MS + 300_000)
        beyond = touch(1, occurred_at=NOW_MS + 300_001)
        summary = score(tmp_path, {"a.ndjson": [at_the_limit, beyond]})
        assert (summary.facts, summary.codes) == (1, {"future_timestamp": 1})


class TestOrder:
    def test_a_topic_in_the_line_beats_the_name_of_the_file(self, tmp_path: Path) -> None:
        named = orjson.dumps({"topic": "touchpoints", **touch(1)[1]})
        summary = score(
            tmp_path, {"deals.ndjson": named + b"\n" + orjson.dumps(patch(2, stage="qualification")[1])}
        )
        assert (summary.facts, summary.dead_letters) == (2, 0)

    def test_lines_are_taken_as_they_stand_and_never_sorted(self, tmp_path: Path) -> None:
        first, second = [touch(5)], [touch(1)]
        score(tmp_path, {"b.ndjson": first, "a.ndjson": second})
        seen = [(row["touches"], row["first_touch_at_ms"]) for row in rows(tmp_path, JOURNEYS)]
        assert seen == [(1, START + 5 * DAY), (2, START + DAY)]

    def test_rows_bear_the_watermark_which_never_goes_back(self, tmp_path: Path) -> None:
        score(
            tmp_path,
            {"a.ndjson": [touch(9), patch(5, stage="qualification"), patch(4, stage="lead_capture")]},
        )
        assert {row["computed_at_ms"] for row in rows(tmp_path, CREDITS)} == {START + 9 * DAY}

    def test_what_one_fact_causes_stands_in_a_fixed_order(self, tmp_path: Path) -> None:
        account = [
            touch(0),
            touch(40, type="demo_request"),
            *WON,
            touch(1, event_id="z"),
            patch(2, stage="lead_capture"),
        ]
        score(tmp_path, {"a.ndjson": [*account, touch(0.25, event_id="early", type="demo_request")]})
        by_version: dict[int, list[Any]] = {}
        for row in rows(tmp_path, CREDITS):
            if "is_tombstone" not in row:
                place = [row["conversion_at_ms"], row["conversion_id"], row["touch_at_ms"], row["touch_id"]]
                by_version.setdefault(row["version"], []).append(place)
        for row in rows(tmp_path, ALERTS):
            by_version.setdefault(-row["version"], []).append([row["at_ms"], row["alert_id"]])
        assert max(map(len, by_version.values())) > 6
        assert all(places == sorted(places) for places in by_version.values())


class TestFinal:
    def test_one_line_per_live_key_sorted_by_the_bytes_of_the_key(self, tmp_path: Path) -> None:
        accounts = ["zürich", "Zug", "ab", "ａ", "𝐀", "a"]
        events = [touch(n, event_id=f"{n}{name}", account_id=name) for name in accounts for n in (1, 0, 2)]
        score(tmp_path, {"a.ndjson": events}, as_of=START + 60 * DAY, final=True)
        assert [row["account_id"] for row in rows(tmp_path, JOURNEYS)] == sorted(accounts, key=str.encode)
        alerts = [row["alert_id"] for row in rows(tmp_path, ALERTS)]
        assert len(alerts) == len(accounts) and alerts == sorted(alerts, key=str.encode)

    def test_what_was_deleted_or_retracted_is_absent(self, tmp_path: Path) -> None:
        late = touch(20, event_id="late", type="demo_request")
        events = [*WARM, touch(60), late, *WON, patch(70, type="deal_deleted")]
        score(tmp_path, {"a.ndjson": events})
        score(tmp_path, {"a.ndjson": events}, final=True, out="final")
        fates = {row["alert_id"]: row["status"] for row in rows(tmp_path, ALERTS)}
        retracted = {alert_id for alert_id, fate in fates.items() if fate == "retracted"}
        gone = {row["credit_id"] for row in rows(tmp_path, CREDITS) if "is_tombstone" in row}
        assert retracted and gone
        assert retracted.isdisjoint(row["alert_id"] for row in rows(tmp_path, ALERTS, "final"))
        assert gone.isdisjoint(row["credit_id"] for row in rows(tmp_path, CREDITS, "final"))

    def test_a_deleted_row_is_followed_by_a_tombstone_line(self, tmp_path: Path) -> None:
        score(tmp_path, {"a.ndjson": [*WON, patch(5, status="open")]})
        gone = [row for row in rows(tmp_path, CREDITS) if "is_tombstone" in row or row["is_deleted"]]
        assert gone and all(row["is_deleted"] == 1 for row in gone[::2])
        assert gone[1::2] == [{"credit_id": row["credit_id"], "is_tombstone": True} for row in gone[::2]]

    @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
    @given(rich.histories())
    def test_versions_rise_per_key_and_the_last_ones_are_the_final_view(self, tmp_path_factory, events):
        folder = tmp_path_factory.mktemp("score")
        score(folder, {"a.ndjson": events})
        score(folder, {"a.ndjson": events}, final=True, out="final")
        for topic in ANSWERS:
            versions: dict[str, list[Any]] = {}
            for row in rows(folder, topic):
                if "is_tombstone" not in row:
                    versions.setdefault(row[KEY_COLUMNS[topic]], []).append(row)
            for history in versions.values():
                assert all(a["version"] < b["version"] for a, b in pairwise(history))
            last = [history[-1] for _, history in sorted(versions.items(), key=lambda item: item[0].encode())]
            live = [row for row in last if not row.get("is_deleted") and row.get("status") != "retracted"]
            assert rows(folder, topic, "final") == live


class TestFiles:
    def test_every_file_is_written_even_when_nothing_was_read(self, tmp_path: Path) -> None:
        score(tmp_path, {"touchpoints.ndjson": b""})
        assert contents(tmp_path / "out") == {f"{topic}.ndjson": b"" for topic in (*ANSWERS, DEAD_LETTERS)}
        assert len(contents(tmp_path / "out")) == 8

    def test_csv_and_parquet_give_what_ndjson_gives(self, tmp_path: Path) -> None:
        columns = ("topic", *dict.fromkeys(name for _, message in EVENTS for name in message))
        table = [{"topic": kind, **message} for kind, message in EVENTS]
        csv = [",".join(columns), *(",".join(cell(row.get(name)) for name in columns) for row in table)]
        pq.write_table(pa.Table.from_pylist(typed(table, columns)), tmp_path / "all.parquet")
        forms: dict[str, bytes] = {
            "all.ndjson": b"\n".join(line(*event) for event in EVENTS),
            "all.csv": b"\xef\xbb\xbf" + "\r\n".join(csv).encode(),
            "all.parquet": (tmp_path / "all.parquet").read_bytes(),
        }
        for name, content in forms.items():
            assert score(tmp_path, {name: content}, out=name + ".out").dead_letters == 0
        outputs = [contents(tmp_path / f"{name}.out") for name in forms]
        assert outputs[0][f"{CREDITS}.ndjson"] and outputs[0][f"{FUNNEL}.ndjson"]
        assert outputs[0] == outputs[1] == outputs[2]


EVENTS = [
    touch(0, campaign='Spring, "new"', contact_id="c1"),
    lead(0, "L1"),
    touch(1, type="page_view", url="https://ours.example/?utm_source=google&utm_medium=cpc"),
    patch(2, stage="qualification", amount="1200.50", currency="USD", lead_ids=["L1", "L2"]),
    patch(3, status="won"),
]


def cell(value: Any) -> str:
    if isinstance(value, list):
        return ";".join(value)
    text = "" if value is None else str(value)
    return '"' + text.replace('"', '""') + '"' if {",", '"'} & set(text) else text


def typed(table: list[dict[str, Any]], columns: Iterable[str]) -> list[dict[str, Any]]:
    """Rows with every column, times as the timestamps that Parquet has for them."""
    whole = [{name: row.get(name) for name in columns} for row in table]
    return [
        {**row, "occurred_at": pa.scalar(row["occurred_at"], pa.timestamp("ms", "UTC")).as_py()}
        for row in whole
    ]
