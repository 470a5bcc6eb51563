"""All results of an evaluation, from what the arms left behind: no agent is asked anything here, and no file is read."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from memory.exam import Exam
from memory.measures.answers import Answers, Sat, answers_of, scores_of
from memory.measures.arms import arm_results, comparisons
from memory.measures.cost import cost_results
from memory.measures.failures import failure_result, trails_of
from memory.measures.groups import groups_of, seen_in
from memory.measures.holding import Conveys, Holding
from memory.measures.remembered import memory_results
from memory.notes import TokenCount
from schemas.errors import InputError
from schemas.fact import Fact
from schemas.results import AnswerRow, CostRow, ExamSeal, MemoryRow, MomentRow, Results

TRAINED = "trained_memory"
ResultT = TypeVar("ResultT")


@dataclass(frozen=True)
class Evidence:
    """What an evaluation left behind, with the labels of what it was about."""

    exam: Exam
    facts: Mapping[str, Fact]
    """Of the exam's users, by id."""
    train_spans: Iterable[str]
    """The evidence spans of the train split: a cue that occurs among them is seen."""
    answers: Sequence[AnswerRow]
    """Of all arms to all questions of the exam."""
    memories: Sequence[MemoryRow]
    """Of the arms that write, after every write."""
    moments: Sequence[MomentRow]
    """Of the same arms, at every question."""
    costs: Sequence[CostRow]
    """Of the arms whose cost is known."""
    count: TokenCount


def measure(evidence: Evidence, headline_budget: int | None = None, conveys: Conveys | None = None) -> Results:
    """The results.

    `headline_budget`: which budget is shown for arms that have several; the largest, where none is given. `conveys`: judges memories that
    say things in their own words (see `memory.measures.holding`). InputError where answers or memories are not of this exam or not all
    there, or no arm has that budget.
    """
    exam = evidence.exam
    answers = answers_of(exam, evidence.answers)
    scores = scores_of(exam, answers)
    arms = arm_results(exam, answers, scores, groups_of(exam, evidence.facts, seen_in(evidence.train_spans)))
    headline = _headline(answers, headline_budget)
    trained = arms.get(Sat(TRAINED, headline))
    holdings = {sheet.persona.persona_id: Holding(sheet, evidence.facts, conveys) for sheet in exam.sheets}
    trails = trails_of(evidence.memories, evidence.moments)
    return Results(
        exam=_seal(exam, len(scores.users), int(scores.questions.sum())),
        headline_budget=headline,
        arms={sat.arm: result for sat, result in arms.items() if sat.budget in (None, headline)},
        gap_closed=trained.gap_closed.value if trained and trained.gap_closed else None,
        comparisons=comparisons(scores, list(answers), TRAINED),
        budgets=_by_budget(arms),
        memory=_by_budget(memory_results(holdings, evidence.memories, evidence.count)),
        failures=_by_budget({sat: failure_result(exam, holdings, answers[sat], trail) for sat, trail in trails.items() if sat in answers}),
        cost=cost_results(evidence.costs),
    )


def _headline(answers: Mapping[Sat, Answers], wanted: int | None) -> int | None:
    budgets = sorted({sat.budget for sat in answers if sat.budget is not None})
    if wanted is not None and wanted not in budgets:
        raise InputError(f"no arm was measured with a memory of {wanted} tokens; there are {', '.join(map(str, budgets)) or 'none'}")
    return wanted if wanted is not None else max(budgets, default=None)


def _seal(exam: Exam, users: int, questions: int) -> ExamSeal:
    chance = float(np.mean([1 / len(put.question.options) for _, put in exam.questions]))
    return ExamSeal(name=exam.name, seal=exam.seal, users=users, questions=questions, chance=round(chance, 4))


def _by_budget(results: Mapping[Sat, ResultT]) -> dict[str, dict[str, ResultT]]:
    """By budget, then arm; arms without a budget are left out."""
    budgets = sorted({sat.budget for sat in results if sat.budget is not None})
    return {str(budget): {sat.arm: result for sat, result in results.items() if sat.budget == budget} for budget in budgets}
