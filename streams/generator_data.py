"""What the generated world is made of: invented companies and people, pages, channels, browsers and crawlers."""

from __future__ import annotations

from typing import NamedTuple

SITE = "https://www.meridianflow.example"
"""The seller's own site."""


class Industry(NamedTuple):
    """A line of business, as the last word of a company's name and in the CRM."""

    suffix: str
    name: str


FIRST_WORDS = (
    "Alder", "Brightwater", "Cobalt", "Driftwood", "Emberley", "Fennimore", "Granite", "Harbourline", "Ironbark",
    "Juniper", "Kestrel", "Lanternway", "Maplecroft", "Nettlebed", "Oakhaven", "Pinecrest", "Quillstone",
    "Ridgeline", "Saffron", "Ternwick", "Umberland", "Valemont", "Willowmere", "Yarrow", "Zephyrine", "Aldgate",
    "Birchfold", "Copperhill", "Dovetail", "Eastmoor", "Foxglove", "Greenhalgh", "Hollowell", "Inglewood",
    "Jessamine", "Kingsmarch", "Larkspur", "Moorgate", "Northwold", "Overbury",
)  # fmt: skip
INDUSTRIES = (
    Industry("Robotics", "Machinery"), Industry("Logistics", "Transport"), Industry("Analytics", "Software"),
    Industry("Foods", "Food"), Industry("Energy", "Utilities"), Industry("Bank", "Banking"),
    Industry("Software", "Software"), Industry("Instruments", "Electronics"), Industry("Materials", "Chemicals"),
    Industry("Health", "Healthcare"), Industry("Mobility", "Automotive"), Industry("Optics", "Electronics"),
    Industry("Media", "Media"), Industry("Insurance", "Insurance"), Industry("Components", "Automotive"),
    Industry("Cloud", "Software"), Industry("Textiles", "Apparel"), Industry("Marine", "Transport"),
    Industry("Security", "Software"), Industry("Academy", "Education"),
)  # fmt: skip
"""With the first words: 800 company names before one repeats with a number."""

FIRST_NAMES = (
    "amara", "bjorn", "chiara", "dmitri", "elif", "farid", "grace", "hiro", "ines", "jonas", "keiko", "liam",
    "maren", "nadia", "oscar", "priya", "quentin", "rosa", "soren", "tomas", "ulrike", "victor", "wanda",
    "xavier", "yusuf", "zofia",
)  # fmt: skip
LAST_NAMES = (
    "abara", "bergstrom", "castellano", "dvorak", "eriksen", "fontaine", "garrido", "hoffmann", "ishikawa",
    "jansen", "kowalski", "lindqvist", "moreau", "nakamura", "okafor", "petrov", "quintana", "rossi", "schuster",
    "tanaka", "ueda", "vasquez", "weber", "yilmaz", "zeller",
)  # fmt: skip
ROLES = ("champion", "decision_maker", "economic_buyer", "influencer", "end_user")
SDRS = ("rep-akinyi", "rep-bennett", "rep-cheng", "rep-dubois")
CLOSERS = ("rep-ellison", "rep-ferrari", "rep-gupta")
EMPLOYEES = (18, 45, 90, 160, 240, 420, 800, 1500, 4200)
SEGMENT_FROM = ((1000, "enterprise"), (200, "mid_market"), (0, "small_business"))
"""Least number of employees -> segment, largest first."""

CURRENCIES = ("EUR", "EUR", "EUR", "EUR", "USD", "USD", "USD", "USD", "JPY", "JPY")
YEN_PER_UNIT = 150
PRODUCTS = ("Starter plan", "Team plan", "Business plan", "Platform licence")
LOST_REASONS = ("price", "competitor", "no_decision", "timing", "missing_feature")
DISQUALIFIED_REASONS = ("student", "no_budget", "wrong_region", "competitor", "duplicate_request")
CRM_OF_PIPELINE = {"default": "salesforce", "hubspot": "hubspot"}

PAGES = (
    ("/", "Meridianflow"), ("/product", "Product tour"), ("/product/integrations", "Integrations"),
    ("/solutions/manufacturing", "For manufacturers"), ("/solutions/finance", "For finance teams"),
    ("/customers", "Customer stories"), ("/customers/quayside-terminals", "How a port saved a shift a day"),
    ("/docs/getting-started", "Getting started"), ("/security", "Security and compliance"),
    ("/about", "About us"),
)  # fmt: skip
ARTICLES = (
    ("/blog/forecasting-without-spreadsheets", "Forecasting without spreadsheets"),
    ("/blog/what-is-pipeline-velocity", "What is pipeline velocity?"),
    ("/blog/buying-committees", "Selling to buying committees"),
    ("/guides/revenue-operations", "The guide to revenue operations"),
    ("/compare/alternatives", "Alternatives compared"),
)
LATE_PAGES = (
    ("/pricing", "Pricing"), ("/pricing/enterprise", "Enterprise pricing"), ("/security", "Security"),
    ("/docs/api", "API reference"), ("/customers", "Customer stories"), ("/product/roadmap", "Roadmap"),
)  # fmt: skip
ASSETS = ("revenue-report", "buyers-checklist", "roi-calculator", "integration-handbook")
WEBINARS = ("forecasting-in-practice", "clean-crm-in-a-week", "from-lead-to-ledger")
EVENTS = ("field-days-autumn", "revenue-summit", "partner-breakfast")
NEWSLETTERS = ("digest", "product-news", "customer-story", "nurture-sequence")


