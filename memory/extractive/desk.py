"""What the writing policy looks at: candidates for the memory, each with what its text tells and how it lies among the others."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from memory.extractive.cues import Array
from memory.extractive.reader import Reader
from memory.extractive.reading import in_context
from memory.notes import TokenCount, write_line
from memory.oracle import remembered
from memory.units import Unit
from schemas.memory import MemoryLine

FEATURES = ("evidence", "context", "asks to forget", "tokens", "kept before", "kept before, evidence", "newness", "said again since")
_CONTEXT = 1
"""Which feature is known only of what has just been read."""


@dataclass(frozen=True)
class Candidates:
    """Lines that may be in the memory, in order of time. All arrays have one row for each."""

    lines: tuple[MemoryLine, ...]
    own: Array
    """Shape (lines, 4): the features that a line has whatever else there is."""
    vectors: Array
    attributes: Array
    top: npt.NDArray[np.int64]
    """The likeliest value."""
    forget: Array
    """Probability that it asks to forget."""
    tokens: npt.NDArray[np.int64]
    days: npt.NDArray[np.int64]

    def take(self, rows: Sequence[int] | npt.NDArray[np.int64]) -> "Candidates":
        """Some of them, in the order given."""
        index = np.asarray(rows, dtype=np.int64)
        return Candidates(
            tuple(self.lines[row] for row in index.tolist()), self.own[index], self.vectors[index], self.attributes[index],
            self.top[index], self.forget[index], self.tokens[index], self.days[index],
        )  # fmt: skip

    @cached_property
    def alike(self) -> Array:
        """Shape (lines, lines): the probability that two are about the same attribute."""
        found: Array = self.attributes @ self.attributes.T
        return found

    def features(self, kept: npt.NDArray[np.bool_]) -> Array:
        """Shape (lines, len(FEATURES)); `kept` marks lines of the memory before this write."""
        age = (self.days - self.days.min()) / max(int(np.ptp(self.days)), 1) if len(self.days) else self.days
        again = np.triu(self.alike, 1).max(axis=1, initial=0)  # by later lines only
        own = self.own.copy()
        own[kept, _CONTEXT] = 0  # the message around it is gone
        others = np.stack([kept, kept * own[:, 0], age, again], axis=1)
        found: Array = np.hstack([own, others]).astype(np.float32)
        return found


@dataclass(frozen=True)
class Desk:
    """Makes candidates of what is read and of what is remembered."""

    reader: Reader
    count: TokenCount

    def fresh(self, units: Sequence[Unit]) -> Candidates:
        """Candidates of what was read."""
        context = self.reader.head("context", in_context(self.reader.cues, units)) if units else np.zeros(0, dtype=np.float32)
        asks = self.reader.asks_to_forget(self.reader.cues.plain([unit.text for unit in units])) > 0.5
        lines = [
            remembered(unit.text, unit.day, unit.session_id, "forgotten" if forget else "active")
            for unit, forget in zip(units, asks.tolist(), strict=True)
        ]
        return self._made(lines, context)

    def kept(self, lines: Sequence[MemoryLine]) -> Candidates:
        """Candidates of what is in the memory."""
        return self._made(lines, np.zeros(len(lines), dtype=np.float32))

    def _made(self, lines: Sequence[MemoryLine], context: Array) -> Candidates:
        texts = [line.text for line in lines]
        vectors, plain = self.reader.cues.embed(texts), self.reader.cues.plain(texts)
        values = self.reader.cues.values_in(vectors)
        tokens = np.array(self.count([write_line(line) + "\n" for line in lines]), dtype=np.int64)
        forget = self.reader.asks_to_forget(plain)
        own = np.stack([self.reader.head("evidence", plain), context, forget, np.log1p(tokens)], axis=1).astype(np.float32)
        return Candidates(
            tuple(lines), own, vectors, self.reader.cues.attributes_in(values),
            values.argmax(axis=1) if len(lines) else np.zeros(0, dtype=np.int64), forget, tokens,
            np.array([line.last_seen.toordinal() for line in lines], dtype=np.int64),
        )  # fmt: skip


def together(one: Candidates, other: Candidates) -> Candidates:
    """Both, one after the other."""
    return Candidates(
        (*one.lines, *other.lines),
        *(
            np.concatenate([getattr(one, name), getattr(other, name)])
            for name in ("own", "vectors", "attributes", "top", "forget", "tokens", "days")
        ),
    )
