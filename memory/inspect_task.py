"""The exam as an `inspect_ai` task, so that any model can be measured with the field's own tool: see docs/exam.md.

    inspect eval memory/inspect_task.py --model openai-api/local/my-model -T folder=output/small/0.1.0

The model is shown the history up to the question, or what an agent remembered then, and answers by the letter of an option. Questions,
moments and seal are those of `subtext exam`; the wording of the choice is inspect's own.
"""

import os
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

from inspect_ai import Task, task
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.model import ChatMessage, ChatMessageSystem, ChatMessageUser
from inspect_ai.scorer import accuracy, choice, grouped, stderr
from inspect_ai.solver import multiple_choice

from memory.exam import Exam, Put, Sheet, asked, key_of
from memory.llm import Known, request_prompt
from memory.notes import read_memory
from memory.read_exam import read_exam
from schemas.errors import InputError
from schemas.ids import derive
from schemas.memory import Memory
from schemas.results import MemoryRow
from store.dataset import read_rows

KnownAt = Callable[[Sheet, Put], Known]
"""What a model is shown of a user at a question."""


@task
def subtext_exam(  # noqa: PLR0913, PLR0917 (one parameter per -T)
    folder: str, split: str = "test", history: int = 32000, users: int | None = None, rotations: int = 1, memory: str | None = None,
    arm: str = "trained_memory", budget: int = 512,
) -> Task:  # fmt: skip
    """The exam of the dataset in `folder`.

    Each question is a sample in as many `rotations` of its options, the first of them drawn by its id. With `memory`, the
    `memories.parquet` of an evaluation, the model is shown what `arm` remembered within `budget` tokens instead of the history. Raises
    InputError where something of this is not there.
    """
    exam = read_exam(_from_shell(folder), split, history, users)
    known = _history if memory is None else _remembered(exam, _from_shell(memory), arm, budget)
    return Task(
        dataset=MemoryDataset(list(_samples(exam, rotations, known)), name=exam.name),
        solver=multiple_choice(),
        scorer=choice(),
        metrics=[accuracy(), stderr(cluster="persona_id"), grouped(accuracy(), "kind", all=False)],
        metadata={"exam": exam.name, "seal": exam.seal, "shown": "history" if memory is None else f"{arm}, {budget} tokens"},
    )


def _from_shell(path: str) -> Path:
    """inspect runs a task in the folder of its file; what a person wrote is meant from where they stand."""
    return Path(os.environ.get("PWD", ".")) / path


def _samples(exam: Exam, rotations: int, known: KnownAt) -> Iterator[Sample]:
    for sheet, put in exam.questions:
        question = put.question
        options = len(question.options)
        shown = known(sheet, put)
        for more in range(min(rotations, options)):
            rotation = (derive("rotation", question.question_id) + more) % options
            one = asked(question, rotation)
            yield Sample(
                id=key_of(question, rotation),
                input=[_message(message) for message in request_prompt(shown, one)],
                choices=list(one.options),
                target=chr(ord("A") + (question.gold_index - rotation) % options),
                metadata={
                    "persona_id": question.persona_id, "kind": question.kind, "item_id": question.item_id, "rotation": rotation,
                    "tokens_before": sum(turn.tokens for turn in sheet.turns[: put.turns]), "distance_tokens": put.distance_tokens,
                },
            )  # fmt: skip


def _message(message: dict[str, str]) -> ChatMessage:
    kind = ChatMessageSystem if message["role"] == "system" else ChatMessageUser
    return kind(content=message["content"])


def _history(sheet: Sheet, put: Put) -> Known:
    return sheet.turns[: put.turns]


def _remembered(exam: Exam, path: Path, arm: str, budget: int) -> KnownAt:
    """The newest memory that had read nothing from after the question; nothing where the question came before the first write."""
    if not path.is_file():
        raise InputError(f"{path}: no such file; give the agent/memories.parquet of a dataset that was evaluated")
    rows = sorted((row for row in read_rows([path], MemoryRow, ("arm", {arm})) if row.budget == budget), key=lambda row: row.write)
    if missing := {sheet.persona.persona_id for sheet in exam.sheets} - {row.persona_id for row in rows}:
        raise InputError(f"{path}: no memories of {arm} with {budget} tokens of {len(missing)} user(s) of {exam.name}")

    def known(sheet: Sheet, put: Put) -> Known:
        later = sheet.sessions[put.sessions].started_at.date() if put.sessions < len(sheet.sessions) else date.max
        own = [row for row in rows if row.persona_id == sheet.persona.persona_id and row.until < later]
        return read_memory(own[-1].memory, own[-1].persona_id).memory if own else Memory()

    return known
