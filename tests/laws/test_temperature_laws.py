"""Laws of the temperature and of follow-ups, against a slow and independent reading of R47 and R50."""

from __future__ import annotations

from decimal import Decimal, localcontext
from itertools import pairwise
from random import Random

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from revenue_core import follow_up, temperature
from revenue_core.account import Account, Group
from revenue_core.config import TemperatureConfig
from revenue_core.facts import DAY_MS, HOUR_MS, OUTBOUND_TYPES, Touch
from revenue_core.follow_up import FollowUp, Missed, follow_up_pass
from revenue_core.temperature import Cooled, Event, Rewarmed, Temperature, temperature_pass

CONFIG = TemperatureConfig()
START = 1_700_006_400_000
KINDS = (
    "page_view", "email_open", "email_reply", "meeting", "form_submit", "demo_request", "ad_impression",
    "call_answered", "email_sent", "email_sent", "call_attempt",
)  # fmt: skip

instants = st.builds(
    lambda hours, ms: START + hours * HOUR_MS + ms,
    st.one_of(st.integers(0, 24 * 10), st.integers(0, 24 * 120)),
    st.sampled_from((0, 0, 1, 777)),
)
touch_sets = st.lists(st.tuples(instants, st.sampled_from(KINDS)), max_size=25).map(
    lambda pairs: sorted(
        Touch(at, f"native:e{index}", kind, kind not in OUTBOUND_TYPES, "Direct")
        for index, (at, kind) in enumerate(pairs)
    )
)
wins = st.lists(instants, max_size=2)
ends = st.integers(0, 24 * 60).map(lambda hours: hours * HOUR_MS)


def horizon(touches: list[Touch], won: list[int], beyond: int) -> int:
    return max([START, *(touch.at for touch in touches), *won]) + beyond


def decayed(weight: Decimal, elapsed: int) -> Decimal:
    return weight * Decimal(2) ** (Decimal(-elapsed) / CONFIG.half_life_ms)


def slow_crossing(energy: Decimal, peak: Decimal, since: int) -> int:
    """First millisecond at which ``energy`` has decayed to a quarter of ``peak``, by bisection."""
    limit = peak / 4 * (1 + Decimal("1e-25"))
    low, high = since - 1, since + 2 * CONFIG.half_life_ms + 1
    while high - low > 1:
        middle = (low + high) // 2
        if decayed(energy, middle - since) <= limit:
            high = middle
        else:
            low = middle
    return high


