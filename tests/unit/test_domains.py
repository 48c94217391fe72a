"""Domains: one text for each, and a clear reason for what is none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.domains import (
    NEVER_PUBLIC,
    NotADomain,
    domain,
    free_with,
    is_free,
    is_suffix,
    shipped_free_domains,
)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("acme.example", "acme.example"),
        ("WWW.Acme.Example.", "acme.example"),
        (" acme.example ", "acme.example"),
        ("mail.acme.co.uk", "mail.acme.co.uk"),
        ("foo.github.io", "foo.github.io"),
        ("3com.com", "3com.com"),
        ("acme.newtld", "acme.newtld"),
        ("www2.acme.com", "www2.acme.com"),
        ("www.com", "www.com"),
    ],
)
def test_a_domain_is_lower_case_without_its_dot_and_www(text: str, found: str) -> None:
    assert domain(text) == found


@pytest.mark.parametrize(
    ("unicode", "ascii"),
    [
        ("münchen.de", "xn--mnchen-3ya.de"),
        ("MÜNCHEN.de", "xn--mnchen-3ya.de"),
        ("mu\u0308nchen.de", "xn--mnchen-3ya.de"),
        ("straße.de", "xn--strae-oqa.de"),
        ("食狮.公司.cn", "xn--85x722f.xn--55qx5d.cn"),
        ("食狮。公司。cn", "xn--85x722f.xn--55qx5d.cn"),
        ("пример.рф", "xn--e1afmkfd.xn--p1ai"),
        ("ουτοπία.gr", "xn--kxae4bafwg.gr"),
        ("مثال.مصر", "xn--mgbh0fb.xn--wgbh1c"),
    ],
)
def test_a_domain_in_unicode_and_in_punycode_is_one(unicode: str, ascii: str) -> None:
    assert domain(unicode) == domain(ascii) == domain(ascii.upper()) == domain(f"www.{unicode}.") == ascii


def test_sharp_s_and_double_s_are_two_domains_as_they_are_two_registrations() -> None:
    assert domain("straße.de") != domain("strasse.de")


def test_a_name_that_has_no_unicode_form_is_taken_in_its_punycode_form() -> None:
    assert domain("xn--ls8h.la") == "xn--ls8h.la"
    with pytest.raises(NotADomain, match="send its xn-- form"):
        domain("💩.la")


BAD = [
    ("https://acme.example/", "scheme"), ("ftp://acme.example", "scheme"), ("acme.example/about", "path"),
    ("acme.example?x=1", "path"), ("acme.example#x", "path"), ("acme.example:443", "port"), 
    ("localhost:80", "port"),
    ("acme.example:", "port"), ("10.0.0.1", "IP address"), ("::1", "IP address"), ("[2001:db8::1]", "IP address"),
    ("ann@acme.example", "e-mail address"), ("localhost", "one label"), ("intranet", "one label"), 
    ("com", "one label"),
    ("co.uk", "public suffix"), ("www.co.uk", "public suffix"), ("github.io", "public suffix"),
    ("公司.cn", "public suffix"), ("xn--55qx5d.cn", "public suffix"), ("server.local", "inside a network"),
    ("mail.corp", "inside a network"), ("1.0.0.10.in-addr.arpa", "inside a network"), ("a_b.example", "underscore"),
    ("_dmarc.acme.example", "underscore"), ("a..example", "empty label"), (".acme.example", "empty label"),
    ("", "empty label"), (".", "empty label"), ("www..", "empty label"), ("acme.example..", "empty label"),
    ("-acme.example", "letters, digits"), ("acme-.example", "letters, digits"), 
    ("acme corp.example", "letters, digits"),
    ("acme,example", "one label"), ("acme.123", "letters, digits"), ("*.acme.example", "letters, digits"),
    ("xn--ü.example", "punycode"), ("xn--.example", "punycode"), ("xn--99999999.example", "punycode"),
    ("xn--abc-.example", "punycode"), (f"{'a' * 64}.example", "63 characters"),
    (f"{'ü' * 64}.example", "IDNA"), ("a." * 127 + "example", "253 characters"), ("a" * 100_000, "253 characters"),
    ("\u0000.example", "letters, digits"), ("acme.\ud800", "IDNA"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "reason"), BAD)
def test_what_is_no_domain_is_told_why_and_what_to_send(text: str, reason: str) -> None:
    with pytest.raises(NotADomain, match=reason) as caught:
        domain(text)
    assert "send" in str(caught.value) or "correct it" in str(caught.value)


def test_every_last_label_for_use_inside_networks_is_refused() -> None:
    for name in NEVER_PUBLIC:
        with pytest.raises(NotADomain):
            domain(f"acme.{name}")


def test_a_domain_of_the_longest_length_is_taken() -> None:
    longest = ".".join(["a" * 61] * 4) + ".aaaaa"
    assert len(longest) == 253
    assert domain(longest) == longest
    with pytest.raises(NotADomain):
        domain(f"{longest}a")


@given(st.text(max_size=60) | st.text("aüß.-:/@_xn9 \u3002", max_size=30))
def test_any_text_is_a_domain_or_refused_and_a_domain_is_itself(text: str) -> None:
    try:
        found = domain(text)
    except NotADomain:
        return
    assert domain(found) == found
    assert found.isascii() and found == found.lower() and "." in found


@pytest.mark.parametrize("name", ["gmail.com", "outlook.com", "proton.me", "qq.com", "mailinator.com"])
def test_domains_of_free_mail_and_of_disposable_addresses_are_free(name: str) -> None:
    assert is_free(name)


def test_free_domains_are_compared_exactly() -> None:
    assert not is_free("careers.gmail.com")
    assert not is_free("acme.example")


@pytest.mark.parametrize("name", ["co.uk", "github.io", "gov.uk"])
def test_a_public_suffix_says_nothing_of_a_company(name: str) -> None:
    assert is_suffix(name) and is_free(name)


def test_the_shipped_domains_are_written_as_domains_are_compared() -> None:
    names = shipped_free_domains()
    assert len(names) > 14_000
    assert {name for name in names if not is_suffix(name) and domain(name) != name} == set()


def test_a_configuration_adds_domains_and_takes_others_out() -> None:
    free = free_with(["school.example"], ["gmx.de"])
    assert free("school.example") and free("gmail.com")
    assert is_free("gmx.de") and not free("gmx.de")
    assert free_with([], []) is is_free
