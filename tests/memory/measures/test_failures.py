"""Why wrong replies were wrong, by hand."""

import pytest

from memory.exam import Exam, Put
from memory.measures.answers import Sat, answers_of
from memory.measures.failures import cause_of, failure_result, trails_of
from memory.measures.holding import Holding
from schemas.errors import InputError
from schemas.question import Question
from schemas.results import MemoryRow, MomentRow
from tests.memory.measures.hand import DAY, fact, noise, question, row, session, sheet, written

FACTS = {
    one.fact_id: one
    for one in (
        fact("u1/f1", "drink", "tea"),
        fact("u1/f2", "drink", "coffee", supersedes="u1/f1"),
        fact("u1/f3", "pet", "milk"),  # the value of another attribute
        fact("u1/t1", "drink", "milk", status="trap", owner="Ann"),
    )
}
TEA, COFFEE, CAT = "Earl Grey at four in the blue pot", "The grinder woke the whole house", "Milk is what we call the cat now"
SESSIONS = [
    session("u1/s000", TEA, fact_ids=("u1/f1",)),
    session("u1/s001", COFFEE, fact_ids=("u1/f2",), role="update"),
    noise("u1/s002", "Ann drinks milk", "third_person", ["u1/t1"], "other"),
    session("u1/s003", CAT, fact_ids=("u1/f3",)),
]
VALUES = ["tea", "coffee", "milk", None]
TEA_LINE, COFFEE_LINE = written("s000", TEA), written("s001", COFFEE)
MILK_LINE = written("s002", "drinks milk", owner="Ann")
COFFEE_QUESTION = question("u1/q0", VALUES, 1, fact_ids=("u1/f2", "u1/f1"))
NOTHING_QUESTION = question("u1/q1", VALUES, 3, fact_ids=("u1/t1",))


@pytest.mark.parametrize(
    ("asked", "choice", "now", "before", "cause"),
    [
        (COFFEE_QUESTION, 0, TEA_LINE, [TEA_LINE], "never_written"),  # the new value never came in, so the old one was used
        (COFFEE_QUESTION, 3, "", [], "never_written"),
        (COFFEE_QUESTION, 3, written("s001", COFFEE, status="superseded"), [], "never_written"),
        (COFFEE_QUESTION, 3, "", ["", COFFEE_LINE, ""], "lost_later"),
        (COFFEE_QUESTION, 0, f"{COFFEE_LINE}\n{TEA_LINE}", [], "misused"),  # the stale value was still there
        (COFFEE_QUESTION, 2, f"{COFFEE_LINE}\n{MILK_LINE}", [], "misused"),  # Ann's, and marked so
        (COFFEE_QUESTION, 3, f"{COFFEE_LINE}\n{TEA_LINE}", [], "present_unused"),
        (COFFEE_QUESTION, 2, f"{COFFEE_LINE}\n{TEA_LINE}", [], "present_unused"),
        (COFFEE_QUESTION, 2, f"{COFFEE_LINE}\n{written('s003', CAT)}", [], "present_unused"),  # milk is the cat
        (NOTHING_QUESTION, 2, MILK_LINE, [], "misused"),
        (NOTHING_QUESTION, 2, "", [MILK_LINE], "guessed"),
        (NOTHING_QUESTION, 0, MILK_LINE, [], "guessed"),
        (question("u1/q2", VALUES, 1, fact_ids=("u1/f1",)), 0, TEA_LINE, [], None),  # no fact of its own says coffee
        (question("u1/q3", ["Tea.", *VALUES[1:]], 0, fact_ids=("u1/f1",), attribute=None), 3, TEA_LINE, [], "present_unused"),
    ],
)  # fmt: skip
def test_every_cause(asked: Question, choice: int, now: str, before: list[str], cause: str | None) -> None:
    own = Holding(sheet("u1", SESSIONS), FACTS)
    assert cause_of(own, asked, choice, own.read(now), [own.read(memory) for memory in before]) == cause


def moment(question_id: str, writes: int, memory: str) -> MomentRow:
    return MomentRow(arm="a", budget=9, question_id=question_id, persona_id="u1", writes=writes, memory=memory)


EXAM = Exam("e", (sheet("u1", SESSIONS, [Put(COFFEE_QUESTION, 2, 2, 0), Put(NOTHING_QUESTION, 4, 4, 0)]),))
WRITES = [
    MemoryRow(arm="a", budget=9, persona_id="u1", write=write, until=DAY.date(), memory=memory)
    for write, memory in ((2, COFFEE_LINE), (1, TEA_LINE), (3, ""))
]


def test_wrong_replies_are_counted_by_rotation_and_writes_after_the_question_are_not_looked_at() -> None:
    answers = answers_of(EXAM, [row("u1/q0", [1, 3, 3, -1], "a", 9), row("u1/q1", [2, 2, 2, 2], "a", 9)])[Sat("a", 9)]
    own = {"u1": Holding(EXAM.sheets[0], FACTS)}

    def causes(writes: int) -> dict[str, float]:
        (trail,) = trails_of(WRITES, [moment("u1/q0", writes, ""), moment("u1/q1", 3, MILK_LINE)]).values()
        return {name: share for name, share in failure_result(EXAM, own, answers, trail).model_dump().items() if share}

    assert causes(1) == {"wrong": 1.5, "never_written": pytest.approx(1 / 3, abs=1e-4), "misused": pytest.approx(2 / 3, abs=1e-4)}
    assert causes(2) == {"wrong": 1.5, "lost_later": pytest.approx(1 / 3, abs=1e-4), "misused": pytest.approx(2 / 3, abs=1e-4)}


def test_nothing_wrong_has_no_causes() -> None:
    answers = answers_of(EXAM, [row("u1/q0", [1] * 4, "a", 9), row("u1/q1", [3] * 4, "a", 9)])[Sat("a", 9)]
    (trail,) = trails_of(WRITES, [moment("u1/q0", 1, "")]).values()
    assert set(failure_result(EXAM, {"u1": Holding(EXAM.sheets[0], FACTS)}, answers, trail).model_dump().values()) == {0.0}


def test_a_missing_moment_is_named() -> None:
    answers = answers_of(EXAM, [row("u1/q0", [1] * 4, "a", 9), row("u1/q1", [2] * 4, "a", 9)])[Sat("a", 9)]
    (trail,) = trails_of(WRITES, [moment("u1/q0", 1, "")]).values()
    with pytest.raises(InputError, match="a@9: its memory at the moment of u1/q1 is missing"):
        failure_result(EXAM, {"u1": Holding(EXAM.sheets[0], FACTS)}, answers, trail)
