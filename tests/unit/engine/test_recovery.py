from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from faust.types import TP

from streams.effects import Effects, Run, StatelessHandler, TableView
from streams.engine import AgentSpec, EngineApp, EngineSettings, build_app
from streams.engine.store import SliceStore

CHANGELOG = TP("app-t-changelog", 0)


class Nothing(StatelessHandler):
    def handle(self, run: Run, table: TableView) -> Effects:
        return Effects()


class Starts:
    """What recovery asks of a consumer before it reads."""

    def __init__(self, start: int) -> None:
        self.start = start

    async def earliest_offsets(self, *tps: TP) -> dict[TP, int]:
        return dict.fromkeys(tps, self.start)


@pytest.fixture(params=["memory", "rocksdb"])
def app(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[EngineApp]:
    settings = EngineSettings(app_id="app", brokers="b:9092", data_dir=str(tmp_path), store=request.param)
    made = build_app(settings, [AgentSpec("a", ("in",), Nothing(), "t")], clock=lambda: 1_000)
    yield made
    store_of(made).close()


def store_of(app: EngineApp) -> SliceStore:
    return app.changelogs[CHANGELOG.topic].store


def own(app: EngineApp) -> Any:
    """The recovery, as a rebalance that gives the changelog's partition leaves it."""
    recovery = app.tables.recovery
    recovery.add_active(app.tables["t"], CHANGELOG)
    return recovery


def test_our_own_records_move_the_position_on_unless_others_lie_before_them(app: EngineApp) -> None:
    recovery = own(app)
    recovery.active_offsets[CHANGELOG] = 4
    moved = [recovery.advance(CHANGELOG, *ours) for ours in ((5, 8), (9, 10), (-1, -1))]
    assert (moved, recovery.active_offsets[CHANGELOG]) == ([7, 7, 7], 7)
    assert recovery.advance(TP(CHANGELOG.topic, 1), 0, 1) is None


def test_a_slice_that_was_released_is_not_taken_for_read_when_it_comes_back(app: EngineApp) -> None:
    recovery, store = own(app), store_of(app)
    writes = [(b"k", b"v")]
    store.apply(0, writes)
    recovery.active_offsets[CHANGELOG] = 7
    own(app)
    assert recovery.active_offsets[CHANGELOG] == 7
    store.release(0)  # by a rebalance that another one cuts short before the recovery hears of it
    own(app)
    assert recovery.active_offsets[CHANGELOG] is None


def test_a_slice_on_disk_is_read_on_from_its_position(tmp_path: Path) -> None:
    settings = EngineSettings(app_id="app", brokers="b:9092", data_dir=str(tmp_path), store="rocksdb")
    for expected in (None, 8):
        app = build_app(settings, [AgentSpec("a", ("in",), Nothing(), "t")], clock=lambda: 1_000)
        assert own(app).active_offsets[CHANGELOG] == expected
        writes = [(b"k", b"v")]
        store_of(app).apply(0, writes)
        store_of(app).confirm(0, writes, 8)
        store_of(app).close()


@pytest.mark.parametrize(
    ("start", "end", "trusted"), [(0, 8, True), (9, 20, True), (0, 7, False), (0, -1, False), (10, 20, False)]
)
async def test_a_table_whose_position_lies_outside_of_its_changelog_is_built_anew(
    app: EngineApp, start: int, end: int, trusted: bool
) -> None:
    recovery = own(app)
    store_of(app).restore(0, [(b"k", b"v")], Nothing().newer, 8)
    recovery.active_offsets[CHANGELOG], recovery.active_highwaters[CHANGELOG] = 8, end
    await recovery._refuse_strangers(Starts(start), {CHANGELOG})
    assert recovery.active_offsets[CHANGELOG] == (8 if trusted else None)
    assert store_of(app).view(0).get(b"k") == (b"v" if trusted else None)
