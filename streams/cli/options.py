"""Options that many commands share."""

from __future__ import annotations

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
    """The settings in force for a command. Raises ConfigInvalid, for ``brokers`` too."""
    from streams.settings import ConfigInvalid, Problem, load_settings
    from streams.settings.kafka import Kafka

    settings = load_settings(config)
    if brokers is None:
        return settings
    try:
        kafka = Kafka(brokers=brokers, security=settings.kafka.security)
    except ValueError:
        raise ConfigInvalid([Problem("--brokers", repr(brokers), "must be host:port")]) from None
    return settings.model_copy(update={"kafka": kafka})
