"""Which touches a conversion's credit is shared among, and which of them are milestones (R17 to R19).

A path is made in two steps. ``_admit`` finds the account's touches that the lookback window and the sales cycle
admit, and the milestones among them, by bisection: the cost depends on the path, not on the journey.
``_finish`` applies the options of the path profile (R36).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from revenue_core.channel_data import DIRECT
from revenue_core.config import AttributionConfig, PathProfile
from revenue_core.deals import Conversion, Deal
from revenue_core.facts import DAY_MS, Journey, Touch

FIRST_TOUCH, LEAD_CREATED, DEAL_CREATED, WON = "first_touch", "lead_created", "deal_created", "won"
STAGE_PREFIX = "stage:"

INHERIT_MS = 7 * DAY_MS
SESSION_MS = 30 * 60_000


class Path(NamedTuple):
    """The ordered touches that a model sees."""

    touches: Sequence[Touch] = ()
    milestones: Mapping[str, int] = {}
    """Index into ``touches`` of each milestone that is present: ``first_touch`` (FT), ``lead_created`` (LC),
    ``deal_created`` (OC), ``won`` (CW), and ``stage:<stage>`` for the stages that custom models name."""
    truncated: bool = False
    """True when it was longer than the cap (R31)."""
    untransformed: Sequence[Touch] = ()
    """The path before the profile's transform; the same object when there is none (R32)."""


class _Admitted(NamedTuple):
    """Touches of a path before its transform."""

    positions: Sequence[int] = ()
    """Where each touch stands in the journey, ascending."""
    touches: Sequence[Touch] = ()
    marks: Mapping[str, int] = {}
    """Milestone -> position in the journey, also when that touch is no longer among ``touches``."""
    truncated: bool = False


def build_path(
    journey: Journey,
    conversion: Conversion,
    deals: Mapping[str, Deal],
    first_lead_at: int | None,
    profile: PathProfile,
    config: AttributionConfig,
) -> Path:
    """The path of a conversion under one profile; empty for a movement without a deal (R26).

    ``deals`` are all deals of the account as folded at the as-of instant, ``first_lead_at`` is the instant of
    the account's earliest ``lead_created`` (ms).
    """
    admitted = _admit(journey.touches, conversion, deals, first_lead_at, profile.lookback_ms, config)
    return _finish(_restrict(admitted, journey.touches, profile.direct, config), profile.transform)


def build_paths(
    journey: Journey,
    conversion: Conversion,
    deals: Mapping[str, Deal],
    first_lead_at: int | None,
    config: AttributionConfig,
) -> tuple[Path, Path]:
    """The paths of the profiles ``rules`` and ``data_driven`` (R31)."""
    rules, driven = config.rules, config.data_driven
    if (rules.lookback_ms, rules.direct) != (driven.lookback_ms, driven.direct):
        return (
            build_path(journey, conversion, deals, first_lead_at, rules, config),
            build_path(journey, conversion, deals, first_lead_at, driven, config),
        )
    admitted = _admit(journey.touches, conversion, deals, first_lead_at, rules.lookback_ms, config)
    restricted = _restrict(admitted, journey.touches, rules.direct, config)
    return _finish(restricted, rules.transform), _finish(restricted, driven.transform)


def _admit(
    touches: Sequence[Touch],
    conversion: Conversion,
    deals: Mapping[str, Deal],
    first_lead_at: int | None,
    lookback_ms: int,
    config: AttributionConfig,
) -> _Admitted:
    deal, at = conversion.deal, conversion.path_at
    if conversion.conversion == "recurring" and deal is None:
        return _Admitted()
    if conversion.path_after is not None:
        start = _first_from(touches, max(conversion.path_after + 1, at - lookback_ms))
        end = _first_from(touches, at + 1)
        if any(touches[index].type not in config.exclude_types for index in range(start, end)):
            marks = {FIRST_TOUCH: start, DEAL_CREATED: end - 1, WON: end - 1}
            return _assemble(touches, [start], start, end, marks, config.path_cap)
        if deal is not None and deal.won_at is not None:
            at = deal.won_at
    earliest, end = _first_from(touches, at - lookback_ms), _first_from(touches, at + 1)
    if earliest >= end:
        return _Admitted()
    marks = {FIRST_TOUCH: earliest}
    if first_lead_at is not None and first_lead_at <= at:
        position = _first_from(touches, first_lead_at + 1) - 1
        if position >= earliest:
            marks[LEAD_CREATED] = position
    pinned = sorted(set(marks.values()))
    start = earliest
    if deal is not None:
        begin = cycle_start(deal, deals)
        if begin is not None:
            start = min(max(earliest, _first_from(touches, begin + 1)), end)
        for name, instant in _deal_instants(conversion, deal, at, config).items():
            last = _last_until(touches, instant, pinned, start, end)
            if last is not None:
                marks[name] = last
    return _assemble(touches, pinned, start, end, marks, config.path_cap)


def cycle_start(deal: Deal, deals: Mapping[str, Deal]) -> int | None:
    """Latest won instant, at or before the deal's creation, of another deal that is won now (R18)."""
    return max(
        (
            other.won_at
            for other in deals.values()
            if other.won_at is not None
            and other.won_at <= deal.created_at
            and other.exists
            and other.deal_id != deal.deal_id
        ),
        default=None,
    )


