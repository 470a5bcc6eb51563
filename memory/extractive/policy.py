"""The writing policy: what stays in the memory. It draws an order of the candidates and fills the memory in it.

The order is drawn one by one in proportion to exp(score), a Plackett-Luce distribution (Plackett 1975), by adding Gumbel noise to the
scores; without noise it is the order of the scores. Only the lines that were kept count for the probability of a write.
"""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from memory.extractive.cues import Array
from memory.extractive.desk import FEATURES, Candidates

Numbers = npt.NDArray[np.float64]
_SAME_MATTER = 0.5
"""From this probability of being about one attribute on, a line replaces an older one with another value."""
_MEANT = 0.1
"""From this one on, a request to forget means a line."""


@dataclass(frozen=True)
class Policy:
    """A linear score of standardised features."""

    weights: Numbers = field(default_factory=lambda: np.zeros(len(FEATURES)))
    centre: Numbers = field(default_factory=lambda: np.zeros(len(FEATURES)))
    spread: Numbers = field(default_factory=lambda: np.ones(len(FEATURES)))

    def standard(self, features: Array) -> Numbers:
        """Features as the weights see them."""
        found: Numbers = (features - self.centre) / self.spread
        return found


@dataclass(frozen=True, slots=True)
class Choice:
    """One write: what there was to choose from, and what was kept, in the order in which it was drawn."""

    features: Numbers
    """Shape (candidates that may be kept, features), standardised."""
    drawn: tuple[int, ...]
    """Among these."""
    rows: tuple[int, ...]
    """The same, among all candidates, in order of time."""

    def gradient(self, weights: Numbers) -> Numbers:
        """Of the log probability of the draw, with respect to the weights."""
        scores = self.features @ weights
        powers = np.exp(scores - scores.max())
        drawn = list(self.drawn)
        # After each draw, what was drawn is gone from the sums.
        weighted = powers[:, None] * self.features
        left = powers.sum() - np.concatenate([[0.0], np.cumsum(powers[drawn])[:-1]])
        sums = weighted.sum(axis=0) - np.concatenate([np.zeros((1, len(weights))), np.cumsum(weighted[drawn], axis=0)[:-1]])
        found: Numbers = (self.features[drawn] - sums / np.maximum(left, 1e-12)[:, None]).sum(axis=0)
        return found


def settled(candidates: Candidates, kept: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Which candidates may be kept: not what the user has just asked to forget, nor what a later line replaces (`superseded`)."""
    allowed = ~superseded(candidates)
    for row in np.flatnonzero((candidates.forget > 0.5) & ~kept):
        about = candidates.alike[:row, row].copy()
        about[candidates.forget[:row] > 0.5] = 0
        if len(about) and about.max() >= _MEANT:
            allowed[int(about.argmax())] = False
    return allowed


def superseded(candidates: Candidates) -> npt.NDArray[np.bool_]:
    """Which lines a later one replaces: of the same attribute, with another value."""
    same = candidates.alike > _SAME_MATTER
    other = candidates.top[:, None] != candidates.top[None, :]
    later = np.triu(np.ones(same.shape, dtype=np.bool_), 1) & (candidates.forget <= 0.5)
    found: npt.NDArray[np.bool_] = (same & other & later).any(axis=1)
    return found


def choose(policy: Policy, candidates: Candidates, kept: npt.NDArray[np.bool_], budget: int, noise: Numbers | None) -> Choice:
    """Draw a memory of at most `budget` tokens from the candidates; without `noise`, the likeliest."""
    allowed = np.flatnonzero(settled(candidates, kept))
    features = policy.standard(candidates.features(kept)[allowed])
    scores = features @ policy.weights
    order = np.argsort(-(scores if noise is None else scores + noise[allowed]), kind="stable")
    fits = int((np.cumsum(candidates.tokens[allowed[order]]) <= budget).sum())
    return Choice(features, tuple(order[:fits].tolist()), tuple(sorted(allowed[order[:fits]].tolist())))
