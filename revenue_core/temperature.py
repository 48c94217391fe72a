"""How warm an account is: energy that inbound touches raise and time halves (R46 to R49).

``temperature_pass`` is the definition: one pure pass over the touches and the won instants. ``advance`` is
its shortcut for the ordinary case, a touch that comes last and raises no alert, at a cost that does not
depend on the length of the journey. Both fold touches by the same step, so they agree to the last bit.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from revenue_core.config import TemperatureConfig
from revenue_core.facts import DAY_MS, HOUR_MS, Touch

NEW, WARM, COOLED = 0, 1, 2
PHASES = ("new", "warm", "cooled")

State: TypeAlias = tuple[int, float, int, float, int, int, int, int, int, int]


@dataclass(slots=True)
class Temperature:
    """Where the pass stands. Bounded, and equal for equal sets of facts. Instants in ms."""

    phase: int = NEW
    energy: float = 0.0
    """Energy at ``at``, that touch included."""
    at: int = 0
    """The last inbound touch of weight above 0 since the last win."""
    peak: float = 0.0
    """NEW: largest energy so far. WARM: largest since it became warm. COOLED: the peak it fell from."""
    inbound: int = 0
    """Inbound touches since the last win."""
    days: int = 0
    """Distinct UTC days of them."""
    unanswered: int = 0
    """Outbound touches since the last inbound one."""
    unanswered_since: int = 0
    """The first of those; meaningless at none."""
    cooled_at: int = 0
    """COOLED: since when; meaningless otherwise."""
    fence: int = -1
    """Latest win or alert. A touch at or before it precedes that win, or changes what that alert says."""

    def copy(self) -> Temperature:
        """An independent copy."""
        return Temperature(*self.to_tuple())

    def to_tuple(self) -> State:
        """The fields in order, as numbers, for storage."""
        return (
            self.phase, self.energy, self.at, self.peak, self.inbound, self.days,
            self.unanswered, self.unanswered_since, self.cooled_at, self.fence,
        )  # fmt: skip

    @classmethod
    def from_tuple(cls, values: State) -> Temperature:
        """The inverse of ``to_tuple``."""
        return cls(*values)

    @property
    def name(self) -> str:
        """``new`` | ``warm`` | ``cooled``."""
        return PHASES[self.phase]


class Cooled(NamedTuple):
    """A warm account went quiet."""

    at: int
    reason: str
    """``energy`` | ``unanswered`` (R56)."""
    unanswered: int


class Climbing(NamedTuple):
    """A touch of the climb and its part of the climb's energy at the rewarming instant (R49)."""

    touch: Touch
    share: float


class Rewarmed(NamedTuple):
    """A cooled account came back."""

    at: int
    reason: str
    """``energy`` | ``high_intent`` (R56)."""
    unanswered: int
    """Outbound touches in a row just before the touch that rewarmed it."""
    cooled_at: int
    climb: tuple[Climbing, ...]
    """In touch order; the first is the reviver."""


Event: TypeAlias = Cooled | Rewarmed


def problems(config: TemperatureConfig) -> list[str]:
    """What makes a configuration unusable (R48), in words; empty when it is fine."""
    checks = {
        "half-life must be at least 12 h": config.half_life_ms >= 12 * HOUR_MS,
        "unanswered span must be at least 24 h": config.unanswered_span_ms >= 24 * HOUR_MS,
        "weights must be finite and not negative": all(0 <= w < math.inf for w in config.weights.values()),
        "cooled fraction must lie between 0 and 1": 0 < config.cooled_fraction < 1,
        "rewarmed fraction must be above the cooled fraction and at most 1": (
            config.cooled_fraction < config.rewarmed_fraction <= 1
        ),
        "follow-up hours must be positive": config.follow_up_ms > 0,
    }
    return [problem for problem, fine in checks.items() if not fine]


def due(state: Temperature, config: TemperatureConfig) -> int | None:
    """The instant at which a warm account cools if nothing happens, else None.

    It is t_ref + h log2(E / (0.25 peak)) rounded up to the millisecond: the first one at which the decayed
    energy is at or below the threshold.
    """
    if state.phase != WARM:
        return None
    ratio = state.energy / (config.cooled_fraction * state.peak)
    at = state.at + max(0, math.ceil(config.half_life_ms * math.log2(ratio)))
    # The logarithm may be off by an ulp on either side of a whole millisecond; the comparison decides.
    while at > state.at and _crossed(state, at - 1, config):
        at -= 1
    while not _crossed(state, at, config):
        at += 1
    return at


def advance(state: Temperature, touch: Touch, config: TemperatureConfig) -> bool:
    """Fold in a touch that sorts after all touches seen so far; False, and nothing changed, when it cannot.

    It cannot when an alert would be raised before or by this touch, or when the touch reaches back to the
    last win or alert: the full pass must decide then.
    """
    if touch.at <= state.fence or _crossed_before(state, touch.at, config):
        return False
    return not _step(state, touch, config, quiet=True)


