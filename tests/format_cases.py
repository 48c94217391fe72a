"""Bodies that no sender should send, and what the tests of formats share."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from hypothesis import strategies as st

from schemas.context import Context
from schemas.errors import CODES, Rejected
from schemas.formats import Format, decoder_of

CONTEXT = Context(
    now_ms=1_800_000_000_000,
    pipelines={
        "default": frozenset({"qualification", "contract_sent", "closed"}),
        "hubspot": frozenset({"appointmentscheduled", "contractsent", "closedwon", "closedlost"}),
    },
    currencies={"EUR": 2, "USD": 2},
)
_LEAF = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=6)
    | st.sampled_from(["", "0x1", "a@b.example", "12", 10**40, -1, "2026-03-01"])
)  # fmt: skip
JSON = st.recursive(
    _LEAF,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


@st.composite
def mutations(draw: st.DrawFn, good: Mapping[str, Any]) -> dict[str, Any]:
    """A good object with up to four values replaced or gone, at any depth."""
    return _mutated(draw, good, draw(st.integers(0, 4)))


def _mutated(draw: st.DrawFn, good: Mapping[str, Any], wrong: int) -> dict[str, Any]:
    found = dict(good)
    for _ in range(wrong if found else 0):
        name = draw(st.sampled_from(sorted(found)))
        value = found[name]
        if isinstance(value, dict) and draw(st.booleans()):
            found[name] = _mutated(draw, value, 1)
        elif draw(st.integers(0, 3)):
            found[name] = draw(JSON)
        else:
            del found[name]
            if not found:
                break
    return found


def answer(form: str | Format, body: object) -> Sequence[tuple[str, Mapping[str, Any]]]:
    """The events of a body, bytes or JSON; none when it was refused for a reason that has a code."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    try:
        return decoder_of(form)("deals", raw, (), CONTEXT)
    except Rejected as rejected:
        assert rejected.code in CODES and rejected.code != "internal_error", rejected
        return ()


def pairs(messages: Iterable[tuple[str, Mapping[str, Any]]]) -> list[tuple[str, str]]:
    """(topic kind, event id): what tells the facts of one source apart (R01)."""
    return [(kind, str(fields["event_id"])) for kind, fields in messages]
