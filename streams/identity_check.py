"""What of identity is in doubt in files, and what that holds back (R37 to R42): ``headwater identity check``."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from revenue_core.account import Account, Group
from revenue_core.config import CoreConfig
from revenue_core.deal_fold import fold_deal
from revenue_core.facts import Fact
from revenue_core.identity.erasures import ERASURE
from revenue_core.identity.graph import Graph
from revenue_core.identity.observations import HELD, Observation, event_of, fact_order, first_of
from revenue_core.instants import iso_z
from schemas.fields import bare_domain
from streams import codec, homes, translate
from streams.agents.ingest import Decode, IngestTables
from streams.effects import Record
from streams.explain_identity import shortened
from streams.files import Line
from streams.memory.executor import MemoryExecutor
from streams.memory.log import MemoryLog
from streams.service import Service
from streams.topology import ANSWERS, DEAD_LETTERS

COMPANIES = frozenset({"A:", "w:"})
PEOPLE = frozenset({"c:", "e:", "a:"})
MERGED = "account_merged"
DELETED = "deleted"


@dataclass(slots=True)
class Held:
    """Facts that something keeps from a company's account."""

    touches: int = 0
    leads: set[str] = field(default_factory=set)
    deals: dict[str, tuple[str, int]] = field(default_factory=dict)
    """Deal id -> (currency, amount in minor units), deleted ones left out."""

    def __bool__(self) -> bool:
        return bool(self.touches or self.leads or self.deals)

    def amounts(self) -> dict[str, int]:
        """Currency -> sum of the amounts of the deals, in minor units."""
        found: defaultdict[str, int] = defaultdict(int)
        for currency, amount in self.deals.values():
            found[currency] += amount
        return dict(sorted(found.items()))

    def add(self, other: Held) -> None:
        """Take what another one holds as well."""
        self.touches += other.touches
        self.leads |= other.leads
        self.deals |= other.deals

    def to_json(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "touches": self.touches,
            "leads": len(self.leads),
            "deals": len(self.deals),
            "amounts_minor": self.amounts(),
        }


@dataclass(frozen=True, slots=True)
class Claim:
    """An account that claims a domain, by its first event that does so."""

    account_id: str
    at: str
    event: str


@dataclass(frozen=True, slots=True)
class Ambiguous:
    """A domain that several accounts claim (R38)."""

    domain: str
    claims: list[Claim]
    held: Held


@dataclass(slots=True)
class Shared:
    """An identifier with too many partners of a stronger kind (R40)."""

    identifier: str
    """Key with the prefix of its kind; hashes shortened."""
    partners: dict[str, set[str]]
    """Prefix of a kind towards which its links are void -> the partners."""
    limit: int
    facts: int = 0
    """Facts that carry it."""
    held: Held = field(default_factory=Held)
    """Those of them that are in no company's account."""


@dataclass(frozen=True, slots=True)
class Circle:
    """A merge that would close a circle, and is ignored (R41)."""

    account_id: str
    into_account_id: str
    at: str
    event: str


@dataclass(frozen=True, slots=True)
class Stranger:
    """An erasure of somebody of whom nothing was known (R42)."""

    at: str
    event: str
    identifiers: list[str]


@dataclass(slots=True)
class Report:
    """What of identity is in doubt."""

    lines: int = 0
    refused: int = 0
    """Lines that cannot be used."""
    accounts: int = 0
    """That have facts, those that give no rows included."""
    ambiguous: list[Ambiguous] = field(default_factory=list)
    shared: list[Shared] = field(default_factory=list)
    circles: list[Circle] = field(default_factory=list)
    strangers: list[Stranger] = field(default_factory=list)
    free_domains: dict[str, list[str]] = field(default_factory=dict)
    """Free-mail or disposable domain -> the accounts that claim it in vain."""
    visitors: int = 0
    """That nobody has claimed."""
    unclaimed: Held = field(default_factory=Held)
    """What these have."""
    leads: Held = field(default_factory=Held)
    """Of leads without any account."""
    held: Held = field(default_factory=Held)
    """By all that is in doubt, each thing counted once."""

    @property
    def doubts(self) -> dict[str, int]:
        """How many there are of what somebody should look at, by name, where there is any."""
        found = {
            "ambiguous domains": len(self.ambiguous),
            "shared identifiers": len(self.shared),
            "merges in a circle": len(self.circles),
            "erasures of somebody unknown": len(self.strangers),
            "free domains claimed": len(self.free_domains),
            "lines refused": self.refused,
        }
        return {name: number for name, number in found.items() if number}

    def to_json(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "lines": self.lines,
            "refused": self.refused,
            "accounts": self.accounts,
            "ambiguous_domains": [
                {"domain": e.domain, "claims": [asdict(c) for c in e.claims], "held": e.held.to_json()}
                for e in self.ambiguous
            ],
            "shared_identifiers": [
                {
                    "identifier": each.identifier,
                    "partners": {NAMES[kind]: len(found) for kind, found in each.partners.items()},
                    "limit": each.limit,
                    "facts": each.facts,
                    "held": each.held.to_json(),
                }
                for each in self.shared
            ],
            "circles": [asdict(each) for each in self.circles],
            "strangers": [asdict(each) for each in self.strangers],
            "free_domains": self.free_domains,
            "visitors": self.visitors,
            "unclaimed": self.unclaimed.to_json(),
            "leads_without_account": self.leads.to_json(),
            "held": self.held.to_json(),
        }


