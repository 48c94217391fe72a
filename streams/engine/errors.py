"""What the engine refuses or gives up on; the text says what to do."""

from __future__ import annotations


class EngineError(Exception):
    """Base of the errors the engine raises itself."""


class InvalidSettings(EngineError):
    """Settings that cannot work; the text lists every problem found."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("invalid engine settings: " + "; ".join(problems))


class TopicsMissing(EngineError):
    """Topics that must exist do not, or have the wrong number of partitions."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("topics are not as they must be: " + "; ".join(problems))


class UnknownTopic(EngineError):
    """A handler wrote to a topic whose partition count is not known."""

    def __init__(self, topic: str) -> None:
        self.topic = topic
        super().__init__(
            f"cannot write to {topic!r}: the topic does not exist; create it before the worker starts"
        )


class RecordTooLarge(EngineError):
    """A record above the producer's largest request, or above what its topic accepts."""

    def __init__(self, topic: str, key: bytes | None, size: int, limit: int) -> None:
        self.topic, self.key, self.size, self.limit = topic, key, size, limit
        super().__init__(f"record for {topic!r} with key {key!r} takes {size} bytes, the limit is {limit}")


class BatchRefused(EngineError):
    """The broker takes no record batch of this size for a topic."""

    def __init__(self, topic: str, size: int) -> None:
        self.topic, self.size = topic, size
        super().__init__(
            f"the broker refuses a record batch of {size} bytes for {topic!r}: raise max.message.bytes of the topic "
            "(message.max.bytes of the broker); `headwater topics check` says what it must be. Nothing that depends "
            "on this batch was committed: it is written when the worker is started again"
        )


class NoAssignment(EngineError):
    """The group did not give this worker an assignment in time. ``known`` says what was found out about it."""

    def __init__(self, group: str, seconds: float, known: str) -> None:
        super().__init__(f"no assignment from the consumer group {group!r} for {seconds:.0f} s: {known}")


class NotCommitted(EngineError):
    """What was handled long ago is still not committed, and the brokers are not silent."""

    def __init__(self, seconds: float, topic: str, partition: int, batch_s: float) -> None:
        waits = f"a batch has waited {batch_s:.0f} s for its acknowledgement"
        super().__init__(
            f"what was read from {topic}/{partition} could not be committed for {seconds:.0f} s although brokers "
            f"answer; {waits if batch_s else 'every batch is acknowledged'}. Nothing is lost: started again "
            "it goes on from the last commit"
        )


class StoreLocked(EngineError):
    """Another process has the table's folder."""

    def __init__(self, folder: object) -> None:
        super().__init__(
            f"{folder} is in use by another process: every worker needs a worker.data_dir of its own, and one that "
            "was started again must wait until the former process has ended"
        )


class StoreFailed(EngineError):
    """RocksDB could not do something."""

    def __init__(self, folder: object, error: Exception) -> None:
        super().__init__(f"the table in {folder} cannot be used: {error}")
