"""Channel rules: those of a user, those that are wrong, and the explanation of the one that hit."""

from __future__ import annotations

import pytest

from revenue_core.channel_data import DEFAULT_RULES
from revenue_core.channel_explain import explain
from revenue_core.channel_rules import Condition, Rule, compile_part, describe, parse_rules
from revenue_core.channels import Evidence, classify
from streams.reference_data import channel_tables

TABLES = channel_tables()


def channel_of(**evidence: str) -> str:
    return classify(Evidence(**evidence), TABLES).channel


def test_rules_of_the_user_replace_the_whole_list() -> None:
    mine = channel_tables(
        rules=[
            {"channel": "Partners", "field": "source", "op": "ends_with", "value": [".Partner", "-partner"]},
            {
                "channel": "Brand",
                "all": [
                    {"field": "source", "op": "in_list", "value": "search"},
                    {"any": [
                        {"field": "campaign", "op": "contains", "value": "BRAND"},
                        {"field": "medium", "op": "regex", "value": "^b.d$"},
                    ]},
                ],
            },
        ]
    )  # fmt: skip
    assert mine.channel("acme-PARTNER", "cpc", "") == "Partners"
    assert mine.channel("google", "cpc", "my brand") == "Brand"
    assert mine.channel("google", "BID", "") == "Brand"
    assert mine.channel("google", "cpc", "other") == "Unassigned"


def test_sources_of_the_user_are_added_to_the_lists() -> None:
    tables = channel_tables(sources={"intranet.example": "search", "x.com": ""})
    assert tables.channel("intranet.example", "cpc", "") == "Paid Search"
    assert tables.channel("x.com", "referral", "") == "Referral"


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ([], "rules: at least one rule is needed"),
        ([{"field": "source", "op": "equals", "value": "x"}], "rules/0: a rule needs a channel name"),
        (["x"], "rules/0: a rule needs a channel name"),
        ([{"channel": "A"}], "rules/0: expected field, op and value"),
        ([{"channel": "A", "all": []}], "rules/0/all: expected a list of conditions"),
        ([{"channel": "A", "any": ["x"]}], "rules/0/any/0: expected a mapping"),
        ([{"channel": "A", "field": "url", "op": "equals", "value": "x"}], "rules/0: unknown field 'url'"),
        ([{"channel": "A", "field": "source", "op": "like", "value": "x"}], "rules/0: unknown op 'like'"),
        (
            [{"channel": "A", "field": "source", "op": "equals", "value": []}],
            "rules/0: a condition needs at least",
        ),
        ([{"channel": "A", "field": "source", "op": "equals", "value": 1}], "rules/0: value must be text"),
        (
            [{"channel": "A", "field": "source", "op": "in_list", "value": "news"}],
            "rules/0: unknown list 'news'",
        ),
        ([{"channel": "A", "field": "medium", "op": "in_list", "value": "ai"}], "in_list is for source only"),
        ([{"channel": "A", "field": "medium", "op": "regex", "value": "("}], "rules/0: broken regex '\\('"),
    ],
)
def test_a_wrong_rule_is_refused_with_its_place(rules: list[dict[str, object]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_rules(rules)


def test_a_wrong_rule_built_in_code_is_refused_too() -> None:
    with pytest.raises(ValueError, match="unknown field"):
        compile_part(Rule("A", Condition("url", "equals", ("x",))).when)


def test_a_rule_reads_as_a_sentence() -> None:
    assert describe(DEFAULT_RULES[2].when) == (
        '(source is in the shopping list or campaign matches "^(.*(([^a-df-z]|^)shop|shopping).*)$") '
        'and medium matches "^(.*cp.*|ppc|retargeting|paid.*)$"'
    )


def test_every_channel_that_comes_out_is_announced() -> None:
    assert {
        "Unassigned",
        "Direct",
        "Events",
        "Sales Outreach",
        "AI Assistant",
        "Paid Other",
    } <= TABLES.channels


@pytest.mark.parametrize(
    ("evidence", "decides", "outcome"),
    [
        (Evidence(channel="X"), "given", "used as it stands"),
        (Evidence(utm_source="sms"), "utm", 'rule 18 SMS: source is "sms" or medium is "sms"'),
        (Evidence(utm_source="odd"), "utm", "no rule matches: Unassigned"),
        (
            Evidence(utm_source="odd", click_id="1", click_id_type="gclid"),
            "utm",
            "by the click id: rule 8 Paid Other",
        ),
        (
            Evidence(utm_campaign="x", referrer="https://odd.example"),
            "utm",
            "by the referrer: rule 14 Referral",
        ),
        (Evidence(click_id="1", click_id_type="dclid"), "click_id", "Display"),
        (Evidence(referrer="https://bing.com"), "referrer", "rule 13 Organic Search"),
        (Evidence(type="webinar"), "type", "Events (webinar)"),
        (Evidence(), "type", "Direct (any other type)"),
    ],
)
def test_the_explanation_names_the_evidence_that_decides(
    evidence: Evidence, decides: str, outcome: str
) -> None:
    steps = explain(evidence, TABLES)
    assert [step.name for step in steps] == ["given", "utm", "click_id", "referrer", "type"]
    assert [step.name for step in steps if step.decides] == [decides]
    assert outcome in next(step.outcome for step in steps if step.decides)


def test_the_explanation_says_why_a_referrer_does_not_count() -> None:
    def said(**evidence: str) -> str:
        return explain(Evidence(**evidence), TABLES)[3].outcome

    assert said(url="https://a.example", referrer="https://b.a.example") == (
        "the same site as the page (a.example), so no referrer"
    )
    assert said(referrer="$direct") == "the referrer holds no host"
    assert said() == "no referrer"
