from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import pytest
from faust.transport.drivers.aiokafka import credentials_to_aiokafka_auth

from streams.effects import Effects, Run, StatelessHandler, TableView
from streams.engine import AgentSpec, EngineSettings, InvalidSettings, Security, build_app
from streams.engine.topics import check_topics


class Nothing(StatelessHandler):
    def handle(self, run: Run, table: TableView) -> Effects:
        return Effects()


def settings(folder: Path = Path("data"), **changes: Any) -> EngineSettings:
    return EngineSettings(**{"app_id": "app", "brokers": "b:9092", "data_dir": str(folder), **changes})


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"session_timeout_ms": 5_999, "heartbeat_interval_ms": 1_000}, "refuse less than 6000"),
        ({"heartbeat_interval_ms": 4_000}, "a third of session_timeout_ms"),
        ({"request_timeout_ms": 9_000}, "request_timeout_ms"),
        ({"rebalance_timeout_ms": 9_000}, "rebalance_timeout_ms"),
        ({"batch_max": 0}, "batch_max must be at least 1"),
        ({"batch_bytes": 5 << 20}, "batch_bytes"),
        ({"app_id": ""}, "app_id is empty"),
        ({"brokers": " , "}, "brokers is empty"),
    ],
)
def test_settings_that_cannot_work_are_refused(changes: dict[str, Any], problem: str) -> None:
    with pytest.raises(InvalidSettings, match=problem):
        settings(**changes)


def test_every_problem_is_listed_at_once() -> None:
    with pytest.raises(InvalidSettings) as caught:
        settings(app_id="", batch_max=0, session_timeout_ms=1)
    assert len(caught.value.problems) == 4


def test_agents_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    agents = [
        AgentSpec("a", ("in",), Nothing(), "t"),
        AgentSpec("a", ("in",), Nothing(), "t", interval_s=0.0),
        AgentSpec("b", (), Nothing()),
    ]
    with pytest.raises(InvalidSettings) as caught:
        build_app(settings(tmp_path), agents, clock=lambda: 0)
    assert len(caught.value.problems) == 5


def test_an_agent_yields_to_what_is_read_and_does_not_wait_itself(tmp_path: Path) -> None:
    first = AgentSpec("a", ("in",), Nothing(), yields_to=("log",))
    second = AgentSpec("b", ("log",), Nothing(), yields_to=("in", "elsewhere"))
    with pytest.raises(InvalidSettings) as caught:
        build_app(settings(tmp_path), [first, second], clock=lambda: 0)
    assert caught.value.problems == [
        "agent 'a' yields to 'log', which is read by one that yields itself",
        "agent 'b' yields to 'in', which is read by one that yields itself",
        "agent 'b' yields to 'elsewhere', which no agent reads",
    ]


def test_topics_are_checked_against_what_agents_read_and_write() -> None:
    agents = [AgentSpec("a", ("x", "y"), Nothing(), "t", writes=("z",))]
    assert check_topics(agents, {"x": 4, "y": 4, "z": 1}) == []
    assert check_topics(agents, {"x": 4, "y": 3}) == [
        "z does not exist (a writes it)",
        "the topics of a have different partition counts, but it has a table",
    ]


def test_a_password_does_not_show() -> None:
    assert "secret" not in repr(Security(sasl_mechanism="PLAIN", username="u", password="secret"))


def test_credentials_reach_the_client() -> None:
    context = ssl.create_default_context()
    login = Security(context, "SCRAM-SHA-512", "u", "secret")
    assert credentials_to_aiokafka_auth(login.credentials(), None) == {
        "security_protocol": "SASL_SSL",
        "ssl_context": context,
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": "u",
        "sasl_plain_password": "secret",
    }
    encrypted = credentials_to_aiokafka_auth(Security(context).credentials(), None)
    assert encrypted == {"security_protocol": "SSL", "ssl_context": context}
    assert Security().credentials() is None


def test_the_app_keeps_what_faust_must_not_do_switched_off(tmp_path: Path) -> None:
    app = build_app(
        settings(tmp_path / "a" / "b"), [AgentSpec("a", ("in",), Nothing(), "t")], clock=lambda: 0
    )
    assert (app.conf.web_enabled, app.conf.topic_allow_declare, app.conf.table_standby_replicas) == (
        False,
        False,
        0,
    )
    assert set(app.changelogs) == {"app-t-changelog"}
    assert (tmp_path / "a" / "b").is_dir()
    assert app.health().reasons() == [
        "no assignment from the consumer group yet",
        "tables are being recovered",
        "the producer is not connected",
    ]
