"""``headwater dead-letters``: what was refused, and why."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streams.cli.options import BrokersOption, ConfigOption, JsonOption, settings_from
from streams.cli.output import print_json, print_table, quiet_clients

if TYPE_CHECKING:
    from streams.letters import Group, Letter
    from streams.settings import Settings

app = typer.Typer(
    help="Messages that were refused: why, and which.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    add_completion=False,
)

LIST_EXAMPLES = """
[bold]Examples[/bold]

headwater dead-letters list

headwater dead-letters list --code unknown_stage

headwater dead-letters list --file scored/dead-letters.ndjson --json
"""
SHOWN = 120


@app.callback()
def dead_letters() -> None:
    """Messages that were refused: why, and which."""


@app.command("list", epilog=LIST_EXAMPLES)
def list_(
    code: Annotated[str | None, typer.Option(help="Only this code, letter by letter.")] = None,
    file: Annotated[
        Path | None,
        typer.Option(help="Read a dead-letters.ndjson instead of the topic."),
    ] = None,
    config: ConfigOption = None,
    brokers: BrokersOption = None,
    json_output: JsonOption = False,
) -> None:
    """Count dead letters by code, with the last one of each; with --code show them one by one."""
    from streams.letters import from_file, groups

    quiet_clients()
    letters = from_file(file) if file is not None else asyncio.run(_read(settings_from(config, brokers)))
    if code is not None:
        letters = [letter for letter in letters if letter.code == code]
    grouped = groups(letters)
    if json_output:
        answer: dict[str, object] = {"total": len(letters), "codes": [_group(each) for each in grouped]}
        if code is not None:
            answer["letters"] = [letter._asdict() for letter in letters]
        print_json(answer)
    elif not letters:
        typer.echo("No dead letters." if code is None else f"No dead letters with code {code}.")
    elif code is not None:
        rows = [(each.source, each.path, each.message, _short(each.value)) for each in letters]
        print_table(("where", "field", "why", "value"), rows)
    else:
        summary = [(g.code, g.count, _counts(g.topics), g.example.message, g.example.source) for g in grouped]
        print_table(("code", "count", "topics", "last", "where"), summary, right=("count",))


async def _read(settings: Settings) -> list[Letter]:
    from streams.kafka_client import client_options
    from streams.letters import from_record
    from streams.reading import in_order, open_topic
    from streams.topology import DEAD_LETTERS

    client = client_options(settings.kafka)
    async with open_topic(settings.kafka.brokers, settings.topic(DEAD_LETTERS), client) as reader:
        records = [record async for record in reader.existing()]
    return [from_record(record) for record in sorted(records, key=in_order)]


def _group(group: Group) -> dict[str, object]:
    return {
        "code": group.code,
        "count": group.count,
        "topics": group.topics,
        "example": group.example._asdict(),
    }


def _counts(topics: dict[str, int]) -> str:
    return ", ".join(f"{topic or '-'} {count}" for topic, count in sorted(topics.items()))


def _short(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 1]}…"
