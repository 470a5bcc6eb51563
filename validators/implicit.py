"""The value is not said outright, by words: no sentence of the user holds all of the value's own words, in whatever form."""

from collections.abc import Sequence

from schemas.outcome import Verdict
from schemas.session import Message
from text.words import says_all, sentences


def check_implicit(record_id: str, messages: Sequence[Message], value: str) -> Verdict:
    """Passes unless one sentence of the user holds every content word of `value`."""
    for message in messages:
        if message.role == "user":
            for sentence in sentences(message.content):
                if says_all(sentence, value):
                    reason = f"says {value!r} outright: {sentence!r}"
                    return Verdict(record_id=record_id, validator="implicit", passed=False, reason=reason)
    return Verdict(record_id=record_id, validator="implicit", passed=True, reason="")
