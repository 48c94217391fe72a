"""Files of events: NDJSON, CSV and Parquet, each as lines of source topics."""

from __future__ import annotations

import csv
import datetime as dt
import gzip
import io
import json
import subprocess
import sys
import tracemalloc
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.context import Context
from schemas.inbound import decode
from streams.files import FileUnreadable, Line, dead_letter, kind_of, read_lines

VIEW = '{"event_id":"e1","type":"page_view","occurred_at":"2026-01-01T00:00:00Z","anonymous_id":"a"}'
CONTEXT = Context(2_000_000_000_000, {"default": frozenset({"closed"})}, {"EUR": 2})


def lines_of(folder: Path, name: str, content: bytes | str, **options: Any) -> list[Line]:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return list(read_lines(str(path), **options))


def codes(lines: list[Line]) -> list[str | None]:
    return [line.rejected.code if line.rejected else None for line in lines]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("touchpoints.ndjson", "touchpoints"),
        ("/data/leads-2026.csv.gz", "leads"),
        ("deals", "deals"),
        ("my-deals.ndjson", None),
        ("-", None),
    ],
)
def test_a_file_is_of_the_topic_its_name_begins_with(name: str, kind: str | None) -> None:
    assert kind_of(name) == kind


def test_lines_are_numbered_as_they_stand_and_empty_ones_skipped(tmp_path: Path) -> None:
    lines = lines_of(tmp_path, "touchpoints.ndjson", f"\n{VIEW}\r\n   \n\n{VIEW}")
    assert [(line.number, line.raw.decode(), line.kind) for line in lines] == [
        (2, VIEW, "touchpoints"),
        (5, VIEW, "touchpoints"),
    ]
    assert lines[0].file == str(tmp_path / "touchpoints.ndjson")
    assert lines[0].message == lines[0].raw


def test_the_topic_of_a_line_beats_the_name_of_its_file(tmp_path: Path) -> None:
    content = '{"topic":"deals"}\n{"topic":null}\n{"topic":" "}\n{"topic":"dealz"}\n{"topic":7}\n'
    content += '{"x":{"topic":"deals"}}'
    lines = lines_of(tmp_path, "leads.ndjson", content)
    assert [line.kind for line in lines] == ["deals", "leads", "leads", None, None, "leads"]
    assert codes(lines) == [None, None, None, "unknown_topic", "unknown_topic", None]


def test_without_any_topic_what_is_no_json_says_so_first(tmp_path: Path) -> None:
    lines = lines_of(tmp_path, "events.ndjson", '{"a":1}\nnot json\nnull\n{"topic":"leads"}')
    assert codes(lines) == ["unknown_topic", "invalid_json", "invalid_json", None]


def test_a_topic_given_for_the_file_stands_in_for_its_name(tmp_path: Path) -> None:
    lines = lines_of(tmp_path, "leads.ndjson", '{"a":1}\n{"topic":"touchpoints"}', kind="deals")
    assert [line.kind for line in lines] == ["deals", "touchpoints"]


def test_lines_of_another_format_are_left_as_they_are(tmp_path: Path) -> None:
    lines = lines_of(tmp_path, "touchpoints.tsv", 'event_id\t"topic"\n{"topic":"deals"}', form="snowplow")
    assert [line.kind for line in lines] == ["touchpoints", "touchpoints"]
    assert codes(lines_of(tmp_path, "x.tsv", "a\tb", form="snowplow")) == ["unknown_topic"]


def test_a_byte_order_mark_is_no_part_of_the_first_line(tmp_path: Path) -> None:
    assert lines_of(tmp_path, "touchpoints.ndjson", f"\ufeff{VIEW}")[0].raw.decode() == VIEW
    (row,) = lines_of(tmp_path, "leads.csv", "\ufeffevent_id,type\ne1,x\n")
    assert row.fields == {"event_id": "e1", "type": "x"}


def test_a_line_over_the_limit_is_too_large_and_the_next_is_read(tmp_path: Path) -> None:
    long = '{"a":"' + "x" * 3000 + '"}'
    lines = lines_of(tmp_path, "touchpoints.ndjson", f"{VIEW}\n{long}\n{VIEW}", max_bytes=1024)
    assert codes(lines) == [None, "too_large", None]
    assert lines[1].raw.decode() == long and lines[2].number == 3


def test_a_line_of_any_length_needs_bounded_memory(tmp_path: Path) -> None:
    path = tmp_path / "touchpoints.ndjson"
    with path.open("wb") as out:
        for _ in range(80):
            out.write(b"x" * (1 << 20))
        out.write(f"\n{VIEW}\n".encode())
    tracemalloc.start()
    try:
        lines = [(line.number, len(line.raw), line.rejected) for line in read_lines(str(path))]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert [number for number, _, _ in lines] == [1, 2]
    assert lines[0][2] is not None and lines[0][2].code == "too_large" and lines[1][2] is None
    assert peak < 64 << 20


