"""Before a worker writes: may its rows outrank those that stand on the topics, and is its journal the one they had?

Whoever reads the outputs keeps the highest version per key, and a version is (generation * 1024 + moves) * 2^36 +
offset of the causing record. A worker whose generation is below that of rows already written, or whose journal was
made anew under an old generation, would work and change nothing; one whose state is ahead of its journal would pass
over new facts as if it had handled them. Nothing of that shows later, so it is refused before any work.

Only the last few records of each partition are read: rows of a higher generation always stand behind lower ones.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import orjson

from streams.agents.rows import MOVES, OFFSETS
from streams.agents.slice import PARTITION_KEY
from streams.kafka_client import client_options
from streams.reading import Received, open_topics
from streams.settings import Settings
from streams.topology import ALERTS, ANSWERS, CREDITS, FUNNEL, JOURNAL, JOURNEYS, PARTIALS, PROBABILITIES

TAIL = 8
"""Records read from the end of each partition. A deletion is a row and its tombstone: two would do."""
CAUSES = {CREDITS: JOURNAL, PROBABILITIES: JOURNAL, ALERTS: JOURNAL, JOURNEYS: JOURNAL, FUNNEL: PARTIALS}
"""Topic -> the topic whose offsets the versions of its rows count."""
HIGHEST = 127
WHERE = "docs/operations.md, Rebuild"


class GenerationRefused(Exception):
    """The worker must not write with this generation, or not with this journal."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("\n".join(problems))


class Tails(Protocol):
    """Reads several topics, as ``streams.reading.TopicReader`` does."""

    def existing(self, last: int | None = None) -> AsyncIterator[Received]:
        """At most ``last`` records before the present end of each partition."""
        ...

    async def ends(self, topic: str) -> Mapping[int, int]:
        """End offset of each partition; empty for a topic that does not exist."""
        ...


@dataclass(slots=True)
class Seen:
    """What the ends of the topics say. Topics are named without the prefix."""

    versions: dict[str, int] = field(default_factory=dict)
    """Topic -> the highest version among its last rows."""
    applied: dict[int, int] = field(default_factory=dict)
    """Journal partition -> the last offset that the state of this ``worker.app_id`` includes."""
    summed: dict[int, int] = field(default_factory=dict)
    """Journal partition -> the last offset that its partial sums on ``partials`` include."""
    has_state: bool = False
    ends: dict[str, dict[int, int]] = field(default_factory=dict)
    """``journal`` and ``partials`` -> end offset of each partition."""

    @property
    def generation(self) -> int:
        """The highest generation among the rows; -1 without rows."""
        return max((generation_of(version) for version in self.versions.values()), default=-1)


def generation_of(version: int) -> int:
    """The generation in a version."""
    return version // OFFSETS // MOVES


async def check_generation(settings: Settings) -> None:
    """Read the ends of the topics and refuse what must not start.

    Raises GenerationRefused, or BrokerUnreachable.
    """
    topics = [settings.topic(name) for name in (*ANSWERS, JOURNAL, PARTIALS, changelog(settings))]
    client = client_options(settings.kafka)
    async with open_topics(settings.kafka.brokers, topics, client) as tails:
        seen = await look(tails, settings.topic_prefix, changelog(settings))
    problems = judge(seen, settings.state.generation, settings.worker.app_id)
    if problems:
        raise GenerationRefused(problems)


def changelog(settings: Settings) -> str:
    """Name of the journey table's changelog, without the prefix."""
    return f"{settings.worker.app_id}-journey-changelog"


async def look(tails: Tails, prefix: str, state: str) -> Seen:
    """What stands at the ends; ``state`` names the journey changelog.

    The journal's own ends are asked for last: they only grow, so rows and state cannot be ahead of them by chance.
    """
    seen = Seen(has_state=any((await tails.ends(prefix + state)).values()))
    async for record in tails.existing(last=TAIL):
        topic = record.topic.removeprefix(prefix)
        content = _content(record.value)
        if topic in ANSWERS and isinstance(content, dict) and isinstance(content.get("version"), int):
            seen.versions[topic] = max(seen.versions.get(topic, 0), content["version"])
        elif topic == PARTIALS and isinstance(content, dict):
            _further(seen.summed, content.get("p"), content.get("o"))
        elif topic == state and record.key == PARTITION_KEY and isinstance(content, list) and content:
            _further(seen.applied, record.partition, content[0])
    for topic in (JOURNAL, PARTIALS):
        seen.ends[topic] = dict(await tails.ends(prefix + topic))
    return seen


