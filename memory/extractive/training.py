"""Training the writing policy by reinforcement: groups of memories of one history compete on the questions asked of them.

The same protocol as for a language model (see `memory.credit`): a rollout writes chunk by chunk and never sees a question; its answers,
read by the frozen reader, are compared with those of the group's other rollouts to the same questions; a write is worth what the answers
after it were worth; nothing is divided by a standard deviation. A reward is the expectation over the reader's probabilities, which is what
drawing an answer gives on average.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from memory.agent import Answer
from memory.chunks import MOST_TOKENS, chunks_of
from memory.credit import Array, assign_credit
from memory.exam import Sheet, asked
from memory.extractive.agent import write
from memory.extractive.desk import Candidates, Desk
from memory.extractive.policy import Choice, Numbers, Policy
from memory.extractive.reader import Read
from memory.rewards import answer_reward
from memory.units import units_of
from schemas.ids import derive, rng


@dataclass(frozen=True)
class Lesson:
    """A user's history and questions, read once for all rollouts."""

    sheet: Sheet
    chunks: tuple[Candidates, ...]
    """Of the main line of writes."""
    visits: tuple["Visit", ...]


@dataclass(frozen=True)
class Visit:
    """A moment at which questions are asked."""

    writes: int
    """How many of the main line come before."""
    inside: Candidates
    """What has been read since; answered from a memory that has it too, which is then dropped."""
    questions: tuple[Read, ...]
    earns: Array
    """Shape (questions, options)."""


@dataclass(frozen=True)
class Schedule:
    """How long and how boldly to train."""

    epochs: int = 6
    users: int = 48
    """In each epoch, in an order drawn anew."""
    group: int = 6
    batch: int = 4
    """Users whose slopes make one step: of one alone, a first step by bad luck can lead where every memory is equally useless."""
    rate: float = 0.1
    seed: int = 1
    shuffled: bool = False
    """Deal each group's rewards anew among its rollouts: the control under which nothing can be learned."""


def make_lesson(desk: Desk, sheet: Sheet) -> Lesson:
    """Read a sheet for training."""
    ends = np.cumsum([0, *(len(chunk.turns) for chunk in chunks_of(sheet.turns, MOST_TOKENS))])
    units = [units_of([turn]) for turn in sheet.turns]
    every = desk.fresh([unit for own in units for unit in own])
    starts = np.cumsum([0, *(len(own) for own in units)])

    def read(first: int, last: int) -> Candidates:
        return every.take(np.arange(starts[first], starts[last]))

    places: dict[int, list[int]] = {}
    for row, put in enumerate(sheet.questions):
        places.setdefault(put.turns, []).append(row)
    visits = []
    for turns, rows in sorted(places.items()):
        number = int(np.searchsorted(ends, turns, side="right")) - 1
        questions = [sheet.questions[row].question for row in rows]
        earns = [[answer_reward(Answer(choice=place), question) for place in range(len(question.options))] for question in questions]
        reads = tuple(desk.reader.read(asked(question, 0)) for question in questions)
        visits.append(Visit(number, read(int(ends[number]), turns), reads, np.array(earns)))
    return Lesson(sheet, tuple(read(int(first), int(last)) for first, last in pairwise(ends)), tuple(visits))


@dataclass(frozen=True)
class Rollout:
    """One memory of a history, and what its answers were worth."""

    choices: tuple[Choice, ...]
    rewards: Array
    """Shape (questions,)."""
    asked_after: tuple[int, ...]


def roll(desk: Desk, policy: Policy, lesson: Lesson, budget: int, chance: np.random.Generator | None) -> Rollout:
    """Write the memory of a history, by chance or (None) as the policy likes it best, and answer every question from it."""
    memory = desk.kept(())
    choices: list[Choice] = []
    rewards: list[float] = []
    after: list[int] = []
    waiting = list(lesson.visits)
    for number in range(len(lesson.chunks) + 1):
        while waiting and waiting[0].writes == number:
            visit = waiting.pop(0)
            seen = (
                write(desk, policy, (memory, visit.inside), budget, _noise(chance, memory, visit.inside))[0]
                if visit.inside.lines
                else memory
            )
            rewards += _earned(desk, seen, visit)
            after += [number] * len(visit.questions)
        if number < len(lesson.chunks):
            fresh = lesson.chunks[number]
            memory, choice = write(desk, policy, (memory, fresh), budget, _noise(chance, memory, fresh))
            choices.append(choice)
    return Rollout(tuple(choices), np.array(rewards), tuple(after))


