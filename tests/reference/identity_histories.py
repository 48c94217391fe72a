"""Hypothesis strategies of histories about who is who; what they draw, ``identity_random`` says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import orjson
from hypothesis import strategies as st

from schemas.context import Context
from schemas.inbound import decode_line
from tests.reference import identity_random
from tests.reference.identity_links import DAY, Config

CONTEXT = Context(
    now_ms=identity_random.START_MS + 365 * DAY,
    pipelines={"default": frozenset(identity_random.STAGES)},
    currencies={"EUR": 2},
)
Event = tuple[str, Mapping[str, Any]]
"""(topic kind, normalised event)"""


class History(NamedTuple):
    """Native messages with their ``topic``, in the order they arrive, and what they are read with."""

    messages: list[identity_random.Message]
    config: Config

    @property
    def events(self) -> list[Event]:
        """As the product decodes them."""
        return normalised(self.messages)


@st.composite
def histories(draw: st.DrawFn, max_size: int = 40, *, erasures: bool = True) -> History:
    """A history of up to ``max_size`` messages and some of them again."""

    def choose(options: Any) -> Any:
        return draw(st.sampled_from(options))

    config = identity_random.configuration(choose)
    size = draw(st.integers(1, max_size))
    made = identity_random.messages(choose, size, erasures=erasures)
    return History(draw(st.permutations(made)), config)


def normalised(messages: Iterable[identity_random.Message]) -> list[Event]:
    """Native messages as the product decodes them; raises Rejected when one is not valid."""
    return [decode_line(orjson.dumps(message), CONTEXT) for message in messages]
