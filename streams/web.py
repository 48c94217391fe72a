"""The worker's HTTP face: probes and metrics. Loopback unless told otherwise."""

from __future__ import annotations

import hmac
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

OPEN = frozenset({"/livez", "/readyz", "/healthz"})
"""Paths that need no token."""


class CannotListen(OSError):
    """The address is taken, or not ours to take."""

    def __init__(self, host: str, port: int, error: OSError) -> None:
        reason = (error.strerror or str(error)).rpartition(": ")[2].lower()
        super().__init__(f"cannot serve probes and metrics on {host}:{port}: {reason}")


@dataclass(frozen=True, slots=True)
class Face:
    """What the pages show. ``reasons`` says what keeps the worker from being ready; ``refresh`` renews gauges."""

    reasons: Callable[[], list[str]]
    refresh: Callable[[], None]
    registry: CollectorRegistry
    token: str | None = None


def application(face: Face) -> web.Application:
    """Routes of the worker."""

    async def livez(_: web.Request) -> web.Response:
        return web.json_response({"live": True})

    async def readyz(_: web.Request) -> web.Response:
        reasons = face.reasons()
        return web.json_response({"ready": not reasons, "reasons": reasons}, status=503 if reasons else 200)

    async def metrics(request: web.Request) -> web.Response:
        face.refresh()
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        return web.Response(body=encode(face.registry), headers={"Content-Type": content_type})

    @web.middleware
    async def guard(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        if face.token and request.path not in OPEN:
            given = request.headers.get("Authorization", "")
            if not hmac.compare_digest(given.encode(), f"Bearer {face.token}".encode()):
                return web.json_response({"error": "a bearer token is required"}, status=401)
        return await handler(request)

    app = web.Application(middlewares=[guard])
    app.router.add_get("/livez", livez)
    app.router.add_get("/readyz", readyz)
    app.router.add_get("/healthz", readyz)
    app.router.add_get("/metrics", metrics)
    return app


@asynccontextmanager
async def served(face: Face, host: str, port: int) -> AsyncIterator[int]:
    """Serve until the block ends; yields the port, a free one when 0 was asked for. Raises CannotListen."""
    runner = web.AppRunner(application(face), access_log=None)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as error:
            raise CannotListen(host, port, error) from None
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()
