"""People's answers beside a dataset: `review/<reviewer>.jsonl`, one line per answer, on the disk before the next thing is shown.

So what a reader wrote about a conversation cannot be changed once the choices were seen, and a kill loses at most the line that is being
typed. A line cut short is not read. One process at a time writes one reviewer's file (flock).
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import ValidationError

from schemas.errors import InputError
from schemas.review import Answer, Asked
from store.lines import LineFile

Answers = Mapping[str, Mapping[Asked, Answer]]
"""By record, then by what was asked; a first answer is never replaced."""


def review_folder(root: Path) -> Path:
    """Where the answers of people lie in the run folder `root`."""
    return root / "review"


def read_all(root: Path) -> dict[str, Answers]:
    """The answers by reviewer, in order of their names; empty where nobody has begun."""
    return {
        path.stem: _by_record(_parsed(path, path.read_bytes().split(b"\n")[:-1])) for path in sorted(review_folder(root).glob("*.jsonl"))
    }


def _by_record(answers: list[Answer]) -> dict[str, dict[Asked, Answer]]:
    found: dict[str, dict[Asked, Answer]] = {}
    for answer in answers:
        found.setdefault(answer.record_id, {}).setdefault(answer.asked, answer)
    return found


def _parsed(path: Path, lines: Sequence[bytes]) -> list[Answer]:
    answers = []
    for number, line in enumerate(lines, 1):
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
        path = review_folder(root) / f"{reviewer}.jsonl"
        self._file = LineFile(path, "another review", "end it, or give another --reviewer")
        try:
            self.answers = _by_record(_parsed(path, self._file.lines))
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> "AnswerFile":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, answer: Answer) -> None:
        """Keep an answer; returns when it is on the disk."""
        self._file.add(answer.model_dump_json(exclude_defaults=True).encode())
        self.answers.setdefault(answer.record_id, {}).setdefault(answer.asked, answer)
