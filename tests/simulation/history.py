"""Random histories: a few accounts with everything that can happen to them, and how it arrives."""

from __future__ import annotations

from random import Random
from typing import Any, NamedTuple

import orjson

from tests.simulation import people

START_MS = 1_790_000_000_000
HOUR = 3_600_000
DAYS = 110
PEOPLE = 0.5

TOUCHES = (
    "page_view", "page_view", "ad_click", "ad_impression", "email_open", "email_reply", "demo_request", "meeting",
    "email_sent", "call_attempt", "form_submit",
)  # fmt: skip
CHANNELS = ("Direct", "Email", "Paid Search", "Organic Search")
STAGES = (
    "lead_capture", "qualification", "meeting_scheduled", "contract_sent", "closed", "closed", "closedlost",
    "qualifiedtobuy",
)  # fmt: skip
AMOUNTS = ("0", "100", "99.99", "12000.00", "0.005", "7")
MOVEMENTS = ("new", "expansion", "contraction", "churn", "reactivation")
BAD = (b"{", b'{"event_id":"b1"}', b'{"event_id":"b2","type":"deal_updated","occurred_at":1790000000000}')

Event = tuple[str, dict[str, Any]]


class Delivery(NamedTuple):
    """One message on its way into a source topic."""

    arrives: int
    """Order of arrival (ms)."""
    topic: str
    value: bytes
    partition: int


def facts(random: Random) -> list[Event]:
    """15 to 40 messages about 2 to 4 accounts, in a narrow time, some of one identity.

    In half of the histories most messages name people instead of accounts, and some say who they are.
    """
    accounts = [f"acct{n}" for n in range(random.randint(2, 4))]
    span = random.choice([2, 20, DAYS]) * 24
    made: list[Event] = []
    for _ in range(random.randint(15, 40)):
        kind = random.choices(("touchpoints", "leads", "deals"), (5, 2, 4))[0]
        message: dict[str, Any] = {
            "event_id": f"e{random.randrange(26)}",
            "occurred_at": START_MS + random.randrange(span + 1) * HOUR,
            "account_id": random.choice(accounts),
        }
        made.append((kind, FIELDS[kind](random, message)))
    of_people = random.random() < PEOPLE
    if of_people:
        made = [(kind, _of_people(random, n, kind, message)) for n, (kind, message) in enumerate(made)]
        for n in range(random.randint(4, 16)):
            at = START_MS + random.randrange(span + 1) * HOUR
            made.append(("leads", {"event_id": f"i{n}", "occurred_at": at, **people.told(random)}))
    for kind, message in random.sample(made, len(made) // 8):
        # a tracker that sends again takes the time anew: within 24 h one fact, beyond another (R02)
        if of_people and kind == "leads":
            continue  # at another instant it may belong to another account (``people.carried``)
        again = message["occurred_at"] + random.choice([1, 20, 24, 25, 60]) * HOUR
        made.append((kind, {**message, "occurred_at": again}))
    return made


def _of_people(random: Random, number: int, kind: str, message: dict[str, Any]) -> dict[str, Any]:
    message["event_id"] = f"e{number}"
    if kind != "leads" and random.random() < 0.2:
        return message
    return people.carried(random, kind, message, number)


def deliveries(random: Random, events: list[Event], partitions: int) -> list[Delivery]:
    """The messages as they arrive: late, shuffled, some of them twice, some of them bad."""
    shuffled, late = random.random() < 0.3, random.choice([0, 1, 30, 400])
    found = []
    for topic, message in events:
        value, at = orjson.dumps(message), message["occurred_at"]
        for _ in range(random.choices((1, 2, 3), (8, 2, 1))[0]):
            delay = random.randrange(DAYS * 24) if shuffled else round(random.expovariate(1.0) * late)
            found.append(Delivery(at + delay * HOUR, topic, value, random.randrange(partitions)))
    for value in random.sample(BAD, random.randint(0, 2)):
        at = START_MS + random.randrange(DAYS * 24) * HOUR
        found.append(Delivery(at, "deals", value, random.randrange(partitions)))
    return sorted(found)


def _touch(random: Random, message: dict[str, Any]) -> dict[str, Any]:
    message |= {"type": random.choice(TOUCHES), "channel": random.choice(CHANNELS)}
    return _with(random, message, contact_id=("c1", "c2"))


def _lead(random: Random, message: dict[str, Any]) -> dict[str, Any]:
    message["lead_id"] = f"{message['account_id']}-L{random.randint(1, 2)}"
    message["type"] = random.choice(("lead_created", "lead_created", "lead_qualified", "lead_disqualified"))
    if message["type"] == "lead_qualified":
        message["level"] = random.choice(("mql", "sql"))
    return message


def _deal(random: Random, message: dict[str, Any]) -> dict[str, Any]:
    account = message["account_id"]
    message["deal_id"] = f"{account}-D{random.randint(1, 2)}"
    kinds = ("deal_updated", "deal_deleted", "refund", "mrr_movement")
    message["type"] = kind = random.choices(kinds, (7, 1, 1, 2))[0]
    if kind == "deal_updated":
        lead = [f"{account}-L{random.randint(1, 2)}"]
        return _with(
            random, message, stage=STAGES, stage_again=STAGES, status=("open", "won", "lost"), amount=AMOUNTS,
            currency=("EUR", "USD", "JPY"), lead_ids=(lead, []),
        )  # fmt: skip
    if kind == "refund":
        message["amount"] = random.choice(AMOUNTS)
        return _with(random, message, currency=("EUR", "USD"))
    if kind == "mrr_movement":  # its conversion id carries neither account nor deal (R51)
        message |= {"amount": random.choice(AMOUNTS), "movement": random.choice(MOVEMENTS)}
        if random.random() < 0.5:
            del message["deal_id"]
        message["event_id"] = f"{message.get('deal_id', account)}-{message['event_id']}"
    return message


def _with(random: Random, message: dict[str, Any], **choices: tuple[Any, ...]) -> dict[str, Any]:
    """The message with some of the optional fields."""
    for name, values in choices.items():
        if random.random() < 0.5:
            message[name.removesuffix("_again")] = random.choice(values)
    return message


FIELDS = {"touchpoints": _touch, "leads": _lead, "deals": _deal}
