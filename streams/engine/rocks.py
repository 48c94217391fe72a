"""Tables in RocksDB: they may be larger than memory, and a restart reads only the rest of their changelogs.

The changelog is the truth; a slice on disk is a copy of a part of it, up to a position
(``streams.engine.rocks_slice``). A copy that cannot be trusted is deleted, and its table read from the start of the
changelog: one of another format, one that is damaged, one that was not moved on for too long. Recovery refuses those
that lie outside of their changelog.
"""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from rocksdict import BlockBasedOptions, Cache, DBCompressionType, Options, Rdict, WriteBufferManager

from streams.effects import TableView
from streams.engine.errors import StoreFailed, StoreLocked
from streams.engine.rocks_slice import DAMAGED, Slice, is_damage
from streams.engine.store import Newer, Write

log = logging.getLogger(__name__)


class RocksMemory:
    """What all slices of a process share; the rest of a slice's memory is some hundred kB.

    ``cache_bytes`` bounds blocks, indexes and filters in memory together with the writes that wait for a file, of
    which there may be ``write_bytes``.
    """

    def __init__(self, cache_bytes: int = 128 << 20, write_bytes: int = 48 << 20) -> None:
        self._cache = Cache(cache_bytes)
        self._writes = WriteBufferManager.new_write_buffer_manager_with_cache(write_bytes, False, self._cache)

    def options(self) -> Options:
        """Of a slice's database."""
        blocks = BlockBasedOptions()
        blocks.set_block_cache(self._cache)
        blocks.set_cache_index_and_filter_blocks(True)
        blocks.set_pin_l0_filter_and_index_blocks_in_cache(True)
        blocks.set_bloom_filter(10, False)
        options = Options(raw_mode=True)
        options.create_if_missing(True)
        options.set_block_based_table_factory(blocks)
        options.set_write_buffer_manager(self._writes)
        options.set_write_buffer_size(8 << 20)
        options.set_arena_block_size(128 << 10)
        options.set_target_file_size_base(16 << 20)
        options.set_compression_type(DBCompressionType.lz4())
        # A writer that is held up holds the event loop: rather let files wait to be merged.
        options.set_level_zero_slowdown_writes_trigger(40)
        options.set_level_zero_stop_writes_trigger(80)
        options.set_keep_log_file_num(2)
        options.set_max_log_file_size(1 << 20)
        options.set_stats_dump_period_sec(0)
        return options


class RocksStore:
    """Slices of one table as databases under ``folder``, which the store has for itself while it is in use.

    ``clock`` gives the wall clock in milliseconds. Raises ``StoreLocked`` and ``StoreFailed``.
    """

    def __init__(self, folder: Path, clock: Callable[[], int], memory: RocksMemory) -> None:
        self._folder, self._clock, self._memory = folder, clock, memory
        self._slices: dict[int, Slice] = {}
        self._lock: int | None = None

    def claim(self) -> None:
        """Lock the folder, once."""
        if self._lock is not None:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(self._folder / "LOCK", os.O_CREAT | os.O_RDWR)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(lock)
            raise StoreLocked(self._folder) from None
        self._lock = lock

    def view(self, partition: int) -> TableView:
        """Read-only view of one slice."""
        return self._slice(partition)

    def apply(self, partition: int, writes: Sequence[Write]) -> None:
        """Show a handler's writes; they are stored when they are confirmed."""
        self._slice(partition).apply(writes)

    def confirm(self, partition: int, writes: Sequence[Write], position: int | None) -> None:
        """Store writes with the position behind them."""
        part = self._slices.get(partition)
        if part is not None:
            part.confirm(writes, position)

    def restore(self, partition: int, writes: Sequence[Write], newer: Newer, position: int) -> None:
        """Carry out changelog records in order, except those that ``newer`` refuses."""
        self._slice(partition).restore(writes, newer, position)

    def outdated(self, partition: int) -> set[bytes]:
        """Keys whose last record in the changelog was refused."""
        return set(self._slice(partition).outdated)

    def position(self, partition: int) -> int | None:
        """Up to where the slice is there."""
        return self._slice(partition).position

    def release(self, partition: int) -> None:
        """Close a slice; its files stay."""
        part = self._slices.pop(partition, None)
        if part is not None:
            part.close()

    def drop(self, partition: int) -> None:
        """Delete a slice."""
        self.release(partition)
        shutil.rmtree(self._path(partition), ignore_errors=True)

    def partitions(self) -> list[int]:
        """Slices that are open."""
        return sorted(self._slices)

    def size(self) -> tuple[int, int]:
        """(keys, bytes) over all open slices, by estimates: a key written again may count twice for a while."""
        sizes = [part.size() for part in self._slices.values()]
        return sum(keys for keys, _ in sizes), sum(size for _, size in sizes)

    def close(self) -> None:
        """Close everything."""
        for partition in self.partitions():
            self.release(partition)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    # -- opening

    def _path(self, partition: int) -> Path:
        return self._folder / str(partition)

    def _slice(self, partition: int) -> Slice:
        part = self._slices.get(partition)
        if part is None:
            part = self._slices[partition] = self._open(partition)
        return part

    def _open(self, partition: int) -> Slice:
        self.claim()
        path = self._path(partition)
        try:
            part, why = self._kept(path)
        except Exception as error:
            if not is_damage(error):
                raise StoreFailed(path, error) from error
            part, why = None, str(error)
        if part is None or why is not None:
            log.warning("%s is deleted and its table is read from the start of its changelog: %s", path, why)
            if part is not None:
                part.close()
            shutil.rmtree(path)
            part = Slice(path, self._database(path), self._clock)
        return part

    def _kept(self, path: Path) -> tuple[Slice | None, str | None]:
        if (path / DAMAGED).exists():
            return None, "damage was found in it"
        part = Slice(path, self._database(path), self._clock)
        try:
            return part, part.read_mark()
        except Exception:
            part.close()
            raise

    def _database(self, path: Path) -> Rdict:
        return Rdict(str(path), self._memory.options())
