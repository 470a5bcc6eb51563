"""Fits the weights of `validators.unclaimed`: `python -m bench.fit_unclaimed` writes `validators/unclaimed.json`. Minutes on two cores.

Material: the tuning half of the calibration set, the sentences of `bench/stated.yaml`, and cues of the offline author's bank, none of
which says its value. A session says its value where one clause does (multiple-instance learning: of each session that does, the clause
among its marked words with the highest score counts, again after each fit). The threshold is chosen on scores of sessions of the tuning
half that were left out of the fit, by eighths. Nothing here reads the frozen half.
"""

import json
import random
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import yaml

from author.offline.bank import load_bank
from author.offline.material import SLOT
from bench.calibration import entries
from prompts.catalogue import load_catalogue
from text.encoder import full_encode
from text.words import words
from validators.claim import Clause, Matter, clauses_of, features
from validators.unclaimed import WEIGHTS

Floats = npt.NDArray[np.float64]
PRECISION = 0.85
"""Least precision on what was left out."""
_WEIGHT = {"calibration": 3.0, "sentences": 1.0, "bank": 0.3}
_FOLDS, _ROUNDS, _STRENGTH, _CUES = 8, 3, 0.1, 2


@dataclass(frozen=True, slots=True)
class Case:
    """Clauses of one user about one matter."""

    source: str
    matter: Matter
    parts: tuple[Clause, ...]
    says: bool
    marked: str
    """The words that show or say it."""


def _case(source: str, matter: Matter, texts: Sequence[str], says: bool, marked: Sequence[str]) -> Case:
    parts = tuple(clause for text in texts for clause in clauses_of(text))
    return Case(source, matter, parts, says, " ".join(words(" ".join(marked))))


def cases() -> Iterator[Case]:
    """All material."""
    for entry in entries("tuning"):
        if entry.is_session:
            one = entry.fields
            matter = Matter(one["value"], one["statement"], one["topic"])
            said = [message.content for message in entry.messages if message.role == "user"]
            yield _case("calibration", matter, said, entry.flaw == "stated", one["cue"])
    for group in yaml.safe_load((Path(__file__).parent / "stated.yaml").read_text(encoding="utf-8")):
        matter = Matter(group["value"], group["statement"], group["topic"])
        yield from (_case("sentences", matter, [text], key == "stated", [text]) for key in ("stated", "unstated") for text in group[key])
    catalogue, chance = load_catalogue(), random.Random(1)
    for name, attribute in load_bank().attributes.items():
        for value in attribute.values:
            matter = Matter(value.label, value.statement, catalogue[name].topic)
            for cue in chance.sample((*value.strong, *value.weak), _CUES) if catalogue[name].nature != "sensitive" else ():
                yield _case("bank", matter, [SLOT.sub("Millbrook", cue)], False, [])


@dataclass(frozen=True, slots=True)
class Material:
    """The clauses of all cases as rows of numbers."""

    cases: tuple[Case, ...]
    names: tuple[str, ...]
    rows: Floats
    case_of: npt.NDArray[np.int64]
    marked: npt.NDArray[np.bool_]

    @property
    def says(self) -> npt.NDArray[np.bool_]:
        """By case."""
        return np.array([case.says for case in self.cases])


def material() -> Material:
    """All cases, embedded in one go."""
    everything = tuple(cases())
    texts = dict.fromkeys(
        text for case in everything for text in (*case.matter.texts, *(t for p in case.parts for t in (p.text, p.sentence)))
    )
    places = {text: place for place, text in enumerate(texts)}
    vectors = full_encode(list(texts))
    rows, case_of, marked = [], [], []
    for number, case in enumerate(everything):
        against = vectors[[places[text] for text in case.matter.texts]].T
        for part in case.parts:
            rows.append(features(case.matter, part, vectors[places[part.text]] @ against, vectors[places[part.sentence]] @ against))
            case_of.append(number)
            plain = " ".join(words(part.text))
            marked.append(case.says and (plain in case.marked or case.marked in plain))
    names = tuple(rows[0])
    return Material(everything, names, np.array([[row[name] for name in names] for row in rows]), np.array(case_of), np.array(marked))


