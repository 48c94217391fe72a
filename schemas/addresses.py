"""E-mail addresses: which texts are one, and in which form they are hashed; and text that holds one.

No message says what an address is: reasons of refusals go into headers and logs, where no address may stand.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

from schemas.domains import NotADomain, host

LONGEST = 254
"""Bytes of an address as it is sent (RFC 5321, 4.5.3.1.3 less the angle brackets)."""
LONGEST_LOCAL = 64
EXAMPLE = "name@example.com"
_FORBIDDEN = frozenset('()<>[],;:\\"')
"""What a local part holds only in quotes, which hardly any address has."""
_PLAIN_LOCAL = re.compile(r"[a-z0-9!#$%&'*+/=?^_`{|}~.-]{1,64}")
_WORD = r"""[^\s"<>(),;:@/?&=#\\]"""
_LABEL = r"""[^\s"<>(),;:@/?&=#\\.%]"""
# it begins where a word does, so that a long word without @ is read once
_IN_TEXT = re.compile(rf"(?<!{_WORD}){_WORD}+(?:@|%40|＠)(?:{_LABEL}+\.)+{_LABEL}+")


class NotAnAddress(ValueError):
    """Text that is no e-mail address; the message says why, and what to send, without the text."""


def address(text: str) -> str:
    """The address in ``text``: trimmed, in lower case, its domain as domains are compared. Raises NotAnAddress.

    What stands behind a ``+`` and dots stay: only the receiving host knows what they mean there. A local part beyond
    ASCII is taken (RFC 6531), in normal form C.
    """
    trimmed = text.strip()
    problem = _more_than_an_address(trimmed)
    if problem:
        raise NotAnAddress(problem)
    local, _, domain = trimmed.partition("@")
    local = local.lower()
    if not _PLAIN_LOCAL.fullmatch(local):
        local = unicodedata.normalize("NFC", local).lower()
        problem = _bad_local_part(local)
        if problem:
            raise NotAnAddress(problem)
    if not domain:
        raise NotAnAddress(f"has nothing after its @: send one such as {EXAMPLE}")
    try:
        whole = f"{local}@{host(domain)}"
    except NotADomain as error:
        raise NotAnAddress(f"names a domain that {error}") from None
    if len(whole.encode()) > LONGEST:
        raise NotAnAddress(_TOO_LONG)
    return whole


def replaced(text: str, by: Callable[[str], str]) -> str:
    """``text`` with every e-mail address in it, also those with ``%40``, given to ``by`` in lower case."""
    if "@" not in text and "%40" not in text and "＠" not in text:
        return text
    return _IN_TEXT.sub(lambda found: by(_plain(found[0])), text)


def _plain(found: str) -> str:
    local, _, domain = re.split("(@|%40|＠)", found, maxsplit=1)
    try:
        return address(f"{local}@{domain}")
    except NotAnAddress:
        return f"{local}@{domain}".lower()


_TOO_LONG = f"is longer than {LONGEST} bytes: send one such as {EXAMPLE}"


def _more_than_an_address(text: str) -> str:
    if len(text) > 2 * LONGEST:
        return _TOO_LONG
    if text[:7].lower() == "mailto:":
        return "begins with mailto: send what follows it"
    if "<" in text or ">" in text:
        return f"has a name beside it: send only what stands between < and >, such as {EXAMPLE}"
    count = text.count("@")
    if count != 1:
        found = "no @" if count == 0 else "more than one @"
        return f"has {found}: send one address such as {EXAMPLE}"
    if any(letter.isspace() for letter in text):
        return f"has a space in it: send one such as {EXAMPLE}"
    return ""


def _bad_local_part(local: str) -> str:
    if not local:
        return f"has nothing before its @: send one such as {EXAMPLE}"
    if len(local.encode(errors="replace")) > LONGEST_LOCAL:
        return f"has more than {LONGEST_LOCAL} bytes before its @: send one such as {EXAMPLE}"
    if not _FORBIDDEN.isdisjoint(local) or any(unicodedata.category(letter)[0] == "C" for letter in local):
        return f"has a sign before its @ that no address has outside quotes: send one such as {EXAMPLE}"
    return ""
