"""The page of results: one part per section, of which a run replaces those that it measured."""

from __future__ import annotations

import os
import platform
import re
import textwrap
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version

WIDTH = 118
PACKAGES = ("faust-streaming", "aiokafka", "confluent-kafka", "orjson", "pydantic")
PART = re.compile(r"<!-- begin (\w+) -->\n(.*?)<!-- end \1 -->\n", re.DOTALL)
INTRO = """\
# Performance

Written by `.venv/bin/python -m tests.bench --write`, section by section: each says when and where it was measured.
Within a section everything ran on one broker, the entries of a table in turn (A B C, A B C). A figure is the
median of
the rounds with its range, a ratio the median of the ratios round by round. Rates belong to the machine and the
hour: compare ratios.

`.venv/bin/python -m tests.bench [SECTION ...]` runs it again (Java 17 and Maven for Apache Kafka, or
`--broker HOST:PORT`); `--quick` only shows that it works, `--long` takes the large tables too.
Frameworks on the same job: [peers](peers.md).
"""


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; the first column is text, the others numbers."""
    rule = ["---", *["---:"] * (len(head) - 1)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (head, rule, *rows))


def machine(broker: str, idle: float, now_ms: int, rounds: int) -> str:
    """When and where, in one line. ``idle``: share of the CPUs that nobody used just before."""
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    at = datetime.fromtimestamp(now_ms / 1000, UTC)
    return (
        f"Measured {at:%Y-%m-%d %H:%M} UTC, rounds: {rounds}; {os.cpu_count()} CPU cores ({platform.machine()}, "
        f"{platform.system()}) shared by broker, entry and measuring processes, {idle:.0%} idle before; "
        f"{platform.python_implementation()} {platform.python_version()}; {broker}; {packages}."
    )


def part(title: str, facts: str, body: str) -> str:
    """The text of a section."""
    return wrapped(f"## {title}\n\n{facts}\n\n{body}")


def wrapped(page: str) -> str:
    """The paragraphs filled to ``WIDTH``; headings, tables and lists as they stand."""
    blocks = [
        block
        if block.startswith(("#", "|", "- "))
        else textwrap.fill(block, WIDTH, break_long_words=False, break_on_hyphens=False)
        for block in page.strip().split("\n\n")
    ]
    return "\n\n".join(blocks) + "\n"


def merged(page: str, parts: Mapping[str, str], order: Sequence[str]) -> str:
    """The page with these parts (section -> text) in place of the ones it had; sections in ``order``."""
    texts = {name: text for name, text in PART.findall(page) if name in order} | dict(parts)
    found = [f"<!-- begin {name} -->\n{texts[name]}<!-- end {name} -->\n" for name in order if name in texts]
    return "\n".join([wrapped(INTRO), *found])
