"""Amounts on the wire as canonical decimal text (R24).

Canonical: plain notation, no plus sign, no leading or trailing zeros, so that equal amounts are equal texts.
"""

from __future__ import annotations

import re

LIMIT_MINOR = 10**15
_LIMIT_DIGITS = 15
_FAR = 40
"""Digits before the point that no amount within the limit has, and zeros after it that no rounding survives."""
_GRAMMAR = re.compile(r"([+-]?)([0-9]+)(?:\.([0-9]+))?(?:e([+-]?[0-9]+))?")


def canonical(value: object) -> str:
    """Decimal text of a JSON number or string, major units. Raises ValueError when it is no amount.

    Nothing is rounded; what is closer to zero than 10^-40 is ``0``, as it is in every currency.
    """
    if type(value) is int:
        return str(value)
    if type(value) is float:
        text = repr(value)
        # the shortest text of an ordinary double is canonical, but for the .0 of whole ones
        if value and "." in text and "e" not in text:
            return text.removesuffix(".0")
    elif type(value) is str:
        text = value
    else:
        raise ValueError("neither a number nor decimal text")
    match = _GRAMMAR.fullmatch(text)
    if match is None:
        raise ValueError("not a decimal number")
    sign, whole, fraction, exponent = match.groups("")
    point = len(whole) + (int(exponent) if exponent else 0)
    digits = whole + fraction
    significant = digits.lstrip("0")
    point -= len(digits) - len(significant)
    significant = significant.rstrip("0")
    if not significant or point < -_FAR:
        return "0"
    if point > _FAR:
        raise ValueError("too large")
    if point <= 0:
        text = f"0.{'0' * -point}{significant}"
    elif point >= len(significant):
        text = significant.ljust(point, "0")
    else:
        text = f"{significant[:point]}.{significant[point:]}"
    return f"-{text}" if sign == "-" else text


def check_range(text: str, exponent: int, *, signed: bool) -> None:
    """Raise ValueError if a canonical amount is negative (unless ``signed``) or above 10^15 minor units.

    ``exponent`` is the number of decimal places of the currency's minor unit. The limit applies to the amount
    rounded half to even.
    """
    if text[0] == "-":
        if not signed:
            raise ValueError("negative")
        text = text[1:]
    whole, _, fraction = text.partition(".")
    if len(whole) + exponent <= _LIMIT_DIGITS:
        return
    minor = int(whole + fraction[:exponent].ljust(exponent, "0"))
    # the limit is even, so a rest of exactly one half stays at it; texts of fractions compare as their values
    if minor > LIMIT_MINOR or (minor == LIMIT_MINOR and fraction[exponent:] > "5"):
        raise ValueError("too large")
