"""How a model came to its parts of one conversion, in numbers that can be checked by hand.

The weights are the model's own; what is added is where each comes from. Nothing here decides anything.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import exp2, fsum

from revenue_core.attribution.milestones import (
    FULL_PATH,
    U_SHAPED,
    W_SHAPED,
    MilestoneModel,
    custom_model,
)
from revenue_core.attribution.models import Model, Weights, split
from revenue_core.channel_data import DIRECT
from revenue_core.config import AttributionConfig
from revenue_core.facts import DAY_MS, Touch
from revenue_core.parameters import Learned
from revenue_core.paths import DEAL_CREATED, FIRST_TOUCH, LEAD_CREATED, WON, Path

SHORT = {FIRST_TOUCH: "FT", LEAD_CREATED: "LC", DEAL_CREATED: "OC", WON: "CW"}
"""Milestone -> its usual short name; stages keep theirs."""
NO_TOUCH = "No touch is on the path: nobody earned it."


@dataclass(frozen=True, slots=True)
class Part:
    """What one touch earns by one model."""

    touch_id: str
    why: str
    """What the touch is to the model: ``FT + LC``, ``between``, ``38 days before``."""
    weight: str
    """``40/100``, ``1/15``, ``2^-(38/7) = 0.02322``; the shares are the weights over their sum."""
    share: float
    amount_minor: int
    rounding_minor: int
    """1 when the part was rounded up by one minor unit, so that the parts add up (R29); -1 of a negative amount."""


@dataclass(frozen=True, slots=True)
class Working:
    """One model on one path."""

    model: str
    profile: str
    """``rules`` | ``data_driven``."""
    rule: str
    """What the model does on this path, in a sentence or two."""
    total: str
    """Sum of the weights."""
    parts: list[Part]
    """One per touch of the path, in touch order."""


@dataclass(frozen=True, slots=True)
class _Reading:
    """A model's weights in words."""

    rule: str
    why: Sequence[str]
    weights: Sequence[str]
    total: str = "1"


@dataclass(frozen=True, slots=True)
class Setting:
    """What the words depend on, beside the path."""

    config: AttributionConfig
    learned: Learned | None
    until: int
    """Instant (ms) from which ages are counted back: that of the conversion whose path it is."""


def working(model: Model, path: Path, amount_minor: int, nobody: str, setting: Setting) -> Working:
    """The parts of ``amount_minor`` that the model gives to the touches of its path.

    An empty path gives all to the pseudo-touch ``nobody``.
    """
    profile = "data_driven" if model.data_driven else "rules"
    if not path.touches:
        parts = [Part(nobody, "no touch", "1/1", 1.0, amount_minor, 0)]
        return Working(model.name, profile, NO_TOUCH, "1", parts)
    touches = path.untransformed if model.data_driven else path.touches
    weights = model.weigh(path)
    reading = _read(model, path, weights, setting)
    shares, amounts = split(weights, amount_minor)
    rounding = _rounding(weights, shares, amount_minor, amounts)
    parts = [
        Part(touch.touch_id, *cells)
        for touch, *cells in zip(
            touches, reading.why, reading.weights, shares, amounts, rounding, strict=True
        )
    ]
    return Working(model.name, profile, reading.rule, reading.total, parts)


def percent(share: Fraction) -> str:
    """An exact share as hundredths where these have at most one decimal, else in lowest terms.

    >>> percent(Fraction(2, 5)), percent(Fraction(9, 40)), percent(Fraction(1, 15)), percent(Fraction(0))
    ('40/100', '22.5/100', '1/15', '0')
    """
    if not share:
        return "0"
    hundredths = share * 100
    if (hundredths * 10).denominator == 1:
        return f"{_number(hundredths)}/100"
    return f"{share.numerator}/{share.denominator}"


def _rounding(
    weights: Weights, shares: Sequence[float], amount_minor: int, amounts: Sequence[int]
) -> list[int]:
    """By how much each part exceeds its exact quota cut to whole minor units."""
    exact = [Fraction(each) for each in (weights if isinstance(weights[0], int) else shares)]
    whole = sum(exact)
    sign = -1 if amount_minor < 0 else 1
    return [
        part - sign * int(abs(amount_minor) * each / whole) for each, part in zip(exact, amounts, strict=True)
    ]


def _read(model: Model, path: Path, weights: Weights, setting: Setting) -> _Reading:
    name, config = model.name, setting.config
    if model.data_driven:
        return _learned(name, path, setting.learned)
    milestones = _milestone_models(config).get(name)
    if milestones is not None:
        return _milestones(milestones, path, weights)
    half_life_ms = {"time_decay": config.half_life_ms, "time_decay_long": config.rules.lookback_ms / 4}.get(
        name
    )
    if half_life_ms is not None:
        return _decay(path, half_life_ms, setting.until)
    if name == "linear":
        return _equal(len(path.touches), "Equal parts")
    return _positions(len(path.touches)) if name == "position_based" else _single(name, path.touches, weights)


def _milestone_models(config: AttributionConfig) -> Mapping[str, MilestoneModel]:
    known = {"u_shaped": U_SHAPED, "w_shaped": W_SHAPED, "full_path": FULL_PATH}
    return known | {f"custom_{each.name}": custom_model(each) for each in config.custom}


