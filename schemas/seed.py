"""A seed: the one-line description from which a persona grows."""

from collections.abc import Mapping
from typing import Literal, get_args

from schemas.base import Record

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)
KEEP_FIRST: Mapping[Split, int] = {"test": 0, "validation": 1, "train": 2}
"""Of two near duplicates in different splits the one with the lower number stays."""


class Seed(Record):
    """One line of a seed source, after normalising and dropping duplicates."""

    seed_id: str
    text: str
    source: str
    """Where it came from: `builtin`, or the file's or dataset's name (no folder)."""
    license: str | None
    split: Split
    """Decided by a hash of the text before anything is written, or by an earlier version's `splits.parquet`."""
