"""Public reference data from packages, in the shapes that ``revenue_core`` asks for.

Public suffixes (``publicsuffixlist``), bots (``crawler-user-agents``) and currencies (``iso4217``) ship
inside their packages; nothing here touches the network. Everything is read once per process, on first use.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache, lru_cache
from types import MappingProxyType
from typing import Any

from revenue_core.bots import compile_patterns, is_bot
from revenue_core.channel_data import DEFAULT_RULES, SOURCE_LISTS
from revenue_core.channel_rules import parse_rules
from revenue_core.channels import ChannelTables

_CACHED_AGENTS = 16_384
_CACHED_HOSTS = 65_536
_LONGEST_CACHED = 1_024
"""Longer texts are answered without the cache, so that its size is bounded in bytes too."""


def channel_tables(
    rules: Sequence[Mapping[str, Any]] | None = None, sources: Mapping[str, str] | None = None
) -> ChannelTables:
    """Everything that channel classification looks things up in.

    ``rules`` (configuration, see ``parse_rules``) replaces the shipped rules as a whole; ``sources`` adds to
    the shipped source lists or moves a source to another one. Raises ``ValueError`` for a rule that is wrong.
    """
    return ChannelTables(
        registrable_domains(),
        rules=DEFAULT_RULES if rules is None else parse_rules(rules),
        sources=SOURCE_LISTS if sources is None else {**SOURCE_LISTS, **sources},
    )


@cache
def registrable_domains() -> Callable[[str], str]:
    """Host in lower case -> its registrable domain; empty for an address or a public suffix.

    Private suffixes count: two customers of one hosting company are two sites.
    """
    from publicsuffixlist import PublicSuffixList

    suffixes = PublicSuffixList()

    @lru_cache(_CACHED_HOSTS)
    def registrable(host: str) -> str:
        if ":" in host or host.replace(".", "").isdecimal():
            return ""
        return suffixes.privatesuffix(host) or ""

    return registrable


@cache
def bot_matcher() -> Callable[[str], bool]:
    """User agent -> whether it is a known bot's (R54). Answers are cached."""
    from crawleruseragents import CRAWLER_USER_AGENTS_DATA

    patterns = compile_patterns(entry["pattern"] for entry in CRAWLER_USER_AGENTS_DATA)

    @lru_cache(_CACHED_AGENTS)
    def cached(user_agent: str) -> bool:
        return is_bot(user_agent, patterns)

    def matches(user_agent: str) -> bool:
        if len(user_agent) > _LONGEST_CACHED:
            return is_bot(user_agent, patterns)
        return cached(user_agent)

    return matches


@cache
def currency_exponents() -> Mapping[str, int]:
    """Active ISO 4217 code -> decimal places of its minor unit (JPY 0, KWD 3).

    Codes to which the standard gives no minor unit are left out: precious metals, the special drawing right,
    bond units, and the codes for testing and for no currency. No amount can be counted in their minor unit.
    """
    from iso4217 import raw_table

    return MappingProxyType(
        {
            code: int(str(entry["CcyMnrUnts"]))
            for code, entry in sorted(raw_table.items(), key=lambda item: str(item[0]))
            if code and str(entry["CcyMnrUnts"]).isdecimal()
        }
    )
