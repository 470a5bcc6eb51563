"""A memory as text: one line each, which people and models read and write alike.

    2025-03-02 s003 | drinks coffee black
    2025-03-02..2025-06-11 s003 s017 of Anna | keeps bees on a roof
    superseded 2025-03-02 s004 | has a bad knee

Tokens are what a memory has least of, so what goes without saying is left out: that a line is active, that it is of the user, that it
was last seen when it was first seen. Session ids are without the persona's, which is the same in all of them.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date

from pydantic import ValidationError

from schemas.memory import SELF, Memory, MemoryLine

_LINE = re.compile(
    r"(?:(?P<status>superseded|forgotten) )?(?P<first>\d{4}-\d\d-\d\d)(?:\.\.(?P<last>\d{4}-\d\d-\d\d))?"
    r"(?P<sessions>(?: (?!of )\w+)*)(?: of (?P<owner>[^|\n]*[^|\s]))? \| (?P<text>\S.*)"
)
TokenCount = Callable[[Sequence[str]], Sequence[int]]
"""From texts to the tokens of each."""


def write_line(line: MemoryLine) -> str:
    """The line as text."""
    status = "" if line.status == "active" else f"{line.status} "
    last = "" if line.last_seen == line.first_seen else f"..{line.last_seen}"
    sessions = "".join(f" {name.rpartition('/')[2]}" for name in line.session_ids)
    owner = "" if line.owner == SELF else f" of {line.owner}"
    return f"{status}{line.first_seen}{last}{sessions}{owner} | {line.text}"


def write_memory(memory: Memory) -> str:
    """The memory as text; empty where nothing is remembered."""
    return "\n".join(map(write_line, memory.lines))


@dataclass(frozen=True, slots=True)
class Reading:
    """A memory read from text, and the lines of the text that are none."""

    memory: Memory
    invalid: tuple[str, ...]


def read_memory(text: str, persona_id: str) -> Reading:
    """The memory of `persona_id` that `text` holds. What cannot be read as a line is handed back, not guessed at."""
    lines, invalid = [], []
    for written in (row.strip() for row in text.splitlines()):
        if not written:
            continue
        found = _LINE.fullmatch(written)
        try:
            lines.append(_line(found, persona_id) if found else None)
        except (ValueError, ValidationError):
            lines.append(None)
        if lines[-1] is None:
            invalid.append(written)
    return Reading(Memory(lines=tuple(line for line in lines if line is not None)), tuple(invalid))


def _line(found: re.Match[str], persona_id: str) -> MemoryLine:
    first = date.fromisoformat(found["first"])
    last = date.fromisoformat(found["last"] or found["first"])
    if last < first:
        raise ValueError("it was last seen before it was first seen")
    return MemoryLine(
        owner=(found["owner"] or SELF).strip(),
        text=found["text"],
        first_seen=first,
        last_seen=last,
        session_ids=tuple(f"{persona_id}/{name}" for name in found["sessions"].split()),
        status=found["status"] or "active",
    )


def fitted(memory: Memory, budget: int, count: TokenCount) -> Memory:
    """As many lines from the first on as fit into `budget` tokens, line ends counted: what an agent wrote too much of is cut, not kept.

    `count` is given every line with its line end.
    """
    room, kept = budget, []
    for line, tokens in zip(memory.lines, count([write_line(line) + "\n" for line in memory.lines]), strict=True):
        room -= tokens
        if room < 0:
            break
        kept.append(line)
    return Memory(lines=tuple(kept))


@dataclass(frozen=True, slots=True)
class Changes:
    """What became of a memory in one write."""

    added: tuple[MemoryLine, ...]
    dropped: tuple[MemoryLine, ...]
    rewritten: tuple[tuple[MemoryLine, MemoryLine], ...]
    """Lines of the same owner and words whose status, dates or sessions are others, before and after."""


def changes(before: Memory, after: Memory) -> Changes:
    """Compare two memories line by line; lines are the same where owner and words are."""
    old = {(line.owner, line.text): line for line in before.lines}
    new = {(line.owner, line.text): line for line in after.lines}
    return Changes(
        added=tuple(line for key, line in new.items() if key not in old),
        dropped=tuple(line for key, line in old.items() if key not in new),
        rewritten=tuple((old[key], line) for key, line in new.items() if key in old and old[key] != line),
    )
