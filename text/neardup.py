"""Near duplicates, by Subtext's definition.

Two texts are near duplicates when they stand in the same slot (whatever the caller makes of it: attribute, value, owner, role …) and
the embedding finds them alike and the longer contains most of the shorter's word 5-grams. The embedding alone is no judge: texts
of one kind crowd together in it. Texts that normalise alike are exact duplicates in whatever slot.

The conditions are one conjunction, so they are looked at in the order of their cost: an index of 5-grams finds the pairs that overlap,
exactly; the static model sees only those, the full model only what the static one lets pass.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from schemas.ids import normalise
from text.encoder import Vectors, full_encode, static_encode

GRAM = 5
_WORD = re.compile(r"\w+")
Pair = tuple[int, int]


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
    pairs = sorted(overlapping(own, limits.overlap), key=lambda pair: (pair[1], pair[0]))
    pairs = _alike(texts, pairs, static_encode, limits.proposal_cosine)
    gone: dict[int, Duplicate] = {}
    for (first, second), cosine in _cosines(texts, pairs, full_encode):
        if cosine >= limits.confirm_cosine and first not in gone and second not in gone:
            gone[second] = Duplicate(second, first, round(cosine, 3), round(containment(own[first], own[second]), 3))
    return list(gone.values())


def overlapping(own: dict[int, frozenset[int]], overlap: float) -> Iterator[Pair]:
    """Pairs (earlier, later) of which the longer contains `overlap` of the shorter's grams.

    Exact, without comparing all: of the shorter's n grams at most (1 - overlap) n are not in the longer, so of any more than that
    one is; taking the rarest makes the lists to look through short (prefix filtering, Chaudhuri et al. 2006). Most grams have one
    holder only: they come first and lead nowhere, so they are only counted.
    """
    repeated = _repeated(own)
    holders: dict[int, list[int]] = defaultdict(list)
    for index, found in own.items():
        for gram in found & repeated:
            holders[gram].append(index)
    for index, found in own.items():
        shared = found & repeated
        wanted = int((1 - overlap) * len(found) + 1e-9) + 1 - (len(found) - len(shared))
        rarest = sorted(shared, key=lambda gram: (len(holders[gram]), gram))[: max(wanted, 0)]
        near = {other for gram in rarest for other in holders[gram] if other != index}
        for other in near:
            size = (len(found), index), (len(own[other]), other)
            if size[0] < size[1] and containment(found, own[other]) >= overlap:
                yield min(index, other), max(index, other)


def _repeated(own: dict[int, frozenset[int]]) -> frozenset[int]:
    """The grams that more than one text has. Counted as numbers in an array: a million of them in a dict would take 100 MB."""
    every = np.fromiter((gram for found in own.values() for gram in found), dtype=np.int64)
    every.sort()
    return frozenset(every[1:][every[1:] == every[:-1]].tolist())


Encode = Callable[[Sequence[str]], Vectors]


def _cosines(texts: Sequence[str], pairs: Sequence[Pair], encode: Encode) -> Iterator[tuple[Pair, float]]:
    """Each pair with the cosine of its two texts; every text is encoded once."""
    involved = sorted({index for pair in pairs for index in pair})
    place = {index: row for row, index in enumerate(involved)}
    vectors = encode([texts[index] for index in involved]) if involved else None
    for first, second in pairs:
        if vectors is not None:
            yield (first, second), float(vectors[place[first]] @ vectors[place[second]])


def _alike(texts: Sequence[str], pairs: Sequence[Pair], encode: Encode, cosine: float) -> list[Pair]:
    """The pairs whose cosine is `cosine` or more."""
    return [pair for pair, found in _cosines(texts, pairs, encode) if found >= cosine]
