"""Conversions, their paths, the models and the credit rows (R17 to R35, R51, R62), with default options."""

import math
from collections import Counter
from fractions import Fraction
from typing import NamedTuple

from tests.reference.oracle.deals import Deal
from tests.reference.oracle.facts import DAY, DEFAULT_CURRENCY, LOOKBACK, Touch, channel, iso, minor

NOBODY = "(unattributed)"
MODELS = (
    "first_touch", "last_touch", "last_non_direct", "linear", "position_based", "u_shaped", "w_shaped", "full_path",
    "time_decay", "time_decay_long", "markov", "shapley",
)  # fmt: skip


class Conversion(NamedTuple):
    conversion_id: str
    conversion: str
    at: int
    measure: str
    amount: int
    currency: str
    provisional: bool = False
    deal: Deal | None = None
    lead_id: str = ""
    movement: dict | None = None
    previous: int | None = None
    """Instant of the deal's previous movement."""


class Path(NamedTuple):
    touches: list
    first: Touch | None = None
    lead: Touch | None = None
    created: Touch | None = None
    won: Touch | None = None


def conversions(account, deals):
    yield from lead_conversions(account)
    for deal in deals.values():
        if deal.deleted:
            continue
        name = f"deal:{deal.deal_id}"
        value = 0 if deal.status == "lost" else deal.amount
        for stage in {stage for stage, _ in deal.entries}:
            at = max(at for entered, at in deal.entries if entered == stage)
            yield Conversion(
                f"{name}:stage:{stage}", f"stage_entered:{stage}", at, "deal", value, deal.currency,
                deal.status == "open", deal,
            )  # fmt: skip
        if deal.status == "won":
            rest = deal.amount - deal.refunded
            yield Conversion(f"{name}:won", "won", deal.became, "deal", rest, deal.currency, deal=deal)
        if deal.status == "lost":
            yield Conversion(
                f"{name}:lost", "lost", deal.became, "deal", deal.amount, deal.currency, deal=deal
            )
    yield from movements(account, deals)


def lead_conversions(account):
    seen = set()
    for fact in account.leads:
        lead_id = fact.body.get("lead_id", "")
        if fact.body["type"] == "lead_created":
            name, suffix = "lead_created", ""
        elif fact.body["type"] == "lead_qualified":
            name, suffix = f"lead_qualified:{fact.body['level']}", f":qualified:{fact.body['level']}"
        else:
            continue
        if (lead_id, name) not in seen:
            seen.add((lead_id, name))
            yield Conversion(
                f"lead:{lead_id}{suffix}", name, fact.at, "count", 0, DEFAULT_CURRENCY, lead_id=lead_id
            )


def movements(account, deals):
    previous = {}
    for fact in account.deals:
        if fact.body["type"] != "mrr_movement":
            continue
        named = fact.body.get("deal_id")
        if named:
            deal = deals.get(named)
            about = [f for f in account.deals if f.body.get("deal_id") == named]
            fates = [f.body["type"] for f in about if f.body["type"] in ("deal_updated", "deal_deleted")]
            if fates and fates[-1] == "deal_deleted":
                continue
        else:
            won = [d for d in deals.values() if not d.deleted and d.status == "won" and d.became <= fact.at]
            deal = max(won, key=lambda each: (each.became, each.deal_id), default=None)
        currency = fact.body.get("currency") or (deal.currency if deal else DEFAULT_CURRENCY)
        amount = abs(minor(fact.body["amount"], currency))
        if fact.body["movement"] in ("contraction", "churn"):
            amount = -amount
        before = previous.get(deal.deal_id) if deal else None
        if deal:
            previous[deal.deal_id] = fact.at
        yield Conversion(
            f"recurring:{fact.fact_id}", "recurring", fact.at, "mrr", amount, currency, deal=deal,
            movement=fact.body, previous=before,
        )  # fmt: skip


