"""Every native message of the three source topics, one pydantic model per type (R14).

These models are what messages are validated with, what the JSON Schemas are exported from, and what rows of
tables are read by. A field of a model is one that may be sent; every field that is not required may be absent,
and unknown fields are ignored. Text has at most 1,024 characters, what is long by nature (addresses of pages,
user agents, reasons) 8,192, a list 1,000 elements. Where one field's rule needs another's value, that other one
stands before it.
"""

# no postponed annotations: the models are read at run time

from typing import Annotated, Literal, Required

from pydantic import ConfigDict, Field, with_config
from typing_extensions import TypedDict

from schemas.fields import (
    Account,
    Amount,
    Count,
    Currency,
    Day,
    Domain,
    DomainList,
    Email,
    Identifier,
    Instant,
    LongText,
    Number,
    Object,
    Pipeline,
    SignedAmount,
    Source,
    Stage,
    Text,
    TextList,
)

DEFAULT_SOURCE = "native"

LeadId = Annotated[Identifier, Field(description="A lead")]
AccountId = Annotated[Account, Field(description="The buying organisation")]
DealId = Annotated[Identifier, Field(description="A deal")]
Channel = Annotated[Text, Field(description="Channel; overrides classification")]
Campaign = Annotated[Text, Field(description="Campaign; default utm_campaign")]
Money = Annotated[Currency, Field(description="ISO 4217 code of the amounts; default the configured one")]
CrmSource = Annotated[Text, Field(description="Lead source as the CRM has it")]
Owner = Annotated[Identifier, Field(description="Our colleague who owns it")]


@with_config(ConfigDict(strict=True))
class Envelope(TypedDict, total=False):
    """What every message carries beside its type."""

    event_id: Required[Annotated[Identifier, Field(description="With source it identifies the fact")]]
    occurred_at: Required[
        Annotated[Instant, Field(description="When: RFC 3339 with an offset, or epoch milliseconds")]
    ]
    source: Annotated[Source, Field(default=DEFAULT_SOURCE, description="The sending system")]


class Person(TypedDict, total=False):
    """Identifiers that no type requires."""

    contact_id: Annotated[Identifier, Field(description="A known person")]
    email: Annotated[Email, Field(description="E-mail address of a person")]
    anonymous_id: Annotated[Identifier, Field(description="A visitor nobody may know yet")]
    domain: Annotated[Domain, Field(description="Website domain of a company")]


class Identifiers(Person, total=False):
    """Whom a message is about: at least one of these."""

    deal_id: DealId
    lead_id: LeadId
    account_id: AccountId


class Event(Envelope, Identifiers, total=False):
    """A message that may be about anybody."""


class OfLead(Envelope, Person, total=False):
    """A message about a lead."""

    lead_id: Required[LeadId]
    deal_id: DealId
    account_id: AccountId


class OfAccount(Envelope, Person, total=False):
    """A message about an account."""

    account_id: Required[AccountId]
    deal_id: DealId
    lead_id: LeadId


class OfDeal(Envelope, Person, total=False):
    """A message about a deal."""

    deal_id: Required[DealId]
    lead_id: LeadId
    account_id: AccountId


class Touch(Event, total=False):
    """One dated contact between an account and us."""

    url: Annotated[LongText, Field(description="Page address; UTMs and click ids not given are read from it")]
    referrer: Annotated[LongText, Field(description="Address of the page before")]
    title: Annotated[Text, Field(description="Title of the page or name of the action")]
    content_id: Annotated[Identifier, Field(description="The content seen")]
    utm_source: Annotated[Text, Field(description="UTM: which site or newsletter sent the visitor")]
    utm_medium: Annotated[Text, Field(description="UTM: by what kind of link, such as cpc or email")]
    utm_campaign: Annotated[Text, Field(description="UTM: for which campaign")]
    utm_term: Annotated[Text, Field(description="UTM: for which paid search term")]
    utm_content: Annotated[Text, Field(description="UTM: which of several links")]
    utm_id: Annotated[Identifier, Field(description="UTM: id of the campaign")]
    click_id: Annotated[Identifier, Field(description="Click id that an ad network added")]
    click_id_type: Annotated[Text, Field(description="Name of the click id, such as gclid")]
    channel: Channel
    campaign: Campaign
    keyword: Annotated[Text, Field(description="Keyword; default utm_term")]
    content: Annotated[Text, Field(description="Content; default utm_content")]
    session_id: Annotated[Identifier, Field(description="The visit")]
    rep_id: Annotated[Identifier, Field(description="Our colleague")]
    rep_role: Annotated[Text, Field(description="The colleague's role")]
    contact_role: Annotated[Text, Field(description="The contact's role in the purchase")]
    team: Annotated[Literal["marketing", "sales"], Field(description="Who earned the touch")]
    currency: Money
    cost: Annotated[Amount, Field(description="What the touch cost, major units")]
    user_agent: Annotated[LongText, Field(description="User agent of the visitor's browser")]


class PageView(Touch):
    """A page was seen."""

    type: Literal["page_view"]


class AdClick(Touch):
    """An advertisement was clicked."""

    type: Literal["ad_click"]


class AdImpression(Touch):
    """An advertisement was shown."""

    type: Literal["ad_impression"]


class EmailOpen(Touch):
    """An e-mail of ours was opened."""

    type: Literal["email_open"]


class EmailClick(Touch):
    """A link in an e-mail of ours was followed."""

    type: Literal["email_click"]