def test_gzip_is_unpacked_whatever_the_name(tmp_path: Path) -> None:
    (line,) = lines_of(tmp_path, "touchpoints.ndjson", gzip.compress(VIEW.encode()))
    assert line.raw.decode() == VIEW
    (row,) = lines_of(tmp_path, "leads.csv.gz", gzip.compress(b"event_id\ne1"))
    assert row.fields == {"event_id": "e1"}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("touchpoints.ndjson.gz", gzip.compress(VIEW.encode() * 99)[:-20]),
        ("touchpoints.parquet", b"PAR1 and then nothing of the kind PAR1"),
        ("leads.csv", b'event_id,"open\n'),
    ],
)
def test_a_damaged_file_is_named(tmp_path: Path, name: str, content: bytes) -> None:
    with pytest.raises(FileUnreadable, match=name):
        lines_of(tmp_path, name, content)


def test_rows_belong_to_the_native_format_only(tmp_path: Path) -> None:
    with pytest.raises(FileUnreadable, match="--format segment"):
        lines_of(tmp_path, "leads.csv", "event_id\n", form="segment")


def test_csv_cells_are_native_fields(tmp_path: Path) -> None:
    content = (
        "event_id,type,occurred_at,deal_id,amount,contact_ids,accepted,topic,unknown\r\n"
        '1,deal_updated,2026-01-01T00:00:00Z,d1,"1,200",c1;c2,,,x\r\n'
        '2,lead_feedback,1767225600000,,,"[""a""]",TRUE,leads,\r\n'
        ",,,,,,,,\r\n"
        "\r\n"
        "3,deal_updated\r\n"
    )
    lines = lines_of(tmp_path, "deals.csv", content)
    assert [(line.number, line.kind) for line in lines] == [
        (2, "deals"),
        (3, "leads"),
        (4, "deals"),
        (6, "deals"),
    ]
    assert lines[0].fields == {
        "event_id": "1", "type": "deal_updated", "occurred_at": "2026-01-01T00:00:00Z", "deal_id": "d1",
        "amount": "1,200", "contact_ids": ["c1", "c2"],
    }  # fmt: skip
    assert lines[1].fields is not None and lines[1].fields["accepted"] is True
    assert lines[1].fields["contact_ids"] == ["a"]
    assert lines[2].fields == {}
    assert lines[0].raw.decode() == content.split("\r\n")[1]
    assert json.loads(lines[1].message) == lines[1].fields


def test_a_quoted_cell_may_hold_commas_quotes_and_line_breaks(tmp_path: Path) -> None:
    content = 'event_id,title\ne1,"a, ""b""\nc"\ne2,d\n'
    first, second = lines_of(tmp_path, "touchpoints.csv", content)
    assert first.fields == {"event_id": "e1", "title": 'a, "b"\nc'}
    assert (first.number, second.number) == (2, 4)
    assert first.raw == b'e1,"a, ""b""\nc"'


def test_broken_csv_records_are_refused_one_by_one(tmp_path: Path) -> None:
    content = b'event_id,title\ne1,"a"b\ne2,x,y\ne3,\xff\ne4,fine\n'
    lines = lines_of(tmp_path, "touchpoints.csv", content)
    assert codes(lines) == ["decode_error", "decode_error", "invalid_json", None]
    assert [line.number for line in lines] == [2, 3, 4, 5]


def test_a_csv_record_over_the_limit_is_too_large(tmp_path: Path) -> None:
    lines = lines_of(tmp_path, "leads.csv", "event_id,name\ne1," + "x" * 2000 + "\ne2,y\n", max_bytes=1024)
    assert codes(lines) == ["too_large", None]


@pytest.mark.parametrize(("sign", "word"), [(";", "semicolons"), ("\t", "tabs"), ("|", "bars")])
@pytest.mark.parametrize("name", ["touchpoints.csv", "touchpoints", "touchpoints.csv.gz"])
def test_columns_separated_by_something_else_are_refused_with_a_hint(
    tmp_path: Path, name: str, sign: str, word: str
) -> None:
    header, row = (
        ["event_id", "type", "occurred_at", "title"],
        ["e1", "page_view", "1767225600000", "one, two"],
    )
    content = f"{sign.join(header)}\n{sign.join(row)}\n".encode()
    with pytest.raises(FileUnreadable, match=f"are separated by {word}: CSV separates them by commas"):
        lines_of(tmp_path, name, gzip.compress(content) if name.endswith("gz") else content)


