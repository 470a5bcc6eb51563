"""Rules that answer questions without reading anything: the longest option, the shortest, the one most like the user's profile.

Where a rule finds several options equal, each gets an even part of the answer, so a rule that sees no difference scores 25 %.
"""

from collections.abc import Sequence

from schemas.question import Question
from validators.audit.embeddings import Embeddings
from validators.audit.estimates import by_user, ratio
from validators.audit.statistics import Figure, Limit, Units, sample
from validators.audit.tables import Published

_SAME = 1e-6
"""Cosines that differ by less are equal: the last digits hang on the machine."""
CHANCE, BAND = 0.25, 0.02


def credit(scores: Sequence[float], gold: int, same: float = 0.0) -> float:
    """What the highest score earns: 1 if it is the gold option's alone, an even part if others share it, else 0."""
    best = max(scores)
    winners = [place for place, score in enumerate(scores) if score >= best - same]
    return 1 / len(winners) if gold in winners else 0.0


def choosing_figures(published: Published, embeddings: Embeddings) -> list[Figure]:
    """The accuracy of the three rules; 25 ± 2 %."""
    questions = published.questions
    lengths = [[float(len(option.text)) for option in question.options] for question in questions]
    return [
        _accuracy("choose_longest", questions, lengths),
        _accuracy("choose_shortest", questions, [[-length for length in row] for row in lengths]),
        _accuracy("choose_like_profile", questions, _likeness(published, embeddings), _SAME),
    ]


def _likeness(published: Published, embeddings: Embeddings) -> list[list[float]]:
    """Cosines of each question's options with the profile of the persona who asks."""
    profiles = {persona.persona_id: persona.profile_text for persona in published.personas}
    scores = []
    for question in published.questions:
        profile = profiles.get(question.persona_id)
        options = embeddings.of([option.text for option in question.options])
        scores.append([0.0] * len(options) if profile is None else [float(cosine) for cosine in options @ embeddings.of([profile])[0]])
    return scores


def _accuracy(name: str, questions: Sequence[Question], scores: Sequence[Sequence[float]], same: float = 0.0) -> Figure:
    earned = [(question.persona_id, credit(row, question.gold_index, same)) for question, row in zip(questions, scores, strict=True)]
    users, sums, numbers = by_user(earned)
    return sample(name, users, ratio(sums, numbers), Units(len(earned), "questions"), Limit(CHANCE - BAND, CHANCE + BAND))