def _deal_instants(
    conversion: Conversion, deal: Deal, at: int, config: AttributionConfig
) -> Mapping[str, int]:
    """Milestone -> the instant whose last touch on the path it is (R19)."""
    instants = {DEAL_CREATED: deal.created_at}
    if conversion.conversion in ("won", "recurring"):
        instants[WON] = at
    for model in config.custom:
        for name in model.weights:
            if name.startswith(STAGE_PREFIX):
                entered = deal.last_entry(name.removeprefix(STAGE_PREFIX))
                # A stage entered only after the conversion is not behind it, as with leads (R19).
                if entered is not None and entered <= at:
                    instants[name] = entered
    return instants


def _first_from(touches: Sequence[Touch], at: int) -> int:
    """Position of the first touch at or after an instant."""
    key: tuple[object, ...] = (at,)
    return bisect_left(touches, key)


def _last_until(touches: Sequence[Touch], at: int, pinned: Sequence[int], start: int, end: int) -> int | None:
    """Position of the last touch at or before an instant, among the pinned ones and [start, end)."""
    position = min(_first_from(touches, at + 1), end) - 1
    if position >= start:
        return position
    return max((pin for pin in pinned if pin <= position), default=None)


def _assemble(
    touches: Sequence[Touch],
    pinned: Sequence[int],
    start: int,
    end: int,
    marks: Mapping[str, int],
    cap: int,
) -> _Admitted:
    """The pinned touches (FT, LC) and those in [start, end), at most the newest ``cap`` of these (R31)."""
    truncated = end - start + sum(pin < start for pin in pinned) > cap
    if truncated:
        start = max(start, end - cap)
    before = [pin for pin in pinned if pin < start]
    if not before:
        return _Admitted(range(start, end), touches[start:end], marks, truncated)
    positions = [*before, *range(start, end)]
    return _Admitted(positions, [*(touches[pin] for pin in before), *touches[start:end]], marks, truncated)


def _restrict(
    admitted: _Admitted, journey: Sequence[Touch], direct: str, config: AttributionConfig
) -> _Admitted:
    """Leave out excluded types, then apply the ``direct`` option (R36)."""
    touches = admitted.touches
    if config.exclude_types:
        kept = [index for index, touch in enumerate(touches) if touch.type not in config.exclude_types]
        admitted = _keep(admitted, kept)
        touches = admitted.touches
    if direct == "drop_if_not_all":
        kept = [index for index, touch in enumerate(touches) if touch.channel != DIRECT]
        return _keep(admitted, kept) if kept else admitted
    if direct == "inherit_7d":
        return admitted._replace(touches=_inherit(journey, admitted.positions))
    return admitted


def _keep(admitted: _Admitted, kept: Sequence[int]) -> _Admitted:
    positions, touches = admitted.positions, admitted.touches
    if len(kept) == len(touches):
        return admitted
    return admitted._replace(
        positions=[positions[index] for index in kept], touches=[touches[index] for index in kept]
    )


def _inherit(journey: Sequence[Touch], positions: Sequence[int]) -> list[Touch]:
    """The touches at ``positions``, Direct ones with the source of the last non-direct touch of 7 days."""
    result = []
    source: Touch | None = None
    scanned = 0
    for position in positions:
        touch = journey[position]
        if touch.channel == DIRECT:
            since = touch.at - INHERIT_MS
            for earlier in journey[max(scanned, _first_from(journey, since)) : position]:
                if earlier.channel != DIRECT:
                    source = earlier
            scanned = position
            if source is not None and source.at >= since:
                touch = touch._replace(
                    channel=source.channel,
                    campaign=source.campaign,
                    source=source.source,
                    medium=source.medium,
                )
        result.append(touch)
    return result


def _finish(admitted: _Admitted, transform: str) -> Path:
    untransformed = admitted.touches
    if transform != "none":
        admitted = _keep(admitted, _TRANSFORMS[transform](untransformed))
    positions = admitted.positions
    milestones = {}
    for name, position in admitted.marks.items():
        index = bisect_left(positions, position)
        if index < len(positions) and positions[index] == position:
            milestones[name] = index
    return Path(admitted.touches, milestones, admitted.truncated, untransformed)


def _last_of_runs(touches: Sequence[Touch]) -> list[int]:
    last = len(touches) - 1
    return [
        index
        for index, touch in enumerate(touches)
        if index == last or touches[index + 1].channel != touch.channel
    ]


def _first_of_runs(touches: Sequence[Touch]) -> list[int]:
    return [
        index
        for index, touch in enumerate(touches)
        if index == 0 or touches[index - 1].channel != touch.channel
    ]


def _first_of_channels(touches: Sequence[Touch]) -> list[int]:
    first: dict[str, int] = {}
    for index, touch in enumerate(touches):
        first.setdefault(touch.channel, index)
    return list(first.values())


def _first_of_sessions(touches: Sequence[Touch]) -> list[int]:
    """Page views that name no visitor are no session."""
    seen: dict[str, int] = {}
    kept = []
    for index, touch in enumerate(touches):
        if touch.type == "page_view" and touch.visitor:
            previous = seen.get(touch.visitor)
            seen[touch.visitor] = touch.at
            if previous is not None and touch.at - previous <= SESSION_MS:
                continue
        kept.append(index)
    return kept


_TRANSFORMS: Mapping[str, Callable[[Sequence[Touch]], list[int]]] = {
    "collapse_repeats": _last_of_runs,
    "first": _first_of_runs,
    "unique": _first_of_channels,
    "sessions": _first_of_sessions,
}
"""Transform -> indexes of the touches that stay (R36)."""
