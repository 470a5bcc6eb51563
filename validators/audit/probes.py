"""Trained guessers: what logistic regression learns about right options without knowing the user.

Fitted on train and scored on test questions whose item and query train does not have, so it cannot know an item by heart. Every feature
is taken relative to the question's four options, because only what tells them apart can help to choose.
"""

import re
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from schemas.ids import digest, normalise
from schemas.question import Question
from text.encoder import STATIC_DIMS
from validators.audit.choosing import credit
from validators.audit.embeddings import Embeddings
from validators.audit.estimates import by_user, ratio
from validators.audit.statistics import Figure, Limit, Units, sample
from validators.audit.tables import Published

_MOST = 4000
"""Questions to fit on, drawn by hash; more teach the probe little and cost seconds."""
_PENALTY = 0.01
"""Inverse strength of the L2 penalty, on standardised features."""
LIMIT = 0.28
_SAME = 1e-6
_OF_OPTIONS = STATIC_DIMS + 4
"""Columns that look at the options alone."""
Rows = npt.NDArray[np.float32]


def probe_figures(published: Published, embeddings: Embeddings) -> list[Figure]:
    """The probe on options, and the one on query and options; at most 28 %."""
    train = published.splits["train"].questions
    known = {question.item_id for question in train} | {normalise(question.text) for question in train}
    test = [
        question
        for question in published.splits["test"].questions
        if question.item_id not in known and normalise(question.text) not in known
    ]
    train = sorted(train, key=lambda question: digest("probe", question.question_id))[:_MOST]
    known_rows, asked_rows = _features(train, embeddings), _features(test, embeddings)
    return [
        _probe("probe_options", train, test, known_rows[:, :_OF_OPTIONS], asked_rows[:, :_OF_OPTIONS]),
        _probe("probe_query_options", train, test, known_rows, asked_rows),
    ]


def _probe(name: str, train: Sequence[Question], test: Sequence[Question], known: Rows, asked: Rows) -> Figure:
    earned: list[tuple[str, float]] = []
    if train and test:
        scores = _scores(known, _labels(train), asked)
        start = 0
        for question in test:
            row = scores[start : start + len(question.options)]
            start += len(question.options)
            earned.append((question.persona_id, credit([float(score) for score in row], question.gold_index, _SAME)))
    users, sums, numbers = by_user(earned)
    return sample(name, users, ratio(sums, numbers), Units(len(earned), "test questions"), Limit(None, LIMIT))


def _scores(known: Rows, labels: npt.NDArray[np.bool_], asked: Rows) -> Rows:
    from sklearn.linear_model import LogisticRegression

    spread = known.std(axis=0)
    spread[spread < _SAME] = 1  # what never differs is left as it is
    model = LogisticRegression(C=_PENALTY, max_iter=1000).fit(known / spread, labels)
    scores: Rows = model.decision_function(asked / spread)
    return scores


def _labels(questions: Sequence[Question]) -> npt.NDArray[np.bool_]:
    return np.array([place == question.gold_index for question in questions for place in range(len(question.options))])


def _features(questions: Sequence[Question], embeddings: Embeddings) -> Rows:
    """One row per option; the columns that look at the query come last."""
    rows = [np.zeros((0, _OF_OPTIONS + STATIC_DIMS + 2), dtype=np.float32)]
    for question in questions:
        texts = [option.text for option in question.options]
        vectors, asked = embeddings.of(texts), embeddings.of([question.text])[0]
        overlap = np.array([[len(_words(text) & _words(question.text))] for text in texts], dtype=np.float32)
        row = np.concatenate([vectors, _surface(texts), vectors * asked, (vectors @ asked)[:, None], overlap], axis=1)
        rows.append(row - row.mean(axis=0))
    return np.concatenate(rows)


def _surface(texts: Sequence[str]) -> Rows:
    """Rank by length (ties share one), digits, punctuation, and words in common with the other options."""
    lengths = [len(text) for text in texts]
    words = [_words(text) for text in texts]
    return np.array(
        [
            [
                sum(other < len(text) for other in lengths) + sum(other == len(text) for other in lengths) / 2,
                sum(letter.isdigit() for letter in text),
                len(re.findall(r"[^\w\s]", text)),
                sum(len(words[place] & other) for index, other in enumerate(words) if index != place),
            ]
            for place, text in enumerate(texts)
        ],
        dtype=np.float32,
    )


def _words(text: str) -> frozenset[str]:
    return frozenset(re.findall(r"\w+", text.casefold()))
