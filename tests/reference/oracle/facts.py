"""Messages to facts: duplicates, orders, channels, money (R02 to R05, R24, R27, R34, R60)."""

import hashlib
import json
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from typing import NamedTuple

DAY = 86_400_000
LOOKBACK = 365 * DAY
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
EXPONENTS = {"EUR": 2, "USD": 2, "GBP": 2, "JPY": 0, "KWD": 3}
DEFAULT_CURRENCY = "EUR"
INBOUND = {
    "page_view", "ad_click", "ad_impression", "email_open", "email_click", "email_reply", "call_answered", "meeting",
    "form_submit", "demo_request", "webinar", "download", "chat", "event_attended",
}  # fmt: skip
OPEN_STAGES = {
    "default": ["lead_capture", "qualification", "meeting_scheduled", "contract_sent"],
    "hubspot": [
        "appointmentscheduled", "qualifiedtobuy", "presentationscheduled", "decisionmakerboughtin", "contractsent",
    ],
}  # fmt: skip
CLOSED_STAGES = {"default": {"closed": "won"}, "hubspot": {"closedwon": "won", "closedlost": "lost"}}
PRIORS = {
    "default": dict(zip(OPEN_STAGES["default"], (0.05, 0.15, 0.35, 0.75), strict=True)),
    "hubspot": dict(zip(OPEN_STAGES["hubspot"], (0.2, 0.4, 0.6, 0.8, 0.9), strict=True)),
}
LEAD_PRIORS = {"lead": 0.02, "mql": 0.05, "sql": 0.10}
TIMES = ("occurred_at", "expected_close_date")


class Fact(NamedTuple):
    at: int
    source: str
    event_id: str
    fact_id: str
    body: dict


class Touch(NamedTuple):
    at: int
    touch_id: str
    body: dict

    @property
    def type(self):
        return self.body["type"]

    @property
    def inbound(self):
        return self.type in INBOUND or (self.type == "other" and self.body["direction"] == "inbound")


class Account(NamedTuple):
    account_id: str
    touches: list
    leads: list
    deals: list


def instant(value):
    """Milliseconds of an RFC 3339 text or of epoch milliseconds (R05)."""
    if isinstance(value, int):
        return value
    if value.isdigit():
        return int(value)
    return (datetime.fromisoformat(value) - EPOCH) // timedelta(milliseconds=1)


def iso(at):
    moment = EPOCH + timedelta(milliseconds=at)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at % 1000:03d}Z"


def minor(amount, currency):
    scaled = Decimal(amount).scaleb(EXPONENTS[currency])
    return int(scaled.to_integral_value(rounding=ROUND_HALF_EVEN))


def normalised(message):
    """The fields present, times in milliseconds, amounts as plain text without trailing zeros (R02, R14)."""
    body = {}
    for name, value in message.items():
        if value is None or (isinstance(value, str) and not value.strip()) or name == "topic":
            continue
        if name in TIMES:
            body[name] = instant(value)
        elif name in ("amount", "cost", "mrr"):
            body[name] = format(Decimal(str(value)).normalize(), "f")
        elif name == "currency":
            body[name] = value.upper()
        elif name.endswith("_id"):
            body[name] = str(value)
        else:
            body[name] = value
    return body


def digest(body):
    text = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def accounts(messages):
    """account_id -> its facts. ``messages`` are (topic, message) pairs in any order."""
    identities = defaultdict(list)
    for topic, message in messages:
        if message["type"] == "spend":
            continue
        body = normalised(message)
        key = (body["account_id"].strip(), topic, body.get("source", "native"), body["event_id"])
        identities[key].append((body["occurred_at"], digest(body), body))
    found = {}
    for (account_id, topic, source, event_id), walked in identities.items():
        account = found.setdefault(account_id, Account(account_id, [], [], []))
        for index, (at, body) in enumerate(groups(walked)):
            fact_id = f"{source}:{event_id}" + (f"@{at}" if index else "")
            if topic == "touchpoints":
                account.touches.append(Touch(at, fact_id, body))
            else:
                facts = account.leads if topic == "leads" else account.deals
                facts.append(Fact(at, source, event_id, fact_id, body))
    for account in found.values():
        account.touches.sort(key=lambda touch: (touch.at, touch.touch_id.encode()))
        for facts in (account.leads, account.deals):
            facts.sort(key=lambda fact: (fact.at, fact.source.encode(), fact.event_id.encode()))
    return found


def groups(walked):
    """First message of each group of one identity (R02)."""
    previous = None
    for at, _, body in sorted(walked, key=lambda each: each[:2]):
        if previous is None or at - previous > DAY:
            yield at, body
        previous = at


def channel(touch):
    """The channel given, else what the touch type decides (R34); web evidence as far as histories use it."""
    body = touch.body
    if "channel" in body:
        return body["channel"]
    if "utm_medium" in body:
        return {"cpc": "Paid Search", "email": "Email", "social": "Organic Social"}[body["utm_medium"]]
    if touch.type.startswith("call_"):
        return "Sales Outreach"
    by_prefix = {"email": "Email", "ad": "Paid Other"}
    by_type = {"meeting": "Sales Outreach", "message_sent": "Sales Outreach"}
    by_type |= {"webinar": "Events", "event_attended": "Events"}
    return by_type.get(touch.type) or by_prefix.get(touch.type.split("_")[0], "Direct")
