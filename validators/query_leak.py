"""The query gives no value away: it neither says one in other words or forms, nor claims something of the user that comes close to one."""

import re
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from schemas.outcome import Verdict
from text.encoder import Vectors, full_encode, static_encode
from text.words import clauses, says_all, sentences, typed

_NEAR, _AHEAD = 0.55, 0.12
"""A claim that is this near (cosine) to one value, and nearer to it by this than to the others on average, gives it away."""
_HINT = 0.35
"""Only claims that the static encoder puts this near to a value are embedded in full: few are."""
_OWN = re.compile(r"\b(?:I|I'\w+|me|my|mine|myself|we|our|us)\b", re.IGNORECASE)


def check_query_leak(record_id: str, query: str, values: Sequence[str]) -> Verdict:
    """Passes unless a sentence of the query that is about the user says one of `values`, by all its words or by its sense."""
    claims: list[str] = []
    for sentence in sentences(typed(query)):
        if _OWN.search(sentence):
            parts = [sentence, *clauses(sentence)]
            for value in values:
                if any(says_all(part, value) and _OWN.search(part) for part in parts):
                    return Verdict(
                        record_id=record_id, validator="query_leak", passed=False, score=1.0, reason=f"{sentence!r} says {value!r}"
                    )
            claims += parts if not sentence.endswith("?") else ()
    nearest, reason = _closest(claims, tuple(f"I {value}" for value in values))
    passed = nearest < _NEAR
    return Verdict(
        record_id=record_id, validator="query_leak", passed=passed, score=round(nearest, 3), reason="" if passed else reason
    )  # fmt: skip


def _closest(claims: Sequence[str], values: tuple[str, ...]) -> tuple[float, str]:
    """The highest cosine of a claim with a value that is ahead of the others, and which they are; 0 where no claim comes near."""
    if len(values) < 2 or not claims:
        return 0.0, ""
    hints = (static_encode(claims) @ _static(values).T).max(axis=1)
    suspects = [claim for claim, hint in zip(claims, hints, strict=True) if hint >= _HINT]
    if not suspects:
        return 0.0, ""
    cosines = full_encode(suspects) @ _full(values).T
    ahead = cosines - (cosines.sum(axis=1, keepdims=True) - cosines) / (len(values) - 1)
    counted = np.where(ahead >= _AHEAD, cosines, 0.0)
    claim, value = divmod(int(counted.argmax()), len(values))
    return float(counted[claim, value]), f"{suspects[claim]!r} comes close to {values[value]!r}"


@lru_cache(maxsize=4096)
def _static(values: tuple[str, ...]) -> Vectors:
    return static_encode(values)


@lru_cache(maxsize=4096)
def _full(values: tuple[str, ...]) -> Vectors:
    return full_encode(values)
