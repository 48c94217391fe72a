"""Whole stories: how strangers become customers, or do not. Each takes a journey and plays it to its end."""

from __future__ import annotations

from collections.abc import Callable

from streams.generator_cast import Contact
from streams.generator_data import (
    ADS,
    ARTICLES,
    CRAWLERS,
    FIRST_VISITS,
    LATE_PAGES,
    PAGES,
    SITE,
)
from streams.generator_journey import Journey
from streams.generator_world import DAY_MS, World

Story = Callable[[Journey], None]


def _discover(journey: Journey) -> Contact:
    """One to three visits, a form, an identity; the first contact of the account."""
    first = journey.meet()
    for _ in range(journey.world.whole(1, 3)):
        journey.visit(first, FIRST_VISITS, (*PAGES, *ARTICLES))
        journey.wait(1, 8)
    journey.visit(first, FIRST_VISITS, PAGES)
    journey.fill_in(first)
    journey.create_lead(first)
    return first


def _colleague(journey: Journey) -> Contact:
    """Another person of the account looks around and says who they are."""
    other = journey.meet()
    journey.visit(other, FIRST_VISITS, (*PAGES, *LATE_PAGES))
    if journey.world.chance(0.4):
        journey.wait(1, 4)
        journey.visit(other, FIRST_VISITS, LATE_PAGES)
    journey.fill_in(other)
    if journey.world.chance(0.3):
        journey.create_lead(other)
    return other


def _qualify(journey: Journey) -> None:
    """Marketing hands over, sales looks, says so, and takes the lead or leaves it."""
    journey.nurture(journey.world.whole(1, 3))
    journey.qualify("mql")
    journey.give_feedback(accepted=True)
    journey.converse()
    journey.qualify("sql")


def _interest(journey: Journey) -> None:
    _discover(journey)
    journey.nurture(journey.world.whole(1, 3))
    for _ in range(journey.world.whole(0, 2)):
        _colleague(journey)
    if journey.world.chance(0.5):
        journey.ask_for_demo(answered=True)
    _qualify(journey)


def _sell(journey: Journey, pipeline: str, *, stages: int = 9) -> None:
    """Open a deal and take it through up to so many stages."""
    journey.open_deal(pipeline)
    for _ in range(stages - 1):
        if not journey.has_next_stage():
            break
        journey.work_on_deal()
        journey.next_stage()
    journey.work_on_deal()


def _won(journey: Journey) -> None:
    _interest(journey)
    _sell(journey, journey.pipeline)
    journey.win()


def customer(journey: Journey) -> None:
    """A deal is won; the customer looks in now and then."""
    _won(journey)
    journey.book("new", 1.0)
    journey.nurture(journey.world.whole(1, 3))


def growing_customer(journey: Journey) -> None:
    """A customer buys more, once or twice."""
    customer(journey)
    for _ in range(journey.world.whole(1, 2)):
        journey.wait(15, 30)
        journey.visit(journey.contact(), FIRST_VISITS, LATE_PAGES)
        journey.converse()
        journey.book("expansion", 0.3)


def leaving_customer(journey: Journey) -> None:
    """A customer shrinks, and some leave."""
    customer(journey)
    journey.wait(20, 40)
    journey.book("contraction", 0.4)
    if journey.world.chance(0.6):
        journey.wait(10, 25)
        journey.book("churn", 0.6)


def refunded_customer(journey: Journey) -> None:
    """A customer gets a part of the price back."""
    customer(journey)
    journey.wait(3, 14)
    journey.refund()


def loser(journey: Journey) -> None:
    """The deal is lost on the way, and nobody is heard of again."""
    _interest(journey)
    _sell(journey, journey.pipeline, stages=journey.world.whole(1, 4))
    journey.lose()


def reopened(journey: Journey) -> None:
    """A closed deal comes back: a lost one is won after all, a win was booked too early."""
    _interest(journey)
    _sell(journey, journey.pipeline, stages=3)
    if journey.world.chance(0.5):
        journey.lose()
        journey.wait(10, 25)
        journey.ask_for_demo(answered=True)
    else:
        journey.win()
        journey.wait(1, 4)
    journey.reopen()
    journey.converse()
    journey.win()
    journey.book("new", 1.0)


def mistaken(journey: Journey) -> None:
    """A deal that should not have been there: deleted again."""
    _interest(journey)
    _sell(journey, journey.pipeline, stages=2)
    journey.delete_deal()


