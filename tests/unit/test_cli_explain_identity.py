"""``headwater explain``: why each fact belongs to its account, and where the id of an account leads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from streams import translate
from streams.cli.exits import FAILURE
from tests.unit.test_cli_explain import event, explained, plain, run, written

__all__ = ["plain"]
"""No settings of the environment, and a terminal of 80 columns."""


def somebody(topic: str, event_id: str, day: float, type_: str, **fields: Any) -> dict[str, Any]:
    """An event that names no account by itself."""
    known = event(topic, day, type_, event_id=event_id, **fields)
    return {name: value for name, value in known.items() if name != "account_id" or "account_id" in fields}


ADDRESS = "Ann.Lee@acme.com"
STITCHED = [
    somebody("touchpoints", "t1", 0, "ad_click", anonymous_id="v1"),
    somebody("touchpoints", "t2", 1, "page_view", anonymous_id="v1"),
    somebody("touchpoints", "t3", 4, "form_submit", anonymous_id="v1", email=ADDRESS),
    somebody("leads", "l1", 4.5, "lead_created", lead_id="L1", email=ADDRESS),
    somebody("leads", "u1", 5, "account_updated", account_id="old", domains=["acme.com"]),
    somebody("deals", "d1", 6, "deal_updated", deal_id="D1", account_id="old", amount="100"),
    somebody("deals", "d2", 7, "deal_updated", deal_id="D1", status="won"),
    somebody("leads", "m1", 8, "account_merged", account_id="old", into_account_id="acme"),
    somebody("touchpoints", "t4", 9, "meeting", account_id="acme"),
]


@pytest.fixture
def stitched(tmp_path: Path) -> str:
    return written(tmp_path / "stitched.ndjson", STITCHED)


def test_each_touch_is_in_one_group_with_the_chain_of_its_links(stitched: str) -> None:
    found = explained("account", "acme", "--from", stitched)
    groups = {each["native_key"]: each for each in found["identity"]}
    assert sum(each["touches"] for each in found["identity"]) == len(found["touches"]) == 4
    visitor = groups["a:v1"]
    assert (visitor["touches"], visitor["first_at"], visitor["last_at"]) == (
        2,
        "2026-03-01T00:00:00.000Z",
        "2026-03-02T00:00:00.000Z",
    )
    assert [(step["rule"], step["to"][:8], step["at"][:10], step["event"]) for step in visitor["steps"]] == [
        ("seen with", visitor["steps"][0]["to"][:8], "2026-03-05", "native:t3"),
        ("e-mail domain", "w:acme.c", "2026-03-05", "native:t3"),
        ("claimed by", "A:old", "2026-03-06", "native:u1"),
        ("merged into", "A:acme", "2026-03-09", "native:m1"),
    ]
    assert (groups["d:D1"]["deals"], groups["A:acme"]["steps"]) == (2, [])


def test_no_address_is_shown_and_no_hash_in_full(stitched: str) -> None:
    found = json.dumps(explained("account", "acme", "--from", stitched))
    hashed = translate.email_hash(ADDRESS, b"")
    printed = run("account", "acme", "--from", stitched)[1]
    for text in (found, printed):
        assert "@" not in text and "ann.lee" not in text.lower() and hashed not in text
    assert f"e-mail {hashed[:8]}…" in printed


def test_the_links_are_printed_under_what_they_lead_from(stitched: str) -> None:
    _, output, _ = run("account", "acme", "--from", stitched)
    lines = [" ".join(line.split()) for line in output.splitlines()]
    begin = lines.index("2 touches of visitor v1, 2026-03-01 00:00 to 2026-03-02 00:00")
    assert lines[begin + 2 : begin + 5] == [
        "e-mail domain acme.com 2026-03-05 00:00 native:t3",
        "claimed by account old 2026-03-06 00:00 native:u1",
        "merged into account acme 2026-03-09 00:00 native:m1",
    ]
    assert max(map(len, output.splitlines())) <= 80


def test_a_deal_says_in_one_sentence_why_it_is_its_accounts(stitched: str) -> None:
    _, output, _ = run("deal", "D1", "--from", stitched)
    assert (
        "belongs to acme by deal D1: deal named account old (2026-03-07 00:00, native:d1), "
        "merged into account acme (2026-03-09 00:00, native:m1)"
    ) in " ".join(output.split())
    found = explained("deal", "D1", "--from", stitched)["identity"]
    assert [each["native_key"] for each in found] == ["d:D1"]


def test_an_account_that_was_merged_away_says_so_and_the_other_one_follows(stitched: str) -> None:
    found = explained("account", "old", "--from", stitched)
    assert found["account_id"] == "acme"
    assert [(link["rule"], link["to"]) for link in found["moved"]] == [("merged into", "A:acme")]
    _, output, _ = run("account", "old", "--from", stitched)
    hint = "Note: old was merged into acme (2026-03-09 00:00, native:m1). What follows is of acme."
    assert hint in " ".join(output.split())


@pytest.mark.parametrize("key", ["w:acme.com", "a:v1", "l:L1", "d:D1"])
def test_whoever_belongs_to_an_account_now_leads_there(stitched: str, key: str) -> None:
    found = explained("account", translate.account_id(key), "--from", stitched)
    assert (found["account_id"], found["moved"][0]["from"], found["moved"][-1]["to"]) == (
        "acme",
        key,
        "A:acme",
    )


def test_a_visitor_whom_nobody_knows_is_explained_without_rows(tmp_path: Path) -> None:
    file = written(tmp_path / "e.ndjson", [somebody("touchpoints", "t", 0, "page_view", anonymous_id="v")])
    found = explained("account", translate.account_id("a:v"), "--from", file)
    assert (found["gives_outputs"], [each["steps"] for each in found["identity"]]) == (False, [[]])


def test_what_an_ambiguous_domain_holds_says_who_claims_it(tmp_path: Path) -> None:
    claims = [
        somebody("leads", f"u{who}", 1, "account_updated", account_id=who, domains=["acme.com"])
        for who in "xy"
    ]
    touch = somebody("touchpoints", "t", 2, "page_view", domain="acme.com")
    file = written(tmp_path / "e.ndjson", [*claims, touch])
    for account_id in ("domain:acme.com", "held:acme.com"):
        found = explained("account", account_id, "--from", file)
        assert (len(found["touches"]), found["gives_outputs"]) == (1, False)
        assert "It is claimed by x (" in found["notes"][-1]


def test_somebody_who_was_erased_ends_with_1_and_says_when(tmp_path: Path) -> None:
    events = [
        somebody("touchpoints", "t", 0, "page_view", contact_id="c1"),
        somebody("leads", "e1", 1, "person_erased", contact_id="c1"),
    ]
    person = translate.account_id("c:c1")
    code, output, said = run("account", person, "--from", written(tmp_path / "e.ndjson", events))
    assert (code, output) == (FAILURE, "")
    assert f"{person} was erased (2026-03-02T00:00:00.000Z, native:e1)" in said
    later = written(
        tmp_path / "f.ndjson", [*events, somebody("touchpoints", "u", 2, "chat", contact_id="c1")]
    )
    found = explained("account", person, "--from", later)
    assert ([each["touch_id"] for each in found["touches"]], "was erased" in found["notes"][0]) == (
        ["native:u"],
        True,
    )
