"""How our own Kafka clients reach the cluster: addresses, TLS and SASL, from the settings."""

from __future__ import annotations

import asyncio
import ssl
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

from aiokafka.abc import AbstractTokenProvider

from streams.settings.kafka import Kafka, Sasl, Tls

EARLY_S = 60.0
"""A token is fetched anew this long before it ends."""
TOKEN_TIMEOUT_S = 15.0


def client_options(kafka: Kafka) -> dict[str, Any]:
    """Security options of an aiokafka producer, consumer or admin client; empty for plain text.

    Raises OSError or ssl.SSLError when a certificate cannot be read.
    """
    tls, sasl = kafka.security.tls, kafka.security.sasl
    if sasl is None and not tls.enabled:
        return {}
    options: dict[str, Any] = {
        "security_protocol": ("SASL_" if sasl else "") + ("SSL" if tls.enabled else "PLAINTEXT")
    }
    if tls.enabled:
        options["ssl_context"] = ssl_context(tls)
    if sasl is not None:
        options["sasl_mechanism"] = sasl.mechanism
        if sasl.mechanism == "OAUTHBEARER":
            options["sasl_oauth_token_provider"] = TokenProvider(sasl)
        else:
            options["sasl_plain_username"] = sasl.username
            options["sasl_plain_password"] = sasl.password.get_secret_value() if sasl.password else ""
    return options


def ssl_context(tls: Tls) -> ssl.SSLContext:
    """The TLS settings as a context. Raises OSError or ssl.SSLError."""
    made = ssl.create_default_context(cafile=tls.ca_file)
    if tls.cert_file is not None:
        password = tls.key_password.get_secret_value() if tls.key_password is not None else None
        made.load_cert_chain(tls.cert_file, tls.key_file, password)
    made.check_hostname = tls.verify_hostname
    return made


class TokenProvider(AbstractTokenProvider):  # type: ignore[misc]  # aiokafka ships no types
    """Tokens for OAUTHBEARER: as given, from a file, or by the client credentials grant (RFC 6749, 4.4)."""

    def __init__(self, sasl: Sasl) -> None:
        self._sasl = sasl
        self._cached = ""
        self._renew_at = 0.0
        self._lock = asyncio.Lock()

    async def token(self) -> str:
        """The token to send now. Raises OSError, or ValueError for an answer without a token."""
        if self._sasl.token is not None:
            return self._sasl.token.get_secret_value()
        if self._sasl.token_file is not None:
            return await asyncio.to_thread(_read, self._sasl.token_file)
        async with self._lock:
            if time.monotonic() >= self._renew_at:
                self._cached, lifetime = await self._fetch()
                self._renew_at = time.monotonic() + max(0.0, lifetime - EARLY_S)
            return self._cached

    async def _fetch(self) -> tuple[str, float]:
        """A new token and the seconds it lives."""
        from aiohttp import ClientError, ClientSession, ClientTimeout, encode_basic_auth

        sasl = self._sasl
        assert sasl.token_url is not None and sasl.client_id is not None and sasl.client_secret is not None
        form = {"grant_type": "client_credentials", **({"scope": sasl.scope} if sasl.scope else {})}
        # RFC 6749, 2.3.1: both are form-encoded before they become user name and password
        user, secret = quote_plus(sasl.client_id), quote_plus(sasl.client_secret.get_secret_value())
        headers = {"Authorization": encode_basic_auth(user, secret)}
        timeout = ClientTimeout(total=TOKEN_TIMEOUT_S)
        try:
            async with (
                ClientSession(timeout=timeout) as session,
                session.post(sasl.token_url, data=form, headers=headers) as answer,
            ):
                answer.raise_for_status()
                body = await answer.json()
        except (ClientError, TimeoutError) as error:
            raise OSError(f"no token from {sasl.token_url}: {error}") from error
        if not isinstance(body, dict) or not isinstance(body.get("access_token"), str):
            raise ValueError(f"{sasl.token_url} answered without an access_token")
        return body["access_token"], float(body.get("expires_in", 0))


def _read(path: Path) -> str:
    return path.read_text().strip()
