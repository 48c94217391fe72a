from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

from streams.effects import Effects, Run, StatelessHandler, TableView
from streams.engine import AgentSpec, EngineSettings, FollowerSpec, InvalidSettings, build_app
from streams.engine.follower import LARGEST_SLICE, SLICE_S, Follower


class Nothing(StatelessHandler):
    def handle(self, run: Run, table: TableView) -> Effects:
        return Effects()


def ignore(records: Iterable[tuple[bytes | None, bytes | None]]) -> None:
    pass


def settings(folder: Path) -> EngineSettings:
    return EngineSettings(app_id="app", brokers="none:1", data_dir=str(folder))


def test_all_that_is_wrong_with_followers_is_said_at_once(tmp_path: Path) -> None:
    followers = [FollowerSpec("known", "one", ignore, ("nobody",)), FollowerSpec("known", "two", ignore)]
    agents = [AgentSpec("reader", ("in",), Nothing())]
    with pytest.raises(InvalidSettings) as refused:
        build_app(settings(tmp_path), agents, clock=lambda: 0, followers=followers)
    assert refused.value.problems == [
        "follower 'known' is used twice",
        "follower 'known' is to be read by 'nobody', which is no agent",
    ]


def test_only_the_topics_of_readers_wait_and_the_worker_is_not_ready(tmp_path: Path) -> None:
    agents = [AgentSpec("reader", ("in", "more"), Nothing()), AgentSpec("other", ("apart",), Nothing())]
    followers = [FollowerSpec("known", "table", ignore, ("reader",)), FollowerSpec("free", "second", ignore)]
    following = build_app(settings(tmp_path), agents, clock=lambda: 0, followers=followers).following
    assert following.held_back() == {"in", "more"}
    first, second = following.reasons()
    assert first == "topic table is not being read: no broker has been asked yet"
    assert second == "topic second is not being read: no broker has been asked yet"
    following.followers[0].ready = True
    assert following.held_back() == set()
    assert following.reasons() == [second]


def test_a_slice_grows_and_shrinks_to_what_can_be_taken_in_its_time(tmp_path: Path) -> None:
    follower = Follower(FollowerSpec("known", "table", ignore), settings(tmp_path))
    sizes = []
    for seconds_each in [1e-6] * 6 + [1e-3] * 3:
        follower._measure(follower._size, follower._size * seconds_each)
        sizes.append(follower._size)
    assert sizes[:5] == [400, 800, 1_600, LARGEST_SLICE, LARGEST_SLICE]
    assert sizes[-1] == round(SLICE_S / 1e-3)
