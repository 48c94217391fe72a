"""Random histories of who is who: native messages over small alphabets, so that identifiers and instants collide.

What one identity may have only one of in the outputs, whatever its account (R51: lead conversions, movements), is
sent again only as it was; all else also with another instant, and with other content under the same id (R02).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Any, Protocol

from tests.reference.identity_links import DAY, Config

Message = dict[str, Any]

HOUR = DAY // 24
START_MS = 1_700_000_000_000
INSTANTS = 14
"""Half days, so that there are ties."""
ACCOUNTS = ("A1", "A2", "A3", "A4")
CONTACTS = ("c1", "c2", "c3", "c4")
EMAILS = ("ana@acme.com", "Bob@Acme.com", "cem@globex.com", "dan@gmail.com")
FREE = frozenset({"gmail.com"})
VISITORS = ("v1", "v2", "v3")
DOMAINS = ("acme.com", "WWW.Globex.com", "gmail.com")
LEADS = ("l1", "l2")
DEALS = ("d1", "d2")
NAMES: dict[str, tuple[str, Sequence[str]]] = {
    "A": ("account_id", ACCOUNTS), "c": ("contact_id", CONTACTS), "e": ("email", EMAILS),
    "a": ("anonymous_id", VISITORS), "w": ("domain", DOMAINS), "l": ("lead_id", LEADS), "d": ("deal_id", DEALS),
}  # fmt: skip

OF_TOUCHES = (
    "a", "a", "a", "a", "a", "ac", "ac", "ae", "ae", "c", "c", "e", "A", "w", "aw", "aw", "aA", "cA", "eA", "ce",
    "ew", "cw", "Aw", "l", "d", "ld", "al", "acA", "ceA", "acew", "Aceawld",
)  # fmt: skip
OF_LEADS = ("", "", "c", "c", "e", "ce", "a", "A", "cA", "w", "d", "aw", "ac", "cd")
OF_DEALS = ("", "", "A", "A", "c", "c", "e", "a", "w", "l", "cA", "cl", "aw", "ce")
OF_PEOPLE = ("ac", "ac", "ae", "ce", "ce", "cA", "cA", "eA", "aA", "ew", "cw", "aceA", "acl", "cd")
OF_ERASED = ("c", "c", "e", "a", "ce", "ac", "A")
TOUCHES = (
    "page_view", "page_view", "ad_click", "email_open", "email_reply", "demo_request", "meeting", "form_submit",
    "email_sent",
)  # fmt: skip
CHANNELS = ("Direct", "Email", "Paid Search", "Organic Search")
STAGES = ("lead_capture", "qualification", "contract_sent", "closed", "closed")
AMOUNTS = ("100", "99.99", "12000.01", "7")
RETRY_AFTER = (0, 0, 1, HOUR, DAY, DAY + 1, 2 * DAY)


class Choose(Protocol):
    """One of some; the first is the simplest."""

    def __call__(self, options: Sequence[Any], /) -> Any: ...


def history(seed: int, size: int, *, erasures: bool = True) -> list[Message]:
    """About ``size`` native messages, each with its ``topic``, in the order they arrive."""
    random = Random(seed)
    made = messages(random.choice, size, erasures=erasures)
    random.shuffle(made)
    return made


def config(seed: int) -> Config:
    """The configuration that goes with a history."""
    return configuration(Random(f"config {seed}").choice)


def configuration(choose: Choose) -> Config:
    """Caps that bind and that do not; links that claim the touches of a day, of three days, of ever."""
    return Config(choose((10, 3, 2, 1)), choose((365 * DAY, 3 * DAY, DAY)), is_free)


def is_free(domain: str) -> bool:
    """Whether a domain gives addresses to everybody; also true of the shipped lists."""
    return domain in FREE


def messages(choose: Choose, size: int, *, erasures: bool = True) -> list[Message]:
    """A history whose every choice is made by ``choose``."""
    found: list[Message] = []
    for number in range(size):
        weights = "tttttttttttddddddllliiiiuumM" + "x" * erasures
        found.append(MAKERS[choose(weights)](choose, number))
    conversions = _conversions(choose)
    for _ in range(size // 8):
        again = choose(found)
        if again["type"] != "mrr_movement":
            again = {**again, "occurred_at": again["occurred_at"] + choose(RETRY_AFTER)}
        found.append(again)
    return found + [choose(conversions) for _ in range(size // 8)]


def _message(choose: Choose, topic: str, number: int, kinds: str, **fields: Any) -> Message:
    """``number`` or one of a few earlier ones is the id: now and then two messages have one."""
    message = {
        "topic": topic,
        "event_id": f"{topic[0]}{choose((number, number, number, number, number // 2))}",
        "occurred_at": _instant(choose),
        **fields,
        **_ids(choose, kinds),
    }
    source = choose((None, None, None, "crm"))
    return message if source is None else {**message, "source": source}


def _instant(choose: Choose) -> int:
    return int(START_MS + choose(range(INSTANTS)) * DAY // 2)


def _ids(choose: Choose, kinds: str) -> Message:
    return {NAMES[kind][0]: choose(NAMES[kind][1]) for kind in kinds}


def _touch(choose: Choose, number: int) -> Message:
    about = choose(OF_TOUCHES)
    return _message(choose, "touchpoints", number, about, type=choose(TOUCHES), channel=choose(CHANNELS))


def _lead(choose: Choose, number: int) -> Message:
    kind = choose(("lead_feedback", "lead_feedback", "lead_disqualified"))
    return _message(choose, "leads", number, "l" + choose(OF_LEADS), type=kind)


def _deal(choose: Choose, number: int) -> Message:
    kind = choose(("deal_updated",) * 7 + ("deal_deleted", "refund", "mrr_movement"))
    kinds = "d" + choose(OF_DEALS)
    if kind == "deal_deleted":
        return _message(choose, "deals", number, kinds, type=kind)
    amount = choose(AMOUNTS)
    if kind == "refund":
        return _message(choose, "deals", number, kinds, type=kind, amount=amount)
    if kind == "mrr_movement":
        moved = choose(("new", "expansion", "contraction", "churn", "reactivation"))
        message = _message(
            choose, "deals", number, choose(("d", "A")), type=kind, amount=amount, movement=moved
        )
        # its conversion has no account (R51): the id is of one deal, or of one account, for good
        subject = message.get("deal_id") or message["account_id"]
        return {**message, "event_id": f"m{number}-{subject}"}
    return _message(choose, "deals", number, kinds, type=kind, amount=amount, stage=choose(STAGES))


def _identified(choose: Choose, number: int) -> Message:
    return _message(choose, "leads", number, choose(OF_PEOPLE), type="contact_identified")


def _updated(choose: Choose, number: int) -> Message:
    domains = choose((["acme.com"], ["globex.com"], ["www.acme.com.", "Globex.com"], ["gmail.com"], []))
    return _message(
        choose, "leads", number, choose(("A", "A", "Aw", "Ac")), type="account_updated", domains=domains
    )


def _merged(choose: Choose, number: int) -> Message:
    into = choose(ACCOUNTS)
    return _message(choose, "leads", number, choose("AAAc").replace("c", "Ac"), type="account_merged",
                    into_account_id=into)  # fmt: skip


def _unmerged(choose: Choose, number: int) -> Message:
    return _message(choose, "leads", number, "A", type="account_unmerged")


def _erased(choose: Choose, number: int) -> Message:
    return _message(choose, "leads", number, choose(OF_ERASED), type="person_erased")


def _conversions(choose: Choose) -> list[Message]:
    """What a lead converts by, one message of each: the rows of it are of one account at a time."""
    found = []
    for lead in LEADS:
        for kind, level in (("lead_created", None), ("lead_qualified", "mql"), ("lead_qualified", "sql")):
            message = _message(choose, "leads", 0, choose(OF_LEADS), type=kind, lead_id=lead)
            message["event_id"] = f"{kind}-{level}-{lead}"
            found.append(message if level is None else {**message, "level": level})
    return found


MAKERS: dict[str, Callable[[Choose, int], Message]] = {
    "t": _touch, "d": _deal, "l": _lead, "i": _identified, "u": _updated, "m": _merged, "M": _unmerged, "x": _erased,
}  # fmt: skip
