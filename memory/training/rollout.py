"""Rollouts: a model writes a memory of a history that it is handed in chunks, and answers questions at their moments.

It happens as in the exam (`memory.replay.sit`): a question inside a chunk is answered from a memory that has also read the chunk's messages
before it, in a branch of the main line that ends there. Branch writes are trained on too. They are writes like any other, half of a
user's questions need one in the exam, and who deserves the credit for one is certain: only the questions at its end depend on it.

All rollouts of a batch go in step, so that a model is asked a fixed number of times, each time for everything that does not depend on
one another: one call per chunk, and one for all answers. Prompts and the reading of replies are those of `memory.llm`, so that what is
trained is what is used. Nothing here knows a trainer or a tensor.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Protocol

from memory.agent import Answer, Asked
from memory.chunks import Chunk, Turn, chunks_of, sessions_of
from memory.exam import asked
from memory.llm import answer_prompt, write_prompt
from memory.notes import fitted, write_line
from memory.replay import Limits
from memory.rewards import invalid_penalty, overrun_penalty
from memory.training.visits import Task, Visit
from memory.written import read_letter, read_write
from schemas.memory import Memory

ChatMessage = dict[str, str]
Tokens = Sequence[int]


@dataclass(frozen=True, slots=True)
class Reply:
    """What a model said, in its own tokens; with their log-probabilities, empty where nobody needs them."""

    tokens: tuple[int, ...]
    logprobs: tuple[float, ...] = ()


class Generate(Protocol):
    """A model that is asked in batches."""

    def __call__(self, prompts: Sequence[Tokens]) -> Sequence[Reply]:
        """One sampled reply to each prompt."""
        ...


class Codec(Protocol):
    """The model's tokenizer with its chat template."""

    def encode(self, messages: Sequence[ChatMessage]) -> list[int]:
        """A conversation up to where the reply begins."""
        ...

    def decode(self, tokens: Tokens) -> str:
        """A reply as text, without special tokens."""
        ...


@dataclass(frozen=True, slots=True)
class Player:
    """A model and the rules that it plays by."""

    generate: Generate
    codec: Codec
    limits: Limits


@dataclass(frozen=True, slots=True)
class Written:
    """One write."""

    prompt: Tokens
    reply: Reply
    memory: Memory
    penalty: float
    """At most 0: for lines that cannot be read, and for what was over the budget."""


@dataclass(frozen=True, slots=True)
class Answered:
    """One answer."""

    task: Task
    prompt: Tokens
    reply: Reply
    text: str
    answer: Answer
    after: int
    """How many writes of the main line came before it."""
    branch: int | None
    """The branch from whose end it was answered; None: from the main line itself."""


@dataclass(frozen=True, slots=True)
class Rollout:
    """One rollout."""

    writes: tuple[Written, ...]
    """The main line, up to the last write that a question comes after: what is written later can earn nothing."""
    branches: tuple[Written, ...]
    answers: tuple[Answered, ...]
    """In the order of the visit's tasks."""

    @property
    def turns(self) -> "tuple[Written | Answered, ...]":
        """Everything that the model was asked and said: writes, branches, answers."""
        return (*self.writes, *self.branches, *self.answers)


@dataclass
class _Line:
    """A rollout on its way."""

    visit: Visit
    chunks: Sequence[Chunk]
    places: Sequence[tuple[int, int]]
    """For each task, the chunks that are over before it, and the messages of the next one that come before it."""
    writes: list[Written] = field(default_factory=list)
    branches: dict[tuple[int, int], Written] = field(default_factory=dict)

    def due(self, number: int) -> list[tuple[tuple[int, int] | None, Memory, Chunk]]:
        """What is written once `number` writes of the main line are done: the branches that begin here, and the main line (None)."""
        memory = self.writes[-1].memory if self.writes else Memory()
        at = sorted({place for place in self.places if place[0] == number and place[1]})
        found: list[tuple[tuple[int, int] | None, Memory, Chunk]] = [
            (place, memory, Chunk(self.chunks[number].turns[: place[1]])) for place in at
        ]
        if number < max(after for after, _ in self.places):
            found.append((None, memory, self.chunks[number]))
        return found

    def memory_at(self, place: tuple[int, int]) -> Memory:
        """What a question at `place` is answered from."""
        after, read = place
        if read:
            return self.branches[place].memory
        return self.writes[after - 1].memory if after else Memory()


def places_of(visit: Visit, chunks: Sequence[Chunk]) -> list[tuple[int, int]]:
    """For each task, how many chunks are over before it, and how many messages of the next one come before it."""
    ends, read = [], 0
    for chunk in chunks:
        read += len(chunk.turns)
        ends.append(read)
    found = []
    for task in visit.tasks:
        after = bisect_right(ends, task.turns)
        found.append((after, task.turns - (ends[after - 1] if after else 0)))
    return found