def stuck(journey: Journey) -> None:
    """A deal stays in one stage for weeks; most of them die of it."""
    _interest(journey)
    _sell(journey, journey.pipeline, stages=journey.world.whole(2, 3))
    journey.wait(15, 25)
    journey.reach_out()
    journey.wait(18, 30)
    journey.converse()
    if journey.world.chance(0.3):
        journey.next_stage()
        journey.work_on_deal()
        journey.win()
    else:
        journey.lose()


def cooled(journey: Journey) -> None:
    """A warm account falls silent."""
    _discover(journey)
    _qualify(journey)
    if journey.world.chance(0.4):
        journey.open_deal(journey.pipeline)


def returning(journey: Journey) -> None:
    """A cooled account asks for a demo weeks later, and half of them buy."""
    cooled(journey)
    journey.wait(35, 60)
    if journey.world.chance(0.5):
        journey.visit(journey.contact(), FIRST_VISITS, LATE_PAGES)
        journey.wait(1, 5)
    journey.ask_for_demo(answered=True)
    if journey.world.chance(0.5):
        _sell(journey, journey.pipeline)
        journey.win()
        journey.book("new", 1.0)


def deaf(journey: Journey) -> None:
    """A warm account leaves mails and calls unanswered; some answer in the end."""
    _discover(journey)
    _qualify(journey)
    for _ in range(journey.world.whole(4, 5)):
        journey.wait(2, 5)
        journey.reach_out()
    if journey.world.chance(0.5):
        journey.wait(12, 30)
        journey.reply()
        journey.nurture(2)


def ignored(journey: Journey) -> None:
    """Somebody asks for a demo and nobody calls back."""
    _discover(journey)
    journey.nurture(1)
    journey.ask_for_demo(answered=False)
    journey.wait(3, 9)
    journey.visit(journey.contact(), FIRST_VISITS, LATE_PAGES)


def reader(journey: Journey) -> None:
    """Reads and listens, never buys."""
    _discover(journey)
    journey.nurture(journey.world.whole(3, 7))


def disqualified(journey: Journey) -> None:
    """Sales has a look and says no."""
    _discover(journey)
    if journey.world.chance(0.5):
        journey.qualify("mql")
    journey.reach_out()
    journey.give_feedback(accepted=False)
    journey.disqualify()


STORIES: tuple[tuple[int, Story], ...] = (
    (6, customer), (2, growing_customer), (1, leaving_customer), (1, refunded_customer), (4, loser),
    (1, reopened), (1, mistaken), (2, stuck), (2, cooled), (3, returning), (2, deaf), (2, ignored),
    (4, reader), (2, disqualified),
)  # fmt: skip
"""How often each story is told."""


def tell(story: Story) -> Callable[[World, int], None]:
    """The story as something that begins in a world at an instant (ms)."""
    return lambda world, start: story(Journey(world, start))


def stranger(world: World, start: int) -> None:
    """A visitor who never says who they are."""
    journey = Journey(world, start)
    nobody = journey.meet()
    for _ in range(world.whole(1, 3)):
        journey.visit(nobody, FIRST_VISITS, (*ARTICLES, *PAGES))
        journey.wait(1, 20)


def crawler(world: World, start: int) -> None:
    """A machine reads some pages, one after the other."""
    name, agent = world.next_id("crawl"), world.pick(CRAWLERS)
    at = start
    for _ in range(world.whole(4, 10)):
        at += int(world.between(300, 8_000))
        path, title = world.pick((*PAGES, *ARTICLES))
        fields = {"anonymous_id": name, "url": SITE + path, "title": title, "user_agent": agent}
        world.record("touchpoints", "page_view", at, fields)


def advertising(world: World, start: int) -> None:
    """What a campaign costs, day by day, for two to four weeks."""
    ad = world.pick(ADS)
    currency, budget = world.pick(("EUR", "USD")), world.between(40, 400)
    midnight = (start // DAY_MS + 1) * DAY_MS
    for day in range(world.whole(14, 28)):
        cost = f"{budget * world.between(0.7, 1.1):.2f}"
        fields = {"channel": ad.channel, "campaign": ad.campaign, "cost": cost, "currency": currency}
        world.record("touchpoints", "spend", midnight + day * DAY_MS, fields)
