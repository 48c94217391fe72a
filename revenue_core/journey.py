"""An account's way through the model: the first thing to read.

    apply()   a fact joins the account's set; what was answered before is remembered if it may change
    settle()  what follows from the facts now, compared with what was answered before
    Changes   the rows to send, in the order R60 asks for

Everything answered is a pure function of the facts and of the horizon, the watermark up to which timers have
fired: ``evaluate``. No answer is stored: the old ones are computed again from the old facts, at the moment a
fact is about to change them or, of an account read back in between, from the messages it had then. A touch that
comes last, alters no credit and raises no alert (the ordinary case) takes a short way whose cost does not depend
on how many touches the account has, and for which they need not be read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any, NamedTuple

from revenue_core import follow_up, temperature
from revenue_core.account import Account, Group, join
from revenue_core.alerts import alerts, deal_due
from revenue_core.changes import Answers, Changes, Row, compare
from revenue_core.config import CoreConfig
from revenue_core.conversions import OpenLead, conversions, first_lead_at, next_lead_expiry, open_leads
from revenue_core.cost_sums import first_touch_sums
from revenue_core.credits import draft_credits
from revenue_core.deal_fold import fold_deal
from revenue_core.deals import Deal
from revenue_core.facts import Journey, Touch
from revenue_core.finished import Finished, finished_journeys
from revenue_core.follow_up import FollowUp
from revenue_core.probability.rows import expected_value, probability_rows
from revenue_core.snapshot import snapshot_row
from revenue_core.sums import account_sums, difference, phase_sums
from revenue_core.temperature import Temperature

NEVER = 2**62
"""A due instant that does not come (ms)."""


@dataclass(slots=True)
class Checkpoint:
    """What a touch that comes last needs to know of all facts before it; derived, kept for speed."""

    temperature: Temperature = field(default_factory=Temperature)
    follow_up: FollowUp = field(default_factory=FollowUp)
    deal_due: int = NEVER
    """Earliest instant at which a deal or a lead changes the answers with no new fact."""
    settled_until: int = -1
    """Latest instant that a conversion, the creation of a deal or an alert speaks of: a later touch changes none."""
    alerted_at: int = 0
    """Instant of the latest alert in the set."""
    due: int = NEVER
    """Earliest instant at which the answers change with no new fact."""
    counted: str = ""
    """The temperature under which the account is counted in the partition's sums; empty: in none."""


class Known(NamedTuple):
    """Folds of the lead and deal facts as of some instant; touches do not change them."""

    deals: Mapping[str, Deal]
    leads: list[OpenLead]
    first_lead_at: int | None
    lead_due: int | None
    """When the next open lead expires."""


@dataclass(slots=True)
class State:
    """The live state of one account."""

    account: Account
    silent: bool = False
    """True for accounts that give no outputs (R37)."""
    quarantined: bool = False
    """True once the account's facts made the computation fail; it takes no more until somebody looks at it."""
    applied: int = -1
    """Journal offset of the last record applied."""
    moves: int = 0
    """How often what the account says has come from another account; part of the version of its rows."""
    horizon: int = 0
    """Watermark up to which timers had fired when the account was last settled."""
    unsent: bool = False
    """Touches have gone the short way since the account was last settled."""
    settle_at: int | None = None
    """Facts have come that are answered only once the watermark has passed this instant (ms)."""
    checkpoint: Checkpoint = field(default_factory=Checkpoint)
    answers: Answers | None = None
    """What a full evaluation last found: still what was answered, since touches that came last change neither
    credits nor alerts. None after reading the account back from storage."""
    before: Answers | None = None
    """The answers last given, once a fact has come that may change them."""
    earlier: Callable[[], Account] | None = None
    """Instead of ``before``, after reading the account back in between: the facts those answers were given on."""
    known: Known | None = None
    """Kept until a lead or deal fact comes or a timer fires."""
    again: set[str] = field(default_factory=set)
    """Deals (``deal:<id>``), leads (``lead:<id>``) and movements (``recurring:<identity>``) whose rows are to be sent
    again when the account is settled, also where they have not changed: another account has withdrawn them."""

    @property
    def stale(self) -> bool:
        """Whether facts have come since the last answers that may have changed them."""
        return self.before is not None or self.earlier is not None

    def next_due(self) -> int:
        """Earliest instant at which something has to be sent with no new fact (ms); NEVER if there is none."""
        if self.quarantined:
            return NEVER
        return self.checkpoint.due if self.settle_at is None else self.settle_at


class Change(Enum):
    """What a message did to the set of facts."""

    NOTHING = 0
    """A duplicate."""
    REPEATED = 1
    """A duplicate that lets later ones join: the facts are the same, what is stored is not (R02)."""
    CHANGED = 2


