"""Money as integers of minor units: reading, rounding half to even, splitting without loss (R24, R29, R45)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from revenue_core.errors import InvalidAmount, UnknownCurrency

_GRAMMAR = re.compile(r"([+-]?)([0-9]+)(?:\.([0-9]+))?(?:e([+-]?)([0-9]+))?")
_FAR = 40
"""No amount within the limit has so many digits before the point, and no digit so far behind it counts."""
_LONGEST_EXPONENT = 9
"""Longest exponent that is read as a number. A longer one outweighs all digits that a message can hold."""


def rounded(text: str, currency: str, exponents: Mapping[str, int]) -> int:
    """Decimal text in major units as minor units of ``currency``, half to even (R24).

    Raises InvalidAmount for other text and from 10^40 on, UnknownCurrency for a code that ``exponents``
    (ISO 4217 code -> decimal places) lacks. Takes no longer for a huge exponent. The limit of R24 is not
    checked: it holds in the currency that the amount came with, which may not be the deal's.
    """
    places = exponents.get(currency)
    if places is None:
        raise UnknownCurrency(currency)
    negative, digits, point = _parse(text)
    point += places
    if point < 0:
        return 0
    # the digits of the whole part alone become a number: text of any length costs no more than reading it
    minor = int(digits[:point].ljust(point, "0") or "0")
    rest = digits[point:]
    if rest > "5" or (rest == "5" and minor % 2):
        minor += 1
    return -minor if negative else minor


def apportion(amount_minor: int, weights: Sequence[int]) -> list[int]:
    """``amount_minor`` in parts proportional to ``weights`` (>= 0), exact largest remainder (R29).

    Quotas are floors, what they leave goes one unit each to the largest remainders, ties to the earlier. The
    parts add up to the amount. A negative amount is split by its absolute value, then negated (R26). Raises
    ValueError when the weights add up to nothing.
    """
    total = sum(weights)
    if total <= 0:
        raise ValueError("weights must add up to more than 0")
    if amount_minor < 0:
        return [-part for part in apportion(-amount_minor, weights)]
    parts = []
    remainders = []
    for weight in weights:
        quota, remainder = divmod(amount_minor * weight, total)
        parts.append(quota)
        remainders.append(remainder)
    left = amount_minor - sum(parts)
    if left:
        for index in sorted(range(len(parts)), key=remainders.__getitem__, reverse=True)[:left]:
            parts[index] += 1
    return parts


def apportion_shares(amount_minor: int, shares: Sequence[float]) -> list[int]:
    """As ``apportion``, for finite doubles >= 0 taken as the exact ratios that they are (R29)."""
    ratios = [share.as_integer_ratio() for share in shares]
    # denominators of doubles are powers of two, so the largest is common to all
    common = max((denominator for _, denominator in ratios), default=1)
    return apportion(amount_minor, [numerator * (common // denominator) for numerator, denominator in ratios])


def expected_minor(p: float, amount_minor: int) -> int:
    """``p`` times the amount in minor units, the double's exact ratio rounded half to even (R45)."""
    numerator, denominator = p.as_integer_ratio()
    whole, rest = divmod(numerator * amount_minor, denominator)
    return whole + (2 * rest > denominator or (2 * rest == denominator and whole % 2 == 1))


def _parse(text: str) -> tuple[bool, str, int]:
    """(negative, digits without outer zeros, place of the point counted from the first digit).

    Zero, and what is as good as zero, has no digits.
    """
    match = _GRAMMAR.fullmatch(text)
    if match is None:
        raise InvalidAmount("not a decimal number")
    sign, whole, fraction, exponent_sign, exponent = match.groups("")
    digits = (whole + fraction).lstrip("0")
    point = len(whole) - (len(whole) + len(fraction) - len(digits))
    digits = digits.rstrip("0")
    exponent = exponent.lstrip("0")
    if exponent:
        power = int(exponent) if len(exponent) <= _LONGEST_EXPONENT else 10**_LONGEST_EXPONENT
        point += -power if exponent_sign == "-" else power
    if not digits or point <= -_FAR:
        return False, "", 0
    if point > _FAR:
        raise InvalidAmount("too large")
    return sign == "-", digits, point
