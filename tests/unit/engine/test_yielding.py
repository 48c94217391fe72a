from __future__ import annotations

from streams.effects import Effects, Run, StatelessHandler, TableView
from streams.engine.settings import AgentSpec
from streams.engine.yielding import Yielding


class Nothing(StatelessHandler):
    def handle(self, run: Run, table: TableView) -> Effects:
        return Effects()


class Worker:
    """Sources a and b yield to the journal and the tail; ``lag`` is what is known of them."""

    def __init__(self) -> None:
        self.lag: dict[str, int] = {}
        specs = [
            AgentSpec("ingest", ("a", "b"), Nothing(), yields_to=("journal", "tail")),
            AgentSpec("journey", ("journal", "tail"), Nothing()),
        ]
        self.yielding = Yielding(specs, 100, lambda topic: self.lag.get(topic, 0))

    def waiting(self, **lag: int) -> set[str]:
        self.lag = lag
        return set(self.yielding.waiting())


def test_nothing_waits_where_no_lag_is_known() -> None:
    assert Worker().waiting() == set()


def test_an_agent_waits_while_what_it_yields_to_lags_and_goes_on_at_half() -> None:
    worker = Worker()
    assert worker.waiting(journal=100) == set()
    assert worker.waiting(journal=101) == {"a", "b"}
    assert worker.waiting(journal=51) == {"a", "b"}
    assert worker.waiting(journal=50) == set()
    assert worker.waiting(journal=100) == set()


def test_topics_count_together() -> None:
    assert Worker().waiting(journal=60, tail=60) == {"a", "b"}


def test_the_lag_of_who_yields_does_not_matter_and_the_others_never_wait() -> None:
    assert Worker().waiting(a=10_000, journal=10) == set()
    assert Worker().waiting(journal=1 << 40) == {"a", "b"}


def test_an_agent_goes_on_when_what_it_waits_for_is_gone_to_another_worker() -> None:
    worker = Worker()
    worker.waiting(journal=500)
    assert worker.waiting() == set()
