"""Near duplicates, by Subtext's definition.

Two texts are near duplicates when they stand in the same slot (whatever the caller makes of it: attribute, value, owner, role …) and
the embedding finds them alike and the longer contains most of the shorter's word 5-grams. The embedding alone is no judge: texts
of one kind crowd together in it. Texts that normalise alike are exact duplicates in whatever slot.

Cost: embeddings are compared by brute force within a slot, block by block, so memory stays bounded; the full model reads only pairs
that already overlap.
"""

import re
from collections import defaultdict
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from schemas.ids import normalise
from text.encoder import Vectors, full_encode, static_encode

GRAM = 5
_BLOCK = 2048
_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Limits:
    """From which values a pair is proposed, confirmed, and decided."""

    proposal_cosine: float
    confirm_cosine: float
    overlap: float


@dataclass(frozen=True, slots=True)
class Duplicate:
    """Text `index` repeats text `of`, which is kept."""

    index: int
    of: int
    similarity: float
    overlap: float
    exact: bool = False


def grams(text: str) -> frozenset[int]:
    """Hashes of the word 5-grams of `text` (of the whole text, where it is shorter)."""
    words = _WORD.findall(text.casefold())
    return frozenset(hash(tuple(words[i : i + GRAM])) for i in range(max(len(words) - GRAM + 1, 1)))


def containment(first: frozenset[int], second: frozenset[int]) -> float:
    """Share of the smaller set that the larger one contains."""
    return len(first & second) / min(len(first), len(second))


def find_duplicates(texts: Sequence[str], slots: Sequence[Hashable], limits: Limits) -> list[Duplicate]:
    """Which texts to drop. An earlier text is preferred to a later one, so sort by what should stay; one of each group stays."""
    exact = _exact(texts)
    dropped = {duplicate.index: duplicate for duplicate in exact}
    members: dict[Hashable, list[int]] = defaultdict(list)
    for index, slot in enumerate(slots):
        if index not in dropped:
            members[slot].append(index)
    for slot_members in members.values():
        if len(slot_members) > 1:
            for duplicate in _near(texts, slot_members, limits):
                dropped[duplicate.index] = duplicate
    for duplicate in exact:  # of a text that goes itself: name the one that stays
        if (other := dropped.get(duplicate.of)) is not None:
            dropped[duplicate.index] = replace(other, index=duplicate.index)
    return [dropped[index] for index in sorted(dropped)]


def _exact(texts: Sequence[str]) -> list[Duplicate]:
    first: dict[str, int] = {}
    found = []
    for index, text in enumerate(texts):
        kept = first.setdefault(normalise(text), index)
        if kept != index:
            found.append(Duplicate(index, kept, 1.0, 1.0, exact=True))
    return found


def _near(texts: Sequence[str], members: list[int], limits: Limits) -> list[Duplicate]:
    """Near duplicates among `members`. A text is dropped only for one that is itself kept."""
    own = {index: grams(texts[index]) for index in members}
    vectors = static_encode([texts[index] for index in members])
    pairs = [
        (members[first], members[second])
        for first, second in _proposals(vectors, limits.proposal_cosine)
        if containment(own[members[first]], own[members[second]]) >= limits.overlap
    ]
    if not pairs:
        return []
    involved = sorted({index for pair in pairs for index in pair})
    place = {index: row for row, index in enumerate(involved)}
    full = full_encode([texts[index] for index in involved])
    gone: dict[int, Duplicate] = {}
    for first, second in sorted(pairs, key=lambda pair: (pair[1], pair[0])):
        cosine = float(full[place[first]] @ full[place[second]])
        if cosine >= limits.confirm_cosine and first not in gone and second not in gone:
            gone[second] = Duplicate(second, first, round(cosine, 3), round(containment(own[first], own[second]), 3))
    return list(gone.values())


def _proposals(vectors: Vectors, cosine: float) -> Iterator[tuple[int, int]]:
    """Pairs (earlier, later) of rows whose cosine is `cosine` or more."""
    for start in range(0, len(vectors), _BLOCK):
        for other in range(start, len(vectors), _BLOCK):
            alike = vectors[start : start + _BLOCK] @ vectors[other : other + _BLOCK].T >= cosine
            for row, column in zip(*np.nonzero(alike), strict=True):
                if start + row < other + column:
                    yield int(start + row), int(other + column)
