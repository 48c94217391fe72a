"""CloudEvents envelopes, as the Kafka protocol binding 1.0 defines them.

In binary mode the value is the event and the envelope stands in ``ce_`` headers: nothing to do. In structured
mode the value is a JSON envelope, and the event is its ``data`` or ``data_base64``.
"""

from __future__ import annotations

import base64
import binascii
import json
import math

from schemas.errors import Rejected
from schemas.headers import Headers, header
from schemas.parsing import parse_exact, strip_registry_prefix

STRUCTURED = "application/cloudevents+json"
_BEYOND_A_DOUBLE = 10**400


def unwrap(raw: bytes, headers: Headers) -> bytes:
    """The event's own bytes. Raises Rejected when a structured envelope does not hold one.

    Text ``data`` is returned as its UTF-8 bytes, anything else as JSON.
    """
    if not header(headers, "content-type").strip().lower().startswith(STRUCTURED):
        return raw
    envelope = parse_exact(strip_registry_prefix(raw))
    encoded = envelope.get("data_base64")
    if encoded is not None:
        try:
            return base64.b64decode(encoded, validate=True)
        except (binascii.Error, TypeError, ValueError) as error:
            message = f"data_base64 is not base64 ({error}): send the event as data"
            raise Rejected("invalid_json", "/data_base64", message) from None
    data = envelope.get("data")
    if data is None:
        raise Rejected("invalid_json", "/data", "the CloudEvents envelope has no data: put the event there")
    try:
        return data.encode() if isinstance(data, str) else _dump(data)
    except RecursionError:
        raise Rejected("invalid_json", "/data", "data is nested too deep: flatten it") from None


def _dump(data: object) -> bytes:
    try:
        return json.dumps(data, ensure_ascii=False, allow_nan=False).encode()
    except ValueError:
        return json.dumps(_spell_out(data), ensure_ascii=False).encode()


def _spell_out(value: object) -> object:
    """``value`` with infinite numbers as digits, so that whoever reads them again can name their field."""
    if isinstance(value, dict):
        return {name: _spell_out(element) for name, element in value.items()}
    if isinstance(value, list):
        return [_spell_out(element) for element in value]
    if isinstance(value, float) and math.isinf(value):
        return _BEYOND_A_DOUBLE if value > 0 else -_BEYOND_A_DOUBLE
    return value
