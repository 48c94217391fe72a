"""What to say of an exception that no rule foresaw."""

from __future__ import annotations

import traceback
from pathlib import PurePath


def place_of(error: Exception) -> str:
    """File and line that raised."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{PurePath(last.filename).name}:{last.lineno}"
