"""Which channel a touch came through (R34), and the source and medium that go with it (R62).

Evidence is asked in this order: the channel given, the UTM tags (those missing are read from the URL), a
click id, the referrer, the touch type. What says nothing, or cannot be read, is no evidence; nothing raises.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import unquote_plus

from revenue_core.channel_data import (
    CLICK_IDS,
    DEFAULT_RULES,
    GAD_SOURCE,
    SOURCE_LISTS,
    TYPE_CHANNELS,
    UNASSIGNED,
    ClickId,
)
from revenue_core.channel_rules import Rule, compile_part

_TAGS = ("utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content")
_QUERY = re.compile(
    rf"[?&](?:amp;)?({'|'.join((*_TAGS, *CLICK_IDS, 'gad_source'))})=([^&]*)", re.ASCII | re.IGNORECASE
)
_HOST = re.compile(
    r"(?:(?:[a-z][a-z0-9+.-]*:)?//(?:[^/?#@\s]*@)?)?([\w.-]+)(?::\d*)?(?:[/?#]|$)", re.IGNORECASE
)
_MEDIA = {"search": "organic", "social": "social", "ai": "ai-assistant"}
_LONGEST_HOST = 253
_LONGEST_KEY = 300
"""Longer texts are classified without the cache, so that its size is bounded in bytes too."""


class Evidence(NamedTuple):
    """What a touch says of where it came from; empty where it says nothing."""

    channel: str = ""
    """A channel given outright; used as it stands."""
    type: str = ""
    url: str = ""
    referrer: str = ""
    utm_source: str = ""
    utm_medium: str = ""
    utm_campaign: str = ""
    utm_term: str = ""
    utm_content: str = ""
    click_id: str = ""
    click_id_type: str = ""
    """The name of the parameter the click id came in, for example ``gclid``."""
    campaign: str = ""
    """Given beside ``utm_campaign``, it fills the column (R62); the rules see ``utm_campaign`` only."""
    keyword: str = ""
    content: str = ""


class Classified(NamedTuple):
    """The channel and the columns that come with it (R62), empty where nothing is known."""

    channel: str
    source: str
    medium: str
    campaign: str
    keyword: str
    content: str
    rule: str
    """What decided: ``given``, ``utm``, ``click_id:<type>``, ``referrer`` or ``type:<pattern>``."""


class Origin(NamedTuple):
    """What a referrer says. All empty: nothing."""

    source: str = ""
    medium: str = ""


_NOTHING = Origin()


class ChannelTables:
    """The rules and lists that classification looks things up in, with bounded caches of the answers.

    ``registrable`` gives the registrable domain of a lower-case host, or an empty string when it has none.
    ``rules`` replaces the shipped rules as a whole. ``sources`` maps a source name, host or registrable
    domain to the list it is in (``search``, ``social``, ``video``, ``shopping``, ``ai``), or to the empty
    string for a host that is not what its domain is. Raises ``ValueError`` for a rule that is wrong.
    """

    def __init__(
        self,
        registrable: Callable[[str], str],
        rules: tuple[Rule, ...] = DEFAULT_RULES,
        sources: Mapping[str, str] = SOURCE_LISTS,
        cache_size: int = 16_384,
    ) -> None:
        self.rules = rules
        self._registrable = registrable
        self._sources = sources
        self._tests = tuple(compile_part(rule.when) for rule in rules)
        self._first_cached = lru_cache(cache_size)(self._first)
        self._origin_cached = lru_cache(cache_size)(self._origin)

    @property
    def channels(self) -> frozenset[str]:
        """Every channel that can come out, those given outright aside."""
        fixed = {UNASSIGNED, *(channel for _, channel in TYPE_CHANNELS)}
        clicked = {click.channel for click in (*CLICK_IDS.values(), *GAD_SOURCE.values())}
        return frozenset(fixed | clicked | {rule.channel for rule in self.rules})

    def first_match(self, source: str, medium: str, campaign: str) -> int:
        """Index of the first rule that matches, or the number of rules when none does."""
        if len(source) + len(medium) + len(campaign) > _LONGEST_KEY:
            return self._first(source, medium, campaign)
        return self._first_cached(source, medium, campaign)

    def channel(self, source: str, medium: str, campaign: str) -> str:
        """The channel of the first rule that matches, else ``Unassigned``."""
        index = self.first_match(source, medium, campaign)
        return self.rules[index].channel if index < len(self.rules) else UNASSIGNED

    def origin(self, host: str, own_host: str) -> Origin:
        """What a referrer's host says to a page on ``own_host``: nothing when both are one site (R34).

        The source is the registrable domain, or the host itself where the host is listed by itself.
        """
        return self._origin_cached(host, own_host) if host else _NOTHING

    def site(self, host: str) -> str:
        """The registrable domain, or the host itself when it has none (an address, a public suffix)."""
        return self._registrable(host) or host

    def _find(self, name: str) -> tuple[str, str]:
        """(the listed name or registrable domain, the list it is in); ``name`` in lower case."""
        name = name.removeprefix("www.")
        found = self._sources.get(name)
        if found is not None:
            return name, found
        if "." not in name or len(name) > _LONGEST_HOST:
            return name, ""
        site = self.site(name)
        return site, self._sources.get(site, "")

    def _origin(self, host: str, own_host: str) -> Origin:
        if own_host and self.site(host) == self.site(own_host):
            return _NOTHING
        source, list_name = self._find(host)
        return Origin(source, _MEDIA.get(list_name, "referral"))

    def _first(self, source: str, medium: str, campaign: str) -> int:
        source = source.strip().lower()
        medium, campaign = medium.strip().lower(), campaign.strip().lower()
        listed = self._find(source)[1]
        for index, test in enumerate(self._tests):
            if test(source, medium, campaign, listed):
                return index
        return len(self._tests)


class Read(NamedTuple):
    """The evidence as read: fields first, then what the URL's query adds."""

    source: str
    medium: str
    campaign: str
    term: str
    content: str
    click_type: str
    click: ClickId | None


