"""A rare chain of events, told straight: chance alone would need thousands of schedules for it."""

from __future__ import annotations

from streams.topology import IDENTITY
from tests.simulation.worker import Worker
from tests.simulation.world import World

WORKED = 12
"""Steps that the new owner works before the old one's batches arrive."""


def late_state(world: World) -> None:
    """A worker is frozen with state on its way, another takes over and works on, and then that state arrives.

    The new owner works a little more, overrules what it sees, topics are compacted, and all workers die. What the
    coordinator tells of identities counts as state.
    """
    old = next((w for w in world.workers if w.flowing and not w.frozen and _waits(w)), None)
    if old is None:
        return
    old.frozen = True
    world.say("worker %d freezes with state on its way", old.number)
    if not world.awake():
        world.start()
    world.rebalance()
    _work(world, WORKED)
    for place in old.network.waiting():
        while place in old.network.waiting():
            world.arrive(old.network, old, place)
    _work(world, 2)
    for worker in world.awake():
        while worker.foreign:
            worker.overrule()
        worker.finish()
    world.write_again()
    for topic, number in world.compacted_topics:
        world.compact(topic, number, 1.0)
    while world.workers:
        world.kill(world.workers[0])


def _waits(worker: Worker) -> bool:
    return any(topic == IDENTITY or topic in worker.changelogs for topic, _ in worker.network.waiting())


def _work(world: World, steps: int) -> None:
    for worker in world.awake():
        while worker.recovering and worker.generation == world.broker.group.generation:
            worker.recover()
        for _ in range(steps):
            places = worker.readable()
            if places:
                worker.handle(*world.random.choice(places))
                worker.finish()
        worker.commit()
