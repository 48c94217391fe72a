"""One schedule: workers, a broker and a source of messages, and a seed that decides every step.

Modelled: everything ``streams.engine`` does between the handlers and the client library (its executors, chains,
stores, ledger and write tracker run as they are); batches and acknowledgements that travel by themselves; deaths
at any moment with any prefix of what was under way; batches of a dead worker that arrive late; rebalances in runs
and in recoveries, with and without a member that is frozen; workers that wake up after their partitions moved and
go on until they hear of it; commits whose answer gets lost; copies of the identity table of any age; fetches from
the wrong place; acknowledgements without an offset; compaction; the wall clock; and sources that repeat, delay and
shuffle, near the clock or with a backlog of months.

Not modelled: the loss of acknowledged records (acks=all), messages above the size limit, transactions, tables on
disk, and time inside a step: a handler, a fetch or the arrival of a batch is atomic. Two things are taken for
granted: a compacted topic keeps outdated records until they are overruled (``min.compaction.lag.ms``), and a worker
that wakes up in the middle of a recovery does not begin work before the group has confirmed that it is still a
member.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from streams import identity
from streams.service import Timing
from streams.topology import ANSWERS, CONTROL, CREDITS, DEAD_LETTERS, IDENTITY, JOURNAL, PARTIALS, SOURCES
from tests.builders import service
from tests.simulation.broker import Broker
from tests.simulation.history import DAYS, HOUR, START_MS, deliveries, facts
from tests.simulation.network import Network
from tests.simulation.protections import Protections
from tests.simulation.worker import APP, BATCH_MAX, OPEN_RUNS, Worker

PARTITIONS = 2
MOST_WORKERS = 3
TABLES = {"coordinator": CONTROL, "journey": JOURNAL, "totals": PARTIALS}
IDLE_MS = 30_000
CATCH_UP_MS = HOUR
LAG_PASSED = 0.9
"""How often compaction comes when outdated records are older than the lag."""
DENSE = 30
"""Faults of a schedule with "dense" among its kinds of fault; they come faster, too."""
LATE = 0.03
"""How often a batch of a dead worker may arrive in a step in which one arrives."""
QUIET_STEPS = 200
"""Steps with faults after the last message was sent, at most."""
FAULTS = ("crash", "freeze", "rebalance", "compact", "late", "late state")
PROFILES = (
    frozenset[str](), frozenset({"crash", "compact"}), frozenset({"freeze", "compact"}), frozenset({"rebalance"}),
    frozenset({"crash", "rebalance", "late"}), frozenset(FAULTS), frozenset(FAULTS),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Stale:
    """A record that arrived after its writer had lost the partition."""

    topic: str
    partition: int
    offset: int


class World:
    """A schedule under way. ``protections`` may lack some (negative controls); ``faults`` overrides the profile."""

    def __init__(
        self,
        seed: int,
        protections: Protections | None = None,
        faults: frozenset[str] | None = None,
        trace: Callable[[str], None] | None = None,
        late_state: Callable[[World], None] = lambda _: None,
    ) -> None:
        self.late_state = late_state
        self.seed, self.random, self.trace = seed, Random(seed), trace
        self.protections = protections or Protections()
        self.profile = self.random.choice(PROFILES) if faults is None else faults
        self.events = facts(self.random)
        self.coming = deliveries(self.random, self.events, PARTITIONS)
        self.all_deliveries = tuple(self.coming)
        self.kept_back = [self.coming.pop() for _ in range(self.random.randint(0, 4))][::-1]
        self.backlog = self.random.random() < 0.4
        self.now = START_MS + (DAYS + 60) * 24 * HOUR if self.backlog else START_MS
        counts = dict.fromkeys((*SOURCES, JOURNAL, PARTIALS, CREDITS), PARTITIONS)
        counts |= {topic: 1 for topic in (CONTROL, IDENTITY, DEAD_LETTERS, *ANSWERS) if topic not in counts}
        self.broker = Broker(counts)
        self.changelogs = [
            (f"{APP}-{table}-changelog", n) for table, topic in TABLES.items() for n in range(counts[topic])
        ]
        self.timing = Timing(
            tick_ms=self.random.choice([0, 1_000]), idle_ms=IDLE_MS, late_after_ms=HOUR,
            replay_window=2 * OPEN_RUNS * BATCH_MAX, catch_up_ms=self.random.choice([None, CATCH_UP_MS]),
            most_outputs=self.random.choice([1, 5, 4_000]),
        )  # fmt: skip
        self.live_touches = self.random.choice([0, 20, 400_000])
        handlers = {agent.table: agent.handler for agent in service(self.timing, PARTITIONS).agents}
        self.newer = {topic: handlers[topic.split("-")[1]].newer for topic, _ in self.changelogs}
        self.newer[IDENTITY] = identity.newer
        self.compacted_topics = [*self.changelogs, (IDENTITY, 0)]
        self.workers: list[Worker] = []
        self.lost: list[Network] = []
        """Of dead workers, with batches that arrive late."""
        self.stale: set[Stale] = set()
        self.born = 0
        self.faults_left = DENSE if "dense" in self.profile else self.random.randint(1, 12)
        self.stats: Counter[str] = Counter()
        self.problems: list[str] = []
        self.say("profile %s, %s, %d messages", sorted(self.profile), self.timing, len(self.coming))

    def say(self, text: str, *args: object) -> None:
        """Add a line to the trace."""
        if self.trace is not None:
            self.trace(text % args)

    # -- the schedule

    def run(self) -> None:
        """All steps up to where the faults stop."""
        for _ in range(self.random.randint(1, MOST_WORKERS)):
            self.start()
        self.rebalance()
        actions = {
            self.produce: 6, self._handle: 30, self._deliver: 34, self._acknowledge: 34, self._commit: 4,
            self._interval: 2, self._clock: 4, self._overrule: 8, self._recover: 14, self.notice: 3, self._follow: 8,
        }  # fmt: skip
        dense = 4 if self.faults_left == DENSE else 1
        faults = {
            "crash": {self._crash: dense}, "freeze": {self._freeze: 2 * dense}, "compact": {self._compact: 8},
            "rebalance": {self._rebalance: dense}, "late state": {self._late_state: dense},
        }  # fmt: skip
        for name in FAULTS:
            actions |= faults.get(name, {}) if name in self.profile else {}
        actions |= {self._wake: 2, self._join: 2, self._expire: 2}
        steps, weights = list(actions), list(actions.values())
        quiet = self.random.randint(0, QUIET_STEPS)
        while self.coming or quiet:
            quiet -= not self.coming
            self.random.choices(steps, weights)[0]()

    def clock(self) -> int:
        """The wall clock (ms)."""
        return self.now

    def awake(self) -> list[Worker]:
        """Workers that run, those that have lost their partitions without knowing included."""
        return [worker for worker in self.workers if not worker.frozen]

    def _pick(self) -> Worker | None:
        awake = self.awake()
        return self.random.choice(awake) if awake else None

    # -- ordinary steps

    def produce(self) -> None:
        """Let some messages come into the source topics."""
        for _ in range(min(self.random.randint(1, 3), len(self.coming))):
            message = self.coming.pop(0)
            if not self.backlog:
                self.now = max(self.now, message.arrives + self.random.choice([1, 50, 5_000]))
            source = self.broker.partition(message.topic, message.partition)
            source.append([(None, message.value, [])], self.now, -1)
            self.say("produce %s/%d %s", message.topic, message.partition, message.value)

    def _handle(self) -> None:
        awake = self.awake()
        self.random.shuffle(awake)
        for worker in awake:
            places = worker.readable()
            if not places:
                continue
            executor, tp = self.random.choice(places)
            start = worker.ledger.partitions[tp].next_offset
            count = worker.handle(executor, tp)
            self.say("worker %d handles %s/%d %d+%d", worker.number, *tp, start, count)
            return

    def _deliver(self) -> None:
        networks = [(w.network, w) for w in self.workers if not w.frozen or self.random.random() < 0.05]
        late = [(network, None) for network in self.lost if self.random.random() < LATE]
        choices = [
            (network, worker, place) for network, worker in (*networks, *late) for place in network.waiting()
        ]
        if choices:
            self.arrive(*self.random.choice(choices))

    def arrive(self, network: Network, worker: Worker | None, place: tuple[str, int]) -> None:
        """The first batch of a lane arrives; ``worker`` is None when its writer is dead."""
        count = network.deliver(place)
        end = self.broker.partition(*place).end
        late = worker is None or worker.generation != self.broker.group.generation
        if late:
            self.stats["records that arrived late"] += count
            self.stale.update(Stale(*place, offset) for offset in range(end - count, end))
        self.say("from %d: %s/%d %d+%d%s", network.writer, *place, end - count, count, " LATE" * late)

    def _acknowledge(self) -> None:
        choices = [(w.network, place) for w in self.awake() for place in w.network.unacknowledged()]
        if choices:
            network, place = self.random.choice(choices)
            network.acknowledge(place)

    def _commit(self) -> None:
        worker = self._pick()
        if worker and worker.flowing:
            worker.commit()

    def _interval(self) -> None:
        worker = self._pick()
        if worker:
            worker.interval()

    def _clock(self) -> None:
        self.now += self.random.choice([100, 1_000, 6_000, IDLE_MS + 10_000])

    def _overrule(self) -> None:
        for worker in self.awake():
            if worker.foreign:
                self.say("worker %d overrules %s", worker.number, worker.foreign[0])
                worker.overrule()

    def _recover(self) -> None:
        for worker in self.awake():
            if worker.recovering:
                worker.recover()
                if worker.flowing:
                    self.say("worker %d has recovered", worker.number)

    def _follow(self) -> None:
        """A worker reads on in the table of identities; how far it is has nothing to do with the rest."""
        worker = self._pick()
        if worker:
            worker.follow(self.random.randint(1, 6))

    def write_again(self) -> None:
        """Everybody reads the table of identities to its end, and its owner writes again what is outdated there."""
        table, end = self.broker.partition(IDENTITY, 0), -1
        while end != table.end:
            end = table.end
            for worker in self.awake():
                worker.follow(end)
                worker.interval()
                worker.finish()

    # -- faults

    def _fault(self, name: str) -> bool:
        if not self.faults_left:
            return False
        self.faults_left -= 1
        self.stats[name] += 1
        return True

    def _crash(self) -> None:
        if self.workers and self._fault("crashes"):
            self.kill(self.random.choice(self.workers))

    def kill(self, worker: Worker) -> None:
        """The process ends at once."""
        late = "late" in self.profile and self.random.random() < 0.5
        self.say("worker %d dies%s", worker.number, ", its last batches arrive late" if late else "")
        places = {place: self.broker.partition(*place).end for place in worker.network.lanes}
        worker.network.lose(late)
        if worker.generation != self.broker.group.generation:
            self.stale.update(
                Stale(*place, offset)
                for place, end in places.items()
                for offset in range(end, self.broker.partition(*place).end)
            )
        if late:
            self.lost.append(worker.network)
        self.count(worker)
        self.workers.remove(worker)

    def _freeze(self) -> None:
        worker = self._pick()
        if worker and self._fault("freezes"):
            self.say("worker %d freezes", worker.number)
            worker.frozen = True

    def _late_state(self) -> None:
        if self._fault("late states"):
            self.late_state(self)

    def _wake(self) -> None:
        frozen = [worker for worker in self.workers if worker.frozen]
        if frozen:
            worker = self.random.choice(frozen)
            worker.frozen = False
            self.say("worker %d wakes", worker.number)

    def _expire(self) -> None:
        """The session of a member that is dead or frozen ends."""
        known = set(self.broker.group.owners.values())
        here = {
            w.number for w in self.workers if not w.frozen and w.generation == self.broker.group.generation
        }
        if known - here and self.awake():
            self.rebalance()

    def notice(self) -> None:
        """A worker hears that it is no member any more, and joins again."""
        for worker in self.awake():
            if worker.generation != self.broker.group.generation:
                self.say("worker %d notices", worker.number)
                self._revoke(worker)
                self.rebalance()
                return

    def _join(self) -> None:
        if len(self.workers) < MOST_WORKERS and (not self.awake() or self.random.random() < 0.3):
            self.start()
            self.rebalance()

    def start(self) -> None:
        """Start a worker; it is no member yet."""
        made = self.protections.service(self.timing, PARTITIONS)
        made.journey.live_touches = self.live_touches
        self.born += 1
        self.say("worker %d starts", self.born)
        tracker = self.protections.tracker()
        self.workers.append(
            Worker(self.born, made, self.broker, self.random, self.clock, tracker, self.protections.producer)
        )

    def _compact(self) -> None:
        topic, number = self.random.choice(self.compacted_topics)
        self.compact(topic, number, self.random.random())

    def compact(self, topic: str, number: int, share: float) -> None:
        """Compact the first part of a changelog or of the table of identities; the active segment, with the last
        record, stays, and what is not older than ``min.compaction.lag.ms``: what a copy in use has not read.

        Not while the last record of a key is an outdated one: what a worker wrote that had lost its partition is
        overruled within the lag. Only if nobody overrules it, it becomes older than any lag.
        """
        part = self.broker.partition(topic, number)
        corrected = self.protections.writes_again if topic == IDENTITY else self.protections.overrules
        within_lag = corrected or self.random.random() > LAG_PASSED
        if within_lag and self.protections.compaction_lag and part.outdated(self.newer[topic]):
            self.stats["compactions put off"] += 1
            return
        stop = round(share * max(part.end - 1, 0))
        if topic == IDENTITY:
            stop = min([stop, *(worker.followed for worker in self.workers if not worker.held_back())])
        gone = part.compact(stop)
        self.stats["compactions"] += gone > 0
        self.say("compact %s/%d: %d of %d go", topic, number, gone, part.end)

    # -- the group

    def _revoke(self, worker: Worker) -> None:
        if worker.flowing and worker.generation != self.broker.group.generation:
            worker.flowing = False  # what is left of it arrives too late
            worker.settle_held()
            network = worker.network
            while network.waiting() or network.unacknowledged():
                for place in network.waiting():
                    self.arrive(network, worker, place)
                for place in network.unacknowledged():
                    network.acknowledge(place)
        worker.revoke()

    def _rebalance(self) -> None:
        if self._fault("rebalances without a cause"):
            self.rebalance()

    def rebalance(self) -> None:
        """Every member that hears of it finishes and commits; then the group gives all partitions anew."""
        group = self.broker.group
        members = [
            worker
            for worker in self.awake()
            if worker.generation in (group.generation, -1) or not worker.flowing or self.random.random() < 0.5
        ]
        if not members:
            return
        self.stats["rebalances"] += 1
        self.random.shuffle(members)
        for worker in members:
            self._revoke(worker)
        group.generation += 1
        numbers = [worker.number for worker in members]
        before, group.owners = group.owners, {}
        for agent in members[0].service.agents:
            for partition in range(self.broker.counts[agent.topics[0]]):
                owner = before.get((agent.name, partition))
                if owner not in numbers or self.random.random() < 0.4:
                    owner = self.random.choice(numbers)
                group.owners[agent.name, partition] = owner
        self.say("generation %d: %s", group.generation, group.owners)
        for worker in members:
            owned = {place for place, number in group.owners.items() if number == worker.number}
            worker.assigned(group.generation, owned)

    def count(self, worker: Worker) -> None:
        """Add what a worker has seen to the statistics."""
        self.stats["foreign writes seen"] += worker.foreign_seen
        self.stats["foreign writes overruled"] += worker.overruled
        worker.foreign_seen = worker.overruled = 0
