"""Why a wrong reply was wrong: was what it needed never written down, lost again, there and not used, or was something else used?

What a reply **needs** is the true fact with the gold option's value; nothing, where the gold option assumes nothing. What the memory
holds, and what speaks for an option: see `memory.measures.holding`. A wrong reply is the first of these that is so:

- `never_written`: it needs a fact that the memory does not hold at the question's moment, and held after no write before it;
- `lost_later`: … but held after some write before it;
- `misused`: some line, of whatever owner and status, speaks for the wrong option that was chosen: it shows a true fact with that option's
  value, or is from a noise session that lays a trap with it;
- `present_unused`: the fact that it needs is held, and nothing in the memory speaks for what was chosen;
- `guessed`: it needs nothing, and nothing in the memory speaks for what was chosen.

Replies that could not be read are left out, for they chose nothing; so are questions whose gold value is not that of one of their facts
(foreign datasets).
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from memory.exam import Exam
from memory.measures.answers import UNREAD, Answers, Sat
from memory.measures.holding import Held, Holding, Kept
from schemas.errors import InputError
from schemas.ids import normalise
from schemas.question import Question
from schemas.results import FailureResult, MemoryRow, MomentRow

Cause = Literal["never_written", "lost_later", "misused", "present_unused", "guessed"]
CAUSES: tuple[Cause, ...] = get_args(Cause)


@dataclass(frozen=True, slots=True)
class Trail:
    """What one arm remembered: after each write, by user, and at the moment of each question."""

    writes: Mapping[str, Sequence[str]]
    moments: Mapping[str, MomentRow]


def trails_of(memories: Sequence[MemoryRow], moments: Sequence[MomentRow]) -> dict[Sat, Trail]:
    """The trails of all arms that left moments."""
    writes: dict[Sat, dict[str, list[str]]] = defaultdict(dict)
    for row in sorted(memories, key=lambda row: row.write):
        writes[Sat(row.arm, row.budget)].setdefault(row.persona_id, []).append(row.memory)
    found: dict[Sat, dict[str, MomentRow]] = defaultdict(dict)
    for moment in moments:
        found[Sat(moment.arm, moment.budget)][moment.question_id] = moment
    return {sat: Trail(writes.get(sat, {}), own) for sat, own in found.items()}


def failure_result(exam: Exam, holdings: Mapping[str, Holding], answers: Answers, trail: Trail) -> FailureResult:
    """The causes of one arm's wrong replies. InputError where its memory at a question's moment is missing."""
    wrong: dict[Cause, float] = dict.fromkeys(CAUSES, 0.0)
    for (sheet, put), row in zip(exam.questions, answers.rows, strict=True):
        question, user = put.question, sheet.persona.persona_id
        chosen = Counter(choice for choice in row.choices if choice not in (question.gold_index, UNREAD))
        if not chosen:
            continue
        if (moment := trail.moments.get(question.question_id)) is None:
            raise InputError(f"{row.arm}@{row.budget}: its memory at the moment of {question.question_id} is missing; evaluate again")
        holding = holdings[user]
        before = [holding.read(memory) for memory in trail.writes.get(user, ())[: moment.writes]]
        for choice, times in chosen.items():
            if (cause := cause_of(holding, question, choice, holding.read(moment.memory), before)) is not None:
                wrong[cause] += times / len(row.choices)
    total = sum(wrong.values())
    shares = {cause: round(weight / total, 4) if total else 0.0 for cause, weight in wrong.items()}
    return FailureResult(wrong=round(total, 2), **shares)


def cause_of(holding: Holding, question: Question, choice: int, memory: Held, before: Sequence[Held]) -> Cause | None:
    """Why `choice` (a place in the question's own order), which is wrong, was made from `memory`.

    `before`: the memories after each write that preceded. None where it cannot be told what was needed.
    """
    gold = question.options[question.gold_index].value
    needed = {name for name in question.fact_ids if gold is not None and _is_told(holding, question, name, gold)}
    if gold is not None and not needed:
        return None
    if needed and not needed & memory.facts:
        return "lost_later" if any(needed & earlier.facts for earlier in before) else "never_written"
    value = question.options[choice].value
    if value is not None and any(_speaks_for(holding, question, kept, value) for kept in memory.lines):
        return "misused"
    return "present_unused" if needed else "guessed"


def _is_told(holding: Holding, question: Question, name: str, value: str) -> bool:
    return name in holding.facts and holding.facts[name].status == "true" and _is_of(holding, question, name, value)


def _is_of(holding: Holding, question: Question, name: str, value: str) -> bool:
    """Whether a fact gives the question's attribute this value."""
    fact = holding.facts.get(name)
    return fact is not None and question.attribute in (None, fact.attribute) and normalise(fact.value) == normalise(value)


def _speaks_for(holding: Holding, question: Question, kept: Kept, value: str) -> bool:
    laid = [name for session_id in kept.tempted for name in holding.sessions[session_id].trap_fact_ids]
    return any(_is_of(holding, question, name, value) for name in (*(name for name, _ in kept.shows), *laid))
