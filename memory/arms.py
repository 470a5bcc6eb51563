"""What a question is answered from, arm by arm: nothing, the profile, excerpts of the history, all of it, or what is known to be right.

Excerpts are pieces of what the user wrote (`memory.units`), as lines of a memory, so that every arm pays for dates and sessions as a memory
does. A budget is filled in the arm's order until the first piece that does not fit.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from memory.exam import Put, Sheet
from memory.notes import TokenCount, write_line
from memory.oracle import evidence_of, gold_of, remembered
from memory.units import units_of
from schemas.fact import Fact
from schemas.ids import unit_interval
from schemas.memory import Memory, MemoryLine
from text.encoder import Vectors, static_encode
from text.words import words

BUDGETED = ("recent_window", "every_sentence", "random_lines", "bm25", "dense")
UNBUDGETED = ("no_context", "profile_only", "full_context", "oracle_evidence", "gold_facts")
_K1, _B = 1.2, 0.75
"""Of BM25, as commonly set."""
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Excerpts:
    """What one user wrote, piece by piece, in order of time."""

    sheet: Sheet
    lines: tuple[MemoryLine, ...]
    turns: npt.NDArray[np.int64]
    """Shape (lines,): the message in which each stands."""
    tokens: npt.NDArray[np.int64]

    @classmethod
    def of(cls, sheet: Sheet, count: TokenCount) -> "Excerpts":
        """All pieces of a sheet's history."""
        found = [(number, unit) for number, turn in enumerate(sheet.turns) for unit in units_of([turn])]
        lines = tuple(remembered(unit.text, unit.day, unit.session_id) for _, unit in found)
        tokens = np.array(count([write_line(line) + "\n" for line in lines]), dtype=np.int64)
        return cls(sheet, lines, np.array([number for number, _ in found], dtype=np.int64), tokens)

    def before(self, put: Put) -> int:
        """How many pieces come before a question."""
        return int(np.searchsorted(self.turns, put.turns))

    @cached_property
    def vectors(self) -> Vectors:
        """Unit vectors of the static encoder, shape (lines, 256)."""
        return static_encode([line.text for line in self.lines])

    @cached_property
    def chances(self) -> Floats:
        """A number for each piece that nothing but its place decides."""
        return np.array([unit_interval("random_lines", self.sheet.persona.persona_id, place) for place in range(len(self.lines))])

    @cached_property
    def words(self) -> list[Counter[str]]:
        """How often each word stands in each piece."""
        return [Counter(words(line.text)) for line in self.lines]

    @cached_property
    def asked(self) -> dict[str, Vectors]:
        """The vector of each query of the sheet."""
        texts = sorted({put.question.text for put in self.sheet.questions})
        return dict(zip(texts, static_encode(texts), strict=True))

    def order(self, arm: str, put: Put) -> npt.NDArray[np.int64]:
        """The pieces before a question, in the order in which `arm` wants them."""
        number = self.before(put)
        if arm == "every_sentence":
            return np.arange(number)
        if arm == "recent_window":
            return np.arange(number)[::-1]
        if arm == "random_lines":
            return np.argsort(self.chances[:number], kind="stable")
        if arm == "dense":
            return np.argsort(-(self.vectors[:number] @ self.asked[put.question.text]), kind="stable")
        return np.argsort(-bm25(self.words[:number], words(put.question.text)), kind="stable")

    def filled(self, arm: str, put: Put, budgets: Sequence[int]) -> list[Memory]:
        """What stands in the place of a memory in `arm`, for each of `budgets`, in order of time."""
        order = self.order(arm, put)
        used = np.cumsum(self.tokens[order])
        kept = [order[: int((used <= budget).sum())] for budget in budgets]
        return [Memory(lines=tuple(self.lines[row] for row in sorted(rows.tolist()))) for rows in kept]


def bm25(pieces: Sequence[Mapping[str, int]], query: Sequence[str]) -> Floats:
    """Okapi BM25 of each piece for the words of `query` (Robertson and Zaragoza 2009), shape (pieces,)."""
    if not pieces:
        return np.zeros(0)
    lengths = np.array([sum(piece.values()) for piece in pieces], dtype=np.float64)
    norm = _K1 * (1 - _B + _B * lengths / max(float(lengths.mean()), 1.0))
    scores = np.zeros(len(pieces))
    for word in set(query):
        held = np.array([piece.get(word, 0) for piece in pieces], dtype=np.float64)
        number = int((held > 0).sum())
        scores += math.log(1 + (len(pieces) - number + 0.5) / (number + 0.5)) * held * (_K1 + 1) / (held + norm)
    return scores


def unlimited(arm: str, excerpts: Excerpts, put: Put, facts: Mapping[str, Fact]) -> Memory:
    """What an arm without a budget answers from."""
    persona = excerpts.sheet.persona
    if arm == "profile_only":
        day = excerpts.sheet.sessions[0].started_at.date()
        return Memory(lines=(remembered(persona.profile_text, day, f"{persona.persona_id}/profile"),))
    if arm == "full_context":
        return Memory(lines=excerpts.lines[: excerpts.before(put)])
    if arm == "oracle_evidence":
        return evidence_of(excerpts.sheet, put)
    return gold_of(put.question, facts) if arm == "gold_facts" else Memory()
