"""What the core refuses."""

from __future__ import annotations


class InvalidAmount(ValueError):
    """No amount by R24, or one beyond what is counted."""


class UnknownCurrency(ValueError):
    """A code without a number of decimal places in the configuration."""
