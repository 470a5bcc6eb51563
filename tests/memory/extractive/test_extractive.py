"""The extractive agent on a small dataset: it learns, the same way each time, from rewards and from nothing else."""

import asyncio
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from flows.extractive import sheets_of
from memory.agent import Asked
from memory.exam import asked, key_of
from memory.extractive.agent import ExtractiveAgent
from memory.extractive.desk import Desk
from memory.extractive.files import NUMBERS, REST, load_agent, save_agent
from memory.extractive.learn import Learned, School, learn
from memory.extractive.policy import Policy
from memory.extractive.training import Lesson, make_lesson, roll, train_policy
from memory.notes import write_memory
from memory.oracle import evidence_of
from memory.read_exam import exam_tokens
from memory.replay import Limits, Sitting, sit
from memory.rewards import answer_reward
from schemas.errors import InputError
from schemas.memory import Memory
from tests.memory.extractive.conftest import BUDGET, SCHEDULE


def sat(agent: ExtractiveAgent, lesson: Lesson) -> Sitting:
    return asyncio.run(sit(agent, lesson.sheet.turns, lesson.sheet.stops(), Limits(agent.budget, exam_tokens().count)))


@pytest.fixture(scope="module")
def lessons(desk: Desk, school: School) -> list[Lesson]:
    return [make_lesson(desk, sheet) for sheet in school.train]


def test_rotating_the_options_rotates_the_answer(learned: Learned, school: School) -> None:
    for sheet in school.train[:4]:
        for put in sheet.questions:
            memory = evidence_of(sheet, put)
            shares = [learned.agent.desk.reader.answer(memory, asked(put.question, rotation)).shares for rotation in range(4)]
            assert all(shares[rotation] == shares[0][rotation:] + shares[0][:rotation] for rotation in range(4))


def test_training_reads_a_history_as_the_exam_does(learned: Learned, lessons: list[Lesson]) -> None:
    """The quick path of training and the protocol of agents: the same memories, the same expected rewards."""
    for lesson in lessons[:4]:
        sitting = sat(learned.agent, lesson)
        rollout = roll(learned.agent.desk, learned.agent.policy, lesson, BUDGET, None)
        expected = []
        for put in lesson.sheet.questions:
            given = sitting.answers[key_of(put.question, 0)]
            earns = [answer_reward(type(given)(choice=place), put.question) for place in range(4)]
            expected.append(float(np.dot(given.shares, earns)))
        assert rollout.rewards == pytest.approx(expected, abs=1e-5)
        assert len(rollout.choices) == len(sitting.memories)


def test_a_memory_keeps_to_its_budget_and_to_what_was_written(learned: Learned, lessons: list[Lesson]) -> None:
    said = {" ".join(turn.message.content.split()) for turn in lessons[0].sheet.turns if turn.message.role == "user"}
    for budget in (64, BUDGET):
        for memory in sat(replace(learned.agent, budget=budget), lessons[0]).memories:
            assert memory.lines
            assert exam_tokens().count([write_memory(memory) + "\n"])[0] <= budget
            assert all(any(line.text in message for message in said) for line in memory.lines)


def test_no_question_reaches_a_write(desk: Desk, learned: Learned, lessons: list[Lesson]) -> None:
    """With other questions, at the same moments, the same is written."""
    lesson, other = lessons[0], lessons[1]
    strange = [replace(visit, questions=other.visits[0].questions, earns=other.visits[0].earns) for visit in lesson.visits]
    one = roll(desk, learned.agent.policy, lesson, BUDGET, np.random.default_rng(5))
    two = roll(desk, learned.agent.policy, replace(lesson, visits=tuple(strange)), BUDGET, np.random.default_rng(5))
    assert [choice.rows for choice in one.choices] == [choice.rows for choice in two.choices]
    assert all((first.features == second.features).all() for first, second in zip(one.choices, two.choices, strict=True))


