"""Bots by user agent (R54)."""

from __future__ import annotations

import re

import pytest

from revenue_core.bots import compile_patterns, is_bot

PATTERNS = compile_patterns(
    [r"Googlebot\/", r"[wW]get", r"^curl", r"Automaton|News Fetcher", r"a\.b", r"x!", r"SSL$"]
)


@pytest.mark.parametrize(
    "agent",
    [
        "Mozilla/5.0 Googlebot/2.1",
        "Wget/1",
        "curl/8",
        "my Automaton",
        "News Fetcher",
        "xa.b",
        "wow x! y",
        "by SSL",
    ],
)
def test_an_agent_that_a_pattern_occurs_in_is_a_bot(agent: str) -> None:
    assert is_bot(agent, PATTERNS)


@pytest.mark.parametrize(
    "agent", ["", "googlebot/2.1", "my curl", "axb", "SSL kit", "Goo", "ab", "Mozilla/5.0 Chrome/1"]
)
def test_other_agents_are_not_bots(agent: str) -> None:
    assert not is_bot(agent, PATTERNS)


def test_without_patterns_nothing_is_a_bot() -> None:
    assert not is_bot("Googlebot/2.1", compile_patterns([]))


def test_no_user_agent_is_not_a_bot_even_if_a_pattern_matches_nothing() -> None:
    assert not is_bot("", compile_patterns(["x*"]))


def test_a_broken_pattern_is_refused() -> None:
    with pytest.raises(re.error):
        compile_patterns(["ok", "(broken"])


def test_what_comes_after_the_longest_real_user_agent_is_not_looked_at() -> None:
    assert not is_bot("M" * 5_000 + "Googlebot/2.1", PATTERNS)
