"""Files for ``score``, and what it made of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import orjson

from streams.compose import offline_service
from streams.files import read_lines
from streams.score import Scorer, Summary
from streams.settings import Settings
from streams.topology import ANSWERS
from tests.builders import NOW_MS, UNSTABLE, Event

DAY = 86_400_000
START = 1_790_000_000_000
BOT = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"

Files = Mapping[str, bytes | Iterable[Event]]


def line(kind: str, message: Mapping[str, Any]) -> bytes:
    return orjson.dumps({"topic": kind, **message})


def touch(day: float, **fields: Any) -> Event:
    at = START + int(day * DAY)
    base = {"event_id": f"t{day}", "type": "meeting", "occurred_at": at, "account_id": "acme"}
    return "touchpoints", {**base, **fields}


def patch(day: float, **fields: Any) -> Event:
    at = START + int(day * DAY)
    base = {
        "event_id": f"d{day}",
        "type": "deal_updated",
        "occurred_at": at,
        "account_id": "acme",
        "deal_id": "D1",
    }
    return "deals", {**base, **fields}


def lead(day: float, lead_id: str, account_id: str = "acme") -> Event:
    message = {"event_id": lead_id, "type": "lead_created", "occurred_at": START + int(day * DAY)}
    return "leads", {**message, "lead_id": lead_id, "account_id": account_id}


def score(
    folder: Path,
    files: Files,
    *,
    as_of: int | None = None,
    final: bool = False,
    now_ms: int = NOW_MS,
    form: str = "native",
    out: str = "out",
) -> Summary:
    """Score files with these contents, in their order, into ``folder/out``."""
    scorer = Scorer(offline_service(Settings(), now_ms, form, as_of), folder / out, final=final)
    for name, content in files.items():
        lines = content if isinstance(content, bytes) else b"\n".join(line(*event) for event in content)
        (folder / name).write_bytes(lines)
        for each in read_lines(str(folder / name), form=form):
            scorer.feed(each)
    return scorer.finish(as_of)


def rows(folder: Path, topic: str, out: str = "out") -> list[dict[str, Any]]:
    return [orjson.loads(each) for each in (folder / out / f"{topic}.ndjson").read_bytes().splitlines()]


def stable(folder: Path, out: str) -> dict[str, list[dict[str, Any]]]:
    """Every row of every answer, without the columns that the order of arrival may change (R06)."""
    return {
        topic: [{k: v for k, v in row.items() if k not in UNSTABLE} for row in rows(folder, topic, out)]
        for topic in ANSWERS
    }


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}
