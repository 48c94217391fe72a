"""One account's journey, step by step: each step writes what trackers, mailers, dialers and the CRM would send."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from streams import generator_data as data
from streams.generator_cast import CLOSED, STAGES, Company, Contact, Deal, found
from streams.generator_data import Entry
from streams.generator_world import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS, Fields, World, day_text


@dataclass(slots=True)
class Journey:
    """Where an account stands; every step moves ``now`` (epoch ms) forward."""

    world: World
    now: int
    company: Company = field(init=False)
    pipeline: str = field(init=False)
    sdr: str = field(init=False)
    closer: str = field(init=False)
    contacts: list[Contact] = field(default_factory=list)
    leads: list[str] = field(default_factory=list)
    deal: Deal | None = None

    def __post_init__(self) -> None:
        self.company = found(self.world)
        self.pipeline = self.world.pick(("default", "hubspot"))
        self.sdr, self.closer = self.world.pick(data.SDRS), self.world.pick(data.CLOSERS)
        self.wait(0, 1)

    # Time

    def wait(self, low: float, high: float) -> None:
        """Days pass, up to the next office hours after them."""
        day = (self.now + int(self.world.between(low, high) * DAY_MS)) // DAY_MS
        hour = int(self.world.between(8, 18) * HOUR_MS)
        if day * DAY_MS + hour <= self.now:
            day += 1
        weekday = (day + 3) % 7  # the epoch was a Thursday
        if weekday > 4:
            day += 7 - weekday
        self.now = day * DAY_MS + hour

    def soon(self, low: float, high: float) -> None:
        """Hours pass, whatever the time of day."""
        self.now += int(self.world.between(low, high) * HOUR_MS)

    # People

    def meet(self) -> Contact:
        """A person who has not been here before, still anonymous."""
        world = self.world
        first, last = divmod(
            world.whole(0, len(data.FIRST_NAMES) * len(data.LAST_NAMES) - 1), len(data.LAST_NAMES)
        )
        name = f"{data.FIRST_NAMES[first]}.{data.LAST_NAMES[last]}"
        contact = Contact(
            world.next_id("contact"),
            f"{name}@{self.company.domain}",
            world.next_id("visitor"),
            world.pick(data.BROWSERS),
            world.pick(data.ROLES),
        )
        if all(contact.email != other.email for other in self.contacts):
            self.contacts.append(contact)
            return contact
        return self.meet()

    def contact(self) -> Contact:
        """Somebody of the account whose name is known."""
        known = [contact for contact in self.contacts if contact.known]
        return self.world.pick(known)

    def fill_in(self, contact: Contact) -> None:
        """The person gives their address for something and is no longer anonymous."""
        world = self.world
        kind = world.pick(("form_submit", "download", "webinar"))
        content = world.pick(data.WEBINARS if kind == "webinar" else data.ASSETS)
        fields = {"url": f"{data.SITE}/resources/{content}", "content_id": content}
        self._touch(kind, contact, fields, web=True)
        self.now += world.whole(2, 20) * SECOND_MS
        first_known = not any(other.known for other in self.contacts)
        contact.known = True
        self._lead_event(
            "contact_identified",
            {
                "contact_id": contact.contact_id,
                "email": contact.email,
                "anonymous_id": contact.anonymous_id,
                "domain": self.company.domain,
            },
        )
        if first_known:
            self._describe_company()

    def _describe_company(self) -> None:
        company = self.company
        segment = next(name for least, name in data.SEGMENT_FROM if company.employees >= least)
        self.now += self.world.whole(1, 30) * SECOND_MS
        self._lead_event(
            "account_updated",
            {
                "name": company.name,
                "industry": company.industry,
                "employees": company.employees,
                "segment": segment,
                "owner_id": self.closer,
                "domains": [company.domain],
            },
        )

    # Touches

    def visit(self, contact: Contact, entries: Sequence[Entry], pages: Sequence[tuple[str, str]]) -> None:
        """One to four pages in one session, entered from somewhere."""
        world, entry = self.world, self.world.pick(entries)
        session, referrer, query = world.next_id("session"), entry.referrer, entry.query
        if entry.click_id:
            click = f"{entry.click_id}={int(world.draw() * 2**48):012x}"
            query = f"{query}&{click}" if query else click
        for _ in range(1 + int(world.draw() ** 2 * 4)):
            path, title = world.pick(pages)
            url = f"{data.SITE}{path}?{query}" if query else data.SITE + path
            fields: Fields = {"session_id": session, "url": url, "title": title}
            if referrer:
                fields["referrer"] = referrer
            self._touch("page_view", contact, fields, web=True)
            referrer, query = data.SITE + path, ""
            self.now += int(world.between(15, 240) * SECOND_MS)

    def nurture(self, rounds: int) -> None:
        """Mails, visits, ads and events, some days apart."""
        for _ in range(rounds):
            self.wait(2, 8)
            self._nurture(self.contact())

    def _nurture(self, contact: Contact) -> None:
        world, what = self.world, self.world.draw()
        if what < 0.4:
            self._read_newsletter(contact)
        elif what < 0.62:
            self.visit(contact, data.LATER_VISITS, data.LATE_PAGES)
        elif what < 0.76:
            self._meet_ad(contact)
        elif what < 0.84:
            webinar = world.pick(data.WEBINARS)
            self._touch("webinar", contact, {"content_id": webinar, "team": "marketing", "campaign": webinar})
        elif what < 0.92:
            asset = world.pick(data.ASSETS)
            fields = {"url": f"{data.SITE}/resources/{asset}", "content_id": asset}
            self._touch("download", contact, fields, web=True)
        elif what < 0.97:
            self._touch(
                "chat",
                contact,
                {"url": f"{data.SITE}/pricing", "rep_id": self.sdr, "team": "sales"},
                web=True,
            )
        else:
            fields = {"campaign": world.pick(data.EVENTS), "team": "marketing"}
            self._touch("event_attended", contact, fields)

    def _read_newsletter(self, contact: Contact) -> None:
        name = self.world.pick(data.NEWSLETTERS)
        fields = {
            "utm_source": "newsletter", "utm_medium": "email", "utm_campaign": name, "team": "marketing",
        }  # fmt: skip
        self._touch("email_open", contact, fields)
        if self.world.chance(0.5):
            self.now += self.world.whole(5, 90) * SECOND_MS
            self._touch("email_click", contact, {**fields, "url": f"{data.SITE}/blog/{name}"})
            self.now += SECOND_MS
            landing = Entry("", f"utm_source=newsletter&utm_medium=email&utm_campaign={name}")
            self.visit(contact, (landing,), data.LATE_PAGES)

    def _meet_ad(self, contact: Contact) -> None:
        """Seen once or twice, clicked more often than real ads are."""
        world, ad = self.world, self.world.pick(data.ADS)
        fields: Fields = {
            "utm_source": ad.source, "utm_medium": ad.medium, "utm_campaign": ad.campaign, "team": "marketing",
        }  # fmt: skip
        for _ in range(world.whole(1, 2)):
            cost = f"{world.between(0.004, 0.04):.4f}"
            self._touch("ad_impression", contact, {**fields, "cost": cost, "currency": "EUR"})
            self.now += int(world.between(1, 40) * MINUTE_MS)
        if world.chance(0.6):
            click_id = f"{int(world.draw() * 2**48):012x}"
            fields |= {"click_id": click_id, "click_id_type": ad.click_id_type}
            fields |= {"cost": f"{world.between(1, 9):.2f}", "currency": "EUR"}
            self._touch("ad_click", contact, fields, web=True)
            self.now += 2 * SECOND_MS
            self.visit(contact, (Entry(),), data.LATE_PAGES)

    def ask_for_demo(self, *, answered: bool) -> None:
        """High intent; ``answered`` says whether sales calls back within the day and meets them."""
        contact = self.contact()
        self.visit(contact, data.LATER_VISITS, data.LATE_PAGES)
        fields = {"url": f"{data.SITE}/demo", "title": "Book a demo", "content_id": "demo-form"}
        self._touch("demo_request", contact, fields, web=True)
        if answered:
            self.soon(0.2, 3)
            self._outbound("call_attempt", contact)
            self._meeting(contact)

    # Sales

    def reach_out(self) -> None:
        """A mail, a call or a message that nobody has asked for."""
        self._outbound(
            self.world.pick(("email_sent", "email_sent", "call_attempt", "message_sent")), self.contact()
        )

    def converse(self) -> None:
        """Sales writes or calls and is answered."""
        self.wait(1, 4)
        contact, answer = self.contact(), self.world.draw()
        if answer < 0.4:
            self._outbound("email_sent", contact)
            self.wait(0.5, 3)
            self.reply(contact)
        elif answer < 0.75:
            self._outbound("call_attempt", contact)
            self.now += 20 * SECOND_MS
            self._sales_touch("call_answered", contact)
        else:
            self._outbound("message_sent", contact)
            self._meeting(contact)

    def reply(self, contact: Contact | None = None) -> None:
        """A mail comes back, and sales answers it within hours."""
        contact = contact or self.contact()
        self._sales_touch("email_reply", contact)
        self.soon(0.2, 3)
        self._outbound("email_sent", contact)

    def _meeting(self, contact: Contact) -> None:
        self.wait(1, 4)
        self._sales_touch("meeting", contact)
        self.now += 45 * MINUTE_MS

    def _outbound(self, kind: str, contact: Contact) -> None:
        self._sales_touch(kind, contact)
        self.now += 5 * SECOND_MS

    def _sales_touch(self, kind: str, contact: Contact) -> None:
        rep, role = (self.closer, "account_executive") if self.deal else (self.sdr, "sdr")
        fields = {"contact_role": contact.role, "rep_id": rep, "rep_role": role, "team": "sales"}
        self._touch(kind, contact, fields)

    # Leads

    def create_lead(self, contact: Contact) -> None:
        """The CRM opens a lead for the person."""
        self.now += self.world.whole(10, 300) * SECOND_MS
        self.leads.append(self.world.next_id("lead"))
        fields = {"contact_id": contact.contact_id, "email": contact.email}
        fields["crm_source"] = data.CRM_OF_PIPELINE[self.pipeline]
        self._lead("lead_created", fields)

    def qualify(self, level: str) -> None:
        """``mql`` or ``sql``."""
        self.now += self.world.whole(1, 40) * MINUTE_MS
        self._lead("lead_qualified", {"level": level})

    def give_feedback(self, *, accepted: bool) -> None:
        """Sales tells marketing what the lead is worth."""
        self.wait(0, 2)
        low, high = (0.55, 0.98) if accepted else (0.02, 0.4)
        self._lead("lead_feedback", {"accepted": accepted, "score": round(self.world.between(low, high), 2)})

    def disqualify(self) -> None:
        """The lead leads nowhere."""
        self.now += self.world.whole(1, 40) * MINUTE_MS
        self._lead("lead_disqualified", {"reason": self.world.pick(data.DISQUALIFIED_REASONS)})

    # Deals

    def open_deal(self, pipeline: str) -> None:
        """A deal in the first stage, with what the CRM knows of it."""
        world = self.world
        self.now += world.whole(10, 90) * MINUTE_MS
        amount = int(1_500 + self.company.employees**0.6 * world.between(60, 700)) // 50 * 50
        if self.company.currency == "JPY":
            amount *= data.YEN_PER_UNIT
        self.deal = Deal(world.next_id("deal"), pipeline, amount)
        self._patch({
            "pipeline": pipeline, "stage": STAGES[pipeline][0], **self._money(amount),
            "name": f"{self.company.name}: {world.pick(data.PRODUCTS)}", "owner_id": self.closer,
            "lead_ids": list(self.leads), "contact_ids": [c.contact_id for c in self.contacts if c.known],
            "crm_source": data.CRM_OF_PIPELINE[pipeline],
            "expected_close_date": day_text(self.now // DAY_MS + world.whole(40, 90)),
        })  # fmt: skip

    def has_next_stage(self) -> bool:
        """Whether the deal can go on and stay open."""
        deal = self._deal()
        return deal.stage + 1 < len(STAGES[deal.pipeline])

    def next_stage(self) -> None:
        """One stage on; sometimes the amount is settled anew."""
        deal = self._deal()
        self.now += self.world.whole(2, 60) * MINUTE_MS
        deal.stage = min(deal.stage + 1, len(STAGES[deal.pipeline]) - 1)
        fields: Fields = {"stage": STAGES[deal.pipeline][deal.stage]}
        if self.world.chance(0.25):
            deal.amount = int(deal.amount * self.world.between(0.8, 1.15)) // 10 * 10
            fields |= self._money(deal.amount)
        self._patch(fields)

    def work_on_deal(self) -> None:
        """What happens in one stage: talks, visits, other people."""
        self.converse()
        if self.world.chance(0.6):
            self.nurture(1)
        if self.world.chance(0.4):
            self.converse()
        self.wait(1, 5)

    def win(self) -> None:
        """The deal is signed."""
        won, _ = CLOSED[self._deal().pipeline]
        self.now += 5 * MINUTE_MS
        self._patch(won | self._money(self._deal().amount) | {"mrr": str(self._deal().amount // 12)})

    def lose(self) -> None:
        """The deal is off."""
        _, lost = CLOSED[self._deal().pipeline]
        self.now += 5 * MINUTE_MS
        self._patch(lost | {"lost_reason": self.world.pick(data.LOST_REASONS)})

    def reopen(self) -> None:
        """The closed deal is open again."""
        self.now += 5 * MINUTE_MS
        deal = self._deal()
        self._patch({"status": "open", "stage": STAGES[deal.pipeline][deal.stage]})

    def delete_deal(self) -> None:
        """The deal vanishes from the CRM."""
        self.now += 5 * MINUTE_MS
        self._deal_event("deal_deleted", {})

    def refund(self) -> None:
        """A fifth to a half of the price goes back."""
        self._deal_event("refund", self._money(int(self._deal().amount * self.world.between(0.2, 0.5))))

    def book(self, movement: str, share: float) -> None:
        """An MRR movement: that share of a twelfth of the deal's amount."""
        self.now += 10 * MINUTE_MS
        amount = max(1, int(self._deal().amount / 12 * share))
        self._deal_event("mrr_movement", {"movement": movement, **self._money(amount)})

    # Writing

    def _money(self, amount: int) -> Fields:
        """A price as billing systems print it: yen have no decimals."""
        if self.company.currency == "JPY":
            return {"amount": str(amount), "currency": "JPY"}
        return {"amount": f"{amount}.00", "currency": self.company.currency}

    def _deal(self) -> Deal:
        assert self.deal is not None, "the story opens a deal first"
        return self.deal

    def _touch(self, kind: str, contact: Contact, fields: Fields, *, web: bool = False) -> None:
        """``web``: the browser was there, so its id and name are seen."""
        ids: Fields = {}
        if contact.known:
            ids = {"account_id": self.company.account_id, "contact_id": contact.contact_id}
        if web or not contact.known:
            ids["anonymous_id"] = contact.anonymous_id
            fields = {**fields, "user_agent": contact.browser}
        self.world.record("touchpoints", kind, self.now, {**ids, **fields})

    def _lead(self, kind: str, fields: Fields) -> None:
        self._lead_event(kind, {"lead_id": self.leads[0 if kind != "lead_created" else -1], **fields})

    def _lead_event(self, kind: str, fields: Fields) -> None:
        self.world.record("leads", kind, self.now, {"account_id": self.company.account_id, **fields})

    def _patch(self, fields: Fields) -> None:
        self._deal_event("deal_updated", fields)

    def _deal_event(self, kind: str, fields: Fields) -> None:
        ids = {"account_id": self.company.account_id, "deal_id": self._deal().deal_id}
        self.world.record("deals", kind, self.now, {**ids, **fields})