def apply(
    state: State, kind: str, identity: str, message: Group[Any], horizon: int, config: CoreConfig
) -> Change:
    """Add one message to the account; ``settle`` then says what follows.

    ``kind`` is the topic kind and ``identity`` is ``<source>:<event_id>``; ``message`` carries a touch for
    ``touchpoints``, else a ``FactBody``; ``horizon`` is the watermark now.
    """
    account = state.account
    if account.unread is not None:
        if kind == "touchpoints" and _unread(state, identity, message.body, horizon, config):
            return Change.CHANGED
        account.read_past()
    known = account.groups(kind).get(identity)
    if known is not None:
        joined = join(known, message)
        if joined is None:
            return Change.NOTHING
        if [group[:2] for group in joined] == [group[:2] for group in known]:
            account.groups(kind)[identity] = joined
            return Change.REPEATED
    if kind == "touchpoints":
        quick = known is None and not state.stale and _advance(state, message.body, horizon, config)
        if quick:
            state.unsent = True
        else:
            remember(state, config)
        account.add_touch(identity, message)
        return Change.CHANGED
    remember(state, config)
    account.add_fact(kind, identity, message)
    return Change.CHANGED


def settle(state: State, horizon: int, config: CoreConfig) -> Changes:
    """What has to be sent, now that facts have come or timers are due; the watermark is ``horizon``.

    An account may be further on than its partition, whose timers fire in steps; it does not go back.
    """
    earlier, counted = state.horizon, state.checkpoint.counted
    horizon = max(horizon, earlier)
    state.settle_at = None
    if state.silent:
        state.horizon, state.unsent = horizon, False
        return Changes([], {}, {}, [], None, None, {}, earlier)
    if not state.stale and horizon < state.checkpoint.due:
        changes = _after_last_touches(state, config, earlier)
        exists = changes.snapshot is not None
    else:
        before = state.before or _given(state, config)
        after = state.answers = evaluate(state, horizon, config)
        state.before = state.earlier = None
        changes = compare(before, after, config, earlier, unsent=state.unsent, again=state.again)
        state.again = set()
        exists = after.snapshot is not None
    state.horizon, state.unsent = horizon, False
    now_counted = state.checkpoint.counted = state.checkpoint.temperature.name if exists else ""
    if now_counted != counted:
        changes.sums.update(difference(phase_sums(counted), phase_sums(now_counted)))
    return changes


def evaluate(state: State, horizon: int, config: CoreConfig) -> Answers:
    """All answers from the facts alone, timers having fired up to ``horizon``; renews the checkpoint."""
    account = state.account
    account.read_past()
    if not account.latest:
        state.checkpoint, state.known = Checkpoint(), None
        return Answers()
    now = max(horizon, account.latest)
    journey = account.journey()
    known = state.known = _know(journey, now, config)
    found = conversions(journey, known.deals, config)
    drafts = draft_credits(journey, known.deals, found, known.first_lead_at, config)
    watched = alerts(journey, known.deals, config, now, lambda deal, at: expected_value(deal, at, config))
    alerted_at = max((row["at_ms"] for row in watched.rows.values()), default=0)
    checkpoint = state.checkpoint = Checkpoint(
        watched.temperature,
        watched.follow_up,
        deal_due=min(_or_never(deal_due(known.deals, config, now)), _or_never(known.lead_due)),
        settled_until=max(
            [
                -1,
                *(conversion.at for conversion in found),
                *(deal.created_at for deal in known.deals.values()),
            ]
        ),
        alerted_at=alerted_at,
    )
    checkpoint.settled_until = max(checkpoint.settled_until, alerted_at)
    due = _due(checkpoint.temperature, checkpoint.follow_up, checkpoint.deal_due, config)
    checkpoint.due = max(due, now + 1)
    return Answers(
        drafts,
        probability_rows(journey, known.deals, known.leads, config, max(account.latest, alerted_at)),
        watched.rows,
        _snapshot(account, known, checkpoint.temperature),
        {**account_sums(known.deals, config), **first_touch_sums(journey, known.deals, config)},
    )


def probabilities(state: State, config: CoreConfig, as_of: int) -> Mapping[str, Row]:
    """Rows of the account's open subjects as of an instant at which no timer is left to fire."""
    account = state.account
    if state.silent or not (account.lead_groups or account.deal_groups):
        return {}
    known = state.known
    if known is None:
        known = state.known = _know(account.journey(), max(state.horizon, account.latest), config)
    return probability_rows(Journey(account.account_id), known.deals, known.leads, config, as_of)


def finished(state: State, config: CoreConfig, now: int) -> list[Finished]:
    """The journeys of an account that have ended at ``now`` (ms); an account without outputs has none (R33)."""
    account = state.account
    if state.silent or state.quarantined:
        return []
    account.read_past()
    journey = account.journey()
    return finished_journeys(journey, _know(journey, now, config).deals, config, now)


