"""The user's way of writing is kept, as far as rules can tell: what the speaking style names and letters, marks and counts can show.

A style says a few words, such as 'terse, lower case'. Each trait that is known here is looked for in these words and, where it is named,
held against what the user says to the assistant: the first paragraph of each message, without code and without what stands in quotation
marks. What follows is mostly a text to work on, a letter or a table, in a voice of its own.
"""

import re
from collections.abc import Callable, Sequence

from schemas.outcome import Verdict
from schemas.session import Message
from text.words import sentences, typed, without_code, without_quotes

_EMOJI = re.compile(r"[\U0001F300-\U0001FAFF\u2600-\u27BF]|(?<!\w)[:;]-?[)D(P](?!\w)")
_CONTRACTION = re.compile(
    r"\b(?:I'(?:m|ve|ll|d)|(?:you|we|they)'(?:re|ve|ll|d)|(?:he|she|it|that|there|what|who|where|how|let)'s|\w+n't)\b", re.IGNORECASE
)  # fmt: skip
_TEXT_SPEAK = re.compile(
    r"(?<![/`.])\b(?:u|ur|r|2day|2moro|2nite|thx|thnx|pls|plz|lol|lmao|omg|idk|tbh|imo|btw|gonna|wanna|gotta|yo|cant|wont|dont"
    r"|didnt|isnt|im|ive|ta|cos|cuz|n)\b(?![/`])"
)
_WORD = re.compile(r"[\w'-]+")
_RUN_ON = 45
"""Words in one sentence that nobody calls clipped."""


def check_style(record_id: str, messages: Sequence[Message], style: str) -> Verdict:
    """Passes unless the user's messages lack what `style` names, or have what it rules out."""
    named = [(what, broken) for what, pattern, broken in _TRAITS if pattern.search(style)]
    if named:
        written = "\n".join(_to_the_assistant(message.content) for message in messages if message.role == "user")
        for what, broken in named:
            if broken(written):
                reason = f"the user's style is {style!r}, but {what}"
                return Verdict(record_id=record_id, validator="style", passed=False, reason=reason)
    return Verdict(record_id=record_id, validator="style", passed=True, reason="")


def _to_the_assistant(content: str) -> str:
    return without_quotes(without_code(typed(content.strip()))).partition("\n\n")[0]


def _sentences_open_in_capitals(text: str) -> bool:
    openings = [found[0] for sentence in sentences(text) if (found := re.search(r"[^\W\d_]", sentence)) and len(sentence) > 3]
    return bool(openings) and sum(letter.isupper() for letter in openings) > len(openings) / 2


def _has_no_capitals(text: str) -> bool:
    letters = [letter for letter in text if letter.isalpha()]
    return len(letters) > 60 and not any(letter.isupper() for letter in letters)


def _longest(text: str) -> int:
    return max((len(_WORD.findall(sentence)) for sentence in sentences(text)), default=0)


def _stops(text: str) -> int:
    return len(re.findall(r"[a-z]\.(?=\s|$)", text))


_TRAITS: tuple[tuple[str, re.Pattern[str], Callable[[str], bool]], ...] = (
    ("sentences begin with capitals", re.compile(r"lower ?-?case|\bno capitals|without capitals"), _sentences_open_in_capitals),
    ("there is no capital letter", re.compile(r"(?<!in)formal|full sentences|complete sentences|old-fashioned|grammatical|capitals for"
        r"|lots of capitals|\bcaps\b")
     , _has_no_capitals),
    ("words are contracted", re.compile(r"no contractions|without contractions"), lambda text: bool(_CONTRACTION.search(text))),
    ("there is text speak", re.compile(r"(?<!in)(?<!semi-)formal|ornate|full sentences|complete sentences|old-fashioned"
        r"|never abbreviates|grammatical"),
     lambda text: bool(_TEXT_SPEAK.search(text))),
    ("there is no exclamation mark", re.compile(r"(?<!no )(?<!never )exclamation (?:mark|point)s"), lambda text: "!" not in text),
    ("there are exclamation marks", re.compile(r"never exclaims|no exclamation"), lambda text: "!" in text),
    ("there is no emoji", re.compile(r"(?:lots of|many|full of|with) emojis?"), lambda text: not _EMOJI.search(text)),
    ("there are emojis", re.compile(r"\bno emojis?|without emojis?"), lambda text: bool(_EMOJI.search(text))),
    ("sentences end in full stops", re.compile(r"no full stops|unpunctuated|without punctuation"), lambda text: _stops(text) > 2),
    (f"a sentence has more than {_RUN_ON} words", re.compile(r"terse|clipped|curt\b|short sentences|short lines|bullet|fragments|sparse"),
     lambda text: _longest(text) > _RUN_ON),
    ("nothing is numbered", re.compile(r"numbered"), lambda text: not re.search(r"(?:^|\s)\(?\d[.)]\s", text)),
    ("nobody says please or thanks", re.compile(r"very polite|please and thank"), lambda text: not re.search(r"\b(?:please"
        r"|thank)", text, re.IGNORECASE)),
)  # fmt: skip
