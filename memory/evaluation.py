"""Evaluating an agent: every arm answers the same questions of the same exam, and what they answered is handed to `memory.measures`."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from memory.agent import Answer, Asked, MemoryAgent
from memory.arms import BUDGETED, UNBUDGETED, Excerpts, unlimited
from memory.exam import Exam, Put, Sheet, asked, chosen_option, key_of, shares_of
from memory.measures.moments import memory_rows, moment_rows
from memory.notes import TokenCount, write_line
from memory.replay import Limits, Sitting, sit
from schemas.fact import Fact
from schemas.memory import Memory
from schemas.results import AnswerRow, CostRow, MemoryRow, MomentRow, Usage


class Answerer(Protocol):
    """Who answers in every arm, so that arms differ by what it answers from and by nothing else."""

    async def answer(self, memory: Memory, asked: Asked) -> Answer:
        """An answer from the memory alone."""
        ...


@dataclass
class Answered:
    """What the arms have answered so far, remembered, and read."""

    exam: Exam
    count: TokenCount
    answers: list[AnswerRow] = field(default_factory=list)
    memories: list[MemoryRow] = field(default_factory=list)
    moments: list[MomentRow] = field(default_factory=list)
    costs: list[CostRow] = field(default_factory=list)
    _tokens: dict[str, int] = field(default_factory=dict, repr=False)

    def tokens(self, memory: Memory) -> int:
        """Tokens of a memory, by its lines, line ends counted, as its budget counts them."""
        lines = [write_line(line) + "\n" for line in memory.lines]
        fresh = [line for line in dict.fromkeys(lines) if line not in self._tokens]
        self._tokens.update(zip(fresh, self.count(fresh), strict=True))
        return sum(self._tokens[line] for line in lines)

    def add(self, sat: tuple[str, int | None], rows: Iterable[AnswerRow], writing: Usage) -> None:
        """Keep the answers of one arm, and what they took."""
        own = list(rows)
        self.answers += own
        rotations = sum(len(row.choices) for row in own)
        read = sum(row.tokens * len(row.choices) for row in own)
        self.costs.append(
            CostRow(
                arm=sat[0], budget=sat[1], users=len(self.exam.sheets), questions=rotations, writing=writing,
                answering=Usage(read=read, written=rotations, calls=0, usd=None),
            )
        )  # fmt: skip


_NO_WRITING = Usage(read=0, written=0, calls=0, usd=None)


def add_rules(answered: Answered) -> None:
    """The arms that read nothing: chance, and the longest option."""
    chance = np.random.default_rng(0)
    rows: dict[str, list[AnswerRow]] = {"chance": [], "longest_option": []}
    for _, put in answered.exam.questions:
        options = put.question.options
        longest = max(range(len(options)), key=lambda place: len(options[place].text))
        drawn = tuple(int(place) for place in chance.integers(len(options), size=len(options)))
        for arm, choices in (("chance", drawn), ("longest_option", (longest,) * len(options))):
            rows[arm].append(_row((arm, None), put, choices, (), 0))
    for arm, found in rows.items():
        answered.add((arm, None), found, _NO_WRITING)


async def add_contexts(answered: Answered, answerer: Answerer, facts: Mapping[str, Fact], budgets: Sequence[int]) -> None:
    """The arms without an agent: what is in the place of a memory is found anew for every question."""
    rows: dict[tuple[str, int | None], list[AnswerRow]] = defaultdict(list)
    for sheet in answered.exam.sheets:
        excerpts = Excerpts.of(sheet, answered.count)
        for put in sheet.questions:
            found: list[tuple[str, int | None, Memory]] = [(arm, None, unlimited(arm, excerpts, put, facts)) for arm in UNBUDGETED]
            for arm in BUDGETED:
                found += [(arm, budget, memory) for budget, memory in zip(budgets, excerpts.filled(arm, put, budgets), strict=True)]
            for arm, budget, memory in found:
                rows[arm, budget].append(await _answered(answered, answerer, (arm, budget), put, memory))
    for sat, own in rows.items():
        answered.add(sat, own, _NO_WRITING)


async def add_agent(answered: Answered, arm: str, agent: MemoryAgent, budget: int, other: str | None = None) -> None:
    """An agent that reads every history, keeps a memory, and answers from it. `other`: an arm that answers from a stranger's memory."""
    limits = Limits(budget, answered.count)
    sittings: list[tuple[Sheet, Sitting]] = []
    rows: list[AnswerRow] = []
    for sheet in answered.exam.sheets:
        sitting = await sit(agent, sheet.turns, sheet.stops(), limits)
        sittings.append((sheet, sitting))
        answered.memories += memory_rows(sheet, sitting, arm, limits)
        answered.moments += moment_rows(sheet, sitting, arm, limits)
        for put in sheet.questions:
            given = [sitting.answers[key_of(put.question, rotation)] for rotation in range(len(put.question.options))]
            rows.append(_given((arm, budget), put, given, answered.tokens(sitting.memory_at[key_of(put.question, 0)])))
    read = sum(turn.tokens for sheet, _ in sittings for turn in sheet.turns)
    written = sum(answered.tokens(memory) for _, sitting in sittings for memory in sitting.memories)
    answered.add((arm, budget), rows, Usage(read=read, written=written, calls=0, usd=None))
    if other is not None and len(sittings) > 1:
        strange = []
        for (sheet, _), (_, stranger) in zip(sittings, [*sittings[1:], sittings[0]], strict=True):
            memory = stranger.memories[-1] if stranger.memories else Memory()
            strange += [await _answered(answered, agent, (other, budget), put, memory) for put in sheet.questions]
        answered.add((other, budget), strange, _NO_WRITING)


async def _answered(answered: Answered, answerer: Answerer, sat: tuple[str, int | None], put: Put, memory: Memory) -> AnswerRow:
    given = [await answerer.answer(memory, asked(put.question, rotation)) for rotation in range(len(put.question.options))]
    return _given(sat, put, given, answered.tokens(memory))


def _given(sat: tuple[str, int | None], put: Put, given: Sequence[Answer], tokens: int) -> AnswerRow:
    choices = [chosen_option(put.question, rotation, answer) for rotation, answer in enumerate(given)]
    shares = [shares_of(put.question, rotation, answer) for rotation, answer in enumerate(given)]
    mean = tuple(float(share) for share in np.mean(shares, axis=0)) if all(shares) else ()
    return _row(sat, put, tuple(-1 if choice is None else choice for choice in choices), mean, tokens)


def _row(sat: tuple[str, int | None], put: Put, choices: tuple[int, ...], shares: tuple[float, ...], tokens: int) -> AnswerRow:
    question = put.question
    return AnswerRow(
        arm=sat[0], budget=sat[1], question_id=question.question_id, persona_id=question.persona_id, choices=choices, shares=shares,
        tokens=tokens,
    )  # fmt: skip