def test_nothing_later_reaches_a_write(desk: Desk, learned: Learned, lessons: list[Lesson]) -> None:
    lesson = lessons[0]
    cut = replace(lesson, chunks=lesson.chunks[:1], visits=())
    whole = roll(desk, learned.agent.policy, replace(lesson, visits=()), BUDGET, np.random.default_rng(5))
    assert roll(desk, learned.agent.policy, cut, BUDGET, np.random.default_rng(5)).choices[0].rows == whole.choices[0].rows


def test_the_same_people_and_seed_give_the_same_agent(school: School, learned: Learned) -> None:
    again = learn(school, exam_tokens().count, BUDGET, SCHEDULE)
    assert (again.agent.policy.weights == learned.agent.policy.weights).all()
    assert (again.agent.desk.reader.weights == learned.agent.desk.reader.weights).all()
    assert again.rewards == learned.rewards


def test_training_earns_more_and_shuffled_rewards_teach_nothing(desk: Desk, lessons: list[Lesson]) -> None:
    """The planted control: the same rollouts, with rewards dealt anew among the rollouts of each group."""
    schedule = replace(SCHEDULE, epochs=6, group=6)
    blank = train_policy(desk, lessons, BUDGET, replace(schedule, epochs=0)).policy
    true, shuffled = (train_policy(desk, lessons, BUDGET, replace(schedule, shuffled=deal)).policy for deal in (False, True))

    def earned(policy: Policy) -> float:
        drawn = [np.random.default_rng(number) for number in range(4)]
        return float(np.mean([roll(desk, policy, lesson, BUDGET, chance).rewards.mean() for chance in drawn for lesson in lessons]))

    start = earned(blank)
    assert earned(true) > start + 0.1
    assert earned(shuffled) < start + 0.05


def test_the_untrained_agent_keeps_by_chance_but_the_same_each_time(learned: Learned, lessons: list[Lesson]) -> None:
    one, two = learned.agent.untrained(1), learned.agent.untrained(2)
    first = sat(one, lessons[0]).memories
    assert first == sat(one, lessons[0]).memories
    assert first != sat(two, lessons[0]).memories
    assert first != sat(learned.agent, lessons[0]).memories


def test_an_agent_comes_back_from_its_files(tmp_path: Path, learned: Learned, people: Path) -> None:
    save_agent(learned.agent, tmp_path / "agent", seed=1)
    assert sorted(path.name for path in (tmp_path / "agent").iterdir()) == [REST, NUMBERS]
    back = load_agent(tmp_path / "agent", exam_tokens().count, BUDGET)
    for sheet in sheets_of(people, "test", 12_000):
        lesson = make_lesson(learned.agent.desk, sheet)
        assert sat(back, lesson).answers == sat(learned.agent, lesson).answers


@pytest.mark.parametrize(("damage", "said"), [("missing", "holds no trained"), ("cut", "cannot be read"), ("other", "another encoder")])
def test_an_agent_that_cannot_be_read_is_refused_in_one_line(tmp_path: Path, learned: Learned, damage: str, said: str) -> None:
    folder = tmp_path / "version" / "agent" / "extractive"
    save_agent(learned.agent, folder, seed=1)
    if damage == "missing":
        (folder / REST).unlink()
    elif damage == "cut":
        (folder / NUMBERS).write_bytes((folder / NUMBERS).read_bytes()[:1000])
    else:
        (folder / REST).write_text((folder / REST).read_text(encoding="utf-8").replace('"encoder": "', '"encoder": "x'), encoding="utf-8")
    with pytest.raises(InputError, match=said) as caught:
        load_agent(folder, exam_tokens().count, BUDGET)
    assert "\n" not in str(caught.value)


def test_an_open_question_gets_no_answer(learned: Learned, lessons: list[Lesson]) -> None:
    at = lessons[0].sheet.questions[0].question.asked_at
    given = asyncio.run(learned.agent.answer(Memory(), Asked(at, "What shall I pack?", ())))
    assert (given.choice, given.shares, given.text) == (None, (), "")
