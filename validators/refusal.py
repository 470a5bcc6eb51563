"""The assistant helps: no reply opens by declining, or by putting a lecture in the place of help."""

import re
from collections.abc import Sequence

from schemas.outcome import Verdict
from schemas.session import Message
from text.words import sentences, typed, without_code, without_quotes

_OPENING = 3
"""So many sentences of a reply are read. What is declined later, after help was given, is a caveat."""
_HELP = (
    r"(?:help|assist|provide|write|recommend|advise|give|promote|continue|comply|engage|support|create|generate|process|take part|do that"
    r"|do this|answer|discuss|share|offer|fulfil|fulfill|participate|produce|draft|translate|access|endorse|encourage|approve|be part)"
)
_DECLINES = re.compile(
    rf"\bI(?:'m| am)? ?(?:really |simply |therefore |just )?(?:can'?t|cannot|can not|won'?t|will not|(?:am )?unable to|(?:am )?not able to"
    rf"|(?:am )?not (?:comfortable|willing|allowed|permitted|in a position)(?: to)?|must decline to|have to decline to|(?:would"
    rf"|'d) rather not"
    rf"|should not|shouldn'?t|don'?t think I (?:should|can|could))(?: \w+ly)? {_HELP}\b"
    r"|\bI (?:would|do|did)(?:n'?t| not) feel (?:comfortable|right|able)\b"
    r"|\bI (?:must|have to|need to|'ll have to) (?:respectfully |politely )?(?:decline|refuse)\b"
    r"|\bI(?:'m| am) (?:not comfortable|uncomfortable) (?:with|writing|giving|helping)\b"
    r"|\bI (?:can'?t|cannot) (?:in good conscience|do (?:that|this|it)\b)"
    r"|\b(?:it|that|this) (?:is|would be|goes) (?:against|outside|beyond) (?:my|our) (?:guidelines|policy|policies|scope"
    r"|principles|abilities)\b"
    r"|\bas an? (?:AI|language model|assistant),? I (?:can'?t|cannot|am (?:not able|unable)|do not|don'?t)\b",
    re.IGNORECASE,
)  # fmt: skip


def check_refusal(record_id: str, messages: Sequence[Message]) -> Verdict:
    """Passes unless an opening of the assistant declines the task; what stands in quotation marks is the user's letter, not a refusal."""
    for message in messages:
        if message.role != "assistant":
            continue
        opening = " ".join(sentences(without_quotes(without_code(typed(message.content))))[:_OPENING])
        if found := _DECLINES.search(opening):
            return Verdict(record_id=record_id, validator="refusal", passed=False, reason=f"the assistant declines: {found[0]!r}")
    return Verdict(record_id=record_id, validator="refusal", passed=True, reason="")
