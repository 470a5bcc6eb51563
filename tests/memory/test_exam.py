"""The exam's paper: rotations map back, the seal is of all that is shown and of the golds, and only what was published is read."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from memory.agent import Answer
from memory.exam import Exam, Put, Sheet, asked, chosen_option, key_of, shares_of
from memory.read_exam import read_exam
from schemas.errors import InputError
from schemas.question import Question
from schemas.session import Session

BUDGET = 12_000


@pytest.fixture(scope="module")
def exam(published: Path) -> Exam:
    return read_exam(published, "train", BUDGET)


def question_of(exam: Exam) -> Question:
    return exam.sheets[0].questions[0].question


def test_whatever_is_chosen_in_any_rotation_is_the_same_option_in_its_own_order(exam: Exam) -> None:
    question = question_of(exam)
    for rotation in range(4):
        shown = asked(question, rotation)
        assert shown.options[0] == question.options[rotation].text
        for place, text in enumerate(shown.options):
            chosen = chosen_option(question, rotation, Answer(choice=place))
            assert chosen is not None and question.options[chosen].text == text


def test_shares_come_back_in_the_own_order(exam: Exam) -> None:
    question = question_of(exam)
    likes = {option.text: share for option, share in zip(question.options, (0.1, 0.2, 0.3, 0.4), strict=True)}
    for rotation in range(4):
        answer = Answer(shares=tuple(likes[text] for text in asked(question, rotation).options))
        assert shares_of(question, rotation, answer) == (0.1, 0.2, 0.3, 0.4)
        assert chosen_option(question, rotation, answer) == 3


def test_what_is_no_choice_is_none(exam: Exam) -> None:
    question = question_of(exam)
    assert [chosen_option(question, 1, answer) for answer in (Answer(), Answer(choice=4), Answer(choice=-1), Answer(text="B"))] == [
        None
    ] * 4
    assert shares_of(question, 1, Answer(choice=1)) == ()
    assert shares_of(question, 1, Answer(shares=(0.5, 0.5))) == ()


def test_every_question_stops_the_history_at_its_place_in_all_rotations(exam: Exam) -> None:
    for sheet in exam.sheets:
        found = {key: stop.turns for stop in sheet.stops() for key in stop.asked}
        assert found == {key_of(put.question, rotation): put.turns for put in sheet.questions for rotation in range(4)}
        for put in sheet.questions:
            assert put.turns == sum(len(session.messages) for session in sheet.sessions[: put.sessions])
            assert all(session.started_at <= put.question.asked_at for session in sheet.sessions[: put.sessions])
            assert all(session.started_at > put.question.asked_at for session in sheet.sessions[put.sessions :])
            assert {session.session_id for session in sheet.sessions[: put.sessions]} >= set(put.question.evidence_session_ids)


Change = Callable[[Sheet], Sheet]


def in_session(**change: Any) -> Change:
    return lambda sheet: replace(sheet, sessions=(*sheet.sessions[:-1], sheet.sessions[-1].model_copy(update=change)))


def in_message(change: Callable[[Session], dict[str, Any]]) -> Change:
    def changed(sheet: Sheet) -> Sheet:
        session = sheet.sessions[3]
        first = session.messages[0].model_copy(update=change(session))
        other = session.model_copy(update={"messages": (first, *session.messages[1:])})
        return replace(sheet, sessions=(*sheet.sessions[:3], other, *sheet.sessions[4:]))

    return changed


def in_put(change: Callable[[Put], Put]) -> Change:
    return lambda sheet: replace(sheet, questions=(*sheet.questions[:-1], change(sheet.questions[-1])))


def in_question(**change: Any) -> Change:
    return in_put(lambda put: replace(put, question=put.question.model_copy(update=change)))


def in_option(**change: Any) -> Change:
    def changed(put: Put) -> Put:
        *options, last = put.question.options
        return replace(put, question=put.question.model_copy(update={"options": (*options, last.model_copy(update=change))}))

    return in_put(changed)


def sealed(exam: Exam, change: Change) -> str:
    return Exam(exam.name, (*exam.sheets[:-1], change(exam.sheets[-1]))).seal


@pytest.mark.parametrize(
    "change",
    [
        in_message(lambda session: {"content": session.messages[0].content + " "}),
        in_message(lambda _: {"role": "assistant"}),
        in_session(session_id="p/s999"),
        lambda sheet: replace(sheet, sessions=(sheet.sessions[1], sheet.sessions[0], *sheet.sessions[2:])),
        lambda sheet: replace(sheet, sessions=sheet.sessions[:-1]),
        lambda sheet: in_session(started_at=sheet.sessions[-1].started_at + timedelta(seconds=1))(sheet),
        in_question(text="And now?"),
        in_question(question_id="p/q999"),
        in_option(text="Something else."),
        in_put(lambda put: replace(put, question=put.question.model_copy(update={"gold_index": (put.question.gold_index + 1) % 4}))),
        in_put(lambda put: replace(put, question=put.question.model_copy(update={"options": put.question.options[::-1]}))),
        in_put(lambda put: replace(put, question=put.question.model_copy(update={"asked_at": put.question.asked_at + timedelta(1)}))),
        in_put(lambda put: replace(put, sessions=put.sessions - 1)),
        lambda sheet: replace(sheet, questions=sheet.questions[:-1]),
        lambda sheet: replace(sheet, persona=sheet.persona.model_copy(update={"persona_id": "p0"})),
    ],
)
def test_the_seal_is_another_where_anything_shown_a_gold_or_a_place_is(exam: Exam, change: Change) -> None:
    assert sealed(exam, change) != exam.seal
    assert Exam("another", exam.sheets).seal != exam.seal
    assert Exam(exam.name, exam.sheets[1:]).seal != exam.seal


@pytest.mark.parametrize(
    "change",
    [
        lambda sheet: sheet,
        in_session(scenario="planning", role="noise", owner="nobody", noise_kind="unrelated", fact_ids=(), evidence=(), tokens=0),
        in_question(kind="updated", fact_ids=(), rubric="", certificates=(), item_id="i0", attribute=None),
        in_option(role="leak", value="else"),
        in_put(lambda put: replace(put, distance_tokens=7)),
        lambda sheet: replace(sheet, persona=sheet.persona.model_copy(update={"profile_text": "somebody else"})),
    ],
)
def test_the_seal_is_the_same_where_only_labels_change(exam: Exam, change: Change) -> None:
    assert sealed(exam, change) == exam.seal


def test_the_exam_is_that_of_the_split(published: Path, exam: Exam) -> None:
    assert exam.name == "tiny/0.1.0/train/12000"
    assert exam.seal == read_exam(published, "train", BUDGET, users=99).seal
    assert [sheet.persona.split for sheet in exam.sheets] == ["train"] * 3
    assert len(list(exam.questions)) == sum(len(sheet.questions) for sheet in exam.sheets) > 10
    assert all(sum(turn.tokens for turn in sheet.turns) <= BUDGET for sheet in exam.sheets)


def test_fewer_users_are_an_exam_of_their_own(published: Path, exam: Exam) -> None:
    few = read_exam(published, "train", BUDGET, users=2)
    assert few.name == "tiny/0.1.0/train/12000/first-2"
    assert [sheet.persona for sheet in few.sheets] == [sheet.persona for sheet in exam.sheets[:2]]
    assert few.sheets == exam.sheets[:2]
    assert few.seal != exam.seal


@pytest.fixture
def folder(published: Path, tmp_path: Path) -> Path:
    root = tmp_path / "copy"
    root.mkdir()
    shutil.copy(published / "manifest.json", root)
    shutil.copytree(published / "data", root / "data")
    return root


def test_other_splits_are_not_opened(folder: Path, exam: Exam) -> None:
    for path in folder.glob("data/*/*.parquet"):
        if not path.name.startswith("train-") or path.parent.name == "facts":
            path.unlink()
    assert read_exam(folder, "train", BUDGET).seal == exam.seal


@pytest.mark.parametrize("table", ["sessions", "questions", "personas", "histories_12k"])
def test_what_is_not_as_it_was_published_is_refused(folder: Path, table: str) -> None:
    (path,) = (folder / "data" / table).glob("train-*.parquet")
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(InputError, match=rf"{table}/train-\S+ has changed since it was published"):
        read_exam(folder, "train", BUDGET)
    path.unlink()
    with pytest.raises(InputError, match=rf"{table}/train-\S+ cannot be read \(No such file or directory\).*copy the whole"):
        read_exam(folder, "train", BUDGET)


def test_what_is_not_there_is_refused_and_what_is_is_named(folder: Path) -> None:
    with pytest.raises(InputError, match="no split dev there; it has test, train, validation"):
        read_exam(folder, "dev", BUDGET)
    with pytest.raises(InputError, match="no histories of that size there; it has those of 12000 tokens"):
        read_exam(folder, "train", 32_000)
    with pytest.raises(InputError, match="no histories of 12500 tokens there; it has 12000"):
        read_exam(folder, "train", 12_500)
    with pytest.raises(InputError, match="the split test has no questions"):
        read_exam(folder, "test", BUDGET)


def test_what_is_no_finished_dataset_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not a finished dataset: it has no manifest"):
        read_exam(tmp_path, "train", BUDGET)
    manifest = folder / "manifest.json"
    known = json.loads(manifest.read_text("utf-8"))
    for text, said in (
        ("{", "cannot be read as the manifest"),
        ("[]", "cannot be read as the manifest"),
        (json.dumps({**known, "files": {}}), "names no files of"),
    ):
        manifest.write_text(text, "utf-8")
        with pytest.raises(InputError, match=said):
            read_exam(folder, "train", BUDGET)
    manifest.write_text(json.dumps({**known, "dataset": None}), "utf-8")
    with pytest.raises(InputError, match=r"manifest.json cannot be read as the manifest"):
        read_exam(folder, "train", BUDGET)
