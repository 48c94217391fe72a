"""The final view of a history, as ``score --final`` has to print it (R08, R10, R45, R52)."""

from fractions import Fraction

from tests.reference.oracle.aggregates import aggregate_rows
from tests.reference.oracle.credits import credit_rows
from tests.reference.oracle.deals import fold, funnel_rows
from tests.reference.oracle.facts import (
    DAY,
    DEFAULT_CURRENCY,
    LEAD_PRIORS,
    LOOKBACK,
    accounts,
    channel,
    instant,
    iso,
)
from tests.reference.oracle.learned import journeys, parameter_rows, parameters
from tests.reference.oracle.watch import alert_rows, run


def final_view(messages, as_of=None):
    """topic -> key -> row, without the columns that tell the history of the computation."""
    instants = [instant(message["occurred_at"]) for _, message in messages]
    until = as_of if as_of is not None else max(instants, default=0)
    read = [pair for pair, at in zip(messages, instants, strict=True) if at <= until]
    view = {
        "attribution-credits": {},
        "pipeline-probabilities": {},
        "account-alerts": {},
        "account-journeys": {},
    }
    everything = []
    found = accounts(read)
    folds = {account_id: fold(account.deals) for account_id, account in found.items()}
    ended = journeys(found, folds, until)
    learned = parameters(ended)
    for account_id, account in found.items():
        deals = folds[account_id]
        everything += deals.values()
        view["attribution-credits"] |= credit_rows(account, deals, learned)
        view["pipeline-probabilities"] |= probability_rows(account, deals, until)
        view["account-alerts"] |= alert_rows(account, deals, until)
        view["account-journeys"] |= journey_rows(account, deals, until)
    credits = list(view["attribution-credits"].values())
    view["funnel-metrics"] = funnel_rows(everything) | aggregate_rows(read, found, folds, credits)
    view["forecasts"] = {}
    view["model-parameters"] = parameter_rows(ended, learned, until)
    return view


def probability_rows(account, deals, until):
    rows = {}
    for deal in deals.values():
        if deal.status == "open" and not deal.deleted:
            key = f"deal:{deal.deal_id}"
            names = {
                "subject_kind": "deal",
                "deal_id": deal.deal_id,
                "lead_id": "",
                "pipeline": deal.pipeline,
            }
            stage = {"stage": deal.counted_stage, "age_in_stage_days": (until - deal.since) / DAY}
            money = (deal.amount, deal.currency)
            rows[key] = estimate(account, key, names | stage, deal.prior, *money, until)
    for lead_id, (level, since) in open_leads(account, deals, until).items():
        key = f"lead:{lead_id}"
        names = {"subject_kind": "lead", "deal_id": "", "lead_id": lead_id, "pipeline": ""}
        stage = {"stage": level, "age_in_stage_days": (until - since) / DAY}
        rows[key] = estimate(account, key, names | stage, LEAD_PRIORS[level], 0, DEFAULT_CURRENCY, until)
    return rows


def estimate(account, key, names, p_win, amount, currency, until):
    return {
        "subject_id": key, "account_id": account.account_id, **names, "as_of": iso(until), "as_of_ms": until,
        "p_win": p_win, "p_win_low": 0.0, "p_win_high": 1.0, "p_win_30d": p_win, "p_win_90d": p_win,
        "p_lost": 1 - p_win, "n_observations": 0, "amount_minor": amount, "currency": currency,
        "expected_value_minor": round(Fraction(p_win) * amount),
        **{f"reason_{part}": 0.0 for part in ("stage", "age", "engagement", "source", "other")},
        "is_deleted": 0,
    }  # fmt: skip


def open_leads(account, deals, until):
    """lead_id -> (level, since) of the leads open at an instant (R45, R58)."""
    named = {lead for d in deals.values() if not d.deleted for lead in d.fields.get("lead_ids", ())}
    found = {}
    for lead_id in {f.body["lead_id"] for f in account.leads if f.body["type"] == "lead_created"}:
        facts = [f for f in account.leads if f.body.get("lead_id") == lead_id]
        created = min(f.at for f in facts if f.body["type"] == "lead_created")
        lost = any(f.body["type"] == "lead_disqualified" and f.at >= created for f in facts)
        if lead_id in named or lost or until >= created + LOOKBACK:
            continue
        level, since = "lead", created
        for fact in facts:
            if fact.body["type"] == "lead_qualified" and fact.body["level"] != level:
                level, since = fact.body["level"], max(fact.at, created)
        found[lead_id] = level, since
    return found


def journey_rows(account, deals, until):
    alive = [deal for deal in deals.values() if not deal.deleted]
    lead = any(fact.body["type"] == "lead_created" for fact in account.leads)
    touches = account.touches
    if not (touches or lead or alive):
        return {}
    open_deals = sum(deal.status == "open" for deal in alive)
    won_deals = sum(deal.status == "won" for deal in alive)
    if open_deals:
        phase = "decision"
    elif won_deals:
        phase = "customer"
    else:
        phase = "consideration" if lead else "awareness"
    state, _ = run(account, deals, until)
    row = {
        "account_id": account.account_id, "phase": phase, "temperature": state.phase, "energy": state.energy,
        "first_touch_channel": channel(touches[0]) if touches else "",
        "last_touch_channel": channel(touches[-1]) if touches else "", "touches": len(touches),
        "contacts": len({x.body["contact_id"] for x in (*touches, *account.leads) if "contact_id" in x.body}),
        "open_deals": open_deals, "won_deals": won_deals, "is_deleted": 0,
    }  # fmt: skip
    if touches:
        for name, touch in (("first", touches[0]), ("last", touches[-1])):
            row |= {f"{name}_touch_at": iso(touch.at), f"{name}_touch_at_ms": touch.at}
    return {account.account_id: row}
