"""Results of exams, read again: whether a file is what was signed and says what follows from its answers, and how two agents compare."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from flows.take_exam import Paper
from memory.intervals import Difference, Scores
from memory.sitting import accuracy_of, memory_of, share_right
from schemas.errors import InputError
from schemas.exam import ExamAccuracy, ExamResult, Signature
from store.signing import is_genuine, read_signed

_FIGURE, _INTERVAL = 2e-6, 0.01
"""How far figures may be from those computed anew: the rounding; and, of an interval, what another release's resampling would change."""


@dataclass(frozen=True, slots=True)
class Signed:
    """A result as it was read."""

    result: ExamResult
    public_key: str
    """Whose signature it bears."""
    genuine: bool
    """Whether the signature is that of what stands in the file."""


def read_result(path: Path) -> Signed:
    """The result in a file. InputError where the file is no result."""
    document, signature = read_signed(path)
    if signature is None:
        raise InputError(f"{path} has no signature; give a file that subtext exam has written")
    try:
        result, by = ExamResult.model_validate(document), Signature.model_validate(signature)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise InputError(f"{path} is no result of an exam ({place}: {first['msg']}); give a file that subtext exam has written") from error
    return Signed(result, by.public_key, is_genuine(document, by))


def faults(signed: Signed) -> list[str]:
    """What in a result contradicts its signature or its own answers, a line for each; empty where all is in order."""
    return list(_faults(signed))


def _faults(signed: Signed) -> Iterator[str]:
    result = signed.result
    if not signed.genuine:
        yield "the signature does not fit: the file was changed after it was signed"
    answers = result.answers
    told, users = result.exam, {one.persona_id for one in answers}
    if len({one.question_id for one in answers}) != len(answers):
        yield "a question is answered twice"
    if (told.questions, told.users) != (len(answers), len(users)):
        yield f"it says {told.questions} questions to {told.users} users, and holds answers to {len(answers)} of {len(users)}"
    if not answers:
        return
    wrong = [one for one in answers if abs(one.correct - share_right(one.choices, one.gold)) > _FIGURE]
    if wrong:
        yield f"{len(wrong)} answer(s) are marked otherwise than choices and gold say, the first {wrong[0].question_id}"
    anew = accuracy_of(answers)
    if not _alike(anew, result.accuracy):
        yield f"the accuracy is said to be {_figure(result.accuracy)}, and the answers give {_figure(anew)}"
    if (used := memory_of(answers, result.memory.budget)) != result.memory:
        yield f"the memory is said to be {_tokens(result)}, and the answers give {used.mean_tokens} on average, {used.most_tokens} at most"


def _alike(one: ExamAccuracy, other: ExamAccuracy) -> bool:
    near = abs(one.value - other.value) <= _FIGURE and one.unread == other.unread
    return near and max(abs(one.low - other.low), abs(one.high - other.high)) <= _INTERVAL


def _figure(accuracy: ExamAccuracy) -> str:
    return f"{accuracy.value:.4f} ({accuracy.low:.4f} to {accuracy.high:.4f}), {accuracy.unread} unread"


def _tokens(result: ExamResult) -> str:
    return f"{result.memory.mean_tokens} tokens on average, {result.memory.most_tokens} at most"


def faults_against(result: ExamResult, paper: Paper) -> list[str]:
    """What in a result contradicts the dataset, a line for each."""
    found = []
    if (told := paper.told()) != result.exam:
        found.append(f"it is of another exam: {result.exam.name}, seal {result.exam.seal}; the dataset's is {told.name}, seal {told.seal}")
    asked = {put.question.question_id: put.question for _, put in paper.exam.questions}
    answered = {one.question_id for one in result.answers}
    if asked.keys() != answered:
        missing, strange = len(asked.keys() - answered), len(answered - asked.keys())
        found.append(f"{missing} question(s) of the exam are not answered, and {strange} answered that are not in it")
    for one in result.answers:
        question = asked.get(one.question_id)
        if question is None:
            continue
        if len(one.choices) != len(question.options):
            found.append(f"{one.question_id} is answered {len(one.choices)} times, and has {len(question.options)} options")
        if (one.gold, one.persona_id, one.kind) != (question.gold_index, question.persona_id, question.kind):
            found.append(
                f"{one.question_id}: it says gold {one.gold}, kind {one.kind}, user {one.persona_id}; the dataset says "
                f"{question.gold_index}, {question.kind}, {question.persona_id}"
            )
    return found


def compare(one: ExamResult, other: ExamResult) -> Difference:
    """How much more of the exam `one` had right than `other`. InputError where the two are not of the same exam and budget."""
    for what, mine, theirs in (
        ("exams (seals)", one.exam.seal, other.exam.seal),
        ("memory budgets", one.memory.budget, other.memory.budget),
        ("tokenizers", one.made_with.tokenizer, other.made_with.tokenizer),
        ("protocols", one.made_with.protocol, other.made_with.protocol),
    ):
        if mine != theirs:
            raise InputError(f"these are results of different {what}: {mine} and {theirs}; nothing can be said from them")
    right = {row.question_id: row for row in other.answers}
    if right.keys() != {row.question_id for row in one.answers}:
        raise InputError("the two do not hold answers to the same questions; verify both against the dataset")
    owners = [row.persona_id for row in one.answers]
    scores = Scores.of(
        owners, {"one": [row.correct for row in one.answers], "other": [right[row.question_id].correct for row in one.answers]}
    )
    return scores.compare("one", "other")
