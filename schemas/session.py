"""A session: one conversation in which the user uses the assistant as a tool."""

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
    fact_ids: tuple[str, ...]
    """True facts that show in it (for `forget`: the fact to be forgotten)."""
    trap_fact_ids: tuple[str, ...]
    """False facts that it would tempt a naive memory to store."""
    messages: tuple[Message, ...]
    evidence: tuple[Evidence, ...]
    """Spans in user messages only: what shows the fact, or asks to forget it. Empty for noise."""
    tokens: int
    """Tokens of all message contents, by the run's tokenizer."""


class SessionHead(Record):
    """A session without its words: what later stages need to place it."""

    session_id: str
    persona_id: str
    started_at: datetime
    role: SessionRole
    noise_kind: NoiseKind | None
    fact_ids: tuple[str, ...]
    trap_fact_ids: tuple[str, ...]
    tokens: int
