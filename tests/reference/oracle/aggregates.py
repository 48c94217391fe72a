"""Rows of kind revenue, models, cost and source_disagreement, from finished credit rows and raw facts (R52)."""

from collections import Counter, defaultdict
from decimal import ROUND_HALF_EVEN, Decimal
from fractions import Fraction

from tests.reference.oracle.credits import MODELS, apportion
from tests.reference.oracle.facts import (
    DEFAULT_CURRENCY,
    LOOKBACK,
    channel,
    digest,
    groups,
    minor,
    normalised,
)

SEGMENTS = {
    "all": None, "channel": "channel", "campaign": "campaign", "keyword": "keyword", "content": "content",
    "contact": "contact_id", "rep": "rep_id", "team": "team",
}  # fmt: skip
TEAMS = ("", "marketing", "sales")


def aggregate_rows(messages, accounts, folds, credits):
    """row_id -> row; ``accounts`` by id, ``folds`` their deals by id, ``credits`` the final credit rows."""
    deals = {deal_id: deal for folded in folds.values() for deal_id, deal in folded.items()}
    rows = [*revenue(credits, deals), *stage_teams(credits, deals), *models(credits)]
    rows += costs(messages, accounts, folds, credits)
    rows += disagreements(accounts, folds)
    return {row["row_id"]: row | {"is_deleted": 0} for row in rows}


def head(kind, segment_kind, segment, *tail, pipeline="", stage=""):
    escaped = [text.replace("%", "%25").replace("|", "%7C") for text in (segment, pipeline, stage, *tail)]
    return {
        "row_id": "|".join((kind, "all", segment_kind, *escaped)), "kind": kind, "window": "all",
        "segment_kind": segment_kind, "segment": segment, "pipeline": pipeline, "stage": stage,
    }  # fmt: skip


def with_money(credits):
    return [row for row in credits if any(row[f"{model}_amount_minor"] for model in MODELS)]


def of_segment(row, column):
    return row[column] if column else "all"


def total(rows, model):
    return sum(row[f"{model}_amount_minor"] for row in rows)


def revenue(credits, deals):
    outcomes = {"won": [], "open": [], "lost": [], "recurring": []}
    for row in with_money(credits):
        name = row["conversion"]
        if name in outcomes:
            outcomes[name].append(row)
        elif row["status"] == "open" and name == f"stage_entered:{deals[row['deal_id']].counted_stage}":
            outcomes["open"].append(row)
    everything = [row for rows in outcomes.values() for row in rows]
    for kind, column in SEGMENTS.items():
        for segment, currency in {(of_segment(row, column), row["currency"]) for row in everything}:
            here = {
                outcome: [r for r in rows if of_segment(r, column) == segment and r["currency"] == currency]
                for outcome, rows in outcomes.items()
            }
            row = head("revenue", kind, segment, currency)
            row |= {"currency": currency, "credits": sum(map(len, here.values()))}
            for model in MODELS:
                row |= {f"{model}_{outcome}_minor": total(rows, model) for outcome, rows in here.items()}
            yield row


def stage_teams(credits, deals):
    entered = defaultdict(list)
    for row in with_money(credits):
        if row["conversion"].startswith("stage_entered:"):
            stage = row["conversion"].split(":", 1)[1]
            entered[deals[row["deal_id"]].pipeline, stage, row["currency"]].append(row)
    for (pipeline, stage, currency), rows in entered.items():
        for team in TEAMS:
            mine = [row for row in rows if row["team"] == team]
            if mine:
                row = head("revenue", "team", team, currency, pipeline=pipeline, stage=stage)
                row |= {"currency": currency, "credits": len(mine)}
                for model in MODELS:
                    row[f"{model}_entered_minor"] = total(mine, model)
                    if total(rows, model):
                        row[f"{model}_share"] = float(Fraction(total(mine, model), total(rows, model)))
                yield row


def models(credits):
    of_conversion = defaultdict(list)
    for row in credits:
        if row["conversion"] == "won":
            of_conversion[row["conversion_id"]].append(row)
    found, conversions, millionths = defaultdict(list), Counter(), Counter()
    for rows in of_conversion.values():
        rows.sort(key=lambda row: (row["touch_at_ms"], row["touch_id"].encode()))
        conversions.update({(row["channel"], row["currency"]) for row in rows})
        for row in rows:
            found[row["channel"], row["currency"]].append(row)
        for model in MODELS:
            parts = apportion(1_000_000, [Fraction(row[f"{model}_share"]) for row in rows])
            for row, part in zip(rows, parts, strict=True):
                millionths[row["channel"], row["currency"], model] += part
    for (name, currency), rows in found.items():
        row = head("models", "channel", name, currency)
        row |= {"currency": currency, "won_conversions": conversions[name, currency]}
        for model in MODELS:
            row[f"{model}_won_minor"] = total(rows, model)
            row[f"{model}_conversions"] = millionths[name, currency, model] / 1_000_000
        yield row


