"""What agents answered in an exam, question by question, what they remembered and what it cost; and the results computed from that."""

from collections.abc import Mapping
from datetime import date

from schemas.base import Document, Record


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


class MomentRow(Record):
    """What an arm remembered at the moment of a question and answered from, as text."""

    arm: str
    budget: int
    question_id: str
    persona_id: str
    writes: int
    """How many whole writes of the main line came before: those of `MemoryRow` from 1 to this one."""
    memory: str


class Usage(Record):
    """What some calls took."""

    read: int
    """Tokens that the agent was given."""
    written: int
    """Tokens that it wrote."""
    calls: int
    usd: float | None
    """Null where nobody knows the price."""


class CostRow(Record):
    """What an arm took in the whole exam: reading the histories and keeping memories, and apart from that answering."""

    arm: str
    budget: int | None
    users: int
    questions: int
    """Answers that `answering` paid for; each rotation is one."""
    writing: Usage
    """As it would be without questions: the main line alone."""
    answering: Usage


Interval = tuple[float, float]
"""Lower and upper end, at 95 %."""


class Group(Document):
    """Accuracy on some of the questions."""

    accuracy: float
    """Mean over questions of the share of rotations in which the right option was chosen."""
    ci95: Interval
    n: int
    """Questions."""


class Rate(Document):
    """A share, with how many it is of."""

    value: float | None
    """Null where `n` is 0."""
    ci95: Interval | None
    n: int


class GapClosed(Document):
    """(arm - no_context) / (oracle_evidence - no_context)."""

    value: float
    ci95: Interval


class ArmResult(Group):
    """One arm at one budget."""

    users: int
    tokens_per_query: float
    """Mean tokens of what an answer was given from."""
    position_consistency: float
    """Share of questions to which the same option was chosen wherever it stood."""
    invalid: float
    """Share of replies that could not be read."""
    ece: float | None
    brier: float | None
    """Of the probabilities; null for an arm that gives none."""
    gap_closed: GapClosed | None
    """Null where `no_context` or `oracle_evidence` was not measured, or the gap between them is not certain to be one."""
    by: Mapping[str, Mapping[str, Group]]
    """By dimension and label."""


class Comparison(Document):
    """How much more often `arm` is right than `other`, on the same questions."""

    arm: str
    other: str
    budget: int
    """Of `arm`, and of `other` where that has one."""
    difference: float
    ci95: Interval
    p: float
    p_holm: float
    """Adjusted for the number of comparisons."""
    detectable: float
    """The smallest true difference that this many users would have shown in four of five cases."""
    certain: bool
    """`p_holm` is below 0.05."""


class MemoryResult(Document):
    """What an arm's memories hold at the end of the histories, whoever reads them."""

    recall: Rate
    precision: Rate
    staleness: Rate
    forget_leak: Rate
    owner_error: Rate
    false_memories: Mapping[str, Rate]
    """By noise kind."""
    secret_leak: Rate
    budget_use: Rate


class FailureResult(Document):
    """Why wrong replies were wrong: shares of `wrong`, which add up to 1."""

    wrong: float
    """Wrong replies looked at, in questions: a reply in one of four rotations counts a quarter."""
    never_written: float
    lost_later: float
    present_unused: float
    misused: float
    guessed: float


class CostResult(Document):
    """What one answer takes, the writing shared among a user's questions."""

    arm: str
    budget: int | None
    tokens: Mapping[str, float]
    """By questions per user."""
    usd: Mapping[str, float] | None
    """Null where a price is not known."""
    cheaper_from: int | None
    """Questions per user from which on it takes fewer tokens than `full_context`; null where it never does, or that was not measured."""


class ExamSeal(Document):
    """Which exam was sat."""

    name: str
    seal: str
    users: int
    questions: int
    chance: float
    """What choosing at random earns."""


class Results(Document):
    """`agent/results.json`. Every number is computed from the answers, memories and costs by `memory.measures.results.measure`."""

    exam: ExamSeal
    headline_budget: int | None
    """The memory budget of those in `arms` that have one; null where none has."""
    arms: Mapping[str, ArmResult]
    """Arms without a budget, and all others at the headline budget."""
    gap_closed: float | None
    """Of `trained_memory`, at the headline budget."""
    comparisons: tuple[Comparison, ...]
    budgets: Mapping[str, Mapping[str, ArmResult]]
    """By budget, the arms that have one."""
    memory: Mapping[str, Mapping[str, MemoryResult]]
    """By budget and arm."""
    failures: Mapping[str, Mapping[str, FailureResult]]
    """By budget and arm."""
    cost: tuple[CostResult, ...]