def temperature_pass(
    touches: Sequence[Touch], won_instants: Iterable[int], config: TemperatureConfig, now: int
) -> tuple[Temperature, list[Event]]:
    """The state and the alerts of a whole journey.

    ``touches`` in touch order, ``won_instants`` in any; none of them after ``now``. At one instant touches
    come first, then wins, then the timer (R04); a timer due at or before ``now`` has fired.
    """
    state = Temperature()
    events: list[Event] = []
    wins = sorted(won_instants, reverse=True)
    for index, touch in enumerate(touches):
        while wins and wins[-1] < touch.at:
            state = _win(state, wins.pop(), config, events)
        _fire_before(state, touch.at, config, events)
        before = state.unanswered
        reason = _step(state, touch, config, quiet=False)
        if not reason:
            continue
        state.fence = touch.at
        if state.phase == COOLED:
            events.append(Cooled(touch.at, reason, state.unanswered))
        else:
            climb = _climb(touches, index, state.cooled_at, config)
            events.append(Rewarmed(touch.at, reason, before, state.cooled_at, climb))
            state.cooled_at = 0
    while wins:
        state = _win(state, wins.pop(), config, events)
    _fire_before(state, now + 1, config, events)
    return state, events


def _decayed(state: Temperature, at: int, config: TemperatureConfig) -> float:
    return state.energy * math.exp2((state.at - at) / config.half_life_ms)


def _crossed(state: Temperature, at: int, config: TemperatureConfig) -> bool:
    return _decayed(state, at, config) <= config.cooled_fraction * state.peak


def _crossed_before(state: Temperature, at: int, config: TemperatureConfig) -> bool:
    """True when the timer of a warm account is due before ``at``: ``due(...) < at``, but cheaper."""
    return state.phase == WARM and at > state.at and _crossed(state, at - 1, config)


def _fire_before(state: Temperature, at: int, config: TemperatureConfig, events: list[Event]) -> None:
    if not _crossed_before(state, at, config):
        return
    crossing = due(state, config)
    assert crossing is not None  # the account is warm
    state.phase = COOLED
    state.cooled_at = state.fence = crossing
    events.append(Cooled(crossing, "energy", state.unanswered))


def _win(state: Temperature, at: int, config: TemperatureConfig, events: list[Event]) -> Temperature:
    _fire_before(state, at, config, events)
    return Temperature(fence=at)


def _step(state: Temperature, touch: Touch, config: TemperatureConfig, *, quiet: bool) -> str:
    """Fold one touch in and return the reason of the alert that it raises, or ''.

    With ``quiet`` a touch that raises one leaves the state as it was.
    """
    if not touch.inbound:
        return _outbound(state, touch.at, config, quiet)
    weight = config.weights.get(touch.type, 0.0)
    if weight <= 0:
        return ""
    energy = _decayed(state, touch.at, config) + weight
    reason = ""
    if state.phase == COOLED:
        if energy >= config.rewarmed_fraction * state.peak:
            reason = "energy"
        elif touch.type in config.high_intent:
            reason = "high_intent"
        if reason and quiet:
            return reason
    if state.inbound == 0 or touch.at // DAY_MS != state.at // DAY_MS:
        state.days += 1
    state.inbound += 1
    state.energy = energy
    state.at = touch.at
    state.unanswered = 0
    state.unanswered_since = 0
    if reason:
        state.phase, state.peak = WARM, energy
    elif state.phase != COOLED:
        state.peak = max(state.peak, energy)
        if state.phase == NEW and _warms(state, config):
            state.phase, state.peak = WARM, energy
    return reason


def _warms(state: Temperature, config: TemperatureConfig) -> bool:
    enough = state.inbound >= config.min_touches and state.days >= config.min_days
    return enough and state.peak >= config.e_min


def _outbound(state: Temperature, at: int, config: TemperatureConfig, quiet: bool) -> str:
    count = state.unanswered + 1
    since = state.unanswered_since if state.unanswered else at
    ignored = (
        state.phase == WARM
        and count >= config.unanswered_touches
        and at - since >= config.unanswered_span_ms
    )  # fmt: skip
    if ignored and quiet:
        return "unanswered"
    state.unanswered, state.unanswered_since = count, since
    if ignored:
        state.phase, state.cooled_at = COOLED, at
        return "unanswered"
    return ""


def _climb(
    touches: Sequence[Touch], index: int, cooled_at: int, config: TemperatureConfig
) -> tuple[Climbing, ...]:
    """The inbound touches that brought the account back, up to ``touches[index]`` (R49)."""
    at = touches[index].at
    earliest = max(cooled_at + 1, at - 2 * config.half_life_ms)
    first = index
    while first and touches[first - 1].at >= earliest:
        first -= 1
    parts = [
        (touch, weight * math.exp2((touch.at - at) / config.half_life_ms))
        for touch in touches[first : index + 1]
        if touch.inbound and (weight := config.weights.get(touch.type, 0.0)) > 0
    ]
    total = sum(part for _, part in parts)
    return tuple(Climbing(touch, part / total) for touch, part in parts)
