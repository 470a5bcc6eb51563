"""Sitting an exam: every user's sheet, several users at once; and what the answers are worth."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from statistics import fmean

from memory.agent import Answer, Asked, MemoryAgent
from memory.agents import Candidate
from memory.chunks import Chunk
from memory.exam import Put, Sheet, chosen_option, key_of, shares_of
from memory.intervals import Scores
from memory.notes import TokenCount, write_line
from memory.outside import OutsideAgent
from memory.replay import Limits, sit
from schemas.errors import SubtextError
from schemas.exam import ExamAccuracy, ExamAnswer, ExamMemory
from schemas.memory import Memory


async def sit_exam(
    sheets: Iterable[Sheet], candidate: Candidate, limits: Limits, keep: Callable[[str, Sequence[ExamAnswer]], None]
) -> None:
    """Let `candidate` sit all `sheets`; `keep` gets each user's answers as soon as they are complete.

    The first error of an agent ends them all.
    """
    places = asyncio.Semaphore(candidate.at_once)

    async def one(sheet: Sheet) -> None:
        async with places:
            keep(sheet.persona.persona_id, await sit_sheet(sheet, candidate, limits))

    try:
        async with asyncio.TaskGroup() as group:
            for sheet in sheets:
                group.create_task(one(sheet))
    except BaseExceptionGroup as errors:
        told = next((error for error in errors.exceptions if isinstance(error, SubtextError)), None)
        if told is None:
            raise
        raise told from errors


async def sit_sheet(sheet: Sheet, candidate: Candidate, limits: Limits) -> list[ExamAnswer]:
    """One user's answers, in the order of the sheet."""
    async with candidate.for_user(sheet.persona.persona_id) as agent:
        scales = _Scales(agent, limits.count)
        sitting = await sit(scales, sheet.turns, sheet.stops(), limits)
    return [
        _answered(put, [sitting.answers[key_of(put.question, rotation)] for rotation in range(len(put.question.options))], tokens)
        for put in sheet.questions
        for tokens in [scales.tokens_at[put.turns] if scales.hidden else _weight(sitting.memory_at[key_of(put.question, 0)], limits.count)]
    ]


class _Scales:
    """The agent, and what its memory weighs whenever it answers; one that keeps it to itself is asked for it, once after each write."""

    def __init__(self, agent: MemoryAgent, count: TokenCount) -> None:
        self.name = agent.name
        self._agent, self._count = agent, count
        self.hidden = isinstance(agent, OutsideAgent)
        self.tokens_at: dict[int, int | None] = {}
        """By the number of messages read."""
        self._read = 0

    async def write(self, memory: Memory, chunk: Chunk) -> Memory:
        self._read += len(chunk.turns)
        return await self._agent.write(memory, chunk)

    async def answer(self, memory: Memory, asked: Asked) -> Answer:
        if isinstance(self._agent, OutsideAgent) and self._read not in self.tokens_at:
            text = await self._agent.remembered()
            self.tokens_at[self._read] = None if text is None else sum(self._count([text]))
        return await self._agent.answer(memory, asked)


def _weight(memory: Memory, count: TokenCount) -> int:
    """Tokens as `memory.notes.fitted` counts them."""
    return sum(count([write_line(line) + "\n" for line in memory.lines]))


def _answered(put: Put, answers: Sequence[Answer], memory_tokens: int | None) -> ExamAnswer:
    question = put.question
    choices = [chosen_option(question, rotation, answer) for rotation, answer in enumerate(answers)]
    shares = [shares_of(question, rotation, answer) for rotation, answer in enumerate(answers)]
    return ExamAnswer(
        question_id=question.question_id,
        persona_id=question.persona_id,
        kind=question.kind,
        gold=question.gold_index,
        choices=tuple(-1 if choice is None else choice for choice in choices),
        shares=tuple(round(fmean(of_one), 6) for of_one in zip(*shares, strict=True)) if all(shares) else (),
        correct=share_right(choices, question.gold_index),
        memory_tokens=memory_tokens,
    )


def share_right(choices: Sequence[int | None], gold: int) -> float:
    """The share of rotations in which the right option was chosen."""
    return round(fmean(choice == gold for choice in choices), 6)


def accuracy_of(answers: Sequence[ExamAnswer]) -> ExamAccuracy:
    """The accuracy over all questions, with its interval."""
    scores = Scores.of([one.persona_id for one in answers], {"agent": [one.correct for one in answers]})
    low, high = scores.interval("agent")
    unread = sum(choice < 0 for one in answers for choice in one.choices)
    return ExamAccuracy(value=round(scores.mean("agent"), 6), low=round(low, 6), high=round(high, 6), unread=unread)


def memory_of(answers: Sequence[ExamAnswer], budget: int) -> ExamMemory:
    """How much memory the answers were given from."""
    shown = [one.memory_tokens for one in answers if one.memory_tokens is not None]
    return ExamMemory(
        budget=budget,
        mean_tokens=round(fmean(shown), 1) if shown else None,
        most_tokens=max(shown, default=None),
        over_budget=sum(tokens > budget for tokens in shown),
        hidden=len(answers) - len(shown),
    )
