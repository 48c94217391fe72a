"""What validation needs to know that is not in the message."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

FIVE_MINUTES_MS = 300_000
ONE_MEBIBYTE = 1_048_576


@dataclass(frozen=True, slots=True)
class Context:
    """The clock and the configuration that an event is checked against."""

    now_ms: int
    """The wall clock, epoch milliseconds."""
    pipelines: Mapping[str, frozenset[str]]
    """Pipeline -> names of its stages, of every kind."""
    currencies: Mapping[str, int]
    """ISO 4217 code -> decimal places of its minor unit."""
    default_currency: str = "EUR"
    future_limit_ms: int = FIVE_MINUTES_MS
    """How far ahead of the clock an event may be."""
    max_bytes: int = ONE_MEBIBYTE
    """Size of the longest message taken (R63)."""

    def exponent(self, currency: str | None) -> int:
        """Decimal places of a currency; of the default one when none or an unknown one is named."""
        return self.currencies.get(currency or self.default_currency, self.currencies[self.default_currency])
