"""Cutting a history into chunks for an agent to read: whole messages, at most so many tokens, and never past a moment."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

from schemas.session import Message, Session

MOST_TOKENS = 5000


@dataclass(frozen=True, slots=True)
class Turn:
    """A message as an agent reads it: in which session it stands, and when that began."""

    session_id: str
    started_at: datetime
    message: Message
    tokens: int


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some messages in a row."""

    turns: tuple[Turn, ...]

    @property
    def tokens(self) -> int:
        """Tokens of all messages."""
        return sum(turn.tokens for turn in self.turns)


def turns_of(sessions: Sequence[Session], tokens: Sequence[Sequence[int]]) -> list[Turn]:
    """The messages of `sessions` in their order; `tokens` has those of each message, by session."""
    return [
        Turn(session.session_id, session.started_at, message, count)
        for session, counts in zip(sessions, tokens, strict=True)
        for message, count in zip(session.messages, counts, strict=True)
    ]


def chunks_of(turns: Sequence[Turn], most: int = MOST_TOKENS) -> Iterator[Chunk]:
    """Chunks of at most `most` tokens, each as long as the next message lets it be. A longer message is a chunk of its own."""
    held: list[Turn] = []
    room = most
    for turn in turns:
        if held and turn.tokens > room:
            yield Chunk(tuple(held))
            held, room = [], most
        held.append(turn)
        room -= turn.tokens
    if held:
        yield Chunk(tuple(held))


def sessions_of(turns: Sequence[Turn]) -> Iterator[Chunk]:
    """A chunk for each session, however long."""
    for _, group in groupby(turns, key=lambda turn: turn.session_id):
        yield Chunk(tuple(group))
