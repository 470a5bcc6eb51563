"""The exam of a published dataset: frozen questions, each at its moment of its user's history, sealed so that two results can be compared.

Every question is put in as many rotations as it has options, so that nobody gains by preferring a place. Where an agent keeps its memory
to itself, sessions can be handed over one by one: a question is always asked between two sessions.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from memory.agent import Answer, Asked
from memory.chunks import Turn, turns_of
from memory.notes import TokenCount
from memory.replay import Stop
from schemas.history import History
from schemas.ids import digest
from schemas.persona import Persona
from schemas.question import Question
from schemas.session import Session


@dataclass(frozen=True, slots=True)
class Put:
    """A question of the exam, and how many messages and sessions of the history come before it."""

    question: Question
    turns: int
    sessions: int
    distance_tokens: int | None


@dataclass(frozen=True)
class Sheet:
    """What one user's agent reads and is asked."""

    persona: Persona
    sessions: tuple[Session, ...]
    """In order of time."""
    turns: tuple[Turn, ...]
    questions: tuple[Put, ...]
    """In order of their places."""

    def stops(self) -> list[Stop]:
        """All questions in all rotations, at their places. Keys are those of `key_of`."""
        places: dict[int, dict[str, Asked]] = {}
        for put in self.questions:
            places.setdefault(put.turns, {}).update(
                {key_of(put.question, rotation): asked(put.question, rotation) for rotation in range(len(put.question.options))}
            )
        return [Stop(turns, found) for turns, found in sorted(places.items())]


@dataclass(frozen=True)
class Exam:
    """All sheets of one split, at one history budget."""

    name: str
    """Dataset, version, split and budget: `small/0.1.0/test/32000`; and `/first-10` where only so many of its users sit it."""
    sheets: tuple[Sheet, ...]

    @cached_property
    def seal(self) -> str:
        """Hash of everything that an agent is shown and of every right answer: two results with the same seal are of the same exam."""
        return digest(self.name, *(_sealed(sheet) for sheet in self.sheets), size=16)

    @property
    def questions(self) -> Iterator[tuple[Sheet, Put]]:
        """Every question with its sheet."""
        for sheet in self.sheets:
            for put in sheet.questions:
                yield sheet, put


def make_sheet(
    persona: Persona, history: History, sessions: Mapping[str, Session], questions: Mapping[str, Question], count: TokenCount
) -> Sheet:
    """The sheet of one history; `sessions` and `questions` by id."""
    own = tuple(sessions[name] for name in history.session_ids)
    counts = iter(count([message.content for session in own for message in session.messages]))
    turns = turns_of(own, [[next(counts) for _ in session.messages] for session in own])
    before = [0]
    for session in own:
        before.append(before[-1] + len(session.messages))
    puts = [
        Put(questions[placed.question_id], before[placed.position], placed.position, placed.distance_tokens) for placed in history.questions
    ]
    return Sheet(persona, own, tuple(turns), tuple(sorted(puts, key=lambda put: (put.turns, put.question.question_id))))


def key_of(question: Question, rotation: int) -> str:
    """Names a question in one rotation."""
    return f"{question.question_id}@{rotation}"


def asked(question: Question, rotation: int) -> Asked:
    """The question as an agent sees it, the options beginning with that of place `rotation`."""
    options = [option.text for option in question.options]
    return Asked(question.asked_at, question.text, tuple(options[rotation:] + options[:rotation]))


def chosen_option(question: Question, rotation: int, answer: Answer) -> int | None:
    """The place, in the question's own order, of what was chosen; None where nothing was that can be."""
    place, options = answer.chosen, len(question.options)
    return None if place is None or not 0 <= place < options else (place + rotation) % options


def shares_of(question: Question, rotation: int, answer: Answer) -> Sequence[float]:
    """The probabilities in the question's own order; empty where the agent gave none."""
    if len(answer.shares) != len(question.options):
        return ()
    back = len(answer.shares) - rotation
    return answer.shares[back:] + answer.shares[:back]


def _sealed(sheet: Sheet) -> str:
    texts: list[str | int | datetime] = [sheet.persona.persona_id]
    for session in sheet.sessions:
        texts += [session.session_id, session.started_at.isoformat(), *(f"{m.role}: {m.content}" for m in session.messages)]
    for put in sheet.questions:
        question = put.question
        texts += [question.question_id, question.asked_at.isoformat(), question.text, *(option.text for option in question.options)]
        texts += [question.gold_index, put.sessions]
    return digest(*texts, size=16)
