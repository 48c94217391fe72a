"""An explanation as tables that fit a terminal of 80 columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

from revenue_core.explain_facts import major, number
from streams.cli.explain_words import (
    LONGEST,
    TOLD,
    belonging_line,
    chain_text,
    count,
    details,
    earning_parts,
    in_terminal,
    path_text,
    reasons,
    when,
)
from streams.cli.output import console

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from revenue_core.attribution.workings import Working
    from revenue_core.config import CoreConfig
    from revenue_core.explain import ConversionView
    from revenue_core.explain_facts import DealView
    from streams.explain_subject import Answer
    from streams.explain_versions import Version

ROUNDING = (
    "Amounts are cut to whole minor units; a unit that is left goes to the largest remainder, and between equal "
    "ones to the earlier touch. Such parts are marked +."
)


def show(answer: Answer, config: CoreConfig) -> None:
    """Print an answer."""
    Layout(answer, config, console()).print()


class Layout:
    """One answer being printed."""

    def __init__(self, answer: Answer, config: CoreConfig, out: Console) -> None:
        self.answer, self.explanation, self.config, self.out = answer, answer.explanation, config, out
        self.numbers = {touch.touch_id: f"#{touch.number}" for touch in self.explanation.touches}

    def print(self) -> None:
        """Everything, section by section; empty sections say so."""
        self._head()
        self._touches()
        self._leads()
        self._identity()
        self._deals()
        self._conversions()
        self._versions()
        self._probabilities()
        self._alerts()
        self._temperature()

    # -- sections

    def _head(self) -> None:
        e = self.explanation
        title = f"deal {e.deal_id} of account {e.account_id}" if e.deal_id else f"account {e.account_id}"
        self._line(title, "bold")
        self._line(f"as of {when(e.as_of)} UTC, from {self.answer.source}")
        if e.gives_outputs:
            self._line(f"phase {e.phase or 'none'}, {e.temperature.phase}")
        else:
            self._line("gives no rows: a visitor nobody has claimed, or a lead without any account")
        for note in self.answer.notes:
            self._line(f"Note: {note}", "bold")

    def _touches(self) -> None:
        touches = self.explanation.touches
        self._section("Touches" + (" on its paths" if self.explanation.deal_id else ""), touches)
        table = self._table("#", "when (UTC)", "", "type", "channel", "decided by")
        for touch in touches[:LONGEST]:
            direction = "in" if touch.direction == "inbound" else "out"
            self._row(
                table, str(touch.number), when(touch.at), direction, touch.type, touch.channel, touch.rule
            )
            self._row(table, "", *[""] * 2, *details(touch), style="dim")
        self._print(table, len(touches))

    def _leads(self) -> None:
        if not self.explanation.leads:
            return
        self._section("Leads", True)
        table = self._table("lead", "level", "state", "why")
        for lead in self.explanation.leads:
            self._row(table, lead.lead_id, lead.level, "open" if lead.open else "closed", lead.reason)
        self._print(table)

    def _identity(self) -> None:
        """Of an account; a deal says it in one line."""
        groups = self.answer.identity
        if self.explanation.deal_id:
            return
        self._section("Why they belong here", groups)
        for group in groups[:LONGEST]:
            self._line(belonging_line(group))
            table = self._table(" ", "by", "when (UTC)", "event")
            table.show_header = False
            for link in group.steps:
                self._row(table, " ", link.phrase, when(link.at), link.event, style="dim")
            self._print(table)
        if len(groups) > LONGEST:
            self._line(f"and {len(groups) - LONGEST:,} more: --json shows all", "dim")

    def _deals(self) -> None:
        for deal in self.explanation.deals:
            self._section(f"Deal {deal.deal_id}" + (f" ({deal.name})" if deal.name else ""), True)
            self._line(self._deal_line(deal))
            if self.explanation.deal_id:
                for group in self.answer.identity:
                    self._line(f"belongs to {self.explanation.account_id} by {chain_text(group)}")
            table = self._table("when (UTC)", "what", "fact")
            for event in deal.history[-LONGEST:]:
                self._row(table, when(event.at), event.what, event.fact_id)
            self._print(table, len(deal.history))

    def _deal_line(self, deal: DealView) -> str:
        parts = [deal.status, f"pipeline {deal.pipeline}", self._money(deal.amount_minor, deal.currency)]
        if deal.stage:
            parts.insert(1, f"stage {deal.stage}")
        if deal.refunded_minor:
            parts.append(f"refunded {self._money(deal.refunded_minor, deal.currency)}")
        if deal.refunds_ignored:
            parts.append(f"{count(deal.refunds_ignored, 'refund')} without effect")
        if deal.owner_id:
            parts.append(f"owner {deal.owner_id}")
        return ", ".join(parts)

    def _conversions(self) -> None:
        found = self.explanation.conversions
        self._section("Conversions", found)
        if any(part.rounding_minor for each in found for model in each.models for part in model.parts):
            self._line(ROUNDING, "dim")
        for conversion in found:
            self._conversion(conversion)

    def _conversion(self, conversion: ConversionView) -> None:
        self._line("")
        amount = self._money(conversion.amount_minor, conversion.currency)
        self._line(
            f"{conversion.conversion_id}: {amount} at {when(conversion.at)} ({conversion.measure})", "bold"
        )
        self._line(f"amount: {conversion.value}", indent=2)
        self._line(f"window: {conversion.window}", indent=2)
        rules, driven = conversion.paths["rules"], conversion.paths["data_driven"]
        self._line(f"path: {path_text(rules)}", indent=2)
        if path_text(rules) != path_text(driven):
            self._line(f"path for markov and shapley: {path_text(driven)}", indent=2)
        linear = [earning_parts(model) for model in conversion.models if model.model == "linear"]
        for _, group in groupby(conversion.models, key=lambda model: (model.rule, earning_parts(model))):
            alike = list(group)
            self._models(
                alike,
                conversion,
                brief=alike[0].profile == "data_driven" and earning_parts(alike[0]) in linear,
            )

    def _models(self, alike: Sequence[Working], conversion: ConversionView, *, brief: bool) -> None:
        """Models that say the same: a line when one touch takes all or ``brief``, else a table."""
        first = alike[0]
        names, earning = ", ".join(model.model for model in alike), earning_parts(first)

        def amount(minor: int) -> str:
            return number(minor, conversion.currency, self.config.currency_exponents)

        if len(earning) == 1:
            part = earning[0]
            takes = f"{self._name(part.touch_id)} takes {amount(part.amount_minor)}"
            self._line(f"{names}: {takes}. {first.rule}", indent=2)
            return
        self._line(f"{names}: {first.rule}", indent=2)
        if brief:
            return
        table = self._table("", "touch", "", "weight", "share", "amount", "", right=("share", "amount"))
        for part in earning[:LONGEST]:
            mark = "+" if part.rounding_minor else ""
            name, money = self._name(part.touch_id), amount(part.amount_minor)
            self._row(table, " ", name, part.why, part.weight, f"{part.share:.2%}", money, mark)
        whole = amount(conversion.amount_minor)
        self._row(table, " ", "sum", "", first.total, "100.00%", whole, "", style="bold")
        self._print(table, len(earning))

    def _versions(self) -> None:
        found = self.answer.versions
        self._section("Versions of the credit rows", found)
        table = self._table("version", "computed (UTC)", "cause", "rows", right=("version",))
        groups = [
            list(group)
            for _, group in groupby(found, lambda v: (v.version, v.row["conversion_id"], v.change))
        ]
        for group in groups[:LONGEST]:
            first = group[0]
            self._row(
                table, str(first.version), when(first.row["computed_at"]), first.cause, self._change(group)
            )
        self._print(table, len(groups))

    def _change(self, group: Sequence[Version]) -> str:
        """What one version says of one conversion."""
        first = group[0]
        touches = ", ".join(self._name(v.row["touch_id"]) for v in group[:LONGEST])
        if len(group) > LONGEST:
            touches += f" and {len(group) - LONGEST} more"
        told = [name for name in TOLD if any(name in v.changed for v in group)]
        if any(name.endswith("_share") for v in group for name in v.changed):
            told.append("shares")
        text = f"{first.row['conversion_id']}: {touches} {first.change}"
        text += f" ({', '.join(told)})" if told else ""
        if first.change in {"new", "changed"}:
            text += f", whole {self._money(first.row['amount_minor'], first.row['currency'])}"
        return text

    def _probabilities(self) -> None:
        rows = self.explanation.probabilities
        self._section("Win probability", rows)
        for row in rows:
            amount = self._money(row["expected_value_minor"], row["currency"])
            whole = self._money(row["amount_minor"], row["currency"])
            self._line(f"{row['subject_id']}: {row['p_win']:.1%}, worth {amount} of {whole}", "bold")
            self._line(
                f"between {row['p_win_low']:.1%} and {row['p_win_high']:.1%} from {row['n_observations']:,} "
                f"observations; within 30 days {row['p_win_30d']:.1%}, 90 days {row['p_win_90d']:.1%}; lost "
                f"{row['p_lost']:.1%}",
                indent=2,
            )
            cause = f", sent because of: {row['cause']}" if "cause" in row else ""
            stage = f"stage {row['stage']}" if row["stage"] else "no stage"
            self._line(
                f"{stage} for {row['age_in_stage_days']:.1f} days as of {when(row['as_of'])}{cause}", indent=2
            )
            self._line(reasons(row), indent=2)

    def _alerts(self) -> None:
        rows = self.explanation.alerts
        self._section("Alerts", rows)
        for row in rows:
            reason = f" ({row['reason']})" if row["reason"] else ""
            self._line(f"{when(row['at'])}  {row['kind']}{reason}", "bold")
            self._line(self._payload(row), indent=2)

    def _payload(self, row: Mapping[str, Any]) -> str:
        parts = []
        if row["deal_id"]:
            parts.append(f"deal {row['deal_id']}")
        if row["last_touch_id"]:
            touch = self._name(row["last_touch_id"])
            parts.append(f"last inbound touch {touch} {row['last_touch_channel']}")
        if row.get("days_silent") is not None:
            parts.append(f"{count(row['days_silent'], 'day')} silent")
        parts.append(f"{row['unanswered']} unanswered")
        if row["reviver_touch_id"]:
            touch = self._name(row["reviver_touch_id"])
            campaign = f" {row['reviver_campaign']}" if row["reviver_campaign"] else ""
            parts.append(
                f"revived by {touch} {row['reviver_channel']}{campaign} after {count(row['days_cold'], 'cold day')}"
            )
        risk = self._money(row["amount_at_risk_minor"], row["currency"])
        expected = self._money(row["expected_value_at_risk_minor"], row["currency"])
        parts.append(f"{count(row['open_deals'], 'open deal')}, {risk} at risk, expected {expected}")
        return "; ".join(parts)

    def _temperature(self) -> None:
        t = self.explanation.temperature
        self._section("Temperature", True)
        since = f", cooled {when(t.cooled_at)}" if t.cooled_at else ""
        then = f"; cools {when(t.cools_at)} if nothing happens" if t.cools_at else ""
        self._line(f"{t.phase}{since}: energy {t.energy:.2f} now, peak {t.peak:.2f}{then}")
        last = f", last {when(t.last_inbound_at)} (energy {t.last_energy:.2f})" if t.last_inbound_at else ""
        counted = f"{count(t.inbound, 'inbound touch', 'es')} on {count(t.days, 'day')} since the last win"
        self._line(f"{counted}{last}; {t.unanswered} outbound unanswered")

    # -- printing

    def _name(self, touch_id: str) -> str:
        """A touch's number; the id itself of one that is not listed."""
        return self.numbers.get(touch_id, touch_id)

    def _money(self, minor: int, currency: str) -> str:
        return major(minor, currency, self.config.currency_exponents)

    def _line(self, text: str, style: str = "", indent: int = 0) -> None:
        from rich.padding import Padding
        from rich.text import Text

        if not text:
            self.out.print()
            return
        self.out.print(Padding(Text(in_terminal(text), style=style), (0, 0, 0, indent), expand=False))

    def _section(self, title: str, content: object) -> None:
        self._line("")
        self._line(title if content else f"{title}: none", "bold underline")

    def _table(self, *columns: str, right: Sequence[str] = ()) -> Table:
        from rich.table import Table

        table = Table(box=None, header_style="dim", pad_edge=False, padding=(0, 2, 0, 0))
        for name in columns:
            table.add_column(name, justify="right" if name in right else "left", overflow="fold")
        return table

    def _row(self, table: Table, *cells: str, style: str = "") -> None:
        from rich.text import Text

        table.add_row(*(Text(cell) for cell in cells), style=style)

    def _print(self, table: Table, wanted: int = 0) -> None:
        if table.row_count:
            self.out.print(table)
        if wanted > LONGEST:
            self._line(f"and {wanted - LONGEST:,} more: --json shows all", "dim")
