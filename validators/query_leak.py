"""The query gives no value away: it neither says one in other words or forms, nor claims something of the user that comes close to one."""

import re
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from schemas.outcome import Verdict
from text.encoder import Vectors, full_encode
from text.words import clauses, content_stems, sentences, typed

_NEAR, _AHEAD = 0.55, 0.12
"""A claim that is this near (cosine) to one value, and nearer to it by this than to the others on average, gives it away."""
_OWN = re.compile(r"\b(?:I|I'\w+|me|my|mine|myself|we|our|us)\b", re.IGNORECASE)


def check_query_leak(record_id: str, query: str, values: Sequence[str]) -> Verdict:
    """Passes unless a sentence of the query that is about the user says one of `values`, by all its words or by its sense."""
    nearest, closest = 0.0, ""
    for sentence in sentences(typed(query)):
        if not _OWN.search(sentence):
            continue
        parts = [sentence, *clauses(sentence)]
        for value in values:
            if (stems := content_stems(value)) and any(stems <= content_stems(part) and _OWN.search(part) for part in parts):
                return Verdict(record_id=record_id, validator="query_leak", passed=False, score=1.0, reason=f"{sentence!r} says {value!r}")
        if len(values) > 1 and not sentence.endswith("?"):
            cosines = _vectors(tuple(parts)) @ _vectors(tuple(f"I {value}" for value in values)).T
            ahead = cosines - (cosines.sum(axis=1, keepdims=True) - cosines) / (len(values) - 1)
            suspects = np.where(ahead >= _AHEAD, cosines, 0.0)
            part, place = divmod(int(suspects.argmax()), len(values))
            if suspects[part, place] > nearest:
                nearest, closest = float(suspects[part, place]), f"{parts[part]!r} comes close to {values[place]!r}"
    passed = nearest < _NEAR
    reason = "" if passed else closest
    return Verdict(record_id=record_id, validator="query_leak", passed=passed, score=round(nearest, 3), reason=reason)


@lru_cache(maxsize=4096)
def _vectors(texts: tuple[str, ...]) -> Vectors:
    return full_encode(texts)
