"""An account that facts leave or come to: what the journey agent does with decisions about identity.

A decision takes effect at once: what has left is no longer read as part of the account, its rows are withdrawn, and
what still comes is passed on. Handing over what has left goes in bounded steps, which the journal tells the account
itself, behind the withdrawn rows; whoever receives it gives its rows again, under versions that outrank the old ones.
A step that is repeated after a crash hands over the same messages, which are known then, and answered again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from revenue_core import journey as core
from revenue_core.account import Group
from revenue_core.identity.observations import Observation
from streams import homes
from streams.agents.links import Sighting, links_record
from streams.agents.slice import Live
from streams.effects import Headers, Output, Record
from streams.homes import Home, Knowledge
from streams.journal import (
    DIGEST_DIGITS,
    Decisions,
    FactRecord,
    HandOver,
    Transfer,
    encode_hand_over,
    encode_message,
    encode_transfer,
)
from streams.packed import KINDS, LETTERS
from streams.topology import JOURNAL

if TYPE_CHECKING:
    from streams.agents.journey_run import JourneyRun

LOOKED_AT = 4_096
"""Messages that a step looks at, at most."""
HANDED_OVER = 1_024
"""Messages that it hands over, at most,"""
TRANSFER_BYTES = 256 << 10
"""and about the size of one transfer."""
MOST_MOVES = 1_023


class Piece(NamedTuple):
    """One message of a transfer as a record by itself, should it have to be refused."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Headers


def piece_of(record: Record, fact: FactRecord) -> Piece:
    """A message of a transfer as a journal record."""
    return Piece(record.offset, record.timestamp, record.key, encode_message(fact), record.headers)


def sighting(kind: str, identity: str, message: Group[Any], home: Home) -> Sighting:
    """What a message says of identities, as its account reports it."""
    source, event_id = identity.split(":", 1)
    into = "" if kind == "touchpoints" else str(message.body.fields.get("into_account_id", ""))
    return Sighting(
        Observation(
            message.at, source, event_id, message.digest[:DIGEST_DIGITS], kind, message.body.type, home.ids,
            home.email_domain, (), into,
        )
    )  # fmt: skip


