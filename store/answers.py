"""People's answers beside a dataset: `review/<reviewer>.jsonl`, one line per answer, on the disk before the next thing is shown.

So what a reader wrote about a conversation cannot be changed once the choices were seen, and a kill loses at most the line that is being
typed. A line cut short is dropped when the file is next opened. One process at a time writes one reviewer's file (flock).
"""

import fcntl
import os
import re
from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from schemas.errors import InputError, SubtextError
from schemas.review import Answer, Asked
from store.folder import sync

Answers = Mapping[str, Mapping[Asked, Answer]]
"""By record, then by what was asked; a first answer is never replaced."""


def review_folder(root: Path) -> Path:
    """Where the answers of people lie in the run folder `root`."""
    return root / "review"


def read_all(root: Path) -> dict[str, Answers]:
    """The answers by reviewer, in order of their names; empty where nobody has begun."""
    return {path.stem: _by_record(_parsed(path, path.read_bytes())) for path in sorted(review_folder(root).glob("*.jsonl"))}


def _by_record(answers: list[Answer]) -> dict[str, dict[Asked, Answer]]:
    found: dict[str, dict[Asked, Answer]] = {}
    for answer in answers:
        found.setdefault(answer.record_id, {}).setdefault(answer.asked, answer)
    return found


def _parsed(path: Path, text: bytes) -> list[Answer]:
    """The answers in `text`, but for a last line that was cut short."""
    answers = []
    for number, line in enumerate(text.split(b"\n")[:-1], 1):
        try:
            answers.append(Answer.model_validate_json(line))
        except ValidationError as error:
            raise InputError(f"{path}: line {number} is not an answer ({error.errors()[0]['msg']}); mend or delete that line") from error
    return answers


class AnswerFile:
    """The file of one reviewer, open for adding. Use it in a `with`.

    InputError where the name cannot be a file's, or the file holds something else; SubtextError where it cannot be written, or another
    process is writing it.
    """

    def __init__(self, root: Path, reviewer: str) -> None:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", reviewer):
            raise InputError(f"--reviewer {reviewer!r}: give a name of up to 64 letters, digits, dots, dashes or underscores, such as anna")
        self._path = review_folder(root) / f"{reviewer}.jsonl"
        try:
            self._path.parent.mkdir(exist_ok=True)
            self._handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        except OSError as error:
            raise self._unwritable(error) from error
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            sync(self._path.parent)
            text = self._path.read_bytes()
            self.answers = _by_record(_parsed(self._path, text))
            self._size = text.rfind(b"\n") + 1
            os.ftruncate(self._handle, self._size)
        except BlockingIOError as error:
            os.close(self._handle)
            raise SubtextError(f"{self._path} is being written by another review; end it, or give another --reviewer") from error
        except OSError as error:
            os.close(self._handle)
            raise self._unwritable(error) from error
        except BaseException:
            os.close(self._handle)
            raise

    def __enter__(self) -> "AnswerFile":
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._handle)

    def add(self, answer: Answer) -> None:
        """Keep an answer; returns when it is on the disk."""
        line = answer.model_dump_json(exclude_defaults=True).encode() + b"\n"
        end = self._size + len(line)
        try:
            while rest := line[len(line) - (end - self._size) :]:
                self._size += os.write(self._handle, rest)
            os.fsync(self._handle)
        except OSError as error:
            self._size = end - len(line)  # what was written of the line goes, or the next one would begin in its middle
            os.ftruncate(self._handle, self._size)
            raise self._unwritable(error) from error
        self.answers.setdefault(answer.record_id, {}).setdefault(answer.asked, answer)

    def _unwritable(self, error: OSError) -> SubtextError:
        why = error.strerror or str(error)
        return SubtextError(f"cannot write {self._path}: {why}; mend that, then run the same command again (earlier answers are kept)")
