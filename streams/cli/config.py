"""``headwater config``: whether the settings are right, and what is in force."""

from __future__ import annotations

from typing import Annotated

import typer

from streams.cli import exits
from streams.cli.options import ConfigOption, JsonOption
from streams.cli.output import print_json

app = typer.Typer(
    help="Settings: check them, show what is in force.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    add_completion=False,
)

CHECK_EXAMPLES = """
[bold]Examples[/bold]

headwater config check --config headwater.yaml

HEADWATER_KAFKA__BROKERS=broker:9092 headwater config check --json
"""
SHOW_EXAMPLES = """
[bold]Examples[/bold]

headwater config show > headwater.yaml

headwater config show --config headwater.yaml --json
"""
SCHEMA_EXAMPLES = """
[bold]Examples[/bold]

headwater config schema > headwater.schema.json
"""


@app.callback()
def config() -> None:
    """Settings: check them, show what is in force."""


@app.command(epilog=CHECK_EXAMPLES)
def check(config: ConfigOption = None, json_output: JsonOption = False) -> None:
    """Say everything that is wrong with the settings; exit 3 if anything is.

    Warnings name what works but should not stay so in production.
    """
    from streams.settings import ConfigInvalid, config_version, load_settings, warnings

    try:
        settings = load_settings(config)
    except ConfigInvalid as error:
        if not json_output:
            raise
        print_json({"ok": False, "problems": [each._asdict() for each in error.problems], "warnings": []})
        raise typer.Exit(exits.INVALID) from None
    found, version = warnings(settings), config_version(settings)
    if json_output:
        print_json({"ok": True, "problems": [], "warnings": found, "config_version": version})
        return
    for warning in found:
        typer.echo(f"Warning: {warning}", err=True)
    typer.echo(f"The settings are fine (version {version}).")


@app.command(epilog=SHOW_EXAMPLES)
def show(config: ConfigOption = None, json_output: JsonOption = False) -> None:
    """Print the settings in force: defaults, file and environment together, secrets as stars."""
    from streams.settings import load_settings

    effective = load_settings(config).effective()
    if json_output:
        print_json(effective)
        return
    import yaml

    typer.echo(yaml.safe_dump(effective, sort_keys=False, allow_unicode=True), nl=False)


@app.command(epilog=SCHEMA_EXAMPLES)
def schema(
    json_output: Annotated[bool, typer.Option("--json", help="It is JSON anyway.", hidden=True)] = False,
) -> None:
    """Print the JSON Schema of the settings file, for editors."""
    from streams.settings import Settings

    document = Settings.model_json_schema()
    print_json({"$schema": "https://json-schema.org/draft/2020-12/schema", **document})