def classify(evidence: Evidence, tables: ChannelTables) -> Classified:
    """Channel, source, medium, campaign, keyword and content of a touch (R34, R62).

    UTM tags decide by the rules, for which the click id fills in a missing source or medium, and the referrer
    both when neither is known. Without tags the click id decides, then the referrer by the rules, then the
    touch type. The columns are filled in one by one, whatever decided.
    """
    read = read_evidence(evidence)
    source, medium = with_click(read)
    origin = _NOTHING
    if evidence.referrer and not (source and medium):
        origin = tables.origin(host_of(evidence.referrer), host_of(evidence.url))
    if present(evidence.channel):
        channel, rule = evidence.channel, "given"
    elif read.source or read.medium or read.campaign:
        looked_up = (source, medium) if source or medium else origin
        channel, rule = tables.channel(*looked_up, read.campaign), "utm"
    elif read.click:
        channel, rule = read.click.channel, "click_id:" + read.click_type
    elif origin.source:
        channel, rule = tables.channel(origin.source, origin.medium, ""), "referrer"
    else:
        pattern, channel = by_type(evidence.type)
        rule = "type:" + pattern
    return Classified(
        channel,
        source or origin.source,
        medium or origin.medium,
        present(evidence.campaign) or read.campaign,
        present(evidence.keyword) or read.term,
        present(evidence.content) or read.content,
        rule,
    )


def read_evidence(evidence: Evidence) -> Read:
    """UTM tags and click id: the field where it is given, else from the URL's query."""
    query = _from_query(evidence.url)
    tags = (
        present(evidence.utm_source),
        present(evidence.utm_medium),
        present(evidence.utm_campaign),
        present(evidence.utm_term),
        present(evidence.utm_content),
    )
    click_type, click = _click(evidence, query)
    if query:
        tags = (
            tags[0] or query.get("utm_source", ""),
            tags[1] or query.get("utm_medium", ""),
            tags[2] or query.get("utm_campaign", ""),
            tags[3] or query.get("utm_term", ""),
            tags[4] or query.get("utm_content", ""),
        )
    return Read(*tags, click_type, click)


def with_click(read: Read) -> tuple[str, str]:
    """Source and medium of the tags, each filled in by the click id where it is missing."""
    if read.click is None:
        return read.source, read.medium
    return read.source or read.click.source, read.medium or read.click.medium


def by_type(touch_type: str) -> tuple[str, str]:
    """(the pattern that fits, its channel) for a touch that has no web evidence (R34)."""
    return _by_type(touch_type[:_LONGEST_KEY])


def host_of(url: str) -> str:
    """The host in lower case, without port and trailing dot; empty when the text holds none.

    A scheme may be missing. A host has a dot: ``direct``, ``null`` and ``localhost`` are none.
    """
    found = _HOST.match(url.strip())
    if not found:
        return ""
    host = found[1].lower().rstrip(".")
    bad = len(host) > _LONGEST_HOST or "." not in host or host[0] == "." or ".." in host
    return "" if bad else host


def present(text: str) -> str:
    """The text, or nothing when it is blank (R14)."""
    return "" if not text or text.isspace() else text


@lru_cache(256)
def _by_type(touch_type: str) -> tuple[str, str]:
    return next(
        (pattern, channel)
        for pattern, channel in TYPE_CHANNELS
        if touch_type == pattern or (pattern[-1] == "*" and touch_type.startswith(pattern[:-1]))
    )


def _from_query(url: str) -> dict[str, str]:
    """UTM tags and click ids of the query, decoded, by lower-case name; the first not blank counts."""
    start = url.find("?")
    if start < 0:
        return {}
    end = url.find("#")
    if end < 0:
        end = len(url)
    found: dict[str, str] = {}
    for name, raw in _QUERY.findall(url, start, end):
        text = unquote_plus(raw) if "%" in raw or "+" in raw else raw
        if present(text):
            found.setdefault(name.lower(), text)
    return found


def _click(evidence: Evidence, query: Mapping[str, str]) -> tuple[str, ClickId | None]:
    """(type, meaning) of the click id: the field's, else the first known one of the URL."""
    if present(evidence.click_id) and evidence.click_id_type:
        name = evidence.click_id_type.strip().lower()
        if name in CLICK_IDS:
            return name, CLICK_IDS[name]
    if query:
        for name in CLICK_IDS:
            if name in query:
                return name, CLICK_IDS[name]
        if "gad_source" in query:
            return "gad_source", GAD_SOURCE.get(query["gad_source"], GAD_SOURCE[""])
    return "", None
