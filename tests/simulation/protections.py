"""What keeps the product right: everything is on here, and the negative controls take one away each."""

from __future__ import annotations

from streams.engine.executor import Appender
from streams.engine.foreign import WriteTracker
from streams.service import Service, Timing
from tests.builders import service
from tests.simulation.network import Network


class Protections:
    """All of them."""

    last_arrival = False
    """A sink that takes the row that came last for the newest."""

    compaction_lag = True
    """Changelogs keep every record for a while (``min.compaction.lag.ms``)."""
    overrules = True
    """Outdated records in a changelog are overruled."""
    writes_again = True
    """Records of the table of identities with an outdated one behind them are written again."""

    def service(self, timing: Timing, partitions: int) -> Service:
        """The handlers of a new worker."""
        return service(timing, partitions)

    def tracker(self) -> WriteTracker:
        """What notices another writer's records in a changelog."""
        return WriteTracker()

    def producer(self, network: Network) -> Appender:
        """What an executor appends to."""
        return network
