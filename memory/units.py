"""What can be kept of a history word for word: short paragraphs and sentences of the user's messages, as they stand."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from memory.chunks import Turn
from text.words import sentences, typed

_SHORT = 45
"""Words up to which a paragraph is kept whole: a thing told in two sentences is not torn apart."""
_LEAST = 3
MARKS = 9


@dataclass(frozen=True, slots=True)
class Unit:
    """A piece of what the user wrote."""

    text: str
    around: str
    """The whole message: what tells a story or somebody else's letter from the user's own words."""
    session_id: str
    day: date
    place: int
    """Which unit of its message it is, from 0."""
    quoted: bool
    """It stands within quotation marks that other units opened or close."""

    @property
    def marks(self) -> tuple[float, ...]:
        """How it is set, each between 0 and about 1: first, how late, how long, quoted, a question, numbers, names, commas, colon."""
        told = self.text.split()
        names = sum(word[:1].isupper() for word in told[1:])
        digits = any(letter.isdigit() for letter in self.text)
        return (
            float(self.place == 0), min(self.place, 10) / 10, min(len(told), 40) / 40, float(self.quoted), float(self.text.endswith("?")),
            float(digits), min(names, 5) / 5, min(self.text.count(","), 5) / 5, float(":" in self.text),
        )  # fmt: skip


def units_of(turns: Sequence[Turn]) -> list[Unit]:
    """The units of the user's messages among `turns`, in their order; what the assistant wrote is not the user's."""
    found = []
    for turn in turns:
        if turn.message.role == "user":
            open_quote = False
            for place, text in enumerate(_pieces(turn.message.content)):
                odd = typed(text).count('"') % 2 == 1
                found.append(Unit(text, turn.message.content, turn.session_id, turn.started_at.date(), place, open_quote or odd))
                open_quote ^= odd
    return found


def _pieces(message: str) -> list[str]:
    pieces = []
    for paragraph in (" ".join(part.split()) for part in message.split("\n\n")):
        pieces += [paragraph] if len(paragraph.split()) <= _SHORT else sentences(paragraph)
    return [piece for piece in pieces if len(piece.split()) >= _LEAST]
