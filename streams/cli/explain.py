"""``headwater explain``: where the numbers of one account or deal come from."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streams.cli.options import (
    BrokersOption,
    ConfigOption,
    JsonOption,
    check_input,
    check_readable,
    settings_from,
)
from streams.cli.output import print_json, progress

if TYPE_CHECKING:
    from revenue_core.config import CoreConfig
    from streams.explain_subject import Answer, Subject
    from streams.files import Line
    from streams.settings import Settings

app = typer.Typer(
    help="Where the numbers of one account or deal come from.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    add_completion=False,
)

FromOption = Annotated[
    list[str] | None,
    typer.Option("--from", help="Compute from this file, as score reads it, not from a cluster; repeatable."),
]
FormatOption = Annotated[str, typer.Option("--format", help="Input format of the files.")]
TopicOption = Annotated[
    str | None, typer.Option("--topic", help="touchpoints, leads or deals, for files that do not say.")
]
ModelOption = Annotated[
    list[str] | None, typer.Option("--model", help="Show this attribution model only; repeatable.")
]
VersionsOption = Annotated[
    bool, typer.Option("--versions/--no-versions", help="Read all credit rows for earlier versions.")
]
IdentityOption = Annotated[
    bool, typer.Option("--identity/--no-identity", help="Read all links for why facts belong where they are.")
]

LIVE = "Without --from the state and the rows of the live cluster are read; nothing is written and no group joined."
ACCOUNT_EXAMPLES = """
[bold]Examples[/bold]

headwater explain account acme --brokers broker:9092

headwater explain account acme --from touchpoints.ndjson --from deals.ndjson

headwater explain account domain:acme.com --model linear --model time_decay --json
"""
DEAL_EXAMPLES = """
[bold]Examples[/bold]

headwater explain deal D-1042 --config headwater.yaml

headwater explain deal D-1042 --from events.ndjson --model w_shaped
"""


@app.callback()
def explain() -> None:
    """Where the numbers of one account or deal come from."""


def _command(kind: str, summary: str, examples: str) -> None:
    """Add the command that explains a subject of a kind."""

    @app.command(kind, help=f"{summary}\n\n{LIVE}", epilog=examples)
    def command(
        id_: Annotated[str, typer.Argument(metavar="ID", help="As it stands in the rows.")],
        files: FromOption = None,
        config: ConfigOption = None,
        brokers: BrokersOption = None,
        form: FormatOption = "native",
        topic: TopicOption = None,
        model: ModelOption = None,
        with_versions: VersionsOption = True,
        with_identity: IdentityOption = True,
        json_output: JsonOption = False,
    ) -> None:
        settings, core = _settings(files, config, brokers, model)
        subject = _subject(kind, id_)
        answer = (
            _from_files(subject, settings, core, files, form, topic)
            if files
            else _from_cluster(
                subject, settings, core, with_versions=with_versions, with_identity=with_identity
            )
        )
        _print(answer, core, model, json_output)


_command(
    "account",
    "Explain an account: its touches and why they are its, deals, every model's arithmetic, versions, probabilities, "
    "alerts.",
    ACCOUNT_EXAMPLES,
)
_command(
    "deal",
    "Explain a deal: the touches on its paths, its conversions, versions, probability and alerts.",
    DEAL_EXAMPLES,
)


def _settings(
    files: list[str] | None, config: Path | None, brokers: str | None, model: list[str] | None
) -> tuple[Settings, CoreConfig]:
    from streams.settings import core_config

    if files and brokers is not None:
        raise typer.BadParameter("--from reads files and --brokers a cluster: give one of them")
    settings = settings_from(config, brokers)
    core = core_config(settings)
    _check_models(model, core)
    return settings, core


def _subject(kind: str, id_: str) -> Subject:
    from streams.explain_subject import Subject

    if not id_.strip():
        raise typer.BadParameter("is empty", param_hint="ID")
    return Subject(kind, id_.strip())


def _print(answer: Answer, config: CoreConfig, model: list[str] | None, json_output: bool) -> None:
    from streams.cli.explain_layout import show
    from streams.explain_subject import with_models

    if model:
        answer = with_models(answer, model)
    if json_output:
        print_json(answer.to_json())
    else:
        show(answer, config)


def _check_models(names: list[str] | None, config: CoreConfig) -> None:
    from revenue_core.attribution.models import model_names

    known = model_names(config)
    unknown = [name for name in names or [] if name not in known]
    if unknown:
        raise typer.BadParameter(
            f"no model {', '.join(unknown)}: use {', '.join(known)}", param_hint="--model"
        )


def _from_files(
    subject: Subject, settings: Settings, config: CoreConfig, files: list[str], form: str, topic: str | None
) -> Answer:
    from streams.clock import now_ms
    from streams.compose import offline_service
    from streams.explain_files import answer

    check_input(form, topic)
    check_readable(files)
    lines = _lines(files, form, topic, settings.topics.max_message_bytes)
    return answer(subject, offline_service(settings, now_ms(), form), lines, files, config)


def _lines(files: list[str], form: str, topic: str | None, max_bytes: int) -> Iterator[Line]:
    from streams.files import read_lines

    sizes = [Path(file).stat().st_size for file in files if file != "-"]
    with progress("reading", sum(sizes) if len(sizes) == len(files) else None) as advance:
        for file in files:
            for line in read_lines(file, kind=topic, form=form, max_bytes=max_bytes):
                yield line
                advance(len(line.raw) + 1)


def _from_cluster(
    subject: Subject, settings: Settings, config: CoreConfig, *, with_versions: bool, with_identity: bool
) -> Answer:
    from streams.explain_live import answer

    # the command says itself, once, what the client would log at every try
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    found = answer(
        subject, settings, config, progress, with_versions=with_versions, with_identity=with_identity
    )
    return asyncio.run(found)
