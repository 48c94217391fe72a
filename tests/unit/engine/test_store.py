from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from rocksdict import Options, Rdict

from streams.engine import EngineSettings
from streams.engine.errors import StoreFailed, StoreLocked
from streams.engine.rocks import RocksMemory, RocksStore
from streams.engine.rocks_slice import KEEPS_MS, MARK
from streams.engine.store import MemoryStore, SliceStore, Write, store_maker

MEMORY = RocksMemory(8 << 20, 4 << 20)
NOW_MS = 1_700_000_000_000


def rocks(folder: Path, now_ms: int = NOW_MS) -> RocksStore:
    return RocksStore(folder / "t", lambda: now_ms, MEMORY)


def write(store: SliceStore, position: int | None, *writes: Write) -> None:
    applied = list(writes)
    store.apply(0, applied)
    store.confirm(0, applied, position)


def filled(folder: Path, keys: int = 3) -> Path:
    """A closed slice at position 5; returns its folder."""
    store = rocks(folder)
    write(store, 5, *[(b"%05d" % n, os.urandom(100)) for n in range(keys)])
    store.close()
    return folder / "t" / "0"


def kept(folder: Path, now_ms: int = NOW_MS) -> tuple[int | None, int]:
    """Position and keys of the slice when it is opened again."""
    store = rocks(folder, now_ms)
    try:
        return store.position(0), len(list(store.view(0).items()))
    finally:
        store.close()


def test_a_memory_store_counts_keys_and_bytes_exactly() -> None:
    store = MemoryStore()
    store.apply(0, [(b"a", b"22"), (b"b", b"333"), (b"a", b"1"), (b"c", b"1"), (b"c", None)])
    assert store.size() == (2, 1 + 1 + 1 + 3)


@pytest.mark.parametrize(("kind", "expected"), [("memory", MemoryStore), ("rocksdb", RocksStore)])
def test_the_settings_choose_the_store(tmp_path: Path, kind: str, expected: type[object]) -> None:
    conf = EngineSettings(app_id="a", brokers="b:1", data_dir=str(tmp_path), store=kind)  # type: ignore[arg-type]
    store = store_maker(conf, lambda: NOW_MS)("a-t-changelog")
    assert isinstance(store, expected)
    write(store, 0, (b"k", b"v"))
    assert (tmp_path / "tables" / "a-t-changelog" / "0").exists() == (kind == "rocksdb")
    store.close()


@pytest.mark.parametrize(
    ("later_ms", "trusted"), [(KEEPS_MS, True), (KEEPS_MS + 1, False), (-KEEPS_MS - 1, False)]
)
def test_a_copy_is_trusted_for_half_the_life_of_a_tombstone(
    tmp_path: Path, later_ms: int, trusted: bool
) -> None:
    filled(tmp_path)
    assert kept(tmp_path, NOW_MS + later_ms) == ((5, 3) if trusted else (None, 0))


def test_writes_that_do_not_move_the_position_do_not_make_a_copy_younger(tmp_path: Path) -> None:
    filled(tmp_path)
    store = rocks(tmp_path, NOW_MS + KEEPS_MS)
    write(store, 5, (b"more", b""))
    store.close()
    assert kept(tmp_path, NOW_MS + KEEPS_MS + 1) == (None, 0)


def other_format(path: Path) -> None:
    db = Rdict(str(path), Options(raw_mode=True))
    mark = bytes(db[MARK] or b"")
    db[MARK] = bytes([mark[0] + 1]) + mark[1:]
    db.close()


def no_mark(path: Path) -> None:
    db = Rdict(str(path), Options(raw_mode=True))
    del db[MARK]
    db.close()


def no_manifest(path: Path) -> None:
    (path / "CURRENT").write_text("x")


def lost_file(path: Path) -> None:
    db = Rdict(str(path), Options(raw_mode=True))
    db.flush()
    db.close()
    for file in path.glob("*.sst"):
        file.unlink()


@pytest.mark.parametrize("harm", [other_format, no_mark, no_manifest, lost_file])
def test_a_copy_that_cannot_be_trusted_is_begun_anew(tmp_path: Path, harm: Callable[[Path], None]) -> None:
    harm(filled(tmp_path))
    assert kept(tmp_path) == (None, 0)
    filled(tmp_path)
    assert kept(tmp_path) == (5, 3)


@pytest.mark.parametrize("walk", [True, False])
def test_damage_found_while_reading_ends_the_worker_and_the_next_one_begins_anew(
    tmp_path: Path, walk: bool
) -> None:
    path = filled(tmp_path, 20_000)
    db = Rdict(str(path), Options(raw_mode=True))
    db.flush()
    db.close()
    (file,) = path.glob("*.sst")
    with file.open("r+b") as content:
        content.seek(file.stat().st_size // 2)
        content.write(b"z" * 50_000)
    store = rocks(tmp_path)
    view = store.view(0)
    with pytest.raises(StoreFailed, match="Corruption"):
        if walk:
            list(view.items())
        else:
            for n in range(20_000):
                view.get(b"%05d" % n)
    store.close()
    assert kept(tmp_path) == (None, 0)


def test_a_folder_in_use_by_another_process_is_refused_with_a_clear_word(tmp_path: Path) -> None:
    filled(tmp_path)
    holds = (
        "import sys\nfrom pathlib import Path\nfrom streams.engine.rocks import RocksMemory, RocksStore\n"
        f"store = RocksStore(Path({str(tmp_path / 't')!r}), lambda: 0, RocksMemory())\n"
        "store.position(1)\nprint('open', flush=True)\nsys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", holds], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "open\n"
        with pytest.raises(StoreLocked, match=r"data_dir of its own"):
            rocks(tmp_path).position(0)
        other.kill()
    assert kept(tmp_path) == (5, 3)
