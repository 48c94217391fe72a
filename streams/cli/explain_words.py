"""What an explanation says in words."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from streams.explain_identity import named, told

if TYPE_CHECKING:
    from revenue_core.attribution.workings import Part, Working
    from revenue_core.explain import PathView, TouchView
    from streams.explain_identity import Belonging

LONGEST = 40
"""Rows of one table; the rest is counted. --json has all."""
INSTANT = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z")

TOLD = (
    "stage",
    "status",
    "provisional",
    "amount_minor",
    "currency",
    "channel",
    "phase",
    "truncated",
    "deal_id",
)
"""Columns whose change is named."""


def when(text: str) -> str:
    """An instant without what is zero at its end.

    >>> when("2026-03-01T09:00:00.000Z"), when("2026-03-01T09:00:00.250Z")
    ('2026-03-01 09:00', '2026-03-01 09:00:00.250')
    """
    return text.replace("T", " ").removesuffix("Z").removesuffix(".000").removesuffix(":00")


def details(touch: TouchView) -> Iterator[str]:
    """What the second line of a touch says under type, channel and rule."""
    yield touch.touch_id
    source = " / ".join(text for text in (touch.source, touch.medium) if text)
    yield ", ".join(text for text in (touch.campaign, source) if text)
    yield (
        f"contact {touch.contact_id}"
        if touch.contact_id
        else f"visitor {touch.visitor}"
        if touch.visitor
        else ""
    )


def path_text(path: PathView) -> str:
    """``#1 FT, #2 LC, #4``; what the transform takes out stands in brackets."""
    steps = []
    for step in path.touches[:LONGEST]:
        text = " ".join([f"#{step.number}", *step.milestones])
        steps.append(text if step.kept else f"({text})")
    if len(path.touches) > LONGEST:
        steps.append(f"and {len(path.touches) - LONGEST:,} more")
    cut = ", cut to the newest" if path.truncated else ""
    brackets = (
        f"; in brackets: taken out by {path.transform}" if any(not s.kept for s in path.touches) else ""
    )
    return (", ".join(steps) or "no touch") + cut + brackets


def earning_parts(model: Working) -> list[Part]:
    """The parts of a model that get something."""
    return [part for part in model.parts if part.share > 0]


def count(number: int, what: str, many: str = "s") -> str:
    """A number with what it counts.

    >>> count(1, "touch", "es"), count(2, "touch", "es")
    ('1 touch', '2 touches')
    """
    return f"{number:,} {what}" + ("" if number == 1 else many)


def in_terminal(text: str) -> str:
    """Text with its instants as they are read."""
    return INSTANT.sub(lambda match: when(match[0]), text)


def belonging_line(group: Belonging) -> str:
    """What a group of facts of one key is."""
    parts = [count(group.touches, "touch", "es")] if group.touches else []
    parts += [count(group.leads, "lead fact")] if group.leads else []
    parts += [count(group.deals, "deal fact")] if group.deals else []
    span = (
        f"{when(group.first_at)} to {when(group.last_at)}"
        if group.last_at != group.first_at
        else when(group.first_at)
    )
    site = f" on {group.website}" if group.website else ""
    return f"{', '.join(parts)} of {named(group.native_key)}{site}, {span}"


def chain_text(group: Belonging) -> str:
    """The whole chain of a group in one line."""
    return told(group.steps) if group.steps else f"{named(group.native_key)}, which its facts name"


def reasons(row: Mapping[str, Any]) -> str:
    """Where the probability comes from."""
    if not row["params_version"]:
        return "the configured prior of the stage: nothing has been learned yet"
    named = (name for name in row if name.startswith("reason_"))
    parts = ", ".join(f"{name.removeprefix('reason_')} {row[name]:+.2f}" for name in named)
    return f"reasons (logit): {parts}; parameters {row['params_version']}"
