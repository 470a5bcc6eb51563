"""Reading stage parts without the words: the few columns that dealing and assembling need."""

from collections.abc import Sequence

import pyarrow.parquet as pq

from schemas.arrow import from_table
from schemas.session import SessionHead
from store.folder import RunFolder


def read_heads(folder: RunFolder, stage: str, index: int) -> Sequence[SessionHead]:
    """The sessions of one part, without their messages."""
    return from_table(pq.read_table(folder.part(stage, index), columns=list(SessionHead.model_fields)), SessionHead)
