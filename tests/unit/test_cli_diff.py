"""``headwater diff``: what two outputs of ``score`` differ in, to the minor unit."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from typer.testing import CliRunner

from streams.cli import exits
from streams.cli.main import app
from streams.diff import IGNORED, compare
from streams.diff_rows import Rows
from streams.topology import ANSWERS, CREDITS
from tests.builders import Event
from tests.laws.histories import histories
from tests.score_builders import line, patch, rows, score, touch

STORY = [
    touch(0, channel="Email"),
    touch(20, channel="Paid Search"),
    patch(25, stage="qualification", amount="100.00"),
    patch(30, stage="closed"),
    *(touch(day, channel="Display", account_id="globex") for day in (1, 29)),
    patch(31, event_id="j", deal_id="D2", account_id="globex", stage="closed", amount="7000", currency="JPY"),
]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.delenv("HEADWATER_CONFIG", raising=False)


def run(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, list(arguments))
    return result.exit_code, result.stdout, result.stderr


def diffed(*arguments: str) -> dict[str, Any]:
    code, printed, errors = run("diff", *arguments, "--json")
    assert code == exits.OK, errors
    found: dict[str, Any] = json.loads(printed)
    return found


def scored(out: str, *options: str, config: str = "", events: Sequence[Event] = STORY) -> None:
    Path("all.ndjson").write_bytes(b"\n".join(line(*event) for event in events))
    Path(f"{out}.yaml").write_text(config)
    code, _, errors = run("score", "all.ndjson", "--out", out, "--config", f"{out}.yaml", *options)
    assert code == exits.OK, errors


def won(out: str, model: str) -> Counter[tuple[str, str]]:
    """Won credit per currency and channel, summed here from a --final file."""
    sums: Counter[tuple[str, str]] = Counter()
    for row in rows(Path(), CREDITS, out):
        if row["conversion"] == "won":
            sums[row["currency"], row["channel"]] += row[f"{model}_amount_minor"]
    return sums


def test_an_output_equals_itself_in_either_form() -> None:
    scored("versions")
    scored("final", "--final")
    found = diffed("versions", "final")
    assert found["equal"] is True
    counts = {topic: (c["different"], c["only_a"], c["only_b"]) for topic, c in found["topics"].items()}
    assert counts == dict.fromkeys(ANSWERS, (0, 0, 0))
    assert found["topics"][CREDITS]["equal"] == len(rows(Path(), CREDITS, "final"))
    assert (found["deals"], found["deals_different"], found["conversions"]) == ([], 0, [])


def test_another_half_life_moves_credit_between_channels_and_no_money_in_all() -> None:
    scored("a", "--final", config="attribution: {half_life: 7}")
    scored("b", "--final", config="attribution: {half_life: 1}")
    found = diffed("a", "b")
    sums = {"a": won("a", "time_decay"), "b": won("b", "time_decay")}
    told = {
        (each["currency"], each["channel"]): (each["a_minor"], each["b_minor"], each["difference_minor"])
        for each in found["channels"]
        if each["model"] == "time_decay"
    }
    assert told == {
        place: (sums["a"][place], sums["b"][place], sums["b"][place] - sums["a"][place])
        for place in sums["a"] | sums["b"]
    }
    assert sum(difference for _, _, difference in told.values()) == 0
    assert told["EUR", "Email"][2] < 0 < told["EUR", "Paid Search"][2]
    assert {each["model"] for each in found["channels"] if each["difference_minor"]} == {"time_decay"}
    (won_sum,) = [
        each for each in found["conversions"] if (each["conversion"], each["currency"]) == ("won", "EUR")
    ]
    assert (won_sum["difference_minor"], won_sum["moved_minor"]) == (0, 2 * told["EUR", "Paid Search"][2])
    (deal,) = found["deals"]
    side = {"status": "won", "stage": "closed", "currency": "EUR", "amount_minor": 10_000}
    assert (deal["deal_id"], deal["a"], deal["b"]) == ("D1", side, side)
    assert deal["moved_minor"] == won_sum["moved_minor"]


def test_a_deal_that_only_one_side_has_is_told_with_all_its_money() -> None:
    scored("a", events=STORY)
    scored("b", events=STORY[:4])
    found = diffed("a", "b", "--model", "linear")
    (deal,) = found["deals"]
    assert (deal["deal_id"], deal["a"]["amount_minor"], deal["b"]) == ("D2", 7000, None)
    assert [(each["channel"], each["difference_minor"]) for each in deal["movements"]] == [("Display", -7000)]
    assert found["topics"][CREDITS]["only_a"] == 2 and found["topics"][CREDITS]["only_b"] == 0
    assert [each for each in found["conversions"] if each["currency"] == "JPY"] == [
        {"conversion": "won", "currency": "JPY", "model": "linear", "a_minor": 7000, "b_minor": 0,
         "difference_minor": -7000, "moved_minor": 7000}
    ]  # fmt: skip


def test_a_deal_won_on_one_side_only_shows_both_statuses() -> None:
    scored("a", events=STORY[:3])
    scored("b", events=STORY[:4])
    (deal,) = diffed("a", "b")["deals"]
    assert (deal["a"]["status"], deal["b"]["status"]) == ("open", "won")
    assert deal["moved_minor"] == 10_000


def test_a_model_of_one_side_only_is_named_and_not_told_row_by_row() -> None:
    scored("a", config="attribution: {custom: {mine: {first_touch: 50, middle: 50}}}")
    scored("b")
    found = diffed("a", "b")
    assert (found["models_only_in_a"], found["models_only_in_b"]) == (["custom_mine"], [])
    assert found["topics"][CREDITS]["different"] == 0 and found["equal"] is False
    assert {each["b_minor"] for each in found["channels"] if each["model"] == "custom_mine"} == {None}


def test_deals_are_told_most_moved_first_up_to_the_limit_and_all_are_counted() -> None:
    amounts = (300, 100, 200)
    both = [touch(0), touch(9, event_id="late", channel="Email")]
    deals = [
        patch(10 + n, event_id=f"w{n}", deal_id=f"D{n}", account_id=f"a{n}", stage="closed", amount=amount)
        for n, amount in enumerate(amounts)
    ]
    touches = [
        ("touchpoints", {**message, "event_id": f"{message['event_id']}{n}", "account_id": f"a{n}"})
        for _, message in both
        for n in range(3)
    ]
    scored("a", events=[*touches, *deals])
    scored("b", events=[*touches[3:], *deals])
    found = diffed("a", "b", "--limit", "2", "--model", "first_touch")
    assert found["deals_different"] == 3
    assert [(deal["deal_id"], deal["moved_minor"]) for deal in found["deals"]] == [
        ("D0", 60_000),
        ("D2", 40_000),
    ]


def test_the_tables_fit_80_columns_and_write_money_exactly() -> None:
    scored("a")
    scored("b", config="attribution: {half_life: 1}")
    code, printed, _ = run("diff", "a", "b")
    assert code == exits.OK
    assert max(map(len, printed.splitlines())) <= 80
    a, b = (won(out, "time_decay") for out in final("a", "b"))
    moved = b["EUR", "Email"] - a["EUR", "Email"]
    assert f"-{-moved / 100:.2f}" in printed and "won 100.00 EUR" in printed


def final(*names: str) -> list[str]:
    """The same outputs in their final form."""
    for name in names:
        scored(f"{name}-final", "--final", config=Path(f"{name}.yaml").read_text())
    return [f"{name}-final" for name in names]


def test_a_difference_exits_0_and_with_check_3() -> None:
    scored("a")
    scored("b", events=STORY[:4])
    assert run("diff", "a", "b")[0] == exits.OK
    assert run("diff", "a", "b", "--check")[0] == exits.INVALID
    assert run("diff", "a", "a", "--check")[0] == exits.OK


def test_the_highest_version_counts_and_what_is_deleted_is_gone(tmp_path: Path) -> None:
    def row(version: int, **fields: Any) -> bytes:
        return orjson.dumps({"subject_id": "s", "p_win": 0.5, "version": version, "is_deleted": 0, **fields})

    def standing(*lines: bytes) -> dict[str, Any] | None:
        path = tmp_path / "p.ndjson"
        path.write_bytes(b"\n".join(lines) + b"\n")
        return Rows(path, "pipeline-probabilities").get("s")

    newer, older = row(7, p_win=0.7), row(5)
    tombstone = orjson.dumps({"subject_id": "s", "is_tombstone": True})
    for order in ((newer, older), (older, newer), (older, tombstone, newer), (older, b"", newer, older)):
        assert (standing(*order) or {})["p_win"] == 0.7
    assert standing(newer, row(8, is_deleted=1), tombstone, older) is None
    assert (standing(row(8, is_deleted=1), tombstone, row(9)) or {})["version"] == 9


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (b"{nonsense", "is not JSON"),
        (b"[]", "it is no object"),
        (b'{"version": 1}', "credit_id should be text"),
        (b'{"credit_id": "c"}', "version should be a whole number"),
        (b'{"credit_id": "c", "version": 1}', "it lacks account_id"),
    ],
)
def test_a_damaged_line_is_named_with_its_file(broken: bytes, said: str) -> None:
    scored("a")
    path = Path("a") / f"{CREDITS}.ndjson"
    count = len(path.read_bytes().splitlines())
    path.write_bytes(path.read_bytes() + broken + b"\n")
    code, _, errors = run("diff", "a", "a")
    assert code == exits.FAILURE
    assert f"a/{CREDITS}.ndjson, line {count + 1} is" in errors and said in errors


def test_money_that_is_no_whole_number_is_refused() -> None:
    scored("a")
    path = Path("a") / f"{CREDITS}.ndjson"
    path.write_bytes(
        path.read_bytes().replace(b'"linear_amount_minor":5000', b'"linear_amount_minor":5000.0')
    )
    code, _, errors = run("diff", "a", "a")
    assert code == exits.FAILURE and "linear_amount_minor should be whole numbers" in errors


def test_what_is_missing_is_named() -> None:
    scored("a")
    Path("empty").mkdir()
    assert run("diff", "a", "nowhere")[2] == "Error: nowhere: No such file or directory\n"
    assert run("diff", "a", "all.ndjson")[2] == "Error: all.ndjson: Not a directory\n"
    assert run("diff", "a", "empty")[2] == f"Error: empty/{CREDITS}.ndjson: No such file or directory\n"
    code, _, errors = run("diff", "a", "a", "--model", "nope")
    assert code == exits.FAILURE and errors.startswith("Error: no rows by model nope: there are first_touch")


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(histories, histories)
def test_the_counts_are_those_of_the_two_final_views(
    tmp_path: Path, one: list[Event], other: list[Event]
) -> None:
    views: list[dict[str, dict[str, Mapping[str, Any]]]] = []
    for name, events in (("a", one), ("b", other)):
        score(tmp_path, {f"{name}.ndjson": events}, out=name)
        score(tmp_path, {f"{name}.ndjson": events}, out=f"{name}-final", final=True)
        views.append({topic: _by_key(tmp_path, topic, f"{name}-final") for topic in ANSWERS})
    found = compare(tmp_path / "a", tmp_path / "b", _silent)
    for topic in ANSWERS:
        a, b = views[0][topic], views[1][topic]
        both = a.keys() & b.keys()
        equal = sum(a[key] == b[key] for key in both)
        told = found.topics[topic]
        assert (told.equal, told.different, told.only_a, told.only_b) == (
            equal, len(both) - equal, len(a.keys() - both), len(b.keys() - both),
        )  # fmt: skip
    for model in found.models:
        for each in (each for each in found.channels if each.model == model):
            for view, minor in zip(views, (each.a_minor, each.b_minor), strict=True):
                assert minor == sum(
                    row[f"{model}_amount_minor"]
                    for row in view[CREDITS].values()
                    if (row["conversion"], row["currency"], row["channel"])
                    == ("won", each.currency, each.channel)
                )


def _by_key(folder: Path, topic: str, out: str) -> dict[str, Mapping[str, Any]]:
    from streams.score import KEY_COLUMNS

    return {
        row[KEY_COLUMNS[topic]]: {name: value for name, value in row.items() if name not in IGNORED}
        for row in rows(folder, topic, out)
    }


def _silent(description: str, total: float | None) -> Any:
    from streams.cli.output import progress

    return progress(description, total)