def path(account, deals, conversion, first_lead):
    deal, at = conversion.deal, conversion.at
    if conversion.movement is not None:
        if deal is None:
            return Path([])
        own = own_touches(account, conversion)
        if own:
            return Path(own, first=own[0], created=own[-1], won=own[-1])
        at = path_instant(account, conversion)
    window = [touch for touch in account.touches if at - LOOKBACK <= touch.at <= at]
    if not window:
        return Path([])
    first, lead = window[0], None
    if first_lead is not None and first_lead <= at:
        before = [touch for touch in account.touches if touch.at <= first_lead]
        if before and before[-1] in window:
            lead = before[-1]
    if deal is None:
        return Path(window, first, lead)
    starts = [
        other.became
        for other in deals.values()
        if other is not deal and other.status == "won" and not other.deleted and other.became <= deal.created
    ]
    start = max(starts, default=-math.inf)
    touches = [touch for touch in window if touch.at > start or touch in (first, lead)]
    created = [touch for touch in touches if touch.at <= deal.created]
    return Path(
        touches,
        first,
        lead,
        created[-1] if created else None,
        touches[-1] if conversion.conversion in ("won", "recurring") else None,
    )


def path_instant(account, conversion):
    """The instant whose path a conversion has: its own, for most movements that of the deal's win (R26)."""
    deal = conversion.deal
    inherits = conversion.movement is not None and not own_touches(account, conversion)
    return deal.became if inherits and deal.status == "won" else conversion.at


def own_touches(account, conversion):
    """Touches that an expansion or reactivation has for itself (R26)."""
    if conversion.movement["movement"] not in ("expansion", "reactivation"):
        return []
    deal, since = conversion.deal, conversion.previous
    if since is None:
        since = deal.became if deal.status == "won" else deal.created
    return [t for t in account.touches if since < t.at <= conversion.at and t.at >= conversion.at - LOOKBACK]


def weights(route, at, learned):
    """model -> exact weight per touch of the path; ``learned`` are the learned values by model and channel."""
    touches = route.touches
    n = len(touches)
    last = n - 1
    non_direct = max((i for i in range(n) if channel(touches[i]) != "Direct"), default=last)
    ends = [Fraction(1)] * n
    if n > 2:
        ends = [Fraction(40) if i in (0, last) else Fraction(20, n - 2) for i in range(n)]
    marks = {"FT": route.first, "LC": route.lead, "OC": route.created, "CW": route.won}
    places = {name: touches.index(touch) for name, touch in marks.items() if touch is not None}
    even = [Fraction(1)] * n
    return {
        "first_touch": [Fraction(int(i == places["FT"])) for i in range(n)],
        "last_touch": [Fraction(int(i == last)) for i in range(n)],
        "last_non_direct": [Fraction(int(i == non_direct)) for i in range(n)],
        "linear": even,
        "position_based": ends,
        "u_shaped": milestones(n, places, {"FT": 40, "LC": 40}, 20),
        "w_shaped": milestones(n, places, {"FT": 30, "LC": 30, "OC": 30}, 10, until=places.get("OC")),
        "full_path": milestones(n, places, dict.fromkeys(("FT", "LC", "OC", "CW"), Fraction(45, 2)), 10),
        "time_decay": decay(touches, at, 7 * DAY),
        "time_decay_long": decay(touches, at, LOOKBACK / 4),
        "markov": driven_weights(touches, learned["markov"]),
        "shapley": driven_weights(touches, learned["shapley"]),
    }


def milestones(n, places, pot, middle, until=None):
    present = {name: Fraction(weight) for name, weight in pot.items() if name in places}
    held = {places[name] for name in present}
    between = [i for i in range(n) if i not in held and (until is None or i < until)]
    whole = sum(map(Fraction, pot.values())) + (0 if between else middle)
    result = [Fraction(0)] * n
    for name, weight in present.items():
        result[places[name]] += whole * weight / sum(present.values())
    for index in between:
        result[index] += Fraction(middle, len(between))
    return result


