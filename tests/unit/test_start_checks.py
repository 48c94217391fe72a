"""Size limits of topics: what a worker must not start with, and what it warns of."""

from __future__ import annotations

import pytest

from streams.start_checks import LimitTooLow, message_limits
from streams.topics import CLEANUP, MESSAGE_BYTES, Problem

MIB = 1 << 20


def problem(topic: str, found: str, what: str = MESSAGE_BYTES) -> Problem:
    return Problem(topic, what, f"at least {4 * MIB}", found, f"change {topic}")


def test_a_topic_that_refuses_an_ordinary_batch_is_refused_with_its_fix() -> None:
    with pytest.raises(LimitTooLow) as caught:
        message_limits([problem("journal", str(MIB - 1)), problem("partials", "not set")], MIB)
    first, second = str(caught.value).splitlines()
    assert first == (
        f"topic journal takes messages of up to {MIB - 1} bytes (max.message.bytes), and record batches of up to "
        f"{MIB} are written; raise it, at least {4 * MIB}: change journal"
    )
    assert second.startswith("topic partials takes messages of up to not set bytes")


def test_a_topic_that_refuses_only_large_records_is_a_warning() -> None:
    (warning,) = message_limits([problem("journal", str(MIB))], MIB)
    assert (
        warning.startswith(f"topic journal takes messages of up to {MIB} bytes")
        and "change journal" in warning
    )


def test_other_differences_are_not_looked_at() -> None:
    assert message_limits([problem("journal", "compact", CLEANUP)], MIB) == []