def restate(state: State, before: CoreConfig, config: CoreConfig) -> Changes:
    """What has to be sent of a settled account now that its conversions use other parameters (R44).

    ``before`` is the configuration with the parameters that its rows were made with.
    """
    if state.silent:
        return Changes([], {}, {}, [], None, None, {}, state.horizon)
    counted = state.checkpoint.counted
    given = state.answers = state.answers or evaluate(state, state.horizon, config)
    state.checkpoint.counted = counted
    return compare(given, given, config, state.horizon, unsent=False, config_before=before)


def recall(state: State, config: CoreConfig) -> None:
    """Find the answers last given, if that was put off, while the facts they were given on are still to be had."""
    if state.earlier is not None:
        state.before, state.earlier = _given(state, config), None


def replace_facts(state: State, account: Account) -> None:
    """Go on with another set of facts, of which some have left; what was answered before has been remembered."""
    state.account, state.answers, state.known = account, None, None


def remember(state: State, config: CoreConfig) -> None:
    """Keep the answers given so far, before the facts change."""
    if not (state.stale or state.silent):
        counted = state.checkpoint.counted
        state.before = _given(state, config)
        state.checkpoint.counted = counted
    state.known = None


def _given(state: State, config: CoreConfig) -> Answers:
    """What has been answered so far."""
    if state.earlier is not None:
        return evaluate(State(state.earlier()), state.horizon, config)
    found = state.answers
    if found is None:
        return evaluate(state, state.horizon, config)
    # touches that came last have moved these two on
    as_of = max(state.account.latest, state.checkpoint.alerted_at)
    rows = probabilities(state, config, as_of)
    return replace(
        found,
        probabilities=rows,
        snapshot=_snapshot(state.account, state.known, state.checkpoint.temperature),
    )


def _advance(state: State, touch: Touch, horizon: int, config: CoreConfig) -> bool:
    """Take the short way, if the touch comes last, alters no credit and raises no alert now or already due."""
    if state.silent:
        return True
    checkpoint = state.checkpoint
    if (
        touch.at <= checkpoint.settled_until
        or touch.at >= checkpoint.due
        or not state.account.comes_last(touch)
    ):
        return False
    warmth, waiting = checkpoint.temperature.copy(), checkpoint.follow_up.copy()
    if not temperature.advance(warmth, touch, config.temperature):
        return False
    if not follow_up.advance(waiting, touch, config.temperature):
        return False
    due = _due(warmth, waiting, checkpoint.deal_due, config)
    if due <= max(horizon, state.horizon):
        return False
    checkpoint.temperature, checkpoint.follow_up, checkpoint.due = warmth, waiting, due
    return True


def _unread(state: State, identity: str, touch: Touch, horizon: int, config: CoreConfig) -> bool:
    """Take the short way without reading the touches before, if that is sure to be right."""
    account = state.account
    unread = account.unread
    if unread is None or state.stale or not account.comes_last(touch) or unread.past.may_know(identity):
        return False
    if not _advance(state, touch, horizon, config):
        return False
    account.add_unread(touch)
    state.unsent = True
    return True


def _after_last_touches(state: State, config: CoreConfig, horizon_before: int) -> Changes:
    """Open subjects are scored at the new instant and the snapshot moves on; nothing else has changed."""
    as_of = max(state.account.latest, state.checkpoint.alerted_at)
    rows = probabilities(state, config, as_of)
    snapshot = _snapshot(state.account, state.known, state.checkpoint.temperature)
    return Changes([], rows, {}, [], snapshot, None, {}, horizon_before)


def _know(journey: Journey, now: int, config: CoreConfig) -> Known:
    folded = {deal_id: fold_deal(deal_id, facts, config) for deal_id, facts in journey.deals.items()}
    deals = {deal_id: deal for deal_id, deal in folded.items() if deal is not None}
    leads = open_leads(journey, deals, config, now)
    return Known(deals, leads, first_lead_at(journey), next_lead_expiry(leads))


def _snapshot(account: Account, known: Known | None, warmth: Temperature) -> Row | None:
    return snapshot_row(
        account.account_id,
        first_touch=account.first_touch,
        last_touch=account.last_touch,
        touches=account.touch_count,
        contacts=len(account.contacts),
        deals=known.deals if known else {},
        has_lead=known is not None and known.first_lead_at is not None,
        temperature=warmth,
    )


def _due(warmth: Temperature, waiting: FollowUp, deal_due_at: int, config: CoreConfig) -> int:
    return min(
        deal_due_at,
        _or_never(temperature.due(warmth, config.temperature)),
        _or_never(follow_up.due(waiting, config.temperature)),
    )


def _or_never(at: int | None) -> int:
    return NEVER if at is None else at
