"""A seed: the one-line description from which a persona grows."""

from typing import Literal, get_args

from schemas.base import Record

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)


class Seed(Record):
    """One line of a seed source, after normalising and dropping duplicates."""

    seed_id: str
    text: str
    source: str
    """Where it came from: `builtin`, or the file's or dataset's name (no folder)."""
    license: str | None
    split: Split
    """Decided by a hash of the text before anything is written, or by an earlier version's `splits.parquet`."""
