"""Who is asked what in which batch: users in turn, their questions in turn, the options in another rotation each time round.

All of it follows from the seed and the place in the plan alone, so that a run that was killed goes on with the same plan.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from memory.chunks import Turn
from memory.exam import Sheet
from schemas.errors import InputError
from schemas.ids import derive, rng, unit_interval
from schemas.question import Question


@dataclass(frozen=True, slots=True)
class Task:
    """A question as it is put to all rollouts of a group."""

    question: Question
    rotation: int
    turns: int
    """How many of the history's messages come before it."""
    open: bool = False
    """Without options, for a judge to score."""


@dataclass(frozen=True, slots=True)
class Visit:
    """A user's history, and what is asked about it."""

    persona_id: str
    turns: tuple[Turn, ...]
    tasks: tuple[Task, ...]


def plan_visits(sheets: Sequence[Sheet], number: int, questions: int, seed: int, open_share: float = 0.0) -> list[Visit]:
    """`number` visits: every user once, then every user again in another order. InputError where nobody is asked anything.

    A user's questions go round in an order of their own, `questions` at a visit. Each time a question comes round again its options
    begin with the next one, so that after as many laps as it has options each has stood in each place. `open_share` of the questions are
    put without options in a given lap.
    """
    able = [sheet for sheet in sheets if sheet.questions]
    if not able:
        raise InputError("there is nobody to train on: no user of the train split is asked anything in these histories")
    visits: list[Visit] = []
    for epoch in range(-(-number // len(able))):
        order = sorted(able, key=lambda sheet: derive(seed, "order", epoch, sheet.persona.persona_id))
        visits += [Visit(sheet.persona.persona_id, sheet.turns, _tasks(sheet, epoch, questions, seed, open_share)) for sheet in order]
    return visits[:number]


def _tasks(sheet: Sheet, epoch: int, questions: int, seed: int, open_share: float) -> tuple[Task, ...]:
    puts = list(sheet.questions)
    rng(seed, "questions", sheet.persona.persona_id).shuffle(puts)
    wanted = min(questions, len(puts))
    found = []
    for at in range(epoch * wanted, (epoch + 1) * wanted):
        lap, place = divmod(at, len(puts))
        question = puts[place].question
        rotation = (derive(seed, "rotation", question.question_id) + lap) % len(question.options)
        is_open = unit_interval(seed, "open", question.question_id, lap) < open_share
        found.append(Task(question, rotation, puts[place].turns, is_open))
    return tuple(found)
