"""The first law (R06): final outputs depend on the set of facts, not on how it arrived."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streams.service import Timing
from tests.builders import final_view
from tests.laws.histories import histories

SETTLED_IN_RUNS = Timing(tick_ms=0, idle_ms=0, replay_window=0, late_after_ms=None)

quiet = settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@quiet
@given(histories, st.randoms(use_true_random=False))
def test_any_order_and_any_number_of_deliveries_give_the_same_final_view(events, random):
    shuffled = events + random.sample(events, len(events) // 3)
    random.shuffle(shuffled)
    assert final_view(shuffled) == final_view(events)


@quiet
@given(histories, st.integers(2, 20), st.integers(1, 3))
def test_settling_facts_in_runs_and_partitions_gives_what_settling_them_one_by_one_gives(
    events, size, partitions
):
    in_runs = final_view(
        events, timing=SETTLED_IN_RUNS, run_max=size, partitions=partitions, drain_every=size
    )
    assert in_runs == final_view(events)
