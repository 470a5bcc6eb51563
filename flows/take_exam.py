"""Taking an exam: the agent sits every sheet, what it answered is kept as it comes, and the result is one signed file."""

import asyncio
import json
import platform
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from pydantic import ValidationError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from memory.agents import Candidate
from memory.exam import Exam
from memory.read_exam import exam_tokens, read_dataset, read_exam
from memory.replay import Limits
from memory.sitting import accuracy_of, memory_of, sit_exam
from schemas.errors import InputError
from schemas.exam import PROTOCOL, ExamAgent, ExamAnswer, ExamDataset, ExamPaper, ExamResult, ExamTools
from schemas.ids import digest
from store.folder import write_json
from store.lines import LineFile
from store.signing import read_signed, signed, signing_key

_PACKAGES = ("subtext", "pydantic", "numpy", "tokenizers", "torch", "scikit-learn", "sentence-transformers", "openai")
Keep = Callable[[str, Sequence[ExamAnswer]], None]


@dataclass(frozen=True, slots=True)
class Paper:
    """The exam of a dataset, with what a result says of both."""

    exam: Exam
    dataset: ExamDataset
    split: str
    history_tokens: int

    @classmethod
    def read(cls, root: Path, split: str, history_tokens: int, users: int | None) -> "Paper":
        """See `memory.read_exam.read_exam`."""
        return cls(read_exam(root, split, history_tokens, users), read_dataset(root), split, history_tokens)

    def told(self) -> ExamPaper:
        """What a result says was asked."""
        exam = self.exam
        users, questions = len(exam.sheets), sum(len(sheet.questions) for sheet in exam.sheets)
        return ExamPaper(
            name=exam.name, seal=exam.seal, split=self.split, history_tokens=self.history_tokens, users=users, questions=questions
        )


def take_exam(paper: Paper, candidate: Candidate, memory_tokens: int, out: Path, key: Path) -> ExamResult:
    """Let `candidate` sit the exam, and write the result to `out`, signed with the key in the file `key`.

    Users who have answered all are kept in a file beside `out` until the result is there, so that the same call goes on where one was
    stopped. Raises InputError where `out` holds the result of something else.
    """
    signing, tokens, exam = signing_key(key), exam_tokens(), paper.exam
    agent = ExamAgent(kind=candidate.kind, name=candidate.name, details=candidate.details)
    _refuse_another(out, exam, agent, memory_tokens)
    mark = digest(exam.seal, agent.model_dump_json(), memory_tokens, candidate.chunk_tokens, tokens.id, PROTOCOL)
    with _kept(None if candidate.repeats_nothing else out.with_name(f"{out.stem}.partial.jsonl"), mark) as (done, keep):
        with _progress(len(exam.sheets), len(done)) as advance:

            def note(user: str, answers: Sequence[ExamAnswer]) -> None:
                keep(user, answers)
                done[user] = answers
                advance()

            left = [sheet for sheet in exam.sheets if sheet.persona.persona_id not in done]
            asyncio.run(sit_exam(left, candidate, Limits(memory_tokens, tokens.count, candidate.chunk_tokens), note))
        answers = tuple(answer for sheet in exam.sheets for answer in done[sheet.persona.persona_id])
        result = ExamResult(
            format="subtext-exam",
            dataset=paper.dataset,
            exam=paper.told(),
            agent=agent,
            accuracy=accuracy_of(answers),
            memory=memory_of(answers, memory_tokens),
            spent=candidate.spent() if candidate.spent else None,
            made_with=_tools(candidate, tokens.id),
            answers=answers,
        )
        write_json(out, signed(result.model_dump(mode="json"), signing))
    return result


def _refuse_another(out: Path, exam: Exam, agent: ExamAgent, memory_tokens: int) -> None:
    """A result of the same agent on the same exam is replaced; nothing else is."""
    if not out.exists():
        return
    try:
        there = ExamResult.model_validate(read_signed(out)[0])
    except (InputError, ValidationError) as error:
        raise InputError(f"{out} is in the way, and is no result of an exam; give another file with --out") from error
    if (there.exam.seal, there.agent.name, there.memory.budget) != (exam.seal, agent.name, memory_tokens):
        raise InputError(
            f"{out} holds the result of {there.agent.name} on {there.exam.name} with {there.memory.budget} tokens of memory; "
            "give another file with --out"
        )


@contextmanager
def _kept(path: Path | None, mark: str) -> Iterator[tuple[dict[str, Sequence[ExamAnswer]], Keep]]:
    """The answers by user that the file holds of the exam that `mark` names, and how to add to it. It goes when the block ends well."""
    if path is None:
        yield {}, lambda *_: None
        return
    with LineFile(path, "another exam", "wait for it, or give another --out") as file:
        done = _read_kept(path, file.lines, mark)
        if done is None:
            file.clear()
            file.add(json.dumps({"exam": mark}).encode())

        def keep(user: str, answers: Sequence[ExamAnswer]) -> None:
            file.add(json.dumps({"user": user, "answers": [one.model_dump(mode="json") for one in answers]}).encode())

        yield done or {}, keep
        file.remove()


def _read_kept(path: Path, lines: Sequence[bytes], mark: str) -> dict[str, Sequence[ExamAnswer]] | None:
    """The answers by user; None where the lines are of another exam, or there are none."""
    try:
        head, *rows = [json.loads(line) for line in lines] or [{}]
        if head.get("exam") != mark:
            return None
        return {row["user"]: [ExamAnswer.model_validate(one) for one in row["answers"]] for row in rows}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path} is damaged; delete it to begin the exam anew") from error


@contextmanager
def _progress(users: int, done: int) -> Iterator[Callable[[], None]]:
    """Shows on a terminal how many users have sat; gives what is to be called after each."""
    columns = (TextColumn("users"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=not Console(stderr=True).is_terminal) as shown:
        task = shown.add_task("users", total=users, completed=done)
        yield lambda: shown.advance(task)


def _tools(candidate: Candidate, tokenizer: str) -> ExamTools:
    from flows.publish import git_revision

    return ExamTools(
        protocol=PROTOCOL,
        tokenizer=tokenizer,
        chunk_tokens=candidate.chunk_tokens,
        python=platform.python_version(),
        packages=dict(_installed()),
        git_revision=git_revision(),
    )


def _installed() -> Iterator[tuple[str, str]]:
    for name in _PACKAGES:
        try:
            yield name, version(name)
        except PackageNotFoundError:  # run from a source that was never installed
            continue