NAMES = {"e:": "emails", "c:": "contacts", "A:": "accounts"}


class Check:
    """Feeds lines through an offline service, writes nothing, and says what is in doubt."""

    def __init__(self, service: Service, config: CoreConfig, max_links: int) -> None:
        self.service, self.config, self.max_links = service, config, max_links
        self.seen = Seen(service.ingest.tables)
        service.ingest.decoders = {
            name: self.seen.noting(decode) for name, decode in service.ingest.decoders.items()
        }
        self.log = MemoryLog()
        self.executor = MemoryExecutor(
            service.agents, self.log, lambda: service.ingest.latest, followers=service.followers
        )
        self.report = Report()

    def feed(self, line: Line) -> None:
        """Take one line as a record of its source topic."""
        self.report.lines += 1
        if line.rejected is not None or line.kind is None:
            self.report.refused += 1
            return
        self.log.append(line.kind, None, line.message, self.service.ingest.latest)
        self.executor.drain()
        for topic in ANSWERS:
            self.log.take(topic)
        self.report.refused += len(self.log.take(DEAD_LETTERS))

    def finish(self) -> Report:
        """What is in doubt by all the lines taken."""
        report, graph = self.report, self.service.coordinator.links.graph
        domains = {domain: _ambiguous(graph, domain) for domain in graph.ambiguous()}
        shared = {key: self._shared(graph, key) for key in sorted(graph.shared_identifiers())}
        self._accounts(graph, domains, shared)
        report.ambiguous, report.shared = list(domains.values()), list(shared.values())
        report.circles = _circles(graph)
        report.strangers = [_stranger(each) for each in self.seen.strangers(graph)]
        report.free_domains = {name: sorted(found) for name, found in sorted(self.seen.free.items())}
        for held in (*(each.held for each in report.ambiguous), *(each.held for each in report.shared)):
            report.held.leads |= held.leads
            report.held.deals |= held.deals
        return report

    def _shared(self, graph: Graph, key: str) -> Shared:
        partners = {
            f"{kind}:": {first_of(fact.ids, kind) for fact in graph.view.facts(key)} - {""}
            for kind in sorted(graph.shared(key))
        }
        return Shared(shortened(key), partners, self.max_links)

    def _accounts(self, graph: Graph, domains: Mapping[str, Ambiguous], shared: Mapping[str, Shared]) -> None:
        """Look at every account."""
        table, report = self.executor.tables["journey", 0], self.report
        for key, raw in table.items():
            if key[:1] == b"\0":
                continue
            root = key.decode()
            state, _ = codec.decode(root, translate.account_id(root), raw, table.get)
            account = state.account
            if not (account.touch_count or account.lead_groups or account.deal_groups):
                continue
            report.accounts += 1
            whole = held_of(account, self.config)
            doubtful = False
            for domain in _holding(graph, root, domains):
                domains[domain].held.add(whole)
                doubtful = True
            if root[:2] == "a:":
                report.visitors += 1
                report.unclaimed.add(whole)
            elif root[:2] == "l:":
                report.leads.add(whole)
            touches = _spread(root, account, whole, shared) if shared else 0
            report.held.touches += whole.touches if doubtful else touches


def _holding(graph: Graph, root: str, domains: Mapping[str, Ambiguous]) -> list[str]:
    """The ambiguous domains that hold an account, or keep a lead or a deal from one."""
    if root.startswith(HELD):
        return [each for each in (root.removeprefix(HELD),) if each in domains]
    if root[:2] in {"l:", "d:"}:
        return [each for each in dict.fromkeys(graph.target(root).domains) if each in domains]
    return []


