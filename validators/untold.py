"""Noise tells nothing true: the user does not say the value of a fact of theirs in it, as far as words tell."""

import re
from collections.abc import Sequence

from schemas.fact import Fact
from schemas.outcome import Verdict
from schemas.session import Message
from text.words import content_stems, says_all, sentences, typed, without_code, without_quotes

_CLAIM = re.compile(
    r"\b(?:I'?m|I am|I'?ve|I have|I (?:\w+ly |never |always |only |still |do(?:n't| not) )?(?!would|could|should|might|may|need"
    r"|want|think|guess|wonder|suppose"
    r"|can|hear|heard|read)\w+|me|my|mine|we|our)\b",
    re.IGNORECASE,
)  # fmt: skip


def check_untold(record_id: str, messages: Sequence[Message], facts: Sequence[Fact]) -> Verdict:
    """Passes unless a sentence of the user, not a question and not quoted, says something of themself with all words of a true value."""
    for message in messages:
        if message.role != "user":
            continue
        plain = without_quotes(without_code(typed(message.content)))
        all_stems = content_stems(plain)
        for fact in facts:
            wanted = content_stems(fact.value)
            if wanted and wanted <= all_stems and fact.status == "true":
                for sentence in sentences(plain):
                    if not sentence.endswith("?") and says_all(sentence, fact.value) and _CLAIM.search(sentence):
                        reason = f"tells {fact.value!r}, which is true of the user: {sentence!r}"
                        return Verdict(record_id=record_id, validator="untold", passed=False, reason=reason)
    return Verdict(record_id=record_id, validator="untold", passed=True, reason="")
