"""How clients are told to reach a secured cluster."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import encode_basic_auth, web
from aiohttp.test_utils import TestServer

from streams.kafka_client import TokenProvider, client_options
from streams.settings.kafka import Kafka, Sasl


def options(**security: Any) -> dict[str, Any]:
    return client_options(Kafka.model_validate({"security": security}))


def sasl(**fields: Any) -> Sasl:
    return Sasl.model_validate({"mechanism": "OAUTHBEARER", **fields})


def test_plain_text_needs_nothing() -> None:
    assert options() == {}


def test_tls_brings_a_context_that_checks_host_names_unless_told_otherwise() -> None:
    found = options(tls={"enabled": True})
    assert found["security_protocol"] == "SSL" and found["ssl_context"].check_hostname
    lax = options(tls={"enabled": True, "verify_hostname": False})["ssl_context"]
    assert not lax.check_hostname and lax.verify_mode is ssl.CERT_REQUIRED


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
def test_passwords_go_with_their_mechanism(mechanism: str) -> None:
    found = options(sasl={"mechanism": mechanism, "username": "u", "password": "p"})
    assert found == {
        "security_protocol": "SASL_PLAINTEXT",
        "sasl_mechanism": mechanism,
        "sasl_plain_username": "u",
        "sasl_plain_password": "p",
    }


async def test_tokens_come_with_tls_and_sasl() -> None:
    found = options(tls={"enabled": True}, sasl={"mechanism": "OAUTHBEARER", "token": "t"})
    assert found["security_protocol"] == "SASL_SSL"
    assert await found["sasl_oauth_token_provider"].token() == "t"


async def test_a_token_file_is_read_again_each_time(tmp_path: Path) -> None:
    path = tmp_path / "token"
    provider = TokenProvider(sasl(token_file=path))
    for token in ("one", "two"):
        path.write_text(f"{token}\n")
        assert await provider.token() == token


class Issuer:
    """An endpoint of the client credentials grant."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.answer: Any = {}

    async def issue(self, request: web.Request) -> web.Response:
        form = {name: str(value) for name, value in (await request.post()).items()}
        self.asked.append((request.headers["Authorization"], form))
        body = {"access_token": f"token-{len(self.asked)}", **self.answer}
        return web.json_response(body)


@pytest.fixture
async def issuer() -> AsyncIterator[tuple[Issuer, str]]:
    made = Issuer()
    application = web.Application()
    application.router.add_post("/token", made.issue)
    async with TestServer(application) as server:
        yield made, str(server.make_url("/token"))


def granted(url: str) -> TokenProvider:
    return TokenProvider(sasl(token_url=url, client_id="id", client_secret="se:cret", scope="kafka"))


async def test_a_granted_token_is_used_until_shortly_before_its_end(issuer: tuple[Issuer, str]) -> None:
    made, url = issuer
    made.answer = {"expires_in": 3600}
    provider = granted(url)
    assert [await provider.token(), await provider.token()] == ["token-1", "token-1"]
    who, form = made.asked[0]
    assert who == encode_basic_auth("id", "se%3Acret")
    assert form == {"grant_type": "client_credentials", "scope": "kafka"}


async def test_a_token_about_to_end_is_replaced(issuer: tuple[Issuer, str]) -> None:
    made, url = issuer
    made.answer = {"expires_in": 30}
    provider = granted(url)
    assert [await provider.token(), await provider.token()] == ["token-1", "token-2"]


async def test_an_answer_without_a_token_is_an_error(issuer: tuple[Issuer, str]) -> None:
    made, url = issuer
    made.answer = {"access_token": None}
    with pytest.raises(ValueError, match="without an access_token"):
        await granted(url).token()
    with pytest.raises(OSError, match="no token from"):
        await granted(f"{url}/nowhere").token()
