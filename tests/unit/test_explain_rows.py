"""The arithmetic of an explanation is that of the credit rows, in any history."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict
from fractions import Fraction
from math import fsum, lcm
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from revenue_core.attribution.models import model_names
from revenue_core.attribution.workings import Working
from revenue_core.config import CoreConfig
from revenue_core.credits import rows_of
from revenue_core.explain import Explanation, explain_account
from revenue_core.journey import State, evaluate
from revenue_core.money import apportion
from tests import builders
from tests.explain_builders import DECAYED, VARIED, accounts, amounts
from tests.laws.histories import amounts as any_amount
from tests.laws.histories import histories, touches


def credited(explanation: Explanation) -> dict[str, dict[str, tuple[float, int]]]:
    """credit_id -> model -> (share, amount) as explained; a touch outside a model's path has nothing."""
    found: dict[str, dict[str, tuple[float, int]]] = {}
    for each in explanation.conversions:
        for working in each.models:
            for part in working.parts:
                credit_id = f"{each.conversion_id}|{part.touch_id}"
                found.setdefault(credit_id, {})[working.model] = part.share, part.amount_minor
    return found


def in_rows(
    rows: Mapping[str, Mapping[str, Any]], config: CoreConfig
) -> dict[str, dict[str, tuple[float, int]]]:
    return {
        key: {name: (row[f"{name}_share"], row[f"{name}_amount_minor"]) for name in model_names(config)}
        for key, row in rows.items()
    }


def check_by_hand(working: Working, amount_minor: int) -> None:
    """The printed weights alone give the parts."""
    exact = [part.weight.split(" = ")[0] for part in working.parts]
    if working.model in DECAYED:
        powers = [re.fullmatch(r"2\^-\(([\d.]+)/([\d.]+)\)", text) for text in exact]
        weights = [2 ** -(float(each[1]) / float(each[2])) for each in powers if each is not None]
        whole = fsum(weights)
        assert [part.share for part in working.parts] == pytest.approx([w / whole for w in weights], rel=1e-3)
        assert float(working.total) == pytest.approx(whole, rel=1e-3)
        return
    fractions = [
        Fraction(each[0]) / Fraction(each[2] or 1) for each in (text.partition("/") for text in exact)
    ]
    assert sum(fractions) == 1 == Fraction(working.total)
    common = lcm(*(each.denominator for each in fractions))
    assert amounts(working) == apportion(amount_minor, [int(each * common) for each in fractions])


def of_one_account(parts: tuple[list[builders.Event], list[builders.Event], str]) -> list[builders.Event]:
    """A history whose last deal is won after all its touches, so that there is a path worth explaining."""
    more, history, amount = parts
    own = [(kind, {**message, "account_id": "acme"}) for kind, message in (*history, *more)]
    won = {
        "event_id": "last",
        "account_id": "acme",
        "type": "deal_updated",
        "deal_id": "last",
        "status": "won",
    }
    return [*own, ("deals", {**won, "occurred_at": builders.NOW_MS, "amount": amount})]


busy = st.tuples(st.lists(touches, min_size=4, max_size=12), histories, any_amount).map(of_one_account)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(history=busy)
@pytest.mark.parametrize("config", [builders.config(), VARIED], ids=["shipped", "varied"])
def test_explained_parts_are_the_credit_rows_of_any_history(
    config: CoreConfig, history: list[builders.Event]
) -> None:
    for state in accounts(history).values():
        explanation = explain_account(state.account, config, state.horizon)
        rows = in_rows(rows_of(evaluate(State(state.account), state.horizon, config).credits, config), config)
        told = credited(explanation)
        assert told.keys() == rows.keys()
        for credit_id, by_model in rows.items():
            assert by_model == {name: told[credit_id].get(name, (0.0, 0)) for name in by_model}
        for each in explanation.conversions:
            for working in each.models:
                assert sum(amounts(working)) == each.amount_minor
                if working.parts[0].why != "no touch":
                    check_by_hand(working, each.amount_minor)
        orjson.dumps(asdict(explanation))
