"""The worker's probes and metrics, asked over a real loopback port."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from streams.web import CannotListen, Face, served

HOST = "127.0.0.1"


class Server:
    """A face whose state a test changes, and a client that asks it."""

    def __init__(self, token: str | None = None) -> None:
        self.why: list[str] = []
        self.registry = CollectorRegistry()
        self.refreshed = Gauge("refreshed", "Times that gauges were renewed.", registry=self.registry)
        self.face = Face(lambda: self.why, self.refreshed.inc, self.registry, token)
        self.port = 0

    @asynccontextmanager
    async def up(self) -> AsyncIterator[Server]:
        async with served(self.face, HOST, 0) as self.port:
            yield self

    async def get(self, path: str, **headers: str) -> tuple[int, str, str]:
        """(status, content type, body)"""
        url = f"http://{HOST}:{self.port}{path}"
        async with aiohttp.ClientSession() as session, session.get(url, headers=headers) as answer:
            return answer.status, answer.headers["Content-Type"], await answer.text()


async def test_a_worker_that_is_not_ready_is_alive():
    async with Server().up() as server:
        server.why = ["partitions are not assigned yet"]
        status, content_type, body = await server.get("/livez")
    assert (status, json.loads(body)) == (200, {"live": True})
    assert content_type.startswith("application/json")


@pytest.mark.parametrize("path", ["/readyz", "/healthz"])
async def test_readiness_is_503_with_the_reasons_until_there_are_none(path: str):
    async with Server().up() as server:
        server.why = ["the broker is away", "tables are being read"]
        before = await server.get(path)
        server.why = []
        after = await server.get(path)
    assert (before[0], json.loads(before[2])) == (
        503,
        {"ready": False, "reasons": ["the broker is away", "tables are being read"]},
    )
    assert (after[0], json.loads(after[2])) == (200, {"ready": True, "reasons": []})


async def test_metrics_are_prometheus_text_unless_openmetrics_is_asked_for():
    async with Server().up() as server:
        _, plain_type, plain = await server.get("/metrics")
        _, open_type, text = await server.get(
            "/metrics", Accept="application/openmetrics-text; version=1.0.0"
        )
    assert plain_type.startswith("text/plain; version=")
    assert [family.name for family in text_string_to_metric_families(plain)] == ["refreshed"]
    assert open_type.startswith("application/openmetrics-text")
    assert [family.name for family in openmetrics.text_string_to_metric_families(text)] == ["refreshed"]


async def test_every_scrape_renews_the_gauges_before_it_answers():
    async with Server().up() as server:
        first = (await server.get("/metrics"))[2]
        second = (await server.get("/metrics"))[2]
    assert "refreshed 1.0" in first and "refreshed 2.0" in second


@pytest.mark.parametrize("header", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "s3cret"}])
async def test_with_a_token_set_metrics_are_closed_to_others(header: dict[str, str]):
    async with Server("s3cret").up() as server:
        status, _, body = await server.get("/metrics", **header)
    assert (status, json.loads(body)) == (401, {"error": "a bearer token is required"})


async def test_a_path_that_does_not_exist_says_no_more_than_metrics_to_who_has_no_token():
    async with Server("s3cret").up() as server:
        assert (await server.get("/nothing"))[0] == 401
        assert (await server.get("/nothing", Authorization="Bearer s3cret"))[0] == 404


async def test_the_token_opens_metrics():
    async with Server("s3cret").up() as server:
        assert (await server.get("/metrics", Authorization="Bearer s3cret"))[0] == 200


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/healthz"])
async def test_probes_need_no_token(path: str):
    async with Server("s3cret").up() as server:
        assert (await server.get(path))[0] == 200


async def test_a_port_that_is_taken_is_an_os_error_that_names_it():
    async with Server().up() as first:
        with pytest.raises(OSError, match=f"on {HOST}:{first.port}: address already in use$") as caught:
            async with served(first.face, HOST, first.port):
                pytest.fail("two servers share a port")
    assert type(caught.value) is CannotListen


async def test_the_port_is_free_again_when_the_block_ends():
    async with Server().up() as first:
        pass
    async with served(first.face, HOST, first.port) as port:
        assert port == first.port
