"""What agents answered in an exam, question by question: everything else in their results is computed from this."""

from datetime import date

from schemas.base import Record


class AnswerRow(Record):
    """What one arm answered to one question, in all rotations of the options."""

    arm: str
    budget: int | None
    """Tokens of memory allowed; null for an arm without a memory."""
    question_id: str
    persona_id: str
    choices: tuple[int, ...]
    """By rotation: the chosen option's place in the question's own order; -1 where the reply could not be read."""
    shares: tuple[float, ...]
    """Probabilities in the question's own order, the mean over rotations; empty where the arm gives none."""
    tokens: int
    """Tokens of what the answer was given from: the memory, or the excerpts or history in its place."""


class MemoryRow(Record):
    """What an arm remembered of a user after one write, as text (see `memory.notes`)."""

    arm: str
    budget: int
    persona_id: str
    write: int
    """From 1."""
    until: date
    """Day of the last message that had been read."""
    memory: str
