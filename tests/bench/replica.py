"""Memory and time per entry of the map that holds a copy of the identity table.

    python -m tests.bench.replica [--entries N] [--key BYTES] [--value BYTES]

Bytes are of the process's resident memory (Linux), times of its CPU, less those of the loop around it.
"""

from __future__ import annotations

import argparse
import gc
import os
from collections.abc import Callable, Iterable
from itertools import repeat
from pathlib import Path
from random import Random
from time import perf_counter, process_time

from streams.replica import CompactMap

SAMPLE = 300_000
SEED = 7


def resident() -> int:
    """Bytes of this process in memory."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def key_of(number: int, width: int) -> bytes:
    """A visitor's key in the table, so many bytes long."""
    return b"k:a:%0*d" % (width - 4, number)


def each_us(act: Callable[[bytes, bytes], object], keys: Iterable[bytes], values: Iterable[bytes]) -> float:
    """Microseconds of CPU for a call."""
    calls, began = 0, process_time()
    for key, value in zip(keys, values, strict=False):
        act(key, value)
        calls += 1
    return (process_time() - began) / calls * 1e6


def longest_ms(found: CompactMap, keys: Iterable[bytes], value: bytes) -> float:
    """The longest of so many calls of ``put``, in milliseconds of the wall clock."""
    longest = 0.0
    for key in keys:
        began = perf_counter()
        found.put(key, value)
        longest = max(longest, perf_counter() - began)
    return longest * 1000


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description="Memory and time per entry of a replica.")
    parser.add_argument("--entries", type=int, default=1_000_000)
    parser.add_argument("--key", type=int, default=24)
    parser.add_argument("--value", type=int, default=40)
    asked = parser.parse_args()
    count, width, value, chance = asked.entries, asked.key, bytes(asked.value), Random(SEED)
    gc.disable()
    begin, found = resident(), CompactMap()
    half = count // 2
    put = each_us(found.put, (key_of(n, width) for n in range(half)), repeat(value))
    longest = longest_ms(found, (key_of(n, width) for n in range(half, count)), value)
    taken = resident() - begin
    around = each_us(lambda key, _: key, (key_of(n, width) for n in range(SAMPLE)), repeat(value))
    keys = [key_of(chance.randrange(count), width) for _ in range(SAMPLE)]
    others = [b"n" + key[1:] for key in keys]
    idle = each_us(lambda key, _: key, keys, repeat(value))
    get = each_us(lambda key, _: found.get(key), keys, repeat(value))
    miss = each_us(lambda key, _: found.get(key), others, repeat(value))
    same = each_us(found.put, keys, repeat(value))
    longer = each_us(found.put, keys, repeat(value + b"more"))
    print(f"{count:,} entries, keys of {width} and values of {len(value)} bytes:")
    print(f"  bytes per entry, resident    {taken / count:8.1f}  ({taken / 2**20:,.0f} MiB)")
    print(
        f"  bytes per entry, as counted  {found.size_bytes() / count:8.1f}  (after replacing some by longer ones)"
    )
    print(f"  put, new                     {put - around:8.2f} us  (the longest {longest:.1f} ms)")
    print(f"  put, same length             {same:8.2f} us")
    print(f"  put, longer                  {longer:8.2f} us")
    print(f"  get                          {get - idle:8.2f} us")
    print(f"  get, not there               {miss - idle:8.2f} us")


if __name__ == "__main__":
    main()
