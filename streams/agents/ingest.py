"""Ingest: bytes of a source topic become journal records, or dead letters with a code and a reason.

Stateless. It also reports how far each source partition has come, for the coordinator's watermark. Whatever a record
holds, it ends in the journal, in the dead letters or in a count, and the next one is looked at.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from revenue_core.channels import ChannelTables
from revenue_core.identity.erasures import ERASURE
from revenue_core.identity.observations import Observation
from revenue_core.row_ids import joined
from schemas.errors import Rejected
from schemas.fields import bare_domain
from schemas.inbound import digest
from streams import translate
from streams.agents.known_links import DECIDING
from streams.agents.links import Sighting, links_record
from streams.agents.reported import Reported, names_account
from streams.agents.reports import Reports
from streams.effects import Effects, Headers, Output, Record, Run, StatelessHandler, TableView
from streams.faults import place_of
from streams.identity import Replica
from streams.journal import DIGEST_DIGITS, SPEND, SPEND_PREFIX, encode_fact, encode_touch
from streams.privacy import without_addresses
from streams.topology import DEAD_LETTERS, JOURNAL

Decode = Callable[[Record, int], Sequence[tuple[str, Mapping[str, Any]]]]
"""(record, wall clock ms) -> (topic kind, normalised event) pairs. Raises Rejected."""

TRACE_HEADERS = ("traceparent", "tracestate")
LONGEST_TRACE = 1_024
"""Bytes; W3C asks for 512 at least. A trace header goes onto every row that follows from a record."""
KEPT_BYTES = 7 << 19
"""A dead letter keeps so much of a larger value (3.5 MiB), so that with what follows it fits a request of 4 MiB."""
KEPT_KEY_BYTES = 64 << 10
KEPT_HEADER_BYTES = 64 << 10
"""Of all headers of the original together, each with ``HEADER_OVERHEAD``; what no longer fits is left out."""
HEADER_OVERHEAD = 16
LONGEST_REASON = 4_096
"""Characters of a header that says why."""


@dataclass(frozen=True, slots=True)
class IngestTables:
    """What ingest looks things up in."""

    channels: ChannelTables
    is_bot: Callable[[str], bool]
    hash_key: bytes
    is_free: Callable[[str], bool]
    """Whether a domain is one of free-mail or disposable addresses, which says nothing of a company (R38)."""


class Answer(NamedTuple):
    """What becomes of one valid event."""

    at: int
    """Its instant (ms)."""
    type: str
    outcome: str
    """``ok``, ``bot``, ``erased`` or ``after_as_of``."""
    output: Output | None = None
    """The journal record, when it is a fact that is to be kept."""
    sighting: Sighting | None = None
    """What it says of identities, when that is new."""


class IngestHandler(StatelessHandler):
    """Handler of the source topics.

    ``decoders`` gives each topic its format; ``as_of`` leaves facts after that instant out (``score --as-of``);
    ``hold_ms`` is the least time between two reports of a source partition, and asks for ``interval`` as often.
    ``counts`` is a Counter of (metric, *labels) that whoever runs the handler may read and clear. ``replica`` is its
    copy of the identity table, which whoever runs the handler keeps up to date.
    """

    def __init__(
        self,
        decoders: Mapping[str, Decode],
        tables: IngestTables,
        as_of: int | None = None,
        *,
        hold_ms: int = 0,
        replica: Replica | None = None,
    ) -> None:
        self.decoders, self.tables, self.as_of = decoders, tables, as_of
        self.replica = replica or Replica()
        self.reports = Reports(hold_ms)
        self.reported = Reported()
        self.counts: Counter[tuple[str, ...]] = Counter()
        self.latest = 0
        """Greatest event time of any valid fact seen (ms)."""

    def assigned(self, partition: int, table: TableView) -> None:
        """Nothing is owed for a partition that just came."""
        self.reports.forget(partition)

    def revoked(self, partition: int) -> None:
        """Whoever reads what is not committed reports it."""
        self.reports.forget(partition)
        self.reported.forget()

    def interval(self, partition: int, now_ms: int, table: TableView) -> Effects | None:
        """The reports that were kept back."""
        owed = self.reports.owed(partition, now_ms)
        return Effects(outputs=owed) if owed else None

    def handle(self, run: Run, table: TableView) -> Effects:
        """Journal records and dead letters in the order of the input, then reports when it is time for them."""
        effects = Effects()
        sightings: list[Sighting] = []
        watermark = 0
        for record in run.records:
            if record.value is None:
                self._count(run.topic, "", "null")
                continue
            try:
                answers = list(self._answers(run, record))
            except Rejected as rejected:
                effects.outputs.append(self._dead_letter(run, record, rejected))
                continue
            except Exception as error:  # whatever it is, it must not stop the records after it
                effects.outputs.append(self._dead_letter(run, record, defect(error)))
                continue
            for at, event_type, outcome, output, sighting in answers:
                self._count(run.topic, event_type, outcome)
                if sighting is not None:
                    sightings.append(sighting)
                    self.reported.add(sighting.observation.ids, at)
                if output is not None:
                    # What is put somewhere on a guess is reported first: else nobody would look for it after a crash.
                    # So is what claims domains: its account, should it report it, does not tell of them.
                    said = None if sighting is None else sighting.observation
                    first = said is not None and (not names_account(said.ids) or bool(said.domain_claims))
                    (effects.after if first else effects.outputs).append(output)
                    effects.origins.append(record.timestamp)
                if outcome == "ok":
                    watermark = max(watermark, at)
        if sightings:
            effects.outputs.append(links_record(sightings))
        self.latest = max(self.latest, watermark)
        owed = self.reports.note(run, watermark)
        if owed is None:
            effects.held = True
        else:
            effects.outputs += owed
        return effects

    def _answers(self, run: Run, record: Record) -> Iterator[Answer]:
        """One per event in the record. Raises Rejected."""
        for kind, event in self.decoders[run.topic](record, run.now_ms):
            at, event_type = event["occurred_at"], event["type"]
            if self.as_of is not None and at > self.as_of:
                yield Answer(at, event_type, "after_as_of")
            elif kind == "touchpoints" and "user_agent" in event and self.tables.is_bot(event["user_agent"]):
                yield Answer(at, event_type, "bot")
            else:
                yield self._fact(kind, event, record)

    def _fact(self, kind: str, event: Mapping[str, Any], record: Record) -> Answer:
        event = without_addresses(event, self.tables.hash_key)
        at, event_type = event["occurred_at"], event["type"]
        source, event_id, content = event["source"], event["event_id"], digest(event)
        if event_type == SPEND:
            value = encode_fact(SPEND, event, content, record.timestamp, None)
            root = SPEND_PREFIX + joined(event["channel"], event.get("campaign", ""))
            return Answer(at, event_type, "ok", _journal(root, value, record))
        ids, email_domain = translate.keys(
            kind, translate.identifiers(event, self.tables.hash_key), self.tables.is_free
        )
        replica = self.replica
        root, home = replica.place(ids, email_domain, at)
        claims = self._claims(event)
        sighting = None
        if (
            event_type in DECIDING
            or replica.unclaimed(ids[0], claims)
            or replica.guessed(home)
            or (replica.news(ids, at) and not self.reported.covers(ids, at, replica))
        ):
            observation = Observation(
                at, source, event_id, content[:DIGEST_DIGITS], kind, event_type, ids, email_domain, claims,
                event.get("into_account_id", ""),
            )  # fmt: skip
            sighting = Sighting(observation, home.node, root)
        if event_type == ERASURE:
            return Answer(at, event_type, "ok", None, sighting and sighting.elsewhere())
        if kind != "deals" and replica.suppressed(ids, at):
            # what it links is still needed: who is erased may depend on it
            return Answer(at, event_type, "erased", None, sighting and sighting.elsewhere())
        if kind == "touchpoints":
            touch = translate.touch(event, self.tables.channels)
            value = encode_touch(touch, source, event_id, content, record.timestamp, home)
        else:
            value = encode_fact(kind, event, content, record.timestamp, home)
        return Answer(at, event_type, "ok", _journal(root, value, record), sighting)

    def _claims(self, event: Mapping[str, Any]) -> tuple[str, ...]:
        """The domains that ``account_updated`` claims, as they are compared."""
        if event["type"] != "account_updated":
            return ()
        named = dict.fromkeys(bare_domain(domain) for domain in event.get("domains", ()))
        return tuple(domain for domain in named if domain and not self.tables.is_free(domain))

    def _dead_letter(self, run: Run, record: Record, rejected: Rejected) -> Output:
        outcome = "future" if rejected.code == "future_timestamp" else "invalid"
        self._count(run.topic, "", outcome)
        self.counts["dead_letters_total", run.topic, rejected.code] += 1
        return dead_letter(run, record, rejected)

    def _count(self, topic: str, kind: str, outcome: str) -> None:
        self.counts["events_total", topic, kind, outcome] += 1


def _journal(root: str, value: bytes, record: Record) -> Output:
    return Output(JOURNAL, root.encode(), value, trace_of(record.headers))


def defect(error: Exception) -> Rejected:
    """The refusal of a record that no rule refuses and that could not be taken all the same."""
    message = f"{type(error).__name__}: {error}, {place_of(error)}; report this as a defect"
    return Rejected("internal_error", "", message)


def dead_letter(run: Run, record: Record, rejected: Rejected) -> Output:
    """The original bytes, key and headers, with the reason as headers (contract, dead letters).

    What would not fit a request is cut, or left out, and a header says so.
    """
    key, value = record.key, record.value
    kept = _kept_headers(record.headers)
    reason = [
        ("__connect.errors.topic", run.topic),
        ("__connect.errors.partition", str(run.partition)),
        ("__connect.errors.offset", str(record.offset)),
        ("__connect.errors.exception.class.name", type(rejected).__name__),
        ("__connect.errors.exception.message", rejected.message[:LONGEST_REASON]),
        ("headwater.error.code", rejected.code),
        ("headwater.error.path", rejected.path[:LONGEST_REASON]),
    ]
    if value is not None and len(value) > KEPT_BYTES:
        reason.append(("headwater.error.cut_from_bytes", str(len(value))))
        value = value[:KEPT_BYTES]
    if key is not None and len(key) > KEPT_KEY_BYTES:
        reason.append(("headwater.error.key_cut_from_bytes", str(len(key))))
        key = key[:KEPT_KEY_BYTES]
    if len(kept) < len(record.headers):
        reason.append(("headwater.error.headers_left_out", str(len(record.headers) - len(kept))))
    # an error's text may hold half of a surrogate pair, which has no bytes
    kept += [(name, text.encode(errors="backslashreplace")) for name, text in reason]
    return Output(DEAD_LETTERS, key, value, kept)


def stray(run: Run, record: Record, error: Exception) -> Output:
    """The dead letter of a record that somebody else wrote into a topic of ours."""
    message = f"no record of this topic ({type(error).__name__}: {error}): only headwater writes into it"
    return dead_letter(run, record, Rejected("decode_error", "", message))


def _kept_headers(headers: Headers) -> list[tuple[str, bytes]]:
    """Those that fit, in their order; a header without a value has an empty one."""
    kept, room = [], KEPT_HEADER_BYTES
    for name, content in headers:
        size = len(name.encode()) + len(content or b"") + HEADER_OVERHEAD
        if size <= room:
            kept.append((name, content or b""))
            room -= size
    return kept


def trace_of(headers: Headers) -> Headers:
    """The W3C trace headers among a record's headers: the first of each, unless it is empty or too long."""
    if not headers:
        return ()
    found: dict[str, bytes] = {}
    for name, content in headers:
        if name in TRACE_HEADERS and content and len(content) <= LONGEST_TRACE:
            found.setdefault(name, content)
    return tuple(found.items())
