"""Faust's table and store around a slice store: they register the changelog, and nothing else of them is used."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from faust.stores.base import Store
from faust.tables.table import Table
from faust.types import TP

from streams.engine.runs import RunSchema
from streams.engine.store import SliceStore


class FaustStore(Store):
    """What Faust asks of a table's store; reads and writes go to the slice store."""

    slices: SliceStore

    def persisted_offset(self, tp: TP) -> int | None:
        """Offset of the last changelog record that a slice includes; opens it."""
        return self.slices.position(tp.partition)

    async def on_rebalance(
        self, assigned: set[TP], revoked: set[TP], newly_assigned: set[TP], generation_id: int = 0
    ) -> None:
        """Release the slices of partitions that are gone."""
        for tp in revoked:
            if tp.topic == self.table.changelog_topic_name:
                self.slices.release(tp.partition)

    async def on_stop(self) -> None:
        """The worker ends."""
        self.slices.close()

    def apply_changelog_batch(self, batch: Any, to_key: Any, to_value: Any) -> None:
        """Recovery writes to the slice store itself, so Faust's buffers are always empty."""

    def reset_state(self) -> None:
        """Forget everything."""
        for partition in self.slices.partitions():
            self.slices.drop(partition)

    async def backup_partition(self, *_: Any, **__: Any) -> None:
        """Not offered: the changelog is the backup."""
        raise NotImplementedError

    def restore_backup(self, *_: Any, **__: Any) -> None:
        """Not offered."""
        raise NotImplementedError

    def __getitem__(self, key: Any) -> Any:
        raise KeyError(key)

    def __setitem__(self, key: Any, value: Any) -> None:
        raise TypeError("handlers return state records; a table is not written to")

    def __delitem__(self, key: Any) -> None:
        self[key] = None

    def __iter__(self) -> Iterator[Any]:
        return iter(())

    def __len__(self) -> int:
        return 0


class EngineTable(Table):
    """A table of bytes. Its changelog records arrive in runs."""

    def __init__(self, app: Any, *, name: str, slices: SliceStore, **kwargs: Any) -> None:
        self.slices = slices
        kwargs.setdefault("schema", RunSchema())
        super().__init__(app, name=name, key_type=bytes, value_type=bytes, **kwargs)

    def _new_store(self) -> FaustStore:
        store = FaustStore("memory://", self.app, self, table_name=self.name)
        store.slices = self.slices
        return store

    def info(self) -> dict[str, Any]:
        """Arguments of a clone."""
        return {**super().info(), "slices": self.slices}
