"""What the arms without an agent answer from: nothing after the question, never more than the budget, in their own order."""

import math
from collections.abc import Sequence

import pytest

from memory.arms import BUDGETED, Excerpts, bm25, unlimited
from memory.chunks import turns_of
from memory.exam import Put, Sheet
from memory.notes import write_line
from tests.memory.measures import hand

SAID = ("the first thing told", "a kettle for the office", "nothing of note here", "the kettle broke today", "after the question")


def words(texts: Sequence[str]) -> list[int]:
    return [len(text.split()) for text in texts]


def excerpts() -> Excerpts:
    """Five sessions of one piece each; the question about a kettle comes before the last."""
    sessions = tuple(hand.session(f"p/s{number:03d}", said) for number, said in enumerate(SAID, 1))
    put = Put(hand.question("p/q0", ["tea", "coffee", "milk", None], 0, text="Which kettle, the office asks?"), 4, 4, None)
    bare = hand.sheet("p", sessions, [put])
    return Excerpts.of(Sheet(bare.persona, sessions, tuple(turns_of(sessions, [[4]] * 5)), (put,)), words)


@pytest.mark.parametrize(
    ("arm", "order"),
    [("recent_window", [3, 2, 1, 0]), ("every_sentence", [0, 1, 2, 3]), ("bm25", [1, 3, 0, 2])],
)
def test_each_arm_fills_the_budget_in_its_own_order(arm: str, order: list[int]) -> None:
    found = excerpts()
    put = found.sheet.questions[0]
    assert found.order(arm, put).tolist() == order
    each = len(write_line(found.lines[0]).split())
    memories = found.filled(arm, put, [0, each + 2, 4 * each + 8])
    assert [len(memory.lines) for memory in memories] == [0, 1, 4]
    assert memories[1].lines[0].text == SAID[order[0]]
    assert [line.text for line in memories[2].lines] == list(SAID[:4])  # in order of time, whatever the arm's


@pytest.mark.parametrize("arm", [*BUDGETED, "full_context"])
def test_nothing_after_the_question_is_given(arm: str) -> None:
    found = excerpts()
    put = found.sheet.questions[0]
    memory = unlimited(arm, found, put, {}) if arm == "full_context" else found.filled(arm, put, [1000])[0]
    assert sorted(line.text for line in memory.lines) == sorted(SAID[:4])


def test_bm25_by_hand() -> None:
    """Two pieces of lengths 2 and 4; the word stands once in the first: idf = ln(1 + 1.5 / 1.5), norm = 1.2 (0.25 + 0.75 * 2 / 3)."""
    scores = bm25([{"kettle": 1, "red": 1}, {"tea": 3, "cup": 1}], ["kettle", "kettle"])
    assert scores.tolist() == pytest.approx([math.log(2) * 2.2 / (1 + 1.2 * 0.75), 0.0])
    assert bm25([], ["kettle"]).tolist() == []


def test_gold_facts_is_the_fact_that_the_gold_rests_on_and_nothing_where_nothing_may_be_assumed() -> None:
    found = excerpts()
    facts = {"p/f1": hand.fact("p/f1", "drink", "tea"), "p/f2": hand.fact("p/f2", "drink", "milk")}
    told = hand.question("p/q1", ["tea", "coffee", "milk", None], 0, fact_ids=("p/f1", "p/f2"))
    untold = hand.question("p/q2", ["tea", "coffee", "milk", None], 3, fact_ids=("p/f1",))
    lines = [unlimited("gold_facts", found, Put(question, 4, 4, None), facts).lines for question in (told, untold)]
    assert [[line.text for line in own] for own in lines] == [["has tea"], []]


def test_oracle_evidence_is_the_spans_of_the_sessions_that_the_question_needs() -> None:
    shows = hand.session("p/s001", "only loose leaves in this house", fact_ids=("p/f1",))
    other = hand.session("p/s002", "a bike", fact_ids=("p/f2",))
    put = Put(hand.question("p/q1", ["tea", "coffee", "milk", None], 0, evidence_session_ids=("p/s001",)), 2, 2, None)
    bare = hand.sheet("p", (shows, other), [put])
    found = Excerpts.of(Sheet(bare.persona, (shows, other), tuple(turns_of((shows, other), [[5], [2]])), (put,)), words)
    assert [line.text for line in unlimited("oracle_evidence", found, put, {}).lines] == ["only loose leaves in this house"]
    assert unlimited("no_context", found, put, {}).lines == ()
