"""The command line, ``headwater``. Commands are imported when they are asked for."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from streams.cli import exits

NAMES = (
    "demo", "worker", "broker", "topics", "send", "score", "tail", "explain", "audit", "diff", "identity",
    "dead-letters", "config", "channels",
)  # fmt: skip
"""Every command, in the order of the help. ``streams/cli/<name>.py`` holds an ``app`` with sub-commands, or a
function of that name and its ``EXAMPLES``."""


def _module(name: str) -> str:
    return f"streams.cli.{name.replace('-', '_')}"


class Commands(TyperGroup):
    """The root: looks its commands up by name and decides how each of them may end."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Names of the commands."""
        return list(NAMES)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command, or None when there is none of that name."""
        if cmd_name not in NAMES:
            return None
        module = import_module(_module(cmd_name))
        app = getattr(module, "app", None)
        if app is None:
            app = typer.Typer(rich_markup_mode="rich", add_completion=False)
            app.command(cmd_name, epilog=module.EXAMPLES)(getattr(module, cmd_name.replace("-", "_")))
        command = typer.main.get_command(app)
        command.name = cmd_name
        return command

    def invoke(self, ctx: Any) -> Any:
        """Run the command under the exit-code policy."""
        with exits.policy():
            return super().invoke(ctx)


app = typer.Typer(
    cls=Commands,
    name="headwater",
    no_args_is_help=True,
    rich_markup_mode="rich",
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"headwater {_version()}")
        raise typer.Exit


def _version() -> str:
    try:
        return version("headwater")
    except PackageNotFoundError:  # run from a checkout that was never installed
        return "unknown"


@app.callback(
    epilog="Exit codes: 0 ok, 1 failure, 2 usage, 3 validation problems, 4 broker unreachable. "
    f"{exits.DEBUG_VARIABLE}=1 shows tracebacks."
)
def headwater(
    show_version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Live multi-touch attribution, win probability and account temperature for B2B revenue, on Kafka."""


def main() -> None:
    """Entry point of the ``headwater`` command."""
    app(prog_name="headwater")


if __name__ == "__main__":
    main()
