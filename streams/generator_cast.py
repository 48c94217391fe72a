"""Who takes part in a generated journey: a company, its people, its deal."""

from __future__ import annotations

from dataclasses import dataclass

from streams.generator_data import CURRENCIES, EMPLOYEES
from streams.generator_world import Fields, World

STAGES = {
    "default": ("lead_capture", "qualification", "meeting_scheduled", "contract_sent"),
    "hubspot": (
        "appointmentscheduled", "qualifiedtobuy", "presentationscheduled", "decisionmakerboughtin", "contractsent",
    ),
}  # fmt: skip
"""The open stages of the shipped pipelines, in order."""
CLOSED: dict[str, tuple[Fields, Fields]] = {
    "default": ({"stage": "closed"}, {"status": "lost"}),
    "hubspot": ({"stage": "closedwon"}, {"stage": "closedlost"}),
}
"""How each pipeline says won, and lost."""


@dataclass(slots=True)
class Contact:
    """A person with a browser. Until ``known``, only the browser is seen."""

    contact_id: str
    email: str
    anonymous_id: str
    browser: str
    role: str
    known: bool = False


@dataclass(slots=True)
class Deal:
    """An open or closed deal; ``amount`` is in whole major units."""

    deal_id: str
    pipeline: str
    amount: int
    stage: int = 0
    """Position in the pipeline's open stages."""


@dataclass(slots=True)
class Company:
    """The buyer, as the CRM knows it."""

    account_id: str
    name: str
    domain: str
    industry: str
    employees: int
    currency: str


def found(world: World) -> Company:
    """A new company."""
    name, industry = world.next_company()
    slug = name.lower().replace(" ", "-")
    currency = world.pick(CURRENCIES)
    return Company(slug, name, f"{slug}.example", industry.name, world.pick(EMPLOYEES), currency)
