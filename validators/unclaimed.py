"""The value is not said in other words: no clause of the user claims it, as far as a fitted rule tells.

Every clause is read with the full encoder: a logistic regression over cosines, shared words and signs of a claim (`validators.claim`),
whose weights and threshold lie in `unclaimed.json`. `bench.fit_unclaimed` fits them; docs/quality.md says how well they do.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from math import exp
from pathlib import Path

from schemas.outcome import Verdict
from schemas.session import Message
from text.encoder import Vectors, full_encode
from validators.claim import Clause, Matter, clauses_of, features

WEIGHTS = Path(__file__).with_suffix(".json")


@dataclass(frozen=True, slots=True)
class Weights:
    """A fitted logistic regression over named features."""

    intercept: float
    weights: dict[str, float]
    threshold: float
    """The probability from which a clause counts as a claim."""

    def probability(self, numbers: dict[str, float]) -> float:
        """That a clause with these features says the value."""
        return 1 / (1 + exp(-self.intercept - sum(weight * numbers[name] for name, weight in self.weights.items())))


def check_unclaimed(record_id: str, messages: Sequence[Message], matter: Matter) -> Verdict:
    """Passes unless a clause of the user claims the value in whatever words, as far as the fitted weights tell.

    It embeds every clause, some 20 a session at about 100 a second: for what a model wrote, not for a bank that was read beforehand.
    """
    parts = [clause for message in messages if message.role == "user" for clause in clauses_of(message.content)]
    fitted = read_weights()
    scores = [fitted.probability(numbers) for numbers in clause_features(matter, parts)]
    if not scores:
        return Verdict(record_id=record_id, validator="unclaimed", passed=False, reason="the user says nothing that can be read")
    best = max(range(len(scores)), key=scores.__getitem__)
    passed = scores[best] < fitted.threshold
    reason = "" if passed else f"claims {matter.value!r}: {parts[best].text!r}"
    return Verdict(record_id=record_id, validator="unclaimed", passed=passed, score=round(scores[best], 3), reason=reason)


def clause_features(matter: Matter, parts: Sequence[Clause]) -> list[dict[str, float]]:
    """The features of each clause; all texts are embedded at once."""
    texts = list(dict.fromkeys([*matter.texts, *(part.text for part in parts), *(part.sentence for part in parts)]))
    places = {text: place for place, text in enumerate(texts)}
    vectors: Vectors = full_encode(texts)
    against = vectors[[places[text] for text in matter.texts]].T
    cosines = vectors @ against
    return [features(matter, part, cosines[places[part.text]], cosines[places[part.sentence]]) for part in parts]


@cache
def read_weights() -> Weights:
    """The fitted weights."""
    return Weights(**json.loads(WEIGHTS.read_text(encoding="utf-8")))
