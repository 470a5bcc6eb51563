"""Vectors of the texts that figures compare, each text encoded once, all at once, by the fast static model."""

from collections.abc import Iterable, Sequence

import numpy as np

from text.encoder import Vectors, static_encode
from validators.audit.tables import Published


class Embeddings:
    """Unit vectors by text."""

    def __init__(self, texts: Iterable[str]) -> None:
        distinct = sorted(set(texts))
        self._place = {text: row for row, text in enumerate(distinct)}
        self._vectors = static_encode(distinct)

    def of(self, texts: Sequence[str]) -> Vectors:
        """The vectors of `texts`, in their order."""
        found: Vectors = self._vectors[np.array([self._place[text] for text in texts], dtype=np.int64)]
        return found


def embed_questions(published: Published) -> Embeddings:
    """Everything that a question shows, and the profiles."""
    texts = {persona.profile_text for persona in published.personas}
    for question in published.questions:
        texts |= {question.text, *(option.text for option in question.options)}
    return Embeddings(texts)
