"""Handing a history to an agent as it happened: chunk by chunk, with each question at its moment.

The main line of writes goes on in whole chunks, as it would without questions. A question that comes inside a chunk is answered from a
memory that has also read the chunk's messages before the question; that memory is then dropped, so that asking changes nothing.

An agent that keeps its memory to itself cannot drop one. It is handed whole sessions, between which all questions stand.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from memory.agent import Answer, Asked, MemoryAgent
from memory.chunks import MOST_TOKENS, Chunk, Turn, chunks_of, sessions_of
from memory.notes import TokenCount, fitted
from schemas.memory import Memory


@dataclass(frozen=True, slots=True)
class Sitting:
    """What an agent did with one history."""

    answers: Mapping[str, Answer]
    """By the key of the question."""
    memories: tuple[Memory, ...]
    """After each write of the main line."""
    memory_at: Mapping[str, Memory]
    """From what each question was answered."""


@dataclass(frozen=True, slots=True)
class Stop:
    """Questions between two messages."""

    turns: int
    """How many of the history's messages come before."""
    asked: Mapping[str, Asked]


@dataclass(frozen=True, slots=True)
class Limits:
    """What an agent is allowed."""

    memory_tokens: int
    """A memory that is longer is cut (see `memory.notes.fitted`) before anybody sees it."""
    count: TokenCount
    chunk_tokens: int | None = MOST_TOKENS
    """The most tokens of a chunk; None: every session is one."""


def chunked(turns: Sequence[Turn], limits: Limits) -> list[Chunk]:
    """What the agent reads in one write each."""
    return list(sessions_of(turns) if limits.chunk_tokens is None else chunks_of(turns, limits.chunk_tokens))


async def sit(agent: MemoryAgent, turns: Sequence[Turn], stops: Sequence[Stop], limits: Limits) -> Sitting:
    """Let `agent` read `turns` chunk by chunk, and ask it at each of the `stops`.

    Raises ValueError for a stop inside a session where sessions are handed over whole.
    """

    async def write(memory: Memory, chunk: Chunk) -> Memory:
        return fitted(await agent.write(memory, chunk), limits.memory_tokens, limits.count)

    memory, memories = Memory(), list[Memory]()
    answers, memory_at = dict[str, Answer](), dict[str, Memory]()
    whole = limits.chunk_tokens is None
    chunks = chunked(turns, limits)
    for chunk, inside in _with_stops(list(chunks), stops):
        for read, stop in inside:
            if read and whole:
                raise ValueError(f"a question after message {read} of a session that is handed over whole")
            seen = await write(memory, Chunk(chunk.turns[:read])) if read else memory
            for key, asked in stop.asked.items():
                answers[key] = await agent.answer(seen, asked)
                memory_at[key] = seen
        memory = await write(memory, chunk)
        memories.append(memory)
    for stop in stops:
        if stop.turns >= len(turns):
            for key, asked in stop.asked.items():
                answers[key], memory_at[key] = await agent.answer(memory, asked), memory
    return Sitting(answers, tuple(memories), memory_at)


def _with_stops(chunks: Sequence[Chunk], stops: Sequence[Stop]) -> Iterator[tuple[Chunk, list[tuple[int, Stop]]]]:
    """Each chunk with the stops before its last message, and how many of its messages come before each."""
    start = 0
    for chunk in chunks:
        end = start + len(chunk.turns)
        yield chunk, [(stop.turns - start, stop) for stop in sorted(stops, key=lambda stop: stop.turns) if start <= stop.turns < end]
        start = end
