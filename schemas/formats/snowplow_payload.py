"""What Snowplow trackers post to a collector: the tracker protocol, before enrichment.

Nothing is known of the collector's clock here, so that a device's time stands as it is: ``ttm`` if the site gave
the time, else ``dtm``, the device's clock. Whoever has the enriched stream should route that.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any

from schemas.errors import shown
from schemas.fields import absent
from schemas.formats.payload import pointer, refuse
from schemas.formats.snowplow_atomic import SCHEMA, Atomic, described_by, session_in
from schemas.formats.snowplow_columns import EVENTS, PARAMETER_OF, PARAMETERS

_ENVELOPE = ("com.snowplowanalytics.snowplow", "payload_data")


def read(body: Mapping[str, Any]) -> list[Atomic]:
    """The events of a payload. Raises Rejected(decode_error)."""
    schema = body.get("schema")
    found = SCHEMA.fullmatch(schema) if isinstance(schema, str) else None
    if found is None or found.groups() != _ENVELOPE:
        remedy = "route the good events, enriched or as trackers post them (payload_data)"
        raise refuse("/schema", f"{shown(schema)} holds no events: {remedy}")
    items = body.get("data")
    if not isinstance(items, list) or not items:
        raise refuse("/data", "data is no list with anything in it: send a list of events")
    return [_event(item, f"/data/{place}") for place, item in enumerate(items)]


def _event(item: object, path: str) -> Atomic:
    if not isinstance(item, dict):
        raise refuse(path, "this is no event: send an object of parameters")
    values = {PARAMETERS[name]: value for name, value in item.items() if name in PARAMETERS}
    code = item.get("e")
    kind = EVENTS.get(code) if isinstance(code, str) else None
    if kind is None:
        raise refuse(f"{path}/e", f"e is {shown(code)}: use one of {', '.join(EVENTS)}")
    values["event"] = kind
    # enrichment's own times are not there yet; these are what it would make them of
    values["derived_tstamp"] = values.get("dvce_created_tstamp")

    def at(column: str) -> str:
        column = "dvce_created_tstamp" if column == "derived_tstamp" else column
        return pointer((PARAMETER_OF.get(column, column),), path)

    described = described_by(*_json(item, "ue", path)) if kind == "unstruct" else None
    return Atomic(values, at, lambda: session_in(*_json(item, "c", path)), described, raw=True)


def _json(item: Mapping[str, Any], name: str, path: str) -> tuple[object, str]:
    """JSON text of an event (``ue``) or of its entities (``c``), and the pointer to it.

    It stands as it is in ``ue_pr`` and ``co``, in base64 in ``ue_px`` and ``cx``. Raises Rejected(decode_error).
    """
    plain, encoded = {"ue": ("ue_pr", "ue_px"), "c": ("co", "cx")}[name]
    value = item.get(encoded)
    if absent(value):
        return item.get(plain), f"{path}/{plain}"
    where = f"{path}/{encoded}"
    text = value if isinstance(value, str) else ""
    try:
        # the alphabet for addresses, of which some trackers leave out the padding
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode(), where
    except (binascii.Error, ValueError):
        raise refuse(where, f"{encoded} is not base64 of UTF-8 text: send the JSON, or its base64") from None
