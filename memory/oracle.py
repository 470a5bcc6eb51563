"""What an agent that knew the labels would remember: a question's evidence, or the fact itself. Ceilings, and what readers learn from."""

from collections.abc import Mapping
from datetime import date

from memory.exam import Put, Sheet
from schemas.fact import Fact
from schemas.memory import SELF, Memory, MemoryLine
from schemas.question import Question
from schemas.session import Session


def remembered(text: str, day: date, session_id: str, status: str = "active", owner: str = SELF) -> MemoryLine:
    """A line of something that showed once."""
    return MemoryLine.model_validate(
        {
            "owner": owner,
            "text": " ".join(text.split()),
            "first_seen": day,
            "last_seen": day,
            "session_ids": (session_id,),
            "status": status,
        }
    )


def spans_of(session: Session) -> list[MemoryLine]:
    """The session's evidence as lines, word for word; a request to forget is one too."""
    status = "forgotten" if session.role == "forget" else "active"
    return [
        remembered(session.messages[span.message].content[span.start : span.end], session.started_at.date(), session.session_id, status)
        for span in session.evidence
    ]


def evidence_of(sheet: Sheet, put: Put) -> Memory:
    """The evidence spans of the sessions that a question rests on, in order of time. Noise has none."""
    needed = set(put.question.evidence_session_ids)
    return Memory(lines=tuple(line for session in sheet.sessions if session.session_id in needed for line in spans_of(session)))


def gold_of(question: Question, facts: Mapping[str, Fact]) -> Memory:
    """The fact that the gold answer rests on, as one line; nothing where nothing may be assumed."""
    wanted = question.options[question.gold_index].value
    lines = [
        remembered(fact.statement, fact.valid_from, fact.fact_id)
        for fact in (facts[name] for name in question.fact_ids)
        if fact.status == "true" and fact.value == wanted and fact.attribute == question.attribute
    ]
    return Memory(lines=tuple(lines[-1:]))