class Moves:
    """What a run does about identities."""

    def __init__(self, job: JourneyRun) -> None:
        self.job = job

    def admit(self, key: bytes, live: Live, entry: FactRecord) -> FactRecord | None:
        """A fact as the account takes it; None when it belongs elsewhere and has been passed on, or is erased."""
        knows = live.packed.knows
        if not knows:
            return entry
        place = live.packed.place(LETTERS[entry.kind], entry.message)
        if not place.root:
            self.job.count(entry, "erased")
            return None
        if place.decided > homes.UNSURE:
            entry = entry._replace(message=entry.message._replace(home=homes.dump(place.home)))
        if place.root != key.decode():
            self._pass_on(place.root, entry)
            return None
        if knows.watched and homes.reports(knows.watched, place.home):
            self._report([sighting(entry.kind, entry.identity, entry.message, place.home)])
        return entry

    def _pass_on(self, root: str, entry: FactRecord) -> None:
        effects = self.job.effects
        effects.outputs.append(Output(JOURNAL, root.encode(), encode_message(entry), self.job.headers))

    def learn(self, key: bytes, decisions: Decisions, record: Record) -> None:
        """Take decisions: report what is watched from now on, and let go what belongs elsewhere."""
        job = self.job
        live = job.load_for(key, record)
        if live is None:
            job.effects.outputs.append(job.rows.undecided(job.run, record))
            return
        if record.offset <= live.state.applied:
            return
        stored = live.packed.touches.count + live.packed.facts.count
        moving = self._concerns(live, decisions)
        if moving and not live.state.quarantined:
            core.remember(live.state, job.config)
            core.recall(live.state, job.config)
        new = live.packed.learn(decisions.entries)
        job.mark(key, live, record, f"identity:{max((entry[2] for entry in new), default=0)}")
        watched = {entry[1] for entry in new if entry[0] == homes.WATCH}
        if watched and stored:
            self._report_all(live, watched)
        if moving:
            core.replace_facts(live.state, live.packed.refold(live.state.account.account_id))
            # at once: rows are withdrawn in a version below that of whoever says them anew
            job.answer_now(key, live)
            handing = live.packed.handing
            handing.pending, handing.position = True, 0
            self._step(key, live)

    def _concerns(self, live: Live, decisions: Decisions) -> bool:
        """Whether a decision that is new is about a message that the account has."""
        packed = live.packed
        knows = packed.knows
        subjects: dict[str, set[str]] = {homes.ROUTE: set(), homes.REDIRECT: set(), homes.ERASURE: set()}
        for entry in decisions.entries:
            if entry[0] != homes.WATCH and not knows.has(entry):
                subjects[entry[0]].add(entry[1])
        routes, nodes, erased = subjects.values()
        if not (routes or nodes or erased):
            return False
        for _, letter, _, message in packed.everything():
            home = packed.place(letter, message).home
            if home.native in routes or home.node in nodes:
                return True
            if erased and not erased.isdisjoint(map(homes.mark, home.ids)):
                return True
        return False

    def _report_all(self, live: Live, watched: set[str]) -> None:
        found = []
        for _, letter, identity, message in live.packed.everything():
            home = live.packed.home(message)
            if homes.reports(watched, home):
                found.append(sighting(KINDS[letter], identity, message, home))
        self._report(found)

    def _report(self, found: Sequence[Sighting]) -> None:
        for start in range(0, len(found), HANDED_OVER):
            self.job.effects.outputs.append(links_record(found[start : start + HANDED_OVER]))

    def hand_over(self, key: bytes, step: HandOver, record: Record) -> None:
        """Take a step of handing over, once."""
        live = self.job.load_for(key, record)
        if live is None or record.offset <= live.state.applied:
            return
        handing = live.packed.handing
        if not handing.pending or step.number != handing.number:
            return
        self.job.mark(key, live, record, live.cause)
        self._step(key, live)

    def _step(self, key: bytes, live: Live) -> None:
        """Hand over the next messages that have left; ask for another step if there may be more."""
        root, packed = key.decode(), live.packed
        handing, knows = packed.handing, packed.knows
        leaving: defaultdict[str, list[FactRecord]] = defaultdict(list)
        position, looked_at, handed, decision = handing.position, 0, 0, 0
        begun = handing.position > 0
        for position, letter, identity, message in packed.everything(handing.position):
            if looked_at >= LOOKED_AT or handed >= HANDED_OVER:
                break
            looked_at += 1
            place = packed.place(letter, message)
            if place.root in {root, ""}:
                continue
            if position < handing.count and place.decided <= handing.decision:
                continue
            moved = message._replace(home=homes.dump(place.home))
            leaving[place.root].append(FactRecord(KINDS[letter], identity, moved, 0, forwarded=True))
            decision, handed = max(decision, place.decided), handed + 1
        else:
            handing.pending = False
        state = live.state
        moves = min(state.moves + (not state.silent), MOST_MOVES)
        for target, facts in leaving.items():
            self._send(target, facts, moves, decision, more=handing.pending, knows=knows)
        if begun and not handing.pending:
            self._close(root, leaving, moves, knows)
        handing.number += 1
        if handing.pending:
            handing.position = position
            step = Output(JOURNAL, key, encode_hand_over(handing.number), (), self.job.run.partition)
            self.job.effects.after.append(step)
        else:
            self._finish(key, live)

    def _send(
        self, target: str, facts: list[FactRecord], moves: int, decision: int, *, more: bool, knows: Knowledge
    ) -> None:
        watched = sorted(knows.watched.intersection(each for fact in facts for each in _ids(fact)))
        chunks: list[list[bytes]] = [[]]
        size = 0
        for message in map(encode_message, facts):
            if chunks[-1] and size + len(message) > TRANSFER_BYTES:
                chunks.append([])
                size = 0
            chunks[-1].append(message)
            size += len(message)
        for number, chunk in enumerate(chunks, 1):
            self._transfer(target, chunk, moves, decision, more=more or number < len(chunks), watched=watched)

    def _transfer(
        self,
        target: str,
        messages: Sequence[bytes],
        moves: int,
        decision: int,
        *,
        more: bool,
        watched: Sequence[str] = (),
    ) -> None:
        value = encode_transfer(messages, moves, decision, more=more, watched=watched)
        self.job.effects.after.append(Output(JOURNAL, target.encode(), value, self.job.headers))

    def _close(self, root: str, reached: Mapping[str, Any], moves: int, knows: Knowledge) -> None:
        """Tell accounts that got messages in earlier steps, and may wait for more, that this was all."""
        decided = [entry[2] for _, timeline in knows.routes.values() for entry in timeline]
        decided += [target for _, target in knows.redirects.values()]
        for target in sorted(set(decided) - {root, "", *reached}):
            self._transfer(target, [], moves, knows.latest(), more=False)

    def _finish(self, key: bytes, live: Live) -> None:
        """Remember what has been handed over, or write the account anew without it."""
        packed = live.packed
        handing = packed.handing
        handing.count = packed.touches.count + packed.facts.count
        handing.decision = packed.knows.latest()
        account = live.state.account
        facts = (account.lead_groups, account.deal_groups)
        here = account.touch_count + sum(len(groups) for table in facts for groups in table.values())
        if packed.knows.erasures or 2 * here < handing.count:
            core.recall(live.state, self.job.config)
            packed.purge()

    def receive(self, key: bytes, transfer: Transfer, record: Record) -> None:
        """Take what another account has handed over; pass on what belongs elsewhere by what is known here."""
        job = self.job
        live = job.load_for(key, record)
        if live is None:
            for fact in transfer.messages:
                job.quarantine.refuse_damaged(piece_of(record, fact), fact)
            return
        if record.offset <= live.state.applied:
            return
        cause = f"identity:{transfer.decision}"
        self._watch(key, live, transfer, record, cause)
        elsewhere: defaultdict[str, list[FactRecord]] = defaultdict(list)
        here: list[FactRecord] = []
        root, knows = key.decode(), live.packed.knows
        for fact in transfer.messages:
            place = live.packed.place(LETTERS[fact.kind], fact.message)
            if place.decided > homes.UNSURE:
                fact = fact._replace(message=fact.message._replace(home=homes.dump(place.home)))  # noqa: PLW2901
            if place.root == root:
                here.append(fact)
            elif place.root:
                elsewhere[place.root].append(fact)
        for target, facts in elsewhere.items():
            self._send(target, facts, transfer.moves, transfer.decision, more=transfer.more, knows=knows)
        if not transfer.messages and live.state.settle_at is not None:
            job.mark(key, live, record, cause)
            job.touched[key] = live
        if here:
            live.state.moves = max(live.state.moves, transfer.moves)
            job.take_over(key, live, here, record, cause, later=transfer.more)
            if knows.watched:
                homed = [(fact, live.packed.home(fact.message)) for fact in here]
                self._report(
                    [
                        sighting(fact.kind, fact.identity, fact.message, home)
                        for fact, home in homed
                        if homes.reports(knows.watched, home)
                    ]
                )

    def _watch(self, key: bytes, live: Live, transfer: Transfer, record: Record, cause: str) -> None:
        new = live.packed.learn([[homes.WATCH, each, transfer.decision, None] for each in transfer.watched])
        if new:
            self.job.mark(key, live, record, cause)
            self._report_all(live, {entry[1] for entry in new})


def _ids(fact: FactRecord) -> tuple[str, ...]:
    return homes.load(fact.message.home).ids
