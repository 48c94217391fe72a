"""Where CPython and aiokafka 0.14.0 spend time without need, each step in one function.

``tests/unit/engine/test_aiokafka_contract.py`` pins what is used of aiokafka.
"""

from __future__ import annotations

import gc
from typing import Any

from aiokafka.consumer import fetcher

GC_THRESHOLD = (50_000, 50, 1_000)


def _raw(tp: Any, record: Any) -> Any:
    return record


def use_raw_records() -> None:
    """Hand out aiokafka's own records instead of building a ``ConsumerRecord`` of eleven fields from each.

    They have ``offset``, ``timestamp``, ``key``, ``value`` and ``headers``, which is all a handler sees. It applies
    to every consumer of the process.
    """
    fetcher.PartitionRecords._consumer_record = staticmethod(_raw)


def tune_interpreter() -> None:
    """For a process that runs one worker: the collector, which has to walk all live state, runs seventy times less
    often than at the default of 700 allocations.
    """
    gc.set_threshold(*GC_THRESHOLD)