def _spread(root: str, account: Account, whole: Held, shared: Mapping[str, Shared]) -> int:
    """Count the facts of an account to the shared identifiers they carry; the touches that these hold back."""
    account.read_past()
    alone, touches = root[:2] not in COMPANIES, 0
    for kind in ("touchpoints", "leads", "deals"):
        for message in (each for messages in account.groups(kind).values() for each in messages):
            found = [each for each in _ids(message, root) if each in shared]
            for each in found:
                entry = shared[each]
                entry.facts += 1
                for prefix, partners in entry.partners.items():
                    partners.update(other for other in _ids(message, root) if other[:2] == prefix)
                if alone:
                    _hold(entry.held, kind, message, whole)
            touches += bool(found) and alone and kind == "touchpoints"
    return touches


def _ids(message: Group[Any], root: str) -> Sequence[str]:
    return homes.load(message.home).ids if message.home else (root,)


def _hold(held: Held, kind: str, message: Group[Any], whole: Held) -> None:
    if kind == "touchpoints":
        held.touches += 1
        return
    fields = message.body.fields
    if fields.get("lead_id") in whole.leads:
        held.leads.add(fields["lead_id"])
    if fields.get("deal_id") in whole.deals:
        held.deals[fields["deal_id"]] = whole.deals[fields["deal_id"]]


def held_of(account: Account, config: CoreConfig) -> Held:
    """What an account has."""
    journey = account.journey()
    leads = {str(fact.body["lead_id"]) for fact in journey.leads}
    return Held(account.touch_count, leads, dict(_deals(journey.deals, config)))


def _deals(deals: Mapping[str, Sequence[Fact]], config: CoreConfig) -> Iterable[tuple[str, tuple[str, int]]]:
    for deal_id, facts in deals.items():
        deal = fold_deal(deal_id, facts, config)
        if deal is not None and deal.status != DELETED:
            yield deal_id, (deal.currency, deal.amount_minor)


def _ambiguous(graph: Graph, domain: str) -> Ambiguous:
    claims = sorted(graph.domains.claimants(domain).items(), key=lambda claim: fact_order(claim[1]))
    return Ambiguous(domain[2:], [Claim(account[2:], *_made(fact)) for account, fact in claims], Held())


def _made(fact: Observation) -> tuple[str, str]:
    """When, and by which event."""
    at, source, event_id = event_of(fact)
    return iso_z(at), f"{source}:{shortened(event_id)}"


def _circles(graph: Graph) -> list[Circle]:
    last: dict[str, Observation] = {}
    for message in sorted(graph.messages(), key=fact_order) if graph.merges.refused else ():
        account = first_of(message.ids, "A")
        if message.type == MERGED and account in graph.merges.refused:
            last[account] = message
    found = sorted(last.items(), key=lambda entry: fact_order(entry[1]))
    return [Circle(account[2:], fact.into, *_made(fact)) for account, fact in found]


def _stranger(erasure: Observation) -> Stranger:
    return Stranger(*_made(erasure), [shortened(each) for each in erasure.ids if each[:2] in PEOPLE])


class Seen:
    """What the events said that no fact remembers."""

    def __init__(self, tables: IngestTables) -> None:
        self.tables = tables
        self.first: dict[str, int] = {}
        """Person or visitor -> instant (ms) of the first fact about them."""
        self.free: defaultdict[str, set[str]] = defaultdict(set)
        """Free-mail or disposable domain -> the accounts that claim it."""

    def noting(self, decode: Decode) -> Decode:
        """The decoder, with what it gives noted."""

        def noted(record: Record, now_ms: int) -> Sequence[tuple[str, Mapping[str, Any]]]:
            events = decode(record, now_ms)
            for kind, event in events:
                self._note(kind, event)
            return events

        return noted

    def strangers(self, graph: Graph) -> list[Observation]:
        """The erasures of somebody of whom nothing was known up to then."""
        erasures = (each for each in graph.messages() if each.type == ERASURE)
        return sorted((each for each in erasures if not self._known(each)), key=fact_order)

    def _known(self, erasure: Observation) -> bool:
        return any(self.first.get(each, erasure.at + 1) <= erasure.at for each in erasure.ids)

    def _note(self, kind: str, event: Mapping[str, Any]) -> None:
        named = [event["domain"]] if "domain" in event else []
        if event["type"] == "account_updated":
            named += event.get("domains", ())
        if "account_id" in event:
            for domain in map(bare_domain, named):
                if self.tables.is_free(domain):
                    self.free[domain].add(event["account_id"])
        ids = translate.identifiers(event, self.tables.hash_key)
        if event["type"] == ERASURE or not ids:
            return
        keys, _ = translate.keys(kind, ids, self.tables.is_free)
        for key in keys:
            if key[:2] in PEOPLE:
                self.first[key] = min(self.first.get(key, event["occurred_at"]), event["occurred_at"])