class Entry(NamedTuple):
    """How a visitor reaches the site: what the browser and the landing URL say."""

    referrer: str = ""
    query: str = ""
    click_id: str = ""
    """Name of the click id in the URL, drawn anew for every visit."""


GOOGLE = "https://www.google.com/"
SEARCH_AD = "utm_source=google&utm_medium=cpc&utm_campaign=brand-search&utm_term=pipeline+forecast"
BING_AD = "utm_source=bing&utm_medium=cpc&utm_campaign=competitor-terms&utm_term=crm+forecasting"
LINKEDIN_AD = "utm_source=linkedin&utm_medium=paid-social&utm_campaign=revops-leaders&utm_content=carousel-b"
RETARGETING = "utm_source=adnet&utm_medium=display&utm_campaign=retargeting&utm_content=banner-728"
NEWSLETTER = "utm_source=newsletter&utm_medium=email&utm_campaign=digest"

_SEARCH = (Entry(GOOGLE), Entry("https://www.bing.com/"), Entry("https://duckduckgo.com/"))
_ASSISTANTS = (
    Entry("https://chatgpt.com/", "utm_source=chatgpt.com"),
    Entry("https://www.perplexity.ai/"),
    Entry("https://claude.ai/"),
    Entry("https://gemini.google.com/"),
    Entry("https://copilot.microsoft.com/"),
)
_PAID = (
    Entry(GOOGLE, SEARCH_AD, "gclid"),
    Entry(GOOGLE, "", "gclid"),
    Entry("https://www.bing.com/", BING_AD, "msclkid"),
    Entry("https://www.linkedin.com/", LINKEDIN_AD, "li_fat_id"),
)
_SOCIAL = (
    Entry("https://www.linkedin.com/"),
    Entry("https://www.reddit.com/"),
    Entry("https://t.co/"),
    Entry("https://www.facebook.com/", "", "fbclid"),
)
_REFERRALS = (
    Entry("https://reviews.softwarepeers.example/meridianflow"),
    Entry("https://blog.opsnotebook.example/tools"),
    Entry("", "utm_source=softwarepeers&utm_medium=referral&utm_campaign=category-page"),
)
_REST = (
    Entry("https://www.youtube.com/"),
    Entry("", "utm_source=resellerhub&utm_medium=affiliate&utm_campaign=resellers"),
    Entry("", "utm_source=revtalk&utm_medium=audio&utm_campaign=podcast-season-2"),
    Entry("", RETARGETING, "dclid"),
)
DIRECT = Entry()

FIRST_VISITS = (
    *_SEARCH * 5, *_ASSISTANTS * 2, *_PAID * 3, *_SOCIAL * 2, *_REFERRALS * 2, *_REST, *(DIRECT,) * 5,
)  # fmt: skip
"""Where strangers come from; an entry that stands more often is more frequent."""
LATER_VISITS = (
    *(DIRECT,) * 8, *(Entry("", NEWSLETTER), Entry("", NEWSLETTER, "mc_cid"), Entry("", RETARGETING, "dclid")) * 2,
    Entry(GOOGLE), *_SEARCH, *_ASSISTANTS, _PAID[0], _PAID[3], *_SOCIAL[:2], *_REFERRALS, _REST[0], _REST[2],
)  # fmt: skip
"""Where those who know the product come from."""


class Ad(NamedTuple):
    """A campaign on an advertising network."""

    source: str
    medium: str
    campaign: str
    click_id_type: str
    channel: str
    """As the touches of the campaign are classified; spend is booked on it."""


ADS = (
    Ad("google", "cpc", "brand-search", "gclid", "Paid Search"),
    Ad("bing", "cpc", "competitor-terms", "msclkid", "Paid Search"),
    Ad("linkedin", "paid-social", "revops-leaders", "li_fat_id", "Paid Social"),
    Ad("adnet", "display", "retargeting", "dclid", "Display"),
)

_WINDOWS = "Mozilla/5.0 (Windows NT 10.0; Win64; x64)"
_MAC = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7)"
_IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X)"
_WEBKIT = "AppleWebKit/537.36 (KHTML, like Gecko)"
_SAFARI = "AppleWebKit/605.1.15 (KHTML, like Gecko)"
BROWSERS = (
    f"{_WINDOWS} {_WEBKIT} Chrome/126.0.0.0 Safari/537.36",
    f"{_WINDOWS} {_WEBKIT} Chrome/126.0.0.0 Safari/537.36 Edg/126.0.0.0",
    f"{_MAC} {_WEBKIT} Chrome/125.0.0.0 Safari/537.36",
    f"{_MAC} {_SAFARI} Version/17.5 Safari/605.1.15",
    f"{_IPHONE} {_SAFARI} Version/17.5 Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0",
)
CRAWLERS = (
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)",
    "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; GPTBot/1.2; +https://openai.com/gptbot)",
    "Mozilla/5.0 (compatible; AhrefsBot/7.0; +http://ahrefs.com/robot/)",
    "python-requests/2.32",
)
