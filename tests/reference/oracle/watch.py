"""Temperature and alerts: one pass over touches and wins (R46 to R50, R56)."""

import math
from dataclasses import dataclass
from fractions import Fraction

from tests.reference.oracle.deals import fold
from tests.reference.oracle.facts import DAY, DEFAULT_CURRENCY, channel, iso

HALF_LIFE = 14 * DAY
WEIGHTS = {
    "page_view": 1, "ad_click": 1, "ad_impression": 0, "email_open": 0.5, "email_click": 1, "email_reply": 5,
    "call_answered": 5, "meeting": 8, "form_submit": 3, "demo_request": 8, "webinar": 3, "download": 2, "chat": 3,
    "event_attended": 4, "other": 1,
}  # fmt: skip
HIGH_INTENT = ("demo_request", "email_reply")


@dataclass
class Pass:
    """State of the pass (R47)."""

    phase: str = "new"
    energy: float = 0.0
    last: int = 0
    """Instant of the last inbound touch of weight."""
    peak: float = 0.0
    count: int = 0
    days: frozenset = frozenset()
    unanswered: int = 0
    since: int = 0
    cooled_at: int = 0


def halved(value, ms):
    return value * 2.0 ** (-ms / HALF_LIFE)


def counts(touch):
    """Whether a touch takes part: outbound, or inbound of weight above 0 (R48)."""
    return not touch.inbound or WEIGHTS[touch.type] > 0


def run(account, deals, until):
    """(final state, [alert as a dict]) of the pass up to an instant."""
    wins = sorted(at for deal in deals.values() if not deal.deleted for at in deal.wins)
    events = [(t.at, 0, i, t) for i, t in enumerate(account.touches) if counts(t)]
    events += [(at, 1, i, None) for i, at in enumerate(wins)]
    state, found = Pass(), []
    for at, _, _, touch in sorted(events, key=lambda event: event[:3]):
        if at > until:
            break
        cool(state, at - 1, found)
        if touch is None:
            state = Pass()
        elif touch.inbound:
            warm(state, account, touch, found)
        else:
            reach_out(state, touch, found)
    cool(state, until, found)
    return state, found


def cool(state, until, found):
    """The timer of a warm account, when due at or before an instant."""
    if state.phase != "warm":
        return
    at = state.last + math.ceil(HALF_LIFE * math.log2(state.energy / (0.25 * state.peak)))
    if at <= until:
        state.phase, state.cooled_at = "cooled", at
        found.append({"kind": "cooled", "at": at, "reason": "energy", "unanswered": state.unanswered})


def reach_out(state, touch, found):
    if state.unanswered == 0:
        state.since = touch.at
    state.unanswered += 1
    if state.phase == "warm" and state.unanswered >= 3 and touch.at - state.since >= 7 * DAY:
        state.phase, state.cooled_at = "cooled", touch.at
        found.append(
            {"kind": "cooled", "at": touch.at, "reason": "unanswered", "unanswered": state.unanswered}
        )


def warm(state, account, touch, found):
    state.energy = halved(state.energy, touch.at - state.last) + WEIGHTS[touch.type]
    state.last = touch.at
    unanswered, state.unanswered = state.unanswered, 0
    if state.phase == "new":
        state.count += 1
        state.days |= {touch.at // DAY}
        state.peak = max(state.peak, state.energy)
        if state.count >= 3 and len(state.days) >= 2 and state.peak >= 3:
            state.phase, state.peak = "warm", state.energy
    elif state.phase == "warm":
        state.peak = max(state.peak, state.energy)
    else:
        enough = state.energy >= 0.5 * state.peak
        if enough or touch.type in HIGH_INTENT:
            state.phase, state.peak = "warm", state.energy
            found.append({
                "kind": "rewarmed", "at": touch.at, "reason": "energy" if enough else "high_intent",
                "unanswered": unanswered, "days_cold": (touch.at - state.cooled_at) // DAY,
                "reviver": reviver(account, state.cooled_at, touch),
            })  # fmt: skip


def reviver(account, cooled_at, touch):
    end = account.touches.index(touch)
    climb = [
        each
        for each in account.touches[:end]
        if each.inbound and counts(each) and each.at > cooled_at and each.at >= touch.at - 2 * HALF_LIFE
    ]
    return [*climb, touch][0]


def missed(account, until):
    """High-intent touches that nobody followed up (R50)."""
    first = True
    for touch in account.touches:
        if not touch.inbound:
            first = True
        elif touch.type in HIGH_INTENT and first:
            first = False
            end = touch.at + DAY
            answered = any(
                touch.at < other.at <= end
                and (not other.inbound or other.type in ("meeting", "call_answered"))
                for other in account.touches
            )
            if not answered and end <= until:
                yield touch, end


def alert_rows(account, deals, until):
    """alert_id -> row of the alerts in the set at an instant."""
    rows = {}
    _, found = run(account, deals, until)
    for alert in found:
        alert_id = f"{account.account_id}:{alert['kind']}:{alert['at']}"
        rows[alert_id] = row_of(account, deals, alert_id, alert)
    for touch, at in missed(account, until):
        alert_id = f"{account.account_id}:follow_up_missed:{touch.touch_id}"
        rows[alert_id] = row_of(account, deals, alert_id, {"kind": "follow_up_missed", "at": at})
    for deal in deals.values():
        for _, start, end in deal.visits if not deal.deleted else ():
            at = start + 30 * DAY
            if at <= until and (end is None or end > at):
                alert_id = f"{deal.deal_id}:stuck_deal:{at}"
                alert = {"kind": "stuck_deal", "at": at, "deal_id": deal.deal_id}
                rows[alert_id] = row_of(account, deals, alert_id, alert)
    return rows


def row_of(account, deals, alert_id, alert):
    at = alert["at"]
    inbound = [t for t in account.touches if t.inbound and counts(t) and t.at <= at]
    last, revived = inbound[-1] if inbound else None, alert.get("reviver")
    unanswered = alert.get("unanswered")
    if unanswered is None:
        unanswered = run(account, deals, at)[0].unanswered
    row = {
        "alert_id": alert_id, "account_id": account.account_id, "deal_id": alert.get("deal_id", ""),
        "kind": alert["kind"], "status": "raised", "at": iso(at), "at_ms": at, "reason": alert.get("reason", ""),
        "last_touch_id": last.touch_id if last else "", "last_touch_channel": channel(last) if last else "",
        "unanswered": unanswered, "reviver_touch_id": revived.touch_id if revived else "",
        "reviver_channel": channel(revived) if revived else "",
        "reviver_campaign": revived.body.get("campaign", revived.body.get("utm_campaign", "")) if revived else "",
        **at_risk(account, at),
    }  # fmt: skip
    if last:
        row["days_silent"] = (at - last.at) // DAY
    if revived:
        row["days_cold"] = alert["days_cold"]
    return row


def at_risk(account, at):
    """Open deals folded up to an instant, in the currency of the largest sum (R49)."""
    deals = [d for d in fold(account.deals, at).values() if d.status == "open" and not d.deleted]
    sums = {}
    for deal in deals:
        sums[deal.currency] = sums.get(deal.currency, 0) + deal.amount
    currency = min(sums, key=lambda code: (-sums[code], code), default=DEFAULT_CURRENCY)
    counted = [deal for deal in deals if deal.currency == currency]
    return {
        "open_deals": len(deals),
        "amount_at_risk_minor": sums.get(currency, 0),
        "expected_value_at_risk_minor": sum(round(Fraction(d.prior) * d.amount) for d in counted),
        "currency": currency,
    }
