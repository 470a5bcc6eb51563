"""What each turn is worth, and how it is handed to the trainer, by hand."""

import math

import numpy as np
import pytest

from memory.agent import Answer
from memory.training.cold_start import best_of
from memory.training.rollout import Answered, Reply, Rollout, Written, play
from memory.training.samples import Sample, rewards_of, samples_of
from memory.training.slots import lay_out, most_samples, rows_of
from memory.training.visits import Task, Visit, plan_visits
from schemas.memory import Memory
from schemas.question import Question
from tests.memory.training.small import ANN, BOB, GOLD_FIRST, LIMITS, Script, player, question, visit

NAN = float("nan")


def written(penalty: float = 0.0) -> Written:
    return Written((1,), Reply((2,)), Memory(), penalty)


def answered(after: int, branch: int | None = None) -> Answered:
    return Answered(Task(question("p", 0, *GOLD_FIRST), 0, 0), (1,), Reply((2,)), "", Answer(), after, branch)


def worth(samples: list[Sample]) -> list[tuple[str, float]]:
    return [(sample.role, round(sample.advantage, 6)) for sample in samples]


def test_unequal_numbers_of_writes() -> None:
    """One rollout wrote twice, the other three times; a question after the first write, one at the end."""
    group = [
        Rollout((written(), written()), (), (answered(1), answered(2))),
        Rollout((written(), written(), written()), (), (answered(1), answered(3))),
    ]
    assert worth(samples_of(group, np.array([[1.0, 0.0], [0.0, 0.5]]))) == [
        ("write", 0.125), ("write", -0.25), ("answer", 0.5), ("answer", -0.25),
        ("write", -0.125), ("write", 0.25), ("write", 0.25), ("answer", -0.5), ("answer", 0.25),
    ]  # fmt: skip


def test_a_branch_earns_by_the_questions_at_its_end_alone() -> None:
    group = [Rollout((written(),), (written(),), (answered(0, 0), answered(0, 0), answered(1))) for _ in range(2)]
    assert worth(samples_of(group, np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]))) == [
        ("write", -0.5), ("branch", 0.25), ("answer", 0.5), ("answer", 0.0), ("answer", -0.5),
        ("write", 0.5), ("branch", -0.25), ("answer", -0.5), ("answer", 0.0), ("answer", 0.5),
    ]  # fmt: skip


def test_a_write_pays_only_for_being_worse_than_the_others() -> None:
    group = [Rollout((written(-0.1),), (), (answered(1),)), Rollout((written(0.0),), (), (answered(1),))]
    assert worth(samples_of(group, np.array([[1.0], [1.0]]))) == [("write", -0.05), ("answer", 0), ("write", 0.05), ("answer", 0)]


def test_an_answer_that_no_judge_could_score_is_no_sample() -> None:
    group = [Rollout((written(),), (), (answered(1),)) for _ in range(3)]
    found = samples_of(group, np.array([[1.0], [NAN], [0.0]]))
    assert worth(found) == [("write", 0.5), ("answer", 0.5), ("write", 0), ("write", -0.5), ("answer", -0.5)]


def test_open_answers_are_scored_by_the_judge_and_choices_by_what_they_mean() -> None:
    def judge(asked: Question, text: str) -> float:
        return {"fine": 0.75, "broken": NAN}[text]

    first, second = visit(ANN).tasks
    of = Visit("pa", ANN.turns, (Task(first.question, 0, first.turns, open=True), Task(second.question, 2, second.turns)))
    line = "2025-01-01 s000 | x"
    script = Script([line] * 2, [line] * 4, [line] * 2, ["fine", "C", "broken", "A"])
    groups = play([of], 2, player(script), 3)
    assert "option" not in script.asked[-1][0]
    [rewards] = rewards_of(groups, judge)
    # In rotation 2 the options begin with the third: C is the first of the question's own, which is right, and A the leak.
    assert rewards[:, 1].tolist() == [1.0, -0.5]
    assert rewards[0, 0] == 0.75
    assert math.isnan(rewards[1, 0])


def test_rows_are_balanced_and_what_is_no_sample_is_masked() -> None:
    group = [Sample("write", (1, 2), Reply((3, 4, 5)), 0.5), Sample("answer", (6,), Reply((7,), (-0.5,)), -0.2)]
    rows = rows_of([group, group[:1]], 4, 9)
    assert rows["prompt_ids"] == [[1, 2], [6], [9], [9], [1, 2], [9], [9], [9]]
    assert rows["completion_ids"] == [[3, 4, 5], [7], [9], [9], [3, 4, 5], [9], [9], [9]]
    assert rows["env_mask"] == [[1, 1, 1], [1], [0], [0], [1, 1, 1], [0], [0], [0]]
    assert rows["advantage"] == pytest.approx([0.5, -0.2, -0.3, 0, 0.5, -0.5, 0, 0])
    assert rows["logprobs"][:2] == [[0.0, 0.0, 0.0], [-0.5]]
    with pytest.raises(AssertionError):
        rows_of([group], 2, 9)


def test_the_layout_has_a_slot_to_spare_and_equal_micro_batches() -> None:
    assert most_samples([visit(ANN), visit(BOB)], 2, LIMITS) == 2 * (3 + 1 + 2)
    assert most_samples([visit(ANN), visit(BOB)], 2, None) == 2 * 2
    for samples in range(1, 40):
        for groups, micro_batch, updates in ((1, 1, 1), (2, 4, 1), (3, 4, 2), (8, 5, 3)):
            layout = lay_out(samples, groups, micro_batch, updates)
            assert layout.slots > samples
            assert layout.slots - samples <= micro_batch * updates
            assert layout.micro_batches * micro_batch == groups * layout.slots
            assert layout.accumulation * updates == layout.micro_batches


def test_the_best_rollout_is_kept_where_it_is_better_than_the_others() -> None:
    group = [Rollout((), (), (answered(0), answered(0))) for _ in range(3)]
    assert best_of(group, np.array([[0.0, 1.0], [1.0, 1.0], [NAN, 0.0]])) is group[1]
    assert best_of(group, np.array([[0.0, 1.0], [NAN, 1.0], [0.5, 0.5]])) is group[1]
    assert best_of(group, np.array([[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]])) is None
    assert best_of(group, np.full((3, 2), NAN)) is None


def test_options_stand_in_another_place_each_time_round() -> None:
    visits = plan_visits([ANN, BOB], 8, 1, seed=3)
    assert [sorted(one.persona_id for one in visits[at : at + 2]) for at in range(0, 8, 2)] == [["pa", "pb"]] * 4
    bob = [one.tasks[0].rotation for one in visits if one.persona_id == "pb"]
    assert [(rotation - bob[0]) % 4 for rotation in bob] == [0, 1, 2, 3]
    ann = [one.tasks[0] for one in visits if one.persona_id == "pa"]  # two questions, one a visit
    assert [task.question.question_id for task in ann[:2]] == [task.question.question_id for task in ann[2:]]
    assert ann[0].question != ann[1].question
    assert [(later.rotation - sooner.rotation) % 4 for sooner, later in zip(ann[:2], ann[2:], strict=True)] == [1, 1]
    assert plan_visits([ANN, BOB], 4, 1, seed=3) == visits[:4]
    assert sum(task.open for one in plan_visits([ANN], 500, 2, 1, open_share=0.2) for task in one.tasks) == pytest.approx(200, abs=40)
