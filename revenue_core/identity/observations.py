"""What the identity graph is told, and what it answers: plain values (R37 to R43).

Keys of identifiers carry the prefix of their kind: ``A:`` account, ``c:`` contact, ``e:`` e-mail hash, ``a:``
visitor, ``w:`` domain, ``l:`` lead, ``d:`` deal.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

MIN = -(2**62)
"""Before every instant, in milliseconds."""
Timeline = tuple[tuple[int, str], ...]
"""(from this instant in ms, node) in order, the first from ``MIN``, neighbours different."""
Event = tuple[int, str, str]
"""(at, source, event_id): a fact by its place in fact order."""

KINDS = ("touchpoints", "leads", "deals")

ERASED = "+"
"""The node of facts that are to be forgotten (R42)."""
FALLBACK = "5:"
"""Before a node that claims only a visitor's facts without a website domain of their own (R37, 5)."""
HELD = "h:"
"""Before an ambiguous domain: the root of what resolves through it (R38)."""


class GraphConfig(NamedTuple):
    """What the settings decide about links."""

    max_links: int
    """How many partners of one stronger kind an identifier may have before it is shared (R40)."""
    anonymous_ttl_ms: int
    """How much older than its link a visitor's fact may be to be claimed by it (R39)."""


class Observation(NamedTuple):
    """A message that says something about identity."""

    at: int
    source: str
    event_id: str
    digest: str
    """SHA-256 hex of the normalised content, or its beginning: which of two messages at one instant is first."""
    kind: str
    """``touchpoints``, ``leads`` or ``deals``."""
    type: str
    ids: tuple[str, ...]
    """Keys, at most one of a kind; domains of free mail are left out."""
    email_domain: str
    """Of the address behind ``e:``; empty when there is none, or when it is a free one."""
    domain_claims: tuple[str, ...]
    """``account_updated.domains``, free ones left out."""
    into: str
    """``account_merged.into_account_id``, without prefix; else empty."""


@dataclass(slots=True)
class Changes:
    """What one message changed."""

    kept: bool = False
    """The message belongs to what ``Graph.messages`` gives; a repetition does not."""
    timelines: dict[str, tuple[Timeline, Timeline]] = field(default_factory=dict)
    """Native key -> (before, now)."""
    redirects: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Node (``A:`` or ``w:``) -> (root before, root now)."""
    erased: dict[str, int] = field(default_factory=dict)
    """Identifier -> its touches and lead facts up to this instant are to be forgotten; it rises only."""
    watched: set[str] = field(default_factory=set)
    """Identifiers of which every message matters from now on."""


class Step(NamedTuple):
    """One step on the way from a native key to its account."""

    rule: str
    """Number of the rule, such as ``R37.2``."""
    frm: str
    to: str
    at: int | None
    """Instant of the fact that made the link; None when no fact did."""
    source: str = ""
    event_id: str = ""


class Counts(NamedTuple):
    """How much is in doubt."""

    ambiguous: int
    """Domains that several accounts claim."""
    held: int
    """Native keys that resolve through these, at some instant."""
    shared: int
    """Identifiers with more partners than the cap allows."""
    refused: int
    """Accounts whose redirect would close a circle."""


def first_of(ids: tuple[str, ...], kind: str) -> str:
    """The identifier of a kind (one letter), empty when there is none."""
    for each in ids:
        if each[0] == kind:
            return each
    return ""


def fact_order(fact: Observation) -> tuple[int, str, str, int, list[str]]:
    """Sorts facts; what agrees in all else by kind, as at one instant (R04), then by whom it names."""
    return fact.at, fact.source, fact.event_id, KINDS.index(fact.kind), sorted(fact.ids)


def event_of(observation: Observation) -> Event:
    """Which fact it was."""
    return observation[:3]
