"""The extractive agent: it keeps what users wrote, word for word, and reads it with the frozen reader. No language model."""

from dataclasses import dataclass

import numpy as np

from memory.agent import Answer, Asked
from memory.chunks import Chunk
from memory.extractive.desk import Candidates, Desk, together
from memory.extractive.policy import Choice, Numbers, Policy, choose
from memory.notes import write_line
from memory.units import units_of
from schemas.memory import Memory, MemoryLine

_SAME = 0.9
"""Cosine from which a unit says what a line says already."""


@dataclass(frozen=True)
class ExtractiveAgent:
    """A memory agent (see `memory.agent`)."""

    desk: Desk
    policy: Policy
    budget: int
    name: str = "extractive"

    async def write(self, memory: Memory, chunk: Chunk) -> Memory:
        """The memory after `chunk`: the same for the same memory and chunk."""
        lines, _ = write(self.desk, self.policy, (self.desk.kept(memory.lines), self.desk.fresh(units_of(chunk.turns))), self.budget, None)
        return Memory(lines=lines.lines)

    async def answer(self, memory: Memory, asked: Asked) -> Answer:
        """Probabilities of the options; a question without options gets no answer."""
        return self.desk.reader.answer(memory, asked) if asked.options else Answer()


def write(
    desk: Desk, policy: Policy, parts: tuple[Candidates, Candidates], budget: int, noise: Numbers | None
) -> tuple[Candidates, Choice]:
    """One write from the lines kept and the units read: what is kept then, in order of time, and how it was chosen."""
    before, fresh = _merged(desk, *parts)
    every = together(before, fresh)
    order = np.argsort(every.days, kind="stable")
    kept = (np.arange(len(order)) < len(before.lines))[order]
    candidates = every.take(order)
    choice = choose(policy, candidates, kept, budget, None if noise is None else noise[: len(order)])
    return candidates.take(choice.rows), choice


def _merged(desk: Desk, before: Candidates, fresh: Candidates) -> tuple[Candidates, Candidates]:
    """What is said again goes into the line that says it already: seen later, and in one session more."""
    if not before.lines or not fresh.lines:
        return before, fresh
    alike = fresh.vectors @ before.vectors.T
    again = np.flatnonzero(alike.max(axis=1) >= _SAME)
    if not len(again):
        return before, fresh
    lines = list(before.lines)
    for row in again.tolist():
        place = int(alike[row].argmax())
        lines[place] = _seen_again(lines[place], fresh.lines[row])
    tokens = np.array(desk.count([write_line(line) + "\n" for line in lines]), dtype=np.int64)
    days = np.array([line.last_seen.toordinal() for line in lines], dtype=np.int64)
    merged = Candidates(tuple(lines), before.own, before.vectors, before.attributes, before.top, before.forget, tokens, days)
    return merged, fresh.take(np.flatnonzero(alike.max(axis=1) < _SAME))


def _seen_again(line: MemoryLine, other: MemoryLine) -> MemoryLine:
    sessions = tuple(dict.fromkeys((*line.session_ids, *other.session_ids)))
    return line.model_copy(update={"last_seen": max(line.last_seen, other.last_seen), "session_ids": sessions})
