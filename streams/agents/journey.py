"""Journey: folds the journal into accounts and sends what follows from them.

Per journal partition there is one slice: the live form of accounts in use, the index of due timers and the
partial sums. State keys of the table, per partition:

``\\0M<metric>``  partial sums of one metric row with the journal offset they include
``\\0S``, ``\\0F``, ``\\0C``  chunks of an account's messages (``streams.chunks``)
``\\0E``          costs: the messages of one identity (``streams.agents.spending``)
``<root>``       an account's header (``streams.codec``), behind its chunks
``\\0P``          the partition: last applied offset, watermark, configuration version, and of the steps of
             time the watermark aimed at and how many were taken

A run writes them in that order. A torn write leaves a prefix, every record carries the offset applied to it, and
what happens when is decided by the journal alone, so a replay repeats what is missing (``docs/decisions.md``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from revenue_core.config import CoreConfig
from revenue_core.finished import Finished
from revenue_core.metric_rows import PUBLISHED
from streams.agents.journey_run import JourneyRun
from streams.agents.rows import RowWriter
from streams.agents.settling import finished
from streams.agents.slice import Slice, further, read_slice
from streams.effects import Effects, Run, TableView

MOST_OUTPUTS = 4_000


class JourneyHandler:
    """Handler of the journal.

    ``replay_window`` is how many records an earlier owner can have had in flight: within that many records past
    the last one known to be complete, answers are given fact by fact, so that every version an interrupted run
    may have sent is sent again or overtaken. ``settle_each`` does so always (``headwater score``).

    ``catch_up_ms``: a fact that was this old when the journal took it belongs to a backlog. Until the watermark has
    passed it, more of its account is to come from other topics, so it is answered only then. None: answered at once.

    ``live_touches`` is about how many touches of accounts in use a worker keeps decoded (about 1 kB each).

    ``most_outputs``: a run ends early once it has so many, and the rest of its records comes in the next. What is
    answered record by record may be a thousand rows a record: a whole run of it would outlast the session.
    """

    def __init__(
        self,
        config: CoreConfig,
        rows: RowWriter,
        *,
        replay_window: int,
        settle_each: bool = False,
        too_late_ms: int | None = None,
        channels: frozenset[str] = frozenset(),
        catch_up_ms: int | None = None,
        live_touches: int = 200_000,
        most_outputs: int = MOST_OUTPUTS,
    ) -> None:
        self.config, self.rows, self.replay_window, self.settle_each = (
            config,
            rows,
            replay_window,
            settle_each,
        )
        self.too_late_ms, self.channels = too_late_ms, channels
        self.catch_up_ms, self.live_touches = catch_up_ms, live_touches
        self.most_outputs = most_outputs
        self.slices: dict[int, Slice] = {}
        self.counts: Counter[tuple[str, ...]] = Counter()

    def assigned(self, partition: int, table: TableView) -> None:
        """Build the timer index and read the partial sums back."""
        self.slices[partition] = read_slice(table, self.config.config_version, self.replay_window)

    def revoked(self, partition: int) -> None:
        """Forget the partition."""
        self.slices.pop(partition, None)

    def interval(self, partition: int, now_ms: int, table: TableView) -> Effects | None:
        """Time is in the journal; the clock says nothing here."""
        return None

    def newer(self, key: bytes, old: bytes, new: bytes) -> bool:
        """Whether a record of the table takes the place of another: the one that includes more of the journal."""
        return further(key, old, new)

    def handle(self, run: Run, table: TableView) -> Effects:
        """Fold the run's records, then settle every account they touched."""
        job = JourneyRun(self, self.slices[run.partition], run, table)
        effects, taken, many = job.effects, 0, False
        while taken < len(run.records) and not many:
            job.take(run.records[taken])
            taken += 1
            many = len(effects.outputs) + len(effects.after) >= self.most_outputs
        return job.finish(taken)

    def finished(self, partition: int, table: TableView, as_of: int) -> Iterator[Finished]:
        """The journeys of a partition's accounts that have ended at an instant (ms); between runs."""
        return finished(self.slices[partition], table, self.config, as_of)

    def gauges(self) -> dict[tuple[str, ...], list[int]]:
        """Sums over the partitions of this worker that no row is made of."""
        total: dict[tuple[str, ...], list[int]] = {}
        for part in self.slices.values():
            for metric, (_, sums) in part.sums.items():
                if metric[0] in PUBLISHED:
                    continue
                known = total.get(metric)
                total[metric] = sums if known is None else [a + b for a, b in zip(known, sums, strict=True)]
        return total
