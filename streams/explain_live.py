"""An account or a deal from a live cluster, by reading topics up to where they end now; no group is joined."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping
from contextlib import AbstractContextManager, asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from revenue_core.config import CoreConfig
from revenue_core.explain import Explanation
from revenue_core.identity.graph import Graph
from revenue_core.journey import State
from streams import chunks, codec, translate
from streams.agents.links import Links
from streams.agents.slice import further
from streams.explain_identity import Trail, identity_of, trail
from streams.explain_subject import (
    DEAL,
    OPAQUE,
    Answer,
    NotFound,
    Subject,
    differences,
    explained,
    journal_keys,
    number_of_facts,
)
from streams.explain_versions import Row, versions
from streams.kafka_client import client_options
from streams.partitioning import partition_of
from streams.settings import Settings, graph_config
from streams.topics import TIMEOUT_S, BrokerUnreachable, list_topics
from streams.topology import CREDITS, PROBABILITIES

Progress = Callable[[str, float | None], AbstractContextManager[Callable[[float], None]]]
"""(what is being read, number of records or None) -> a block that is told how many more were read."""

IDLE_S = 3.0
IDLE_POLLS = 2
"""So many polls of ``IDLE_S`` without a record, while the broker answers: compaction has removed what is left."""


class TopicMissing(Exception):
    """A topic that every installation has is not on the cluster."""


async def answer(
    subject: Subject,
    settings: Settings,
    config: CoreConfig,
    progress: Progress,
    *,
    with_versions: bool = True,
    with_identity: bool = True,
) -> Answer:
    """Explain a subject from the state and the rows that the workers have written.

    ``with_versions`` False leaves out the scan of all credit rows, except where a deal can be found by it only.
    ``with_identity`` False leaves out the links, and what only they tell: why facts belong to an account, and where
    those of one that was merged away have gone.
    Raises NotFound, TopicMissing, or BrokerUnreachable.
    """
    async with _cluster(settings, progress) as cluster:
        return await _Search(cluster, settings, subject, config).run(with_versions, with_identity)


@dataclass(frozen=True, slots=True)
class Cluster:
    """Reads topics from beginning to end."""

    consumer: Any
    brokers: str
    counts: Mapping[str, int]
    """Full name of a topic -> number of its partitions."""
    progress: Progress
    gaps: list[str] = field(default_factory=list)
    """Where a topic ended before its end, in words."""

    def partitions(self, topic: str, keys: Iterable[bytes] | None = None) -> set[int]:
        """All partitions of a topic, or those that these keys are in. Raises TopicMissing."""
        count = self.counts.get(topic)
        if count is None:
            raise TopicMissing(
                f"topic {topic} is not on {self.brokers}: `headwater topics list` shows what is; check topic_prefix "
                "and worker.app_id, which must be those of the workers"
            )
        return set(range(count)) if keys is None else {partition_of(key, count) for key in keys}

    async def read(self, topic: str, partitions: Collection[int]) -> AsyncIterator[Any]:
        """Records of these partitions up to the ends they have now; of one partition in order."""
        consumer = self.consumer
        places = [TopicPartition(topic, number) for number in sorted(partitions)]
        consumer.assign(places)
        begins, ends = await consumer.beginning_offsets(places), await consumer.end_offsets(places)
        for place in places:
            consumer.seek(place, begins[place])
        left = {place for place in places if begins[place] < ends[place]}
        total = sum(ends[place] - begins[place] for place in left)
        with self.progress(f"Reading {topic}", total) as advance:
            idle = 0
            while left:
                batches = await consumer.getmany(*left, timeout_ms=int(IDLE_S * 1000))
                idle = 0 if batches else idle + 1
                if idle:
                    await self._still_there(places)
                if idle == IDLE_POLLS:
                    await self._note_gaps(left, ends)
                    return
                for place, records in batches.items():
                    for record in records:
                        if record.offset < ends[place]:
                            yield record
                    advance(len(records))
                left = {place for place in left if await consumer.position(place) < ends[place]}

    async def _still_there(self, places: list[TopicPartition]) -> None:
        """Raises BrokerUnreachable unless the broker answers, so that silence is not taken for an end."""
        async with asyncio.timeout(TIMEOUT_S):
            await self.consumer.end_offsets(places)

    async def _note_gaps(self, left: Iterable[Any], ends: Mapping[Any, int]) -> None:
        for place in sorted(left):
            at = await self.consumer.position(place)
            self.gaps.append(
                f"{place.topic}, partition {place.partition}: nothing came between offset {at} and the end at "
                f"{ends[place]}; compaction has removed it, or the broker is very slow."
            )


@asynccontextmanager
async def _cluster(settings: Settings, progress: Progress) -> AsyncIterator[Cluster]:
    brokers, client = settings.kafka.brokers, client_options(settings.kafka)
    topics = await list_topics(brokers, client=client)
    consumer = AIOKafkaConsumer(
        bootstrap_servers=brokers,
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        request_timeout_ms=int(TIMEOUT_S * 1000),
        **client,
    )
    try:
        await consumer.start()
        await asyncio.sleep(0)  # aiokafka's stop() fails on a task of its own that has never run
        yield Cluster(consumer, brokers, {topic.name: topic.partitions for topic in topics}, progress)
    except TimeoutError:
        raise BrokerUnreachable(brokers, f"no answer within {TIMEOUT_S:g} s") from None
    except (KafkaError, OSError) as error:
        raise BrokerUnreachable(brokers, error) from error
    finally:
        await consumer.stop()


class _Search:
    """The search for one subject."""

    def __init__(self, cluster: Cluster, settings: Settings, subject: Subject, config: CoreConfig) -> None:
        self.cluster, self.subject, self.config = cluster, subject, config
        self.settings = settings
        self.changelog = settings.topic(f"{settings.worker.app_id}-journey-changelog")
        self.links = settings.topic(f"{settings.worker.app_id}-coordinator-changelog")
        self.credits, self.probabilities = settings.topic(CREDITS), settings.topic(PROBABILITIES)
        self.searched: list[str] = []

    async def run(self, with_versions: bool, with_identity: bool) -> Answer:
        subject, rows = self.subject, None
        account_id = subject.id
        if subject.kind == DEAL:
            known = await self._last_probabilities([f"deal:{subject.id}"])
            if with_versions or not known:
                rows = await self._credit_rows()
            latest = max([*known.values(), *(rows or [])], key=lambda row: row["version"], default=None)
            account_id = latest["account_id"] if latest is not None else f"deal:{subject.id}"
        found = await self._state(account_id)
        graph = await self._graph() if with_identity else None
        led = Trail(found[0] if found else "")
        if graph is not None:
            led = self._led(graph, found)
            if led.root and (found is None or led.root != found[0]):
                found = await self._state(translate.account_id(led.root), led.root)
        state = found[1] if found is not None and not led.gone else None
        explanation = explained(state, subject, self.config, state.horizon) if state is not None else None
        if found is None or explanation is None:
            raise NotFound(led.gone or self._not_found())
        if with_versions and rows is None:
            rows = await self._credit_rows()
        answer = self._answer(await self._current(explanation), rows if with_versions else None, led)
        return answer if graph is None else _with_identity(answer, graph, *found)

    def _led(self, graph: Graph, found: tuple[str, State] | None) -> Trail:
        """Where the subject is by the links."""
        key, state = found or ("", None)
        if self.subject.kind == DEAL:
            deals = state.account.journey().deals if state is not None else {}
            if self.subject.id in deals:
                return Trail(key)
            # rows tell of no account that holds a deal without giving any, or only of one it has left
            deal = f"d:{self.subject.id}"
            return Trail(graph.redirect(graph.timeline(deal)[0][1]))
        return trail(graph, self.subject.id, key, number_of_facts(state) if state is not None else 0)

    def _not_found(self) -> str:
        return (
            f"no {self.subject} on {self.cluster.brokers}. Searched: "
            f"{'; '.join([*self.searched, *self.cluster.gaps])}. Ids are compared "
            "exactly; what no worker has scored yet is not there"
        )

    def _answer(self, explanation: Explanation, rows: list[dict[str, Any]] | None, led: Trail) -> Answer:
        source, notes = f"the cluster at {self.cluster.brokers}", list(led.notes)
        if rows is None:
            notes += ["The versions of the credit rows were not read.", *self.cluster.gaps]
            return Answer(explanation, [], source, notes, moved=led.moved)
        found = versions(rows)
        notes += self.cluster.gaps
        theirs = sorted(
            {str(each.row["config_version"]) for each in found[-1:]} - {self.config.config_version}
        )
        if theirs:
            notes.append(
                f"The workers run with settings {theirs[0]}, these numbers are computed with "
                f"{self.config.config_version}: give the workers' --config."
            )
        different = differences(explanation, found) if not led.moved else []
        if different:
            notes.append(
                f"{len(different)} credit rows on the cluster say something else, {different[0]} for example: the "
                "account changed while it was read, or the settings differ."
            )
        return Answer(explanation, found, source, notes, moved=led.moved)

    async def _graph(self) -> Graph:
        """The links as the coordinator has them."""
        partitions, latest = self.cluster.partitions(self.links), dict[bytes, bytes]()
        async for record in self.cluster.read(self.links, partitions):
            if record.value is None:
                latest.pop(record.key, None)
            elif record.key[:1] == b"\0":
                known = latest.get(record.key)
                if known is None or further(record.key, known, record.value):
                    latest[record.key] = record.value
        links = Links(graph_config(self.settings))
        for key, value in latest.items():
            links.restore(key, value)
        return links.graph

    async def _state(self, account_id: str, key: str = "") -> tuple[str, State] | None:
        """The journal key and latest state of an account in the changelog; ``key`` where it is known."""
        keys = [key.encode()] if key else [each.encode() for each in journal_keys(account_id)]
        opaque = not key and account_id.startswith(OPAQUE)
        partitions = self.cluster.partitions(self.changelog, None if opaque else keys)
        latest: dict[bytes, bytes | None] = {}
        count = 0
        async for record in self.cluster.read(self.changelog, partitions):
            count += 1
            root = chunks.root_of(record.key) if chunks.is_chunk(record.key) else record.key
            if root in keys or (
                opaque and root[:1] != b"\0" and translate.account_id(root.decode()) == account_id
            ):
                known = latest.get(record.key)
                if known is None or record.value is None or further(record.key, known, record.value):
                    latest[record.key] = record.value
        named = ", ".join(each.decode() for each in keys)
        where = "all partitions" if opaque else f"partition {', '.join(map(str, sorted(partitions)))}"
        self.searched.append(
            f"{self.changelog}, {where}, {count:,} records, for {account_id if opaque else named}"
        )
        # the keys as listed come first: an account that is named so beats one whose id only looks like it
        for each in [*keys, *latest]:
            raw = latest.get(each)
            if raw is not None and not chunks.is_chunk(each):
                return each.decode(), codec.read(each.decode(), account_id, raw, latest.get)
        return None

    async def _credit_rows(self) -> list[dict[str, Any]]:
        """The subject's credit rows of all versions that are still there."""
        rows, count = [], 0
        async for record in self.cluster.read(self.credits, self.cluster.partitions(self.credits)):
            count += 1
            if record.value is not None and self.subject.filter in record.value:
                rows.append(orjson.loads(record.value))
        self.searched.append(f"{self.credits}, all partitions, {count:,} records, for {self.subject}")
        return [row for row in rows if self.subject.owns(row)]

    async def _last_probabilities(self, subject_ids: Iterable[str]) -> dict[str, Row]:
        """subject_id -> its last row, one that says it is gone too."""
        keys = {subject_id.encode() for subject_id in subject_ids}
        if not keys:
            return {}
        partitions, count = self.cluster.partitions(self.probabilities, keys), 0
        latest: dict[str, Row] = {}
        async for record in self.cluster.read(self.probabilities, partitions):
            count += 1
            if record.key in keys and record.value is not None:
                latest[record.key.decode()] = orjson.loads(record.value)
        where = f"partition {', '.join(map(str, sorted(partitions)))}"
        self.searched.append(f"{self.probabilities}, {where}, {count:,} records")
        return latest

    async def _current(self, explanation: Explanation) -> Explanation:
        """The same with the probabilities that were sent last."""
        sent = await self._last_probabilities(row["subject_id"] for row in explanation.probabilities)
        open_rows = {key: row for key, row in sent.items() if not row["is_deleted"]}
        rows = [open_rows.get(row["subject_id"], row) for row in explanation.probabilities]
        return replace(explanation, probabilities=rows)


def _with_identity(answer: Answer, graph: Graph, root: str, state: State) -> Answer:
    found = identity_of(graph, root, state.account, answer.explanation.deal_id)
    notes = list(answer.notes)
    if found.elsewhere:
        notes.append(
            f"{found.elsewhere:,} facts belong elsewhere by the links: they were moved while this was read, or "
            "identity.max_links and identity.anonymous_ttl are not those of the workers."
        )
    return replace(answer, identity=found.groups, notes=notes)
