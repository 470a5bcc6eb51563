"""Nobody speaks of how the conversation came about: no personas, prompts, hidden facts, memory, blanks to fill, or labels of turns."""

import re
from collections.abc import Sequence

from schemas.outcome import Verdict
from schemas.session import Message
from text.words import typed, without_code

_ANYWHERE = re.compile(
    r"\bas an? (?:AI|artificial intelligence|language model|large language model|assistant model)\b|\b(?:large )?language model\b(?=,? I\b)"
    r"|\bas a user\b|\b(?:the|this) (?:user|conversation|session|dialogue|exchange|message|cue)(?:'s)? (?:\w+ )?(?:demonstrates?|reveals?|"
    r"implies|implicitly|hints at|sensitivity|preference|persona|attribute|trait)\b"
    r"|\bthe user's (?:preference|persona|profile|fact|value|trait|habit|sensitivity|memory)\b|\bpersona of\b"
    r"|\bpersona's (?:fact|value|profile)\b"
    r"|\b(?:hidden|implicit|implied|underlying|target) (?:preference|fact|cue|trait|attribute|value|persona)s?\b|\bimplicitly reveal"
    r"|\b(?:in|for|from|of) (?:the|this|our) (?:training data|dataset of (?:conversations|personas)|synthetic (?:data|conversation))\b"
    r"|\bsynthetic (?:conversation|dialogue|persona|user)s?\b|\b(?:my|the) system prompt\b|\bJSON (?:for|of) the (?:session"
    r"|conversation|dialogue)\b"
    r"|\b(?:the|this|that|a) (?:little |small |subtle )?clue\b[^.!?\n]{0,60}\b(?:spelled|spelt|outright|explicit|show(?:s"
    r"|ing)? (?:what|who|that) I)"
    r"|\bwithout (?:me |him |her |them )?(?:having to )?(?:say|saying|mention|mentioning|stat|stating)(?:ing)? it (?:outright"
    r"|directly|explicitly)\b"
    r"|\b(?:version|option|draft) \w+ ?\((?:explicit|implicit)|\b(?:explicit|implicit) (?:cue|version|mention)\b",
    re.IGNORECASE,
)  # fmt: skip
_MEMORY = re.compile(
    r"\b(?:I'll|I will|I shall|I've|I have) (?:remember(?:ed)?|note[d]?|save[d]?|store[d]?)\b[^.!?\n]{0,40}\b(?:memory|profile"
    r"|preference|for (?:next time|the future|future))"
    r"|\b(?:my|your) (?:long-term )?memory of (?:you|our|me)\b|\bfrom (?:our|your) (?:earlier|previous|past) (?:conversation"
    r"|session|chat)s?\b"
    r"|\b(?:based on|from|according to) (?:your|the user's) (?:profile|history|stored)\b",
    re.IGNORECASE,
)  # fmt: skip
_BLANK = re.compile(r"(?<![{$%\w])\{(?:value|topic|fact|persona|attribute|statement|cue|scenario|name|user|owner|user_name)\}(?!\})")
_NARRATION = re.compile(
    r"\[[^\]\n]{0,40}\b(?:continues?|as in the original|as above|same as before|omitted|turn \d+|insert)\b[^\]\n]{0,60}\]", re.IGNORECASE
)
_SPEAKER = re.compile(
    r"(?:^|\n|[.!?\"] )\s*(?:\[?(?:user|assistant|human|system|AI)\]?|\*\*(?:user|assistant)\*\*):(?:\s|$)", re.IGNORECASE
)
_WIRE = re.compile(r"[\"']role[\"']\s*:\s*[\"'](?:user|assistant|system)[\"']")


def check_meta_talk(record_id: str, messages: Sequence[Message], may_remember: bool = False) -> Verdict:
    """Passes unless a message has such words. Blanks and turn labels count outside code only.

    `may_remember`: where the user asks to forget something, the assistant may speak of what it remembers.
    """
    for message in messages:
        text = typed(message.content)
        lowered = text.casefold()
        if not any(hint in lowered for hint in _HINTS):
            continue
        plain = without_code(text)
        remembers = message.role == "assistant" and not may_remember
        for pattern in (_ANYWHERE, _BLANK, _NARRATION, _SPEAKER, *((_MEMORY,) if remembers else ())):
            if found := pattern.search(plain):
                return _no(record_id, message, found[0])
        if found := _WIRE.search(text):
            return _no(record_id, message, found[0])
    return Verdict(record_id=record_id, validator="meta_talk", passed=True, reason="")


_HINTS = (
    "as an a", "language model", "as a user", "the user", "this user", "conversation", "the session", "this session", "dialogue", "the cue",
    "exchange", "message", "persona", "hidden", "impli", "underlying", "target", "training data", "synthetic", "system prompt", "json", "clue",
    "outright", "explicit", "directly", "memory", "earlier", "previous", "based on your", "from your", "according to", "remember", "{", "[",
    "user:", "assistant:", "human:", "system:", "ai:", "\"role", "'role", "i've note", "i have note", "i'll note", "i will note", "profile",
)  # fmt: skip
"""None of the patterns fits a text without any of these, and most have none: this keeps the check cheap."""


def _no(record_id: str, message: Message, words: str) -> Verdict:
    reason = f"the {message.role} talks of the conversation itself: {words.strip()!r}"
    return Verdict(record_id=record_id, validator="meta_talk", passed=False, reason=reason)
