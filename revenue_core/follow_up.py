"""High-intent touches that wait for somebody to call back (R50, ``follow_up_missed``).

The first high-intent touch since the last outbound one waits until an outbound touch, a meeting or an
answered call follows within the configured hours. As with the temperature, ``follow_up_pass`` is the
definition and ``advance`` the shortcut for a touch that comes last.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from revenue_core.config import TemperatureConfig
from revenue_core.facts import Touch

ANSWERS = frozenset({"meeting", "call_answered"})

State: TypeAlias = tuple[tuple[int, ...], bool, int]


@dataclass(slots=True)
class FollowUp:
    """Where the pass stands. Instants in ms."""

    waiting: tuple[int, ...] = ()
    """Instants of the high-intent touches that still wait.

    At most two distinct: an outbound touch in the very millisecond of one is no answer to it, yet the next
    high-intent touch is again the first since an outbound one.
    """
    seen: bool = False
    """There was a high-intent touch since the last outbound one, so a further one does not wait."""
    fence: int = -1
    """The latest alert; a touch at or before it may undo or change it."""

    def copy(self) -> FollowUp:
        """An independent copy."""
        return FollowUp(*self.to_tuple())

    def to_tuple(self) -> State:
        """The fields in order, for storage."""
        return self.waiting, self.seen, self.fence

    @classmethod
    def from_tuple(cls, values: State) -> FollowUp:
        """The inverse of ``to_tuple``."""
        return cls(*values)


class Missed(NamedTuple):
    """Nobody answered ``touch`` in time; ``at`` is the deadline."""

    at: int
    touch: Touch


def due(state: FollowUp, config: TemperatureConfig) -> int | None:
    """The next deadline, or None."""
    return state.waiting[0] + config.follow_up_ms if state.waiting else None


def advance(state: FollowUp, touch: Touch, config: TemperatureConfig) -> bool:
    """Fold in a touch that sorts after all touches seen so far; False, and nothing changed, when it cannot.

    It cannot when a deadline passed before this touch, or when the touch reaches back to the last alert: the
    full pass must decide then.
    """
    if touch.at <= state.fence or (state.waiting and state.waiting[0] + config.follow_up_ms < touch.at):
        return False
    _step(state, touch, config)
    return True


def follow_up_pass(
    touches: Sequence[Touch], config: TemperatureConfig, now: int
) -> tuple[FollowUp, list[Missed]]:
    """The state and the missed follow-ups of a whole journey, by deadline.

    ``touches`` in touch order, none after ``now``. A touch at the deadline is in time (R04).
    """
    state = FollowUp()
    missed: list[Missed] = []
    pending: list[Touch] = []
    for touch in touches:
        _miss_before(state, pending, touch.at, config, missed)
        if _step(state, touch, config):
            pending.append(touch)
        if len(pending) > len(state.waiting):
            pending = [other for other in pending if other.at in state.waiting]
    _miss_before(state, pending, now + 1, config, missed)
    return state, missed


def _step(state: FollowUp, touch: Touch, config: TemperatureConfig) -> bool:
    """Fold one touch in; True when it is one that waits."""
    if state.waiting and (not touch.inbound or touch.type in ANSWERS):
        state.waiting = tuple(at for at in state.waiting if at == touch.at)
    if not touch.inbound:
        state.seen = False
        return False
    if state.seen or touch.type not in config.high_intent:
        return False
    state.seen = True
    if touch.at not in state.waiting:
        state.waiting = (*state.waiting, touch.at)
    return True


def _miss_before(
    state: FollowUp, pending: list[Touch], at: int, config: TemperatureConfig, missed: list[Missed]
) -> None:
    while state.waiting and (deadline := state.waiting[0] + config.follow_up_ms) < at:
        missed.extend(Missed(deadline, touch) for touch in pending if touch.at == state.waiting[0])
        pending[:] = [touch for touch in pending if touch.at != state.waiting[0]]
        state.waiting = state.waiting[1:]
        state.fence = deadline
