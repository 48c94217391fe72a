"""Write the JSON Schemas: ``python -m schemas.export [DIRECTORY]``, by default beside this package."""

from __future__ import annotations

import sys
from pathlib import Path

from schemas.jsonschemas import documents

DIRECTORY = Path(__file__).parent / "jsonschema"


def export(directory: Path = DIRECTORY) -> list[Path]:
    """Write every schema, remove those of messages that are gone, and return what was written."""
    directory.mkdir(parents=True, exist_ok=True)
    texts = documents()
    for stale in set(directory.glob("*.json")) - {directory / name for name in texts}:
        stale.unlink()
    for name, text in texts.items():
        (directory / name).write_text(text, encoding="utf-8")
    return [directory / name for name in texts]


if __name__ == "__main__":
    for path in export(*map(Path, sys.argv[1:2])):
        print(path)
