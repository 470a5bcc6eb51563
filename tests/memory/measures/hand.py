"""A small exam made by hand: facts, sessions, questions and answers in which every figure can be counted."""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

from memory.exam import Exam, Put, Sheet
from memory.measures.answers import Answers, Sat, answers_of
from memory.measures.holding import Holding
from schemas.fact import Fact
from schemas.persona import Persona
from schemas.question import Question
from schemas.results import AnswerRow
from schemas.session import Session

DAY = datetime(2025, 3, 1, 9, tzinfo=UTC)


def fact(name: str, attribute: str, value: str, **more: Any) -> Fact:
    """A true fact of the user, known from one clear session."""
    fields = {
        "fact_id": name, "persona_id": name.partition("/")[0], "attribute": attribute, "value": value, "statement": f"has {value}",
        "owner": "self", "status": "true", "kind": "neutral", "domain": "d", "polarity": "positive", "repeatable": True, "cues_needed": 1,
        "mutable": True, "valid_from": date(2025, 1, 1), "valid_until": None, "supersedes": None, "reason": None,
        "forget_requested_at": None, "bank_id": None, **more,
    }  # fmt: skip
    return Fact.model_validate(fields)


def session(name: str, said: str, **more: Any) -> Session:
    """A session of one message, all of which is evidence of its facts. Sessions are a day apart, by the number in their names."""
    shown = more.get("fact_ids", ())
    fields = {
        "session_id": name, "persona_id": name.partition("/")[0], "started_at": DAY + timedelta(days=int(name[-3:])),
        "scenario": "planning", "owner": "self", "role": "evidence", "noise_kind": None, "cue": "clear", "fact_ids": (),
        "trap_fact_ids": (), "messages": ({"role": "user", "content": said},), "tokens": 10,
        "evidence": tuple({"message": 0, "start": 0, "end": len(said), "fact_id": one} for one in shown), **more,
    }  # fmt: skip
    return Session.model_validate(fields)


def noise(name: str, said: str, kind: str, traps: Sequence[str] = (), owner: str = "nobody") -> Session:
    """A session that shows nothing of the user."""
    more = {"role": "noise", "noise_kind": kind, "trap_fact_ids": tuple(traps), "owner": owner, "cue": None}
    return session(name, said, **more)


def question(name: str, values: Sequence[str | None], gold: int, **more: Any) -> Question:
    """A question whose options have these values."""
    options = tuple(
        {"text": f"answer for {value}", "value": value, "role": "gold" if at == gold else "other_value"} for at, value in enumerate(values)
    )
    fields = {
        "question_id": name, "item_id": "i1", "persona_id": name.partition("/")[0], "attribute": "drink", "asked_at": DAY, "text": "What?",
        "kind": "current", "fact_ids": (), "evidence_session_ids": (), "options": options, "gold_index": gold, "rubric": "",
        "certificates": (), **more,
    }  # fmt: skip
    return Question.model_validate(fields)


def sheet(user: str, sessions: Sequence[Session], puts: Sequence[Put] = ()) -> Sheet:
    """What `user` told, and is asked."""
    fields: dict[str, Any] = dict.fromkeys(
        "name gender location occupation education household speaking_style profile_text".split(), ""
    ) | {"persona_id": user, "seed_id": "s", "split": "test", "age": 30, "languages": (), "traits": ()}  # fmt: skip
    return Sheet(Persona.model_validate(fields), tuple(sessions), (), tuple(puts))


def exam(*questions: tuple[str, int]) -> Exam:
    """An exam of questions by (user, place of gold), without sessions; names are `user/q0`, `user/q1`, … in order."""
    by_user: dict[str, list[Put]] = {}
    for user, gold in questions:
        own = by_user.setdefault(user, [])
        own.append(Put(question(f"{user}/q{len(own)}", ["tea", "coffee", "milk", None], gold), 0, 0, None))
    return Exam("small/test", tuple(sheet(user, (), puts) for user, puts in by_user.items()))


def row(question_id: str, choices: Sequence[int], arm: str = "arm", budget: int | None = None, **more: Any) -> AnswerRow:
    """What an arm answered."""
    fields = {"shares": (), "tokens": 10, **more}
    return AnswerRow(
        arm=arm, budget=budget, question_id=question_id, persona_id=question_id.partition("/")[0], choices=tuple(choices), **fields
    )


def answered(of: Exam, choices: Mapping[Sat, Sequence[Sequence[int]]]) -> dict[Sat, Answers]:
    """The answers of some arms, each in the order of the exam's questions."""
    names = [put.question.question_id for _, put in of.questions]
    rows = [
        row(name, own, sat.arm, sat.budget) for sat, every in choices.items() for name, own in zip(names, every, strict=True)
    ]  # fmt: skip
    return answers_of(of, rows)


def holding(sessions: Sequence[Session], facts: Sequence[Fact], **more: Any) -> Holding:
    """The labels of user u1."""
    return Holding(sheet("u1", sessions), {one.fact_id: one for one in facts}, **more)


def written(session_names: str, text: str, day: str = "2025-03-02", status: str = "", owner: str = "") -> str:
    """A line of a memory."""
    head = " ".join(part for part in (status, day, session_names, f"of {owner}" if owner else "") if part)
    return f"{head} | {text}"
