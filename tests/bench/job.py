"""The journey job, one hop: a touch in, the account's row out. Every entry of the first part does exactly this.

State of an account: its last ``keep`` distinct touches in order of arrival, an energy that decays, the outbound
touches since the last answer, and how many touches there were. A touch whose id is among the kept ones is a
duplicate: nothing changes and the row is sent again, marked.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from math import isclose
from typing import Any

import orjson

KEEP = int(os.environ.get("BENCH_KEEP", "50"))
HALF_LIFE_MS = 14 * 86_400_000
EDGE, BETWEEN = 0.4, 0.2
"""Position-based shares: first and last touch, and all others together."""
WEIGHTS = {
    "page_view": 1.0, "ad_click": 2.0, "ad_impression": 0.1, "email_open": 0.5, "email_click": 2.0,
    "email_reply": 5.0, "call_answered": 8.0, "meeting": 12.0, "form_submit": 6.0, "demo_request": 15.0,
    "webinar": 7.0, "download": 4.0, "chat": 3.0, "email_sent": 0.0, "call_attempt": 0.0, "message_sent": 0.0,
}  # fmt: skip
OUTBOUND = frozenset({"email_sent", "call_attempt", "message_sent"})

State = dict[str, Any]
"""JSON as it stands."""
Row = dict[str, Any]


def new_state() -> State:
    """An account without a touch."""
    return {
        "ids": [], "times": [], "channels": [], "kinds": [], "per_channel": {},
        "energy": 0.0, "energy_ms": 0, "unanswered": 0, "touches": 0,
    }  # fmt: skip


def fold(state: State, event: Mapping[str, Any], keep: int = KEEP) -> Row:
    """Take a touch into ``state``, in place; returns the row it causes."""
    duplicate = event["event_id"] in state["ids"]
    if not duplicate:
        _append(state, event, keep)
        _decay_and_add(state, WEIGHTS[event["type"]], event["occurred_at"])
        state["unanswered"] = state["unanswered"] + 1 if event["type"] in OUTBOUND else 0
        state["touches"] += 1
    return {
        "account_id": event["account_id"],
        "touch_id": event["event_id"],
        "touch_ms": event["occurred_at"],
        "channel": event["channel"],
        "kind": event["type"],
        "energy": state["energy"],
        "unanswered": state["unanswered"],
        "touches": state["touches"],
        "kept": len(state["ids"]),
        "duplicate": duplicate,
        "first_touch_id": state["ids"][0],
        "shares": _shares(state["channels"], state["per_channel"]),
    }


def _append(state: State, event: Mapping[str, Any], keep: int) -> None:
    ids, channels, per_channel = state["ids"], state["channels"], state["per_channel"]
    channel = event["channel"]
    ids.append(event["event_id"])
    state["times"].append(event["occurred_at"])
    channels.append(channel)
    state["kinds"].append(event["type"])
    per_channel[channel] = per_channel.get(channel, 0) + 1
    if len(ids) > keep:
        oldest = channels[0]
        for column in (ids, state["times"], channels, state["kinds"]):
            del column[0]
        per_channel[oldest] -= 1
        if not per_channel[oldest]:
            del per_channel[oldest]


def _decay_and_add(state: State, weight: float, at_ms: int) -> None:
    """Energy halves every ``HALF_LIFE_MS``; what comes late has already lost its part."""
    ahead = at_ms - state["energy_ms"]
    if ahead >= 0:
        state["energy"] = state["energy"] * 2.0 ** (-ahead / HALF_LIFE_MS) + weight
        state["energy_ms"] = at_ms
    else:
        state["energy"] += weight * 2.0 ** (ahead / HALF_LIFE_MS)


def _shares(channels: list[str], per_channel: Mapping[str, int]) -> dict[str, float]:
    """Share of each channel; they add up to 1. One touch has all of it, two have half each."""
    kept = len(channels)
    if kept < 3:
        return {channel: count / kept for channel, count in per_channel.items()}
    each = BETWEEN / (kept - 2)
    shares = {channel: count * each for channel, count in per_channel.items()}
    shares[channels[0]] += EDGE - each
    shares[channels[-1]] += EDGE - each
    return shares


def reference(records: Iterable[tuple[bytes, bytes]], keep: int = KEEP) -> dict[str, Row]:
    """Account -> the last row that a correct entry sends for these (key, value) records."""
    states: dict[bytes, State] = {}
    rows: dict[str, Row] = {}
    for key, value in records:
        state = states.get(key)
        if state is None:
            state = states[key] = new_state()
        rows[key.decode()] = fold(state, orjson.loads(value), keep)
    return rows


def same(found: Row, wanted: Row) -> bool:
    """Whether rows agree; energy and shares up to rounding."""
    exact = wanted.keys() - {"energy", "shares"}
    if found.keys() != wanted.keys() or any(found[name] != wanted[name] for name in exact):
        return False
    shares, right = found["shares"], wanted["shares"]
    return (
        isclose(found["energy"], wanted["energy"], rel_tol=1e-9, abs_tol=1e-9)
        and shares.keys() == right.keys()
        and all(isclose(shares[channel], right[channel], rel_tol=1e-9) for channel in right)
    )


def differences(found: Iterable[Row], events: int, wanted: Mapping[str, Row]) -> str:
    """What is wrong with an entry's rows, all of them in order per account; empty when nothing is."""
    last: dict[str, Row] = {}
    count = 0
    for row in found:
        count += 1
        last[row["account_id"]] = row
    problems = [f"{count} rows for {events} events"] if count != events else []
    wrong = [
        account for account, row in wanted.items() if account not in last or not same(last[account], row)
    ]
    if wrong or last.keys() - wanted.keys():
        problems.append(f"{len(wrong)} of {len(wanted)} accounts end wrong, such as {sorted(wrong)[:3]}")
    return "; ".join(problems)
