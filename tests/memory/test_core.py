"""The memory's text, the chunks and the credit, by hand-computed cases."""

from collections.abc import Sequence
from datetime import UTC, date, datetime
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memory.chunks import Turn, chunks_of
from memory.credit import assign_credit
from memory.notes import changes, fitted, read_memory, write_memory
from schemas.memory import Memory, MemoryLine
from schemas.session import Message

NAN = float("nan")


def line(text: str, **more: object) -> MemoryLine:
    fields = {
        "owner": "self", "text": text, "first_seen": date(2025, 3, 2), "last_seen": date(2025, 6, 11),
        "session_ids": ("p1/s003", "p1/s017"), "status": "active", **more,
    }  # fmt: skip
    return MemoryLine.model_validate(fields)


def words(texts: Sequence[str]) -> list[int]:
    return [len(text.split()) for text in texts]


def test_a_memory_reads_back_as_it_was_written() -> None:
    once = line("has a bad knee", last_seen=date(2025, 3, 2), status="superseded")
    other = line("keeps | two cats", owner="Ann of Kent", session_ids=(), status="forgotten")
    memory = Memory(lines=(line("drinks coffee black"), once, other, line("of late, | tea", owner="Bo")))
    text = write_memory(memory)
    assert text.splitlines() == [
        "2025-03-02..2025-06-11 s003 s017 | drinks coffee black",
        "superseded 2025-03-02 s003 s017 | has a bad knee",
        "forgotten 2025-03-02..2025-06-11 of Ann of Kent | keeps | two cats",
        "2025-03-02..2025-06-11 s003 s017 of Bo | of late, | tea",
    ]
    reading = read_memory(f"\n{text}\n\n", "p1")
    assert (reading.memory, reading.invalid) == (memory, ())


@pytest.mark.parametrize(
    "bad",
    [
        "drinks coffee black",
        "doubtful 2025-03-02..2025-06-11 s003 | drinks coffee black",
        "2025-13-02..2025-06-11 s003 | drinks coffee black",
        "2025-06-11..2025-03-02 s003 | drinks coffee black",
        "2025-03-02 s003 of  | drinks coffee black",
        "2025-03-02..2025-06-11 s003 |",
    ],
)
def test_what_is_no_line_is_handed_back(bad: str) -> None:
    reading = read_memory(f"{bad}\n{write_memory(Memory(lines=(line('x'),)))}", "p1")
    assert reading.invalid == (bad,)
    assert reading.memory.lines == (line("x"),)


def test_a_memory_is_cut_at_its_budget() -> None:
    memory = Memory(lines=tuple(line(f"thing {number}") for number in range(4)))
    each = words([write_memory(Memory(lines=memory.lines[:1]))])[0]
    assert fitted(memory, 3 * each, words).lines == memory.lines[:3]
    assert fitted(memory, 3 * each - 1, words).lines == memory.lines[:2]
    assert fitted(memory, 0, words).lines == ()


def test_changes_between_two_memories() -> None:
    tea, cat, old = line("tea"), line("a cat"), line("coffee")
    gone = old.model_copy(update={"status": "superseded"})
    found = changes(Memory(lines=(old, cat)), Memory(lines=(gone, tea)))
    assert (found.added, found.dropped, found.rewritten) == ((tea,), (cat,), ((old, gone),))


@given(st.lists(st.integers(1, 40), max_size=60), st.integers(5, 50))
def test_chunks_hold_every_message_once_and_no_more_than_they_may(tokens: list[int], most: int) -> None:
    turns = [Turn(f"s{n}", datetime(2025, 1, 1, tzinfo=UTC), Message(role="user", content=str(n)), count) for n, count in enumerate(tokens)]
    chunks = list(chunks_of(turns, most))
    assert [turn for chunk in chunks for turn in chunk.turns] == turns
    assert all(chunk.tokens <= most or len(chunk.turns) == 1 for chunk in chunks)
    for one, other in pairwise(chunks):
        assert one.tokens + other.turns[0].tokens > most


def test_credit_by_hand() -> None:
    """Two rollouts, three questions: one before any write counts, one after the first write, one after the last; unequal writes."""
    rewards = np.array([[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    credit = assign_credit(rewards, [[0, 1, 2], [0, 1, 3]], [2, 3])
    assert credit.answers.tolist() == [[0.5, 0.5, -0.5], [-0.5, -0.5, 0.5]]
    assert credit.writes[0].tolist() == [0.0, -0.5]  # write 0: (0.5 - 0.5) / 2; write 1: the last question only
    assert credit.writes[1].tolist() == [0.0, 0.5, 0.5]


def test_a_write_that_no_question_follows_earns_nothing() -> None:
    credit = assign_credit(np.array([[1.0], [0.0]]), [[1], [1]], [3, 1])
    assert credit.writes[0].tolist() == [0.5, 0.0, 0.0]
    assert credit.writes[1].tolist() == [-0.5]


def test_an_answer_without_a_reward_counts_for_nobody() -> None:
    credit = assign_credit(np.array([[1.0, NAN], [0.0, 1.0], [NAN, NAN]]), [[1, 1]] * 3, [1, 1, 1])
    assert credit.answers.tolist() == [[0.5, 0.0], [-0.5, 0.0], [0.0, 0.0]]
    assert [writes.tolist() for writes in credit.writes] == [[0.5], [-0.25], [0.0]]


def test_advantages_of_one_question_add_up_to_nothing() -> None:
    rewards = np.random.default_rng(1).random((8, 5))
    credit = assign_credit(rewards, [[1] * 5] * 8, [1] * 8)
    assert np.allclose(credit.answers.sum(axis=0), 0)
    assert np.isclose(sum(float(writes.sum()) for writes in credit.writes), 0)
