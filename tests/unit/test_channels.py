"""Channel classification: R34, R62 and the published edge cases of the default channel group."""

from __future__ import annotations

import pytest

from revenue_core.channel_data import DEFAULT_RULES, SOURCE_LISTS
from revenue_core.channel_rules import LISTS
from revenue_core.channels import Evidence, classify, host_of
from streams.reference_data import channel_tables

TABLES = channel_tables()
MEDIA = {"search": "organic", "social": "social", "ai": "ai-assistant"}
"""Medium of a referrer by the list that its host is in; of every other ``referral``."""


def channel_of(**evidence: str) -> str:
    return classify(Evidence(**evidence), TABLES).channel


@pytest.mark.parametrize(
    ("source", "medium", "campaign", "channel"),
    [
        ("(direct)", "(none)", "", "Direct"),
        ("(direct)", "(not set)", "", "Direct"),
        ("(direct)", "", "", "Direct"),
        ("(direct)", "email", "", "Email"),
        ("google", "cpc", "cross-network-q3", "Cross-network"),
        ("amazon", "cpc", "", "Paid Shopping"),
        ("newsletter", "cpc", "shop-q3", "Paid Shopping"),
        ("google", "cpc", "workshop", "Paid Search"),
        ("google", "cpm", "", "Paid Search"),
        ("bing.com", "ppc", "", "Paid Search"),
        ("linkedin", "paid-social", "", "Paid Social"),
        ("lnkd.in", "cpc", "", "Paid Social"),
        ("youtube", "cpv", "", "Paid Video"),
        ("youtube.com", "cpc", "", "Paid Video"),
        ("unknown", "cpm", "", "Display"),
        ("unknown", "banner", "", "Display"),
        ("google", "display", "", "Display"),
        ("unknown", "paid-social", "", "Paid Other"),
        ("unknown", "retargeting", "", "Paid Other"),
        ("chatgpt.com", "cpc", "", "Paid Other"),
        ("unknown", "ai-assistant", "", "AI Assistant"),
        ("google", "ai-assistant", "", "AI Assistant"),
        ("chatgpt.com", "", "", "AI Assistant"),
        ("etsy.com", "referral", "", "Organic Shopping"),
        ("newsletter", "email", "eshop", "Organic Shopping"),
        ("facebook", "", "", "Organic Social"),
        ("unknown", "social network", "", "Organic Social"),
        ("unknown", "sm", "", "Organic Social"),
        ("vimeo", "referral", "", "Organic Video"),
        ("unknown", "webvideo", "", "Organic Video"),
        ("google", "", "", "Organic Search"),
        ("www.google.co.uk", "referral", "", "Organic Search"),
        ("unknown", "organic", "", "Organic Search"),
        ("partner", "link", "", "Referral"),
        ("newsletter", "email", "", "Email"),
        ("e-mail", "", "", "Email"),
        ("unknown", "e mail", "", "Email"),
        ("unknown", "affiliate", "", "Affiliates"),
        ("unknown", "audio", "", "Audio"),
        ("sms", "", "", "SMS"),
        ("unknown", "sms", "", "SMS"),
        ("unknown", "webpush", "", "Mobile Push Notifications"),
        ("unknown", "mobile-app", "", "Mobile Push Notifications"),
        ("firebase", "", "", "Mobile Push Notifications"),
        ("unknown", "strange", "", "Unassigned"),
        ("", "", "spring", "Unassigned"),
    ],
)
def test_utm_tags_fall_into_the_first_channel_that_matches(
    source: str, medium: str, campaign: str, channel: str
) -> None:
    assert channel_of(utm_source=source, utm_medium=medium, utm_campaign=campaign) == channel


@pytest.mark.parametrize(
    "campaign", ["shop-q3", "e-shop", "eshop", "shopify", "workshopping", "Google Shopping"]
)
def test_campaigns_about_a_shop_are_shopping(campaign: str) -> None:
    assert channel_of(utm_source="x1", utm_campaign=campaign) == "Organic Shopping"


@pytest.mark.parametrize("campaign", ["workshop", "bookshop", "photoshop"])
def test_campaigns_whose_name_merely_ends_in_shop_are_not_shopping(campaign: str) -> None:
    assert channel_of(utm_source="x1", utm_campaign=campaign) == "Unassigned"


def test_the_default_rules_stand_in_the_published_order() -> None:
    assert [rule.channel for rule in DEFAULT_RULES] == [
        "Direct", "Cross-network", "Paid Shopping", "Paid Search", "Paid Social", "Paid Video", "Display",
        "Paid Other", "AI Assistant", "Organic Shopping", "Organic Social", "Organic Video", "Organic Search",
        "Referral", "Email", "Affiliates", "Audio", "SMS", "Mobile Push Notifications",
    ]  # fmt: skip


def test_source_lists_are_lower_case_and_known() -> None:
    assert all(name == name.lower() for name in SOURCE_LISTS)
    assert set(SOURCE_LISTS.values()) == {*LISTS, ""}


