"""Reference data as the packages give it."""

from __future__ import annotations

import crawleruseragents
import pytest

from streams.reference_data import bot_matcher, channel_tables, currency_exponents, registrable_domains

CHROME = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/126.0.0.0 Safari/537.36"
)


@pytest.mark.parametrize(
    ("host", "domain"),
    [
        ("www.google.co.uk", "google.co.uk"),
        ("a.b.foo.github.io", "foo.github.io"),
        ("github.io", ""),
        ("10.0.0.1", ""),
        ("::1", ""),
        ("localhost", ""),
        ("a..b", ""),
        ("www.nowhere.unknowntld", "nowhere.unknowntld"),
    ],
)
def test_the_registrable_domain_is_one_label_more_than_the_public_suffix(host: str, domain: str) -> None:
    assert registrable_domains()(host) == domain


@pytest.mark.parametrize(
    ("code", "exponent"), [("EUR", 2), ("JPY", 0), ("KWD", 3), ("CLF", 4), ("ISK", 0), ("TND", 3)]
)
def test_currencies_have_the_exponent_of_the_standard(code: str, exponent: int) -> None:
    assert currency_exponents()[code] == exponent


@pytest.mark.parametrize("code", ["XXX", "XTS", "XAU", "XDR", "XBA", "DEM", "eur", ""])
def test_what_has_no_minor_unit_or_is_not_active_is_no_currency(code: str) -> None:
    assert code not in currency_exponents()


def test_all_currencies_are_three_capital_letters() -> None:
    assert len(currency_exponents()) > 150
    assert all(len(code) == 3 and code.isascii() and code.isupper() for code in currency_exponents())


def test_bots_are_the_ones_the_package_knows() -> None:
    agents = [agent for entry in crawleruseragents.CRAWLER_USER_AGENTS_DATA for agent in entry["instances"]]
    assert len(agents) > 1_000
    different = [agent for agent in agents if bot_matcher()(agent) != crawleruseragents.is_crawler(agent)]
    assert different == []


@pytest.mark.parametrize(
    "agent", ["python-requests/2.32", CHROME.replace("Chrome", "HeadlessChrome"), "GPTBot/1.2"]
)
def test_automated_clients_are_bots(agent: str) -> None:
    assert bot_matcher()(agent)


@pytest.mark.parametrize("agent", ["", CHROME, "analytics-python/2.1.9", "x" * 5_000])
def test_people_and_server_libraries_are_not_bots(agent: str) -> None:
    assert not bot_matcher()(agent)


def test_reference_data_is_built_once() -> None:
    assert registrable_domains() is registrable_domains()
    assert bot_matcher() is bot_matcher()
    assert currency_exponents() is currency_exponents()


def test_wrong_rules_are_refused() -> None:
    with pytest.raises(ValueError, match="rules/0"):
        channel_tables(rules=[{"channel": "A"}])
