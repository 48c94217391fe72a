"""Parameters of the learned models, fitted from counts of finished journeys (R33, R44).

A fit is a pure function of the counts: kept up to date one journey at a time, summed over partitions or counted
afresh, equal counts give the same parameters bit for bit. They are given to twelve decimals, so that noise in the
last bits decides nothing: a channel whose exact value is 0 has 0, and whoever computes a value another way gets the
same double.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import fsum
from typing import Any, NamedTuple

from revenue_core.attribution.journeys import JourneyCounts
from revenue_core.attribution.markov import removal_effects
from revenue_core.attribution.shapley import shapley_values
from revenue_core.parameters import Learned

DECIMALS = 12


class ChannelFit(NamedTuple):
    """What was learned about one channel."""

    channel: str
    removal_effect: float
    """0 to 1."""
    markov_share: float
    """Of all conversions: the removal effect over the sum of all; 0 without a conversion."""
    shapley_value: float
    """It may be negative."""
    standard_error: float
    """Of the Shapley value; 0 when that is exact."""
    shapley_share: float
    """Of all conversions: the value, at least 0, over the sum of all that are; 0 without a conversion."""

    @property
    def clipped(self) -> bool:
        """True when the Shapley value is negative, so that its share counts it as 0."""
        return self.shapley_value < 0


class Fitted(NamedTuple):
    """Parameters of both models."""

    conversions: int
    """Journeys that converted,"""
    nulls: int
    """and those that did not."""
    channels: tuple[ChannelFit, ...]
    """Sorted by name."""

    @property
    def p_conversion(self) -> float:
        """Probability that a journey converts; 0 without journeys.

        Of the chain and of the data alike: with null journeys and repeats counted they are equal.
        """
        return self.conversions / ((self.conversions + self.nulls) or 1)

    def learned(self, version: int) -> Learned:
        """What credit rows are computed with."""
        return Learned(
            version,
            self.conversions,
            {each.channel: each.removal_effect for each in self.channels},
            {each.channel: each.shapley_value for each in self.channels},
        )


def fit(counts: JourneyCounts) -> Fitted:
    """Both models; without journeys there are no channels.

    Raises ValueError when these are not the counts of whole journeys.
    """
    counts.check()
    values, errors = map(_rounded, shapley_values(counts))
    effects = _rounded(removal_effects(counts))
    markov_shares, shapley_shares = channel_shares(effects), channel_shares(values)
    return Fitted(
        counts.conversions,
        counts.nulls,
        tuple(
            ChannelFit(
                channel,
                effects[channel],
                markov_shares[channel],
                values[channel],
                errors[channel],
                shapley_shares[channel],
            )
            for channel in counts.channels()
        ),
    )


def channel_shares(values: Mapping[str, float]) -> dict[str, float]:
    """Each channel's part of all conversions: its value, at least 0, over the sum of all; 0 if no value is above 0.

    >>> channel_shares({"Email": 0.75, "Events": 0.25, "Display": -0.5})
    {'Email': 0.75, 'Events': 0.25, 'Display': 0.0}
    """
    clipped = {channel: max(0.0, value) for channel, value in values.items()}
    whole = fsum(clipped.values())
    return {channel: value / whole if whole else 0.0 for channel, value in clipped.items()}


def parameter_rows(fitted: Fitted, version: int) -> list[dict[str, Any]]:
    """Columns of ``model-parameters``: a row for each model and channel, those of ``markov`` first.

    ``parameter_id`` is ``<model>@<version>|<channel>``: after the first ``|`` all is the channel. ``n_conversions``,
    ``n_nulls`` and ``p_conversion`` are those of the whole fit, the same in every row, so that the rows of a version
    give its parameters back. Instants and the version of the row itself are the caller's.
    """
    rows = []
    for model in ("markov", "shapley"):
        for each in fitted.channels:
            row = {
                "parameter_id": f"{model}@{version}|{each.channel}",
                "model": model,
                "params_version": version,
                "channel": each.channel,
                "n_conversions": fitted.conversions,
                "n_nulls": fitted.nulls,
                "p_conversion": fitted.p_conversion,
            }
            if model == "markov":
                row |= {"removal_effect": each.removal_effect, "channel_share": each.markov_share}
            else:
                row |= {
                    "shapley_value": each.shapley_value,
                    "standard_error": each.standard_error,
                    "channel_share": each.shapley_share,
                }
            rows.append(row)
    return rows


def learned_from_rows(version: int, rows: Iterable[Mapping[str, Any]]) -> Learned:
    """The parameters that the rows of one version hold, in any order; those of other models are passed over."""
    markov: dict[str, float] = {}
    shapley: dict[str, float] = {}
    conversions = 0
    for row in sorted(rows, key=lambda row: str(row["parameter_id"])):
        if row["model"] == "markov":
            markov[row["channel"]] = row["removal_effect"]
        elif row["model"] == "shapley":
            shapley[row["channel"]] = row["shapley_value"]
        else:
            continue
        conversions = row["n_conversions"]
    return Learned(version, conversions, markov, shapley)


def _rounded(values: Mapping[str, float]) -> dict[str, float]:
    # Adding 0.0 turns -0.0 into 0.0.
    return {channel: round(value, DECIMALS) + 0.0 for channel, value in values.items()}
