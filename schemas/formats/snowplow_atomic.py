"""One Snowplow event by the names of its columns, whichever way it was written."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from schemas.errors import shown
from schemas.fields import absent
from schemas.formats.payload import nested_object, pointer, refuse
from schemas.formats.snowplow_columns import COLUMNS, PLACES
from schemas.formats.tracking import utc
from schemas.times import instant

SCHEMA = re.compile(r"iglu:([A-Za-z0-9._-]+)/([A-Za-z0-9._-]+)/[A-Za-z0-9._-]+/[0-9]+-[0-9]+-[0-9]+")
"""A schema's address: vendor, name, format, version."""
_APP_SESSION = "contexts_com_snowplowanalytics_snowplow_client_session_1"
_APP_SESSION_SCHEMA = "iglu:com.snowplowanalytics.snowplow/client_session/"
_SERVER_TRACKERS = re.compile(r"(?:py|rb|php|java|golang|node|dotnet|net|scala|cpp|lua|rust)-")
_EVENT_FORMAT = "jsonschema"


@dataclass(frozen=True, slots=True)
class Atomic:
    """An event. ``values`` has the columns that were given; ``at`` is the pointer to a column."""

    values: Mapping[str, Any]
    at: Callable[[str], str]
    app_session: Callable[[], object] = field(default=lambda: None)
    """The session entity of a mobile tracker, decoded only when somebody asks."""
    self_described: tuple[str, str] | None = None
    """Vendor and name of a self-describing event, where no column says so."""
    raw: bool = False
    """Whether it comes from a tracker and not from enrichment."""

    def get(self, column: str) -> Any:
        """The value, None when there is none."""
        return self.values.get(column)

    def path(self, column: str) -> str:
        """JSON pointer to a column."""
        return self.at(column)

    @property
    def kind(self) -> str:
        """``page_view``, ``struct`` and so on; whatever was sent, when it is none of them."""
        value = self.get("event")
        return value if isinstance(value, str) else ""

    def text(self, column: str) -> str:
        """A column that the event cannot do without. Raises Rejected(decode_error)."""
        value = self.get(column)
        if not isinstance(value, str) or absent(value):
            raise refuse(self.path(column), f"{column} is no text: send the event's own")
        return value

    def name(self) -> tuple[str, str]:
        """Vendor and name of a self-describing event. Raises Rejected(decode_error)."""
        if self.self_described is not None:
            return self.self_described
        vendor = self.get("event_vendor")
        return vendor if isinstance(vendor, str) else "", self.text("event_name")

    def time(self, columns: Iterable[str]) -> object:
        """The first of the times that is there. Raises Rejected(decode_error) when it is none, or none is."""
        columns = tuple(columns)
        column = next((each for each in columns if not absent(self.get(each))), None)
        if column is None:
            # the second is the one that is ordinarily there
            wanted = self.path(columns[1])
            raise refuse(wanted, f"there is no time: send {wanted.rpartition('/')[2]}")
        value = utc(self.get(column))
        try:
            instant(value)
        except ValueError as error:
            where = self.path(column)
            remedy = "send UTC such as 2026-03-01 10:00:00.123, or epoch milliseconds"
            raise refuse(where, f"{where.rpartition('/')[2]} is {error}: {remedy}") from None
        return value

    @property
    def from_server(self) -> bool:
        """Whether a server sent it and not the visitor's own device."""
        tracker = self.get("v_tracker")
        return self.get("platform") == "srv" or (
            isinstance(tracker, str) and _SERVER_TRACKERS.match(tracker) is not None
        )

    def user_agent(self) -> Any:
        """The visitor's. Enrichment fills in that of the request, which a server's own library sent: a bot's.

        A server that knows the visitor's says so in the payload, where it is told apart.
        """
        return self.get("useragent") if self.raw or not self.from_server else None

    def app_user(self) -> Any:
        """The id that a mobile tracker keeps for an installed app; apps have no cookies."""
        session = self.app_session() if absent(self.get("domain_userid")) else None
        return session.get("userId") if isinstance(session, dict) else None


def from_line(raw: bytes) -> Atomic:
    """An event of the enriched stream. Raises Rejected(decode_error)."""
    try:
        line = raw.decode()
    except UnicodeDecodeError as error:
        remedy = "send lines of text; where enrichment compresses its output, switch that off"
        raise refuse("", f"byte {error.start} is not UTF-8: {remedy}") from None
    line = line.removesuffix("\n").removesuffix("\r")
    values = line.split("\t")
    if "\n" in line:
        raise refuse("", "several lines: send one line of the enriched stream per record")
    if len(values) < len(COLUMNS):
        raise refuse(
            "",
            f"neither JSON nor an enriched event: {len(values)} columns instead of {len(COLUMNS)}. "
            "Send one line of the enriched stream per record, all columns, separated by tabs",
        )
    # Columns have only ever been added at the end, so what follows the known ones is a newer version's. A stray
    # tab inside a value makes a line longer too, but moves the columns behind it, where the format no longer stands
    if len(values) > len(COLUMNS) and values[PLACES["event_format"]] != _EVENT_FORMAT:
        raise refuse(
            "/event_format",
            f"{len(values)} columns instead of {len(COLUMNS)}, and event_format is not {_EVENT_FORMAT}: "
            "a value holds a tab, replace it by a blank",
        )
    given = {name: value for name, value in zip(COLUMNS, values, strict=False) if value}
    described = None
    if given.get("event") == "unstruct" and "event_name" not in given:
        described = described_by(given.get("unstruct_event"), "/unstruct_event")
    return Atomic(given, _pointer_to, lambda: session_in(given.get("contexts"), "/contexts"), described)


def from_json(body: Mapping[str, Any]) -> Atomic:
    """An event as the analytics SDKs write it: columns that are empty are not there."""

    def session() -> object:
        entities = body.get(_APP_SESSION)
        return entities[0] if isinstance(entities, list) and entities else None

    if "event" not in body:
        raise refuse("/event", "neither an enriched event nor a tracker's payload: send all its fields")
    return Atomic(body, _pointer_to, session)


def described_by(encoded: object, path: str) -> tuple[str, str]:
    """Vendor and name of a self-describing event: JSON text, or its object. Raises Rejected(decode_error)."""
    outer = decoded(encoded, path)
    inner = outer.get("data")
    schema = inner.get("schema") if isinstance(inner, dict) else None
    found = SCHEMA.fullmatch(schema) if isinstance(schema, str) else None
    if found is None:
        remedy = "send {schema, data} with a schema such as iglu:com.acme/demo_requested/jsonschema/1-0-0"
        raise refuse(path, f"the event inside has schema {shown(schema)}: {remedy}")
    return found[1], found[2]


def session_in(encoded: object, path: str) -> object:
    """The data of a mobile tracker's session among the entities (``contexts``). Raises Rejected(decode_error)."""
    if absent(encoded):
        return None
    entities = decoded(encoded, path).get("data")
    if not isinstance(entities, list):
        raise refuse(path, "data is no list: send a list of entities")
    for entity in entities:
        schema = entity.get("schema") if isinstance(entity, dict) else None
        if isinstance(schema, str) and schema.startswith(_APP_SESSION_SCHEMA):
            return entity.get("data")
    return None


def decoded(value: object, path: str) -> dict[str, Any]:
    """A JSON object that stands as text in a value. Raises Rejected(decode_error)."""
    if not isinstance(value, str):
        raise refuse(path, "this is no JSON text: send the self-describing JSON")
    return nested_object(value, path)


def _pointer_to(column: str) -> str:
    return pointer((column,))
