"""Hypothesis strategies for whatever may stand in a foreign payload."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12)


def objects(names: str, likely: st.SearchStrategy[Any] = SCALARS) -> st.SearchStrategy[dict[str, Any]]:
    """JSON objects whose keys are mostly of ``names`` (separated by blanks), nested in one another.

    ``likely`` are values that get further into a format than arbitrary ones.
    """
    keys = st.sampled_from(names.split()) | st.text(max_size=3)
    values = st.recursive(
        SCALARS | likely,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=4),
        max_leaves=12,
    )
    return st.dictionaries(keys, values, max_size=8)
