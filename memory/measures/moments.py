"""From what an agent did with a history to the rows that are kept of it: its memory after every write, and at every question."""

from collections.abc import Iterator

from memory.exam import Sheet, key_of
from memory.notes import write_memory
from memory.replay import Limits, Sitting, chunked
from schemas.results import MemoryRow, MomentRow


def memory_rows(sheet: Sheet, sitting: Sitting, arm: str, limits: Limits) -> Iterator[MemoryRow]:
    """The memories after every write. `limits`: those under which `sitting` came about."""
    chunks = chunked(sheet.turns, limits)
    for write, (memory, chunk) in enumerate(zip(sitting.memories, chunks, strict=True), 1):
        yield MemoryRow(
            arm=arm, budget=limits.memory_tokens, persona_id=sheet.persona.persona_id, write=write,
            until=chunk.turns[-1].started_at.date(), memory=write_memory(memory),
        )  # fmt: skip


def moment_rows(sheet: Sheet, sitting: Sitting, arm: str, limits: Limits) -> Iterator[MomentRow]:
    """The memories from which the questions were answered; one for all rotations, because asking changes nothing."""
    ends = [0]
    for chunk in chunked(sheet.turns, limits):
        ends.append(ends[-1] + len(chunk.turns))
    for put in sheet.questions:
        yield MomentRow(
            arm=arm, budget=limits.memory_tokens, question_id=put.question.question_id, persona_id=sheet.persona.persona_id,
            writes=sum(end <= put.turns for end in ends[1:]), memory=write_memory(sitting.memory_at[key_of(put.question, 0)]),
        )  # fmt: skip
