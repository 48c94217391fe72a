"""What is known of the web's traffic sources: the default channel rules, source lists, click ids (R34).

The rules are Google Analytics 4's default channel group in its published order. The lists name sites by
their registrable domain, by a host where only that host belongs to the list, and by the bare names that
people write into ``utm_source``. All in lower case.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from revenue_core.channel_rules import AllOf, AnyOf, Condition, Rule

UNASSIGNED = "Unassigned"
DIRECT = "Direct"

_PAID = Condition("medium", "regex", (r"^(.*cp.*|ppc|retargeting|paid.*)$",))
_SHOP = Condition("campaign", "regex", (r"^(.*(([^a-df-z]|^)shop|shopping).*)$",))
_DIRECT_SOURCE = Condition("source", "equals", ("(direct)",))
_SEARCH = Condition("source", "in_list", ("search",))
_SOCIAL = Condition("source", "in_list", ("social",))
_VIDEO = Condition("source", "in_list", ("video",))
_SHOPPING = Condition("source", "in_list", ("shopping",))
_SOCIAL_MEDIA = ("social", "social-network", "social-media", "sm", "social network", "social media")
_DISPLAY = ("display", "banner", "expandable", "interstitial", "cpm")
_EMAIL = ("email", "e-mail", "e_mail", "e mail")

DEFAULT_RULES: tuple[Rule, ...] = (
    # A tag that says (direct) and leaves the medium out means what (none) means.
    Rule(DIRECT, AllOf((_DIRECT_SOURCE, Condition("medium", "one_of", ("(not set)", "(none)", ""))))),
    Rule("Cross-network", Condition("campaign", "contains", ("cross-network",))),
    Rule("Paid Shopping", AllOf((AnyOf((_SHOPPING, _SHOP)), _PAID))),
    Rule("Paid Search", AllOf((_SEARCH, _PAID))),
    Rule("Paid Social", AllOf((_SOCIAL, _PAID))),
    Rule("Paid Video", AllOf((_VIDEO, _PAID))),
    Rule("Display", Condition("medium", "one_of", _DISPLAY)),
    Rule("Paid Other", _PAID),
    # Assistants tag their links with a source and no medium, so the list decides as well as the medium.
    Rule(
        "AI Assistant",
        AnyOf((Condition("medium", "equals", ("ai-assistant",)), Condition("source", "in_list", ("ai",)))),
    ),
    Rule("Organic Shopping", AnyOf((_SHOPPING, _SHOP))),
    Rule("Organic Social", AnyOf((_SOCIAL, Condition("medium", "one_of", _SOCIAL_MEDIA)))),
    Rule("Organic Video", AnyOf((_VIDEO, Condition("medium", "regex", (r"^(.*video.*)$",))))),
    Rule("Organic Search", AnyOf((_SEARCH, Condition("medium", "equals", ("organic",))))),
    Rule("Referral", Condition("medium", "one_of", ("referral", "app", "link"))),
    Rule("Email", AnyOf((Condition("source", "one_of", _EMAIL), Condition("medium", "one_of", _EMAIL)))),
    Rule("Affiliates", Condition("medium", "equals", ("affiliate",))),
    Rule("Audio", Condition("medium", "equals", ("audio",))),
    Rule("SMS", AnyOf((Condition("source", "equals", ("sms",)), Condition("medium", "equals", ("sms",))))),
    Rule(
        "Mobile Push Notifications",
        AnyOf((
            Condition("medium", "ends_with", ("push",)),
            Condition("medium", "contains", ("mobile", "notification")),
            Condition("source", "equals", ("firebase",)),
        )),
    ),
)  # fmt: skip
"""First match wins; nothing matches: Unassigned."""


class ClickId(NamedTuple):
    """What a click id says of the click that carried it."""

    channel: str
    source: str
    medium: str


CLICK_IDS: Mapping[str, ClickId] = MappingProxyType({
    "gclid": ClickId("Paid Search", "google", "cpc"),
    "wbraid": ClickId("Paid Search", "google", "cpc"),
    "gbraid": ClickId("Paid Search", "google", "cpc"),
    "msclkid": ClickId("Paid Search", "bing", "cpc"),
    "li_fat_id": ClickId("Paid Social", "linkedin", "paid-social"),
    "ttclid": ClickId("Paid Social", "tiktok", "paid-social"),
    "twclid": ClickId("Paid Social", "x", "paid-social"),
    "rdt_cid": ClickId("Paid Social", "reddit", "paid-social"),
    "dclid": ClickId("Display", "doubleclick", "display"),
    "mc_cid": ClickId("Email", "mailchimp", "email"),
    "fbclid": ClickId("Organic Social", "facebook", "social"),
    "igshid": ClickId("Organic Social", "instagram", "social"),
})  # fmt: skip
"""R34, strongest evidence first: where a URL carries several, the first of this order decides.

