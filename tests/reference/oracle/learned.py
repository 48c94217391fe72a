"""What markov and shapley learn from finished journeys, in fractions and by enumeration (R32, R33, R44)."""

import math
from collections import Counter
from fractions import Fraction
from itertools import combinations, pairwise

from tests.reference.oracle.credits import conversions, path
from tests.reference.oracle.facts import DAY, LOOKBACK, channel, iso

PLACES = 12


def journeys(accounts, folds, until):
    """(channels, converted) of every journey that has ended by an instant."""
    found = []
    for account_id, account in accounts.items():
        deals = folds[account_id]
        first_lead = min((f.at for f in account.leads if f.body["type"] == "lead_created"), default=None)
        for conversion in conversions(account, deals):
            if conversion.conversion in ("won", "lost"):
                route = path(account, deals, conversion, first_lead)
                found.append((route.touches, conversion.conversion == "won"))
        alive = any(not deal.deleted for deal in deals.values())
        if account.touches and not alive and account.touches[-1].at < until - LOOKBACK:
            last = account.touches[-1].at
            found.append(([touch for touch in account.touches if touch.at >= last - LOOKBACK], False))
    return [(collapsed(touches), won) for touches, won in found if touches]


def collapsed(touches):
    """Channels, a run of one channel once."""
    channels = [channel(touch) for touch in touches]
    return tuple(name for name, after in pairwise([*channels, None]) if name != after)


def parameters(found):
    """model -> channel -> learned value, as it is published: with twelve decimals."""
    exact = {"markov": removal_effects(found), "shapley": shapley_values(found)}
    return {
        model: {name: float(round(value, PLACES)) for name, value in values.items()}
        for model, values in exact.items()
    }


def removal_effects(found):
    """channel -> 1 - P(conversion without it) / P(conversion)."""
    channels = {name for channels, _ in found for name in channels}
    whole = conversion_chance(found, None)
    if not whole:
        return dict.fromkeys(channels, Fraction(0))
    return {name: 1 - conversion_chance(found, name) / whole for name in channels}


def conversion_chance(found, removed):
    """P(conversion) of the chain whose moves into one channel end in nothing instead."""
    moves = Counter()
    for channels, won in found:
        moves.update(
            pairwise([("start",), *((name,) * 2 for name in channels), ("won",) if won else ("null",)])
        )
    states = sorted({source for source, _ in moves})
    sums = {state: sum(count for (source, _), count in moves.items() if source == state) for state in states}
    # unknowns: P(conversion) from each state; row: x - sum of p * x(next) = p(won)
    rows = []
    for state in states:
        row = [Fraction(int(other == state)) for other in states] + [Fraction(0)]
        for (source, target), count in moves.items():
            if source != state or target in (("null",), (removed,) * 2):
                continue
            share = Fraction(count, sums[state])
            if target == ("won",):
                row[-1] += share
            else:
                row[states.index(target)] -= share
        rows.append(row)
    return solved(rows)[states.index(("start",))] if states else Fraction(0)


def solved(rows):
    """The solution of a regular linear system by Gauss and Jordan."""
    rows = [list(row) for row in rows]
    for i in range(len(rows)):
        pivot = next(k for k in range(i, len(rows)) if rows[k][i])
        rows[i], rows[pivot] = rows[pivot], rows[i]
        rows[i] = [value / rows[i][i] for value in rows[i]]
        for k in range(len(rows)):
            if k != i and rows[k][i]:
                rows[k] = [a - rows[k][i] * b for a, b in zip(rows[k], rows[i], strict=True)]
    return [row[-1] for row in rows]


def shapley_values(found):
    """channel -> its mean marginal contribution to the conversion rate, over all orders of the channels."""
    channels = sorted({name for channels, _ in found for name in channels})
    n = len(channels)

    def rate(group):
        inside = [won for path, won in found if set(path) <= group]
        return Fraction(sum(inside), len(inside)) if inside else Fraction(0)

    values = {}
    for name in channels:
        others = [each for each in channels if each != name]
        values[name] = sum(
            Fraction(math.factorial(size) * math.factorial(n - size - 1), math.factorial(n))
            * (rate({*group, name}) - rate(set(group)))
            for size in range(n)
            for group in combinations(others, size)
        )
    return values


def parameter_rows(found, learned, until):
    """parameter_id -> row, without the columns of the history of the computation."""
    won = sum(converted for _, converted in found)
    rows = {}
    for model, column in (("markov", "removal_effect"), ("shapley", "shapley_value")):
        whole = sum(max(0.0, value) for value in learned[model].values())
        for name, value in learned[model].items():
            key = f"{model}@{until // DAY}|{name}"
            rows[key] = {
                "parameter_id": key, "model": model, "channel": name, "n_conversions": won,
                "n_nulls": len(found) - won, "p_conversion": won / len(found), column: value,
                "channel_share": max(0.0, value) / whole if whole else 0.0, "fitted_through": iso(until),
                "fitted_through_ms": until, "is_deleted": 0,
            }  # fmt: skip
            if model == "shapley":
                rows[key]["standard_error"] = 0.0
    return rows