def _single(name: str, touches: Sequence[Touch], weights: Weights) -> _Reading:
    if name == "first_touch":
        why, rule = "first", "All to the first touch of the path."
    elif name == "last_non_direct" and any(touch.channel != DIRECT for touch in touches):
        why, rule = "last not Direct", "All to the last touch whose channel is not Direct."
    elif name == "last_non_direct":
        why, rule = "last", "Every touch is Direct: all to the last touch of the path."
    else:
        why, rule = "last", "All to the last touch of the path."
    return _Reading(
        rule, [why if each else "" for each in weights], ["1/1" if each else "0" for each in weights]
    )


def _equal(count: int, because: str) -> _Reading:
    rule = f"{because} to {_touches(count)}."
    return _Reading(rule, [""] * count, [f"1/{count}"] * count)


def _positions(count: int) -> _Reading:
    middle = count - 2
    if count == 1:
        return _Reading("The only touch takes all.", ["only"], ["1/1"])
    if not middle:
        return _Reading("Two touches take half each.", ["first", "last"], ["50/100"] * 2)
    each = percent(Fraction(20, 100 * middle))
    return _Reading(
        f"First 40/100, last 40/100. {_between('20/100', middle, each)}",
        ["first", *["between"] * middle, "last"],
        ["40/100", *[each] * middle, "40/100"],
    )


def _milestones(model: MilestoneModel, path: Path, weights: Weights) -> _Reading:
    """The two pots of R30."""
    size = len(path.touches)
    held: dict[int, list[str]] = {}
    for name in model.milestones:
        if name in path.milestones:
            held.setdefault(path.milestones[name], []).append(_short(name))
    if not held:
        named = ", ".join(map(_short, model.milestones))
        reason = f"None of the milestones {named} is on the path" if named else "The model has no milestones"
        return _equal(size, f"{reason}: equal parts")
    end = path.milestones.get(model.until, size)
    why = [
        " + ".join(held[index])
        if index in held
        else "between"
        if index < end
        else f"after {_short(model.until)}"
        for index in range(size)
    ]
    whole = sum(weights)
    exact = [percent(Fraction(weight) / Fraction(whole)) for weight in weights]
    return _Reading(_pots(model, path, why.count("between")), why, exact)


def _pots(model: MilestoneModel, path: Path, middle: int) -> str:
    total = sum(model.milestones.values()) + model.middle

    def hundredths(weight: int) -> str:
        return _number(Fraction(100 * weight, total))

    pot, rest = hundredths(sum(model.milestones.values())), percent(Fraction(model.middle, total))
    named = ", ".join(f"{_short(name)} {hundredths(weight)}" for name, weight in model.milestones.items())
    sentences = [f"Milestones {pot}/100: {named}."]
    absent = [_short(name) for name in model.milestones if name not in path.milestones]
    if absent:
        verb = "is" if len(absent) == 1 else "are"
        sentences.append(f"{', '.join(absent)} {verb} absent: the others share the {pot}/100 in proportion.")
    if not model.middle:
        return " ".join(sentences)
    if middle:
        each = percent(Fraction(model.middle, total * middle))
        sentences.append(_between(rest, middle, each))
    else:
        sentences.append(f"No touch is between: the {rest} joins the milestones, in proportion.")
    return " ".join(sentences)


def _decay(path: Path, half_life_ms: float, until: int) -> _Reading:
    """Weights as of the instant of the conversion; their ratios are the model's."""
    half_life = _days(half_life_ms)
    anchor = max(until, path.touches[-1].at)
    ages = [anchor - touch.at for touch in path.touches]
    weights = [exp2(-age / half_life_ms) for age in ages]
    return _Reading(
        f"The weight halves with every {_span(half_life_ms)} of age: 2^-(age / {half_life}).",
        [f"{_span(age)} before" for age in ages],
        [f"2^-({_days(age)}/{half_life}) = {weight:.4g}" for age, weight in zip(ages, weights, strict=True)],
        f"{fsum(weights):.4g}",
    )


def _learned(name: str, path: Path, learned: Learned | None) -> _Reading:
    count = len(path.untransformed)
    if learned is None:
        return _equal(count, "Nothing has been learned yet, so as linear: equal parts")
    values = learned.markov if name == "markov" else learned.shapley
    known = {touch.channel: max(0.0, values.get(touch.channel, 0.0)) for touch in path.touches}
    if not any(known.values()):
        return _equal(count, "No channel of the path has a value above 0, so as linear: equal parts")
    counts = Counter(touch.channel for touch in path.untransformed)
    channels = [touch.channel for touch in path.untransformed]
    what = "removal effect" if name == "markov" else "Shapley value"
    return _Reading(
        f"A channel weighs its {what} (parameters {learned.version}), in equal parts to its touches.",
        channels,
        [f"{known.get(channel, 0.0):.4g}/{counts[channel]}" for channel in channels],
        f"{fsum(known.get(channel, 0.0) for channel in counts):.4g}",
    )


def _between(pot: str, count: int, each: str) -> str:
    if count == 1:
        return f"The one touch between takes {pot}."
    return f"The {count} touches between share {pot}: {each} each."


def _touches(count: int) -> str:
    return "the one touch of the path" if count == 1 else f"the {count} touches of the path"


def _short(milestone: str) -> str:
    return SHORT.get(milestone, milestone)


def _days(ms: float) -> str:
    """Days with at most four decimals."""
    return f"{ms / DAY_MS:.4f}".rstrip("0").rstrip(".")


def _span(ms: float) -> str:
    text = _days(ms)
    return f"{text} day" if text == "1" else f"{text} days"


def _number(value: Fraction) -> str:
    """A decimal with as few digits as it needs, at most four.

    >>> _number(Fraction(45, 2)), _number(Fraction(40))
    ('22.5', '40')
    """
    return f"{float(value):.4f}".rstrip("0").rstrip(".")
