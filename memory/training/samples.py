"""From a group of rollouts to the samples that a trainer sees: every write and every answer, each with its own advantage.

An answer's advantage and that of a main-line write are those of `memory.credit`. A branch is a history of its own with one write, after
which its questions are asked. To the advantage of a write comes how its penalty compares with the mean of the group's writes. An answer
that has no reward (a judge that failed) is no sample at all.
"""

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from memory.agent import Answer
from memory.credit import assign_credit
from memory.exam import chosen_option
from memory.rewards import answer_reward
from memory.training.rollout import Answered, Reply, Rollout, Tokens
from schemas.question import Question

Judge = Callable[[Question, str], float]
"""Scores an open answer by the question's rubric, from 0 to 1; nan where it could not."""
Array = npt.NDArray[np.float64]
_JUDGES_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class OpenAnswers:
    """That some questions are put without options."""

    judge: Judge
    share: float = 0.2


@dataclass(frozen=True, slots=True)
class Sample:
    """One turn of one rollout."""

    role: Literal["write", "branch", "answer"]
    prompt: Tokens
    reply: Reply
    advantage: float


def rewards_of(groups: Sequence[Sequence[Rollout]], judge: Judge | None) -> list[Array]:
    """For each group, shape (rollouts, questions); nan where a judge failed."""
    answers = [answer for group in groups for rollout in group for answer in rollout.answers]
    with ThreadPoolExecutor(_JUDGES_AT_ONCE) as pool:
        rewards = iter(list(pool.map(lambda answer: _reward(answer, judge), answers)))
    return [np.array([[next(rewards) for _ in rollout.answers] for rollout in group]) for group in groups]


def _reward(given: Answered, judge: Judge | None) -> float:
    question = given.task.question
    if given.task.open:
        if judge is None:
            raise AssertionError("an open question was put, and there is no judge")
        return judge(question, given.text)
    return answer_reward(Answer(choice=chosen_option(question, given.task.rotation, given.answer)), question)


def samples_of(group: Sequence[Rollout], rewards: Array) -> list[Sample]:
    """The samples of one group, rollout by rollout: writes, branches, answers."""
    credit = assign_credit(rewards, [[answer.after for answer in rollout.answers] for rollout in group], [len(r.writes) for r in group])
    branches = _branch_credit(group, rewards)
    penalties = [written.penalty for rollout in group for written in (*rollout.writes, *rollout.branches)]
    usual = sum(penalties) / max(len(penalties), 1)
    samples = []
    for number, rollout in enumerate(group):
        for written, worth in zip(rollout.writes, credit.writes[number], strict=True):
            samples.append(Sample("write", written.prompt, written.reply, float(worth) + written.penalty - usual))
        for written, worth in zip(rollout.branches, branches[number], strict=True):
            samples.append(Sample("branch", written.prompt, written.reply, worth + written.penalty - usual))
        for answer, worth, reward in zip(rollout.answers, credit.answers[number], rewards[number], strict=True):
            if not math.isnan(reward):
                samples.append(Sample("answer", answer.prompt, answer.reply, float(worth)))
    return samples


def _branch_credit(group: Sequence[Rollout], rewards: Array) -> list[list[float]]:
    """For each rollout, what each of its branches is worth. All rollouts of a group have the same branches."""
    found: list[list[float]] = [[] for _ in group]
    for branch in range(len(group[0].branches)):
        asked = [place for place, answer in enumerate(group[0].answers) if answer.branch == branch]
        credit = assign_credit(rewards[:, asked], [[1] * len(asked)] * len(group), [1] * len(group))
        for rollout, (worth,) in zip(found, credit.writes, strict=True):
            rollout.append(float(worth))
    return found
