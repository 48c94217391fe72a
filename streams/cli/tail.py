"""``headwater tail``: what is on a topic."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

import typer

from streams.cli.options import BrokersOption, ConfigOption, JsonOption, settings_from
from streams.cli.output import console, print_json_line, quiet_clients

if TYPE_CHECKING:
    from collections.abc import Callable

    from streams.reading import Received
    from streams.settings import Settings

EXAMPLES = """
[bold]Examples[/bold]

headwater tail attribution-credits

headwater tail account-alerts --follow

headwater tail pipeline-probabilities --from-beginning --json -n 100
"""
LAST = 10


def tail(
    topic: Annotated[str, typer.Argument(help="Name without topic_prefix.")],
    count: Annotated[
        int | None,
        typer.Option("-n", "--lines", min=0, help="How many messages; 10 unless --from-beginning."),
    ] = None,
    from_beginning: Annotated[
        bool, typer.Option("--from-beginning", help="The first messages instead of the last.")
    ] = False,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on with what comes, until Ctrl-C.")
    ] = False,
    config: ConfigOption = None,
    brokers: BrokersOption = None,
    json_output: JsonOption = False,
) -> None:
    """Print messages of a topic: when, where, key and value.

    The last messages, by time over all partitions, or all of them [bold]--from-beginning[/bold]. Reading changes
    nothing: no consumer group is joined.
    """
    settings = settings_from(config, brokers)
    quiet_clients()
    show = _show_json if json_output else _pretty()
    try:
        asyncio.run(_tail(settings, topic, count, from_beginning, follow, show))
    except KeyboardInterrupt:
        if not follow:
            raise


async def _tail(
    settings: Settings, topic: str, count: int | None, from_beginning: bool, follow: bool,
    show: Callable[[Received], None],
) -> None:  # fmt: skip
    from streams.kafka_client import client_options
    from streams.reading import in_order, open_topic

    shown = 0
    name = settings.topic(topic.removeprefix(settings.topic_prefix))
    async with open_topic(settings.kafka.brokers, name, client_options(settings.kafka)) as reader:
        if from_beginning:
            async for received in reader.existing():
                if count is not None and shown >= count:
                    return
                show(received)
                shown += 1
        else:
            wanted = LAST if count is None else count
            found = [received async for received in reader.existing(last=wanted)]
            for received in sorted(found, key=in_order)[max(0, len(found) - wanted) :]:
                show(received)
        if follow:
            async for received in reader.coming():
                show(received)


def _show_json(received: Received) -> None:
    from streams.reading import readable

    print_json_line(
        {
            "topic": received.topic, "partition": received.partition, "offset": received.offset,
            "timestamp_ms": received.timestamp_ms, "key": _text(received.key), "value": readable(received.value),
            "headers": {name: value.decode("utf-8", "replace") for name, value in received.headers},
        }
    )  # fmt: skip


def _pretty() -> Callable[[Received], None]:
    from rich.json import JSON
    from rich.text import Text

    from streams.reading import readable

    out = console()

    def show(received: Received) -> None:
        place = f"{_instant(received.timestamp_ms)}  {received.partition}:{received.offset}"
        out.print(
            Text.assemble((place, "dim"), "  ", (_text(received.key) or "(no key)", "bold")), soft_wrap=True
        )
        value: Any = readable(received.value)
        if value is None:
            out.print(Text("  (tombstone)", style="dim"))
        elif isinstance(value, dict | list):
            out.print(JSON.from_data(value), soft_wrap=True)
        else:
            out.print(Text(f"  {value}"), soft_wrap=True)

    return show


def _text(key: bytes | None) -> str | None:
    return None if key is None else key.decode("utf-8", "replace")


def _instant(at_ms: int) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
