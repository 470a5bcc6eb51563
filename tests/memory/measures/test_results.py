"""The whole result file of a small exam, from an agent that really sits it to the table."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from memory.agent import Answer, Asked
from memory.chunks import Chunk, turns_of
from memory.exam import Exam, Put, Sheet
from memory.measures.moments import memory_rows, moment_rows
from memory.measures.results import Evidence, measure
from memory.measures.table import findings, table_text
from memory.replay import Limits, sit
from schemas.errors import InputError
from schemas.memory import Memory
from schemas.results import AnswerRow, CostRow, MemoryRow, MomentRow, Results, Usage
from tests.memory.measures.hand import fact, question, row, session, sheet
from tests.memory.test_core import line

USERS = [f"u{number:02d}" for number in range(12)]
VALUES = ["tea", "coffee", "milk", None]
FACTS = {name: fact(name, "drink", "tea") for user in USERS for name in (f"{user}/f1",)}


def words(texts: Sequence[str]) -> list[int]:
    return [len(text.split()) for text in texts]


def made(user: str) -> Sheet:
    """Three sessions of one message each, the second of which shows the fact; a question before it, after it and at the end."""
    sessions = [
        session(f"{user}/s000", "How long do eggs boil?", role="noise", noise_kind="unrelated", cue=None, owner="nobody"),
        session(f"{user}/s001", "Earl Grey at four in the blue pot", fact_ids=(f"{user}/f1",)),
        session(f"{user}/s002", "And potatoes?", role="noise", noise_kind="unrelated", cue=None, owner="nobody"),
    ]
    told = {"fact_ids": (f"{user}/f1",), "evidence_session_ids": (f"{user}/s001",)}
    puts = [
        Put(question(f"{user}/q0", VALUES, 3, kind="restraint"), 1, 1, None),
        Put(question(f"{user}/q1", VALUES, 0, **told), 2, 2, 0),
        Put(question(f"{user}/q2", VALUES, 0, **told), 3, 3, 10),
    ]
    bare = sheet(user, sessions, puts)
    return Sheet(bare.persona, bare.sessions, tuple(turns_of(sessions, [[10]] * 3)), bare.questions)


EXAM = Exam("small/test", tuple(made(user) for user in USERS))


class Recent:
    """Remembers the last message, and chooses the first option."""

    name = "recent"

    async def write(self, memory: Memory, chunk: Chunk) -> Memory:
        last = chunk.turns[-1]
        return Memory(lines=(line(last.message.content, session_ids=(last.session_id,)),))

    async def answer(self, memory: Memory, asked: Asked) -> Answer:
        return Answer(choice=0)


LIMITS = Limits(memory_tokens=128, count=words, chunk_tokens=20)


def rows_of(arm: str) -> tuple[list[MemoryRow], list[MomentRow]]:
    memories: list[MemoryRow] = []
    moments: list[MomentRow] = []
    for one in EXAM.sheets:
        sitting = asyncio.run(sit(Recent(), one.turns, one.stops(), LIMITS))
        memories += memory_rows(one, sitting, arm, LIMITS)
        moments += moment_rows(one, sitting, arm, LIMITS)
    return memories, moments


def arm(name: str, budget: int | None, choices: Sequence[Sequence[int]]) -> list[AnswerRow]:
    return [row(f"{user}/q{place}", own, name, budget) for user in USERS for place, own in enumerate(choices)]


def evidence() -> Evidence:
    right, wrong = ([3] * 4, [0] * 4, [0] * 4), ([3] * 4, [1] * 4, [1] * 4)
    trained = ([3] * 4, [0] * 4, [1] * 4)
    answers = [
        *arm("trained_memory", 128, trained), *arm("trained_memory", 64, wrong), *arm("bm25", 128, wrong), *arm("dense", 128, trained),
        *arm("no_context", None, wrong), *arm("oracle_evidence", None, right), *arm("full_context", None, right),
    ]  # fmt: skip
    usage = Usage(read=1200, written=0, calls=1, usd=None)
    costs = [CostRow(arm="trained_memory", budget=128, users=12, questions=144, writing=usage, answering=usage)]
    return Evidence(EXAM, FACTS, ["Something else entirely was said there"], answers, *rows_of("trained_memory"), costs, words)


@pytest.fixture(scope="module")
def results() -> Results:
    return measure(evidence())


def test_rows_of_a_sitting() -> None:
    memories, moments = rows_of("a")
    assert [(one.write, one.memory.partition("| ")[2]) for one in memories[:2]] == [
        (1, "Earl Grey at four in the blue pot"), (2, "And potatoes?"),
    ]  # fmt: skip
    assert [(one.question_id, one.writes, one.memory.partition("| ")[2]) for one in moments[:3]] == [
        ("u00/q0", 0, "How long do eggs boil?"), ("u00/q1", 1, "Earl Grey at four in the blue pot"), ("u00/q2", 2, "And potatoes?"),
    ]  # fmt: skip
    assert {one.until for one in memories[::2]} == {EXAM.sheets[0].sessions[1].started_at.date()}


def test_results_by_hand(results: Results) -> None:
    assert (results.exam.users, results.exam.questions, results.exam.chance, results.exam.seal) == (12, 36, 0.25, EXAM.seal)
    assert results.headline_budget == 128
    assert {name: round(one.accuracy, 2) for name, one in results.arms.items()} == {
        "trained_memory": 0.67, "bm25": 0.33, "dense": 0.67, "no_context": 0.33, "oracle_evidence": 1.0, "full_context": 1.0,
    }  # fmt: skip
    assert results.gap_closed == 0.5
    assert {budget: list(arms) for budget, arms in results.budgets.items()} == {
        "64": ["trained_memory"], "128": ["trained_memory", "bm25", "dense"],
    }  # fmt: skip
    assert results.arms["trained_memory"].by["position"]["end"].accuracy == 0
    assert list(results.arms["trained_memory"].by["cue"]) == ["unseen", "none"]
    assert results.memory["128"]["trained_memory"].recall.value == 0
    failures = results.failures["128"]["trained_memory"]
    assert (failures.wrong, failures.lost_later) == (12, 1)
    assert results.cost[0].tokens["5"] == pytest.approx(100 / 5 + 1200 / 144, abs=0.05)
    assert Results.model_validate_json(results.model_dump_json()) == results


def test_the_headline_budget_may_be_chosen() -> None:
    found = measure(evidence(), 64)
    assert (found.headline_budget, found.arms["trained_memory"].accuracy, found.gap_closed) == (64, 0.3333, 0.0)
    assert "bm25" not in found.arms
    with pytest.raises(InputError, match="no arm was measured with a memory of 512 tokens; there are 64, 128"):
        measure(evidence(), 512)


def test_without_the_ends_of_the_gap_there_is_none() -> None:
    whole = evidence()
    bare = replace(whole, answers=[row for row in whole.answers if row.arm != "oracle_evidence"])
    assert measure(bare).gap_closed is None


def test_what_is_not_certain_is_not_said_to_be(results: Results) -> None:
    unsure = [one.model_copy(update={"certain": False}) for one in results.comparisons]
    said = findings(results.model_copy(update={"comparisons": tuple(unsure)}))
    assert said[0].startswith("No difference is certain from bm25 (+33.3), no_context (+33.3), dense (+0.0), full_context (-33.3) (points)")


def test_what_the_results_say(results: Results) -> None:
    assert findings(results) == [
        "With 128 tokens trained_memory is right more often, for certain, than bm25 (+33.3), no_context (+33.3) (points).",
        "With 128 tokens trained_memory is right less often, for certain, than full_context (-33.3) (points).",
        "No difference is certain from dense (+0.0) (points); one of 0.0 points would likely have shown.",
        "Above chance (25.0%) without the history, each at 95 %: no_context (33.3%). Right options may be guessed.",
        "trained_memory closes 50% (50% to 50%) of the gap between no_context and oracle_evidence.",
        "At the end trained_memory holds 0% of what is true of the users, and 0% of its lines hold something of it.",
    ]
    held = results.memory["128"]["trained_memory"]
    half = held.model_copy(update={"recall": held.recall.model_copy(update={"value": 0.5})})
    more = results.model_copy(update={"memory": {"128": {"trained_memory": half}, "64": {"untrained_memory": half}}})
    assert (
        findings(more)[-1] == "At the end trained_memory holds 50% of what is true of the users, and 0% of its lines hold something of it."
    )
    blind = results.model_copy(update={"arms": {"chance": results.arms["bm25"].model_copy(update={"ci95": (0.2, 0.3)})}})
    assert "Without the history nobody is above chance (25.0%): chance." in findings(blind)


def test_the_table_fits_and_the_best_comes_first(results: Results) -> None:
    lines = table_text(results).splitlines()
    assert max(map(len, lines)) <= 100
    names = [text.split()[0] for text in lines[3:9]]
    assert names == ["full_context", "oracle_evidence", "dense", "trained_memory", "bm25", "no_context"]
    trained = next(text for text in lines if text.startswith("trained_memory"))
    assert trained.split() == "trained_memory 128 10 66.7% 66.7 to 66.7 0.50 0.50 to 0.50".split()