def _noise(chance: np.random.Generator | None, memory: Candidates, fresh: Candidates) -> Numbers | None:
    return None if chance is None else chance.gumbel(size=len(memory.lines) + len(fresh.lines))


def _earned(desk: Desk, memory: Candidates, visit: Visit) -> list[float]:
    lines = desk.reader.lines(memory.lines)
    return [float(desk.reader.shares(lines, read) @ earns) for read, earns in zip(visit.questions, visit.earns, strict=True)]


@dataclass(frozen=True)
class Trained:
    """What training ended with."""

    policy: Policy
    rewards: tuple[float, ...]
    """The mean reward of each epoch."""


def train_policy(desk: Desk, lessons: Sequence[Lesson], budget: int, schedule: Schedule) -> Trained:
    """The policy after training on `lessons`, for memories of `budget` tokens."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):  # the matrices are small: threads would only wait for each other
        return _trained(desk, lessons, budget, schedule)


def _trained(desk: Desk, lessons: Sequence[Lesson], budget: int, schedule: Schedule) -> Trained:
    policy = _first(desk, lessons, budget)
    moments = np.zeros((2, len(policy.weights)))
    learned, steps = [], 0
    for epoch in range(schedule.epochs):
        chosen = rng(schedule.seed, "users", epoch).sample(list(lessons), min(schedule.users, len(lessons)))
        earned = []
        for start in range(0, len(chosen), schedule.batch):
            slopes = []
            for lesson in chosen[start : start + schedule.batch]:
                chance = np.random.default_rng(derive(schedule.seed, epoch, lesson.sheet.persona.persona_id))
                rollouts = [roll(desk, policy, lesson, budget, chance) for _ in range(schedule.group)]
                rewards = np.stack([rollout.rewards for rollout in rollouts])
                earned.append(float(rewards.mean()))
                slopes.append(_slope(policy, rollouts, chance.permuted(rewards, axis=0) if schedule.shuffled else rewards))
            steps += 1
            policy = _stepped(policy, np.mean(slopes, axis=0), moments, steps, schedule.rate)
        learned.append(float(np.mean(earned)))
    return Trained(policy, tuple(learned))


def _first(desk: Desk, lessons: Sequence[Lesson], budget: int) -> Policy:
    """The untrained start: it keeps by chance. The features' scale is read off what there is to choose from."""
    blank = Policy()
    chance = np.random.default_rng(0)
    seen = np.concatenate([choice.features for lesson in lessons[:16] for choice in roll(desk, blank, lesson, budget, chance).choices])
    spread = seen.std(axis=0)
    return Policy(blank.weights, seen.mean(axis=0), np.where(spread > 1e-6, spread, 1.0))


def _slope(policy: Policy, rollouts: Sequence[Rollout], rewards: Array) -> Numbers:
    credit = assign_credit(rewards, [rollout.asked_after for rollout in rollouts], [len(rollout.choices) for rollout in rollouts])
    slope = np.zeros(len(policy.weights))
    for rollout, advantages in zip(rollouts, credit.writes, strict=True):
        for choice, advantage in zip(rollout.choices, advantages.tolist(), strict=True):
            if advantage:
                slope += advantage * choice.gradient(policy.weights)
    return slope / sum(len(rollout.choices) for rollout in rollouts)


def _stepped(policy: Policy, slope: Numbers, moments: Numbers, step: int, rate: float) -> Policy:
    """One step uphill (Adam; Kingma and Ba 2015)."""
    moments[0] = 0.9 * moments[0] + 0.1 * slope
    moments[1] = 0.99 * moments[1] + 0.01 * slope**2
    mean, square = moments[0] / (1 - 0.9**step), moments[1] / (1 - 0.99**step)
    return replace(policy, weights=policy.weights + rate * mean / (np.sqrt(square) + 1e-8))
