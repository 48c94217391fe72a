"""All attribution models in the order of their columns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from math import fsum
from typing import NamedTuple, TypeAlias, cast

from revenue_core.attribution.data_driven import channel_weights
from revenue_core.attribution.decay import time_decay
from revenue_core.attribution.even import linear, position_based
from revenue_core.attribution.milestones import (
    FULL_PATH,
    U_SHAPED,
    W_SHAPED,
    custom_model,
    milestone_weights,
)
from revenue_core.attribution.single import first_touch, last_non_direct, last_touch
from revenue_core.config import AttributionConfig, CoreConfig
from revenue_core.money import apportion, apportion_shares
from revenue_core.parameters import Learned
from revenue_core.paths import Path

Weights: TypeAlias = "list[int] | list[float]"
"""One per touch, none negative, their sum above 0: integers where they are rational, else doubles (R29)."""

_NO_VALUES: Mapping[str, float] = {}


class Model(NamedTuple):
    """One attribution model."""

    name: str
    """Prefix of its columns."""
    weigh: Callable[[Path], Weights]
    """Takes a path that is not empty."""
    data_driven: bool = False
    """It sees the path of the profile ``data_driven`` and weighs that path's untransformed touches (R32)."""


def models(config: AttributionConfig, learned: Learned | None = None) -> list[Model]:
    """Every model, in column order; without parameters ``markov`` and ``shapley`` equal ``linear`` (R32)."""
    return [
        Model("first_touch", first_touch),
        Model("last_touch", last_touch),
        Model("last_non_direct", last_non_direct),
        Model("linear", linear),
        Model("position_based", position_based),
        Model("u_shaped", partial(milestone_weights, U_SHAPED)),
        Model("w_shaped", partial(milestone_weights, W_SHAPED)),
        Model("full_path", partial(milestone_weights, FULL_PATH)),
        Model("time_decay", partial(time_decay, config.half_life_ms)),
        Model("time_decay_long", partial(time_decay, config.rules.lookback_ms / 4)),
        *(
            Model(f"custom_{custom.name}", partial(milestone_weights, custom_model(custom)))
            for custom in config.custom
        ),
        Model("markov", partial(channel_weights, learned.markov if learned else _NO_VALUES), True),
        Model("shapley", partial(channel_weights, learned.shapley if learned else _NO_VALUES), True),
    ]


def model_names(config: CoreConfig) -> list[str]:
    """Column prefixes of all models, in column order."""
    return [model.name for model in models(config.attribution)]


def split(weights: Weights, amount_minor: int) -> tuple[list[float], list[int]]:
    """Shares (doubles that sum to 1) and the money in minor units, which sums exactly to the amount (R29)."""
    if isinstance(weights[0], int):
        exact = cast("list[int]", weights)
        total = sum(exact)
        shares = [weight / total for weight in exact]
        return shares, apportion(amount_minor, exact) if amount_minor else [0] * len(shares)
    whole = fsum(weights)
    shares = [weight / whole for weight in weights]
    return shares, apportion_shares(amount_minor, shares) if amount_minor else [0] * len(shares)