def slow_pass(touches: list[Touch], won: list[int], now: int) -> list[tuple[str, int, str, int]]:
    """(kind, at, reason, unanswered) by walking one list of everything, energies summed anew each time."""
    timeline: list[tuple[int, int, Touch | None]] = [(touch.at, 0, touch) for touch in touches]
    timeline = sorted([*timeline, *((at, 1, None) for at in won)], key=lambda item: item[:2])
    alerts: list[tuple[str, int, str, int]] = []
    seen: list[Touch] = []
    energies: list[Decimal] = []
    outbound: list[int] = []
    phase, peak = "new", Decimal(0)
    for at, _, touch in [*timeline, (now + 1, 2, None)]:
        if phase == "warm" and (crossing := slow_crossing(energies[-1], peak, seen[-1].at)) < at:
            alerts.append(("cooled", crossing, "energy", len(outbound)))
            phase = "cooled"
        if touch is None:
            phase, seen, energies, outbound = "new", [], [], []
        elif not touch.inbound:
            outbound.append(at)
            if phase == "warm" and len(outbound) >= 3 and at - outbound[0] >= 7 * DAY_MS:
                alerts.append(("cooled", at, "unanswered", len(outbound)))
                phase = "cooled"
        elif CONFIG.weights[touch.type]:
            seen.append(touch)
            parts = [decayed(Decimal(CONFIG.weights[each.type]), at - each.at) for each in seen]
            energies.append(sum(parts, Decimal(0)))
            high_intent = touch.type in ("demo_request", "email_reply")
            if phase == "new":
                days = {each.at // DAY_MS for each in seen}
                if len(seen) >= 3 and len(days) >= 2 and max(energies) >= 3:
                    phase, peak = "warm", energies[-1]
            elif phase == "warm":
                peak = max(peak, energies[-1])
            elif energies[-1] >= peak / 2 or high_intent:
                reason = "energy" if energies[-1] >= peak / 2 else "high_intent"
                alerts.append(("rewarmed", at, reason, len(outbound)))
                phase, peak = "warm", energies[-1]
            outbound = []
    return alerts


@settings(max_examples=150, deadline=None)
@given(touch_sets, wins, ends)
def test_the_pass_agrees_with_an_independent_exact_stepping(
    touches: list[Touch], won: list[int], beyond: int
) -> None:
    now = horizon(touches, won, beyond)
    _, events = temperature_pass(touches, won, CONFIG, now)
    found = [(type(event).__name__.lower(), event.at, event.reason, event.unanswered) for event in events]
    with localcontext() as context:
        context.prec = 40
        assert found == slow_pass(touches, won, now)


@given(touch_sets, wins, ends, st.randoms(use_true_random=False))
def test_order_and_duplication_of_arrival_leave_no_trace(
    touches: list[Touch], won: list[int], beyond: int, rng: Random
) -> None:
    now = horizon(touches, won, beyond)
    arriving = touches + touches
    rng.shuffle(arriving)
    account = Account("acme")
    for touch in arriving:
        account.add_touch(touch.touch_id, Group(touch.at, "", touch.at, touch))
    again = temperature_pass(account.journey().touches, reversed(won), CONFIG, now)
    assert again == temperature_pass(touches, won, CONFIG, now)


@given(touch_sets, wins)
def test_advancing_in_order_equals_the_full_pass_to_the_last_bit(
    touches: list[Touch], won: list[int]
) -> None:
    """``advance`` refuses exactly where alerts change or the touch reaches back to the last win or alert."""
    state, known = Temperature(), 0
    events: list[Event] = []
    for index, touch in enumerate(touches):
        passed = [at for at in won if at < touch.at]
        just_before = touch.at - 1  # timers in the touch's own millisecond come after it
        if len(passed) > known:
            state, events = temperature_pass(touches[:index], passed, CONFIG, just_before)
            known = len(passed)
        full, all_events = temperature_pass(touches[: index + 1], passed, CONFIG, just_before)
        before = state.copy()
        if temperature.advance(state, touch, CONFIG):
            assert all_events == events
            assert state.to_tuple() == full.to_tuple()
        else:
            assert state == before
            assert all_events != events or touch.at <= before.fence
            state, events = full, all_events


@given(touch_sets, wins, ends)
def test_due_is_where_the_next_alert_of_a_quiet_account_appears(
    touches: list[Touch], won: list[int], beyond: int
) -> None:
    now = horizon(touches, won, beyond)
    state, events = temperature_pass(touches, won, CONFIG, now)
    crossing = temperature.due(state, CONFIG)
    far = now + 1000 * DAY_MS
    _, later = temperature_pass(touches, won, CONFIG, far)
    if crossing is None:
        assert later == events
    else:
        assert crossing > now
        assert temperature_pass(touches, won, CONFIG, crossing - 1)[1] == events
        assert later == [*events, Cooled(crossing, "energy", state.unanswered)]


@given(touch_sets, wins, ends)
def test_cooled_and_rewarmed_alternate_between_wins(
    touches: list[Touch], won: list[int], beyond: int
) -> None:
    _, events = temperature_pass(touches, won, CONFIG, horizon(touches, won, beyond))
    assert [event.at for event in events] == sorted(event.at for event in events)
    for one, other in pairwise(events):
        if not any(one.at <= at < other.at for at in won):
            assert type(one) is not type(other)
    for event in events:
        if isinstance(event, Rewarmed):
            assert abs(sum(part.share for part in event.climb) - 1) < 1e-9
            assert event.climb[-1].touch.at == event.at
            assert event.cooled_at <= event.at


@given(st.integers(0, 10**9), st.lists(st.integers(0, 5 * DAY_MS), min_size=3, max_size=12))
def test_a_burst_that_ends_at_its_peak_cools_exactly_two_half_lives_later(
    offset: int, gaps: list[int]
) -> None:
    at, touches = START + offset, []
    for index, gap in enumerate(gaps):
        at += gap
        touches.append(Touch(at, f"native:e{index:02}", "meeting", True, "Direct"))
    if len({touch.at // DAY_MS for touch in touches}) < 2:
        return
    state, _ = temperature_pass(touches, (), CONFIG, at)
    assume(state.energy == state.peak)
    _, events = temperature_pass(touches, (), CONFIG, at + 29 * DAY_MS)
    assert events == [Cooled(at + 28 * DAY_MS, "energy", 0)]


def slow_missed(touches: list[Touch], now: int) -> list[tuple[int, str]]:
    """R50, by looking at every high-intent touch anew."""
    missed = []
    for index, touch in enumerate(touches):
        if touch.type not in CONFIG.high_intent:
            continue
        outbound = [i for i in range(index) if not touches[i].inbound]
        since = outbound[-1] + 1 if outbound else 0
        first = all(other.type not in CONFIG.high_intent for other in touches[since:index])
        deadline = touch.at + 24 * HOUR_MS
        within = [other for other in touches if touch.at < other.at <= deadline]
        answered = any(not other.inbound or other.type in ("meeting", "call_answered") for other in within)
        if first and not answered and deadline <= now:
            missed.append((deadline, touch.touch_id))
    return missed


@given(touch_sets, ends)
def test_missed_follow_ups_agree_with_looking_at_every_touch_anew(touches: list[Touch], beyond: int) -> None:
    now = horizon(touches, [], beyond)
    _, missed = follow_up_pass(touches, CONFIG, now)
    assert [(each.at, each.touch.touch_id) for each in missed] == slow_missed(touches, now)


@given(touch_sets)
def test_advancing_follow_ups_in_order_equals_the_full_pass(touches: list[Touch]) -> None:
    state = FollowUp()
    missed: list[Missed] = []
    for index, touch in enumerate(touches):
        full, all_missed = follow_up_pass(touches[: index + 1], CONFIG, touch.at - 1)
        before = state.copy()
        if follow_up.advance(state, touch, CONFIG):
            assert all_missed == missed
            assert state == full
        else:
            assert state == before
            assert all_missed != missed or touch.at <= before.fence
            state, missed = full, all_missed
        assert len(state.waiting) <= 2
        assert FollowUp.from_tuple(state.to_tuple()) == state


@given(touch_sets, ends)
def test_a_follow_up_is_missed_when_it_is_due(touches: list[Touch], beyond: int) -> None:
    now = horizon(touches, [], beyond)
    state, missed = follow_up_pass(touches, CONFIG, now)
    deadline = follow_up.due(state, CONFIG)
    if deadline is None:
        assert follow_up_pass(touches, CONFIG, now + 1000 * DAY_MS)[1] == missed
    else:
        assert deadline > now
        assert follow_up_pass(touches, CONFIG, deadline - 1)[1] == missed
        assert len(follow_up_pass(touches, CONFIG, deadline)[1]) > len(missed)