def _content(value: bytes | None) -> Any:
    """The JSON value of a record; None for a tombstone, and for what is not ours."""
    try:
        return orjson.loads(value) if value else None
    except orjson.JSONDecodeError:
        return None


def _further(known: dict[int, int], partition: object, offset: object) -> None:
    if isinstance(partition, int) and isinstance(offset, int):
        known[partition] = max(known.get(partition, -1), offset)


def judge(seen: Seen, configured: int, app_id: str) -> list[str]:
    """Why a worker with this ``state.generation`` must not start, in words; empty when it may."""
    if seen.generation > configured:
        return [_gone_back(seen, configured)]
    problems = []
    if seen.has_state and _ahead(seen.applied, seen.ends[JOURNAL]):
        problems.append(_state_ahead(seen, app_id, configured))
    else:
        problems += _outranking(seen, configured)
    if _ahead(seen.summed, seen.ends[JOURNAL]):
        partition, offset = _first_ahead(seen.summed, seen.ends[JOURNAL])
        problems.append(
            f"{PARTIALS} holds sums up to offset {offset} of journal partition {partition}, which ends at "
            f"{seen.ends[JOURNAL].get(partition, 0)}: they belong to a journal that is gone, and newer ones would be "
            f"taken for old. Delete {PARTIALS} and `headwater topics create` it again ({WHERE})"
        )
    return problems


def _gone_back(seen: Seen, configured: int) -> str:
    found = seen.generation
    topics = ", ".join(t for t, version in seen.versions.items() if generation_of(version) == found)
    return (
        f"{topics} holds rows of generation {found}, and state.generation is {configured}: whatever this worker "
        "wrote, readers would keep the old rows, whose versions are higher. To go on with the state of that "
        f"generation, set state.generation to {found}; to build anew, {_raised(found)}"
    )


def _state_ahead(seen: Seen, app_id: str, configured: int) -> str:
    partition, offset = _first_ahead(seen.applied, seen.ends[JOURNAL])
    raised = f", and {_raised(seen.generation)}" if configured <= seen.generation else f" ({WHERE})"
    return (
        f"the state of worker.app_id {app_id} includes partition {partition} of {JOURNAL} up to offset {offset}, but "
        f"that ends at {seen.ends[JOURNAL].get(partition, 0)}: the journal was made anew, and its first records "
        f"would be passed over as handled. Take a new worker.app_id{raised}"
    )


def _outranking(seen: Seen, configured: int) -> list[str]:
    """Rows of this very generation that no record of the present journal can have caused."""
    problems = []
    for topic, cause in CAUSES.items():
        version = seen.versions.get(topic)
        if version is None or generation_of(version) < configured:
            continue
        offset, end = version % OFFSETS, max(seen.ends[cause].values(), default=0)
        if offset >= end:
            problems.append(
                f"{topic} holds rows of generation {configured} up to offset {offset} of {cause}, which ends at "
                f"{end}: {cause} was made anew, and what follows from it would be outranked by the old rows. To go "
                f"on, {_raised(configured)}"
            )
    return problems


def _raised(generation: int) -> str:
    if generation >= HIGHEST:
        return f"take another topic_prefix: there is no generation above {HIGHEST} ({WHERE})"
    return f"set state.generation to {generation + 1} ({WHERE})"


def _ahead(known: Mapping[int, int], ends: Mapping[int, int]) -> bool:
    return any(offset >= ends.get(partition, 0) for partition, offset in known.items())


def _first_ahead(known: Mapping[int, int], ends: Mapping[int, int]) -> tuple[int, int]:
    items: Iterable[tuple[int, int]] = sorted(known.items())
    return next((p, offset) for p, offset in items if offset >= ends.get(p, 0))