@pytest.mark.parametrize("name", [name for name in SOURCE_LISTS if "." in name])
def test_every_listed_host_is_found_as_itself_and_is_not_hidden_by_www(name: str) -> None:
    found = TABLES.origin(name, "")
    assert found == TABLES.origin("www." + name, "")
    assert (found.source, found.medium) == (name, MEDIA.get(SOURCE_LISTS[name], "referral"))


def test_a_given_channel_is_used_as_it_stands_and_leaves_the_other_columns_to_the_evidence() -> None:
    result = classify(
        Evidence(channel=" my Channel", url="https://acme.com/?utm_source=google&utm_medium=cpc"), TABLES
    )
    assert (result.channel, result.source, result.medium, result.rule) == (
        " my Channel",
        "google",
        "cpc",
        "given",
    )


def test_a_blank_channel_is_not_given() -> None:
    assert channel_of(channel="  ", type="email_open") == "Email"


@pytest.mark.parametrize(
    ("touch_type", "channel"),
    [
        ("email_open", "Email"),
        ("email_sent", "Email"),
        ("ad_impression", "Paid Other"),
        ("call_attempt", "Sales Outreach"),
        ("call_answered", "Sales Outreach"),
        ("meeting", "Sales Outreach"),
        ("message_sent", "Sales Outreach"),
        ("webinar", "Events"),
        ("event_attended", "Events"),
        ("page_view", "Direct"),
        ("demo_request", "Direct"),
        ("other", "Direct"),
    ],
)
def test_without_web_evidence_the_touch_type_decides(touch_type: str, channel: str) -> None:
    assert channel_of(type=touch_type) == channel


@pytest.mark.parametrize(
    ("click_type", "channel", "source", "medium"),
    [
        ("gclid", "Paid Search", "google", "cpc"),
        ("wbraid", "Paid Search", "google", "cpc"),
        ("gbraid", "Paid Search", "google", "cpc"),
        ("msclkid", "Paid Search", "bing", "cpc"),
        ("li_fat_id", "Paid Social", "linkedin", "paid-social"),
        ("ttclid", "Paid Social", "tiktok", "paid-social"),
        ("twclid", "Paid Social", "x", "paid-social"),
        ("rdt_cid", "Paid Social", "reddit", "paid-social"),
        ("dclid", "Display", "doubleclick", "display"),
        ("mc_cid", "Email", "mailchimp", "email"),
        ("fbclid", "Organic Social", "facebook", "social"),
        ("igshid", "Organic Social", "instagram", "social"),
    ],
)
def test_without_utm_tags_a_click_id_decides_whether_it_is_a_field_or_in_the_url(
    click_type: str, channel: str, source: str, medium: str
) -> None:
    in_url = classify(
        Evidence(url=f"https://acme.com/?{click_type}=Ab1", referrer="https://news.example/"), TABLES
    )
    field = classify(Evidence(click_id="Ab1", click_id_type=click_type.upper()), TABLES)
    assert in_url == field == (channel, source, medium, "", "", "", "click_id:" + click_type)


def test_a_click_id_and_the_rules_agree_on_the_channel_of_its_source_and_medium() -> None:
    for click_type in (
        "gclid",
        "msclkid",
        "li_fat_id",
        "ttclid",
        "twclid",
        "rdt_cid",
        "dclid",
        "mc_cid",
        "fbclid",
    ):
        clicked = classify(Evidence(click_id="1", click_id_type=click_type), TABLES)
        assert channel_of(utm_source=clicked.source, utm_medium=clicked.medium) == clicked.channel


def test_an_unknown_or_empty_click_id_is_no_evidence() -> None:
    assert channel_of(click_id="1", click_id_type="zzclid") == "Direct"
    assert channel_of(click_id_type="gclid") == "Direct"
    assert channel_of(url="https://acme.com/?gclid=&fbclid=%20") == "Direct"


def test_a_paid_click_id_beats_an_unpaid_one_on_the_same_url() -> None:
    assert channel_of(url="https://acme.com/?fbclid=1&gclid=2") == "Paid Search"


def test_gad_source_is_paid_search_when_it_is_1_and_otherwise_paid() -> None:
    assert channel_of(url="https://acme.com/?gad_source=1") == "Paid Search"
    assert channel_of(url="https://acme.com/?gad_source=5", referrer="https://google.com") == "Paid Other"


def test_utm_tags_beat_a_click_id_which_fills_in_a_missing_medium() -> None:
    assert channel_of(url="https://acme.com/?utm_source=newsletter&utm_medium=email&gclid=1") == "Email"
    assert channel_of(url="https://acme.com/?utm_source=google&gclid=1") == "Paid Search"


