"""Laws of channel classification, for any text whatever."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from revenue_core.channel_data import SOURCE_LISTS
from revenue_core.channel_explain import explain
from revenue_core.channels import ChannelTables, Evidence, classify
from streams.reference_data import bot_matcher, channel_tables, registrable_domains

TABLES = channel_tables()

any_text = st.text(st.characters(), max_size=40)
url_like = st.lists(
    st.sampled_from(
        ["https://", "//", "acme.com", "google.com", "?", "&", "#", "=", "utm_source", "utm_medium", "gclid",
         "%", "%C3", "+", "cpc", "email", ":", "@", "[", "]", ".", "/", " ", "\ud800", "shop", "gad_source",
         "amp;"]
    ),
    max_size=14,
).map("".join)  # fmt: skip
texts = any_text | url_like | st.sampled_from([*SOURCE_LISTS][:400])
evidences = st.builds(Evidence, *[texts] * len(Evidence._fields))
ascii_texts = st.text(st.characters(max_codepoint=127), max_size=30) | st.sampled_from(
    ["google", "cpc", "email", "t.co", "paid-social", "eshop", "workshop", "display", "sms", "ai-assistant"]
)


@settings(max_examples=300)
@given(evidences)
def test_no_text_makes_classification_or_its_explanation_raise(evidence: Evidence) -> None:
    result = classify(evidence, TABLES)
    steps = explain(evidence, TABLES)
    assert result.channel
    assert [step.name for step in steps if step.decides] == [result.rule.partition(":")[0]]


@given(evidences)
def test_caches_do_not_change_the_answer(evidence: Evidence) -> None:
    fresh = ChannelTables(registrable_domains())
    assert classify(evidence, fresh) == classify(evidence, TABLES) == classify(evidence, TABLES)


@given(evidences)
def test_without_a_given_channel_only_announced_channels_come_out(evidence: Evidence) -> None:
    assert classify(evidence._replace(channel=""), TABLES).channel in TABLES.channels


@given(source=ascii_texts, medium=ascii_texts, campaign=ascii_texts)
def test_tags_are_compared_without_regard_to_case(source: str, medium: str, campaign: str) -> None:
    plain = classify(Evidence(utm_source=source, utm_medium=medium, utm_campaign=campaign), TABLES)
    upper = Evidence(utm_source=source.upper(), utm_medium=medium.upper(), utm_campaign=campaign.upper())
    assert classify(upper, TABLES).channel == plain.channel


@given(host=st.sampled_from([name for name in SOURCE_LISTS if "." in name]))
def test_hosts_are_compared_without_regard_to_case(host: str) -> None:
    lower = classify(Evidence(referrer=f"https://{host}/"), TABLES)
    assert classify(Evidence(referrer=f"HTTPS://{host.upper()}/"), TABLES) == lower


@given(given_channel=any_text.filter(lambda text: text.strip() != ""), evidence=evidences)
def test_a_given_channel_always_stands(given_channel: str, evidence: Evidence) -> None:
    assert classify(evidence._replace(channel=given_channel), TABLES).channel == given_channel


@given(any_text | url_like)
def test_any_user_agent_is_judged(user_agent: str) -> None:
    assert bot_matcher()(user_agent) in (True, False)
