"""Questions: an item (one query, four options) and the item as asked of one user at one moment."""

from datetime import datetime
from typing import Literal, get_args

from schemas.base import Record
from schemas.seed import Split

QuestionKind = Literal["current", "updated", "forget", "ownership", "hypothetical", "restraint", "sensitive"]
QUESTION_KINDS: tuple[QuestionKind, ...] = get_args(QuestionKind)
OptionRole = Literal["gold", "stale", "trap", "other_value", "no_assumption", "leak"]


class ItemOption(Record):
    """One complete answer; `value` is null in the option that assumes nothing."""

    text: str
    value: str | None


class Item(Record):
    """One query with four options, each right for somebody. Asked, word for word, of many users of one split."""

    item_id: str
    split: Split
    attribute: str
    text: str
    options: tuple[ItemOption, ...]


class Option(Record):
    """An item's option as this user sees it."""

    text: str
    value: str | None
    role: OptionRole


class Question(Record):
    """An item asked of one user at one moment. It is never part of a history."""

    question_id: str
    item_id: str
    persona_id: str
    asked_at: datetime
    text: str
    kind: QuestionKind
    fact_ids: tuple[str, ...]
    """What the gold answer rests on; for kinds where nothing may be assumed, what it must not use."""
    evidence_session_ids: tuple[str, ...]
    """Sessions that must precede the question: evidence, superseded, forget and trap sessions."""
    options: tuple[Option, ...]
    gold_index: int
    rubric: str
    """What an open answer must do to count as right."""