Meta sets ``fbclid`` and ``igshid`` on unpaid clicks too, so they prove no payment.
"""

GAD_SOURCE: Mapping[str, ClickId] = MappingProxyType({
    "1": ClickId("Paid Search", "google", "cpc"),
    "": ClickId("Paid Other", "google", "paid"),
})  # fmt: skip
"""``gad_source`` is what is left of a Google ad click where the click id was stripped: 1 is a search ad,
anything else some other ad."""

TYPE_CHANNELS: tuple[tuple[str, str], ...] = (
    ("email_*", "Email"),
    ("ad_*", "Paid Other"),
    ("call_*", "Sales Outreach"),
    ("meeting", "Sales Outreach"),
    ("message_sent", "Sales Outreach"),
    ("webinar", "Events"),
    ("event_attended", "Events"),
    ("*", DIRECT),
)
"""R34: the channel of a touch without web evidence, by its type; ``*`` at the end stands for anything."""


def _on(name: str, suffixes: str) -> str:
    """One domain name under many suffixes."""
    return " ".join(f"{name}.{suffix}" for suffix in suffixes.split())


_GOOGLE = _on(
    "google",
    "com ad ae com.af com.ag al am co.ao com.ar as at com.au az ba com.bd be bf bg com.bh bi bj com.bn "
    "com.bo com.br bs bt co.bw by com.bz ca cat cd cf cg ch ci co.ck cl cm cn com.co co.cr com.cu cv "
    "com.cy cz de dj dk dm com.do dz com.ec ee com.eg es com.et fi com.fj fm fr ga ge gg com.gh com.gi "
    "gl gm gr com.gt gy com.hk hn hr ht hu co.id ie co.il im co.in iq is it je com.jm jo co.jp co.ke "
    "com.kh ki kg co.kr com.kw kz la com.lb li lk co.ls lt lu lv com.ly co.ma md me mg mk ml com.mm mn "
    "com.mt mu mv mw com.mx com.my co.mz com.na com.ng com.ni ne nl no com.np nr nu co.nz com.om com.pa "
    "com.pe com.pg com.ph com.pk pl pn com.pr ps pt com.py com.qa ro rs ru rw com.sa com.sb sc se "
    "com.sg sh si sk com.sl sn so sm sr st com.sv td tg co.th com.tj tl tm tn to com.tr tt com.tw co.tz "
    "com.ua co.ug co.uk com.uy co.uz com.vc co.ve vg co.vi com.vn vu ws co.za co.zm co.zw",
)

_AMAZON = _on(
    "amazon",
    "com ca co.uk de fr it es nl pl se com.be com.tr ae sa in co.jp com.au com.br com.mx sg eg ie co.za",
)
_EBAY = _on("ebay", "com ca co.uk de fr it es nl pl ie at ch be com.au com.sg com.hk com.my ph in")
_PINTEREST = _on("pinterest", "com ca co.uk de fr it es pt at ch ie se dk ru jp cl nz com.au com.mx co.kr")
_YAHOO = _on("yahoo", "com co.jp co.uk ca de fr es it in com.au com.br com.hk com.mx com.sg com.tw")
_YANDEX = _on("yandex", "com ru by kz uz eu com.tr")

_LISTS: Mapping[str, str] = MappingProxyType({
    "search": f"""
        google bing duckduckgo yahoo ecosia baidu yandex naver daum seznam sogou qwant startpage
        brave kagi aol ask dogpile lycos metager mojeek presearch swisscows altavista excite
        webcrawler infospace sapo rambler coccoc haosou msn alltheweb babylon petalsearch gibiru
        searx youcare lilo ekoru oceanhero neeva
        {_GOOGLE} {_YAHOO} {_YANDEX}
        ya.ru com.google.android.googlequicksearchbox bing.com msn.com duckduckgo.com ddg.gg
        baidu.com sogou.com so.com 360.cn haosou.com sm.cn youdao.com chinaso.com naver.com daum.net
        zum.com coccoc.com goo.ne.jp biglobe.ne.jp seznam.cz centrum.cz atlas.cz onet.pl rambler.ru
        go.mail.ru nigma.ru sputnik.ru virgilio.it arianna.libero.it sapo.pt busca.uol.com.br
        suche.t-online.de suche.web.de suche.gmx.net suche.gmx.at fireball.de metager.de metager.org
        search.ch eniro.se kvasir.no najdi.si voila.fr lemoteur.orange.fr aol.com aol.co.uk aol.de
        ask.com excite.com lycos.com dogpile.com webcrawler.com infospace.com metacrawler.com
        mamma.com hotbot.com alltheweb.com altavista.com gigablast.com ecosia.org qwant.com
        startpage.com ixquick.com search.brave.com kagi.com mojeek.com presearch.com presearch.org
        swisscows.com swisscows.ch gibiru.com searx.me searx.be lilo.org ekoru.org oceanhero.today
        youcare.world yippy.com entireweb.com exalead.com izito.com zapmeta.com myway.com
        mywebsearch.com babylon.com search-results.com petalsearch.com neeva.com andisearch.com
    """,
    "social": f"""
        facebook fb instagram ig linkedin li twitter x reddit pinterest tiktok snapchat threads
        quora tumblr mastodon bluesky whatsapp telegram discord vk vkontakte weibo wechat xing
        medium hackernews producthunt stackoverflow stackexchange flickr meetup nextdoor yelp
        tripadvisor line kakaotalk viadeo clubhouse
        {_PINTEREST}
        x.com facebook.com fb.com fb.me fb.watch messenger.com m.me workplace.com instagram.com
        ig.me threads.net threads.com linkedin.com lnkd.in twitter.com t.co reddit.com redd.it
        pin.it tiktok.com snapchat.com quora.com tumblr.com t.umblr.com bsky.app mastodon.social
        mastodon.online mstdn.social fosstodon.org hachyderm.io infosec.exchange techhub.social
        whatsapp.com wa.me telegram.org telegram.me t.me discord.com discord.gg discordapp.com
        vk.com vk.ru vkontakte.ru ok.ru odnoklassniki.ru my.mail.ru weibo.com weibo.cn t.cn
        wechat.com weixin.qq.com mp.weixin.qq.com qzone.qq.com douban.com zhihu.com tieba.baidu.com
        xiaohongshu.com renren.com mixi.jp ameblo.jp note.com line.me kakao.com cafe.naver.com
        blog.naver.com xing.com viadeo.com viadeo.journaldunet.com medium.com substack.com
        news.ycombinator.com lobste.rs producthunt.com indiehackers.com dev.to hashnode.com
        hackernoon.com slashdot.org stackoverflow.com stackexchange.com superuser.com
        serverfault.com askubuntu.com mathoverflow.net community.spiceworks.com flickr.com 500px.com
        deviantart.com behance.net dribbble.com goodreads.com last.fm soundcloud.com mixcloud.com
        meetup.com nextdoor.com yelp.com yelp.co.uk tripadvisor.com tripadvisor.co.uk foursquare.com
        swarmapp.com digg.com scoop.it flipboard.com getpocket.com mix.com stumbleupon.com diigo.com
        pinboard.in folkd.com livejournal.com blogger.com typepad.com ning.com gab.com parler.com
        truthsocial.com gettr.com minds.com mewe.com myspace.com badoo.com tagged.com hi5.com
        skyrock.com taringa.net classmates.com care2.com couchsurfing.com ravelry.com wattpad.com
        fandom.com disqus.com hootsuite.com ow.ly buff.ly com.facebook.katana com.facebook.orca
        com.instagram.android com.linkedin.android com.twitter.android com.reddit.frontpage
        com.pinterest org.telegram.messenger com.whatsapp com.zhiliaoapp.musically
        com.snapchat.android
    """,
    "video": """
        youtube yt vimeo twitch dailymotion wistia vidyard brightcove netflix hulu disneyplus rumble
        odysee bilibili niconico youku iqiyi loom ted crunchyroll
        youtube.com youtu.be youtube-nocookie.com vimeo.com twitch.tv dailymotion.com dai.ly
        wistia.com wistia.net vidyard.com brightcove.com netflix.com hulu.com disneyplus.com
        rumble.com odysee.com bitchute.com bilibili.com b23.tv nicovideo.jp nico.ms youku.com
        iqiyi.com v.qq.com tudou.com acfun.cn ixigua.com rutube.ru ivi.ru loom.com ted.com
        crunchyroll.com veoh.com metacafe.com vevo.com kick.com peertube.tv primevideo.com max.com
        peacocktv.com pluto.tv plex.tv roku.com vidio.com zattoo.com joyn.de
        com.google.android.youtube
    """,
    "shopping": f"""
        amazon ebay etsy walmart shopify aliexpress alibaba temu shein wish rakuten mercadolibre
        zalando idealo pricerunner pricegrabber shopzilla bizrate nextag kelkoo googleshopping
        igshopping tiktokshop flipkart lazada shopee allegro bol ozon wildberries
        {_AMAZON} {_EBAY}
        shop.app shopping.com etsy.com walmart.com walmart.ca shopify.com aliexpress.com
        aliexpress.us alibaba.com 1688.com taobao.com tmall.com jd.com pinduoduo.com temu.com
        shein.com wish.com rakuten.com rakuten.co.jp shopping.yahoo.co.jp mercari.com
        mercadolibre.com mercadolibre.com.ar mercadolibre.com.mx mercadolivre.com.br zalando.com
        zalando.de newegg.com idealo.de idealo.co.uk idealo.fr billiger.de geizhals.at geizhals.de
        guenstiger.de check24.de preis.de pricerunner.com pricerunner.dk prisjakt.nu prisguiden.no
        pricegrabber.com pricespy.co.uk shopzilla.com bizrate.com nextag.com kelkoo.com kelkoo.co.uk
        kelkoo.de ciao.de twenga.com shopping.google.com skroutz.gr heureka.cz heureka.sk zbozi.cz
        ceneo.pl allegro.pl emag.ro arukereso.hu trovaprezzi.it leguide.com cdiscount.com fnac.com
        bol.com beslist.nl vergelijk.nl trendyol.com hepsiburada.com flipkart.com lazada.com
        lazada.sg shopee.com shopee.sg tokopedia.com kakaku.com coupang.com gmarket.co.kr danawa.com
        ozon.ru wildberries.ru market.yandex.ru myshopping.com.au
    """,
    "ai": """
        chatgpt openai gemini claude perplexity copilot grok deepseek mistral
        chatgpt.com chat.openai.com gemini.google.com bard.google.com notebooklm.google.com
        aistudio.google.com claude.ai copilot.microsoft.com m365.cloud.microsoft
        copilot.cloud.microsoft edgeservices.bing.com perplexity.ai grok.com chat.deepseek.com
        meta.ai chat.mistral.ai you.com poe.com phind.com character.ai pi.ai chat.qwen.ai kimi.com
        kimi.ai doubao.com yiyan.baidu.com duck.ai lumo.proton.me felo.ai genspark.ai manus.im
        iask.ai liner.com com.openai.chatgpt com.anthropic.claude ai.perplexity.app.android
        com.google.android.apps.bard
    """,
    # Hosts that are no search engine, social network or shop although their domain is.
    "": """
        mail.google.com docs.google.com drive.google.com sites.google.com calendar.google.com
        meet.google.com chat.google.com groups.google.com classroom.google.com accounts.google.com
        ads.google.com play.google.com analytics.google.com tagmanager.google.com
        tagassistant.google.com search.google.com console.cloud.google.com cloud.google.com
        workspace.google.com support.google.com developers.google.com script.google.com
        mail.yahoo.com finance.yahoo.com news.yahoo.com mail.yahoo.co.jp mail.aol.com mail.yandex.ru
        mail.yandex.com disk.yandex.ru e.mail.ru mail.naver.com mail.daum.net email.seznam.cz
        pan.baidu.com aws.amazon.com console.aws.amazon.com sellercentral.amazon.com
        com.google.android.gm
    """,
})  # fmt: skip

SOURCE_LISTS: Mapping[str, str] = MappingProxyType(
    {name: list_name for list_name, names in _LISTS.items() for name in names.split()}
)
"""Source name, host or registrable domain -> ``search``, ``social``, ``video``, ``shopping``, ``ai``, or the
empty string."""