def driven_weights(touches, values):
    """Weight per touch: the value of its channel, not below 0, in equal parts to the channel's touches."""
    channels = [channel(touch) for touch in touches]
    counts = Counter(channels)
    raw = [max(0.0, values.get(name, 0.0)) / counts[name] for name in channels]
    total = math.fsum(raw)
    return [Fraction(weight / total) for weight in raw] if total else [Fraction(1)] * len(touches)


def decay(touches, at, half_life):
    raw = [2.0 ** (-((at - touch.at) / 1000) / (half_life / 1000)) for touch in touches]
    total = math.fsum(raw)
    return [Fraction(weight / total) for weight in raw]


def apportion(amount, shares):
    """Whole minor units by largest remainder, ties to the earlier touch (R29)."""
    size, total = abs(amount), sum(shares)
    quotas = [size * share / total for share in shares]
    parts = [math.floor(quota) for quota in quotas]
    order = sorted(range(len(parts)), key=lambda i: (parts[i] - quotas[i], i))
    for index in order[: size - sum(parts)]:
        parts[index] += 1
    return [-part if amount < 0 else part for part in parts]


def credit_rows(account, deals, learned):
    """credit_id -> row."""
    first_lead = min((f.at for f in account.leads if f.body["type"] == "lead_created"), default=None)
    rows = {}
    for conversion in conversions(account, deals):
        route = path(account, deals, conversion, first_lead)
        touches = route.touches or [None]
        of_models = {name: [Fraction(1)] for name in MODELS}
        if route.touches:
            of_models = weights(route, path_instant(account, conversion), learned)
        parts = {name: apportion(conversion.amount, each) for name, each in of_models.items()}
        for index, touch in enumerate(touches):
            row = head(account, conversion) | touch_columns(touch, conversion, first_lead)
            row["credit_id"] = f"{conversion.conversion_id}|{row['touch_id']}"
            for name, each in of_models.items():
                row[f"{name}_share"] = float(each[index] / sum(each))
                row[f"{name}_amount_minor"] = parts[name][index]
            rows[row["credit_id"]] = row
    return rows


def head(account, conversion):
    deal = conversion.deal
    return {
        "conversion_id": conversion.conversion_id, "conversion": conversion.conversion,
        "conversion_at": iso(conversion.at), "conversion_at_ms": conversion.at, "measure": conversion.measure,
        "account_id": account.account_id, "deal_id": deal.deal_id if deal else "", "lead_id": conversion.lead_id,
        "stage": deal.stage if deal else "", "status": deal.status if deal else "",
        "provisional": conversion.provisional, "truncated": False, "currency": conversion.currency,
        "amount_minor": conversion.amount, "low_data": True, "is_deleted": 0,
    }  # fmt: skip


def touch_columns(touch, conversion, first_lead):
    texts = ("touch_type", "direction", "campaign", "keyword", "content", "source", "medium", "contact_id",
             "rep_id", "team", "phase")  # fmt: skip
    if touch is None:
        empty = dict.fromkeys(texts, "")
        at = conversion.at
        return {**empty, "touch_id": NOBODY, "channel": NOBODY, "touch_at": iso(at), "touch_at_ms": at}
    body = touch.body
    created = conversion.deal.created if conversion.deal else math.inf
    lead = first_lead if first_lead is not None else created
    phase = "awareness" if touch.at <= lead else "consideration" if touch.at <= created else "decision"
    return {
        "touch_id": touch.touch_id, "touch_at": iso(touch.at), "touch_at_ms": touch.at,
        "touch_type": touch.type, "direction": "inbound" if touch.inbound else "outbound",
        "channel": channel(touch), "campaign": body.get("campaign", body.get("utm_campaign", "")),
        "keyword": body.get("keyword", body.get("utm_term", "")),
        "content": body.get("content", body.get("utm_content", "")),
        "source": body.get("utm_source", ""), "medium": body.get("utm_medium", ""),
        "contact_id": body.get("contact_id", ""), "rep_id": body.get("rep_id", ""),
        "team": body.get("team", ""), "phase": phase,
    }  # fmt: skip