@pytest.mark.parametrize(
    ("referrer", "channel", "source", "medium"),
    [
        ("https://www.google.co.uk/search?q=x", "Organic Search", "google.co.uk", "organic"),
        ("http://duckduckgo.com", "Organic Search", "duckduckgo.com", "organic"),
        ("https://search.brave.com/", "Organic Search", "search.brave.com", "organic"),
        ("https://l.facebook.com/", "Organic Social", "facebook.com", "social"),
        ("https://news.ycombinator.com/item?id=1", "Organic Social", "news.ycombinator.com", "social"),
        ("https://t.co/abc", "Organic Social", "t.co", "social"),
        ("https://m.youtube.com/watch", "Organic Video", "youtube.com", "referral"),
        ("https://www.amazon.de/", "Organic Shopping", "amazon.de", "referral"),
        ("https://chatgpt.com/", "AI Assistant", "chatgpt.com", "ai-assistant"),
        ("https://gemini.google.com/app", "AI Assistant", "gemini.google.com", "ai-assistant"),
        ("https://www.perplexity.ai/", "AI Assistant", "perplexity.ai", "ai-assistant"),
        ("https://mail.google.com/mail/u/0", "Referral", "mail.google.com", "referral"),
        ("https://blog.partner.co.uk:8443/x", "Referral", "partner.co.uk", "referral"),
        ("https://foo.github.io/", "Referral", "foo.github.io", "referral"),
        ("android-app://com.linkedin.android/", "Organic Social", "com.linkedin.android", "social"),
        ("//user:pw@Partner.Example./", "Referral", "partner.example", "referral"),
        ("partner.example", "Referral", "partner.example", "referral"),
        ("http://10.0.0.1/x", "Referral", "10.0.0.1", "referral"),
    ],
)
def test_a_referrer_gives_source_medium_and_channel(
    referrer: str, channel: str, source: str, medium: str
) -> None:
    result = classify(Evidence(type="page_view", url="https://acme.com/", referrer=referrer), TABLES)
    assert result == (channel, source, medium, "", "", "", "referrer")


@pytest.mark.parametrize(
    ("url", "referrer"),
    [
        ("https://www.acme.co.uk/pricing", "https://blog.acme.co.uk/"),
        ("https://ACME.com", "http://acme.com:8080/x"),
        ("http://10.0.0.1/", "http://10.0.0.1/x"),
    ],
)
def test_a_referrer_on_the_urls_own_registrable_domain_is_no_referrer(url: str, referrer: str) -> None:
    result = classify(Evidence(type="email_click", url=url, referrer=referrer), TABLES)
    assert result == ("Email", "", "", "", "", "", "type:email_*")


def test_two_sites_under_one_public_suffix_are_not_one_site() -> None:
    assert channel_of(url="https://a.github.io/", referrer="https://b.github.io/") == "Referral"


@pytest.mark.parametrize(
    "text",
    ["$direct", "null", "about:blank", "data:text/html,x", "mailto:a@b.com", "http://", "https:///x", "::",
     "http://[::1", "http://..", "http://a b.com/", "javascript:x.y()", "file:///C:/x", "localhost", "http://.com",
     "x" * 9_999, "\x00", "a..b"],
)  # fmt: skip
def test_what_holds_no_host_is_no_referrer(text: str) -> None:
    assert host_of(text) == ""
    assert channel_of(type="webinar", url=text, referrer=text) == "Events"


def test_utm_tags_missing_as_fields_are_read_from_the_query_and_decoded() -> None:
    url = (
        "https://acme.com/a?x=1&UTM_Source=News%20Letter&amp;utm_medium=e-mail&utm_campaign=Q3+launch"
        "&utm_term=crm&utm_content=top&utm_source=late#utm_campaign=no"
    )
    result = classify(Evidence(url=url, utm_content="bottom"), TABLES)
    assert result == ("Email", "News Letter", "e-mail", "Q3 launch", "crm", "bottom", "utm")


def test_a_blank_tag_does_not_hide_a_later_one_of_the_same_name() -> None:
    assert channel_of(url="https://acme.com/?utm_source=&utm_source=google") == "Organic Search"


def test_tags_in_the_fragment_are_not_read() -> None:
    assert channel_of(url="https://acme.com/#/a?utm_source=google") == "Direct"
    assert channel_of(url="https://acme.com/?a=1#&utm_source=google") == "Direct"


def test_campaign_keyword_and_content_given_beat_the_utm_ones_but_are_no_evidence_for_the_channel() -> None:
    result = classify(
        Evidence(
            utm_source="google", utm_campaign="u", utm_term="t", utm_content="c",
            campaign="cross-network", keyword="k", content="d",
        ),
        TABLES,
    )  # fmt: skip
    assert result == ("Organic Search", "google", "", "cross-network", "k", "d", "utm")


def test_columns_are_filled_in_one_by_one_from_tags_then_click_id_then_referrer() -> None:
    result = classify(Evidence(utm_medium="email", referrer="https://www.google.com/"), TABLES)
    assert (result.channel, result.source, result.medium) == ("Email", "google.com", "email")


def test_a_campaign_alone_lets_the_referrer_name_source_and_medium() -> None:
    result = classify(Evidence(utm_campaign="spring", referrer="https://www.google.com/"), TABLES)
    assert result[:4] == ("Organic Search", "google.com", "organic", "spring")


def test_long_values_are_classified_like_short_ones() -> None:
    assert channel_of(utm_source="google", utm_medium="cpc", utm_campaign="x" * 5_000) == "Paid Search"
    assert channel_of(utm_source="y." * 5_000 + "com") == "Unassigned"
