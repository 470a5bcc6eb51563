"""A judge's readings of questions: the three that the solver makes from labels, made by a model from the sessions' words.

The model is not given the whole history, which would cost tens of thousands of tokens a reading, but the sessions that bear on the
question and a few others from before it.
"""

from collections.abc import Mapping, Sequence

from author.seam import Unwritten
from flows.deal import Ask
from flows.run import Run, gather
from schemas.ids import derive, rng
from schemas.question import Certificate, Question
from schemas.session import Message, Session
from store.parts import read_part
from validators.judge import Judge
from validators.solver import about, bearing

_OTHERS = 3
"""Sessions that do not bear on the question, beside those that do."""
Messages = tuple[Message, ...]


def with_readings(run: Run, judge: Judge, asked: Sequence[tuple[Ask, Question]], shards: int) -> list[Question]:
    """The questions, each with the judge's certificate beside the solver's."""
    shown = {question.question_id: _shown(run, ask, question) for ask, question in asked}
    wanted = {name for names in shown.values() for name in names}
    words: dict[str, Messages] = {}
    for index in range(shards):
        for stage in ("converse", "distract"):
            words |= {one.session_id: one.messages for one in read_part(run.folder, stage, index, Session) if one.session_id in wanted}
    questions = [question for _, question in asked]
    read = gather([_read(run, judge, question, {name: words[name] for name in shown[question.question_id]}) for question in questions])
    return [
        question.model_copy(update={"certificates": (*question.certificates, certificate)})
        for question, certificate in zip(questions, read, strict=True)
    ]


def _shown(run: Run, ask: Ask, question: Question) -> list[str]:
    """The sessions that the judge reads, in order of time."""
    before = ask.where.heads[: ask.position]
    relevant = {head.session_id for head in bearing(before, ask.person.facts, about(ask.candidate.item.attribute))}
    others = [head.session_id for head in before if head.session_id not in relevant]
    chosen = {*relevant, *rng(run.seed, question.question_id, "others").sample(others, min(len(others), _OTHERS))}
    return [head.session_id for head in before if head.session_id in chosen]


async def _read(run: Run, judge: Judge, question: Question, words: Mapping[str, Messages]) -> Certificate:
    """The three readings. One that cannot be had counts as failed, and so do those after the first that fails: they are not asked for."""
    evidence = set(question.evidence_session_ids)
    others = [name for name in words if name not in evidence]
    left_out = rng(run.seed, question.question_id, "left out").choice(others) if others else None

    async def choice(kept: Sequence[str]) -> int | None:
        variables = {
            "sessions": tuple(words[name] for name in kept), "query": question.text,
            "options": tuple(option.text for option in question.options),
        }  # fmt: skip
        seed = derive(run.seed, question.question_id, "solve", *kept)
        try:
            shares = await judge.shares("judge/solve", variables, seed, question.question_id)
        except Unwritten:
            return None
        return shares.index(max(shares))

    nothing = next((place for place, option in enumerate(question.options) if option.value is None), None)
    gold = await choice(list(words)) == question.gold_index
    without_evidence = gold and (not evidence or (nothing is not None and await choice(others) == nothing))
    kept = [name for name in words if name != left_out]
    without_others = without_evidence and (left_out is None or await choice(kept) == question.gold_index)
    return Certificate(by=judge.author.name, gold=gold, without_evidence=without_evidence, without_others=without_others)
