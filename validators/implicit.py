"""The value is not said outright, by words: no sentence of the user holds all of the value's own words, in whatever form."""

from collections.abc import Sequence

from schemas.outcome import Verdict
from schemas.session import Message
from text.words import content_stems, sentences


def check_implicit(record_id: str, messages: Sequence[Message], value: str) -> Verdict:
    """Passes unless one sentence of the user holds every content word of `value`."""
    wanted = content_stems(value)
    for message in messages:
        if message.role != "user" or not wanted:
            continue
        for sentence in sentences(message.content):
            if wanted <= content_stems(sentence):
                return Verdict(record_id=record_id, validator="implicit", passed=False, reason=f"says {value!r} outright: {sentence!r}")
    return Verdict(record_id=record_id, validator="implicit", passed=True, reason="")
