"""E-mail addresses: one text for each, a reason that never holds one, and addresses inside text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.addresses import LONGEST, NotAnAddress, address, replaced
from schemas.errors import HIDDEN, Rejected, shown, without_addresses


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("ann@acme.example", "ann@acme.example"),
        (" Ann.Lee@ACME.example. ", "ann.lee@acme.example"),
        ("ann+trial@acme.example", "ann+trial@acme.example"),
        ("o'brien@acme.example", "o'brien@acme.example"),
        ("a..b.@acme.example", "a..b.@acme.example"),
        ("ann@www.acme.example", "ann@www.acme.example"),
        ("ann@münchen.de", "ann@xn--mnchen-3ya.de"),
        ("ann@xn--mnchen-3ya.de", "ann@xn--mnchen-3ya.de"),
        ("JÖRG@acme.example", "jörg@acme.example"),
        ("jo\u0308rg@acme.example", "jörg@acme.example"),
        ("用户@例え.jp", "用户@xn--r8jz45g.jp"),
        ("ann@gov.uk", "ann@gov.uk"),
    ],
)
def test_an_address_is_trimmed_in_lower_case_with_its_domain_as_domains_are_compared(
    text: str, found: str
) -> None:
    assert address(text) == found
    assert address(found) == found


BAD = [
    ("secret", "no @"), ("secret.example", "no @"), ("", "no @"), ("secret@", "nothing after"),
    ("@secret.example", "nothing before"), ("secret@a@acme.example", "more than one @"),
    ("secret@a.example, b@b.example", "more than one @"), ("Ann <secret@acme.example>", "between < and >"),
    ("<secret@acme.example>", "between < and >"), ("mailto:secret@acme.example", "what follows it"),
    ("MAILTO:secret@acme.example", "what follows it"), ("sec ret@acme.example", "space"),
    ("secret@acme .example", "space"), ("sec\u00a0ret@acme.example", "space"), ("secret@localhost", "one label"),
    ("secret@server.local", "inside a network"), ("secret@10.0.0.1", "IP address"), 
    ("secret@[10.0.0.1]", "IP address"),
    ("secret@acme_corp.example", "underscore"), ("secret@acme..example", "empty label"),
    ("secret@acme.example:25", "port"), ('"secret"@acme.example', "outside quotes"),
    ("sec,ret@acme.example", "outside quotes"), ("sec\u200bret@acme.example", "outside quotes"),
    ("sec\ud800ret@acme.example", "outside quotes"), ("secret" * 11 + "@acme.example", "64 bytes"),
    ("ü" * 33 + "@acme.example", "64 bytes"), ("secret@" + "a" * 64 + ".example", "63 characters"),
    ("secret@" + ".".join(["a" * 60] * 4) + ".example", "254 bytes"), ("secret" * 100_000, "254 bytes"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "reason"), BAD)
def test_what_is_no_address_is_told_why_without_being_shown(text: str, reason: str) -> None:
    with pytest.raises(NotAnAddress, match=reason) as caught:
        address(text)
    assert "send" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_an_address_of_the_longest_length_is_taken() -> None:
    domain = ".".join(["a" * 60] * 3) + ".example"
    whole = f"{'a' * (LONGEST - 1 - len(domain))}@{domain}"
    assert address(whole) == whole
    with pytest.raises(NotAnAddress):
        address(f"a{whole}")


@given(st.text(max_size=60) | st.text("aü@. <>:+\"'", max_size=20))
def test_any_text_is_an_address_or_refused_and_an_address_is_itself(text: str) -> None:
    try:
        found = address(text)
    except NotAnAddress:
        return
    assert address(found) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("nobody", "nobody"),
        ("Mail to Ann@Acme.example, now", "Mail to [ann@acme.example], now"),
        (
            "https://a.example/?email=ann%40acme.example&b=1",
            "https://a.example/?email=[ann@acme.example]&b=1",
        ),
        ("Ann <ann@acme.example>; bo@b.example", "Ann <[ann@acme.example]>; [bo@b.example]"),
        ("ann＠acme.example", "[ann@acme.example]"),
        ("@acme costs 5 @ 6", "@acme costs 5 @ 6"),
        ("ann@localhost", "ann@localhost"),
    ],
)
def test_addresses_in_text_are_replaced_and_the_rest_stays(text: str, found: str) -> None:
    assert replaced(text, lambda each: f"[{each}]") == found


def test_a_message_about_a_refusal_shows_no_address() -> None:
    rejected = Rejected("invalid_field", "/a@b.example", "seen ann@acme.example: send name@example.com")
    assert (rejected.path, rejected.message) == (HIDDEN, f"seen {HIDDEN}: send name@example.com")
    assert "acme" not in str(rejected)


@pytest.mark.parametrize("before", range(70, 84))
def test_a_value_that_is_cut_does_not_end_in_half_an_address(before: int) -> None:
    assert "ann" not in shown("x " * (before // 2) + "ann.lee@acme.example")


@pytest.mark.parametrize("text", ["plain", "5 @ 6", "name@example.com"])
def test_text_without_an_address_is_shown_as_it_is(text: str) -> None:
    assert without_addresses(text) == text
