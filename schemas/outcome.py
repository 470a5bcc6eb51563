"""What became of a record: a verdict on it, or its rejection. A failed record is data, never a crash and never silence."""

from typing import Literal

from schemas.base import Record

RecordType = Literal["seed", "persona", "fact", "session", "item", "question", "history"]


class Verdict(Record):
    """What one validator says of one record. No verdict is a failed verdict."""

    record_id: str
    validator: str
    passed: bool
    score: float | None = None
    reason: str
    judge: str = "rule"
    votes: tuple[bool, ...] = ()


class Reject(Record):
    """A requested record that was not kept."""

    record_id: str
    record_type: RecordType
    stage: str
    reason: str
    """One word for the cause: `near_duplicate`, `no_history`, `unreadable` …"""
    detail: str
    """The cause in a sentence."""
    duplicate_of: str | None = None
    similarity: float | None = None
    """Cosine of the two texts in the full encoder, where they were compared: a near duplicate, or a contradiction."""
    raw: str | None = None
    """What was refused, where it exists nowhere else: the draft or the raw reply of an author."""
    retry: str | None = None
    """The record for which the author is asked again by `subtext retry-failed`; null where another try cannot succeed."""


class Survivor(Record):
    """A record that dedup kept."""

    record_id: str
    record_type: RecordType
