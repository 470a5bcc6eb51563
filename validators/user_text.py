"""Evidence stands in what the user wrote: every quote is found, word for word, in a user message."""

from collections.abc import Sequence

from schemas.outcome import Verdict
from schemas.session import Evidence, Message


def locate(messages: Sequence[Message], quote: str, fact_id: str) -> Evidence | None:
    """The span of `quote` in the user's messages; None where no user message has it."""
    for index, message in enumerate(messages):
        if message.role == "user" and quote and (start := message.content.find(quote)) >= 0:
            return Evidence(message=index, start=start, end=start + len(quote), fact_id=fact_id)
    return None


def check_user_text(record_id: str, messages: Sequence[Message], quotes: Sequence[str]) -> Verdict:
    """Passes when there is evidence and all of it is in user messages."""
    missing = [quote for quote in quotes if locate(messages, quote, "") is None]
    reason = f"not in a user message: {missing[0]!r}" if missing else "" if quotes else "no evidence was named"
    return Verdict(record_id=record_id, validator="user_text", passed=not reason, reason=reason or "every quote is in a user message")
