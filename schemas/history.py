"""A history: the sessions of one user in order of time, within a token budget, and the moments at which questions are asked."""

from schemas.base import Record


class Placement(Record):
    """A question's place in a history."""

    question_id: str
    position: int
    """How many of the history's sessions precede the question."""
    distance_tokens: int | None
    """Tokens from the end of the last session that it needs to the question; null when it needs none."""


class History(Record):
    """Whole sessions only; never more tokens than the budget."""

    history_id: str
    persona_id: str
    budget: int
    session_ids: tuple[str, ...]
    tokens: int
    questions: tuple[Placement, ...]