def spending(messages):
    """(channel, campaign, currency, cost in minor units) of every fact."""
    identities = defaultdict(list)
    for topic, message in messages:
        if topic == "touchpoints" and message["type"] == "spend":
            body = normalised(message)
            of = (body["channel"], body.get("campaign", ""), body.get("source", "native"), body["event_id"])
            identities[of].append((body["occurred_at"], digest(body), body))
    for (name, campaign, _, _), walked in identities.items():
        for _, body in groups(walked):
            currency = body.get("currency", DEFAULT_CURRENCY)
            yield name, campaign, currency, minor(body["cost"], currency)


def first_touch(account, at):
    return next((touch for touch in account.touches if at - LOOKBACK <= touch.at <= at), None)


def campaign_of(touch):
    return touch.body.get("campaign", touch.body.get("utm_campaign", ""))


def lead_creations(account):
    earliest = {}
    for fact in account.leads:
        if fact.body["type"] == "lead_created":
            earliest.setdefault(fact.body["lead_id"], fact)
    return earliest.values()


def costs(messages, accounts, folds, credits):
    came = []
    for account_id, account in accounts.items():
        alive = [deal for deal in folds[account_id].values() if not deal.deleted]
        came += [("leads", first_touch(account, fact.at)) for fact in lead_creations(account)]
        came += [("opportunities", first_touch(account, deal.created)) for deal in alive]
        came += [("wins", first_touch(account, deal.became)) for deal in alive if deal.status == "won"]
    spent = list(spending(messages))
    won = [row for row in credits if row["conversion"] == "won"]
    for name, campaign, currency in {(n, c, money) for n, whole, money, _ in spent for c in (None, whole)}:
        here = [
            cost for n, c, money, cost in spent if (n, money) == (name, currency) and campaign in (None, c)
        ]
        touches = [
            what
            for what, touch in came
            if touch and channel(touch) == name and campaign in (None, campaign_of(touch))
        ]
        earned = sum(
            row["linear_amount_minor"]
            for row in won
            if (row["channel"], row["currency"]) == (name, currency) and campaign in (None, row["campaign"])
        )
        row = head("cost", "channel", name, currency)
        if campaign is not None:
            segment = "|".join(text.replace("%", "%25").replace("|", "%7C") for text in (name, campaign))
            row = head("cost", "campaign", segment, currency)
        row |= {
            "channel": name, "campaign": campaign or "", "currency": currency, "spends": len(here),
            "cost_minor": sum(here), "model": "linear", "revenue_minor": earned,
        }  # fmt: skip
        for each, one in (("leads", "lead"), ("opportunities", "opportunity"), ("wins", "win")):
            row[each] = touches.count(each)
            if row[each]:
                exact = Decimal(sum(here)) / row[each]
                row[f"cost_per_{one}_minor"] = int(exact.to_integral_value(ROUND_HALF_EVEN))
        if sum(here):
            row["roas"] = float(Fraction(earned, sum(here)))
        yield row


def disagreements(accounts, folds):
    compared = []
    for account_id, account in accounts.items():
        alive = [deal for deal in folds[account_id].values() if not deal.deleted]
        told = [("deals", deal.fields.get("crm_source", ""), deal.created) for deal in alive]
        told += [("leads", fact.body.get("crm_source", ""), fact.at) for fact in lead_creations(account)]
        compared += [
            (what, plain(source), first_touch(account, at)) for what, source, at in told if plain(source)
        ]
    for source in {each for _, each, _ in compared}:
        yield disagreement("crm_source", source, [each for each in compared if each[1] == source])
    if compared:
        yield disagreement("all", "all", compared)


def disagreement(segment_kind, segment, compared):
    row = head("source_disagreement", segment_kind, segment) | {"subjects": len(compared)}
    for what in ("deals", "leads"):
        of = [(source, touch) for each, source, touch in compared if each == what]
        with_touch = [(source, touch) for source, touch in of if touch]
        differ = sum(
            source not in (plain(channel(touch)), plain(touch.body.get("utm_source", "")))
            for source, touch in with_touch
        )
        row |= {
            f"{what}_compared": len(with_touch), f"{what}_disagreeing": differ,
            f"{what}_without_touch": len(of) - len(with_touch),
        }  # fmt: skip
        if with_touch:
            row[f"{what}_disagreement_rate"] = float(Fraction(differ, len(with_touch)))
    return row


def plain(text):
    return " ".join(text.casefold().split())
