"""Models that weigh milestones and, apart from them, the touches between (R30)."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from math import lcm
from typing import NamedTuple

from revenue_core.config import CustomModel
from revenue_core.paths import DEAL_CREATED, FIRST_TOUCH, LEAD_CREATED, WON, Path

MIDDLE = "middle"


class MilestoneModel(NamedTuple):
    """Integer weights of any common scale."""

    milestones: Mapping[str, int]
    """The milestones of the model, each with a weight above 0."""
    middle: int
    """What the middle touches share equally."""
    until: str = ""
    """Middle touches must precede this milestone, when it is present."""


U_SHAPED = MilestoneModel({FIRST_TOUCH: 40, LEAD_CREATED: 40}, 20)
W_SHAPED = MilestoneModel({FIRST_TOUCH: 30, LEAD_CREATED: 30, DEAL_CREATED: 30}, 10, until=DEAL_CREATED)
FULL_PATH = MilestoneModel({FIRST_TOUCH: 225, LEAD_CREATED: 225, DEAL_CREATED: 225, WON: 225}, 100)


def custom_model(model: CustomModel) -> MilestoneModel:
    """A user's model; a milestone of weight 0 is none of its milestones.

    >>> custom_model(CustomModel("mine", {"first_touch": "62.5", "middle": "37.5"}))
    MilestoneModel(milestones={'first_touch': 125}, middle=75, until='')
    """
    exact = {name: Fraction(text) for name, text in model.weights.items()}
    scale = lcm(*(weight.denominator for weight in exact.values()))
    weights = {name: int(weight * scale) for name, weight in exact.items()}
    middle = weights.pop(MIDDLE, 0)
    return MilestoneModel({name: weight for name, weight in weights.items() if weight}, middle)


def milestone_weights(model: MilestoneModel, path: Path) -> list[int]:
    """One weight per touch (R30).

    The pot of all milestone weights goes to the milestones present in proportion to their weights, the middle
    pot in equal parts to the touches that hold none; with no such touch it joins the milestones' pot. No
    milestone present: linear.
    """
    size = len(path.touches)
    held: dict[int, int] = {}
    for name, weight in model.milestones.items():
        index = path.milestones.get(name)
        if index is not None:
            held[index] = held.get(index, 0) + weight
    if not held:
        return [1] * size
    end = path.milestones.get(model.until, size)
    middle = end - sum(index < end for index in held)
    if not middle:
        return [held.get(index, 0) for index in range(size)]
    # Both pots over their common denominator: pot * weight / present, and model.middle / middle.
    pot, present = sum(model.milestones.values()), sum(held.values())
    rest = model.middle * present
    weights = [rest] * end + [0] * (size - end)
    for index, weight in held.items():
        weights[index] = pot * weight * middle
    return weights
