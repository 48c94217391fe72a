"""The first law (R06): final outputs depend on the set of facts, not on how it arrived."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streams import chunks
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


@pytest.fixture(scope="module")
def small_chunks():
    """So few messages in a chunk that every history fills some."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chunks, "MESSAGES", 3)
        yield


@pytest.mark.usefixtures("small_chunks")
@quiet
@given(histories, st.integers(1, 8))
def test_accounts_read_back_in_every_run_give_what_accounts_in_memory_give(events, size):
    read_back = final_view(events, timing=SETTLED_IN_RUNS, run_max=size, drain_every=size, live_touches=0)
    assert read_back == final_view(events)


CATCHING_UP = Timing(tick_ms=0, idle_ms=5_000, replay_window=0, late_after_ms=None, catch_up_ms=60_000)


@pytest.mark.usefixtures("small_chunks")
@quiet
@given(histories, st.integers(1, 20), st.sampled_from([0, 400_000]), st.integers(1, 3))
def test_a_backlog_answered_as_time_passes_gives_what_answering_each_fact_gives(
    events, size, live_touches, partitions
):
    later = final_view(
        events, timing=CATCHING_UP, run_max=size, drain_every=size, partitions=partitions, live_touches=live_touches,
        backlog_ms=3_600_000,
    )  # fmt: skip
    assert later == final_view(events)
