"""What templates can do with a value, beyond printing it: fence it, flatten it, and choose by it without chance.

Personas, facts and sessions are written by models from seeds that strangers wrote. None of it can be trusted to be only material, so it
enters a prompt between tags that it cannot close.
"""

import re
from collections.abc import Mapping, Sequence

from schemas.ids import derive

FENCES = (
    "answers", "earlier", "fact", "facts", "held", "memory", "options", "persona", "problems", "query", "seed", "session", "statement",
    "value", "values",
)  # fmt: skip
"""The tags that prompts fence material with. Inside a fence none of them can be written, its own or another."""

_GAP = r"[\s\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff]*"
"""White space and characters that do not show: a reader sees `< / seed` and a soft hyphen in `se-ed` as the same tag."""
_TAGS = "|".join(_GAP.join(tag) for tag in FENCES)
_LOOK_ALIKE = re.compile(rf"[<\uff1c\ufe64](?={_GAP}(?:[/\uff0f]{_GAP})?(?:{_TAGS})(?![\w-]))", re.IGNORECASE)
BLUNTED = "\u2039"
"""What becomes of the bracket of a look-alike: a single angle quotation mark."""
LETTERS = "ABCDEFGH"


def fence(text: object, tag: str) -> str:
    """`text` between `<tag>` and `</tag>`; whatever in it looks like a fence's tag loses its bracket."""
    if tag not in FENCES:
        raise ValueError(f"{tag} is not one of the fences")
    return f"<{tag}>\n{_LOOK_ALIKE.sub(BLUNTED, str(text).strip())}\n</{tag}>"


def oneline(text: object) -> str:
    """`text` on one line, so that it cannot pass for further lines of a list."""
    return " ".join(str(text).split())


def pick(choices: Sequence[str], *path: object) -> str:
    """The one of `choices` that `path` decides: variety that a rerun repeats."""
    return choices[derive("pick", *path) % len(choices)]


def rotate(choices: Sequence[str], number: int, *path: object) -> str:
    """The `number`-th of `choices`, counted from where `path` decides: no two numbers in a row give the same."""
    return choices[(derive("rotate", *path) + number) % len(choices)]


def portions(shares: Mapping[str, float], count: int) -> dict[str, int]:
    """`count` split into whole numbers in the proportion of `shares` (largest remainders); what gets none is left out."""
    whole = sum(shares.values()) or 1
    exact = {name: count * share / whole for name, share in shares.items()}
    counts = {name: int(number) for name, number in exact.items()}
    for name in sorted(exact, key=lambda name: counts[name] - exact[name])[: count - sum(counts.values())]:
        counts[name] += 1
    return {name: number for name, number in counts.items() if number}


def lettered(texts: Sequence[object]) -> str:
    """`texts` one a line, each after its letter."""
    return "\n".join(f"{letter}. {oneline(text)}" for letter, text in zip(LETTERS[: len(texts)], texts, strict=True))


FILTERS = {"fence": fence, "oneline": oneline, "pick": pick, "rotate": rotate, "portions": portions, "lettered": lettered}
