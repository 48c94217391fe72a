"""What a worker makes sure of on the cluster before any work: that what it is going to write can be, and counts."""

from __future__ import annotations

from collections.abc import Iterable

from streams.generation import check_generation
from streams.kafka_client import client_options
from streams.settings import Settings, engine_settings, topic_declarations
from streams.topics import MESSAGE_BYTES, Problem, check_topics
from streams.topology import SOURCES


class LimitTooLow(Exception):
    """A topic refuses what a worker writes all the time."""


async def start_checks(settings: Settings) -> list[str]:
    """Compare the cluster with what the worker needs; returns warnings.

    Raises LimitTooLow, ``streams.generation.GenerationRefused``, or BrokerUnreachable.
    """
    problems = await check_topics(
        settings.kafka.brokers,
        topic_declarations(settings),
        prefix=settings.topic_prefix,
        client=client_options(settings.kafka),
    )
    read = {settings.topic(name) for kind in SOURCES for name in settings.source_names()[kind]}
    warnings = message_limits(
        (problem for problem in problems if problem.topic not in read), engine_settings(settings).batch_bytes
    )
    await check_generation(settings)
    return warnings


def message_limits(problems: Iterable[Problem], batch_bytes: int) -> list[str]:
    """What the size limits of topics that the worker writes will refuse, out of all that differs.

    Below ``batch_bytes``, the size of an ordinary record batch, nothing works: raises LimitTooLow. Above, only single
    large records do not, such as a large account or the dead letter of a large message: a warning each.
    """
    low = [problem for problem in problems if problem.what == MESSAGE_BYTES]
    refused = [each for each in low if not each.found.isdigit() or int(each.found) < batch_bytes]
    if refused:
        raise LimitTooLow(
            "\n".join(
                f"{_said(each)}, and record batches of up to {batch_bytes} are written; {_fix(each)}"
                for each in refused
            )
        )
    return [
        f"{_said(each)}: a larger record, such as a large account or the dead letter of a large message, would end "
        f"the worker; {_fix(each)}"
        for each in low
    ]


def _said(problem: Problem) -> str:
    return f"topic {problem.topic} takes messages of up to {problem.found} bytes ({MESSAGE_BYTES})"


def _fix(problem: Problem) -> str:
    return f"raise it, {problem.expected}: {problem.fix}"
