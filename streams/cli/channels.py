"""``headwater channels``: why a touch is in its channel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from streams.cli.options import ConfigOption, settings_from

if TYPE_CHECKING:
    from revenue_core.channel_explain import Step
    from revenue_core.channels import Classified

app = typer.Typer(
    help="Channel rules: see which one hits.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    add_completion=False,
)

_EXAMPLES = """
[bold]Examples[/bold]

headwater channels explain --url 'https://acme.com/?utm_source=google&utm_medium=cpc'

headwater channels explain --url https://acme.com/pricing --referrer https://chatgpt.com/

headwater channels explain --utm-source newsletter --utm-medium email --json

headwater channels explain --type email_reply
"""
_QUESTION = {
    "given": "channel given",
    "utm": "UTM tags",
    "click_id": "click id",
    "referrer": "referrer",
    "type": "touch type",
}


@app.callback()
def channels() -> None:
    """Channel rules: see which one hits."""


@app.command(epilog=_EXAMPLES)
def explain(
    url: Annotated[str, typer.Option(help="Address of the page that was visited.")] = "",
    referrer: Annotated[str, typer.Option(help="Address of the page the visitor came from.")] = "",
    utm_source: Annotated[str, typer.Option(help="Beats the one in --url, as do all UTM options.")] = "",
    utm_medium: Annotated[str, typer.Option()] = "",
    utm_campaign: Annotated[str, typer.Option()] = "",
    click_id: Annotated[str, typer.Option(help="Needs --click-id-type.")] = "",
    click_id_type: Annotated[str, typer.Option(help="The parameter it came in, for example gclid.")] = "",
    touch_type: Annotated[
        str, typer.Option("--type", help="Touch type, for example email_reply.")
    ] = "page_view",
    channel: Annotated[str, typer.Option(help="A channel given outright.")] = "",
    user_agent: Annotated[str, typer.Option(help="Also says whether it is a known bot's.")] = "",
    json_output: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    config: ConfigOption = None,
) -> None:
    """Show which evidence and which rule decide the channel of a touch.

    Evidence is asked in order: channel given, UTM tags, click id, referrer, touch type. The first that says
    something decides.
    """
    from revenue_core import channel_explain
    from revenue_core.channels import Evidence, classify
    from streams.reference_data import bot_matcher
    from streams.settings import attribution_tables

    if not any((url, referrer, utm_source, utm_medium, utm_campaign, click_id, channel, user_agent)) and (
        touch_type == "page_view"
    ):
        raise typer.BadParameter("give some evidence, for example --url or --referrer")
    if bool(click_id) != bool(click_id_type):
        raise typer.BadParameter("--click-id and --click-id-type go together")
    evidence = Evidence(
        channel=channel,
        type=touch_type,
        url=url,
        referrer=referrer,
        utm_source=utm_source,
        utm_medium=utm_medium,
        utm_campaign=utm_campaign,
        click_id=click_id,
        click_id_type=click_id_type,
    )
    tables = attribution_tables(settings_from(config))
    result = classify(evidence, tables)
    steps = channel_explain.explain(evidence, tables)
    bot = bot_matcher()(user_agent) if user_agent else None
    if json_output:
        typer.echo(_as_json(result, steps, bot))
    else:
        _print(result, steps, bot)


def _as_json(result: Classified, steps: tuple[Step, ...], bot: bool | None) -> str:
    """The classification, its steps and, when a user agent was given, ``bot``."""
    import orjson

    answer: dict[str, object] = {**result._asdict(), "steps": [step._asdict() for step in steps]}
    if bot is not None:
        answer["bot"] = bot
    return orjson.dumps(answer, option=orjson.OPT_INDENT_2).decode()


def _print(result: Classified, steps: tuple[Step, ...], bot: bool | None) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table("", "evidence", "says", "outcome")
    seen = False
    for step in steps:
        style = "bold" if step.decides else "dim" if seen else ""
        mark = "->" if step.decides else ""
        cells = (mark, _QUESTION[step.name], step.evidence or "-", step.outcome)
        table.add_row(*(Text(cell) for cell in cells), style=style)
        seen = seen or step.decides
    console = Console()
    console.print(table)
    console.print(Text(f"channel: {result.channel}", style="bold"))
    for name in ("source", "medium", "campaign", "keyword", "content"):
        if value := getattr(result, name):
            console.print(Text(f"{name}: {value}"))
    if bot is not None:
        console.print(
            Text("user agent: a known bot, the touch is counted and dropped" if bot else "user agent: no bot")
        )
