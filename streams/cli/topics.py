"""``headwater topics``: make the topics, compare a live cluster with the declaration, list what is there."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from streams.cli import exits
from streams.cli.options import BrokersOption, ConfigOption, JsonOption, settings_from
from streams.cli.output import print_json, print_table

if TYPE_CHECKING:
    from streams.settings import Settings
    from streams.topics import TopicDeclaration

app = typer.Typer(
    help="Topics on the cluster: create, check, list.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    add_completion=False,
)

PrefixOption = Annotated[
    str | None, typer.Option("--prefix", help="Goes before every name; beats topic_prefix.")
]
PartitionsOption = Annotated[
    int | None, typer.Option("--partitions", min=1, max=1_024, help="Beats topics.partitions.")
]

CREATE_EXAMPLES = """
[bold]Examples[/bold]

headwater topics create --config headwater.yaml

headwater topics create --brokers broker:9092 --partitions 24 --replication-factor 3
"""
CHECK_EXAMPLES = """
[bold]Examples[/bold]

headwater topics check --config headwater.yaml

headwater topics check --brokers broker:9092 --json
"""
LIST_EXAMPLES = """
[bold]Examples[/bold]

headwater topics list

headwater topics list --prefix staging- --json
"""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a command works on."""

    brokers: str
    prefix: str
    partitions: int | None
    replication_factor: int | None
    client: dict[str, Any]
    declarations: list[TopicDeclaration]


@app.callback()
def topics() -> None:
    """Topics on the cluster: create, check, list."""


@app.command(epilog=CREATE_EXAMPLES)
def create(
    config: ConfigOption = None,
    brokers: BrokersOption = None,
    prefix: PrefixOption = None,
    partitions: PartitionsOption = None,
    replication_factor: Annotated[
        int | None, typer.Option(min=1, max=15, help="Beats topics.replication_factor.")
    ] = None,
    keep_for_ever: Annotated[
        bool, typer.Option("--keep-for-ever", help="Without an age limit, as the embedded broker needs it.")
    ] = False,
    json_output: JsonOption = False,
) -> None:
    """Create the topics that are missing, with the partitions and settings that are meant.

    Topics that exist are left as they are: [bold]topics check[/bold] says whether they fit.
    """
    from streams.topics import create_topics, kept_for_ever

    plan = _plan(config, brokers, prefix, partitions)
    declarations = kept_for_ever(plan.declarations) if keep_for_ever else plan.declarations
    made = asyncio.run(
        create_topics(
            plan.brokers,
            declarations,
            prefix=plan.prefix,
            partitions=plan.partitions,
            replication_factor=replication_factor or plan.replication_factor,
            client=plan.client,
        )
    )
    if json_output:
        print_json({"topics": [{"topic": name, "result": result} for name, result in made]})
    else:
        print_table(("topic", "result"), made)


@app.command(epilog=CHECK_EXAMPLES)
def check(
    config: ConfigOption = None,
    brokers: BrokersOption = None,
    prefix: PrefixOption = None,
    partitions: PartitionsOption = None,
    json_output: JsonOption = False,
) -> None:
    """Compare the cluster with the declaration; exit 3 on any difference, each with its fix.

    Partitions, cleanup policy, compaction lag, message size, and whether source topics keep records for the
    lookback. A partition count that neither --partitions nor the settings give is that of the journal.
    """
    from streams.topics import check_topics

    plan = _plan(config, brokers, prefix, partitions, only_given=True)
    problems = asyncio.run(
        check_topics(
            plan.brokers,
            plan.declarations,
            prefix=plan.prefix,
            partitions=plan.partitions,
            client=plan.client,
        )
    )
    if json_output:
        print_json({"ok": not problems, "problems": [problem._asdict() for problem in problems]})
    elif problems:
        print_table(("topic", "what", "expected", "found", "fix"), problems)
    else:
        typer.echo(f"All {len(plan.declarations)} topics are as declared.")
    if problems:
        raise typer.Exit(exits.INVALID)


@app.command("list", epilog=LIST_EXAMPLES)
def list_(
    config: ConfigOption = None,
    brokers: BrokersOption = None,
    prefix: PrefixOption = None,
    json_output: JsonOption = False,
) -> None:
    """List the cluster's topics that begin with the prefix; the last column says which are ours."""
    from streams.topics import list_topics

    plan = _plan(config, brokers, prefix, None)
    found = asyncio.run(list_topics(plan.brokers, prefix=plan.prefix, client=plan.client))
    ours = {plan.prefix + declaration.name for declaration in plan.declarations}
    if json_output:
        print_json({"topics": [{**topic._asdict(), "declared": topic.name in ours} for topic in found]})
        return
    rows = [(*topic, "yes" if topic.name in ours else "") for topic in found]
    print_table(("topic", "partitions", "copies", "declared"), rows, right=("partitions", "copies"))


def _plan(
    config: Path | None,
    brokers: str | None,
    prefix: str | None,
    partitions: int | None,
    *,
    only_given: bool = False,
) -> Plan:
    """Settings and options together. ``only_given`` leaves the partition count open when nobody gave one."""
    from streams.kafka_client import client_options
    from streams.settings import topic_declarations

    _check_prefix(prefix)
    settings: Settings = settings_from(config, brokers)
    section = settings.topics
    if partitions is None and not (only_given and "partitions" not in section.model_fields_set):
        partitions = section.partitions
    return Plan(
        settings.kafka.brokers,
        settings.topic_prefix if prefix is None else prefix,
        partitions,
        section.replication_factor,
        client_options(settings.kafka),
        topic_declarations(settings),
    )


def _check_prefix(prefix: str | None) -> None:
    from pydantic import TypeAdapter, ValidationError

    from streams.settings.values import TopicPrefix

    try:
        TypeAdapter(TopicPrefix).validate_python(prefix or "")
    except ValidationError:
        raise typer.BadParameter("at most 40 of A-Z a-z 0-9 . _ -", param_hint="--prefix") from None
