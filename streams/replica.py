"""A mapping of bytes to bytes for tables of many small entries: a ``dict`` of them takes up to twice the memory.

An entry lies in an arena, as lengths, key and value, without an object of its own. It is found through a table of
slots with open addressing and linear probing: a slot holds 32 bits of the key's hash, and where the entry lies. There
are many such pieces, each with an arena and slots of its own, so that none takes more than milliseconds to grow or to
rid itself of what was replaced.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Callable
from struct import Struct

PIECES = 1_024
LEAST_SLOTS = 8
LOW = 0xFFFF_FFFF
HEAD = Struct("<II")
"""Lengths of key and value."""
SKIP = HEAD.size
lengths = HEAD.unpack_from
FIRST = 1
"""Where the first entry of an arena lies: a slot of 0 is a free one."""
LEAST_WASTE = 1_024
"""Bytes; less is not worth moving the rest."""


class _Piece:
    """The entries of which the hashes have some bits in common."""

    __slots__ = ("arena", "count", "mask", "slots", "waste")

    def __init__(self) -> None:
        self.arena = bytearray(FIRST)
        self.slots = array("Q", bytes(8 * LEAST_SLOTS))
        """(32 bits of the hash) << 32 | (place in the arena)."""
        self.mask = LEAST_SLOTS - 1
        self.count = 0
        self.waste = 0
        """Bytes of entries that were replaced or removed."""

    def find(self, key: bytes, mark: int) -> int:
        """Index of the key's slot, or of the free one where it would be."""
        slots, mask, arena = self.slots, self.mask, self.arena
        at = mark & mask
        while slot := slots[at]:
            if slot >> 32 == mark:
                place = slot & LOW
                if lengths(arena, place)[0] == len(key) and arena.startswith(key, place + SKIP):
                    return at
            at = (at + 1) & mask
        return at

    def put(self, key: bytes, mark: int, value: bytes) -> bool:
        """Add or replace; whether it was added."""
        at = self.find(key, mark)
        slot = self.slots[at]
        if slot:
            place = slot & LOW
            _, length = lengths(self.arena, place)
            start = place + SKIP + len(key)
            if length == len(value):
                self.arena[start : start + length] = value
                return False
            self.waste += SKIP + len(key) + length
        arena = self.arena
        self.slots[at] = mark << 32 | len(arena)
        arena += HEAD.pack(len(key), len(value))
        arena += key
        arena += value
        if slot:
            self._tidy()
            return False
        self.count += 1
        if 3 * self.count > 2 * len(self.slots):
            self._grow()
        return True

    def remove(self, key: bytes, mark: int) -> bool:
        """Remove; whether it was there."""
        slots, mask = self.slots, self.mask
        hole = self.find(key, mark)
        if not slots[hole]:
            return False
        self.waste += SKIP + sum(lengths(self.arena, slots[hole] & LOW))
        self.count -= 1
        at = hole
        while slot := slots[(at := (at + 1) & mask)]:
            # What probing would no longer find behind a hole moves into it.
            if (at - (slot >> 32)) & mask >= (at - hole) & mask:
                slots[hole] = slot
                hole = at
        slots[hole] = 0
        self._tidy()
        return True

    def _grow(self) -> None:
        old, size = self.slots, 2 * len(self.slots)
        slots, mask = array("Q", bytes(8 * size)), size - 1
        for slot in old:
            if slot:
                at = (slot >> 32) & mask
                while slots[at]:
                    at = (at + 1) & mask
                slots[at] = slot
        self.slots, self.mask = slots, mask

    def _tidy(self) -> None:
        """Move what counts into a new arena when a quarter of the old one does not."""
        if self.waste < LEAST_WASTE or 4 * self.waste < len(self.arena):
            return
        old, slots, arena = self.arena, self.slots, bytearray(FIRST)
        for at, slot in enumerate(slots):
            if slot:
                place = slot & LOW
                key_length, value_length = lengths(old, place)
                slots[at] = (slot & ~LOW) | len(arena)
                arena += old[place : place + SKIP + key_length + value_length]
        self.arena, self.waste = arena, 0


class CompactMap:
    """A mapping of bytes to bytes that takes about 30 bytes for an entry beside its key and value.

    Keys and values are of less than 4 GiB, and so is the sum of those in one of its 1,024 pieces. ``spread`` gives 64
    bits of a hash; equal ones cost time only. The default is Python's, which nobody outside this process can foresee.
    """

    def __init__(self, spread: Callable[[bytes], int] = hash) -> None:
        self._spread = spread
        self._pieces = [_Piece() for _ in range(PIECES)]
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def get(self, key: bytes) -> bytes | None:
        """The value, or None."""
        spread = self._spread(key)
        piece, mark = self._pieces[spread % PIECES], spread >> 32 & LOW
        slots, mask, arena = piece.slots, piece.mask, piece.arena
        at = mark & mask
        while slot := slots[at]:  # as ``find``; a call less counts here
            if slot >> 32 == mark:
                place = slot & LOW
                key_length, value_length = lengths(arena, place)
                if key_length == len(key) and arena.startswith(key, place + SKIP):
                    start = place + SKIP + key_length
                    return bytes(arena[start : start + value_length])
            at = (at + 1) & mask
        return None

    def put(self, key: bytes, value: bytes) -> None:
        """Add or replace."""
        spread = self._spread(key)
        if self._pieces[spread % PIECES].put(key, spread >> 32 & LOW, value):
            self._count += 1

    def remove(self, key: bytes) -> None:
        """Remove, if it is there."""
        spread = self._spread(key)
        if self._pieces[spread % PIECES].remove(key, spread >> 32 & LOW):
            self._count -= 1

    def size_bytes(self) -> int:
        """Bytes of memory that it takes."""
        return sum(
            sys.getsizeof(piece) + sys.getsizeof(piece.arena) + sys.getsizeof(piece.slots)
            for piece in self._pieces
        )
