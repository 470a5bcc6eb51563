"""The result of an exam: who was examined on what, every answer, and what follows from them. The file is in docs/exam.md."""

from collections.abc import Mapping
from typing import Any, Literal

from schemas.base import Document
from schemas.question import QuestionKind

PROTOCOL = 1
"""Raised when the way in which an agent is examined changes, so that results of two ways are not compared."""
AgentKind = Literal["extractive", "llm", "command", "service"]


class ExamAnswer(Document):
    """What the agent answered to one question, in all rotations of the options."""

    question_id: str
    persona_id: str
    kind: QuestionKind
    gold: int
    """The right option's place in the question's own order."""
    choices: tuple[int, ...]
    """By rotation: the chosen option's place in the question's own order; -1 where nothing was chosen, which counts as wrong."""
    shares: tuple[float, ...]
    """Probabilities in the question's own order, the mean over rotations; empty where the agent gives none."""
    correct: float
    """The share of rotations in which it was right."""
    memory_tokens: int | None
    """Tokens of the memory from which it was answered; null where the agent does not show it."""


class ExamAccuracy(Document):
    """The mean of `correct` over the answers, with its 95 % interval over users."""

    value: float
    low: float
    high: float
    unread: int
    """How many choices of all rotations were none."""


class ExamMemory(Document):
    """How much was remembered when questions were answered. Null: the agent never showed its memory."""

    budget: int
    mean_tokens: float | None
    most_tokens: int | None
    over_budget: int
    """How many questions were answered from more than the budget."""
    hidden: int
    """How many questions were answered from a memory that was not shown."""


class ExamDataset(Document):
    """The dataset."""

    name: str
    version: str
    author: str


class ExamPaper(Document):
    """What was asked."""

    name: str
    seal: str
    """Hash of all that was shown and of the golds (see `memory.exam.Exam.seal`)."""
    split: str
    history_tokens: int
    users: int
    questions: int


class ExamAgent(Document):
    """Who was examined. It names no address and no folder."""

    kind: AgentKind
    name: str
    details: Mapping[str, str]
    """What else decides its answers, as far as it is known: a hash of the prompts, of the trained model."""


class ExamTools(Document):
    """By what it was examined."""

    protocol: int
    tokenizer: str
    """By whose tokens chunks and memories were measured."""
    chunk_tokens: int | None
    """The most tokens of a chunk; null where whole sessions were handed over."""
    python: str
    packages: Mapping[str, str]
    git_revision: str | None
    """Of the source that ran; null where that is no git checkout."""


class ExamResult(Document):
    """The file, but for its signature."""

    format: Literal["subtext-exam"]
    dataset: ExamDataset
    exam: ExamPaper
    agent: ExamAgent
    accuracy: ExamAccuracy
    memory: ExamMemory
    spent: Mapping[str, Any] | None
    """Calls, tokens and dollars, as the agent tells them; null where it does not."""
    made_with: ExamTools
    answers: tuple[ExamAnswer, ...]


class Signature(Document):
    """An Ed25519 signature (RFC 8032) of everything else in the file, as canonical JSON: see `store.signing`."""

    algorithm: Literal["ed25519"]
    public_key: str
    """64 hexadecimal digits."""
    value: str
    """128 hexadecimal digits."""
