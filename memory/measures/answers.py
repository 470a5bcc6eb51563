"""The answers of all arms as arrays, and what follows from them question by question: who was right, how often, and how surely."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from memory.exam import Exam
from memory.intervals import Array, Scores, brier, expected_calibration_error
from schemas.errors import InputError
from schemas.results import AnswerRow

UNREAD = -1
_NO_ROTATION = -2
"""Fills up the rows of questions that have fewer options than others."""


class Sat(NamedTuple):
    """An arm at one budget (None: it has none)."""

    arm: str
    budget: int | None

    def __str__(self) -> str:
        return self.arm if self.budget is None else f"{self.arm}@{self.budget}"


@dataclass(frozen=True)
class Answers:
    """What one arm answered, in the order of the exam's questions."""

    rows: Sequence[AnswerRow]
    golds: npt.NDArray[np.int64]
    """Shape (questions,)."""

    @cached_property
    def choices(self) -> npt.NDArray[np.int64]:
        """Shape (questions, rotations): chosen places in the questions' own order."""
        most = max(len(row.choices) for row in self.rows)
        return np.array([[*row.choices, *[_NO_ROTATION] * (most - len(row.choices))] for row in self.rows], dtype=np.int64)

    @cached_property
    def right(self) -> Array:
        """Shape (questions,): the share of rotations in which the right option was chosen."""
        asked = self.choices != _NO_ROTATION
        found: Array = (self.choices == self.golds[:, None]).sum(axis=1) / asked.sum(axis=1)
        return found

    @property
    def tokens_per_query(self) -> float:
        """Mean tokens of what the answers were given from."""
        return float(np.mean([row.tokens for row in self.rows]))

    @property
    def consistency(self) -> float:
        """Share of questions to which one option was chosen in all rotations; what could not be read is no option."""
        first = self.choices[:, :1]
        same = (self.choices == first) | (self.choices == _NO_ROTATION)
        return float((same.all(axis=1) & (first[:, 0] != UNREAD)).mean())

    @property
    def invalid(self) -> float:
        """Share of replies that could not be read."""
        return float((self.choices == UNREAD).sum() / (self.choices != _NO_ROTATION).sum())

    @cached_property
    def _sure(self) -> tuple[list[tuple[float, ...]], list[int]]:
        pairs = [(row.shares, int(gold)) for row, gold in zip(self.rows, self.golds, strict=True) if row.shares]
        return [shares for shares, _ in pairs], [gold for _, gold in pairs]

    @property
    def ece(self) -> float | None:
        """Expected calibration error of the answers that come with probabilities; None where none does."""
        shares, golds = self._sure
        return expected_calibration_error(shares, golds) if shares else None

    @property
    def brier(self) -> float | None:
        """Brier score of the answers that come with probabilities; None where none does."""
        shares, golds = self._sure
        return brier(shares, golds) if shares else None


def answers_of(exam: Exam, rows: Iterable[AnswerRow]) -> dict[Sat, Answers]:
    """The answers by arm and budget. InputError where an arm did not answer every question of the exam once, in every rotation."""
    questions = [put.question for _, put in exam.questions]
    golds = np.array([question.gold_index for question in questions], dtype=np.int64)
    found: dict[Sat, dict[str, AnswerRow]] = defaultdict(dict)
    for row in rows:
        own = found[Sat(row.arm, row.budget)]
        if row.question_id in own:
            raise InputError(f"{Sat(row.arm, row.budget)}: {row.question_id} is answered twice; evaluate again")
        own[row.question_id] = row
    for sat, own in found.items():
        answered = sum(question.question_id in own for question in questions)
        if answered < len(questions) or len(own) > answered:
            raise InputError(
                f"{sat}: {answered} of the {len(questions)} questions of {exam.name} are answered, and {len(own) - answered} others; "
                "these are answers to another exam, or not all of them: evaluate again"
            )
        for question in questions:
            if len(own[question.question_id].choices) != len(question.options):
                raise InputError(f"{sat}: {question.question_id} has not one choice for each of its {len(question.options)} rotations")
    return {sat: Answers([own[question.question_id] for question in questions], golds) for sat, own in found.items()}


def scores_of(exam: Exam, answers: Mapping[Sat, Answers], chosen: npt.NDArray[np.bool_] | None = None) -> Scores:
    """What all arms earned on the `chosen` questions (all), by user. Names of arms are those of `str(Sat)`."""
    owners = np.array([sheet.persona.persona_id for sheet, _ in exam.questions])
    every = np.ones(len(owners), dtype=np.bool_) if chosen is None else chosen
    return Scores.of(owners[every].tolist(), {str(sat): own.right[every] for sat, own in answers.items()})
