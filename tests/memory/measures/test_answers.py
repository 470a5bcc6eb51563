"""Accuracy, consistency, unreadable replies and calibration, by hand."""

import pytest

from memory.measures.answers import Sat, answers_of, scores_of
from schemas.errors import InputError
from tests.memory.measures.hand import exam, row

EXAM = exam(("u1", 0), ("u1", 1), ("u2", 2))
ROWS = [
    row("u1/q0", [0, 0, 0, 0], shares=(0.7, 0.1, 0.1, 0.1), tokens=10),  # right, wherever it stood
    row("u1/q1", [1, 1, 3, -1], shares=(0.1, 0.4, 0.1, 0.4), tokens=20),  # right in two of four rotations
    row("u2/q2", [-1, -1, -1, -1], tokens=60),  # never readable
]


def test_every_figure_of_an_arm_by_hand() -> None:
    rows = [*ROWS[:2], row("u2/q0", [-1, -1, -1, -1], tokens=60)]
    arm = answers_of(EXAM, rows)[Sat("arm", None)]
    assert arm.right.tolist() == [1.0, 0.5, 0.0]
    assert arm.consistency == pytest.approx(1 / 3)
    assert arm.invalid == pytest.approx(5 / 12)
    assert arm.tokens_per_query == 30
    assert arm.brier == pytest.approx(((0.3**2 + 3 * 0.1**2) + (0.6**2 + 2 * 0.1**2 + 0.4**2)) / 2)
    assert arm.ece == pytest.approx((0.3 + 0.6) / 2)  # 0.7 sure and right, 0.4 sure and (the first largest: place 1) right


def test_an_arm_without_probabilities_has_no_calibration() -> None:
    arm = answers_of(EXAM, [row(name, [0] * 4) for name in ("u1/q0", "u1/q1", "u2/q0")])[Sat("arm", None)]
    assert (arm.ece, arm.brier) == (None, None)


def test_questions_of_fewer_options_have_fewer_rotations() -> None:
    own = exam(("u1", 0), ("u1", 1))
    second = own.sheets[0].questions[1]
    few = second.question.model_copy(update={"options": second.question.options[:2]})
    object.__setattr__(second, "question", few)
    arm = answers_of(own, [row("u1/q0", [0, 0, 0, 1]), row("u1/q1", [1, 1])])[Sat("arm", None)]
    assert arm.right.tolist() == [0.75, 1.0]
    assert (arm.consistency, arm.invalid) == (0.5, 0.0)


def test_scores_are_summed_by_user_over_the_chosen_questions() -> None:
    answers = answers_of(EXAM, [*ROWS[:2], row("u2/q0", [2, 2, 2, 0])])
    scores = scores_of(EXAM, answers)
    assert (scores.users, scores.questions.tolist(), scores.earned["arm"].tolist()) == (("u1", "u2"), [2, 1], [1.5, 0.75])
    some = scores_of(EXAM, answers, answers[Sat("arm", None)].right < 1)
    assert (some.questions.tolist(), some.earned["arm"].tolist()) == ([1, 1], [0.5, 0.75])


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        ([row("u1/q0", [0] * 4), row("u1/q0", [1] * 4)], "u1/q0 is answered twice"),
        ([row("u1/q0", [0] * 4)], "1 of the 3 questions of small/test are answered, and 0 others"),
        ([row(name, [0] * 4) for name in ("u1/q0", "u1/q1", "u2/q0", "u9/q0")], "3 of the 3 .* and 1 others"),
        ([row(name, [0] * 3) for name in ("u1/q0", "u1/q1", "u2/q0")], "not one choice for each of its 4 rotations"),
    ],
)
def test_answers_that_do_not_fit_the_exam_are_refused(rows: list[object], problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        answers_of(EXAM, rows)  # type: ignore[arg-type]
