"""What a language model wrote, read: a memory after a write, the letter of an answer. The same for training and for use.

A model may write any date and any id. What a line says of when and where it showed is therefore held to what the model can have read:
the chunk, and the memory before it. The examples in the prompt have ids that no history reaches, so that a model that repeats them adds
nothing.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from memory.chunks import Chunk
from memory.notes import read_memory
from prompts.filters import LETTERS
from schemas.memory import Memory, MemoryLine

NOTHING = "(nothing)"
"""What a model replies with when there is nothing to remember: an empty reply would look like none."""
_BULLET = re.compile(r"^\s*(?:[-*•]|\d{1,3}[.)])\s+", re.MULTILINE)
_ALONE = re.compile(r"\W*([A-H])(?:\W*|[.):*\]]+\s.*)", re.DOTALL)
_NAMED = re.compile(r"\b(?i:answer|letter|option|boxed)\b(?:\s+is)?[^\w\n]*([A-H])\b(?!['\u2019])")


@dataclass(frozen=True, slots=True)
class Written:
    """A memory as a model wrote it."""

    memory: Memory
    invalid: int
    """Lines of the reply that are none of a memory, or name unknown sessions only, and were dropped."""
    mended: int
    """Lines whose days or sessions were put right."""


def read_write(reply: str, before: Memory, chunk: Chunk) -> Written:
    """The memory in a model's `reply` to the prompt of a write. Bullets are forgiven; whatever else is no line is dropped."""
    persona_id = chunk.turns[0].session_id.partition("/")[0]
    text = "" if reply.strip() == NOTHING else _BULLET.sub("", reply)
    reading = read_memory(text, persona_id)
    days = _days(before, chunk)
    found = [line for line in reading.memory.lines if not line.session_ids or any(name in days for name in line.session_ids)]
    lines = tuple(_mended(line, days, chunk.turns[-1].started_at.date()) for line in found)
    mended = sum(one != other for one, other in zip(lines, found, strict=True))
    return Written(Memory(lines=lines), len(reading.invalid) + len(reading.memory.lines) - len(found), mended)


def _days(before: Memory, chunk: Chunk) -> Mapping[str, tuple[date, date]]:
    """When each session that the model knows of was: of those of the chunk the day, of those in `before` no more than its lines tell."""
    days: dict[str, tuple[date, date]] = {}
    for line in before.lines:
        for place, name in enumerate(line.session_ids, 1 - len(line.session_ids)):  # sessions stand in order: 0 is the last
            first = line.last_seen if place == 0 and len(line.session_ids) > 1 else line.first_seen
            last = line.first_seen if place and place == 1 - len(line.session_ids) else line.last_seen
            known = days.get(name, (date.min, date.max))
            days[name] = max(first, known[0]), min(last, known[1])
    return days | {turn.session_id: (turn.started_at.date(),) * 2 for turn in chunk.turns}


def _mended(line: MemoryLine, days: Mapping[str, tuple[date, date]], today: date) -> MemoryLine:
    """The line without sessions that cannot have been read, in order of their days, which are its own; never later than `today`."""
    known = sorted({name for name in line.session_ids if name in days}, key=lambda name: (days[name], name))
    first, last = (days[known[0]][0], days[known[-1]][1]) if known else (min(line.first_seen, today), min(line.last_seen, today))
    return line.model_copy(update={"session_ids": tuple(known), "first_seen": first, "last_seen": max(first, last)})


def read_letter(reply: str, options: int) -> int | None:
    """The place of the option whose letter a `reply` gives: alone, first, or as "the answer is …". None where that is none, or several."""
    found = _ALONE.fullmatch(reply.strip())
    letters = {found[1]} if found else set(_NAMED.findall(reply))
    place = LETTERS.index(letters.pop()) if len(letters) == 1 else options
    return place if place < options else None