def fit(data: Material, chosen: npt.NDArray[np.bool_]) -> tuple[Floats, float]:
    """Weights and intercept from the `chosen` cases, for rows as they are (the standardisation is worked into them)."""
    from sklearn.linear_model import LogisticRegression

    middle, spread = data.rows.mean(axis=0), data.rows.std(axis=0) + 1e-9
    scaled = (data.rows - middle) / spread
    among = chosen[data.case_of]
    source = np.array([_WEIGHT[data.cases[number].source] for number in data.case_of])
    against, counted = among & ~data.says[data.case_of], among & data.marked
    model = LogisticRegression(C=_STRENGTH, max_iter=3000)
    for _ in range(_ROUNDS):
        rows = np.flatnonzero(against | counted)
        target = counted[rows]
        weight = source[rows] * np.where(target, 1 / (source[rows] * target).sum(), 1 / (source[rows] * ~target).sum()) * 1000
        model.fit(scaled[rows], target, sample_weight=weight)
        counted = _best(data, model.decision_function(scaled), among & data.marked)
    weights = model.coef_[0] / spread
    return weights, float(model.intercept_[0] - (weights * middle).sum())


def _best(data: Material, scores: Floats, among: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Of each case with rows `among`, the row with the highest score."""
    best = np.zeros(len(scores), dtype=np.bool_)
    for number in np.unique(data.case_of[among]):
        rows = np.flatnonzero(among & (data.case_of == number))
        best[rows[scores[rows].argmax()]] = True
    return best


def case_scores(data: Material, weights: Floats, intercept: float) -> Floats:
    """The highest probability among the clauses of each case."""
    highest = np.zeros(len(data.cases))
    np.maximum.at(highest, data.case_of, 1 / (1 + np.exp(-(data.rows @ weights + intercept))))
    return highest


def left_out_scores(data: Material) -> Floats:
    """Of each case of the tuning half, its score by weights that were fitted without it; 0 of all others."""
    ours = np.array([case.source == "calibration" for case in data.cases])
    scores = np.zeros(len(data.cases))
    for fold, left_out in enumerate(np.array_split(np.random.default_rng(1).permutation(np.flatnonzero(ours)), _FOLDS)):
        chosen = np.ones(len(data.cases), dtype=np.bool_)
        chosen[left_out] = False
        scores[left_out] = case_scores(data, *fit(data, chosen))[left_out]
        sys.stderr.write(f"fold {fold + 1} of {_FOLDS}\n")
    return scores


def choose_threshold(data: Material, scores: Floats) -> tuple[float, float, float]:
    """The threshold with the highest recall of those that reach `PRECISION` on what was left out; with recall and precision there."""
    ours = np.array([case.source == "calibration" for case in data.cases])
    best = (1.0, 0.0, 0.0)
    for threshold in np.unique(scores[ours].round(3)):
        refused = ours & (scores >= threshold)
        right = (refused & data.says).sum()
        recall, precision = right / (ours & data.says).sum(), right / max(refused.sum(), 1)
        if precision >= PRECISION and recall > best[1]:
            best = (float(threshold), float(recall), float(precision))
    return best


def main() -> None:
    """Fit, choose, write."""
    data = material()
    scores = left_out_scores(data)
    threshold, recall, precision = choose_threshold(data, scores)
    weights, intercept = fit(data, np.ones(len(data.cases), dtype=np.bool_))
    fitted = {name: round(float(weight), 4) for name, weight in zip(data.names, weights, strict=True)}
    WEIGHTS.write_text(json.dumps({"intercept": round(intercept, 4), "threshold": threshold, "weights": fitted}, indent=2) + "\n", "utf-8")
    bank = case_scores(data, weights, intercept)[[case.source == "bank" for case in data.cases]]
    sys.stdout.write(
        f"threshold {threshold}, left out: recall {recall:.3f}, precision {precision:.3f}; bank {np.mean(bank >= threshold):.4f}\n"
    )
    ours = np.array([case.source == "calibration" for case in data.cases])
    for level in (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9):
        refused = ours & (scores >= level)
        right = (refused & data.says).sum()
        sys.stdout.write(f"{level}: recall {right / (ours & data.says).sum():.2f}, precision {right / max(refused.sum(), 1):.2f}\n")


if __name__ == "__main__":
    main()
