"""Journeys that have ended, of which the learned models are made (R33)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from revenue_core.config import CoreConfig
from revenue_core.conversions import conversions, first_lead_at
from revenue_core.deals import Conversion, Deal
from revenue_core.facts import Journey
from revenue_core.paths import build_path

ENDINGS = ("won", "lost")


class Finished(NamedTuple):
    """One journey that has ended, of weight 1."""

    at: int
    """Event time at which it ended (ms)."""
    channels: tuple[str, ...]
    """Of its path under the profile ``data_driven``, transform applied; never empty."""
    converted: bool
    """True for a win; else it ended in nothing."""


def finished_journeys(
    journey: Journey, deals: Mapping[str, Deal], config: CoreConfig, now: int
) -> list[Finished]:
    """The account's journeys that have ended at ``now`` (ms).

    ``deals`` are its deals as folded then. Each deal that is won or lost has one, the path of that conversion. An
    account without deals has one once its last touch is older than the lookback: its touches of the last lookback
    before that touch. Empty paths are none.
    """
    ended = [each for each in conversions(journey, deals, config) if each.conversion in ENDINGS]
    ends = {each.conversion_id: each.at for each in ended}
    lapse = lapses_at(journey, deals, config)
    if lapse is not None and lapse <= now:
        last = journey.touches[-1].at
        ended.append(Conversion("", "lapsed", last, "count", 0, "", False, None, path_at=last))
        ends[""] = lapse
    lead_at = first_lead_at(journey)
    found = []
    for each in ended:
        profile = config.attribution.data_driven
        path = build_path(journey, each, deals, lead_at, profile, config.attribution)
        channels = tuple(touch.channel for touch in path.touches)
        if channels:
            found.append(Finished(ends[each.conversion_id], channels, each.conversion == "won"))
    return found


def lapses_at(journey: Journey, deals: Mapping[str, Deal], config: CoreConfig) -> int | None:
    """When the journey ends if nothing more comes (ms); None without a touch, and while there is a deal."""
    if not journey.touches or any(deal.exists for deal in deals.values()):
        return None
    return journey.touches[-1].at + config.attribution.data_driven.lookback_ms + 1
