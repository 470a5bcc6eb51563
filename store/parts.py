"""Parts: one shard of one stage, written once. A part counts when its receipt says so and its bytes still match.

The receipt is written after the part, its rejects and its verdicts have their final names; it holds the hash of everything that went
in (the key) and of the bytes that came out. A rerun keeps a part whose key is unchanged and whose bytes are; anything else, a part
cut short or altered included, is made again.
"""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from hashlib import blake2b
from pathlib import Path
from typing import TypeVar

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel

from schemas.arrow import arrow_schema, from_table, to_table
from schemas.errors import SubtextError
from schemas.ids import digest
from schemas.outcome import RecordType, Reject, Verdict
from store.folder import RunFolder, write_json, writing

RecordT = TypeVar("RecordT", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Count:
    """How many records of one type a part was asked for, kept and rejected."""

    requested: int
    kept: int
    rejected: int


@dataclass(frozen=True, slots=True)
class Produced:
    """What the work on one shard gives: the rows of its part, its rejects, and how many records of each type it was asked for."""

    rows: Sequence[BaseModel]
    row_type: type[BaseModel]
    rejects: Sequence[Reject]
    requested: dict[RecordType, int]
    kept: dict[RecordType, int]
    verdicts: Sequence[Verdict] = ()
    """What validators said of the records, kept or not; nothing in stages that have no validators."""

    def counts(self) -> dict[RecordType, Count]:
        """The counts by record type. Raises SubtextError if a record is unaccounted for, which is a defect in the stage."""
        counts: dict[RecordType, Count] = {}
        found = {*self.requested, *self.kept, *(reject.record_type for reject in self.rejects)}
        for kind in sorted(found):
            requested = self.requested.get(kind, 0)
            rejected = sum(reject.record_type == kind for reject in self.rejects)
            kept = self.kept.get(kind, 0)
            if requested != kept + rejected:
                raise SubtextError(f"{requested} {kind} records requested, but {kept} kept and {rejected} rejected: this is a defect")
            counts[kind] = Count(requested, kept, rejected)
        return counts


@dataclass(frozen=True, slots=True)
class Receipt:
    """Proof of a finished part."""

    stage: str
    index: int
    key: str
    content: str
    """Hash of the part's bytes: what a later stage's key is made of."""
    rejects: str
    verdicts: str
    seconds: float
    counts: dict[RecordType, Count]
    reused: bool = False


def file_hash(path: Path) -> str:
    """Hash of a file's bytes."""
    hasher = blake2b(digest_size=16)
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            hasher.update(block)
    return hasher.hexdigest()


def write_table(path: Path, table: pa.Table, row_group_size: int = 4096) -> None:
    """Write `table` as zstd Parquet, whole or not at all."""
    with writing(path) as beside:
        pq.write_table(table, beside, compression="zstd", row_group_size=row_group_size, write_statistics=True)


def ensure_part(folder: RunFolder, stage: str, index: int, inputs: Sequence[object], produce: Callable[[], Produced]) -> Receipt:
    """Return the receipt of a part that is already right, or produce, write and certify it."""
    key = digest(stage, *inputs, size=16)
    if (done := _valid_receipt(folder, stage, index, key)) is not None:
        return done
    started = time.monotonic()
    produced = produce()
    counts = produced.counts()
    tables = (
        (folder.part(stage, index), to_table(produced.rows, produced.row_type)),
        (folder.rejects(stage, index), to_table(produced.rejects, Reject)),
        (folder.verdicts(stage, index), to_table(produced.verdicts, Verdict)),
    )
    for path, table in tables:
        write_table(path, table.replace_schema_metadata({"subtext.key": key}))
    part, rejects, verdicts = (file_hash(path) for path, _ in tables)
    receipt = Receipt(stage, index, key, part, rejects, verdicts, round(time.monotonic() - started, 3), counts)
    write_json(folder.receipt(stage, index), asdict(receipt))
    return receipt


def _valid_receipt(folder: RunFolder, stage: str, index: int, key: str) -> Receipt | None:
    try:
        fields = json.loads(folder.receipt(stage, index).read_text(encoding="utf-8"))
        counts = {kind: Count(**count) for kind, count in fields.pop("counts").items()}
        receipt = Receipt(**{**fields, "counts": counts, "reused": True})
        if receipt.key != key or receipt.content != file_hash(folder.part(stage, index)):
            return None
        beside = file_hash(folder.rejects(stage, index)), file_hash(folder.verdicts(stage, index))
        return receipt if (receipt.rejects, receipt.verdicts) == beside else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None  # no receipt, or not a readable one: the part does not count


def read_part(folder: RunFolder, stage: str, index: int, row_type: type[RecordT]) -> Sequence[RecordT]:
    """The rows of one part."""
    return from_table(pq.read_table(folder.part(stage, index), schema=arrow_schema(row_type)), row_type)


def drop_surplus(folder: RunFolder, stage: str, keep: int) -> None:
    """Remove parts from an earlier, larger set of shards of this stage, and what a killed removal left of them."""
    places = {folder.part(stage, 0).parent, folder.rejects(stage, 0).parent, folder.verdicts(stage, 0).parent}
    for index in sorted({int(path.stem.split("-")[1]) for place in places for path in place.glob("part-*")}):
        if index >= keep:
            for named in (folder.receipt, folder.part, folder.rejects, folder.verdicts):
                named(stage, index).unlink(missing_ok=True)
