"""A session: one conversation in which the user uses the assistant as a tool."""

from collections.abc import Mapping
from datetime import datetime
from typing import Literal, get_args

from schemas.base import Record

Scenario = Literal[
    "personal_email", "professional_email", "chat_message", "social_media_post", "creative_writing", "professional_writing",
    "translation", "trouble_consult", "knowledge_query", "coding_help", "data_or_spreadsheet", "planning",
]  # fmt: skip
SCENARIOS: tuple[Scenario, ...] = get_args(Scenario)
NoiseKind = Literal["hypothetical", "third_person", "fiction", "quoted", "near_miss", "assistant_only", "unrelated"]
NOISE_KINDS: tuple[NoiseKind, ...] = get_args(NoiseKind)
SessionRole = Literal["evidence", "update", "forget", "noise"]
Cue = Literal["clear", "faint"]


class Message(Record):
    """One turn."""

    role: Literal["user", "assistant"]
    content: str


class Evidence(Record):
    """Where in a user's message a fact shows: `messages[message].content[start:end]` (characters)."""

    message: int
    start: int
    end: int
    fact_id: str


class Session(Record):
    """One conversation, with what it tells about whom."""

    session_id: str
    persona_id: str
    started_at: datetime
    scenario: Scenario
    owner: Literal["self", "other", "nobody"]
    """Whose facts show in it."""
    role: SessionRole
    noise_kind: NoiseKind | None
    cue: Cue | None
    """How a fact shows in it: alone enough to know it, or as a hint. Null where none does."""
    fact_ids: tuple[str, ...]
    """True facts that show in it (for `forget`: the fact to be forgotten)."""
    trap_fact_ids: tuple[str, ...]
    """False facts that it would tempt a naive memory to store."""
    messages: tuple[Message, ...]
    evidence: tuple[Evidence, ...]
    """Spans in user messages only: what shows the fact, or asks to forget it. Empty for noise."""
    tokens: int
    """Tokens of all message contents, by the run's tokenizer."""

    @property
    def user_text(self) -> str:
        """What the user wrote: the text by which sessions are compared."""
        return "\n".join(message.content for message in self.messages if message.role == "user")

    def slot(self, meaning: Mapping[str, tuple[str, str]]) -> tuple[object, ...]:
        """What sessions must have in common to be near duplicates: whose they are, their role, and the attributes and values (`meaning`,
        by fact) that show in them or tempt.
        """
        shown = tuple(meaning[name] for name in (*self.fact_ids, *self.trap_fact_ids) if name in meaning)
        return self.owner, self.role, self.noise_kind, shown


class SessionHead(Record):
    """A session without its words: what later stages need to place it."""

    session_id: str
    persona_id: str
    started_at: datetime
    owner: Literal["self", "other", "nobody"]
    role: SessionRole
    noise_kind: NoiseKind | None
    cue: Cue | None
    fact_ids: tuple[str, ...]
    trap_fact_ids: tuple[str, ...]
    tokens: int
