"""``headwater diff``: what differs between two outputs of ``score``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streams.cli import exits
from streams.cli.options import JsonOption
from streams.cli.output import print_json, print_table, progress

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from streams.diff import Difference
    from streams.diff_money import Deal, DealSide, Movement

EXAMPLES = """
[bold]Examples[/bold]

headwater score archive.ndjson --out as-is --final

headwater score archive.ndjson --out longer --final --config longer-half-life.yaml

headwater diff as-is longer --model time_decay

headwater diff as-is longer --json --limit 1000
"""
_NOTHING = "-"


def diff(
    a: Annotated[Path, typer.Argument(metavar="DIR", help="An output of score.")],
    b: Annotated[Path, typer.Argument(metavar="DIR", help="Another one.")],
    model: Annotated[
        list[str] | None, typer.Option("--model", help="This attribution model's money only; repeatable.")
    ] = None,
    limit: Annotated[
        int, typer.Option(min=1, help="Deals to show, and lines of the table of channels.")
    ] = 10,
    check: Annotated[bool, typer.Option("--check", help="Exit 3 when anything differs.")] = False,
    json_output: JsonOption = False,
) -> None:
    """Show what differs between two outputs of [bold]score[/bold]: A is the first, B the second.

    Usually one archive under two configurations: the won credit of each channel, the deals in which most moved
    between channels, and how many rows of each topic differ. Either output may be of --final. A difference is an
    answer and exits 0, with --check 3.
    """
    from streams.diff import compare

    found = compare(a, b, progress, only=model or (), limit=limit)
    if json_output:
        print_json({"a": str(a), "b": str(b), **found.to_json()})
    else:
        _show(found, a, b, limit)
    if check and not found.equal:
        raise typer.Exit(exits.INVALID)


def _show(found: Difference, a: Path, b: Path, limit: int) -> None:
    from streams.reference_data import currency_exponents

    exponents = currency_exponents()
    for name, folder, version in (("A", a, found.config_versions[0]), ("B", b, found.config_versions[1])):
        typer.echo(f"{name}: {folder}" + (f", configuration {version}" if version else ""))
    typer.echo("")
    counts = [(topic, c.equal, c.different, c.only_a, c.only_b) for topic, c in found.topics.items()]
    columns = ("rows of", "equal", "different", "only A", "only B")
    print_table(columns, counts, right=columns[1:])
    for name, models in (("A", found.models_only_in_a), ("B", found.models_only_in_b)):
        if models:
            typer.echo(f"\nModels of {name} only, not compared row by row: {', '.join(models)}")
    _show_channels(found, exponents, limit)
    _show_deals(found.deals, found.deals_different, exponents)
    if found.equal:
        typer.echo("\nNothing differs.")


def _show_channels(found: Difference, exponents: Mapping[str, int], limit: int) -> None:
    moved = [each for each in found.channels if each.difference_minor]
    if not moved:
        return
    moved.sort(key=lambda each: abs(each.difference_minor), reverse=True)
    typer.echo("\nWon credit by channel")
    columns = ("model", "channel", "A", "B", "B - A", "")
    print_table(columns, [_channel_row(each, exponents) for each in moved[:limit]], right=columns[2:5])
    if len(moved) > limit:
        typer.echo(f"and {len(moved) - limit:,} more: --limit shows more of them, --json all")


def _channel_row(each: Movement, exponents: Mapping[str, int]) -> Sequence[str]:
    return (
        each.model,
        each.channel,
        *(_number(minor, each.currency, exponents) for minor in (each.a_minor, each.b_minor)),
        _number(each.difference_minor, each.currency, exponents, signed=True),
        each.currency,
    )


def _show_deals(deals: Sequence[Deal], different: int, exponents: Mapping[str, int]) -> None:
    if not deals:
        return
    typer.echo(f"\nDeals that differ: {different:,}" + (", most moved first" if different > 1 else ""))
    rows = [
        (deal.deal_id, _side(deal.a, exponents), _side(deal.b, exponents), _largest(deal, exponents))
        for deal in deals
    ]
    print_table(("deal", "A", "B", "largest movement, B - A"), rows)
    if different > len(deals):
        typer.echo(f"and {different - len(deals):,} more: --limit shows more of them")


def _side(side: DealSide | None, exponents: Mapping[str, int]) -> str:
    if side is None:
        return _NOTHING
    amount = _number(side.amount_minor, side.currency, exponents)
    return f"{side.status or side.stage} {amount} {side.currency}"


def _largest(deal: Deal, exponents: Mapping[str, int]) -> str:
    if not deal.movements:
        return _NOTHING
    each = deal.movements[0]
    amount = _number(each.difference_minor, each.currency, exponents, signed=True)
    return f"{each.model}: {each.channel} {amount} {each.currency}"


def _number(minor: int | None, currency: str, exponents: Mapping[str, int], *, signed: bool = False) -> str:
    """Major units, exactly; ``signed`` writes the sign of what is above 0 too."""
    from revenue_core.explain_facts import number

    if minor is None:
        return _NOTHING
    return ("+" if signed and minor > 0 else "") + number(minor, currency, exponents)
