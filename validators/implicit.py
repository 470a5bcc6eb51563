"""The value is not said outright, by words: no sentence of the user holds all of the value's own words."""

import re
from collections.abc import Sequence

from schemas.outcome import Verdict
from schemas.session import Message

_FILLER = frozenset("a an the of and or in on at to for with without my his her their own no not".split())


def check_implicit(record_id: str, messages: Sequence[Message], value: str) -> Verdict:
    """Passes unless one sentence of the user holds every content word of `value`."""
    wanted = {word for word in re.findall(r"\w+", value.casefold()) if word not in _FILLER}
    for message in messages:
        if message.role != "user":
            continue
        for sentence in re.split(r"(?<=[.!?])\s+|\n+", message.content.casefold()):
            if wanted and wanted <= set(re.findall(r"\w+", sentence)):
                return Verdict(record_id=record_id, validator="implicit", passed=False, reason=f"says {value!r} outright: {sentence!r}")
    return Verdict(record_id=record_id, validator="implicit", passed=True, reason="the value's words do not occur together")
