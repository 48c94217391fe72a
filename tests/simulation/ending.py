"""The end of a schedule: all faults stop, and what is left to do gets done."""

from __future__ import annotations

from streams import codec
from streams.agents import coordinator
from streams.agents.coordinator import STUCK_AFTER
from streams.chunks import StateDamaged
from streams.engine.settings import changelog_name
from streams.topology import CONTROL
from tests.simulation.worker import APP
from tests.simulation.world import IDLE_MS, World

FOLLOWED = 0.5
"""How often a worker reads on in the table of identities meanwhile; it need not be up to date."""
MOST_ROUNDS = 2_000
"""Far more than any schedule takes whose facts do not go round in circles."""


def finish(world: World) -> None:
    """Everybody wakes up, everything is read to its end, and the watermark moves to the latest event."""
    world.say("the faults stop")
    for network in world.lost:
        while places := network.waiting():
            world.arrive(network, None, places[0])
    _settle_down(world)
    if world.random.random() < 0.5:
        _restart_all(world)
    world.coming = world.kept_back
    while world.coming:
        world.produce()
        _drain(world)
    at = max(message["occurred_at"] for _, message in world.events)
    for _ in range(3):
        world.now += IDLE_MS * (STUCK_AFTER + 1)
        report = coordinator.report("end", 0, at, world.now)
        world.broker.partition(CONTROL, 0).append([(report.key, report.value, [])], world.now, -1)
        _drain(world)
        for worker in world.workers:
            worker.interval()
        _drain(world)
    for worker in world.workers:
        world.count(worker)


def _settle_down(world: World) -> None:
    for worker in world.workers:
        worker.frozen = False
    if not world.workers:
        world.start()
        world.rebalance()
    while any(worker.generation != world.broker.group.generation for worker in world.workers):
        world.notice()
    world.rebalance()
    _drain(world)
    world.write_again()
    _drain(world)
    for topic, number in world.compacted_topics:
        outdated = world.broker.partition(topic, number).outdated(world.newer[topic])
        if outdated:
            world.problems.append(f"{topic}/{number}: the last records of {outdated} are outdated")
        if topic == changelog_name(APP, "journey"):
            world.problems += _unreadable(world, topic, number)


def _unreadable(world: World, topic: str, number: int) -> list[str]:
    """Accounts that nobody could read back once compaction has left the last record of each key."""
    records = world.broker.partition(topic, number).records
    last = {record.key: record.value for record in records if record.key is not None}
    found = []
    for key, raw in last.items():
        if raw is not None and key[:1] != b"\0":
            try:
                codec.read(key.decode(), "", raw, last.get)
            except StateDamaged as error:
                found.append(f"{topic}/{number}: {error}")
    return found


def _restart_all(world: World) -> None:
    """Nothing is left but the log."""
    while world.workers:
        world.kill(world.workers[0])
    for topic, number in world.compacted_topics:
        world.compact(topic, number, world.random.choice([0.0, 0.5, 1.0]))
    world.start()
    world.rebalance()
    _drain(world)


def _drain(world: World) -> None:
    rounds = 0
    while not all(worker.idle() for worker in world.workers):
        rounds += 1
        if rounds > MOST_ROUNDS:
            world.problems.append("it never comes to rest")
            return
        for worker in world.workers:
            while worker.recovering:
                worker.recover()
            if world.random.random() < FOLLOWED:
                worker.follow(world.random.randint(1, 20))
            for executor, tp in worker.readable():
                worker.handle(executor, tp)
            worker.settle_held()
            worker.finish()
            while worker.foreign:
                worker.overrule()
            worker.commit()
