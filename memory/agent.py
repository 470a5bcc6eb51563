"""What every memory agent does: write while it reads a history, and answer from what it wrote alone."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from memory.chunks import Chunk
from schemas.memory import Memory


@dataclass(frozen=True, slots=True)
class Asked:
    """A question as an agent sees it: without ids, labels or anything else from which the gold could be read."""

    asked_at: datetime
    text: str
    options: tuple[str, ...]
    """In the order in which they are shown; empty where an open answer is wanted."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What an agent said. At most one of the three is there; none: the reply could not be read, which counts as wrong."""

    choice: int | None = None
    """The place of an option, from 0."""
    shares: tuple[float, ...] = ()
    """How its probability is divided among the options, in their order; the choice is the largest."""
    text: str = ""
    """An open answer."""

    @property
    def chosen(self) -> int | None:
        """The place of the option that was chosen; None where none was."""
        return self.shares.index(max(self.shares)) if self.shares else self.choice


class MemoryAgent(Protocol):
    """A memory agent. It is causal by its shape: no question and no later chunk is among the arguments of `write`."""

    @property
    def name(self) -> str:
        """What results call it."""
        ...

    async def write(self, memory: Memory, chunk: Chunk) -> Memory:
        """The memory after `chunk`, from the memory before it alone."""
        ...

    async def answer(self, memory: Memory, asked: Asked) -> Answer:
        """An answer from the memory alone."""
        ...
