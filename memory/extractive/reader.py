"""The frozen reader: which option fits what is remembered. It sees the memory's lines and the question, nothing else."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from memory.agent import Answer, Asked
from memory.extractive.cues import Array, Cues
from memory.extractive.nothing import option_features
from schemas.memory import Memory, MemoryLine

FEATURES = ("value", "wording", "recency", "evidence")
_LEAST = 1e-6
_OTHER = 1e-3
"""What is left of a value whose attribute does not seem to be the question's."""


@dataclass(frozen=True, slots=True)
class Read:
    """A question as the reader reads it; the same for every memory."""

    options: Array
    """Unit vectors, shape (options, dims)."""
    values: Array
    """Shape (options, values): narrowed to the attribute that the options together speak of."""
    attributes: Array
    """Shape (attributes,): what the question is about."""
    assumes_nothing: Array
    """Shape (options,): the probability of each to be the one that assumes nothing of the user."""


@dataclass(frozen=True, slots=True)
class Lines:
    """A memory's lines as the reader reads them, in their order."""

    vectors: Array
    values: Array
    attributes: Array
    evidence: Array
    """Shape (lines,): log odds that a line shows something of the user."""
    asks_to_forget: Array
    """Shape (lines,): probability that it asks to forget."""
    recency: Array
    """Shape (lines,): 0 for the oldest, 1 for the newest."""


@dataclass(frozen=True)
class Reader:
    """Encoder, heads on it, and the few weights that turn likenesses into probabilities."""

    cues: Cues
    heads: Mapping[str, Array]
    """By name, a weight for each dimension and a bias: `evidence`, `context`, `forget`; and `nothing`, of `option_features`."""
    weights: Array
    """Shape (len(FEATURES) + 3,): of the features; then what assuming nothing starts with, gains with each line, and with being asked to
    forget.
    """

    def head(self, name: str, vectors: Array) -> Array:
        """Log odds, shape (texts,), from vectors of the untrained static model: the trained ones know train's texts too well to tell."""
        found: Array = vectors @ self.heads[name][:-1] + self.heads[name][-1]
        return found

    def asks_to_forget(self, vectors: Array) -> Array:
        """Probabilities, shape (texts,), from vectors of the untrained static model."""
        return _sigmoid(self.head("forget", vectors))

    @cached_property
    def _read(self) -> dict[tuple[str, ...], Read]:
        return {}

    def read(self, asked: Asked) -> Read:
        """What is asked, by its options, which are read once and in one order, so that rotating them rotates the answer and changes nothing
        else.
        """
        order = sorted(range(len(asked.options)), key=asked.options.__getitem__)
        options = tuple(asked.options[place] for place in order)
        if options not in self._read:
            self._read[options] = self._read_options(options)
        found = self._read[options]
        back = np.argsort(order)
        return Read(found.options[back], found.values[back], found.attributes, found.assumes_nothing[back])

    def _read_options(self, options: Sequence[str]) -> Read:
        vectors = self.cues.embed(options)
        values = self.cues.values_in(vectors)
        about = np.log(self.cues.attributes_in(values) + _LEAST).sum(axis=0)
        about = np.exp(about - about.max())
        about /= about.sum()
        narrowed = values * (self.cues.of_attribute @ about + _OTHER)
        odds = option_features(options, self.cues.plain(options)) @ self.heads["nothing"]
        nothing = np.exp(odds - odds.max())
        return Read(vectors, narrowed / narrowed.sum(axis=1, keepdims=True), about, nothing / nothing.sum())

    def lines(self, lines: Sequence[MemoryLine]) -> Lines:
        """The lines of a memory."""
        texts = [line.text for line in lines]
        vectors, values = self.cues.embed(texts), self._values_of(texts)
        days = np.array([line.last_seen.toordinal() for line in lines], dtype=np.float32)
        recency = (days - days.min()) / max(float(np.ptp(days)), 1.0) if len(days) else days
        plain = self.cues.plain(texts)
        return Lines(vectors, values, self.cues.attributes_in(values), self.head("evidence", plain), self.asks_to_forget(plain), recency)

    @cached_property
    def _known(self) -> dict[str, Array]:
        return {}

    def _values_of(self, texts: Sequence[str]) -> Array:
        """Probabilities of the values, shape (texts, values); of each text once, because lines are read again at every question."""
        fresh = [text for text in dict.fromkeys(texts) if text not in self._known]
        self._known.update(zip(fresh, self.cues.values_in(self.cues.embed(fresh)), strict=True))
        return np.stack([self._known[text] for text in texts]) if texts else np.zeros((0, len(self.cues.values)), dtype=np.float32)

    def features(self, lines: Lines, read: Read) -> Array:
        """Shape (lines, options, len(FEATURES))."""
        value = np.log(lines.values @ read.values.T + _LEAST)
        wording = lines.vectors @ read.options.T
        each = np.ones_like(value)
        return np.stack([value, wording, lines.recency[:, None] * each, lines.evidence[:, None] * each], axis=2).astype(np.float32)

    def forgotten(self, lines: Lines, read: Read) -> float:
        """How certainly the user has asked to forget what the question is about, from 0 to 1."""
        if not len(lines.asks_to_forget):
            return 0.0
        return float((lines.asks_to_forget * (lines.attributes @ read.attributes)).max())

    def shares(self, lines: Lines, read: Read) -> Array:
        """Probabilities of the options, shape (options,)."""
        nothing = self.weights[-3] + self.weights[-2] * np.log1p(len(lines.recency)) + self.weights[-1] * self.forgotten(lines, read)
        if len(lines.recency):
            scores = self.features(lines, read) @ self.weights[: len(FEATURES)]
            scores -= 20 * lines.asks_to_forget[:, None]  # a request shows no taste
            best = scores.max(axis=0)
            fits = best + np.log(np.exp(scores - best).sum(axis=0))
        else:
            fits = np.full(len(read.options), -20.0, dtype=np.float32)
        logits = np.where(np.eye(len(fits), dtype=np.bool_), nothing, fits)  # row by row: were it this option that assumes nothing
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        found: Array = (read.assumes_nothing @ (powers / powers.sum(axis=1, keepdims=True))).astype(np.float32)
        return found

    @cached_property
    def _last(self) -> dict[str, tuple[Memory, Lines]]:
        return {}

    def answer(self, memory: Memory, asked: Asked) -> Answer:
        """The answer to a question with options. A memory that is asked several things in a row is read once."""
        if "memory" not in self._last or self._last["memory"][0] is not memory:
            self._last["memory"] = memory, self.lines([line for line in memory.lines if line.status != "superseded"])
        shares = self.shares(self._last["memory"][1], self.read(asked))
        return Answer(shares=tuple(float(share) for share in shares))


def _sigmoid(odds: Array) -> Array:
    found: Array = 1 / (1 + np.exp(-np.clip(odds, -30, 30)))
    return found