def test_a_column_name_may_hold_a_semicolon(tmp_path: Path) -> None:
    (line,) = lines_of(tmp_path, "touchpoints.csv", "event_id,type,a;b\ne1,page_view,x\n")
    assert line.fields == {"event_id": "e1", "type": "page_view"}


def test_parquet_without_a_column_of_ours_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "touchpoints.parquet"
    pq.write_table(pa.table({"id": [1], "when": ["now"]}), path)
    with pytest.raises(FileUnreadable, match=r"no column of .* is a field of an event \(it has id, when\)"):
        list(read_lines(str(path)))


def test_csv_is_known_by_its_header_where_no_name_says_so(tmp_path: Path) -> None:
    (line,) = lines_of(tmp_path, "stdin", "event_id,topic\ne1,leads\n")
    assert (line.kind, line.fields) == ("leads", {"event_id": "e1"})


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\x00")), min_size=1))
def test_any_text_survives_csv(tmp_path_factory: pytest.TempPathFactory, titles: list[str]) -> None:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerows([["event_id", "title"], *(["e", title] for title in titles)])
    lines = lines_of(tmp_path_factory.mktemp("csv"), "touchpoints.csv", out.getvalue())
    found = [line.fields.get("title", "") if line.fields else None for line in lines]
    assert found == [title if title.strip() else "" for title in titles]


def test_parquet_rows_are_native_messages(tmp_path: Path) -> None:
    at = dt.datetime(2026, 1, 1, 12, 0, 0, 999_999, tzinfo=dt.UTC)
    table = pa.table(
        {
            "event_id": pa.array([1, 2], pa.int64()),
            "type": ["deal_updated", "deal_updated"],
            "occurred_at": pa.array([at, None], pa.timestamp("ns", "Europe/Berlin")),
            "deal_id": pa.array(["d1", "d2"]).dictionary_encode(),
            "amount": pa.array([Decimal("1200.50"), None], pa.decimal128(12, 2)),
            "contact_ids": pa.array([["c1"], None], pa.list_(pa.string())),
            "expected_close_date": pa.array([dt.date(2026, 2, 1), None]),
            "ignored": pa.array([b"\xff", None]),
        }
    )
    path = tmp_path / "deals.parquet"
    pq.write_table(table, path)
    first, second = read_lines(str(path))
    assert first.fields == {
        "event_id": 1, "type": "deal_updated", "occurred_at": 1_767_268_800_999, "deal_id": "d1",
        "amount": "1200.50", "contact_ids": ["c1"], "expected_close_date": "2026-02-01",
    }  # fmt: skip
    assert second.fields == {"event_id": 2, "type": "deal_updated", "deal_id": "d2"}
    assert (first.number, second.number, second.kind) == (1, 2, "deals")
    assert decode("deals", first.message, CONTEXT)["amount"] == "1200.5"


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_parquet_timestamps_without_zone_are_utc(tmp_path: Path, unit: str) -> None:
    path = tmp_path / "leads.parquet"
    column = pa.array([dt.datetime(2026, 1, 1)], pa.timestamp(unit))
    pq.write_table(pa.table({"occurred_at": column}), path)
    (line,) = read_lines(str(path))
    assert line.fields == {"occurred_at": 1_767_225_600_000}


@pytest.mark.parametrize("packed", [False, True])
def test_standard_input_takes_every_kind(tmp_path: Path, packed: bool) -> None:
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"event_id": ["e1"], "topic": ["leads"]}), path)
    program = "from streams.files import read_lines\nfor line in read_lines('-'): print(line.kind, line.file)"
    for content in (path.read_bytes(), b"event_id,topic\ne1,leads\n", b'{"topic":"leads"}\n'):
        given = gzip.compress(content) if packed else content
        done = subprocess.run([sys.executable, "-c", program], input=given, capture_output=True, check=True)
        assert done.stdout.split() == [b"leads", b"-"]


def test_a_dead_letter_holds_the_original_text_or_its_base64() -> None:
    (good,) = [dead_letter("leads", "f", 3, b"x", rejected) for rejected in [rejection()]]
    assert good == {
        "topic": "leads", "file": "f", "line": 3, "code": "invalid_json", "path": "", "message": "why", "value": "x",
    }  # fmt: skip
    odd = dead_letter("leads", "f", 3, b"\xff", rejection())
    assert odd["value_base64"] == "/w==" and "value" not in odd


def rejection() -> Any:
    from schemas.errors import Rejected

    return Rejected("invalid_json", "", "why")


def test_bytes_that_are_neither_json_nor_a_table_are_lines_that_cannot_be_read(tmp_path: Path):
    found = lines_of(tmp_path, "touchpoints.ndjson", b'a"\rb\x00,\r\xff\n{"event_id":"e1"}\n')
    assert [line.raw for line in found][-1] == b'{"event_id":"e1"}'
