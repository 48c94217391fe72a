"""Options that many commands share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from streams.settings import Settings

ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", "-c", help="Settings file (YAML); HEADWATER_CONFIG names one too."),
]
BrokersOption = Annotated[
    str | None, typer.Option("--brokers", help="host:port, several separated by commas; beats kafka.brokers.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def settings_from(config: Path | None, brokers: str | None = None) -> Settings:
    """The settings in force for a command. Raises ConfigInvalid, or BadParameter for ``brokers``."""
    from streams.settings import load_settings
    from streams.settings.kafka import Kafka

    settings = load_settings(config)
    if brokers is None:
        return settings
    try:
        kafka = Kafka(brokers=brokers, security=settings.kafka.security)
    except ValueError:
        raise typer.BadParameter(
            "must be host:port, several separated by commas", param_hint="--brokers"
        ) from None
    return settings.model_copy(update={"kafka": kafka})


def check_input(form: str, topic: str | None) -> None:
    """Raises BadParameter when ``--format`` or ``--topic`` names nothing we know."""
    from schemas.formats import FORMATS
    from streams.topology import SOURCES

    if form not in FORMATS:
        raise typer.BadParameter(f"one of {', '.join(FORMATS)}", param_hint="--format")
    if topic is not None and topic not in SOURCES:
        raise typer.BadParameter(f"one of {', '.join(SOURCES)}", param_hint="--topic")


def check_readable(files: Sequence[str]) -> None:
    """Raises OSError for the first that cannot be read: before anything is written, or a broker is asked."""
    for file in files:
        if file != "-":
            Path(file).open("rb").close()
