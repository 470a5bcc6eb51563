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


class Certificate(Record):
    """Three readings of a question: of the history before it, of the same without the evidence, and without any one other session."""

    by: str
    """`solver`, which reads labels alone, or the model that judged."""
    gold: bool
    """The history leads to the gold answer."""
    without_evidence: bool
    """Without `evidence_session_ids` it leads to another belief. True where the question rests on none."""
    without_others: bool
    """Without any single other session it leads to the same belief."""


class Question(Record):
    """An item asked of one user at one moment. It is never part of a history."""

    question_id: str
    item_id: str
    persona_id: str
    attribute: str | None
    """The attribute that its item is about; null where a foreign dataset does not say."""
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
    certificates: tuple[Certificate, ...]
    """By the solver, then by a judge where one was asked."""
