"""Words and sentences as the rules read them: English, without a tagger, and quick enough for every session of a large dataset."""

import re
from collections.abc import Iterator
from functools import lru_cache

_SENTENCE = re.compile(r"(?<=[.!?…])[\"')\]]*\s+|\n+")
_CODE = re.compile(r"```.*?(?:```|\Z)|`[^`\n]*`", re.DOTALL)
_QUOTED = re.compile(r"\"[^\"]*\"|(?<!\S)'(?=\S)[^'\n]*(?:'(?=\w)[^'\n]*)*'(?=[\s.,;:!?)]|$)")
_CLAUSE = re.compile(r"[,;:()\[\]|\"•*]+|\s-+\s|\b(?:so|but|because|since|and|which|though|while)\b", re.IGNORECASE)
_TYPED = str.maketrans(
    {"\u2019": "'", "\u2018": "'", "\u201c": '"', "\u201d": '"', "\u201e": '"', "\u00ab": '"', "\u00bb": '"', "\u2013": "-", "\u2014": "-"}
)
_FILLER = frozenset("a an the of and or in on at to for with without my his her their own no not".split())
_ENDINGS = ("ing", "ers", "ed", "es", "er", "ly", "s")


def typed(text: str) -> str:
    """`text` with quotation marks, apostrophes and dashes as a keyboard has them; as long as before, so that places stay."""
    return text.translate(_TYPED)


def sentences(text: str) -> list[str]:
    """The sentences of `text`: they end at `.`, `!`, `?` or `…` before white space, and at line ends."""
    return [part for piece in _SENTENCE.split(text) if (part := piece.strip())]


def words(text: str) -> list[str]:
    """The words of `text`, case folded: runs of letters, digits, underscores."""
    return re.findall(r"\w+", text.casefold())


@lru_cache(maxsize=1 << 16)
def stem(word: str) -> str:
    """`word` without a common English ending, so that forms of one word mostly fall together; not always a word itself.

    Far simpler than M. F. Porter, "An algorithm for suffix stripping", Program 14 (1980), after which it is modelled: one ending is
    taken, then a doubled consonant or a final e or y is evened out.
    """
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 3 and not (ending == "s" and word.endswith("ss")):
            word = word[: -len(ending)]
            break
    if len(word) > 3 and word[-1] == word[-2] and word[-1] not in "ls":
        word = word[:-1]
    if word.endswith(("i", "y")) and len(word) > 3:
        return word[:-1] + "y"
    return word[:-1] if word.endswith("e") and len(word) > 3 else word


def content_stems(text: str) -> frozenset[str]:
    """The stems of the words of `text` that carry meaning."""
    return frozenset(stem(word) for word in words(text) if word not in _FILLER)


def says_all(text: str, value: str) -> bool:
    """Whether `text` holds every content word of `value`, in whatever form; a lone one in its own, because `running` is not any `run`."""
    wanted = content_stems(value)
    if not wanted or not wanted <= content_stems(text):
        return False
    return len(wanted) > 1 or bool(
        {word.removesuffix("s") for word in words(value)} & {word.removesuffix("s") for word in words(text)} - _FILLER
    )


def without_code(text: str) -> str:
    """`text` without code blocks and code in backquotes."""
    return _CODE.sub(" ", text)


def without_quotes(text: str) -> str:
    """`text` without what stands in quotation marks: words of somebody else, or a draft rather than a remark."""
    return _QUOTED.sub(" ", text)


def clauses(sentence: str) -> Iterator[str]:
    """The parts of a sentence between punctuation and common conjunctions: about one claim each."""
    for part in _CLAUSE.split(sentence):
        if part and (clause := part.strip(" '.!?…")):
            yield clause
