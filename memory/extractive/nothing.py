"""Which option assumes nothing of the user: it names several ways where the others follow one, so it is told by how it lies among them."""

from collections.abc import Sequence

import numpy as np

from memory.extractive.cues import Array, Cues
from text.words import content_stems

_PENALTY = 0.01
"""Inverse strength of the L2 penalty, on standardised features."""


def option_features(options: Sequence[str], vectors: Array) -> Array:
    """Shape (options, features), relative to their mean: vectors (of the untrained static model), how alike the others are, words in
    common, and marks of a list.
    """
    alike = vectors @ vectors.T
    stems = [content_stems(text) for text in options]
    shared = np.array([[len(one & other) / max(1, len(other)) for other in stems] for one in stems])
    off = ~np.eye(len(options), dtype=np.bool_)
    marks = np.array([[text.count(","), text.count(";"), text.count(" or "), text.count(" and "), len(text.split())] for text in options])
    found = np.hstack([vectors, *(np.sort(table[off].reshape(len(options), -1), axis=1) for table in (alike, shared)), marks])
    centred: Array = (found - found.mean(axis=0)).astype(np.float32)
    return centred


def learn_nothing(cues: Cues, items: Sequence[tuple[Sequence[str], int]]) -> Array:
    """Weights of the features, from items of equally many options, each with the place of the option that assumes nothing."""
    from sklearn.linear_model import LogisticRegression

    features = [option_features(options, cues.plain(options)) for options, _ in items]
    rows = np.concatenate(features)
    labels = np.concatenate([np.arange(len(options)) == place for options, place in items])
    spread = rows.std(axis=0)
    spread[spread < 1e-6] = 1
    fitted = LogisticRegression(C=_PENALTY, max_iter=2000).fit(rows / spread, labels)
    weights: Array = (fitted.coef_[0] / spread).astype(np.float32)
    return weights
