"""``headwater identity check``: what is in doubt, what it holds back, and how it ends."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from streams.cli.exits import FAILURE, INVALID, OK, USAGE
from streams.cli.main import app

DAY = 86_400_000
START = 1_772_323_200_000  # 2026-03-01T00:00:00Z
ADDRESS = "Bob.Builder@initech.com"


@pytest.fixture(autouse=True)
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("HEADWATER_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("COLUMNS", "80")


def run(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["identity", "check", *arguments])
    return result.exit_code, result.stdout, result.stderr


def event(topic: str, event_id: str, type_: str, day: float, **fields: Any) -> dict[str, Any]:
    at = START + round(day * DAY)
    return {"topic": topic, "event_id": event_id, "type": type_, "occurred_at": at, **fields}


def touch(event_id: str, day: float, **fields: Any) -> dict[str, Any]:
    return event("touchpoints", event_id, "page_view", day, **fields)


def claims(account_id: str, day: float, *domains: str) -> dict[str, Any]:
    event_id = f"claims-{account_id}"
    return event("leads", event_id, "account_updated", day, account_id=account_id, domains=domains)


def merge(event_id: str, day: float, account_id: str, into: str) -> dict[str, Any]:
    fields = {"account_id": account_id, "into_account_id": into}
    return event("leads", event_id, "account_merged", day, **fields)


def written(folder: Path, events: Iterable[dict[str, Any]]) -> str:
    file = folder / "events.ndjson"
    file.write_text("".join(json.dumps(each) + "\n" for each in events))
    return str(file)


def checked(folder: Path, events: Iterable[dict[str, Any]], code: int = INVALID) -> dict[str, Any]:
    ended, output, said = run(written(folder, events), "--json")
    assert ended == code, said
    found: dict[str, Any] = json.loads(output)
    return found


HELD = [
    claims("initech", 1, "initech.com"),
    claims("initech gmbh", 2, "initech.com"),
    touch("t1", 3, email=ADDRESS),
    touch("t2", 3, anonymous_id="v", domain="initech.com"),
    event("leads", "l1", "lead_created", 4, email=ADDRESS, lead_id="L1"),
    event("deals", "d1", "deal_updated", 5, deal_id="D1", domain="initech.com", amount="500", currency="USD"),
    event("deals", "d2", "deal_updated", 5, deal_id="D2", domain="initech.com", amount="7", currency="JPY"),
]
KIOSK = [touch(f"k{n}", n / 10, anonymous_id="kiosk", contact_id=f"c{n}") for n in range(12)]


def test_nothing_in_doubt_ends_with_0_and_says_so(tmp_path: Path) -> None:
    code, output, said = run(written(tmp_path, [touch("t", 0, account_id="acme")]))
    assert (code, said) == (OK, "")
    assert output == "1 line read; 1 account with facts\n\nNothing is in doubt.\n"


def test_visitors_nobody_knows_are_counted_and_are_no_doubt(tmp_path: Path) -> None:
    found = checked(tmp_path, [touch("a", 0, anonymous_id="v"), touch("b", 1, anonymous_id="v")], OK)
    assert (found["visitors"], found["unclaimed"]["touches"]) == (1, 2)


def test_an_ambiguous_domain_says_who_claims_it_since_when_and_what_it_holds(tmp_path: Path) -> None:
    found = checked(tmp_path, HELD)
    assert found["ambiguous_domains"] == [
        {
            "domain": "initech.com",
            "claims": [
                {
                    "account_id": "initech",
                    "at": "2026-03-02T00:00:00.000Z",
                    "event": "native:claims-initech",
                },
                {
                    "account_id": "initech gmbh",
                    "at": "2026-03-03T00:00:00.000Z",
                    "event": "native:claims-initech gmbh",
                },
            ],
            "held": {"touches": 2, "leads": 1, "deals": 2, "amounts_minor": {"JPY": 7, "USD": 500_00}},
        }
    ]
    assert found["held"] == found["ambiguous_domains"][0]["held"]


def test_an_ambiguous_domain_is_none_once_its_accounts_are_merged(tmp_path: Path) -> None:
    found = checked(tmp_path, [*HELD, merge("m", 6, "initech gmbh", "initech")], OK)
    assert (found["ambiguous_domains"], found["held"]["deals"]) == ([], 0)


def test_a_shared_device_says_its_partners_its_limit_and_the_facts_it_is_in(tmp_path: Path) -> None:
    found = checked(tmp_path, [*KIOSK, touch("own", 2, anonymous_id="kiosk")])
    assert found["shared_identifiers"] == [
        {
            "identifier": "a:kiosk",
            "partners": {"contacts": 12},
            "limit": 10,
            "facts": 13,
            "held": {"touches": 13, "leads": 0, "deals": 0, "amounts_minor": {}},
        }
    ]


def test_facts_of_a_shared_device_that_have_their_account_are_not_held(tmp_path: Path) -> None:
    named = [{**each, "account_id": "acme"} for each in KIOSK]
    (shared,) = checked(tmp_path, named)["shared_identifiers"]
    assert (shared["facts"], shared["held"]["touches"]) == (12, 0)


def test_as_many_partners_as_are_allowed_are_no_doubt(tmp_path: Path) -> None:
    assert checked(tmp_path, KIOSK[:10], OK)["shared_identifiers"] == []


@pytest.mark.parametrize("into", ["a", "b"])
def test_a_merge_in_a_circle_is_reported_with_its_event(tmp_path: Path, into: str) -> None:
    merges = [merge("m1", 1, "b", "a"), merge("m2", 2, "a", into)]
    (circle,) = checked(tmp_path, [touch("t", 0, account_id="a"), *merges])["circles"]
    assert circle == {
        "account_id": "a",
        "into_account_id": into,
        "at": "2026-03-03T00:00:00.000Z",
        "event": "native:m2",
    }


def test_only_the_erasure_of_somebody_unknown_is_reported(tmp_path: Path) -> None:
    events = [
        touch("t", 0, contact_id="known"),
        touch("late", 3, contact_id="later"),
        event("leads", "e1", "person_erased", 1, contact_id="known"),
        event("leads", "e2", "person_erased", 1, contact_id="stranger", email=ADDRESS),
        event("leads", "e3", "person_erased", 1, contact_id="later"),
    ]
    found = checked(tmp_path, events)["strangers"]
    assert [each["event"] for each in found] == ["native:e2", "native:e3"]
    assert found[0]["identifiers"][0] == "c:stranger"


def test_an_erasure_that_comes_before_the_facts_it_erases_is_of_somebody_known(tmp_path: Path) -> None:
    events = [
        event("leads", "e", "person_erased", 1, contact_id="known"),
        touch("t", 0, contact_id="known"),
    ]
    assert checked(tmp_path, events, OK)["strangers"] == []


def test_free_domains_that_accounts_claim_are_named(tmp_path: Path) -> None:
    events = [
        claims("acme", 1, "acme.com", "gmail.com"),
        touch("t", 2, account_id="globex", domain="www.GMail.com"),
        touch("u", 2, anonymous_id="v", domain="gmail.com"),
    ]
    assert checked(tmp_path, events)["free_domains"] == {"gmail.com": ["acme", "globex"]}


def test_a_company_whose_domain_is_on_the_lists_can_be_taken_out(tmp_path: Path) -> None:
    config = tmp_path / "headwater.yaml"
    config.write_text("identity: {company_domains: [gmail.com]}\n")
    file = written(tmp_path, [claims("google", 1, "gmail.com")])
    assert run(file, "--config", str(config))[0] == OK
    assert run(file)[0] == INVALID


def test_the_report_fits_80_columns_and_shows_no_address(tmp_path: Path) -> None:
    shared = [touch(f"s{n}", 1, email=ADDRESS, contact_id=f"s{n}") for n in range(11)]
    erased = event("leads", "e", "person_erased", 1, email="stranger@nowhere.org")
    code, output, said = run(written(tmp_path, [*HELD, *KIOSK, *shared, erased]))
    assert code == INVALID
    assert said == (
        "Error: to look at: ambiguous domains (1), shared identifiers (2), erasures of somebody unknown (1)\n"
    )
    assert max(map(len, output.splitlines())) <= 80
    for text in ("Ambiguous domains", "Shared identifiers", "visitor kiosk", "12 contacts", "500.00 USD"):
        assert text in output
    assert "@" not in output and "builder" not in output.lower() and "stranger@" not in output


def test_json_shows_no_hash_in_full(tmp_path: Path) -> None:
    shared = [touch(f"s{n}", 1, email=ADDRESS, contact_id=f"s{n}") for n in range(11)]
    (found,) = checked(tmp_path, shared)["shared_identifiers"]
    assert len(found["identifier"]) == len("e:01234567…")


def test_lines_that_cannot_be_used_are_counted_and_end_with_3(tmp_path: Path) -> None:
    code, output, said = run(
        written(tmp_path, [touch("t", 0, account_id="a"), {"topic": "nowhere"}, touch("u", 0)])
    )
    assert code == INVALID
    assert "3 lines read, 2 refused: `headwater score` says why; 1 account with facts" in output
    assert "lines refused (2)" in said


def test_a_file_that_is_not_there_ends_with_1_and_its_name() -> None:
    code, output, said = run("/nowhere/leads.ndjson")
    assert (code, output) == (FAILURE, "")
    assert said == "Error: /nowhere/leads.ndjson: No such file or directory\n"


@pytest.mark.parametrize("arguments", [(), ("x", "--format", "nonsense"), ("x", "--topic", "nonsense")])
def test_wrong_usage_ends_with_2(arguments: tuple[str, ...]) -> None:
    assert run(*arguments)[0] == USAGE
