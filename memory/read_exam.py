"""The exam of a finished dataset: one split at one history budget, from files that are still what was published."""

from collections.abc import Mapping
from pathlib import Path

from memory.exam import Exam, make_sheet
from schemas.errors import InputError
from schemas.exam import ExamDataset
from schemas.history import History
from schemas.persona import Persona
from schemas.question import Question
from schemas.session import Session
from store.dataset import read_manifest, read_rows, unreadable_manifest
from store.parts import file_hash
from text.tokenizer import TokenCounter, token_counter

Files = Mapping[str, Mapping[str, Mapping[str, str]]]
"""By table and split: the published files, relative to the dataset, each with its hash."""


def exam_tokens() -> TokenCounter:
    """By whose tokens chunks and memories are measured: the packaged tokenizer, whatever the dataset's, for everybody has that one."""
    return token_counter("minilm")


def read_exam(root: Path, split: str, budget: int, users: int | None = None) -> Exam:
    """The exam of the users of `split` in the dataset `root`, on histories of `budget` tokens; of the first `users` (by id) alone.

    InputError where there is no finished dataset, no such split or budget, no question in it, or a file is not what was published. Files
    of other splits are not opened.
    """
    dataset, published = _read_manifest(root)
    table = f"histories_{budget // 1000}k"
    _refuse_absent(root, published, split, table)
    paths = {
        name: [_unchanged(root / file, content) for file, content in sorted(published[name][split].items())]
        for name in ("personas", "sessions", "questions", table)
    }
    histories = sorted((one for one in read_rows(paths[table], History) if one.questions), key=lambda one: one.persona_id)
    if other := {one.budget for one in histories} - {budget}:
        raise InputError(f"{root}: no histories of {budget} tokens there; it has {other.pop()}")
    if not histories:
        raise InputError(f"{root}: nothing is asked in the split {split} at {budget} tokens; take another, or a dataset of more people")
    taken = histories if users is None else histories[:users]
    only = ("persona_id", {one.persona_id for one in taken})
    sessions = {one.session_id: one for one in read_rows(paths["sessions"], Session, only)}
    questions = {one.question_id: one for one in read_rows(paths["questions"], Question, only)}
    personas = {one.persona_id: one for one in read_rows(paths["personas"], Persona, only)}
    count = exam_tokens().count
    return Exam(
        f"{dataset.name}/{dataset.version}/{split}/{budget}{'' if len(taken) == len(histories) else f'/first-{len(taken)}'}",
        tuple(make_sheet(personas[one.persona_id], one, sessions, questions, count) for one in taken),
    )


def read_dataset(root: Path) -> ExamDataset:
    """What results say of the dataset. InputError where there is no finished one."""
    return _read_manifest(root)[0]


def _read_manifest(root: Path) -> tuple[ExamDataset, Files]:
    manifest = read_manifest(root)
    try:
        dataset = ExamDataset(name=manifest["dataset"]["name"], version=manifest["dataset"]["version"], author=manifest["author"])
        files = {str(file): str(content) for file, content in manifest["files"].items()}
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise unreadable_manifest(root, error) from error
    return dataset, _published(root, files)


def _published(root: Path, files: Mapping[str, str]) -> Files:
    found: dict[str, dict[str, dict[str, str]]] = {}
    for file, content in files.items():
        folder, table, name = [*file.split("/"), "", ""][:3]
        if folder == "data" and name:
            found.setdefault(table, {}).setdefault(name.partition("-")[0], {})[file] = content
    if missing := {"personas", "sessions", "questions"} - found.keys():
        raise InputError(f"{root / 'manifest.json'} names no files of {', '.join(sorted(missing))}: not the manifest of a dataset")
    return found


def _refuse_absent(root: Path, published: Files, split: str, table: str) -> None:
    if split not in published["personas"]:
        raise InputError(f"{root}: no split {split} there; it has {', '.join(published['personas'])}")
    if table not in published or split not in published[table]:
        there = sorted(
            int(name.removeprefix("histories_").removesuffix("k")) * 1000
            for name in published
            if name.startswith("histories_") and split in published[name]
        )
        raise InputError(f"{root}: no histories of that size there; it has those of {', '.join(map(str, there)) or 'none'} tokens")
    for name in ("sessions", "questions"):
        if split not in published[name]:
            raise InputError(f"{root}: the split {split} has no {name}; it cannot be examined on")


def _unchanged(path: Path, content: str) -> Path:
    """The path, where the file has the hash that it was published with."""
    try:
        found = file_hash(path)
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}), and the manifest names it; copy the whole dataset") from error
    if found != content:
        raise InputError(f"{path} has changed since it was published; take an exam on an unchanged copy, or make a version of its own")
    return path