class EmailReply(Touch):
    """An e-mail of ours was answered."""

    type: Literal["email_reply"]


class CallAnswered(Touch):
    """A call was answered."""

    type: Literal["call_answered"]


class Meeting(Touch):
    """A meeting took place."""

    type: Literal["meeting"]


class FormSubmit(Touch):
    """A form was sent."""

    type: Literal["form_submit"]


class DemoRequest(Touch):
    """A demonstration was asked for."""

    type: Literal["demo_request"]


class Webinar(Touch):
    """A webinar was attended."""

    type: Literal["webinar"]


class Download(Touch):
    """Something was downloaded."""

    type: Literal["download"]


class Chat(Touch):
    """A chat took place."""

    type: Literal["chat"]


class EventAttended(Touch):
    """An event was attended."""

    type: Literal["event_attended"]


class EmailSent(Touch):
    """We sent an e-mail."""

    type: Literal["email_sent"]


class CallAttempt(Touch):
    """We called and nobody answered."""

    type: Literal["call_attempt"]


class MessageSent(Touch):
    """We sent a message other than an e-mail."""

    type: Literal["message_sent"]


class Other(Touch):
    """Any other touch; it says itself who acted."""

    type: Literal["other"]
    direction: Annotated[
        Literal["inbound", "outbound"], Field(description="Who acted: they (inbound) or we (outbound)")
    ]


class Spend(Envelope, total=False):
    """What a channel cost on the day of ``occurred_at``; it belongs to no account."""

    type: Required[Literal["spend"]]
    channel: Required[Channel]
    campaign: Campaign
    currency: Money
    cost: Required[Annotated[Amount, Field(description="What was spent, major units")]]


class LeadCreated(OfLead, total=False):
    """A lead came in."""

    type: Required[Literal["lead_created"]]
    crm_source: CrmSource


class LeadQualified(OfLead):
    """A lead was accepted."""

    type: Literal["lead_qualified"]
    level: Annotated[Literal["mql", "sql"], Field(description="Who accepted it: marketing or sales")]


class LeadDisqualified(OfLead, total=False):
    """A lead was given up."""

    type: Required[Literal["lead_disqualified"]]
    reason: Annotated[LongText, Field(description="Why the lead was given up")]


class LeadFeedback(OfLead, total=False):
    """What sales thinks of a lead."""

    type: Required[Literal["lead_feedback"]]
    accepted: Annotated[bool, Field(description="Whether sales accepted the lead")]
    score: Annotated[Number, Field(description="The sender's score of the lead")]


class ContactIdentified(Event):
    """All identifiers in the message belong together."""

    type: Literal["contact_identified"]


class AccountUpdated(OfAccount, total=False):
    """A patch: the fields present are set, the others stay."""

    type: Required[Literal["account_updated"]]
    name: Annotated[Text, Field(description="Name of the account")]
    industry: Annotated[Text, Field(description="Industry of the account")]
    employees: Annotated[Count, Field(description="Number of employees")]
    segment: Annotated[Text, Field(description="Segment of the account")]
    owner_id: Owner
    domains: Annotated[DomainList, Field(description="Website domains that the account claims")]
    attributes: Annotated[Object, Field(description="Anything else the sender knows, at most 16 KiB as JSON")]


class AccountMerged(OfAccount):
    """An account is one with another from now on."""

    type: Literal["account_merged"]
    into_account_id: Annotated[Account, Field(description="The account that takes the merged one over")]


class AccountUnmerged(OfAccount):
    """An account is one of its own again."""

    type: Literal["account_unmerged"]


class PersonErased(Event):
    """Everything known of a person is to be forgotten."""

    type: Literal["person_erased"]


class DealUpdated(OfDeal, total=False):
    """A patch: the fields present are set, the others stay."""

    type: Required[Literal["deal_updated"]]
    pipeline: Annotated[Pipeline, Field(description="A configured pipeline")]
    stage: Annotated[Stage, Field(description="A stage of the pipeline")]
    status: Annotated[Literal["open", "won", "lost"], Field(description="State of the deal")]
    currency: Money
    amount: Annotated[Amount, Field(description="What the deal is worth, major units")]
    mrr: Annotated[Amount, Field(description="Monthly recurring revenue, major units")]
    owner_id: Owner
    contact_ids: Annotated[TextList, Field(description="Stakeholders of the deal")]
    lead_ids: Annotated[TextList, Field(description="Leads that became the deal")]
    name: Annotated[Text, Field(description="Name of the deal")]
    crm_source: CrmSource
    expected_close_date: Annotated[Day, Field(description="When it is expected to close")]
    lost_reason: Annotated[LongText, Field(description="Why the deal was lost")]


class DealDeleted(OfDeal):
    """A deal is gone, as if it had never been."""

    type: Literal["deal_deleted"]


class MrrMovement(Event, total=False):
    """A customer's recurring revenue changed; the amount is its size, whatever its sign (R26)."""

    type: Required[Literal["mrr_movement"]]
    movement: Required[
        Annotated[
            Literal["new", "expansion", "contraction", "churn", "reactivation"],
            Field(description="Kind of change"),
        ]
    ]
    currency: Money
    amount: Required[Annotated[SignedAmount, Field(description="Size of the change, major units a month")]]


class Refund(OfDeal, total=False):
    """Money of a won deal was given back."""

    type: Required[Literal["refund"]]
    currency: Money
    amount: Required[Annotated[Amount, Field(description="What was given back, major units")]]
