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
    r"|\b(?:as the prompt|(?:per|in|from) the (?:prompt|instructions above|scenario|system message|character sheet))\b"
    r"|\bthe (?:ground truth|evidence quote|target value|assistant's turn|user's turn|user turn|assistant turn)\b"
    r"|\b(?:turn|exchange) \d+ of \d+\b"
    r"|\b(?:here is|here's|below is) (?:the |a |your )?(?:simulated |generated |sample )?(?:conversation|dialogue|transcript"
    r"|user message|exchange)\b"
    r"|\b(?:subtly|indirectly|implicitly|implicit) (?:shows?|showing|hints?|hinting|reveals?|revealing|suggests?|conveys?|conveying)\b"
    r"|\bthe reader (?:can|could|should|has to|must) infer\b|\bmy (?:persona|character profile|assigned \w+)\b|<\|im_"
    r"|</?(?:user|assistant|persona|session)>"
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
_LABEL = re.compile(
    r"(?:^|\n)\s*(?:\*\*)?(?:cue|evidence|quote|quotes|fact|value|persona|attribute|scenario"
    r"|topic of the session)(?:\*\*)?: \S",
    re.IGNORECASE,
)
_SPEAKER = re.compile(
    r"(?:^|\n|[.!?\"] )\s*(?:\[?(?:user|assistant|human|system|AI)\]?|\*\*(?:user|assistant)\*\*):(?:\s|$)", re.IGNORECASE
)
_WIRE = re.compile(r"[\"']role[\"']\s*:\s*[\"'](?:user|assistant|system)[\"']")


_PATTERNS: tuple[tuple[re.Pattern[str], tuple[str, ...]], ...] = (
    (_ANYWHERE, (
        "as an a", "language model", "as a user", "the user", "this user", "s conversation", "the conversation", "the session",
        "this session", "dialogue", "the cue", "this cue", " exchange ", "this message", "the message", "persona", "hidden ", "implicit",
        "implied ", "underlying ", "target ", "training data", "synthetic", "system prompt", "json for", "json of", " clue",
        "it outright", "it directly", "it explicitly", "explicit", "the prompt", "system message", "the scenario", "character sheet",
        "character profile", "ground truth", "evidence quote", "'s turn", "user turn", "assistant turn", "turn 1",
        "turn 2", "turn 3", "turn 4", "exchange 1", "exchange 2", "transcript", "subtly", "indirectly", "the reader", "my assigned",
        "<|im_", "<user", "</user", "<assistant", "</assistant", "<session", "</session",
    )),
    (_MEMORY, ("memory", "earlier", "previous", "past ", "profile", "preference", "next time", "future", "your history", "your stored")),
    (_BLANK, ("{",)),
    (_NARRATION, ("[",)),
    (_LABEL, ("cue:", "evidence:", "quote:", "quotes:", "fact:", "persona:", "attribute:", "scenario:", "session:")),
    (_SPEAKER, ("user", "assistant", "human:", "system", "ai:", "ai]")),
    (_WIRE, ("role",)),
)  # fmt: skip
"""Each pattern with words of which a text must have one for it to fit: most texts have none, which keeps the check cheap."""


def check_meta_talk(record_id: str, messages: Sequence[Message], may_remember: bool = False) -> Verdict:
    """Passes unless a message has such words. Blanks and turn labels count outside code only.

    `may_remember`: where the user asks to forget something, the assistant may speak of what it remembers.
    """
    for message in messages:
        text = typed(message.content)
        lowered, plain = text.casefold(), without_code(text)
        for pattern, hints in _PATTERNS:
            if pattern is _MEMORY and (may_remember or message.role == "user"):
                continue
            if any(hint in lowered for hint in hints) and (found := pattern.search(text if pattern is _WIRE else plain)):
                return _no(record_id, message, found[0])
    return Verdict(record_id=record_id, validator="meta_talk", passed=True, reason="")


def _no(record_id: str, message: Message, words: str) -> Verdict:
    reason = f"the {message.role} talks of the conversation itself: {words.strip()!r}"
    return Verdict(record_id=record_id, validator="meta_talk", passed=False, reason=reason)
