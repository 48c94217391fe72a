"""Settings: one YAML file and environment variables, checked at start with every problem listed."""

from streams.settings.derived import (
    attribution_tables,
    config_version,
    context,
    core_config,
    engine_settings,
    file_format,
    graph_config,
    sources,
    topic_declarations,
    warnings,
)
from streams.settings.load import CONFIG_VARIABLE, ConfigInvalid, Problem, load_settings
from streams.settings.model import Settings

__all__ = [
    "CONFIG_VARIABLE",
    "ConfigInvalid",
    "Problem",
    "Settings",
    "attribution_tables",
    "config_version",
    "context",
    "core_config",
    "engine_settings",
    "file_format",
    "graph_config",
    "load_settings",
    "sources",
    "topic_declarations",
    "warnings",
]
