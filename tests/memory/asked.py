"""A short history in whole sessions, for tests of agents: two sessions of one user, five messages."""

from datetime import UTC, datetime

from memory.agent import Asked
from memory.chunks import Turn
from schemas.session import Message

AT = datetime(2025, 3, 2, 18, 30, tzinfo=UTC)
LATER = datetime(2025, 6, 11, 7, 0, tzinfo=UTC)
ASKED = Asked(datetime(2025, 8, 3, tzinfo=UTC), "What shall I pack?", ("a bike", "a tent", "a book", "a map"))
OPEN = Asked(ASKED.asked_at, ASKED.text, ())


def turn(name: str, at: datetime, role: str, content: str) -> Turn:
    return Turn(name, at, Message.model_validate({"role": role, "content": content}), len(content.split()))


TURNS = (
    turn("p1/s003", AT, "user", "shorter pls: the kettle is dead"),
    turn("p1/s003", AT, "assistant", "Kettle wanted."),
    turn("p1/s003", AT, "user", "and warmer. The strainer misses it."),
    turn("p1/s017", LATER, "user", "translate: my knee says no to the tent"),
    turn("p1/s017", LATER, "assistant", "Mein Knie sagt nein."),
)
