"""Settings: file and environment, every problem at once, and what is built from them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from revenue_core.config import CoreConfig
from revenue_core.facts import DAY_MS, HOUR_MS
from revenue_core.temperature import problems as temperature_problems
from schemas.formats import FORMATS, OPTIONS, decoder_of
from streams.reference_data import currency_exponents
from streams.settings import (
    ConfigInvalid,
    Settings,
    attribution_tables,
    config_version,
    context,
    core_config,
    engine_settings,
    file_format,
    load_settings,
    sources,
    warnings,
)
from streams.settings.kafka import FORMAT_OPTIONS
from streams.settings.load import NOT_SETTINGS

HASH_KEY = "0123456789abcdef0123"
ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HEADWATER_CONFIG", "HEADWATER_KAFKA__BROKERS", "HEADWATER_WEB__TOKEN"):
        monkeypatch.delenv(name, raising=False)


def written(folder: Path, content: Any) -> Path:
    path = folder / "headwater.yaml"
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content, sort_keys=False))
    return path


def problems(folder: Path, content: Any) -> dict[str, str]:
    """Path -> message of everything that is wrong with a file."""
    with pytest.raises(ConfigInvalid) as caught:
        load_settings(written(folder, content))
    return {problem.path: problem.message for problem in caught.value.problems}


def test_nothing_given_is_the_core_s_shipped_configuration() -> None:
    config, shipped = core_config(load_settings()), CoreConfig()
    assert config.pipelines == shipped.pipelines
    assert config.attribution == shipped.attribution
    assert config.probability == shipped.probability
    assert dict(config.temperature.weights) == dict(shipped.temperature.weights)
    assert config.temperature.half_life_ms == shipped.temperature.half_life_ms
    assert config.default_currency == "EUR"
    assert config.currency_exponents == currency_exponents()


def test_the_environment_beats_the_file_key_by_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, {"kafka": {"brokers": "file:1"}, "web": {"port": 7000, "host": "::1"}})
    monkeypatch.setenv("HEADWATER_KAFKA__BROKERS", "env:2,env:3")
    monkeypatch.setenv("HEADWATER_WEB__PORT", "7001")
    settings = load_settings(path)
    assert settings.kafka.brokers == "env:2,env:3"
    assert (settings.web.port, settings.web.host) == (7001, "::1")


def test_the_file_may_be_named_by_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADWATER_CONFIG", str(written(tmp_path, {"topic_prefix": "eu-"})))
    assert load_settings().topic_prefix == "eu-"


def test_lists_in_the_environment_are_json_or_one_plain_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADWATER_TOPICS__TOUCHPOINTS", '["web", {"name": "app", "format": "segment"}]')
    monkeypatch.setenv("HEADWATER_TOPICS__LEADS", "crm-leads")
    topics = load_settings().topics
    assert [(source.name, source.format) for source in topics.touchpoints] == [
        ("web", "native"),
        ("app", "segment"),
    ]
    assert [source.name for source in topics.leads] == ["crm-leads"]


def test_everything_that_is_wrong_is_listed_at_once_with_its_place(tmp_path: Path) -> None:
    found = problems(
        tmp_path,
        {
            "kafka": {"brokrs": "x", "brokers": "nowhere"},
            "topics": {"touchpoints": [{"name": "a", "format": "sgment"}], "partitions": 0},
            "pipelines": [{"name": "p", "stages": [{"name": "s"}]}],
            "temperature": {"half_life": "11h", "unanswered_span": "23h", "weights": {"page_vew": 1}},
            "web": {"host": "0.0.0.0"},
            "state": {"generation": 128},
            "worker": {"session_timeout_ms": 5999},
            "default_currency": "EUX",
            "nonsense": 1,
        },
    )
    assert set(found) == {
        "kafka.brokrs", "kafka.brokers", "topics.touchpoints.0.format", "topics.partitions", "pipelines.0.stages.0",
        "temperature.half_life", "temperature.unanswered_span", "temperature.weights.page_vew.[key]", "web",
        "state.generation", "worker.session_timeout_ms", "default_currency", "nonsense",
    }  # fmt: skip
    assert "did you mean brokers?" in found["kafka.brokrs"]


def pipeline(name: str, stage: str) -> dict[str, Any]:
    return {"name": name, "stages": [{"name": stage, "prior": 0.5}]}


@pytest.mark.parametrize(
    ("content", "path", "remedy"),
    [
        ({"attribution": {"custom": {"b": {"won": 99.5}}}}, "attribution.custom", "change them by +0.5"),
        ({"metrics": {"cost_model": "custom_b"}}, "metrics", "cost_model 'custom_b' is no model that runs"),
        ({"metrics": {"segment_kinds": ["source"]}}, "metrics.segment_kinds.0", 'must be "channel"'),
        ({"attribution": {"custom": {"b": {"wonn": 100}}}}, "attribution.custom", "no milestone 'wonn'"),
        ({"attribution": {"custom": {"B!": {"won": 100}}}}, "attribution.custom", "must be named by"),
        ({"attribution": {"custom": {"b": {"won": 110, "middle": -10}}}}, "attribution.custom", "0 or more"),
        (
            {"attribution": {"custom": {"b": {"stage:qualificatio": 100}}}},
            "attribution.custom.b.stage:qualificatio",
            "did you mean qualification?",
        ),
        ({"attribution": {"exclude_types": ["nope"]}}, "attribution.exclude_types.0", "use one of page_view"),
        ({"attribution": {"lookback": "soon"}}, "attribution.lookback", "90d"),
        ({"channels": {"rules": []}}, "channels.rules", "at least one rule"),
        ({"channels": {"rules": [{"channel": "X"}]}}, "channels.rules", "rules/0: expected field, op"),
        ({"channels": {"sources": {"x": "serch"}}}, "channels.sources", "use one of search"),
        ({"topics": {"deals": ["touchpoints"]}}, "topics", "named twice"),
        ({"topics": {"deals": ["journal"]}}, "topics.deals.0.name", "of our own"),
        (
            {"topics": {"deals": [{"name": "d", "track_events": {}}]}},
            "topics.deals.0",
            "belongs to format segment",
        ),
        (
            {"topics": {"deals": [{"name": "d", "format": "segment", "stages": {"1": "closed"}}]}},
            "topics.deals.0",
            "stages belongs to format hubspot, pipedrive or salesforce_cdc",
        ),
        ({"topics": {"deals": [{"name": "d", "format": "field_map"}]}}, "topics.deals.0", "needs fields"),
        (
            {"topics": {"deals": [{"name": "d", "format": "field_map", "fields": {"deal_id": "id"}}]}},
            "topics.deals.0",
            "fields.event_id is not there",
        ),
        (
            {"topics": {"leads": [{"name": "l", "format": "hubspot", "lead_stages": {"x": "hot"}}]}},
            "topics.leads.0",
            "use one of created",
        ),
        (
            {"topics": {"deals": [{"name": "d", "format": "pipedrive", "stages": {"3": "contract_snt"}}]}},
            "topics.deals.0.stages.3",
            "did you mean contract_sent?",
        ),
        (
            {"topics": {"deals": [{"name": "d", "format": "pipedrive", "pipelines": {"1": "defalt"}}]}},
            "topics.deals.0.pipelines.1",
            "did you mean default?",
        ),
        ({"pipelines": []}, "pipelines", "1 or more"),
        ({"pipelines": [pipeline("a|b", "s")]}, "pipelines.0.name", "must not hold |"),
        ({"pipelines": [pipeline("p", "a|b")]}, "pipelines.0.stages.0.name", "must not hold |"),
        ({"pipelines": [pipeline("p", "a\0")]}, "pipelines.0.stages.0.name", "control characters"),
        ({"pipelines": [pipeline("p\x7f", "s")]}, "pipelines.0.name", "control characters"),
        ({"topics": {"max_message_bytes": (3 << 20) + 1}}, "topics.max_message_bytes", "at most 3145728"),
        ({"kafka": {"security": {"sasl": {"mechanism": "PLAIN"}}}}, "kafka.security.sasl", "needs username"),
        ({"kafka": {"security": {"tls": {"cert_file": "/"}}}}, "kafka.security.tls.cert_file", "not a file"),
        ({"identity": {"hash_key": "short"}}, "identity.hash_key", "openssl"),
        ({"worker": {"heartbeat_interval_ms": 9000}}, "worker", "a third"),
        ({"temperature": {"cooled_fraction": 0.6}}, "temperature", "must be above"),
        ("kafka: {}\nkafka: {}\n", "", "there twice"),
        ("kafka: [", "", "not YAML"),
        ("- a\n", "", "sections"),
    ],
)
def test_a_problem_says_where_it_is_and_what_to_do(
    tmp_path: Path, content: Any, path: str, remedy: str
) -> None:
    found = problems(tmp_path, content)
    assert path in found and remedy in found[path]


def test_the_same_pipeline_twice_is_refused(tmp_path: Path) -> None:
    one = {"name": "p", "stages": [{"name": "s", "prior": 0.1}]}
    assert "there twice" in problems(tmp_path, {"pipelines": [one, one]})["pipelines"]


def test_a_missing_file_is_a_problem_of_the_configuration(tmp_path: Path) -> None:
    with pytest.raises(ConfigInvalid, match="cannot be read"):
        load_settings(tmp_path / "nowhere.yaml")


def test_unknown_sections_in_the_environment_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADWATER_KAKFA__BROKERS", "x:1")
    monkeypatch.setenv("HEADWATER_DEBUG", "1")
    with pytest.raises(ConfigInvalid, match="did you mean kafka"):
        load_settings()


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("HEADWATER_WEB_PORT", "did you mean HEADWATER_WEB__PORT?"),
        ("HEADWATER_TOPICPREFIX", "did you mean HEADWATER_TOPIC_PREFIX?"),
        ("HEADWATER_NONSENSE", "variables are named HEADWATER_<SECTION>__<KEY>"),
    ],
)
def test_a_variable_of_ours_that_sets_nothing_is_refused(
    name: str, hint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "7000")
    with pytest.raises(ConfigInvalid) as caught:
        load_settings()
    assert [str(problem) for problem in caught.value.problems] == [f"{name}: sets nothing: {hint}"]


def test_the_variables_that_tests_and_make_use_are_no_wrong_settings() -> None:
    files = [ROOT / "Makefile", *(ROOT / "tests").rglob("*.py")]
    asked = r"environ(?:\.get\(|\[)\"(HEADWATER_[A-Z_]+)\"|^\t.*?\b(HEADWATER_[A-Z_]+)="
    found = {
        name for file in files for pair in re.findall(asked, file.read_text(), re.M) for name in pair if name
    }
    assert "HEADWATER_SOAK" in found
    assert {name for name in found if "__" not in name} <= NOT_SETTINGS


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HEADWATER_REQUIRE_KAFKA", "1"),
        ("HEADWATER_DEBUG", "1"),
        ("HEADWATER_PORT", "tcp://10.0.0.1:6066"),
        ("HEADWATER_WEB_PORT", "tcp://10.0.0.1:6066"),
        ("HEADWATER_SERVICE_HOST", "10.0.0.1"),
        ("HEADWATER_SERVICE_PORT_METRICS", "6066"),
        ("HEADWATER_PORT_6066_TCP_ADDR", "10.0.0.1"),
    ],
)
def test_variables_of_the_command_line_the_tests_and_kubernetes_are_left_alone(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    assert load_settings().web.port == 6066


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ({"temperature": None}, "temperature: must be a section of keys and values (given: null)"),
        ({"temperature": [1]}, "temperature: must be a section of keys and values (given: [1])"),
        ({"pipelines": True}, "pipelines: must be a list (given: true)"),
        ({"pipelines": []}, "pipelines: must be 1 or more entries long (given: [])"),
        ({"topic_prefix": True}, "topic_prefix: must be text (given: true)"),
        ({"web": {"port": "x"}}, 'web.port: must be a whole number (given: "x")'),
        ({"web": {"port": 1.5}}, "web.port: must be a whole number (given: 1.5)"),
        ({"web": {"host": ""}}, 'web.host: must be 1 or more characters long (given: "")'),
        ({"worker": {"data_dir": None}}, "worker.data_dir: must be a path (given: null)"),
        ({"worker": {"source_idle_s": "soon"}}, 'worker.source_idle_s: must be a number (given: "soon")'),
        ({"kafka": {"security": {"tls": {"enabled": "maybe"}}}},
         'kafka.security.tls.enabled: must be true or false (given: "maybe")'),
        ({"attribution": {"exclude_types": "chat"}}, 'attribution.exclude_types: must be a list (given: "chat")'),
    ],
)  # fmt: skip
def test_problems_are_worded_as_the_file_is(content: dict[str, Any], text: str, tmp_path: Path) -> None:
    file = tmp_path / "headwater.yaml"
    file.write_text(yaml.safe_dump(content))
    with pytest.raises(ConfigInvalid) as caught:
        load_settings(file)
    assert [str(problem) for problem in caught.value.problems] == [text]


def test_text_that_is_no_json_is_listed_with_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADWATER_GOALS", "{broken")
    monkeypatch.setenv("HEADWATER_STATE__GENERATION", "-1")
    with pytest.raises(ConfigInvalid) as caught:
        load_settings()
    assert {problem.path for problem in caught.value.problems} == {"goals", "state.generation"}


def test_no_secret_is_shown_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = "do-not-show-this-anywhere"
    sasl = {"mechanism": "PLAIN", "username": "u", "password": secret}
    monkeypatch.setenv("HEADWATER_IDENTITY__HASH_KEY", secret)
    settings = load_settings(
        written(tmp_path, {"kafka": {"security": {"sasl": sasl}}, "web": {"token": secret}})
    )
    assert settings.identity.hash_key.get_secret_value() == secret
    assert secret not in json.dumps(settings.effective()) + repr(settings)
    for broken in ({**sasl, "mechanism": "MD5"}, {**sasl, "password": [secret]}, f'{{"password": "{secret}'):
        with pytest.raises(ConfigInvalid) as caught:
            load_settings(written(tmp_path, {"kafka": {"security": {"sasl": broken}}}))
        assert secret not in str(caught.value)


def test_what_is_shown_can_be_read_back(tmp_path: Path) -> None:
    given = {"attribution": {"lookback": "36h", "custom": {"b": {"won": 33.3, "middle": 66.7}}}}
    settings = load_settings(written(tmp_path, given))
    again = load_settings(written(tmp_path, settings.effective()))
    assert again == settings.model_copy(update={"identity": again.identity})
    assert settings.effective()["attribution"]["lookback"] == "36h"


def test_spans_take_days_or_a_unit(tmp_path: Path) -> None:
    given = {"attribution": {"lookback": "36h", "rules": {"lookback": 2}, "half_life": "90m"}}
    attribution = core_config(load_settings(written(tmp_path, given))).attribution
    assert attribution.rules.lookback_ms == 2 * DAY_MS
    assert attribution.data_driven.lookback_ms == 36 * HOUR_MS
    assert attribution.data_driven.transform == "collapse_repeats"
    assert attribution.half_life_ms == 90 * 60_000


def test_custom_weights_stay_exact_decimals(tmp_path: Path) -> None:
    weights = {"first_touch": 33.3, "stage:qualification": "33.40", "middle": 33.3}
    config = core_config(load_settings(written(tmp_path, {"attribution": {"custom": {"mine": weights}}})))
    (model,) = config.attribution.custom
    assert dict(model.weights) == {"first_touch": "33.3", "stage:qualification": "33.4", "middle": "33.3"}


def test_weights_not_named_keep_the_shipped_ones(tmp_path: Path) -> None:
    settings = load_settings(written(tmp_path, {"temperature": {"weights": {"page_view": 2}}}))
    weights = core_config(settings).temperature.weights
    assert (weights["page_view"], weights["meeting"]) == (2.0, 8.0)


@pytest.mark.parametrize(
    ("change", "counts"),
    [
        ({"attribution": {"half_life": 8}}, True),
        ({"attribution": {"custom": {"b": {"won": 100}}}}, True),
        ({"channels": {"rules": [{"channel": "X", "field": "source", "op": "equals", "value": "x"}]}}, True),
        ({"identity": {"max_links": 3}}, True),
        ({"temperature": {"e_min": 4}}, True),
        ({"probability": {"lead_priors": {"lead": 0.5}}}, True),
        ({"metrics": {"segment_kinds": ["channel"]}}, True),
        ({"metrics": {"cost_model": "u_shaped"}}, True),
        ({"default_currency": "usd"}, True),
        ({"attribution": {"half_life": "168h", "rules": {"lookback": 365}}}, False),
        ({"identity": {"hash_key": HASH_KEY, "anonymous_ttl": 365}}, False),
        ({"kafka": {"brokers": "other:9092"}, "web": {"port": 1}, "worker": {"batch_max": 7}}, False),
        ({"state": {"generation": 3}, "goals": {"daily": {"deals": 1}}, "topic_prefix": "x-"}, False),
    ],
)
def test_the_version_changes_exactly_with_what_decides_results(
    tmp_path: Path, change: Any, counts: bool
) -> None:
    version = config_version(load_settings(written(tmp_path, change)))
    assert (version != config_version(Settings())) is counts
    assert len(version) == 12 and int(version, 16) >= 0


@given(
    half_life=st.floats(0.4, 100),
    span=st.floats(0.9, 30),
    cooled=st.floats(0.01, 0.99),
    back=st.floats(0.01, 1),
)
def test_whatever_is_accepted_the_core_finds_nothing_wrong_with(
    half_life: float, span: float, cooled: float, back: float
) -> None:
    given = {
        "half_life": half_life,
        "unanswered_span": span,
        "cooled_fraction": cooled,
        "rewarmed_fraction": back,
    }
    try:
        settings = Settings(temperature=given)  # type: ignore[arg-type]
    except ValueError:
        return
    assert temperature_problems(core_config(settings).temperature) == []


def test_sources_have_full_names_and_formats_that_decode(tmp_path: Path) -> None:
    web = {"name": "web", "format": "segment", "track_events": {"Trial Started": "form_submit"}}
    settings = load_settings(written(tmp_path, {"topic_prefix": "eu-", "topics": {"touchpoints": [web]}}))
    found = sources(settings)
    assert {name: kind for name, (kind, _) in found.items()} == {
        "eu-web": "touchpoints",
        "eu-leads": "leads",
        "eu-deals": "deals",
    }
    call = {
        "type": "track", "event": "Trial Started", "messageId": "m", "anonymousId": "a",
        "timestamp": "2026-01-01T00:00:00Z",
    }  # fmt: skip
    decode = decoder_of(found["eu-web"][1])
    ((_, event),) = decode("touchpoints", json.dumps(call).encode(), (), context(settings)(1_800_000_000_000))
    assert event["type"] == "form_submit"


def test_the_options_of_a_source_topic_reach_its_format(tmp_path: Path) -> None:
    pipedrive = {"name": "pd", "format": "pipedrive", "stages": {3: "contract_sent"}, "id_prefix": "pd-"}
    fields = {
        "type": {"value": "deal_updated"}, "event_id": "id", "occurred_at": {"path": "at", "unit": "s"},
        "deal_id": "deal",
    }  # fmt: skip
    mapped = {"name": "any", "format": "field_map", "fields": fields}
    settings = load_settings(written(tmp_path, {"topics": {"deals": [pipedrive, mapped]}}))
    found, now = sources(settings), context(settings)(1_800_000_000_000)
    meta = {
        "version": "2.0", "id": "w", "entity": "deal", "entity_id": "11", "action": "change",
        "timestamp": "2026-03-01T10:00:00Z",
    }  # fmt: skip
    change = json.dumps({"meta": meta, "data": {"stage_id": 3}}).encode()
    ((_, event),) = decoder_of(found["pd"][1])("deals", change, (), now)
    assert (event["deal_id"], event["stage"]) == ("pd-11", "contract_sent")
    row = json.dumps({"id": "e", "at": 1_772_359_200, "deal": 5}).encode()
    ((_, event),) = decoder_of(found["any"][1])("deals", row, (), now)
    assert (event["deal_id"], event["occurred_at"]) == ("5", 1_772_359_200_000)


def test_every_format_is_one_that_a_topic_can_have_with_the_options_that_belong_to_it() -> None:
    assert {option for _, known in OPTIONS.values() for option in known} == set(FORMAT_OPTIONS)
    assert OPTIONS.keys() <= FORMATS.keys()


def test_files_are_read_with_the_options_that_a_topic_of_their_format_has(tmp_path: Path) -> None:
    topics = {
        "leads": [{"name": "l", "format": "pipedrive", "id_prefix": "l-"}],
        "deals": [{"name": "d", "format": "pipedrive", "id_prefix": "d-"}, {"name": "n"}],
    }
    settings = load_settings(written(tmp_path, {"topics": topics}))
    meta = {"version": "2.0", "id": "w", "entity": "deal", "entity_id": "11", "action": "delete"}
    raw = json.dumps({"meta": {**meta, "timestamp": "2026-03-01T10:00:00Z"}}).encode()
    now = context(settings)(1_800_000_000_000)
    for kind, deal in (("leads", "l-11"), ("deals", "d-11"), ("touchpoints", "l-11")):
        ((_, event),) = decoder_of(file_format(settings, kind, "pipedrive"))(kind, raw, (), now)
        assert event["deal_id"] == deal
    assert (file_format(settings, "deals", "native"), file_format(settings, "deals", "hubspot")) == (
        "native",
        "hubspot",
    )


def test_the_schema_for_editors_knows_field_maps() -> None:
    validator = Draft202012Validator(Settings.model_json_schema())

    def errors(fields: Any) -> int:
        topic = {"name": "d", "format": "field_map", "fields": fields}
        return len(list(validator.iter_errors({"topics": {"deals": [topic]}})))

    good = {"type": {"value": "deal_updated"}, "event_id": {"join": ["a", "/b/c"]}, "occurred_at": "at"}
    assert errors(good) == errors([good]) == 0
    assert errors({**good, "dealid": "x"}) and errors({**good, "deal_id": {"pth": "x"}}) and errors([])


def test_the_context_knows_pipelines_clock_and_limits(tmp_path: Path) -> None:
    seen = context(load_settings(written(tmp_path, {"topics": {"max_message_bytes": 2048}})))(5)
    assert (seen.now_ms, seen.max_bytes, seen.future_limit_ms) == (5, 2048, 300_000)
    assert "closedlost" in seen.pipelines["hubspot"] and seen.currencies["JPY"] == 0


def test_the_engine_takes_what_the_settings_accept(tmp_path: Path) -> None:
    given = {"topic_prefix": "eu-", "worker": {"session_timeout_ms": 6000, "heartbeat_interval_ms": 2000}}
    engine = engine_settings(load_settings(written(tmp_path, given)))
    assert (engine.app_id, engine.session_timeout_ms) == ("eu-headwater", 6000)


def test_channel_rules_replace_the_shipped_ones_and_sources_add_to_theirs(tmp_path: Path) -> None:
    rule = {"channel": "Ours", "field": "source", "op": "in_list", "value": "search"}
    given = {"channels": {"rules": [rule], "sources": {"Find.example": "search"}}}
    tables = attribution_tables(load_settings(written(tmp_path, given)))
    assert [each.channel for each in tables.rules] == ["Ours"]
    assert tables.channel("find.example", "", "") == "Ours"


def test_warnings_name_what_is_unsafe_in_production(tmp_path: Path) -> None:
    given = {
        "identity": {"hash_key": HASH_KEY},
        "web": {"host": "0.0.0.0", "token": "t"},
        "kafka": {"security": {"sasl": {"mechanism": "PLAIN", "username": "u", "password": "p"}}},
    }
    found = warnings(load_settings(written(tmp_path, given)))
    assert len(found) == 2 and "sasl" in found[0] and "web.host" in found[1]
    assert any("hash_key" in each for each in warnings(Settings()))


def test_the_schema_for_editors_accepts_what_is_effective_and_refuses_unknown_keys() -> None:
    validator = Draft202012Validator(Settings.model_json_schema())
    assert list(validator.iter_errors(Settings().effective())) == []
    assert list(validator.iter_errors({"kafka": {"brokrs": "x"}}))


def test_the_schema_for_editors_knows_the_short_forms() -> None:
    short = {
        "kafka": {"brokers": ["a:1"]},
        "topics": {"leads": ["a"], "deals": "b"},
        "state": {"max_lateness": "36h"},
    }
    assert list(Draft202012Validator(Settings.model_json_schema()).iter_errors(short)) == []
    assert Settings.model_validate(short).topics.deals[0].name == "b"


def test_domains_in_the_settings_become_the_text_that_is_compared(tmp_path: Path) -> None:
    given = {"free_domains": ["WWW.School.example.", "münchen.example"], "company_domains": ["GMX.de"]}
    identity = load_settings(written(tmp_path, {"identity": given})).identity
    assert identity.free_domains == ("school.example", "xn--mnchen-3ya.example")
    assert identity.company_domains == ("gmx.de",)


@pytest.mark.parametrize(
    ("given", "path", "reason"),
    [
        ({"free_domains": ["a.example", "localhost"]}, "identity.free_domains", 'entry 1 "localhost" has one label'),
        ({"company_domains": ["https://a.example"]}, "identity.company_domains", "has a scheme"),
        ({"company_domains": ["a.example", "www.a.example"]}, "identity.company_domains", "a.example is there twice"),
        ({"free_domains": ["A.example"], "company_domains": ["a.example"]}, "identity", "remove it from one of them"),
    ],
)  # fmt: skip
def test_domains_in_the_settings_that_cannot_be_meant_are_refused(
    tmp_path: Path, given: Any, path: str, reason: str
) -> None:
    assert reason in problems(tmp_path, {"identity": given})[path]


def test_a_domain_may_be_added_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADWATER_IDENTITY__FREE_DOMAINS", '["school.example"]')
    assert load_settings().identity.free_domains == ("school.example",)
