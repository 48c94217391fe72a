"""How a touch came to its channel, step by step, for people who ask why."""

from __future__ import annotations

from typing import NamedTuple

from revenue_core.channel_data import UNASSIGNED
from revenue_core.channel_rules import describe
from revenue_core.channels import (
    ChannelTables,
    Evidence,
    Read,
    by_type,
    classify,
    host_of,
    present,
    read_evidence,
    with_click,
)


class Step(NamedTuple):
    """One kind of evidence, in the order in which they are asked."""

    name: str
    """``given`` | ``utm`` | ``click_id`` | ``referrer`` | ``type``."""
    evidence: str
    """What the touch says, as read; empty when nothing."""
    outcome: str
    decides: bool


def explain(evidence: Evidence, tables: ChannelTables) -> tuple[Step, ...]:
    """The five steps of ``classify``; exactly one decides, and what follows it was not needed."""
    read = read_evidence(evidence)
    decided_by = classify(evidence, tables).rule.partition(":")[0]
    steps = (
        ("given", *_given(evidence)),
        ("utm", *_utm(evidence, read, tables)),
        ("click_id", *_click_id(read)),
        ("referrer", *_referrer(evidence, tables)),
        ("type", *_type(evidence)),
    )
    return tuple(Step(name, said, outcome, name == decided_by) for name, said, outcome in steps)


def rule_hit(source: str, medium: str, campaign: str, tables: ChannelTables) -> str:
    """The first rule that matches, in words: ``rule 4 Paid Search: source is in the search list and ...``."""
    index = tables.first_match(source, medium, campaign)
    if index == len(tables.rules):
        return f"no rule matches: {UNASSIGNED}"
    rule = tables.rules[index]
    return f"rule {index + 1} {rule.channel}: {describe(rule.when)}"


def _given(evidence: Evidence) -> tuple[str, str]:
    channel = present(evidence.channel)
    return channel, "used as it stands" if channel else "not given"


def _utm(evidence: Evidence, read: Read, tables: ChannelTables) -> tuple[str, str]:
    tags = {"source": read.source, "medium": read.medium, "campaign": read.campaign}
    said = ", ".join(f"{name}={value}" for name, value in tags.items() if value)
    if not said:
        return "", "no utm_source, utm_medium or utm_campaign"
    source, medium = with_click(read)
    filled_by = "click id"
    if not source and not medium:
        source, medium = tables.origin(host_of(evidence.referrer), host_of(evidence.url))
        filled_by = "referrer"
    outcome = rule_hit(source, medium, read.campaign, tables)
    if (source, medium) != (read.source, read.medium):
        outcome = f"with source={source}, medium={medium} by the {filled_by}: {outcome}"
    return said, outcome


def _click_id(read: Read) -> tuple[str, str]:
    if read.click is None:
        return "", "no known click id"
    return read.click_type, f"{read.click.channel} (source={read.click.source}, medium={read.click.medium})"


def _referrer(evidence: Evidence, tables: ChannelTables) -> tuple[str, str]:
    host, own = host_of(evidence.referrer), host_of(evidence.url)
    if not host:
        return "", "no referrer" if not present(evidence.referrer) else "the referrer holds no host"
    source, medium = tables.origin(host, own)
    if not source:
        return host, f"the same site as the page ({tables.site(own)}), so no referrer"
    return host, f"source={source}, medium={medium}: {rule_hit(source, medium, '', tables)}"


def _type(evidence: Evidence) -> tuple[str, str]:
    pattern, channel = by_type(evidence.type)
    return evidence.type, f"{channel} ({'any other type' if pattern == '*' else pattern})"