def chunks_in(turns: Sequence[Turn], limits: Limits) -> list[Chunk]:
    """The chunks in which `turns` are handed over."""
    return list(sessions_of(turns) if limits.chunk_tokens is None else chunks_of(turns, limits.chunk_tokens))


def rounds_of(visits: Sequence[Visit], limits: Limits) -> int:
    """How many rounds of writes the longest of `visits` takes."""
    places = [place for visit in visits for place in places_of(visit, chunks_in(visit.turns, limits))]
    return max((after + bool(read) for after, read in places), default=0)


def play(visits: Sequence[Visit], group: int, player: Player, rounds: int) -> list[list[Rollout]]:
    """`group` rollouts of each of `visits`. The model is asked `rounds` + 1 times, whatever the visits: processes may have to keep step."""
    lines = [line for visit in visits for line in _lines(visit, group, player.limits)]
    for number in range(rounds):
        due = [(line, *job) for line in lines for job in line.due(number)]
        prompts = [player.codec.encode(write_prompt(memory, chunk, player.limits.memory_tokens)) for _, _, memory, chunk in due]
        for (line, place, memory, chunk), prompt, reply in zip(due, prompts, player.generate(prompts), strict=True):
            written = _written(prompt, reply, memory, chunk, player)
            if place is None:
                line.writes.append(written)
            else:
                line.branches[place] = written
    rollouts = _answered(lines, player)
    return [rollouts[start : start + group] for start in range(0, len(rollouts), group)]


def play_without_memory(visits: Sequence[Visit], group: int, player: Player, context_tokens: int | None) -> list[list[Rollout]]:
    """As `play`, with the history up to each question in place of a memory, or the last `context_tokens` of it: nothing is written."""
    tasks = [(visit, task) for visit in visits for _ in range(group) for task in visit.tasks]
    prompts = [
        player.codec.encode(answer_prompt(_recent(visit.turns[: task.turns], context_tokens), asked_of(task))) for visit, task in tasks
    ]
    given = iter(_answers([(task, 0, None) for _, task in tasks], prompts, player))
    return [[Rollout((), (), tuple(next(given) for _ in visit.tasks)) for _ in range(group)] for visit in visits]


def _recent(turns: Sequence[Turn], most: int | None) -> Sequence[Turn]:
    """As many of the last of `turns` as have at most so many tokens."""
    if most is None:
        return turns
    room = list(accumulate((turn.tokens for turn in reversed(turns)), lambda left, tokens: left - tokens, initial=most))
    return turns[len(turns) - sum(left >= 0 for left in room[1:]) :]


def asked_of(task: Task) -> Asked:
    """The question of `task` as the model sees it."""
    put = asked(task.question, task.rotation)
    return Asked(put.asked_at, put.text, ()) if task.open else put


def _lines(visit: Visit, group: int, limits: Limits) -> list[_Line]:
    chunks = chunks_in(visit.turns, limits)
    return [_Line(visit, chunks, places_of(visit, chunks)) for _ in range(group)]


def _written(prompt: Tokens, reply: Reply, before: Memory, chunk: Chunk, player: Player) -> Written:
    limits, text = player.limits, player.codec.decode(reply.tokens)
    if not text.strip():  # as in `memory.llm.LlmAgent`, to which this is no reply at all
        return Written(prompt, reply, before, invalid_penalty(1, 1))
    read = read_write(text, before, chunk)
    tokens = sum(limits.count([write_line(line) + "\n" for line in read.memory.lines]))
    penalty = overrun_penalty(tokens, limits.memory_tokens) + invalid_penalty(read.invalid, len(read.memory.lines) + read.invalid)
    return Written(prompt, reply, fitted(read.memory, limits.memory_tokens, limits.count), penalty)


def _answered(lines: Sequence[_Line], player: Player) -> list[Rollout]:
    """All lines with their answers, which are asked for at once."""
    branch_of = [{place: number for number, place in enumerate(sorted(line.branches))} for line in lines]
    jobs, prompts = [], []
    for line, branches in zip(lines, branch_of, strict=True):
        for task, place in zip(line.visit.tasks, line.places, strict=True):
            jobs.append((task, place[0], branches.get(place)))
            prompts.append(player.codec.encode(answer_prompt(line.memory_at(place), asked_of(task))))
    given = iter(_answers(jobs, prompts, player))
    return [
        Rollout(
            tuple(line.writes),
            tuple(line.branches[place] for place in sorted(line.branches)),
            tuple(next(given) for _ in line.visit.tasks),
        )
        for line in lines
    ]


def _answers(jobs: Sequence[tuple[Task, int, int | None]], prompts: Sequence[Tokens], player: Player) -> list[Answered]:
    found = []
    for (task, after, branch), prompt, reply in zip(jobs, prompts, player.generate(prompts), strict=True):
        text = player.codec.decode(reply.tokens)
        answer = Answer(text=text) if task.open else Answer(choice=read_letter(text, len(task.question.options)))
        found.append(Answered(task, prompt, reply, text, answer, after, branch))
    return found
